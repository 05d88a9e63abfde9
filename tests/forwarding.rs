//! The main job: hosts talk through the router, and a forwarded packet is changed where RFC 1812 says and nowhere else.
#![allow(clippy::expect_used)] // the helpers of tests are tests, too

use etherparse::{IpNumber, Ipv4Header};
use harness::frames::{self, Mac};
use harness::{Hosts, HttpServer, Iperf, LAN, WAN, Wires};

#[test]
fn ping_tcp_and_http_pass() {
    let net = Hosts::start("");
    net.lan.ping(&net.wan.address);
    net.wan.ping(&net.lan.address);
    net.lan.ping("192.168.1.1");
    net.lan.ping("203.0.113.1");
    HttpServer::start(&net.wan, 64 << 20).fetch(&net.lan);
    for options in ["", "-R", "-P 4"] {
        let rate = Iperf::run(&net.lan, &net.wan, 2, options).bits_per_second;
        assert!(rate > 100e6, "iperf3 {options}: {:.1} Mbit/s", rate / 1e6);
    }
}

#[test]
fn large_pings_pass_in_fragments() {
    let net = Hosts::start("");
    net.lan.run("ping -n -c 2 -i 0.2 -W 2 -s 20000 203.0.113.10").ok();
    net.lan.run("ping -n -c 2 -i 0.2 -W 2 -s 8000 192.168.1.1").ok();
}

#[test]
fn traceroute_shows_the_router() {
    let net = Hosts::start("");
    for method in ["-I", "-U"] {
        let path = net.lan.run(&format!("traceroute -n -q 1 -w 2 {method} 203.0.113.10")).ok();
        let hops: Vec<&str> = path.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(hops, ["192.168.1.1", "203.0.113.10"], "{path}");
    }
}

/// What a forwarded packet may look like: name, header as sent, body as sent.
fn packets() -> Vec<(&'static str, Ipv4Header, Vec<u8>)> {
    let plain = frames::header(LAN.ip, WAN.ip);
    let with = |name, change: &dyn Fn(&mut Ipv4Header)| {
        let mut header = plain.clone();
        change(&mut header);
        let body = frames::udp(&header, 40_000, 7, name_bytes(name));
        (name, header, body)
    };
    let mut packets = vec![
        with("plain", &|_| {}),
        with("largest time to live", &|h| h.time_to_live = 255),
        with("smallest time to live", &|h| h.time_to_live = 2),
        with("DF and an identification", &|h| (h.dont_fragment, h.identification) = (true, 0xabcd)),
        with("DSCP and ECN", &|h| (h.dscp, h.ecn) = (46.try_into().expect("6 bits"), 1.try_into().expect("2 bits"))),
        with("a first fragment", &|h| h.more_fragments = true),
        with("a later fragment", &|h| h.fragment_offset = 185.try_into().expect("13 bits")),
        with("an unknown protocol", &|h| h.protocol = IpNumber(253)),
        // Experimental (RFC 4727), then no operation, and the end of the list.
        with("options", &|h| h.options = [0x9e, 6, 1, 2, 3, 4, 1, 0].into()),
        with("router alert", &|h| h.options = [148, 4, 0, 0].into()),
    ];
    // RFC 1624: the incremental update must get these sums right, too.
    for sum in [0x0000_u16, 0x0001, 0x00ff, 0x0100, 0xfeff, 0xff00, 0xfffe] {
        let mut header = plain.clone();
        header.set_payload_len(12).expect("fits");
        let id = (0..=u16::MAX).find(|id| {
            header.identification = *id;
            header.calc_header_checksum() == sum
        });
        if id.is_some() {
            packets.push(("a checksum at the edge", header, vec![1; 12]));
        }
    }
    packets.push(("no checksum in UDP", plain.clone(), vec![0x9c, 0x40, 0, 7, 0, 12, 0, 0, 1, 2, 3, 4]));
    packets.push(("empty", plain, vec![]));
    packets
}

fn name_bytes(name: &str) -> &[u8] {
    name.as_bytes()
}

#[test]
fn a_forwarded_packet_is_changed_only_where_it_must() {
    let net = Wires::start("");
    for (name, header, body) in packets() {
        let seen = net.pass(&[LAN.frame(&frames::packet(&header, &body))]);
        let mut wanted = header;
        wanted.time_to_live -= 1;
        let wanted = frames::ethernet(WAN.router_mac, WAN.mac, frames::IP4, &frames::packet(&wanted, &body));
        assert_eq!(seen.wan, [wanted], "{name}");
        assert!(seen.lan.is_empty(), "{name}: {:02x?}", seen.lan);
    }
}

#[test]
fn ethernet_padding_is_not_forwarded_as_payload() {
    let net = Wires::start("");
    let packet = frames::udp_packet(LAN.ip, WAN.ip, 7, b"short");
    let mut padded = LAN.frame(&packet);
    padded.resize(60, 0xee);
    let seen = net.pass(&[padded]);
    let (header, body) = frames::ip4(&seen.wan[0]).expect("an IPv4 packet");
    assert_eq!(usize::from(header.total_len), packet.len());
    assert_eq!(body, &packet[20..]);
    assert!(!seen.wan[0].contains(&0xee), "the padding leaked: {:02x?}", seen.wan[0]);
}

#[test]
fn some_packets_stay_here() {
    let net = Wires::start("");
    let to = |to| LAN.frame(&frames::udp_packet(LAN.ip, to, 7, b"stay"));
    let from = |from| LAN.frame(&frames::udp_packet(from, WAN.ip, 7, b"stay"));
    let addressed =
        |mac: Mac| frames::ethernet(LAN.mac, mac, frames::IP4, &frames::udp_packet(LAN.ip, WAN.ip, 7, b"stay"));
    for (frame, why) in [
        (addressed([2, 0, 0, 0, 9, 9]), "for another station"),
        (addressed(frames::BROADCAST), "a unicast packet in a link broadcast (RFC 1812 5.3.4)"),
        (addressed([1, 0, 0x5e, 0, 0, 1]), "a unicast packet in a link multicast (RFC 1812 5.3.4)"),
        (to([255, 255, 255, 255]), "limited broadcast (RFC 1812 4.2.2.11)"),
        (to([203, 0, 113, 255]), "directed broadcast (RFC 2644)"),
        (to([127, 0, 0, 1]), "to loopback (RFC 1812 5.3.7)"),
        (to([0, 0, 0, 1]), "to this network (RFC 1812 5.3.7)"),
        (to([240, 0, 0, 1]), "to class E (RFC 1812 5.3.7)"),
        (from([127, 0, 0, 1]), "from loopback (RFC 1812 5.3.7)"),
        (from([0, 0, 0, 1]), "from this network (RFC 1812 5.3.7)"),
        (from([255, 255, 255, 255]), "from limited broadcast (RFC 1812 5.3.7)"),
        (from([224, 0, 0, 1]), "from multicast (RFC 1812 5.3.7)"),
        (from([240, 0, 0, 1]), "from class E (RFC 1812 5.3.7)"),
    ] {
        let seen = net.pass(&[frame]);
        assert!(seen.wan.is_empty(), "{why}: {seen:02x?}");
    }
}
