//! ICMP errors from inside, and those that the router makes itself: RFC 5508 REQ-5 and REQ-8, RFC 1812 4.3.

use harness::l4::{self, segment};
use harness::{Nat, frames, remote};

const INSIDE: &str = "192.168.1.10:5000";
const OUTSIDE: &str = "203.0.113.2:5000";
const REMOTE: &str = "198.51.100.1:53";

/// RFC 5508 REQ-5: a host's error about what it received goes out under its external address, and quotes what the remote
/// sent.
#[test]
fn a_hosts_error_goes_out_translated() {
    let nat = Nat::start("pool: [203.0.113.2]");
    nat.out(&l4::udp(INSIDE, REMOTE, b"?"));
    nat.out(&l4::tcp(INSIDE, REMOTE, &segment("S", 1, 0)));
    for packet in [l4::udp(REMOTE, OUTSIDE, b"an answer"), l4::tcp(REMOTE, OUTSIDE, &segment("SA", 1, 2))] {
        let got = nat.back_raw(&packet);
        let error = nat.out(&l4::error([192, 168, 1, 10], remote(1), (3, 3), [0; 4], &got));
        assert_eq!((error.icmp_kind(), error.ip.source, error.ip.destination), ((3, 3), [203, 0, 113, 2], remote(1)));
        let (quoted, mut sent) = (error.quoted(), l4::Packet::read(&packet));
        (sent.ip.time_to_live, sent.ip.header_checksum) = (63, quoted.ip.header_checksum);
        assert_eq!(quoted, sent);
    }
}

/// RFC 5508 REQ-5: a router behind the NAT makes errors, too; it has no mapping of its own, and still its error must tell
/// the remote nothing of the inside.
#[test]
fn an_inner_routers_error_goes_out_translated() {
    let nat = Nat::start("pool: [203.0.113.2]");
    nat.out(&l4::udp(INSIDE, REMOTE, b"?"));
    let packet = l4::udp(REMOTE, OUTSIDE, b"an answer");
    let got = nat.back_raw(&packet);
    let error = nat.out(&l4::error([192, 168, 1, 13], remote(1), (11, 0), [0; 4], &got));
    assert_eq!((error.icmp_kind(), error.ip.source), ((11, 0), [203, 0, 113, 2]));
    assert_eq!(error.quoted().flow(), format!("udp {REMOTE} > {OUTSIDE}"));
}

/// A host's error about what it never received by the NAT tells of inside addresses, and stays inside.
#[test]
fn an_error_about_nothing_stays_inside() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let never = l4::udp(REMOTE, "192.168.1.10:4999", b"what?");
    let before = nat.refusals("");
    nat.dropped(&l4::error([192, 168, 1, 10], remote(1), (3, 3), [0; 4], &never));
    assert_eq!(nat.refusals(""), before + 1);
}

/// RFC 1812 5.3.1: time to live that ends in the router is told to the host, quoting what the host sent; nothing is
/// translated, no session made.
#[test]
fn time_to_live_ends_in_the_router() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let mut packet = l4::udp(INSIDE, REMOTE, b"probe");
    packet[8] = 1;
    (packet[10], packet[11]) = (0, 0);
    let sum = frames::checksum(&packet[..20]).to_be_bytes();
    packet[10..12].copy_from_slice(&sum);
    let error = nat.turn(&packet);
    assert_eq!((error.icmp_kind(), error.ip.source), ((11, 0), [192, 168, 1, 1]));
    assert_eq!(error.quoted().flow(), format!("udp {INSIDE} > {REMOTE}"));
    assert!(nat.sessions().is_empty(), "a packet that goes nowhere makes no session");
    // From outside: the remote hears of the packet that it sent.
    nat.out(&l4::udp(INSIDE, REMOTE, b"hello"));
    let mut packet = l4::udp(REMOTE, OUTSIDE, b"probe");
    packet[8] = 1;
    (packet[10], packet[11]) = (0, 0);
    let sum = frames::checksum(&packet[..20]).to_be_bytes();
    packet[10..12].copy_from_slice(&sum);
    let error = nat.turn_back(&packet);
    assert_eq!((error.icmp_kind(), error.ip.source), ((11, 0), [203, 0, 113, 1]));
    assert_eq!(error.quoted().flow(), format!("udp {REMOTE} > {OUTSIDE}"), "nothing of the inside is told");
}

/// RFC 4787 REQ-13 from outside: too large for the lan; the remote hears of it in its own terms.
#[test]
fn a_narrow_link_inside() {
    let nat = Nat::with(&Nat::config("pool: [203.0.113.2]").replace("device: lan,", "device: lan, mtu: 600,"));
    nat.out(&l4::udp(INSIDE, REMOTE, b"hello"));
    let mut packet = l4::udp(REMOTE, OUTSIDE, &[9; 1000]);
    packet[6] |= 0x40;
    (packet[10], packet[11]) = (0, 0);
    let sum = frames::checksum(&packet[..20]).to_be_bytes();
    packet[10..12].copy_from_slice(&sum);
    let error = nat.turn_back(&packet);
    assert_eq!((error.icmp, error.ip.source), (Some((3, 4, [0, 0, 2, 88])), [203, 0, 113, 1]));
    assert_eq!(error.quoted().flow(), format!("udp {REMOTE} > {OUTSIDE}"));
}

/// RFC 5508 REQ-8: a host that gets no port hears of it: communication administratively prohibited (3/13).
#[test]
fn no_resources() {
    let nat = Nat::start("pool: [203.0.113.2], max-sessions-per-host: 2");
    nat.out(&l4::udp("192.168.1.10:5000", REMOTE, b"1"));
    nat.out(&l4::udp("192.168.1.10:5001", REMOTE, b"2"));
    let packet = l4::udp("192.168.1.10:5002", REMOTE, b"3");
    let error = nat.turn(&packet);
    assert_eq!((error.icmp_kind(), error.ip.source), ((3, 13), [192, 168, 1, 1]));
    assert_eq!(error.quoted().flow(), format!("udp 192.168.1.10:5002 > {REMOTE}"));
    // Others are not concerned, nor are the sessions there are.
    nat.out(&l4::udp("192.168.1.11:5000", REMOTE, b"other host"));
    nat.out(&l4::udp("192.168.1.10:5000", REMOTE, b"1 again"));
}

/// RFC 1812 4.3.3.1: nobody has the next hop's address. The host hears of it, in its own terms, though its packet waited for
/// an answer; and so does a remote whose packet was for a server that is not there.
#[test]
fn nobody_is_there() {
    let forward = "{protocol: udp, external: '203.0.113.2:53', internal: '192.168.1.99:53'}";
    let nat = Nat::start(&format!("pool: [203.0.113.2], static-mappings: [{forward}]"));
    let out = l4::udp(INSIDE, "203.0.113.99:53", b"anyone?");
    let back = l4::udp("198.51.100.1:4000", "203.0.113.2:53", b"anyone?");
    let mut seen = nat.pass(std::slice::from_ref(&out));
    seen.wan.extend(nat.pass_back(std::slice::from_ref(&back)).wan);
    harness::eventually("both hear that nobody is there", || {
        let more = nat.rest();
        seen.lan.extend(more.lan);
        seen.wan.extend(more.wan);
        (harness::errors(&seen.lan).len() == 1 && harness::errors(&seen.wan).len() == 1).then_some(())
    });
    for (frames, quoted) in [(&seen.lan, &out), (&seen.wan, &back)] {
        let mut errors = frames.iter().filter_map(|frame| l4::Packet::of(frame)).filter(|packet| packet.icmp.is_some());
        let error = errors.next_back().expect("the error");
        assert_eq!(error.icmp_kind(), (3, 1));
        assert_eq!(error.quoted().flow(), l4::Packet::read(quoted).flow());
    }
}
