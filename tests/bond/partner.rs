//! A bond whose partner is made by hand.

use harness::frames::{self, Mac};
use harness::{Lab, Router, Wire, eventually};
use std::cell::RefCell;
use std::time::Duration;

const SLOW: u16 = 0x8809;
const GROUP: Mac = [0x01, 0x80, 0xc2, 0, 0, 2];
const SWITCH: Mac = [2, 0, 0, 0, 0, 0xa];
const OTHER: Mac = [2, 0, 0, 0, 0, 0xb];

/// What a PDU says of a port: 15 bytes.
type Port = [u8; 15];

/// Of a switch's port with key 7.
fn port(system: Mac, number: u8, state: u8) -> Port {
    let [a, b, c, d, e, f] = system;
    [0x80, 0, a, b, c, d, e, f, 0, 7, 0, 0x80, 0, number, state]
}

fn lacpdu(actor: Port, partner: Port) -> Vec<u8> {
    let mut pdu = [&[1, 1, 1, 20][..], &actor, &[0; 3], &[2, 20], &partner, &[0; 3], &[3, 16]].concat();
    pdu.resize(110, 0);
    frames::ethernet([2, 0, 0, 0, 9, actor[13]], GROUP, SLOW, &pdu)
}

/// The actor and the partner of a frame, if it is a LACPDU.
fn read(frame: &[u8]) -> Option<(Port, Port)> {
    let (to, _, kind, pdu) = frames::link(frame);
    let is = kind == SLOW && to == GROUP && pdu.len() == 110 && pdu[..4] == [1, 1, 1, 20] && pdu[22..24] == [2, 20];
    let port = |at: usize| pdu.get(at..at + 15)?.try_into().ok();
    is.then_some((port(4)?, port(24)?))
}

struct Net {
    router: Router,
    wires: [Wire; 2],
    /// What the router said last on each cable.
    heard: RefCell<[Option<(Port, Port)>; 2]>,
    _lab: Lab,
}

fn start(more: &str) -> Net {
    let lab = Lab::new();
    let wires = [lab.wire("p0"), lab.wire("p1")];
    let router = lab.start(&format!(
        "
interfaces:
  p0: {{driver: af-packet, device: p0}}
  p1: {{driver: af-packet, device: p1}}
  bond0: {{driver: bond, mode: lacp, members: [p0, p1], mac: '02:fe:00:00:00:01', {more} addresses: [10.9.0.1/24]}}
neighbors: [{{interface: bond0, address: 10.9.0.2, mac: '02:00:00:00:00:0a'}}]
"
    ));
    Net { router, wires, heard: RefCell::default(), _lab: lab }
}

impl Net {
    /// What the router said last on a cable.
    fn hear(&self, wire: usize) -> (Port, Port) {
        let last = self.wires[wire].drain().iter().rev().find_map(|frame| read(frame));
        let known = last.or(self.heard.borrow()[wire]);
        let heard = known.unwrap_or_else(|| self.wires[wire].expect("a LACPDU", read));
        self.heard.borrow_mut()[wire] = Some(heard);
        heard
    }

    /// The switch says on a cable what it is, and that it knows the router.
    fn say(&self, wire: usize, system: Mac, state: u8) {
        let (router, _) = self.hear(wire);
        self.wires[wire].send(&lacpdu(port(system, wire as u8 + 1, state), router));
    }

    fn port(&self, wire: usize) -> serde_json::Value {
        self.router.json("show lacp bond0")["ports"][wire].clone()
    }

    #[track_caller]
    fn await_mux(&self, wire: usize, mux: &str) {
        eventually(&format!("port {wire} is {mux}"), || (self.port(wire)["mux"] == mux).then_some(()));
    }

    /// Comes to terms on a cable.
    fn join(&self, wire: usize, system: Mac) {
        self.say(wire, system, 0x05);
        self.await_mux(wire, "attached");
        self.say(wire, system, 0x3d);
        self.await_mux(wire, "distributing");
    }
}

#[test]
fn a_partner_is_joined_told_and_forgotten() {
    let net = start("lacp-rate: fast,");
    // Nobody is there yet: defaulted or expired, and told every second.
    let (actor, partner) = net.hear(0);
    assert_eq!(actor[2..8], [2, 0xfe, 0, 0, 0, 1], "the system is the bond's MAC address");
    assert_eq!((actor[14] & 0x3f, &partner[..14]), (0x07, &[0; 14][..]), "active, fast, aggregation");
    net.join(0, SWITCH);
    let known = net.port(0);
    assert_eq!(known["partner"]["system"]["mac"], "02:00:00:00:00:0a");
    assert_eq!((&known["partner"]["key"], &known["partner"]["port"]), (&7.into(), &1.into()));
    assert_eq!(net.router.interface("bond0").expect("bond0")["link"], "up");
    // It carries frames: an echo comes back by it.
    let answer = echo(&net, 0);
    assert!(answer, "by the cable that carries frames");
    // And nothing by the other one, which nobody joined.
    let before = net.router.errors("bond-input", "doesn't carry frames now");
    assert!(!echo(&net, 1));
    assert_eq!(net.router.errors("bond-input", "doesn't carry frames now"), before + 1);
    // The partner falls silent: three seconds, as it was asked to speak every second.
    net.await_mux(0, "attached");
    assert_eq!(net.router.json("show bonds bond0")["members"][0]["reason"], "its partner is silent");
    net.await_mux(0, "detached");
    assert_eq!(net.router.interface("bond0").expect("bond0")["link"], "down");
}

/// Whether an echo that comes by a cable is answered by it.
fn echo(net: &Net, wire: usize) -> bool {
    let packet = frames::echo_request([10, 9, 0, 2], [10, 9, 0, 1], 1, 1, b"anybody?");
    net.wires[wire].send(&frames::ethernet(SWITCH, [2, 0xfe, 0, 0, 0, 1], frames::IP4, &packet));
    let reply = |frame: &[u8]| frames::Icmp::of(frame).filter(|icmp| icmp.kind == 0).map(drop);
    net.wires[wire].find(Duration::from_millis(500), &mut Vec::new(), reply).is_some()
}

#[test]
fn another_switch_on_the_second_cable_is_left_out() {
    let net = start("lacp-rate: slow,");
    net.join(0, SWITCH);
    net.say(1, OTHER, 0x3d);
    let why = eventually("it is seen", || {
        net.port(1)["reason"].as_str().filter(|why| why.contains("another one")).map(str::to_owned)
    });
    assert_eq!(why, "its partner is 02:00:00:00:00:0b key 7, another one than the bond's");
    assert_eq!((&net.port(1)["mux"], &net.port(0)["mux"]), (&"detached".into(), &"distributing".into()));
    assert!(echo(&net, 0));
    // The cable is put right, and so is the bond.
    net.wires[1].send(&lacpdu(port(SWITCH, 2, 0x05), net.hear(1).0));
    net.await_mux(1, "attached");
    net.wires[1].send(&lacpdu(port(SWITCH, 2, 0x3d), net.hear(1).0));
    net.await_mux(1, "distributing");
}

#[test]
fn markers_are_answered_and_nonsense_is_counted() {
    let net = start("");
    // A marker of port 9 of the switch (clause 6.5.3.3).
    let mut marker = [&[2, 1, 1, 16, 0, 9][..], &SWITCH, &[1, 2, 3, 4, 0, 0, 0, 0]].concat();
    marker.resize(110, 0);
    net.wires[0].send(&frames::ethernet(SWITCH, GROUP, SLOW, &marker));
    let answer = net.wires[0].expect("an answer", |frame| {
        let (to, _, kind, pdu) = frames::link(frame);
        (kind == SLOW && to == GROUP && pdu[0] == 2).then(|| pdu.to_vec())
    });
    assert_eq!((answer[2], &answer[4..16]), (2, &marker[4..16]), "a response with the same port, system and number");
    // Nonsense: too short, a wrong length, OAM, to somebody else.
    let good = lacpdu(port(SWITCH, 1, 0x3d), [0; 15]);
    let mut wrong = good.clone();
    wrong[14 + 3] = 19;
    let mut oam = good.clone();
    oam[14] = 3;
    let mut unicast = good.clone();
    unicast[..6].copy_from_slice(&[2, 0xfe, 0, 0, 0, 1]);
    for frame in [&good[..100], &wrong, &oam, &unicast] {
        net.wires[0].send(frame);
    }
    eventually("all are refused", || (net.port(0)["refused"] == 4).then_some(()));
    assert_eq!((&net.port(0)["markers"], &net.port(0)["rx_lacpdus"]), (&1.into(), &0.into()));
    // A flood of good ones is held back before it reaches control.
    for _ in 0..2000 {
        net.wires[0].send(&good);
    }
    let over = || net.router.errors("link-control", "more than an interface's share");
    eventually("most are dropped", || (over() > 1000).then_some(()));
    net.join(1, SWITCH);
}
