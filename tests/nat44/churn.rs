//! Churn at the limit: more hosts, ports and fragments than there is room for, random and without a pause, while
//! connections that were there before go on. Afterwards nothing is left: no session, no port, no buffer.
//!
//! `MILLRACE_CHURN_SECONDS` says for how long; `MILLRACE_CHURN_SEED` what comes.

use crate::connection::Connection;
use harness::l4::{self, Packet, Segment, segment};
use harness::{LAN, Nat, WAN, remote, within};
use std::time::{Duration, Instant};

/// Sessions that there is room for.
const ROOM: u64 = 2000;
/// Frames in one go, from inside and from outside.
const BURST: usize = 400;

const NAT: &str = "pool: [203.0.113.2], max-sessions: 2000, max-sessions-per-host: 300, \
    timeouts: {udp: 2s, tcp-established: 10s, tcp-transitory: 2s, icmp: 2s}";

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Random numbers, the same for the same seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as u32 % sides
    }

    /// A packet of some host, of which there are far more than there is room for.
    fn outward(&mut self) -> Vec<Vec<u8>> {
        let inside = format!("10.9.{}.{}:{}", self.roll(4), 1 + self.roll(50), 400 + self.roll(2000));
        let to = format!("198.51.100.{}:{}", 1 + self.roll(20), 53 + self.roll(4));
        let one = match self.roll(8) {
            0 => l4::tcp(&inside, &to, &segment("S", self.roll(9999), 0)),
            1 => l4::tcp(&inside, &to, &segment("RA", self.roll(9999), 1)),
            2 => l4::tcp(&inside, &to, &segment("FA", self.roll(9999), 1)),
            3 => l4::echo(&inside, remote(self.roll(20) as u8), 1, b"churn"),
            4 => {
                // A fragment or two of three, so that many wait for what never comes.
                let parts = l4::fragments(&l4::udp(&inside, &to, &[0; 600]), 256, self.roll(65536) as u16);
                let (from, to) = (self.roll(2) as usize, 2 + self.roll(2) as usize);
                return parts[from..to].to_vec();
            }
            _ => l4::udp(&inside, &to, b"churn"),
        };
        vec![one]
    }

    /// Now and then one byte of a packet's headers, except the addresses, is another one, and its checksum right or not.
    fn damage(&mut self, packet: &mut [u8]) {
        if self.roll(10) > 0 {
            return;
        }
        let at = self.roll(40.min(packet.len() as u32)) as usize;
        if (12..20).contains(&at) {
            return;
        }
        packet[at] = self.roll(256) as u8;
        if self.roll(4) > 0 {
            packet[10..12].fill(0);
            let header = (usize::from(packet[0] & 15) * 4).clamp(20, packet.len());
            let sum = harness::frames::checksum(&packet[..header]).to_be_bytes();
            packet[10..12].copy_from_slice(&sum);
        }
    }

    /// What a remote may send because of a packet that came out.
    fn inward(&mut self, seen: &Packet) -> Option<Vec<u8>> {
        let (us, them) = (seen.source(), seen.destination());
        let port = l4::at(&them).port();
        let other = format!("198.51.100.{}:{port}", 1 + self.roll(20));
        match (self.roll(6), seen.ip.protocol.0, seen.icmp) {
            (0, _, None) => Some(l4::udp(&other, &us, b"a stranger")),
            (1, 17, _) => {
                let quoted = l4::udp(&us, &them, b"churn");
                Some(l4::error([198, 51, 100, 254], seen.ip.source, (3, 1), [0; 4], &quoted))
            }
            (2, 6, _) => Some(l4::tcp(&them, &us, &segment("RA", self.roll(9999), 1))),
            (_, 6, _) => {
                let ack = seen.tcp.as_ref().map_or(0, |tcp| tcp.sequence_number.wrapping_add(1));
                Some(l4::tcp(&them, &us, &Segment { flags: "SA", seq: 7, ack, options: &[], data: b"" }))
            }
            (_, 17, _) => Some(l4::udp(&them, &us, b"an answer")),
            (_, _, Some((8, ..))) => Some(l4::echo_reply(seen.ip.destination, &us, 1, b"churn")),
            _ => None,
        }
    }
}

/// Memory that the daemon holds, in bytes.
fn resident(nat: &mut Nat) -> u64 {
    let pid = nat.net.router.process().pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().split(' ').next().and_then(|number| number.parse::<u64>().ok()).expect("a number") * 1024
}

#[test]
fn churn_at_the_limit() {
    let time = Duration::from_secs(setting("MILLRACE_CHURN_SECONDS", 3));
    let mut dice = Dice(setting("MILLRACE_CHURN_SEED", 6888) | 1);
    let mut nat = Nat::start(NAT);
    churn(&nat, &mut dice, time / 2);
    let halfway = resident(&mut nat);
    churn(&nat, &mut dice, time / 2);
    let grown = resident(&mut nat).saturating_sub(halfway);
    assert!(grown < 8 << 20, "the daemon grew by {grown} bytes in the second half");
    // Some connections became open ones by chance.
    let none_left = || nat.sessions().is_empty().then_some(());
    within(Duration::from_secs(30), none_left).unwrap_or_else(|| panic!("left: {:?}", nat.session_lines()));
    let summary = nat.router().json("show nat44 summary");
    for key in ["sessions", "mappings", "hosts", "ports_used"] {
        assert_eq!(summary[key], 0, "{key} in {summary}");
    }
    // And it works as on the first day.
    nat.out(&l4::udp("192.168.1.12:5000", "198.51.100.1:53", b"?"));
}

fn churn(nat: &Nat, dice: &mut Dice, time: Duration) {
    let ends: Vec<String> = (0..8).map(|number| format!("192.168.1.10:{}", 40_000 + number)).collect();
    let mut connections: Vec<_> = ends.iter().map(|end| Connection::open(nat, end, "198.51.100.200:80")).collect();
    let (begin, mut next_look) = (Instant::now(), Duration::ZERO);
    while begin.elapsed() < time {
        for mut packet in (0..BURST).flat_map(|_| dice.outward()).collect::<Vec<_>>() {
            dice.damage(&mut packet);
            nat.net.lan.send(&LAN.frame(&packet));
        }
        let frames = nat.net.wan.drain();
        let seen = frames.iter().filter(|frame| l4::is_sound(frame)).filter_map(|frame| Packet::of(frame));
        let answers: Vec<_> = seen.filter_map(|packet| dice.inward(&packet)).take(BURST).collect();
        for mut answer in answers {
            dice.damage(&mut answer);
            nat.net.wan.send(&WAN.frame(&answer));
        }
        drop(nat.net.lan.drain());
        if begin.elapsed() >= next_look {
            next_look += Duration::from_secs(1);
            look(nat, dice, &mut connections);
        }
    }
    nat.rest();
    for connection in &mut connections {
        connection.send("RA", b"");
    }
}

/// A look at what must hold all the time.
fn look(nat: &Nat, dice: &mut Dice, connections: &mut [Connection]) {
    nat.rest();
    for connection in connections {
        connection.send("PA", b"on");
        connection.receive("PA", b"and on");
        assert_eq!(connection.state().as_deref(), Some("established"));
    }
    let summary = nat.router().json("show nat44 summary");
    let number = |key: &str| summary[key].as_u64().unwrap_or(u64::MAX);
    assert!(number("sessions") <= ROOM && number("ports_used") <= ROOM, "{summary}");
    match dice.roll(3) {
        0 => drop(nat.router().run(&format!("nat44 sessions clear inside 10.9.0.{}", 1 + dice.roll(50)))),
        1 => drop(nat.router().run("nat44 sessions clear protocol icmp")),
        _ => nat.apply(&format!("{NAT}, mss-clamp: {}", 1000 + dice.roll(400))),
    }
}
