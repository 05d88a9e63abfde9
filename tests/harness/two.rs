//! The two usual surroundings: a router between two Linux hosts, and a router between two raw wires.

use crate::frames::{self, Arp, Ip, Mac};
use crate::{Host, Lab, Router, Wire};
use serde_json::Value;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// A router with a Linux host on either side. The fields are dropped in this order.
pub struct Hosts {
    /// The router; its interfaces are `lan` and `wan`.
    pub router: Router,
    /// 192.168.1.10 behind the router's 192.168.1.1.
    pub lan: Host,
    /// 203.0.113.10 behind the router's 203.0.113.1.
    pub wan: Host,
    /// The place.
    pub lab: Lab,
}

impl Hosts {
    /// The interfaces as every configuration for this surrounding has them.
    pub const INTERFACES: &str = "
interfaces:
  lan: {driver: af-packet, device: lan, addresses: [192.168.1.1/24]}
  wan: {driver: af-packet, device: wan, addresses: [203.0.113.1/24]}
";

    /// Starts it, with more of a configuration after the interfaces.
    #[track_caller]
    pub fn start(more: &str) -> Hosts {
        let (lab, lan, wan) = Hosts::lab();
        let router = lab.start(&format!("{}{more}", Hosts::INTERFACES));
        Hosts { router, lan, wan, lab }
    }

    /// The place and the hosts, without a router.
    pub fn lab() -> (Lab, Host, Host) {
        let lab = Lab::new();
        let lan = lab.host("lan", "192.168.1.10/24", "192.168.1.1");
        let wan = lab.host("wan", "203.0.113.10/24", "203.0.113.1");
        (lab, lan, wan)
    }
}

/// One side of the router between raw wires: who stands there, and the router's address there.
#[derive(Clone, Copy)]
pub struct End<A = Ip> {
    /// The station's address.
    pub ip: A,
    /// Its hardware address.
    pub mac: Mac,
    /// The router's address on this side.
    pub router_ip: A,
    /// The router's hardware address on this side.
    pub router_mac: Mac,
}

/// The side called `lan`.
pub const LAN: End = End {
    ip: [192, 168, 1, 10],
    mac: [2, 0, 0, 0, 1, 10],
    router_ip: [192, 168, 1, 1],
    router_mac: [2, 0xfe, 0, 0, 0, 1],
};

/// The side called `wan`.
pub const WAN: End = End {
    ip: [203, 0, 113, 10],
    mac: [2, 0, 0, 0, 2, 10],
    router_ip: [203, 0, 113, 1],
    router_mac: [2, 0xfe, 0, 0, 0, 2],
};

impl End {
    /// An IPv4 packet as a frame from the station to the router.
    pub fn frame(&self, packet: &[u8]) -> Vec<u8> {
        frames::ethernet(self.mac, self.router_mac, frames::IP4, packet)
    }
}

/// A router between two raw wires, with both stations as static neighbours. The fields are dropped in this order.
pub struct Wires {
    /// The router; its interfaces are `lan` and `wan`.
    pub router: Router,
    /// The side of [`LAN`].
    pub lan: Wire,
    /// The side of [`WAN`].
    pub wan: Wire,
    /// The place.
    pub lab: Lab,
}

/// The IPv4 addresses of an interface and of its sub-interfaces in a configuration, with their VLANs.
fn addresses(config: &str, interface: &str) -> Vec<(Option<u16>, Ip)> {
    let config: Value = serde_saphyr::from_str(config).expect("a YAML configuration");
    let settings = &config["interfaces"][interface];
    let of = |vlan: Option<u16>, settings: &Value| -> Vec<(Option<u16>, Ip)> {
        let nets = settings["addresses"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let address = |net: &str| net.split('/').next().unwrap_or_default().to_owned();
        nets.map(address).filter(|net| !net.contains(':')).map(|net| (vlan, frames::ip(&net))).collect()
    };
    let subs = settings["sub-interfaces"].as_object().into_iter().flatten();
    // The outer one, of two.
    let outer = |tags: &str| tags.split('.').next().and_then(|vlan| vlan.parse().ok());
    let subs = subs.flat_map(|(tags, settings)| of(outer(tags), settings));
    of(None, settings).into_iter().chain(subs).collect()
}

/// Waits until each address was announced.
#[track_caller]
fn await_announcements(wire: &Wire, mut awaited: Vec<(Option<u16>, Ip)>) {
    let all = |frame: &[u8]| {
        let (mut vlan, mut frame) = (None, frame.to_vec());
        while frame.len() >= 18 && matches!(frames::ether_type(&frame), 0x8100 | 0x88a8) {
            vlan = vlan.or(Some(u16::from_be_bytes([frame[14], frame[15]])));
            frame.drain(12..16);
        }
        if let Some(arp) = Arp::of(&frame).filter(|arp| arp.sender.1 == arp.target.1) {
            awaited.retain(|address| *address != (vlan, arp.sender.1));
        }
        awaited.is_empty().then_some(())
    };
    wire.expect("announcement of every address", all);
}

/// The configuration with as many workers as the environment asks for.
pub(crate) fn with_workers(config: &str) -> String {
    let workers = std::env::var("MILLRACE_TEST_WORKERS").ok().filter(|_| !config.contains("workers:"));
    workers.map(|count| format!("workers: {{count: {count}}}\n")).unwrap_or_default() + config
}

/// What came out of the router on both sides.
#[derive(Default, Debug)]
pub struct Seen {
    /// Frames that arrived at the station in the lan.
    pub lan: Vec<Vec<u8>>,
    /// Frames that arrived at the station in the wan.
    pub wan: Vec<Vec<u8>>,
}

impl Wires {
    /// The configuration that every test with this surrounding begins with.
    pub const CONFIG: &str = "
interfaces:
  lan: {driver: af-packet, device: lan, mac: '02:fe:00:00:00:01', addresses: [192.168.1.1/24]}
  wan: {driver: af-packet, device: wan, mac: '02:fe:00:00:00:02', addresses: [203.0.113.1/24]}
neighbors:
  - {interface: lan, address: 192.168.1.10, mac: '02:00:00:00:01:0a'}
  - {interface: wan, address: 203.0.113.10, mac: '02:00:00:00:02:0a'}
";

    /// Starts it, with more of a configuration.
    #[track_caller]
    pub fn start(more: &str) -> Wires {
        Wires::with(&format!("{}{more}", Wires::CONFIG))
    }

    /// Starts it with a configuration of one's own, which has both stations as neighbours. What it announces at the start
    /// (RFC 5227 2.3) has been read when this returns, so that a test sees only what its own frames cause.
    #[track_caller]
    pub fn with(config: &str) -> Wires {
        let lab = Lab::new();
        let (lan, wan) = (lab.wire("lan"), lab.wire("wan"));
        let router = lab.start(config);
        if router.is_daemon() {
            await_announcements(&lan, addresses(config, "lan"));
            await_announcements(&wan, addresses(config, "wan"));
        }
        Wires { router, lan, wan, lab }
    }

    /// Replaces the whole configuration while it runs.
    #[track_caller]
    pub fn apply(&self, config: &str) {
        let file = self.router.files().write("next.yaml", with_workers(config));
        self.router.run(&format!("config apply {}", file.display()));
    }

    /// Sends frames into the lan and returns all that came of them, on both sides.
    ///
    /// Instead of waiting for a silence, it sends something after them that the router must answer or forward, twice,
    /// as the second can't share a vector with what went before: when that is back, so is everything else.
    #[track_caller]
    pub fn pass(&self, frames: &[Vec<u8>]) -> Seen {
        frames.iter().for_each(|frame| self.lan.send(frame));
        let mut seen = Seen::default();
        for _ in 0..2 {
            self.fence(&mut seen);
        }
        seen
    }

    #[track_caller]
    fn fence(&self, seen: &mut Seen) {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        const PORT: u16 = 9;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let data = [b"a fence ".as_slice(), &number.to_be_bytes()].concat();
        // Looked for without a look at checksums: among what a test sends on purpose, wrong ones come by.
        const ICMP: u8 = 1;
        let ours = |frame: &[u8]| frames::ether_type(frame) == frames::IP4 && frame.ends_with(&data);
        let answer = |frame: &[u8]| (ours(frame) && frame[23] == ICMP && frame[34] == 0).then_some(());
        let through = |frame: &[u8]| ours(frame).then_some(());
        let asked = LAN.frame(&frames::echo_request(LAN.ip, LAN.router_ip, 0xfe, number, &data));
        let sent = LAN.frame(&frames::udp_packet(LAN.ip, WAN.ip, PORT, &data));
        let second = Duration::from_secs(1);
        let back = (0..5).find_map(|_| {
            self.lan.send(&asked);
            self.lan.find(second, &mut seen.lan, answer)
        });
        assert!(back.is_some(), "the router no longer answers: {:02x?}", seen.lan);
        let across = (0..5).find_map(|_| {
            self.lan.send(&sent);
            self.wan.find(second, &mut seen.wan, through)
        });
        assert!(across.is_some(), "the router no longer forwards: {:02x?}", seen.wan);
    }
}
