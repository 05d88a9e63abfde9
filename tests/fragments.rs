//! Fragmentation (RFC 791 3.2, RFC 1812 4.2.2.7): exact pieces, options where they belong, and hosts that put them
//! together again.
#![allow(clippy::expect_used)] // the helpers of tests are tests, too

use etherparse::Ipv4Header;
use harness::frames::{self, Icmp};
use harness::{Hosts, HttpServer, LAN, WAN, Wires};
use std::net::UdpSocket;
use std::time::Duration;

/// Offset in bytes, bytes of data, whether more follow.
type Piece = (usize, usize, bool);

fn pieces(frames: &[Vec<u8>], mtu: usize) -> (Vec<Piece>, Vec<u8>, Vec<Ipv4Header>) {
    let (mut pieces, mut data, mut headers) = (Vec::new(), Vec::new(), Vec::new());
    for frame in frames {
        assert!(frame.len() - 14 <= mtu, "{} bytes with an MTU of {mtu}", frame.len() - 14);
        let (header, body) = frames::ip4(frame).expect("an IPv4 packet");
        pieces.push((usize::from(header.fragment_offset.value()) * 8, body.len(), header.more_fragments));
        data.extend_from_slice(body);
        headers.push(header);
    }
    (pieces, data, headers)
}

#[test]
fn exact_pieces() {
    let net = Wires::with(&Wires::CONFIG.replace("device: wan,", "device: wan, mtu: 600,"));
    let cases: [(&str, Piece, &[Piece]); 6] = [
        ("fits exactly", (0, 580, false), &[(0, 580, false)]),
        ("one byte too many", (0, 581, false), &[(0, 576, true), (576, 5, false)]),
        ("two and a rest", (0, 1400, false), &[(0, 576, true), (576, 576, true), (1152, 248, false)]),
        ("two in full", (0, 1152, false), &[(0, 576, true), (576, 576, false)]),
        ("a fragment with more to follow", (80, 1160, true), &[(80, 576, true), (656, 576, true), (1232, 8, true)]),
        ("a last fragment", (64000, 600, false), &[(64000, 576, true), (64576, 24, false)]),
    ];
    for (name, (offset, bytes, more), wanted) in cases {
        let mut header = frames::header(LAN.ip, WAN.ip);
        header.identification = 0x4711;
        (header.fragment_offset, header.more_fragments) = (((offset / 8) as u16).try_into().expect("13 bits"), more);
        let body: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
        let seen = net.pass(&[LAN.frame(&frames::packet(&header, &body))]);
        let (pieces, data, headers) = pieces(&seen.wan, 600);
        assert_eq!(pieces, wanted, "{name}");
        assert_eq!(data, body, "{name}: the data in order");
        for piece in headers {
            assert_eq!((piece.identification, piece.time_to_live, piece.dont_fragment), (0x4711, 63, false), "{name}");
            assert_eq!((piece.source, piece.destination, piece.protocol), (LAN.ip, WAN.ip, header.protocol), "{name}");
        }
    }
}

#[test]
fn options_with_the_copied_flag_go_into_every_piece() {
    let net = Wires::with(&Wires::CONFIG.replace("device: wan,", "device: wan, mtu: 600,"));
    let mut header = frames::header(LAN.ip, WAN.ip);
    // 0x9e is copied on fragmentation, 0x5e is not (RFC 791 3.1, RFC 4727).
    header.options = [0x5e, 4, 1, 2, 0x9e, 4, 3, 4].into();
    let body: Vec<u8> = (0..1400).map(|at| at as u8).collect();
    let seen = net.pass(&[LAN.frame(&frames::packet(&header, &body))]);
    let (pieces, data, headers) = pieces(&seen.wan, 600);
    assert_eq!(data, body);
    assert!(pieces.iter().all(|(offset, bytes, more)| offset % 8 == 0 && (bytes % 8 == 0 || !more)), "{pieces:?}");
    assert!(pieces[..pieces.len() - 1].iter().all(|piece| piece.2) && !pieces[pieces.len() - 1].2, "{pieces:?}");
    let has = |header: &Ipv4Header, kind: u8| header.options.windows(2).any(|option| option == [kind, 4]);
    assert!(has(&headers[0], 0x5e) && has(&headers[0], 0x9e), "{:?}", headers[0]);
    for later in &headers[1..] {
        assert!(!has(later, 0x5e) && has(later, 0x9e), "{later:?}");
    }
}

#[test]
fn hosts_put_the_pieces_together() {
    let net = Hosts::start("");
    net.router.run("interface set wan mtu 600");
    net.lan.run("ping -n -M dont -c 3 -i 0.2 -W 2 -s 8000 203.0.113.10").ok();
    // Without this, Linux sets DF in every datagram that fits its own link, to find the path's MTU.
    net.lan.sysctl("net.ipv4.ip_no_pmtu_disc=1");
    let receiver = net.wan.enter(|| UdpSocket::bind("0.0.0.0:7000")).expect("port 7000");
    let sender = net.lan.enter(|| UdpSocket::bind("0.0.0.0:0")).expect("a port");
    receiver.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    for bytes in [1, 571, 572, 573, 1472, 1473, 9000, 60_000] {
        let data: Vec<u8> = (0..bytes).map(|at: usize| (at % 251) as u8).collect();
        sender.send_to(&data, "203.0.113.10:7000").expect("send");
        let mut got = vec![0; 65_536];
        let length = receiver.recv(&mut got).unwrap_or_else(|e| panic!("{bytes} bytes: {e}"));
        assert!(got[..length] == data, "{bytes} bytes");
    }
}

/// RFC 1812 4.2.2.8: what is for the router itself is put together; RFC 1122 3.3.2: a sender hears when the rest is missing.
#[test]
fn the_router_puts_its_own_together() {
    let net = Wires::start("");
    let whole = frames::echo_request(LAN.ip, LAN.router_ip, 1, 1, &[0x5a; 1200]);
    let piece = |start: usize, end: usize| {
        let (mut header, _) = frames::ip4_packet(&whole).expect("an IPv4 packet");
        header.fragment_offset = ((start / 8) as u16).try_into().expect("13 bits");
        header.more_fragments = end < 1208;
        LAN.frame(&frames::packet(&header, &whole[20 + start..20 + end]))
    };
    let seen = net.pass(&[piece(800, 1208), piece(0, 400), piece(400, 800)]);
    let reply = Icmp::of(&seen.lan[0]).expect("an echo reply");
    assert_eq!((seen.lan.len(), reply.kind, reply.data), (1, 0, vec![0x5a; 1200]));
    net.lan.send(&piece(0, 400));
    net.lan.send(&piece(800, 1208));
    let error = net.lan.expect("reassembly time exceeded", Icmp::of);
    assert_eq!((error.kind, error.code, error.ip.source), (11, 1, LAN.router_ip));
    assert_eq!(net.router.errors("ip4-local-full-reassembly", "did not come"), 2);
}

/// RFC 1191: the sender learns from our error, and nothing is lost for good.
#[test]
fn tcp_finds_the_mtu_of_the_path() {
    let net = Hosts::start("");
    net.router.run("interface set wan mtu 600");
    HttpServer::start(&net.lan, 1 << 20).fetch(&net.wan);
    assert!(net.lan.run("ip route get 203.0.113.10").ok().contains("mtu 600"));
    assert_eq!(net.router.errors("ip4-fragment", "packets fragmented"), 0);
}

#[test]
fn jumbo_packets_pass_whole() {
    let (lab, lan, wan) = Hosts::lab();
    for (namespace, device) in [(&*lab.router, "lan"), (&*lab.router, "wan"), (&*lan, "eth0"), (&*wan, "eth0")] {
        namespace.ip(&format!("link set {device} mtu 9000"));
    }
    let config = Hosts::INTERFACES.replace("driver: af-packet,", "driver: af-packet, mtu: 9000,");
    let _router = lab.start(&config);
    for bytes in [2000, 4068, 8972] {
        lan.run(&format!("ping -n -M do -c 2 -i 0.2 -W 2 -s {bytes} 203.0.113.10")).ok();
    }
}
