//! What a bridge does with frames, one behaviour at a time.

use super::storm::{Kind, Storm};
use super::testing::*;
use super::{Happened, News, Port, flood, fwd, input, learn, output};
use millrace_engine::NodeName;
use millrace_tables::mac::Station;
use millrace_wire::MacAddr;

const SECOND: u64 = 1_000_000_000;

#[track_caller]
fn counted(bridge: &mut Bridge, expected: &[(NodeName, &str, u64)]) {
    assert_eq!(bridge.counts(), expected);
}

#[test]
fn a_station_is_learnt_and_found() {
    let mut bridge = Bridge::new();
    assert_eq!(bridge.sent(1, &frame(mac(1), mac(2), b"who are you?")), [2, 3, 4], "unknown: to all others");
    counted(&mut bridge, &[(learn::NAME, "stations learnt", 1), (flood::NAME, "copies made", 2)]);
    assert_eq!(bridge.sent(2, &frame(mac(2), mac(1), b"two")), [1], "known: to where it was heard");
    assert_eq!(bridge.sent(1, &frame(mac(1), mac(2), b"ah")), [2]);
    counted(&mut bridge, &[(learn::NAME, "stations learnt", 1)]);
    assert_eq!(bridge.bed.held(), 0);
}

#[test]
fn groups_are_flooded() {
    let mut bridge = Bridge::new();
    for to in [ALL, GROUP] {
        assert_eq!(bridge.sent(3, &frame(mac(3), to, &[7; 5000])), [1, 2, 4], "long frames, too");
    }
    bridge.port(3, Port { flood: false, ..Port::new(1) });
    assert!(bridge.sent(3, &frame(mac(3), ALL, b"")).is_empty());
    assert!(bridge.counts().contains(&(input::NAME, "port doesn't flood", 1)));
}

#[test]
fn a_station_that_moves_is_followed() {
    let mut bridge = Bridge::new();
    bridge.sent(1, &frame(mac(1), ALL, b""));
    bridge.sent(4, &frame(mac(1), ALL, b""));
    assert!(bridge.counts().contains(&(learn::NAME, "stations moved", 1)));
    assert_eq!(bridge.sent(2, &frame(mac(2), mac(1), b"")), [4]);
}

#[test]
fn what_is_behind_the_same_port_is_not_sent_back() {
    let mut bridge = Bridge::new();
    bridge.sent(1, &frame(mac(1), ALL, b""));
    bridge.counts();
    assert!(bridge.sent(1, &frame(mac(9), mac(1), b"")).is_empty());
    let same = (output::NAME, "destination is behind the port that it came from", 1);
    counted(&mut bridge, &[(learn::NAME, "stations learnt", 1), same]);
}

#[test]
fn what_no_bridge_passes_on() {
    let mut bridge = Bridge::new();
    for (what, bytes, cause) in [
        ("a runt", vec![0; 13], "shorter than its Ethernet header"),
        ("nothing", vec![], "shorter than its Ethernet header"),
        ("from a group", frame(GROUP, mac(1), b""), "source MAC is no station's"),
        ("from nobody", frame([0; 6], mac(1), b""), "source MAC is no station's"),
        ("a BPDU", frame(mac(1), [1, 0x80, 0xc2, 0, 0, 0], b""), "spanning tree frame, which the bridge drops"),
        (
            "one of PVST+",
            frame(mac(1), [1, 0, 0xc, 0xcc, 0xcc, 0xcd], b""),
            "spanning tree frame, which the bridge drops",
        ),
        ("a pause", frame(mac(1), [1, 0x80, 0xc2, 0, 0, 1], b""), "link-local control frame"),
        ("the last one", frame(mac(1), [1, 0x80, 0xc2, 0, 0, 0xf], b""), "link-local control frame"),
    ] {
        assert!(bridge.sent(1, &bytes).is_empty(), "{what}");
        assert_eq!(bridge.counts(), [(input::NAME, cause, 1)], "{what}");
    }
    assert_eq!(bridge.behind(1, mac(1)), None, "nothing is learnt from them");
    assert_eq!(bridge.sent(1, &frame(mac(1), [1, 0x80, 0xc2, 0, 0, 0x10], b"")), [2, 3, 4], "that one is a group");
    bridge.port(1, Port { pass_spanning_tree: true, ..Port::new(1) });
    for group in [[1, 0x80, 0xc2, 0, 0, 0], [1, 0, 0xc, 0xcc, 0xcc, 0xcd]] {
        assert_eq!(bridge.sent(1, &frame(mac(1), group, b"")), [2, 3, 4]);
    }
    assert!(
        bridge.sent(1, &frame(mac(1), [1, 0x80, 0xc2, 0, 0, 1], b"")).is_empty(),
        "that one is for this end of the wire"
    );
}

#[test]
fn neighbours_and_links_are_controls_business() {
    let mut bridge = Bridge::new();
    bridge.bed.now = 100 * SECOND;
    bridge.port(1, Port { pass_spanning_tree: true, flood: false, ..Port::new(1) });
    for (group, ether_type) in [
        ([1, 0x80, 0xc2, 0, 0, 2], [0x88, 9]),
        ([1, 0x80, 0xc2, 0, 0, 0xe], [0x88, 0xcc]),
        ([1, 0x80, 0xc2, 0, 0, 3], [0x88, 0xcc]),
        ([1, 0x80, 0xc2, 0, 0, 0], [0x88, 0xcc]),
    ] {
        let bytes = [&group[..], &mac(1), &ether_type, &[1; 60]].concat();
        assert!(bridge.sent(1, &bytes).is_empty());
        let heard = bridge.link_control.pop().expect("a frame for control");
        assert_eq!((heard.interface, heard.bytes()), (1, &bytes[..]));
    }
    assert_eq!(bridge.behind(1, mac(1)), None, "nothing is learnt from them");
}

#[test]
fn stations_behind_remotes() {
    let (tunnel, far) = (3, 2000);
    let mut bridge = Bridge::new();
    bridge.port(tunnel, Port { tunnel: true, ..Port::new(1) });
    // As if it had been taken out of the tunnel there.
    bridge.bridging.stations.hear(
        Station::new(1, mac(9)),
        bridge.bridging.stations.place(Station::new(1, mac(9))),
        far,
    );
    let bytes = frame(mac(1), mac(9), b"");
    assert!(bridge.sent(1, &bytes).is_empty());
    assert!(bridge.counts().contains(&(fwd::NAME, "remote end of a tunnel is no more", 1)));
    bridge.bridging.set_behind(far, Some(tunnel));
    assert_eq!((bridge.sent(1, &bytes), bridge.bridging.behind(far)), (vec![tunnel], Some(tunnel)));
    assert!(
        bridge.sent(tunnel, &frame(mac(8), mac(9), b"")).is_empty(),
        "from one end to another is not the bridge's to send"
    );
    bridge.bridging.set_behind(far, None);
    assert_eq!(bridge.bridging.behind(far), None);
    for number in [0, 1023, 4096, u16::MAX] {
        bridge.bridging.set_behind(number, Some(1));
        assert_eq!(bridge.bridging.behind(number), None, "{number} is no remote's");
    }
}

#[test]
fn control_hears_of_what_happens() {
    let mut bridge = Bridge::new();
    bridge.bed.now = 100 * SECOND;
    bridge.bridging.stations.limit_port(3, 1);
    bridge.bridging.stations.limit_bridge(1, 3);
    bridge.bridging.stations.fix(Station::new(1, mac(7)), 4).unwrap();
    bridge.port(2, Port { storm: Storm::new(Some(0), None, None), ..Port::new(1) });
    for (port, station) in [(1, 1), (4, 1), (3, 2), (3, 3), (1, 4), (1, 7), (2, 1)] {
        bridge.sent(port, &frame(mac(station), ALL, b""));
    }
    let told: Vec<News> = std::iter::from_fn(|| bridge.bridging.journal.pop()).collect();
    let station = |n| MacAddr(mac(n));
    let expected = [
        News::Moved { domain: 1, mac: station(1), from: 1, to: 4, interface: 4 },
        News::PortFull { interface: 3, mac: station(3) },
        News::BridgeFull { interface: 1, domain: 1, mac: station(4) },
        News::Spoofed { interface: 1, mac: station(7) },
        News::Storm { interface: 2, kind: Kind::Broadcast },
    ];
    assert_eq!(told, expected);
    let happened = bridge.bridging.journal.happened(1);
    assert_eq!(happened, Happened { bridge_full: 1, spoofed: 1, ..Happened::default() });
}

#[test]
fn what_a_port_may_not_do() {
    let mut bridge = Bridge::new();
    bridge.sent(2, &frame(mac(2), ALL, b""));
    bridge.counts();
    bridge.port(1, Port { learn: false, forward: false, flood_unknown: false, ..Port::new(1) });
    assert!(bridge.sent(1, &frame(mac(1), mac(2), b"")).is_empty());
    counted(&mut bridge, &[(fwd::NAME, "port doesn't forward", 1)]);
    assert!(bridge.sent(1, &frame(mac(1), mac(9), b"")).is_empty());
    counted(&mut bridge, &[(fwd::NAME, "destination is unknown, and the port floods no such", 1)]);
    assert_eq!(bridge.sent(1, &frame(mac(1), ALL, b"")), [2, 3, 4]);
    assert_eq!(bridge.behind(1, mac(1)), None);
}

#[test]
fn ports_that_are_kept_apart() {
    let mut bridge = Bridge::new();
    let isolated = || Port { isolated: true, ..Port::new(1) };
    let grouped = || Port { group: 7, ..Port::new(1) };
    bridge.port(1, isolated());
    bridge.port(2, isolated());
    assert_eq!(bridge.sent(1, &frame(mac(1), ALL, b"")), [3, 4]);
    counted(&mut bridge, &[(learn::NAME, "stations learnt", 1), (flood::NAME, "copies made", 1)]);
    assert_eq!(bridge.sent(3, &frame(mac(3), ALL, b"")), [1, 2, 4]);
    bridge.counts();
    assert!(bridge.sent(2, &frame(mac(2), mac(1), b"")).is_empty(), "not even to a known one");
    assert!(bridge.counts().contains(&(output::NAME, "ports are kept apart", 1)));
    bridge.port(1, grouped());
    bridge.port(2, grouped());
    assert_eq!(bridge.sent(1, &frame(mac(1), ALL, b"")), [3, 4]);
    bridge.port(2, Port { group: 8, ..Port::new(1) });
    assert_eq!(bridge.sent(1, &frame(mac(1), ALL, b"")), [2, 3, 4]);
}

#[test]
fn domains_know_nothing_of_each_other() {
    let mut bridge = Bridge::new();
    bridge.port(3, Port::new(2));
    bridge.port(4, Port::new(2));
    bridge.members(1, &[1, 2]);
    bridge.members(2, &[3, 4]);
    assert_eq!(bridge.sent(1, &frame(mac(1), ALL, b"")), [2]);
    assert_eq!(bridge.sent(3, &frame(mac(1), ALL, b"")), [4], "the same station in another domain");
    assert_eq!((bridge.behind(1, mac(1)), bridge.behind(2, mac(1))), (Some(1), Some(3)));
    bridge.port(3, Port::new(1));
    assert_eq!(bridge.sent(2, &frame(mac(2), mac(1), b"")), [1]);
}

#[test]
fn fixed_stations_are_nobody_elses() {
    let mut bridge = Bridge::new();
    bridge.bridging.stations.fix(Station::new(1, mac(1)), 2).unwrap();
    assert!(bridge.sent(1, &frame(mac(1), mac(3), b"")).is_empty());
    counted(&mut bridge, &[(learn::NAME, "source MAC is fixed to another port", 1)]);
    assert_eq!(bridge.sent(3, &frame(mac(3), mac(1), b"")), [2]);
}

#[test]
fn a_full_port_goes_on_without_learning() {
    let mut bridge = Bridge::new();
    bridge.bridging.stations.limit_port(1, 1);
    bridge.sent(1, &frame(mac(1), ALL, b""));
    bridge.counts();
    assert_eq!(bridge.sent(1, &frame(mac(2), ALL, b"")), [2, 3, 4]);
    assert!(bridge.counts().contains(&(learn::NAME, "not learnt: port has its most stations", 1)));
    assert_eq!((bridge.behind(1, mac(1)), bridge.behind(1, mac(2))), (Some(1), None));
}

#[test]
fn storms_are_stopped_by_kind() {
    let mut bridge = Bridge::new();
    bridge.bed.now = 100 * SECOND;
    bridge.port(1, Port { storm: Storm::new(Some(100), Some(50), Some(10)), ..Port::new(1) });
    for (to, cause, node, passed) in [
        (ALL, "storm control: broadcasts", input::NAME, 10),
        (GROUP, "storm control: multicasts", input::NAME, 5),
        (mac(9), "storm control: unknown destinations", fwd::NAME, 1),
    ] {
        let bytes = frame(mac(1), to, b"");
        let sent: usize = (0..100).map(|_| bridge.sent(1, &bytes).len()).sum();
        assert_eq!(sent, passed * 3, "{cause}");
        assert!(bridge.counts().contains(&(node, cause, 100 - passed as u64)), "{cause}");
    }
    let told: Vec<News> = std::iter::from_fn(|| bridge.bridging.journal.pop()).collect();
    assert_eq!(told, [Kind::Broadcast, Kind::Multicast, Kind::Unknown].map(|kind| News::Storm { interface: 1, kind }));
    assert_eq!(bridge.sent(2, &frame(mac(2), ALL, b"")), [1, 3, 4], "other ports have limits of their own");
    bridge.bed.now += SECOND;
    assert_eq!(bridge.sent(1, &frame(mac(1), ALL, b"")), [2, 3, 4]);
}

#[test]
fn a_loop_by_a_wrong_cable_comes_to_rest() {
    let mut bridge = Bridge::new();
    bridge.bed.now = 100 * SECOND;
    for port in [1, 2] {
        bridge.port(port, Port { storm: Storm::new(Some(100), None, None), ..Port::new(1) });
    }
    // What leaves by 1 comes in by 2, and the other way round.
    let mut turning = vec![(1, frame(mac(1), ALL, b"round and round"))];
    let mut turns = 0;
    while let Some((port, bytes)) = turning.pop() {
        turns += 1;
        assert!(turns < 1000, "it never ends");
        bridge.bed.put(0, port, &bytes);
        for sent in bridge.bed.run() {
            match sent.interface {
                1 => turning.push((2, sent.data)),
                2 => turning.push((1, sent.data)),
                _ => {}
            }
        }
    }
    assert!(bridge.counts().iter().any(|(_, cause, _)| *cause == "storm control: broadcasts"));
}

#[test]
fn traces_tell_what_was_decided() {
    let mut bridge = Bridge::new();
    bridge.sent(2, &frame(mac(2), ALL, b""));
    bridge.bed.trace(input::NAME, 1);
    bridge.sent(1, &frame(mac(1), mac(2), b""));
    let traces = bridge.bed.traces();
    let told: Vec<&str> = traces[0].hops.iter().map(|hop| hop.text.as_str()).filter(|text| !text.is_empty()).collect();
    assert_eq!(
        told[..3],
        ["02:00:00:00:00:01 -> 02:00:00:00:00:02 domain 1", "source learnt", "destination is behind interface 2"]
    );
}
