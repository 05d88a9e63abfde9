//! A router with three ways out, in both families: flows go in at one side, and it is seen where each comes out.

use harness::frames::{self, Ip};
use harness::frames6::{self, Ip6};
use harness::{LAN, LAN6, Lab, PATIENCE, Router, Wire, eventually, within};
use std::time::Instant;

/// Where flows go to.
const TO: Ip = [198, 51, 100, 7];
const TO6: Ip6 = [0x20, 1, 0x0d, 0xb8, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
/// Packets that are under way at once: fewer than any queue holds.
const AT_ONCE: usize = 128;

/// The fields are dropped in this order.
pub struct Uplinks {
    /// Its interfaces are `lan`, `u1`, `u2` and `u3`, with neighbours 10.0.N.2 and 2001:db8:1N::2.
    pub router: Router,
    pub lan: Wire,
    pub ways: [Wire; 3],
    _lab: Lab,
}

/// A packet of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packet {
    pub ipv6: bool,
    /// Its source port and more.
    pub flow: u16,
    /// Which of its flow.
    pub number: u16,
}

impl Packet {
    fn frame(self) -> Vec<u8> {
        let [a, b] = self.flow.to_be_bytes();
        let [c, d] = self.number.to_be_bytes();
        let data = [b"one of a flow: ".as_slice(), &[a, b, c, d]].concat();
        let port = 10_000 + self.flow;
        if self.ipv6 {
            let header = frames6::header(LAN6.ip, TO6);
            LAN6.frame(&frames6::packet(&header, &frames6::udp(&header, port, 7, &data)))
        } else {
            let header = frames::header(LAN.ip, TO);
            LAN.frame(&frames::packet(&header, &frames::udp(&header, port, 7, &data)))
        }
    }

    /// The packet that a frame is, if it is one.
    fn of(frame: &[u8]) -> Option<Packet> {
        let ipv6 = frames::ether_type(frame) == frames6::IP6;
        let data = frame.get(if ipv6 { 62 } else { 42 }..)?.strip_prefix(b"one of a flow: ")?;
        let number = |at: usize| Some(u16::from_be_bytes(data.get(at..at + 2)?.try_into().ok()?));
        Some(Packet { ipv6, flow: number(0)?, number: number(2)? })
    }
}

/// One packet of each of so many flows, in both families.
pub fn flows(n: u16) -> impl Iterator<Item = Packet> {
    [false, true].into_iter().flat_map(move |ipv6| (0..n).map(move |flow| Packet { ipv6, flow, number: 0 }))
}

impl Uplinks {
    /// Starts it, with more of a configuration, and waits until flows come through in both families.
    pub fn start(more: &str) -> Uplinks {
        let lab = Lab::new();
        let lan = lab.wire("lan");
        let ways = ["u1", "u2", "u3"].map(|device| lab.wire(device));
        let interface = |n: usize| {
            format!(
                "  u{n}: {{driver: af-packet, device: u{n}, mac: '02:fe:00:00:01:0{n}', \
                 addresses: [10.0.{n}.1/24, '2001:db8:1{n}::1/64']}}\n"
            )
        };
        let neighbors = |n: usize| {
            let mac = format!("'02:00:00:00:01:0{n}'");
            format!(
                "  - {{interface: u{n}, address: 10.0.{n}.2, mac: {mac}}}\n  \
                 - {{interface: u{n}, address: '2001:db8:1{n}::2', mac: {mac}}}\n"
            )
        };
        let all = |what: &dyn Fn(usize) -> String| (1..=3).map(what).collect::<String>();
        let config = format!(
            "interfaces:\n  lan: {{driver: af-packet, device: lan, mac: '02:fe:00:00:00:01', \
             addresses: [192.168.1.1/24, '2001:db8:1::1/64']}}\n{}neighbors:\n{}{more}",
            all(&interface),
            all(&neighbors)
        );
        let router = lab.start(&config);
        let net = Uplinks { router, lan, ways, _lab: lab };
        for probe in flows(1) {
            let through = within(PATIENCE, || {
                net.lan.send(&probe.frame());
                net.arrived(1, Instant::now() + PATIENCE / 50).first().copied()
            });
            assert!(through.is_some(), "{probe:?} does not come through:\n{}", net.router.run("show errors"));
        }
        // Late answers to the probes.
        net.arrived(usize::MAX, Instant::now() + PATIENCE / 50);
        net
    }

    /// Packets that come out somewhere, with the number of the way (1 to 3), until there are so many, or that late.
    fn arrived(&self, most: usize, until: Instant) -> Vec<(Packet, usize)> {
        let mut all = Vec::new();
        while all.len() < most && Instant::now() < until {
            let before = all.len();
            for (way, wire) in (1..).zip(&self.ways) {
                all.extend(wire.drain().iter().filter_map(|frame| Some((Packet::of(frame)?, way))));
            }
            if all.len() == before {
                std::thread::yield_now();
            }
        }
        all
    }

    /// Sends packets, a few at once, and says by which way each came out, in order of arrival. Lost ones are missing.
    pub fn send(&self, packets: &[Packet]) -> Vec<(Packet, usize)> {
        let mut all = Vec::new();
        for some in packets.chunks(AT_ONCE) {
            some.iter().for_each(|packet| self.lan.send(&packet.frame()));
            all.extend(self.arrived(some.len(), Instant::now() + PATIENCE / 5));
        }
        all
    }

    /// Unplugs the cable of a way at its far end, or plugs it in; when this returns, the router knows.
    pub fn plug(&self, way: usize, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        self.ways[way - 1].end.ip(&format!("link set end0 {state}"));
        self.await_state(way, state);
    }

    /// Waits until an interface is up or down.
    pub fn await_state(&self, way: usize, state: &str) {
        eventually("the router sees the cable", || {
            let link = self.router.interface(&format!("u{way}"))?["link"].as_str()?.to_owned();
            (link == state).then_some(())
        });
    }
}
