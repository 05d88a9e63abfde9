//! What a bond is good for besides addresses: a port of a bridge.

use harness::frames::{self, Mac};
use harness::{Lab, eventually};

const HERE: Mac = [2, 0, 0, 0, 1, 10];
const THERE: Mac = [2, 0, 0, 0, 2, 10];

#[test]
fn a_bond_is_a_port_of_a_bridge() {
    let lab = Lab::new();
    let [lan, p0, p1] = ["lan", "p0", "p1"].map(|device| lab.wire(device));
    let router = lab.start(
        "
bridges: {br0: {bvi: {addresses: [10.1.0.1/24]}}}
interfaces:
  lan: {driver: af-packet, device: lan, bridge: br0}
  p0: {driver: af-packet, device: p0}
  p1: {driver: af-packet, device: p1}
  bond0: {driver: bond, members: [p0, p1], bridge: br0}
",
    );
    eventually("p0 carries frames", || (router.json("show bonds bond0")["active"] == "p0").then_some(()));
    let frame = |from: Mac, to: Mac, text: &[u8]| frames::ethernet(from, to, 0x88b5, text);
    let is = |sent: Vec<u8>| move |frame: &[u8]| frame.starts_with(&sent).then_some(());
    // To an unknown station: flooded; its answer: learnt.
    lan.send(&frame(HERE, THERE, b"are you there?"));
    p0.expect("the question", is(frame(HERE, THERE, b"are you there?")));
    p0.send(&frame(THERE, HERE, b"here I am"));
    lan.expect("the answer", is(frame(THERE, HERE, b"here I am")));
    let known = |mac: &str| router.list("show mac-table br0").into_iter().find(|one| one["mac"] == mac);
    let behind = eventually("it is learnt", || known("02:00:00:00:02:0a"));
    assert_eq!(behind["interface"], "bond0", "behind the bond, not behind a member");
    // What comes by the one that stands by is nobody's.
    p1.send(&frame([2, 0, 0, 0, 2, 11], HERE, b"by the wrong way"));
    p0.send(&frame(THERE, HERE, b"by the right way"));
    let mut others = Vec::new();
    let right = is(frame(THERE, HERE, b"by the right way"));
    lan.find(harness::PATIENCE, &mut others, right).expect("the right one");
    assert!(others.iter().all(|one| !one.ends_with(b"by the wrong way")), "{others:02x?}");
    assert!(known("02:00:00:00:02:0b").is_none());
    // The other member takes over: stations stay behind the bond.
    p0.end.ip("link set end0 down");
    eventually("p1 carries frames", || (router.json("show bonds bond0")["active"] == "p1").then_some(()));
    lan.send(&frame(HERE, THERE, b"still there?"));
    p1.expect("by the other cable", is(frame(HERE, THERE, b"still there?")));
}
