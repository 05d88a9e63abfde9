//! Vectors from the RFCs, and the fast sums against the definition.

use proptest::prelude::*;

use super::*;

/// RFC 1071 section 1, word for word: big-endian 16-bit words, end-around carry, complement.
fn definition(data: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in data.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A header that a Linux host sent.
const HEADER: [u8; 20] = [
    0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00,
    0xc7,
];

#[test]
fn rfc1071_section_3() {
    let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(Sum::of(&data).checksum(), !0xddf2);
    assert_eq!(definition(&data), !0xddf2);
}

#[test]
fn rfc1624_section_4() {
    // The example in which RFC 1141's equation gives 0xffff.
    assert_eq!(update_u16(0xdd2f, 0x5555, 0x3285), 0x0000);
    // And back again, from zero.
    assert_eq!(update_u16(0x0000, 0x3285, 0x5555), 0xdd2f);
}

#[test]
fn nothing_changed_changes_nothing() {
    for checksum in [0, 1, 0x1234, 0xfffe, 0xffff] {
        assert_eq!(update_u16(checksum, 0xabcd, 0xabcd), if checksum == 0xffff { 0 } else { checksum });
        assert_eq!(Delta::default().apply(checksum), checksum);
    }
}

#[test]
fn ipv4_header() {
    assert!(ipv4_header_ok(&HEADER));
    assert!(Sum::of(&HEADER).is_ok());
    let mut bare = HEADER;
    bare[10..12].fill(0);
    assert_eq!(Sum::of(&bare).checksum(), 0xb861);
    assert!(!ipv4_header_ok(&[0; 20]));
    // Sums to 0xffff, and carries out of 64 bits at the last word.
    let mut carries = [0xff; 20];
    carries[8..16].fill(0);
    assert!(ipv4_header_ok(&carries));
    for bit in 0..160 {
        let mut broken = HEADER;
        broken[bit / 8] ^= 1 << (bit % 8);
        assert!(!ipv4_header_ok(&broken), "bit {bit}");
    }
}

#[test]
fn udp_zero_means_none() {
    // Ports and length chosen so that all words sum to 0xffff: the checksum computes to zero and goes out as 0xffff.
    let src = 0x0a00_0001;
    let dst = 0x0a00_0002;
    let bare = [0x00, 0x35, 0, 0, 0, 8, 0, 0];
    let missing = pseudo_header4(src, dst, IpProtocol::UDP, 8).bytes(&bare).checksum();
    let mut datagram = bare;
    datagram[2..4].copy_from_slice(&missing.to_be_bytes());
    assert_eq!(udp4(src, dst, &datagram), 0xffff);
    datagram[6..8].fill(0xff);
    assert!(pseudo_header4(src, dst, IpProtocol::UDP, 8).bytes(&datagram).is_ok());

    let delta = Delta::default().u16(1000, 2000);
    assert_eq!(delta.apply_udp(0), 0);
    let becomes_zero = Delta::default().u16(2000, 1000).apply(0);
    assert_eq!(delta.apply_udp(becomes_zero), 0xffff);
    assert_eq!(delta.apply_udp(0xffff), delta.apply(0), "0xffff stands for zero");
}

#[test]
fn worst_cases_fold() {
    assert_eq!(fold(0), 0);
    assert_eq!(fold(u64::MAX), 0xffff);
    assert_eq!(fold(0xffff_ffff_0000_0001), 1);
    assert_eq!(fold(0xfffe_ffff_ffff_ffff), 0xfffe);
    assert_eq!(Sum::of(&[0xff; 65_535]).checksum(), definition(&[0xff; 65_535]));
}

proptest! {
    #[test]
    fn sum_is_the_definition(data in prop::collection::vec(any::<u8>(), 0..200), start in 0_usize..8) {
        let data = data.get(start..).unwrap_or(&[]);
        prop_assert_eq!(Sum::of(data).checksum(), definition(data));
    }

    #[test]
    fn pieces_sum_to_the_whole(data in prop::collection::vec(any::<u8>(), 0..100), mut cuts in prop::collection::vec(0_usize..100, 0..5)) {
        cuts.push(data.len());
        cuts.sort_unstable();
        let mut sum = Sum::default();
        let mut from = 0;
        for to in cuts.into_iter().take_while(|&to| to <= data.len()) {
            sum = sum.bytes(&data[from..to]);
            from = to;
        }
        prop_assert_eq!(sum.checksum(), definition(&data));
    }

    #[test]
    fn header_check_is_the_definition(mut header: [u8; 20], repair: bool) {
        if repair {
            header[10..12].fill(0);
            let checksum = definition(&header);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        let nonzero = header != [0; 20];
        prop_assert_eq!(ipv4_header_ok(&header), definition(&header) == 0 && nonzero);
        prop_assert!(!repair || !nonzero || ipv4_header_ok(&header));
    }

    /// Fields biased to where one's complement has two zeros.
    #[test]
    fn incremental_is_recomputed(
        mut words in prop::collection::vec(prop_oneof![Just(0_u16), Just(0xffff), any::<u16>()], 10),
        field in prop_oneof![Just(0_u16), Just(0xffff), any::<u16>()],
        wide: u32,
    ) {
        words[0] = 0x4500; // as in every header: data that is all zero has no history
        let checksum = |words: &[u16]| definition(&words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>());
        let before = checksum(&words);
        let old = words[3];
        words[3] = field;
        let after = checksum(&words);
        prop_assert_eq!(update_u16(before, old, field), after);

        let old_wide = u32::from(words[6]) << 16 | u32::from(words[7]);
        words[6] = (wide >> 16) as u16;
        words[7] = wide as u16;
        prop_assert_eq!(update_u32(after, old_wide, wide), checksum(&words));
        let both = Delta::default().u16(old, field).and(Delta::default().u32(old_wide, wide));
        prop_assert_eq!(both.apply(before), checksum(&words));
    }

    #[test]
    fn transports_verify(src: u32, dst: u32, mut segment in prop::collection::vec(any::<u8>(), 20..64)) {
        let len = segment.len() as u16;
        segment[16..18].fill(0);
        let checksum = tcp4(src, dst, &segment);
        segment[16..18].copy_from_slice(&checksum.to_be_bytes());
        prop_assert!(pseudo_header4(src, dst, IpProtocol::TCP, len).bytes(&segment).is_ok());

        segment[6..8].fill(0);
        let checksum = udp4(src, dst, &segment);
        segment[6..8].copy_from_slice(&checksum.to_be_bytes());
        prop_assert!(checksum != 0 && pseudo_header4(src, dst, IpProtocol::UDP, len).bytes(&segment).is_ok());

        segment[2..4].fill(0);
        let checksum = icmp4(&segment);
        segment[2..4].copy_from_slice(&checksum.to_be_bytes());
        prop_assert!(Sum::of(&segment).is_ok());
    }
}

#[test]
fn pseudo_header_of_ipv6() {
    // An ICMPv6 echo request (id 1, sequence 1) from ::1 to ::1.
    let mut localhost = [0; 16];
    localhost[15] = 1;
    let message = [128, 0, 0, 0, 0, 1, 0, 1];
    // By hand: 1 + 1 + 8 + 58 + 0x8000 + 1 + 1 = 0x8046.
    let sum = pseudo_header6(&localhost, &localhost, IpProtocol::ICMP6, 8).bytes(&message);
    assert_eq!(sum.checksum(), !0x8046);
}

/// RFC 8200 section 8.1: each is under the pseudo header, and UDP's is never zero.
#[test]
fn transports_over_ipv6() {
    let (src, dst): (Ipv6Addr, Ipv6Addr) = ("2001:db8::9".parse().unwrap(), "ff02::1:ff00:1".parse().unwrap());
    // By hand: 0x2001 + 0x0db8 + 9, 0xff02 + 1 + 0xff00 + 1, the length 8, the protocol, and two words of 0x0102.
    let plain = |protocol: u32| {
        let sum = 0x2001 + 0x0db8 + 9 + 0xff02 + 1 + 0xff00 + 1 + 8 + protocol + 2 * 0x0102;
        !((sum & 0xffff) + (sum >> 16)) as u16
    };
    let message = [1, 2, 0, 0, 1, 2, 0, 0];
    assert_eq!(icmp6(src, dst, &message), plain(58));
    assert_eq!(udp6(src, dst, &message), plain(17));
    assert_eq!(tcp6(src, dst, &message), plain(6));
    // A word that makes the sum come out as 0xffff, and the checksum as zero.
    let [high, low] = plain(17).to_be_bytes();
    assert_eq!(udp6(src, dst, &[1, 2, high, low, 1, 2, 0, 0]), 0xffff);
    // In pieces of odd lengths.
    let pseudo = pseudo_header6(&src.octets(), &dst.octets(), IpProtocol::ICMP6, 8);
    assert_eq!(message.chunks(3).fold(pseudo, Sum::bytes).checksum(), plain(58));
}
