use super::super::parse::{Malformed, parse};
use super::*;
use crate::testing::sent::{sent, view, views};
use crate::testing::*;
use etherparse::{IpFragOffset, UdpHeader};
use millrace_tables::flow::Side;
use proptest::prelude::*;

/// The packet with another view; an error if it can't be read.
fn rewritten(bytes: &[u8], side: Side, to: &View) -> Result<Vec<u8>, Malformed> {
    let (done, bytes) = with_packet(bytes, |packet| {
        // As the nodes for fragments have it.
        packet.meta.marks |= marks::PORTS_KNOWN;
        let parsed = parse(packet, side)?;
        rewrite(packet, &parsed, to);
        Ok(parse(packet, side)?.view)
    });
    // The result is read as what was wanted, ports of later fragments included.
    let there = done?;
    assert_eq!((there.source(), there.destination()), (to.source(), to.destination()));
    Ok(bytes)
}

proptest! {
    /// RFC 3022 section 4.2: every checksum is what its sender would have computed, over any payload, and everything else stays;
    /// and the way back leads to the same packet.
    #[test]
    fn as_if_sent_so((sent, from, to, side) in (sent(), any::<bool>()).prop_flat_map(|(sent, outside)| {
        let side = if outside { Side::Outside } else { Side::Inside };
        let icmp = sent.protocol == 1;
        (Just(sent), views(icmp, side), views(icmp, side), Just(side))
    })) {
        let before = sent.bytes(&from);
        let after = rewritten(&before, side, &to).unwrap();
        prop_assert!(after == sent.bytes(&to), "\n{after:02x?} is not\n{:02x?}", sent.bytes(&to));
        prop_assert!(rewritten(&after, side, &from).unwrap() == before);
        prop_assert!(rewritten(&before, side, &from).unwrap() == before, "nothing changes");
    }

    /// Whatever is in the packet: no panic, nothing but addresses, ports, identifiers and checksums change, and what was wrong
    /// stays as wrong as it was.
    #[test]
    fn any_bytes(mut bytes in prop::collection::vec(any::<u8>(), 28..120), protocol in 0usize..6, to in views(false, Side::Inside)) {
        bytes[0] = 0x45 + bytes[0] % 3;
        let len = bytes.len() as u16;
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        bytes[6..8].fill(0);
        bytes[9] = [1, 6, 17, 33, 47, 136][protocol];
        if let Ok(after) = rewritten(&bytes, Side::Inside, &to) {
            let header = usize::from(bytes[0] & 15) * 4;
            let may = |at: usize| {
                (10..20).contains(&at) || match bytes[9] {
                    1 => [2, 3, 4, 5].contains(&at.wrapping_sub(header)),
                    6 => [0, 1, 2, 3, 16, 17].contains(&at.wrapping_sub(header)),
                    17 => [0, 1, 2, 3, 6, 7].contains(&at.wrapping_sub(header)),
                    33 | 136 => [6, 7].contains(&at.wrapping_sub(header)),
                    _ => false,
                }
            };
            let changed = (0..bytes.len()).find(|at| bytes[*at] != after[*at] && !may(*at));
            prop_assert_eq!(changed, None);
            // 0 and 0xffff are the same sum.
            let wrong = |bytes: &[u8]| checksum(&bytes[..header]) % 0xffff;
            prop_assert_eq!(wrong(&bytes), wrong(&after));
        }
    }
}

/// A UDP packet from port 1 to port 2 that has this checksum, because its 2 bytes of data are chosen so.
fn udp_summed(from: Ip, to: Ip, wanted: u16) -> Vec<u8> {
    let make = |data: [u8; 2]| {
        let header = header(from, to);
        let udp = UdpHeader::with_ipv4_checksum(1, 2, &header, &data).unwrap();
        packet(&header, &[&udp.to_bytes()[..], &data].concat())
    };
    (0..=u16::MAX).map(|data| make(data.to_be_bytes())).find(|p| p[26..28] == wanted.to_be_bytes()).unwrap()
}

#[test]
fn the_checksum_of_udp() {
    let (from, to) = (view(HOST, 1, PEER, 2), view(WAN_IP, 1, PEER, 2));
    let after = |packet: &[u8]| rewritten(packet, Side::Inside, &to).unwrap();
    // RFC 768: a computed 0 is sent as 0xffff. One that is on its way there, and one that comes from there.
    let sum = (0..=u16::MAX).find(|data| {
        let data = data.to_be_bytes();
        UdpHeader::with_ipv4_checksum(1, 2, &header(WAN_IP, PEER), &data).unwrap().checksum == 0xffff
    });
    let data = sum.unwrap().to_be_bytes();
    let datagram = UdpHeader::with_ipv4_checksum(1, 2, &header(HOST, PEER), &data).unwrap();
    let before = packet(&header(HOST, PEER), &[&datagram.to_bytes()[..], &data].concat());
    assert_eq!(after(&before)[26..28], [0xff; 2]);
    let ones = udp_summed(HOST, PEER, 0xffff);
    let there = after(&ones);
    assert_eq!(
        there[26..28],
        UdpHeader::with_ipv4_checksum(1, 2, &header(WAN_IP, PEER), &ones[28..]).unwrap().checksum.to_be_bytes()
    );
    assert_eq!(rewritten(&there, Side::Inside, &from).unwrap(), ones);
    // RFC 3022 section 4.1: no checksum stays none.
    let none = broken(udp_summed(HOST, PEER, 7), |p| p[26..28].fill(0));
    assert_eq!(after(&none)[26..28], [0, 0]);
    // A wrong one stays as wrong as it was: its receiver drops the packet, as it should (RFC 1624).
    let wrong = broken(udp(HOST, PEER), |p| p[27] ^= 1);
    let bytes = rewritten(&wrong, Side::Inside, &view(WAN_IP, 40_000, PEER, 7)).unwrap();
    let right = udp(WAN_IP, PEER);
    assert_ne!(bytes[26..28], right[26..28]);
    assert_eq!(bytes[..26], right[..26]);
}

/// The nodes behind find the ports of a fragment where they were.
#[test]
fn known_ports_follow() {
    let to = view(WAN_IP, 0x1234, PEER, 0x5678);
    let later = udp_with(HOST, PEER, 16, |h| h.fragment_offset = IpFragOffset::try_new(2).unwrap());
    for (known, scratch) in [(marks::PORTS_KNOWN, known_ports(&to)), (0, 99)] {
        let (left, _) = with_packet(&later, |packet| {
            (packet.meta.marks, packet.meta.scratch[1]) = (marks::PORTS_KNOWN, 99);
            let parsed = parse(packet, Side::Inside).unwrap();
            packet.meta.marks = known;
            rewrite(packet, &parsed, &to);
            packet.meta.scratch[1]
        });
        assert_eq!(left, scratch);
    }
    assert_eq!(known_ports(&to).to_le_bytes(), [0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0]);
}
