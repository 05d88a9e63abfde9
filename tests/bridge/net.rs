//! Routers with a bridge: with raw wires at its ports, or with hosts.

use harness::frames::Mac;
use harness::{Host, Lab, PATIENCE, Router, Wire, frames, within};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// An EtherType for experiments (IEEE 802 clause 9.2.3).
pub const EXPERIMENT: u16 = 0x88b5;
/// The names of the ports, and of the wires and hosts there.
pub const NAMES: [&str; 4] = ["pa", "pb", "pc", "pd"];

/// The address of a station by hand.
pub const fn station(number: u8) -> Mac {
    [2, 0, 0, 0, 0xaa, number]
}

/// The same as the router writes it.
pub fn text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// A bridge with raw wires.
pub struct Wired {
    pub router: Router,
    pub wires: Vec<Wire>,
    _lab: Lab,
}

impl Wired {
    /// A bridge with these settings, and a port with each of these keys besides.
    #[track_caller]
    pub fn start<const N: usize>(bridge: &str, ports: [&str; N]) -> Wired {
        let lab = Lab::new();
        let wires: Vec<Wire> = NAMES[..N].iter().map(|name| lab.wire(name)).collect();
        let port = |(name, keys): (&&str, &str)| {
            format!("  {name}: {{driver: af-packet, device: {name}, bridge: br0, {keys}}}\n")
        };
        let ports: String = NAMES.iter().zip(ports).map(port).collect();
        let router = lab.start(&format!("interfaces:\n{ports}bridges:\n  br0: {{{bridge}}}\n"));
        let wired = Wired { router, wires, _lab: lab };
        wired.drain();
        wired
    }

    /// Takes away what lies ready at the wires.
    pub fn drain(&self) {
        self.router.settle();
        self.wires.iter().for_each(|wire| drop(wire.drain()));
    }

    /// Sends a frame by a wire, and waits until the router is done with it. Who got it, as it was sent.
    #[track_caller]
    pub fn send(&self, from: usize, frame: &[u8]) -> BTreeSet<usize> {
        let got = self.send_all(from, std::slice::from_ref(&frame.to_vec()));
        got.into_iter().filter(|(_, got)| got.iter().any(|got| got == frame)).map(|(wire, _)| wire).collect()
    }

    /// Sends frames by a wire, and waits until the router is done with them. What came at the other wires.
    #[track_caller]
    pub fn send_all(&self, from: usize, all: &[Vec<u8>]) -> Vec<(usize, Vec<Vec<u8>>)> {
        let count = || self.router.counter(NAMES[from], "rx_packets");
        let before = count();
        all.iter().for_each(|frame| self.wires[from].send(frame));
        let came = within(PATIENCE, || (count() >= before + all.len() as u64).then_some(()));
        assert!(came.is_some(), "the router did not receive it");
        self.router.settle();
        self.wires.iter().enumerate().map(|(number, wire)| (number, wire.drain())).collect()
    }

    /// The same for a frame from one station to another; each frame is told from all others.
    #[track_caller]
    pub fn pass(&self, from: usize, source: Mac, destination: Mac) -> BTreeSet<usize> {
        self.send(from, &frame(source, destination))
    }

    /// Lets the bridge know a station at each wire: the first has 1, and so on.
    #[track_caller]
    pub fn introduce(&self) {
        for number in 0..self.wires.len() {
            self.pass(number, station(number as u8 + 1), frames::BROADCAST);
        }
    }
}

/// A frame of the shortest length, like no other.
pub fn frame(source: Mac, destination: Mac) -> Vec<u8> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut data = [0; 46];
    data[..4].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    frames::ethernet(source, destination, EXPERIMENT, &data)
}

/// These and no others.
pub fn only<const N: usize>(wires: [usize; N]) -> BTreeSet<usize> {
    wires.into_iter().collect()
}

/// A bridge with hosts, 192.168.2.11 and so on, at its ports.
pub struct Hosted {
    pub router: Router,
    pub hosts: Vec<Host>,
    pub lab: Lab,
}

impl Hosted {
    /// A bridge with this many hosts, with more of a configuration below `interfaces:` and at its end. The hosts' gateway is .1.
    #[track_caller]
    pub fn start(count: usize, bridge: &str, interfaces: &str, more: &str) -> Hosted {
        let lab = Lab::new();
        Hosted::within(lab, count, bridge, interfaces, more)
    }

    /// The same in a place that has something already.
    #[track_caller]
    pub fn within(lab: Lab, count: usize, bridge: &str, interfaces: &str, more: &str) -> Hosted {
        let host = |number: usize| {
            let host = lab.host(NAMES[number], &format!("192.168.2.{}/24", 11 + number), "192.168.2.1");
            host.ip(&format!("addr add 2001:db8:2::{}/64 dev eth0 nodad", 11 + number));
            host
        };
        let hosts: Vec<Host> = (0..count).map(host).collect();
        let port = |name: &&str| format!("  {name}: {{driver: af-packet, device: {name}, bridge: br0}}\n");
        let ports: String = NAMES[..count].iter().map(port).collect();
        let router = lab.start(&format!("interfaces:\n{ports}{interfaces}bridges:\n  br0: {{{bridge}}}\n{more}"));
        Hosted { router, hosts, lab }
    }
}

/// A row of the MAC table.
pub fn entry(router: &Router, mac: &str) -> Option<Value> {
    router.list(&format!("show mac-table mac {mac}")).into_iter().next()
}

/// The interface that a station is behind; empty when it is not known.
pub fn behind(router: &Router, mac: &str) -> String {
    entry(router, mac).and_then(|row| row["interface"].as_str().map(str::to_owned)).unwrap_or_default()
}

/// What `show bridges br0` says of a port.
#[track_caller]
pub fn port(router: &Router, name: &str) -> Value {
    let bridge = router.json("show bridges br0");
    let found = bridge["ports"].as_array().and_then(|ports| ports.iter().find(|port| port["interface"] == name));
    found.cloned().unwrap_or_else(|| panic!("br0 has no port {name}: {bridge}"))
}

/// Whether an event says this.
pub fn happened(router: &Router, words: &str) -> bool {
    let says = |row: &Value| row["text"].as_str().is_some_and(|text| text.contains(words));
    router.list("show events").iter().any(says)
}

/// Waits until an event says this.
#[track_caller]
pub fn await_event(router: &Router, time: Duration, words: &str) {
    let told = within(time, || happened(router, words).then_some(()));
    assert!(told.is_some(), "no event says {words:?}:\n{}", router.run("show events"));
}
