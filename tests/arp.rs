//! ARP (RFC 826, RFC 1812 3.3.2, RFC 5227): who is answered, who is asked, what waits, and what is believed.

use harness::frames::{self, Arp, BROADCAST, Icmp, Ip, Mac};
use harness::{Hosts, LAN, WAN, Wire, Wires, eventually};
use std::time::{Duration, Instant};

const NOBODY: Mac = [0; 6];
/// A station in the wan that is no static neighbour.
const STRANGER: (Mac, Ip) = ([2, 0, 0, 0, 2, 20], [203, 0, 113, 20]);

fn request(sender: (Mac, Ip), target: Ip) -> Arp {
    Arp { operation: 1, sender, target: (NOBODY, target) }
}

fn reply(sender: (Mac, Ip), target: (Mac, Ip)) -> Arp {
    Arp { operation: 2, sender, target }
}

fn to_stranger(data: &[u8]) -> Vec<u8> {
    LAN.frame(&frames::udp_packet(LAN.ip, STRANGER.1, 7, data))
}

/// The stranger answers a question for it.
fn answer(wire: &Wire) {
    let asked = wire.expect("an ARP request", |frame| Arp::of(frame).filter(|arp| arp.target.1 == STRANGER.1));
    assert_eq!(asked, request((WAN.router_mac, WAN.router_ip), STRANGER.1));
    wire.send(&reply(STRANGER, (WAN.router_mac, WAN.router_ip)).frame(WAN.router_mac));
}

fn arps(frames: &[Vec<u8>]) -> Vec<Arp> {
    frames.iter().filter_map(|frame| Arp::of(frame)).collect()
}

#[test]
fn answers_for_its_own_addresses_only() {
    let net = Wires::start("");
    let me = (LAN.mac, LAN.ip);
    let wanted = vec![reply((LAN.router_mac, LAN.router_ip), me)];
    let probe = reply((LAN.router_mac, LAN.router_ip), (LAN.mac, [0; 4]));
    for (name, frame, answers) in [
        ("a broadcast question", request(me, LAN.router_ip).frame(BROADCAST), wanted.clone()),
        ("a question to it alone", request(me, LAN.router_ip).frame(LAN.router_mac), wanted.clone()),
        ("a probe (RFC 5227 2.1.1)", request((LAN.mac, [0; 4]), LAN.router_ip).frame(BROADCAST), vec![probe]),
        ("about another station", request(me, [192, 168, 1, 77]).frame(BROADCAST), vec![]),
        ("about the subnet's broadcast", request(me, [192, 168, 1, 255]).frame(BROADCAST), vec![]),
        ("about another network", request(me, [198, 51, 100, 1]).frame(BROADCAST), vec![]),
        ("a reply that nobody asked for", reply(me, (LAN.router_mac, LAN.router_ip)).frame(LAN.router_mac), vec![]),
        ("for another station's ears", request(me, LAN.router_ip).frame([2, 0, 0, 0, 9, 9]), vec![]),
    ] {
        let seen = net.pass(&[frame]);
        assert_eq!(arps(&seen.lan), answers, "{name}");
        let (to, from) =
            seen.lan.first().map_or((LAN.mac, LAN.router_mac), |frame| (frames::link(frame).0, frames::link(frame).1));
        assert_eq!((to, from), (LAN.mac, LAN.router_mac), "{name}: the frame's addresses");
    }
}

#[test]
fn malformed_arp_is_dropped_with_a_cause() {
    let net = Wires::start("");
    let good = request((LAN.mac, LAN.ip), LAN.router_ip).frame(BROADCAST);
    let with = |at: usize, bytes: &[u8]| {
        let mut frame = good.clone();
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        frame
    };
    for (name, frame) in [
        ("hardware is not Ethernet", with(14, &[0, 6])),
        ("protocol is not IPv4", with(16, &[0x86, 0xdd])),
        ("length of hardware address", with(18, &[8])),
        ("length of protocol address", with(19, &[16])),
        ("unknown operation", with(20, &[0, 9])),
        ("cut short", good[..30].to_vec()),
        ("sender is a group (RFC 1812 3.3.2)", with(22, &[1, 0, 0x5e, 0, 0, 1])),
        ("sender is broadcast (RFC 1812 3.3.2)", with(22, &BROADCAST)),
    ] {
        let before = net.router.errors("arp-input", "");
        let seen = net.pass(&[frame]);
        assert!(arps(&seen.lan).is_empty() && seen.wan.is_empty(), "{name}: {seen:02x?}");
        assert_eq!(net.router.errors("arp-input", ""), before + 1, "{name}\n{}", net.router.run("show errors"));
    }
}

#[test]
fn a_packet_waits_for_the_answer() {
    let net = Wires::start("");
    net.lan.send(&to_stranger(b"first"));
    answer(&net.wan);
    let frame = net.wan.expect("the packet that waited", |frame| frames::ip4(frame).map(|_| frame.to_vec()));
    assert_eq!(frames::link(&frame).0, STRANGER.0);
    assert!(frame.ends_with(b"first"));
    // From now on nobody is asked.
    let seen = net.pass(&[to_stranger(b"second")]);
    assert!(arps(&seen.wan).is_empty() && seen.wan.len() == 1, "{seen:02x?}");
}

#[test]
fn the_queue_is_bounded_and_questions_are_rare() {
    let net = Wires::start("");
    let burst: Vec<_> = (0..200_u8).map(|number| to_stranger(&[number])).collect();
    let begin = Instant::now();
    let mut seen = net.pass(&burst).wan;
    if arps(&seen).is_empty() {
        // Control asks, which may take longer than forwarding.
        let asked = net.wan.expect("an ARP request", |frame| Arp::of(frame).map(|_| frame.to_vec()));
        seen.push(asked);
    }
    net.wan.send(&reply(STRANGER, (WAN.router_mac, WAN.router_ip)).frame(WAN.router_mac));
    net.wan.expect("a packet that waited", |frame| match Arp::of(frame) {
        Some(_) => {
            seen.push(frame.to_vec());
            None
        }
        None => Some(()),
    });
    let more = net.pass(&[]).wan;
    let held = 1 + more.iter().filter(|frame| frames::ip4(frame).is_some()).count();
    assert!(held < 100, "{held} packets were held for one neighbour");
    // RFC 1122 2.3.2.1: no more than one a second.
    let (questions, seconds) = (arps(&seen).len() + arps(&more).len(), begin.elapsed().as_secs());
    assert!(questions as u64 <= 1 + seconds, "{questions} questions in {seconds} seconds");
}

#[test]
fn nobody_answers_and_the_sender_hears_of_it() {
    let net = Wires::start("");
    let packet = frames::udp_packet(LAN.ip, STRANGER.1, 7, b"anyone there?");
    net.lan.send(&LAN.frame(&packet));
    let error = net.lan.expect("host unreachable", Icmp::of);
    assert_eq!((error.kind, error.code), (3, 1));
    assert_eq!((error.ip.source, error.ip.destination), (LAN.router_ip, LAN.ip));
    assert_eq!(&error.data[12..20], &packet[12..20], "the quoted addresses");
    assert!(error.data.ends_with(b"anyone there?"));
    let questions = arps(&net.pass(&[]).wan).len();
    assert!((2..=5).contains(&questions), "{questions} questions before giving up");
}

#[test]
fn gratuitous_arp_updates_what_is_known() {
    let net = Wires::start("");
    net.lan.send(&to_stranger(b"first"));
    answer(&net.wan);
    net.wan.expect("the packet that waited", |frame| frames::ip4(frame).map(drop));
    let moved = ([2, 0, 0, 0, 2, 21], STRANGER.1);
    let again = ([2, 0, 0, 0, 2, 22], STRANGER.1);
    for (sender, gratuitous) in [
        (moved, request(moved, moved.1).frame(BROADCAST)),
        (again, reply(again, (BROADCAST, again.1)).frame(BROADCAST)),
    ] {
        net.wan.send(&gratuitous);
        let goes_there = || {
            let seen = net.pass(&[to_stranger(b"later")]);
            seen.wan.iter().any(|frame| frame.ends_with(b"later") && frames::link(frame).0 == sender.0).then_some(())
        };
        eventually("packets follow the station to its new hardware address", goes_there);
    }
}

#[test]
fn a_static_neighbour_stays() {
    let net = Wires::start("");
    let liar = ([2, 0, 0, 0, 6, 6], WAN.ip);
    net.wan.send(&request(liar, liar.1).frame(BROADCAST));
    net.wan.send(&reply(liar, (WAN.router_mac, WAN.router_ip)).frame(WAN.router_mac));
    // The liar's own question is still answered, to where it came from; when the answer is here, the lie has been read.
    net.wan.send(&request(([2, 0, 0, 0, 6, 6], [203, 0, 113, 66]), WAN.router_ip).frame(BROADCAST));
    net.wan.expect("an ARP reply", |frame| Arp::of(frame).filter(|arp| arp.operation == 2));
    let seen = net.pass(&[LAN.frame(&frames::udp_packet(LAN.ip, WAN.ip, 7, b"as told"))]);
    assert_eq!(frames::link(&seen.wan[0]).0, WAN.mac);
    let rows = net.router.list("show neighbors");
    let row = rows.iter().find(|row| row["address"] == "203.0.113.10").expect("the static neighbour");
    assert_eq!((&row["mac"], &row["state"]), (&"02:00:00:00:02:0a".into(), &"static".into()));
}

#[test]
fn whoever_asks_is_learnt() {
    let net = Wires::start("");
    net.wan.send(&request(STRANGER, WAN.router_ip).frame(BROADCAST));
    net.wan.expect("an ARP reply", |frame| Arp::of(frame).filter(|arp| arp.operation == 2));
    let known = || {
        let seen = net.pass(&[to_stranger(b"hello")]);
        (arps(&seen.wan).is_empty() && frames::link(seen.wan.first()?).0 == STRANGER.0).then_some(())
    };
    eventually("no question is needed", known);
}

#[test]
fn neighbours_are_listed_added_removed_and_cleared() {
    let net = Hosts::start("");
    net.lan.ping("203.0.113.10");
    let row = |address: &str| net.router.list("show neighbors").into_iter().find(|row| row["address"] == address);
    let learnt = row("192.168.1.10").expect("the host in the lan");
    assert_eq!((&learnt["interface"], &learnt["mac"]), (&"lan".into(), &net.lan.mac().into()));
    net.router.run(&format!("neighbor add 203.0.113.10 mac {} interface wan", net.wan.mac()));
    assert_eq!(row("203.0.113.10").expect("it is there")["state"], "static");
    net.router.run("clear neighbors");
    assert!(row("192.168.1.10").is_none(), "learnt ones go");
    assert!(row("203.0.113.10").is_some(), "static ones stay");
    net.router.run("neighbor remove 203.0.113.10 interface wan");
    net.lan.ping("203.0.113.10");
    // The hosts forget, too: a router that is asked again answers again.
    net.lan.ip("neigh flush all");
    let arping = net.lan.run("arping -c 2 -w 3 -I eth0 192.168.1.1").ok();
    assert!(arping.contains("Received 2 response"), "{arping}");
}

#[test]
fn a_host_that_changes_its_card_is_found_again() {
    let net = Hosts::start("");
    net.lan.ping("203.0.113.10");
    net.wan.ip("link set eth0 down");
    net.wan.ip("link set eth0 address 02:00:00:00:77:77");
    net.wan.ip("link set eth0 up");
    net.wan.ip("route replace default via 203.0.113.1");
    // It announces itself, as hosts do (RFC 5227 2.3).
    net.wan.run("arping -c 1 -w 2 -U -I eth0 203.0.113.10");
    harness::within(Duration::from_secs(5), || net.lan.reaches("203.0.113.10").then_some(())).expect("reachable");
}
