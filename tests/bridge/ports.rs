//! What ports may do, with frames by hand.

use crate::net::{Wired, behind, only, port, station, text};
use harness::frames;

const STP: [u8; 6] = [1, 0x80, 0xc2, 0, 0, 0];
const PVST: [u8; 6] = [1, 0, 0x0c, 0xcc, 0xcc, 0xcd];

#[test]
fn frames_go_where_their_station_is() {
    let net = Wired::start("", ["", "", ""]);
    assert_eq!(net.pass(0, station(1), station(2)), only([1, 2]), "nobody knows 2");
    assert_eq!(net.pass(1, station(2), station(1)), only([0]));
    assert_eq!(net.pass(0, station(1), station(2)), only([1]));
    assert_eq!(net.pass(0, station(1), frames::BROADCAST), only([1, 2]));
    assert_eq!(net.pass(0, station(1), [1, 0, 0x5e, 1, 2, 3]), only([1, 2]), "a group");
    // It moves.
    assert_eq!(net.pass(2, station(2), station(1)), only([0]));
    assert_eq!(net.pass(0, station(1), station(2)), only([2]));
    assert_eq!(behind(&net.router, &text(station(2))), "pc");
    assert_eq!(net.router.json("show bridges br0")["moves"], 1);
    // Who is behind the port that a frame comes from got it already.
    net.pass(0, station(9), frames::BROADCAST);
    assert_eq!(net.pass(0, station(1), station(9)), only([]));
}

#[test]
fn isolated_ports_and_those_of_a_group_stay_apart() {
    let net =
        Wired::start("", ["isolated: true", "isolated: true", "split-horizon-group: 3", "split-horizon-group: 3"]);
    net.introduce();
    assert_eq!(net.pass(0, station(1), frames::BROADCAST), only([2, 3]));
    assert_eq!(net.pass(0, station(1), station(2)), only([]));
    assert_eq!(net.pass(0, station(1), station(3)), only([2]));
    assert_eq!(net.pass(2, station(3), station(4)), only([]));
    assert_eq!(net.pass(2, station(3), frames::BROADCAST), only([0, 1]));
    net.router.run("interface set pb isolated false");
    assert_eq!(net.pass(0, station(1), station(2)), only([1]), "at once");
    net.router.run("interface set pd split-horizon-group 4");
    assert_eq!(net.pass(2, station(3), station(4)), only([3]));
}

#[test]
fn what_is_flooded_is_the_bridges_and_the_ports_choice() {
    let net = Wired::start("", ["flood: false", "unknown-unicast: drop", ""]);
    net.introduce();
    let nobody = station(99);
    assert_eq!(net.pass(0, station(1), frames::BROADCAST), only([]));
    assert_eq!(net.pass(0, station(1), nobody), only([1, 2]));
    assert_eq!(net.pass(1, station(2), nobody), only([]));
    assert_eq!(net.pass(1, station(2), frames::BROADCAST), only([0, 2]));
    assert_eq!(net.pass(1, station(2), station(3)), only([2]), "known ones are another matter");
    net.router.run("bridge set br0 unknown-unicast drop");
    assert_eq!(net.pass(2, station(3), nobody), only([]));
    net.router.run("bridge set br0 flood false unknown-unicast flood");
    assert_eq!(net.pass(2, station(3), frames::BROADCAST), only([]));
    assert_eq!(net.pass(2, station(3), nobody), only([0, 1]));
    net.router.run("bridge set br0 forward false");
    assert_eq!(net.pass(2, station(3), station(1)), only([]));
}

#[test]
fn learning_can_be_off() {
    let net = Wired::start("", ["learn: false", "", ""]);
    net.introduce();
    assert_eq!(net.pass(1, station(2), station(1)), only([0, 2]), "nobody noted 1");
    assert_eq!(net.pass(0, station(1), station(2)), only([1]));
    net.router.run("bridge set br0 learn false");
    net.router.run("clear mac-table");
    net.introduce();
    assert_eq!(net.router.list("show mac-table"), [] as [serde_json::Value; 0]);
    assert_eq!(net.pass(0, station(1), station(2)), only([1, 2]));
}

#[test]
fn spanning_tree_is_dropped_or_passed() {
    let net = Wired::start("", ["", "", ""]);
    // A length instead of an EtherType, and LLC behind it.
    let bpdu = |to| frames::ethernet(station(1), to, 39, &[&[0x42, 0x42, 3][..], &[0; 43]].concat());
    let pause = frames::ethernet(station(1), [1, 0x80, 0xc2, 0, 0, 1], 0x8808, &[0; 46]);
    assert_eq!(net.send(0, &bpdu(STP)), only([]));
    assert_eq!(net.send(0, &bpdu(PVST)), only([]));
    net.router.run("bridge set br0 stp pass");
    assert_eq!(net.send(0, &bpdu(STP)), only([1, 2]));
    assert_eq!(net.send(0, &bpdu(PVST)), only([1, 2]));
    assert_eq!(net.send(0, &pause), only([]), "what is for this link only stays there");
}

#[test]
fn static_stations_stay_where_they_are() {
    let macs = "static-macs: [{mac: '02:00:00:00:aa:07', interface: pb}]";
    let net = Wired::start(macs, ["", "", ""]);
    assert_eq!(net.pass(0, station(1), station(7)), only([1]), "though nobody heard of it");
    assert_eq!(net.pass(2, station(7), frames::BROADCAST), only([]), "who is elsewhere under its name is not heard");
    assert_eq!(net.pass(0, station(1), station(7)), only([1]));
    assert_eq!(port(&net.router, "pc")["spoofed"], 1);
    crate::net::await_event(&net.router, harness::PATIENCE, "pc: frames from 02:00:00:00:aa:07");
    assert_eq!(net.pass(1, station(7), frames::BROADCAST), only([0, 2]));
    net.router.run("clear mac-table");
    assert_eq!(behind(&net.router, &text(station(7))), "pb");
    assert_eq!(behind(&net.router, &text(station(1))), "");
    let row = crate::net::entry(&net.router, &text(station(7))).expect("a row");
    assert_eq!((&row["static"], &row["age"]), (&true.into(), &serde_json::Value::Null));
    net.router.run("bridge set br0 static-macs []");
    assert_eq!(behind(&net.router, &text(station(7))), "");
    assert_eq!(net.pass(2, station(7), station(1)), only([0, 1]), "it is one like others now");
}

#[test]
fn a_port_has_no_more_stations_than_it_may() {
    let net = Wired::start("", ["mac-limit: 2", "", ""]);
    for number in [11, 12, 13] {
        assert_eq!(net.pass(0, station(number), frames::BROADCAST), only([1, 2]), "traffic goes on");
    }
    assert_eq!([11, 12, 13].map(|number| behind(&net.router, &text(station(number)))), ["pa", "pa", ""]);
    let shown = port(&net.router, "pa");
    assert_eq!((&shown["stations"], &shown["port_full"], &shown["mac_limit"]), (&2.into(), &1.into(), &2.into()));
    crate::net::await_event(&net.router, harness::PATIENCE, "pa: mac-limit reached");
    // A station that is there may go on, and others be elsewhere.
    net.pass(1, station(13), frames::BROADCAST);
    assert_eq!(behind(&net.router, &text(station(13))), "pb");
    net.router.run("interface set pa mac-limit 3");
    net.pass(0, station(14), frames::BROADCAST);
    assert_eq!(behind(&net.router, &text(station(14))), "pa");
}
