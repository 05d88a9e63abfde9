//! Where the two differ, and why. Each is asserted, so that it is known when one of them changes.

use crate::event::{Event, Flow};
use crate::side::Side;
use crate::traffic::{OPENED, opening};
use harness::l4::{self, Segment};
use harness::{frames, remote};

/// What is broken where a translation doesn't have to look, in a packet of a known flow: Linux drops it, Millrace leaves it to
/// the receiver, whose checksum covers it (RFC 1624: what was wrong stays wrong).
pub const LEFT_TO_THE_RECEIVER: [&str; 5] = [
    "UDP length 0",
    "UDP length 7",
    "UDP length beyond the packet",
    "TCP header of 16 bytes",
    "TCP header beyond the packet",
];

/// What Linux tells its sender about: options that make no sense (parameter problem, RFC 792). Millrace drops what is so long
/// a header that nothing is left for the transport's.
pub const TOLD_BY_LINUX: [&str; 1] = ["header beyond the packet"];

fn both() -> (Side, Side) {
    (Side::millrace(), Side::linux())
}

fn flow(protocol: u8, inside: &str, remote: &str) -> Flow {
    Flow { protocol, inside: l4::at(inside), remote: l4::at(remote) }
}

/// RFC 4787 REQ-3, RFC 5382 REQ-7: Linux gives one external port to two hosts that talk to different remotes (overloading);
/// Millrace gives each its own.
#[test]
fn overloading() {
    let (mut millrace, mut linux) = both();
    let event = |host: u8, to: &str| {
        let inside = format!("192.168.1.{host}:5000");
        Event::out("a datagram", flow(17, &inside, to), vec![l4::udp(&inside, to, b"?")])
    };
    for side in [&mut millrace, &mut linux] {
        side.play(&event(10, "198.51.100.1:53"));
        side.play(&event(11, "198.51.100.2:53"));
    }
    let port = |side: &Side, host: u8, to: &str| side.given(&event(host, to).flow);
    let ports = |side: &Side| [port(side, 10, "198.51.100.1:53"), port(side, 11, "198.51.100.2:53")];
    assert_eq!(ports(&linux), [Some(5000), Some(5000)]);
    let ours = ports(&millrace);
    assert!(ours[0] == Some(5000) && ours[1].is_some() && ours[1] != ours[0], "{ours:?}");
}

/// RFC 7857 section 2.2, RFC 5961 section 3.2: a reset that doesn't fit ends no session on either side. Linux drops one about
/// what was acknowledged already; Millrace leaves it to the host to judge.
#[test]
fn resets_out_of_the_window() {
    let (mut millrace, mut linux) = both();
    let (protocol, inside, server) = OPENED[1];
    let flow = flow(protocol, inside, server);
    for (seq, passes_linux) in [(4000, 0), (0x1000_0000, 1), (0x7000_0000, 1)] {
        for side in [&mut millrace, &mut linux] {
            opening().iter().for_each(|event| drop(side.play(event)));
        }
        let reset = Event::back("a reset", flow, move |to| {
            vec![l4::tcp(server, to, &Segment { flags: "R", seq, ack: 0, options: &[], data: b"" })]
        });
        assert_eq!((millrace.play(&reset).len(), linux.play(&reset).len()), (1, passes_linux), "{seq}");
        let segment = |flags, seq, ack| Segment { flags, seq, ack, options: &[], data: b"alive" };
        let out = Event::out("data", flow, vec![l4::tcp(inside, server, &segment("PA", 1001, 9001))]);
        let back = Event::back("data", flow, move |to| vec![l4::tcp(server, to, &segment("PA", 9001, 1006))]);
        for event in [out, back] {
            let lines = millrace.play(&event);
            assert_eq!((lines.len(), &lines), (1, &linux.play(&event)), "{seq}");
        }
    }
}

/// RFC 5382 REQ-2b: both ends open at once, between ports whose last connection the remote has reset: Linux drops the SYN
/// from outside.
#[test]
fn a_simultaneous_open_after_a_reset() {
    let (mut millrace, mut linux) = both();
    let (protocol, inside, server) = OPENED[1];
    let flow = flow(protocol, inside, server);
    let segment = |flags, seq, ack| Segment { flags, seq, ack, options: &[], data: b"" };
    let out = |flags, seq, ack| Event::out(flags, flow, vec![l4::tcp(inside, server, &segment(flags, seq, ack))]);
    let back =
        |flags, seq, ack| Event::back(flags, flow, move |to| vec![l4::tcp(server, to, &segment(flags, seq, ack))]);
    let lines = [&mut millrace, &mut linux].map(|side| {
        opening().iter().for_each(|event| drop(side.play(event)));
        for event in [back("RA", 9001, 1001), out("S", 100_000, 0)] {
            assert_eq!(side.play(&event).len(), 1);
        }
        side.play(&back("S", 200_000, 0)).len()
    });
    assert_eq!(lines, [1, 0]);
}

/// RFC 5382 REQ-1: a connection that the router doesn't know, as it was restarted, goes on with any segment from inside;
/// Linux takes up those with ACK alone.
#[test]
fn segments_without_a_connection() {
    let (mut millrace, mut linux) = both();
    for (number, (flags, picked_up)) in
        [("A", true), ("PA", true), ("SA", false), ("FA", false), ("R", false)].into_iter().enumerate()
    {
        let inside = format!("192.168.1.10:{}", 7000 + number);
        let segment = Segment { flags, seq: 1, ack: 1, options: &[], data: b"" };
        let packet = l4::tcp(&inside, "198.51.100.1:80", &segment);
        let event = || Event::out(flags, flow(6, &inside, "198.51.100.1:80"), vec![packet.clone()]);
        let (ours, theirs) = (millrace.play(&event()), linux.play(&event()));
        assert_eq!(theirs.len(), usize::from(picked_up), "Linux with {flags}: {theirs:?}");
        assert_eq!(ours.len(), 1, "Millrace with {flags}: {ours:?}");
    }
}

/// Protocols without ports: Linux lets one host use an external address for each remote; Millrace asks for a one-to-one
/// mapping, as nobody could tell two hosts' packets apart.
#[test]
fn protocols_without_ports() {
    let (mut millrace, mut linux) = both();
    let mut header = frames::header([192, 168, 1, 10], remote(1));
    header.protocol = etherparse::IpNumber(99);
    let event =
        || Event::out("protocol 99", flow(99, "192.168.1.10:0", "198.51.100.1:0"), vec![frames::packet(&header, b"?")]);
    assert_eq!((millrace.play(&event()).len(), linux.play(&event()).len()), (0, 1));
    assert_eq!(millrace.sessions(), 0);
}

/// Linux puts datagrams together before it translates, and so forwards nothing of one that stays incomplete; Millrace
/// forwards each fragment as soon as it knows the ports.
#[test]
fn incomplete_datagrams() {
    let (mut millrace, mut linux) = both();
    let (_, inside, to) = OPENED[0];
    let first = l4::fragments(&l4::udp(inside, to, &[1; 500]), 256, 9).swap_remove(0);
    let event = || Event::out("a first fragment", flow(17, inside, to), vec![first.clone()]);
    assert_eq!((millrace.play(&event()).len(), linux.play(&event()).len()), (1, 0));
}
