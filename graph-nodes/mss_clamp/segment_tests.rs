use super::*;
use crate::testing::*;
use etherparse::TcpHeader;
use proptest::prelude::*;

/// A packet with these options in its TCP header.
fn packet(options: &[u8], data: &[u8], flags: impl FnOnce(&mut TcpHeader)) -> Vec<u8> {
    tcp(HOST, PEER, data, |t| {
        flags(t);
        t.set_options_raw(options).unwrap();
    })
}

fn syn(header: &mut TcpHeader) {
    header.syn = true;
}

fn clamped(mut packet: Vec<u8>, max: u16) -> (bool, Vec<u8>) {
    let changed = clamp(&mut packet[20..], max);
    (changed, packet)
}

#[test]
fn lowered_and_never_raised() {
    let mss = |value: u16| [[2, 4], value.to_be_bytes()].concat();
    let syn_ack = |t: &mut TcpHeader| (t.syn, t.ack) = (true, true);
    for (name, before, max, wanted) in [
        ("SYN", packet(&mss(1460), b"", syn), 1452, Some(packet(&mss(1452), b"", syn))),
        ("SYN-ACK", packet(&mss(8960), b"", syn_ack), 536, Some(packet(&mss(536), b"", syn_ack))),
        // RFC 7413 has a SYN carry data.
        ("SYN with data", packet(&mss(1460), b"odd", syn), 1400, Some(packet(&mss(1400), b"odd", syn))),
        ("lower already", packet(&mss(1400), b"", syn), 1452, None),
        ("just right", packet(&mss(1452), b"", syn), 1452, None),
        ("0", packet(&mss(0), b"", syn), 1452, None),
        ("to 0", packet(&mss(1), b"", syn), 0, Some(packet(&mss(0), b"", syn))),
        ("no option", packet(&[], b"", syn), 536, None),
        // RFC 9293 section 3.7.1: only in segments with SYN.
        ("no SYN", packet(&mss(1460), b"", |t| t.ack = true), 536, None),
    ] {
        let (changed, after) = clamped(before.clone(), max);
        assert_eq!((changed, after), (wanted.is_some(), wanted.unwrap_or(before)), "{name}");
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
        let before = packet(options, b"", syn);
        let (changed, after) = clamped(before.clone(), 0x0102);
        let expected = wanted.map(|at: usize| {
            let mut options = options.to_vec();
            options.resize(options.len().next_multiple_of(4), 0);
            options[at..at + 2].copy_from_slice(&[1, 2]);
            packet(&options, b"", syn)
        });
        assert_eq!((changed, after), (expected.is_some(), expected.unwrap_or(before)), "{name}");
    }
}

#[test]
fn what_is_cut_off_or_says_that_it_is_longer() {
    let whole = packet(&[2, 4, 5, 0xb4], b"", syn);
    for len in 20..whole.len() {
        let (changed, after) = clamped(whole[..len].to_vec(), 536);
        assert_eq!((changed, &after[..]), (false, &whole[..len]), "{len} bytes");
    }
    for words in [0, 4, 7, 15] {
        let mut before = whole.clone();
        before[32] = words << 4;
        assert_eq!(clamped(before.clone(), 536), (false, before), "a header of {words} words");
    }
}

proptest! {
    #[test]
    fn any_options(options in prop::collection::vec(any::<u8>(), 0..=40), data in prop::collection::vec(any::<u8>(), 0..9), max: u16) {
        let before = packet(&options, &data, syn);
        let (changed, after) = clamped(before.clone(), max);
        prop_assert_eq!(changed, after != before);
        // Its checksum is right, as it was before.
        let (ip, rest) = parsed(&after);
        let (tcp, data) = TcpHeader::from_slice(rest).unwrap();
        prop_assert_eq!(tcp.checksum, tcp.calc_checksum_ipv4(&ip, data).unwrap());
    }

    #[test]
    fn any_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..70), max: u16) {
        let before = bytes.clone();
        prop_assert_eq!(clamp(&mut bytes, max), bytes != before);
    }
}
