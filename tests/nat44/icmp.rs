//! ICMP errors from outside, and queries: RFC 5508, RFC 4787 REQ-12, RFC 5382 REQ-9 and REQ-10.

use crate::connection::Connection;
use etherparse::IpNumber;
use harness::l4::{self, Segment, segment};
use harness::{Nat, frames, remote};

const INSIDE: &str = "192.168.1.10:5000";
const REMOTE: &str = "198.51.100.1:53";
/// A router on the way, which is no end of any session.
const HOP: [u8; 4] = [198, 51, 100, 254];

/// Every error there is, with its second word.
const ERRORS: [((u8, u8), [u8; 4]); 12] = [
    ((3, 0), [0; 4]),
    ((3, 1), [0; 4]),
    ((3, 2), [0; 4]),
    ((3, 3), [0; 4]),
    ((3, 4), [0, 0, 5, 0x78]),
    ((3, 5), [0; 4]),
    ((3, 10), [0; 4]),
    ((3, 13), [0; 4]),
    ((4, 0), [0; 4]),
    ((11, 0), [0; 4]),
    ((11, 1), [0; 4]),
    ((12, 0), [20, 0, 0, 0]),
];

/// RFC 5508 REQ-4, RFC 5382 REQ-9, RFC 4787 REQ-12: an error reaches the host that sent what it quotes; the quote is what
/// the host sent, inner checksums included; type, code and the second word stay.
#[test]
fn every_error_finds_its_host() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let packets = [
        l4::udp(INSIDE, REMOTE, b"some data"),
        l4::tcp(INSIDE, REMOTE, &Segment { flags: "S", seq: 1, options: &l4::mss(1460), ..segment("S", 1, 0) }),
        l4::echo(INSIDE, remote(1), 1, b"ping"),
    ];
    for packet in packets {
        let out = nat.out_raw(&packet);
        for (kind, rest) in ERRORS {
            for from in [HOP, remote(1)] {
                let error = nat.back(&l4::error(from, [203, 0, 113, 2], kind, rest, &out));
                assert_eq!(error.icmp, Some((kind.0, kind.1, rest)));
                assert_eq!((error.ip.source, error.ip.destination), (from, [192, 168, 1, 10]));
                assert_eq!(error.ip.time_to_live, 63);
                let (quoted, mut sent) = (error.quoted(), l4::Packet::read(&packet));
                // It was forwarded when the error was made about it.
                (sent.ip.time_to_live, sent.ip.header_checksum) = (63, quoted.ip.header_checksum);
                assert_eq!(quoted, sent, "{kind:?}");
            }
        }
    }
}

/// RFC 5508 REQ-4, RFC 792: a quote of eight bytes of the datagram is enough; of TCP that ends before its checksum.
#[test]
fn short_quotes_are_enough() {
    let nat = Nat::start("pool: [203.0.113.2]");
    for packet in [l4::udp(INSIDE, REMOTE, b"data"), l4::tcp(INSIDE, REMOTE, &segment("S", 1, 0))] {
        let out = nat.out_raw(&packet);
        let error = nat.back(&l4::error(HOP, [203, 0, 113, 2], (11, 0), [0; 4], &out[..28]));
        assert_eq!(error.data[12..24], packet[12..24], "addresses and ports as the host sent them");
        assert_eq!(error.data[24..28], packet[24..28]);
        // Shorter than that, nobody can tell whose it is.
        let before = nat.refusals("");
        nat.dropped_back(&l4::error(HOP, [203, 0, 113, 2], (11, 0), [0; 4], &out[..22]));
        nat.dropped_back(&l4::error(HOP, [203, 0, 113, 2], (11, 0), [0; 4], &out[..12]));
        assert_eq!(nat.refusals(""), before + 2);
    }
}

/// RFC 5508 REQ-3: the outer checksum must be right. REQ-3b: that of the quoted datagram need not, as a quote may be cut.
/// REQ-3c: options of the quoted packet are skipped.
#[test]
fn which_checksums_matter() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let packet = l4::udp(INSIDE, REMOTE, b"data");
    let out = nat.out_raw(&packet);
    let mut wrong = l4::error(HOP, [203, 0, 113, 2], (3, 3), [0; 4], &out);
    wrong[23] ^= 1;
    let before = nat.refusals("");
    nat.dropped_back(&wrong);
    assert_eq!(nat.refusals(""), before + 1);
    let mut cut = out.clone();
    *cut.last_mut().expect("data") ^= 0xff;
    // Read with its last byte cut off, as then no checksum can be judged.
    let error = nat.back(&l4::error(HOP, [203, 0, 113, 2], (3, 3), [0; 4], &cut[..cut.len() - 1]));
    assert_eq!(error.quoted().source(), INSIDE);
    let mut header = l4::header("203.0.113.2:5000", REMOTE, IpNumber::UDP);
    header.options = [0x9e, 6, 1, 2, 3, 4, 1, 0].into();
    let optional = frames::packet(&header, &frames::udp(&header, 5000, 53, b"data"));
    let error = nat.back(&l4::error(HOP, [203, 0, 113, 2], (3, 3), [0; 4], &optional));
    assert_eq!((error.quoted().source().as_str(), &error.quoted().ip.options[..]), (INSIDE, &header.options[..]));
}

/// RFC 5508 REQ-4a: an error about what no mapping sent is dropped. RFC 4787 REQ-8 doesn't ask for the remote: what the
/// host really sent is told by its mapping.
#[test]
fn errors_about_nothing_are_dropped() {
    let nat = Nat::start("pool: [203.0.113.2]");
    nat.out(&l4::udp(INSIDE, REMOTE, b"data"));
    for quoted in [
        l4::udp("203.0.113.2:5001", REMOTE, b"data"),
        l4::tcp("203.0.113.2:5000", REMOTE, &segment("S", 1, 0)),
        l4::echo("203.0.113.2:5000", remote(1), 1, b""),
        l4::udp("198.51.100.7:5000", REMOTE, b"data"),
    ] {
        let before = nat.refusals("");
        nat.dropped_back(&l4::error(HOP, [203, 0, 113, 2], (3, 3), [0; 4], &quoted));
        assert_eq!(nat.refusals(""), before + 1);
    }
}

/// RFC 4787 REQ-12, RFC 5382 REQ-10, RFC 5508 REQ-6: no error ends or prolongs a session.
#[test]
fn errors_leave_the_session_alone() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let mut connection = Connection::open(&nat, INSIDE, "198.51.100.1:80");
    let out = nat.out_raw(&l4::udp(INSIDE, REMOTE, b"data"));
    let quoted = l4::tcp(&connection.outside, "198.51.100.1:80", &segment("A", 1001, 9001));
    let before = nat.session_lines();
    assert_eq!(before.len(), 2);
    for (kind, rest) in ERRORS {
        nat.back(&l4::error(HOP, [203, 0, 113, 2], kind, rest, &out));
        nat.back(&l4::error(HOP, [203, 0, 113, 2], kind, rest, &quoted));
    }
    assert_eq!(nat.session_lines(), before, "the sessions are as they were");
    connection.send("PA", b"still here");
    connection.receive("A", b"");
    assert_eq!(nat.back(&l4::udp(REMOTE, "203.0.113.2:5000", b"too")).destination(), INSIDE);
}

/// RFC 5508 REQ-6: an error does not refresh: the session of one who only ever hears errors expires.
#[test]
fn errors_do_not_refresh() {
    let nat = Nat::start("pool: [203.0.113.2], timeouts: {udp: 3s}");
    let out = nat.out_raw(&l4::udp(INSIDE, REMOTE, b"data"));
    harness::eventually("the session expires under errors", || {
        nat.pass_back(&[l4::error(HOP, [203, 0, 113, 2], (3, 3), [0; 4], &out)]);
        nat.sessions().is_empty().then_some(())
    });
}

/// An error about a fragmented datagram quotes its first fragment, which has the ports (RFC 792).
#[test]
fn errors_about_fragments() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let parts = l4::fragments(&l4::udp(INSIDE, REMOTE, &[3; 1000]), 504, 5);
    let seen = nat.pass(&parts).wan;
    let first = seen.iter().find(|frame| frame[20] & 0x20 != 0).expect("the first fragment");
    let error = nat.back(&l4::error(HOP, [203, 0, 113, 2], (11, 1), [0; 4], &first[14..]));
    assert_eq!(error.quoted().flow(), format!("udp {INSIDE} > {REMOTE}"));
}
