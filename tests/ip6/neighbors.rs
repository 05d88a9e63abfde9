//! Neighbours (RFC 4861 7.2, 7.3): who is asked, what waits, what is believed, and when it is doubted.

use harness::frames6::{self, Icmp6, Ip6, traffic};
use harness::nd::{self, NS, Nd, OVERRIDE, SOLICITED, SOURCE_MAC};
use harness::{DualHosts, LAN6, WAN6, Wires, eventually, frames};
use std::time::{Duration, Instant};

/// A station in the wan that is no static neighbour.
fn stranger() -> ([u8; 6], Ip6) {
    WAN6.station(0x20)
}

fn to_stranger(data: &[u8]) -> Vec<u8> {
    LAN6.frame(&frames6::udp_packet(LAN6.ip, stranger().1, 7, data))
}

/// The next question for the stranger.
#[track_caller]
fn asked(net: &Wires) -> Nd {
    net.wan.expect("a neighbour solicitation", |frame| {
        Nd::of_kind(NS, frame).filter(|asked| asked.target() == stranger().1)
    })
}

/// The stranger tells who asked that it is there, at this hardware address.
fn answer(net: &Wires, question: &Nd, mac: [u8; 6], flags: u8) {
    let to = (question.link.1, question.ip.0);
    net.wan.send(&Nd::advertisement((mac, stranger().1), to, flags).frame());
}

/// A router that has just learnt of the stranger by asking.
fn acquainted() -> Wires {
    let net = Wires::dual("");
    net.lan.send(&to_stranger(b"first"));
    answer(&net, &asked(&net), stranger().0, SOLICITED | OVERRIDE);
    net.wan.expect("the packet that waited", |frame| frame.ends_with(b"first").then_some(()));
    net
}

/// The hardware address that a packet to the stranger goes to, if it is not asked for first.
fn way(net: &Wires) -> Option<[u8; 6]> {
    let seen = traffic(&net.pass(&[to_stranger(b"way")]).wan);
    seen.first().map(|frame| frames::link(frame).0)
}

fn state(net: &Wires) -> String {
    net.router.neighbor_state("2001:db8:2::20").unwrap_or_else(|| "gone".to_owned())
}

/// RFC 4861 7.2.2: the question goes to the group of the address, from an address of the interface, with an option.
#[test]
fn packets_wait_for_the_answer() {
    let net = Wires::dual("");
    for data in [b"first", b"other", b"third"] {
        net.lan.send(&to_stranger(data));
    }
    let question = asked(&net);
    assert!([WAN6.router_ip, WAN6.router_link_local()].contains(&question.ip.0), "{question:?}");
    assert_eq!(question, Nd::solicitation((WAN6.router_mac, question.ip.0), stranger().1));
    answer(&net, &question, stranger().0, SOLICITED | OVERRIDE);
    for data in [b"first", b"other", b"third"] {
        let frame = net.wan.expect("a packet that waited", |frame| traffic(&[frame.to_vec()]).pop());
        assert!(frame.ends_with(data), "in the order that they came: {frame:02x?}");
        assert_eq!(frames::link(&frame).0, stranger().0);
    }
    assert_eq!(way(&net), Some(stranger().0), "from now on nobody is asked");
    assert_eq!(state(&net), "reachable");
}

#[test]
fn the_queue_is_bounded_and_questions_are_rare() {
    let net = Wires::dual("");
    let burst: Vec<_> = (0..200_u8).map(|number| to_stranger(&[number])).collect();
    let begin = Instant::now();
    let mut seen = net.pass(&burst).wan;
    if nd::all(NS, &seen).is_empty() {
        seen.push(asked(&net).frame());
    }
    let question = nd::all(NS, &seen).remove(0);
    answer(&net, &question, stranger().0, SOLICITED | OVERRIDE);
    let first = net.wan.expect("a packet that waited", |frame| {
        seen.push(frame.to_vec());
        traffic(&[frame.to_vec()]).pop()
    });
    let more = net.pass(&[]).wan;
    let held: Vec<u8> = [vec![first], traffic(&more)].concat().iter().map(|frame| frame[frame.len() - 1]).collect();
    assert!((1..100).contains(&held.len()), "{} packets were held for one neighbour", held.len());
    assert!(held.is_sorted(), "not in order: {held:?}");
    // RFC 4861 7.2.2: no more than one a second (RetransTimer).
    let (questions, seconds) = (nd::all(NS, &seen).len() + nd::all(NS, &more).len(), begin.elapsed().as_secs());
    assert!(questions as u64 <= 1 + seconds, "{questions} questions in {seconds} seconds");
}

/// RFC 4861 7.2.2: three questions, then address unreachable (RFC 4443 3.1 code 3).
#[test]
fn nobody_answers_and_the_sender_hears_of_it() {
    let net = Wires::dual("");
    let packet = frames6::udp_packet(LAN6.ip, stranger().1, 7, b"anyone there?");
    net.lan.send(&LAN6.frame(&packet));
    let error = net.lan.expect("address unreachable", Icmp6::error);
    assert_eq!((error.kind, error.code, error.word), (1, 3, [0; 4]));
    assert_eq!((error.ip.source, error.ip.destination), (LAN6.router_ip, LAN6.ip));
    assert_eq!(error.data[8..], packet[8..], "the quote");
    let questions = nd::all(NS, &net.pass(&[]).wan).len();
    assert_eq!(questions, 3, "questions before giving up");
}

/// RFC 4861 7.2.5: who was not asked for is not remembered. 7.2.3: who asks, is.
#[test]
fn who_is_believed() {
    let net = Wires::dual("");
    net.wan.send(&Nd::announcement(stranger(), OVERRIDE).frame());
    assert_eq!(way(&net), None, "an advertisement that nobody asked for");
    let question = asked(&net);
    answer(&net, &question, stranger().0, SOLICITED | OVERRIDE);
    net.wan.expect("the packet that waited", |frame| frame.ends_with(b"way").then_some(()));
    let other = WAN6.station(0x21);
    net.wan.send(&Nd::solicitation(other, WAN6.router_ip).frame());
    net.wan.expect("an answer", |frame| Nd::of_kind(nd::NA, frame));
    let goes = || {
        let seen = net.pass(&[LAN6.frame(&frames6::udp_packet(LAN6.ip, other.1, 7, b"hello"))]);
        traffic(&seen.wan).first().is_some_and(|frame| frames::link(frame).0 == other.0).then_some(())
    };
    eventually("no question is needed", goes);
}

/// RFC 4861 7.2.5: without the override flag another hardware address is not taken; with it, it is.
#[test]
fn a_neighbour_changes_its_hardware_address() {
    let net = acquainted();
    let (liar, card) = ([2, 0, 0, 0, 6, 6], [2, 0, 0, 0, 2, 0x99]);
    net.wan.send(&Nd::announcement((liar, stranger().1), 0).frame());
    eventually("it is doubted", || (state(&net) == "stale").then_some(()));
    assert_eq!(way(&net), Some(stranger().0), "not overridden");
    net.wan.send(&Nd::announcement((card, stranger().1), OVERRIDE).frame());
    eventually("packets follow it", || (way(&net) == Some(card)).then_some(()));
    // A question from a new hardware address tells of it, too.
    let again = [2, 0, 0, 0, 2, 0x9a];
    net.wan.send(&Nd::solicitation((again, stranger().1), WAN6.router_ip).frame());
    eventually("packets follow it again", || (way(&net) == Some(again)).then_some(()));
}

/// RFC 4861 7.1.2, item by item: none of these changes anything.
#[test]
fn malformed_advertisements() {
    let net = acquainted();
    let liar = [2, 0, 0, 0, 6, 6];
    let good = Nd::advertisement((liar, stranger().1), (WAN6.router_mac, WAN6.router_ip), SOLICITED | OVERRIDE);
    let with = |change: &dyn Fn(&mut Nd)| {
        let mut message = good.clone();
        change(&mut message);
        message.frame()
    };
    let mut wrong_sum = good.frame();
    wrong_sum[57] ^= 1;
    for (name, frame) in [
        ("hop limit 254", with(&|m| m.hop_limit = 254)),
        ("a wrong checksum", wrong_sum),
        ("a code", with(&|m| m.code = 1)),
        ("the target is a group", with(&|m| m.body = frames6::ip6("ff02::1").to_vec())),
        ("to a group, and solicited", with(&|m| (m.link.0, m.ip.1) = ([0x33, 0x33, 0, 0, 0, 1], frames6::ALL_NODES))),
        ("a group's hardware address", with(&|m| m.options[0].1 = vec![0x33, 0x33, 0, 0, 0, 1])),
    ] {
        net.wan.send(&frame);
        // An answer to a question behind it shows that it was read.
        net.wan.send(&Nd::solicitation((WAN6.mac, WAN6.ip), WAN6.router_ip).frame());
        net.wan.expect("an answer", |frame| Nd::of_kind(nd::NA, frame));
        assert_eq!(way(&net), Some(stranger().0), "{name}");
    }
    assert_eq!(state(&net), "reachable");
    net.wan.send(&with(&|_| {}));
    eventually("the good one", || (way(&net) == Some(liar)).then_some(()));
}

/// RFC 4861 7.3.2, 7.3.3: a stale neighbour is used, and asked itself five seconds later; if it answers, it is reachable.
/// One that is not used is not asked.
#[test]
fn a_stale_neighbour_is_asked_when_it_is_used() {
    let net = Wires::dual("");
    let unused = WAN6.station(0x21);
    for station in [stranger(), unused] {
        net.wan.send(&Nd::solicitation(station, WAN6.router_ip).frame());
        net.wan.expect("an answer", |frame| Nd::of_kind(nd::NA, frame));
    }
    eventually("it is known", || (state(&net) == "stale").then_some(()));
    assert_eq!(way(&net), Some(stranger().0));
    let begin = Instant::now();
    eventually("it is doubted", || (state(&net) == "delay").then_some(()));
    let mut others = Vec::new();
    let probe = net.wan.find(Duration::from_secs(8), &mut others, |frame| Nd::of_kind(NS, frame)).expect("a probe");
    let source = (WAN6.router_mac, probe.ip.0);
    assert_eq!(probe.target(), stranger().1, "not the one that is not used");
    assert!(probe.option(SOURCE_MAC).is_none_or(|mac| mac == WAN6.router_mac));
    assert_eq!(probe, Nd { options: probe.options.clone(), ..Nd::unicast_solicitation(source, stranger()) });
    assert!(begin.elapsed() > Duration::from_secs(4), "DELAY_FIRST_PROBE_TIME is 5 seconds: {:?}", begin.elapsed());
    answer(&net, &probe, stranger().0, SOLICITED);
    eventually("it is reachable", || (state(&net) == "reachable").then_some(()));
    assert!(nd::all(NS, &others).is_empty(), "{others:02x?}");
}

/// RFC 4861 7.3.3: three probes that nobody answers, a second apart, and the neighbour is forgotten; the next packet asks all.
#[test]
fn a_neighbour_that_is_gone_is_forgotten() {
    let net = Wires::dual("");
    net.wan.send(&Nd::solicitation(stranger(), WAN6.router_ip).frame());
    eventually("it is known", || (state(&net) == "stale").then_some(()));
    assert_eq!(way(&net), Some(stranger().0));
    for number in 0..3 {
        let probe = asked(&net);
        assert_eq!(probe.link.0, stranger().0, "probe {number} goes to it alone");
    }
    let forgotten = || matches!(state(&net).as_str(), "gone" | "failed").then_some(());
    eventually("it is forgotten", forgotten);
    assert_eq!(way(&net), None);
    assert_eq!(asked(&net).link.0, frames6::group_mac(frames6::solicited_node(stranger().1)));
}

#[test]
fn a_static_neighbour_stays() {
    let net = Wires::dual("");
    let liar = ([2, 0, 0, 0, 6, 6], WAN6.ip);
    net.wan.send(&Nd::announcement(liar, OVERRIDE).frame());
    net.wan.send(&Nd::solicitation(liar, WAN6.router_ip).frame());
    net.wan.expect("an answer", |frame| Nd::of_kind(nd::NA, frame));
    let seen = traffic(&net.pass(&[LAN6.frame(&frames6::udp_packet(LAN6.ip, WAN6.ip, 7, b"as told"))]).wan);
    assert_eq!(frames::link(&seen[0]).0, WAN6.mac);
    let rows = net.router.list("show neighbors");
    let row = rows.iter().find(|row| row["address"] == "2001:db8:2::10").expect("the static neighbour");
    assert_eq!((&row["mac"], &row["state"]), (&"02:00:00:00:02:0a".into(), &"static".into()));
}

/// A scan of a network's 2^64 addresses (RFC 6583): few questions, little that waits, and all else goes on.
#[test]
fn a_scan_does_no_harm() {
    let net = Wires::dual("");
    let probe = |number: u16| {
        let mut to = WAN6.ip;
        to[12..14].copy_from_slice(&number.to_be_bytes());
        LAN6.frame(&frames6::udp_packet(LAN6.ip, to, 7, b"anyone?"))
    };
    for batch in 0..8 {
        let frames: Vec<_> = (0..1000).map(|number| probe(1 + batch * 1000 + number)).collect();
        net.pass(&frames);
    }
    let passes = net.pass(&[LAN6.frame(&frames6::udp_packet(LAN6.ip, WAN6.ip, 7, b"as ever"))]);
    assert!(traffic(&passes.wan).iter().any(|frame| frame.ends_with(b"as ever")));
    // A neighbour that is there is still found.
    let found = || {
        net.lan.send(&to_stranger(b"found"));
        let mut others = Vec::new();
        let question = net.wan.find(Duration::from_millis(500), &mut others, |frame| {
            Nd::of_kind(NS, frame).filter(|asked| asked.target() == stranger().1)
        })?;
        answer(&net, &question, stranger().0, SOLICITED | OVERRIDE);
        net.wan.find(Duration::from_millis(500), &mut others, |frame| frame.ends_with(b"found").then_some(()))
    };
    eventually("a neighbour is found beside the scan", found);
    net.router.settle();
}

#[test]
fn neighbours_are_listed_added_removed_and_cleared() {
    let net = DualHosts::start("");
    net.lan.ping("2001:db8:2::10");
    let row = |address: &str| net.router.list("show neighbors").into_iter().find(|row| row["address"] == address);
    let learnt = row("2001:db8:1::10").expect("the host in the lan");
    assert_eq!((&learnt["interface"], &learnt["mac"]), (&"lan".into(), &net.lan.mac().into()));
    net.router.run(&format!("neighbor add 2001:db8:2::10 mac {} interface wan", net.wan.mac()));
    assert_eq!(row("2001:db8:2::10").expect("it is there")["state"], "static");
    net.router.run("clear neighbors");
    assert!(row("2001:db8:1::10").is_none(), "learnt ones go");
    assert!(row("2001:db8:2::10").is_some(), "static ones stay");
    net.router.run("neighbor remove 2001:db8:2::10 interface wan");
    net.lan.ping("2001:db8:2::10");
    // An independent program asks, and is answered.
    let shown = net.lan.run("ndisc6 -1 2001:db8:1::1 eth0").ok();
    assert!(shown.contains("Target link-layer address"), "{shown}");
}

#[test]
fn a_host_that_changes_its_card_is_found_again() {
    let net = DualHosts::start("");
    net.lan.ping("2001:db8:2::10");
    net.wan.ip("link set eth0 down");
    net.wan.ip("link set eth0 address 02:00:00:00:77:77");
    net.wan.configure6("2001:db8:2::10/64", "2001:db8:2::1");
    harness::within(Duration::from_secs(9), || net.wan.reaches("2001:db8:1::10").then_some(())).expect("reachable");
    net.lan.ping("2001:db8:2::10");
}
