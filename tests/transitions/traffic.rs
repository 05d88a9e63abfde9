//! A little traffic by all cables, of all kinds that bridges and tunnels look at.

use crate::configs::CABLES;
use crate::random::Random;
use harness::frames::{self, Mac};
use harness::{Lab, Wire};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// It runs until it is dropped, but for pauses.
pub struct Traffic {
    paused: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    /// Cables of this lab, with traffic on them.
    pub fn start(lab: &Lab, seed: u64) -> Traffic {
        let wires = wires(lab);
        let (paused, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let flags = (Arc::clone(&paused), Arc::clone(&ends));
        let mut random = Random::new(seed);
        let thread = std::thread::spawn(move || {
            while !flags.1.load(Ordering::Relaxed) {
                for (number, wire) in wires.iter().enumerate() {
                    if !flags.0.load(Ordering::Relaxed) {
                        wire.send(&frame(&mut random, number as u8));
                    }
                    drop(wire.drain());
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Traffic { paused, ends, thread: Some(thread) }
    }

    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(ended.is_none_or(|ended| ended.is_ok()), "the traffic failed");
        }
    }
}

/// The router's end of a cable.
pub fn router_mac(cable: usize) -> Mac {
    [2, 0, 0, 0, 0xcc, cable as u8]
}

/// Lays the cables, whose router's ends have the same addresses in each lab.
pub fn wires(lab: &Lab) -> Vec<Wire> {
    CABLES
        .iter()
        .enumerate()
        .map(|(number, cable)| {
            let wire = lab.wire(cable);
            let mac = router_mac(number).map(|byte| format!("{byte:02x}")).join(":");
            lab.router.ip(&format!("link set {cable} address {mac}"));
            wire
        })
        .collect()
}

fn station(cable: u8, number: usize) -> Mac {
    [2, 0, 0, 0, 0xaa + cable, number as u8]
}

/// A frame by the cable of this number.
fn frame(random: &mut Random, cable: u8) -> Vec<u8> {
    let from = station(cable, random.below(3));
    let others = [
        station(random.below(5) as u8, random.below(3)),
        frames::BROADCAST,
        [1, 0, 0x5e, 1, 2, 3],
        router_mac(cable.into()),
    ];
    let to = random.of(&others);
    let ends = ["10.0.0.9", "10.0.1.9", "10.0.0.10", "10.0.0.1", "10.0.1.1", "192.0.2.7"].map(frames::ip);
    let (source, destination) = (random.of(&ends), random.of(&ends));
    let inner = frames::ethernet(station(9, random.below(9)), frames::BROADCAST, 0x88b5, &[0; 50]);
    let vxlan = [&[8, 0, 0, 0, 0, 0, 1 + random.below(3) as u8, 0], &inner[..]].concat();
    let mut frame = match random.below(5) {
        0 => frames::ethernet(from, to, 0x88b5, &vec![0; 46 + random.below(1400)]),
        1 => {
            frames::Arp { operation: 1, sender: (from, source), target: ([0; 6], destination) }.frame(frames::BROADCAST)
        }
        2 => frames::ethernet(from, to, frames::IP4, &frames::udp_packet(source, destination, 4789, &vxlan)),
        3 => frames::ethernet(from, to, frames::IP4, &frames::udp_packet(source, destination, 7, &[0; 100])),
        _ => frames::ethernet(from, to, frames::IP4, &frames::echo_request(source, destination, 1, 1, &[0; 56])),
    };
    for _ in 0..random.below(3) {
        frame = frames::tagged(random.of(&[10, 20, 100, 200, 300]), &frame);
    }
    frame
}
