use super::super::parse::parse;
use super::*;
use crate::testing::*;
use etherparse::TcpHeader;
use millrace_tables::flow::Side;
use proptest::prelude::*;

/// A segment with these options.
fn segment(options: &[u8], data: &[u8], flags: impl FnOnce(&mut TcpHeader)) -> Vec<u8> {
    tcp(HOST, PEER, data, |t| {
        flags(t);
        t.set_options_raw(options).unwrap();
    })
}

fn syn(header: &mut TcpHeader) {
    header.syn = true;
}

fn clamped(packet: &[u8], max: Option<u16>) -> (bool, Vec<u8>) {
    with_packet(packet, |packet| {
        let parsed = parse(packet, Side::Inside).unwrap();
        clamp(packet, &parsed, max)
    })
}

#[test]
fn lowered_and_never_raised() {
    let mss = |value: u16| [[2, 4], value.to_be_bytes()].concat();
    let syn_ack = |t: &mut TcpHeader| (t.syn, t.ack) = (true, true);
    for (name, packet, max, wanted) in [
        ("SYN", segment(&mss(1460), b"", syn), Some(1452), Some(segment(&mss(1452), b"", syn))),
        ("SYN-ACK", segment(&mss(8960), b"", syn_ack), Some(536), Some(segment(&mss(536), b"", syn_ack))),
        // RFC 7413 has a SYN carry data.
        ("SYN with data", segment(&mss(1460), b"odd", syn), Some(1400), Some(segment(&mss(1400), b"odd", syn))),
        ("lower already", segment(&mss(1400), b"", syn), Some(1452), None),
        ("just right", segment(&mss(1452), b"", syn), Some(1452), None),
        ("0", segment(&mss(0), b"", syn), Some(1452), None),
        ("to 0", segment(&mss(1), b"", syn), Some(0), Some(segment(&mss(0), b"", syn))),
        ("nothing is configured", segment(&mss(1460), b"", syn), None, None),
        ("no option", segment(&[], b"", syn), Some(536), None),
        // RFC 9293 section 3.7.1: only in segments with SYN.
        ("no SYN", segment(&mss(1460), b"", |t| t.ack = true), Some(536), None),
        ("UDP", udp(HOST, PEER), Some(0), None),
    ] {
        let (changed, bytes) = clamped(&packet, max);
        assert_eq!((changed, bytes), (wanted.is_some(), wanted.unwrap_or(packet)), "{name}");
    }
}

#[test]
fn wherever_among_the_options() {
    for (name, options, wanted) in [
        ("Linux", &[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7][..], Some(2)),
        // At an odd place its bytes are in two words under the checksum.
        ("behind a no-operation", &[1, 2, 4, 5, 0xb4], Some(3)),
        ("behind three", &[1, 1, 1, 2, 4, 5, 0xb4], Some(5)),
        ("behind window scale", &[3, 3, 7, 2, 4, 5, 0xb4], Some(5)),
        ("last", &[4, 2, 1, 1, 2, 4, 5, 0xb4], Some(6)),
        ("behind the end", &[0, 2, 4, 5, 0xb4], None),
        ("of another length", &[2, 3, 5, 0xb4], None),
        ("of no length", &[2, 0, 5, 0xb4], None),
        ("half of it in the header", &[1, 2, 4, 5], None),
        ("kind and length in the header", &[1, 1, 2, 4], None),
        ("the kind in the header", &[1, 1, 1, 2], None),
        ("behind one of no length", &[9, 0, 2, 4, 5, 0xb4], None),
        ("behind one of length 1", &[9, 1, 2, 4, 5, 0xb4], None),
        ("behind one that is too long", &[9, 60, 2, 4, 5, 0xb4], None),
        ("in the middle of another", &[9, 6, 2, 4, 5, 0xb4], None),
    ] {
        let packet = segment(options, b"", syn);
        let (changed, bytes) = clamped(&packet, Some(0x0102));
        let expected = wanted.map(|at: usize| {
            let mut options = options.to_vec();
            options.resize(options.len().next_multiple_of(4), 0);
            options[at..at + 2].copy_from_slice(&[1, 2]);
            segment(&options, b"", syn)
        });
        assert_eq!((changed, bytes), (expected.is_some(), expected.unwrap_or(packet)), "{name}");
    }
}

proptest! {
    #[test]
    fn any_options(options in prop::collection::vec(any::<u8>(), 0..=40), data in prop::collection::vec(any::<u8>(), 0..9), max: u16) {
        let packet = segment(&options, &data, syn);
        let (changed, bytes) = clamped(&packet, Some(max));
        prop_assert_eq!(changed, bytes != packet);
        // Its checksum is right, as it was before.
        let (ip, rest) = parsed(&bytes);
        let (tcp, data) = TcpHeader::from_slice(rest).unwrap();
        prop_assert_eq!(tcp.checksum, tcp.calc_checksum_ipv4(&ip, data).unwrap());
    }
}
