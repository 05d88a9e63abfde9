//! Which member a frame leaves by: a number made of what all frames of a flow have in common.

use crate::ip4::flow_hash::{self, mix};
use crate::ip6;
use millrace_wire::{EtherType, Ethernet, FromBytes, Ipv4, Ipv6, Vlan};

/// What of a frame counts. Tags of VLANs don't; what is no IP counts by its Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// Both MAC addresses and the EtherType.
    Layer2,
    /// Both MAC addresses, and both IP addresses.
    Layer2And3,
    /// Both IP addresses, the protocol, and both ports of TCP and UDP. Fragments have no ports, not even the first, so that all of them
    /// take the same way.
    Layer3And4,
}

/// Tags that are looked behind.
const TAGS: usize = 3;
/// Routes with several next hops choose by the same hash of a flow: without this, all that such a choice leaves for a bond would have
/// the same bits here.
const SALT: u64 = 0x626f_6e64_0001;

impl Hash {
    /// The hash of a frame, whose first bytes are these.
    #[inline]
    pub fn of(self, frame: &[u8]) -> u32 {
        let Ok((header, mut rest)) = Ethernet::ref_from_prefix(frame) else { return 0 };
        let mut ether_type = header.ether_type();
        for _ in 0..TAGS {
            if !matches!(ether_type, EtherType::VLAN | EtherType::SERVICE_VLAN) {
                break;
            }
            let Ok((tag, behind)) = Vlan::ref_from_prefix(rest) else { break };
            (ether_type, rest) = (tag.ether_type(), behind);
        }
        let l2 = || mix(word(header.dst.0) ^ mix(word(header.src.0)));
        let l3 = match (self, ether_type) {
            (Hash::Layer2, _) => None,
            (Hash::Layer2And3, EtherType::IPV4) => addresses4(rest),
            (Hash::Layer2And3, EtherType::IPV6) => addresses6(rest),
            (Hash::Layer3And4, EtherType::IPV4) => return salted(flow_hash::of(rest).into()),
            (Hash::Layer3And4, EtherType::IPV6) => return salted(ip6::flow_hash::of(rest).into()),
            _ => None,
        };
        salted(l2() ^ mix(l3.unwrap_or_else(|| ether_type.0.into())))
    }
}

fn salted(hash: u64) -> u32 {
    mix(hash ^ SALT) as u32
}

fn word([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

fn addresses4(packet: &[u8]) -> Option<u64> {
    let (header, _) = Ipv4::ref_from_prefix(packet).ok()?;
    Some(u64::from(header.src_u32()) << 32 | u64::from(header.dst_u32()))
}

fn addresses6(packet: &[u8]) -> Option<u64> {
    let (header, _) = Ipv6::ref_from_prefix(packet).ok()?;
    let fold = |hash: u64, address: u128| mix(mix(hash ^ (address >> 64) as u64) ^ address as u64);
    Some([header.src_u128(), header.dst_u128()].into_iter().fold(0, fold))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use proptest::prelude::*;

    const ALL: [Hash; 3] = [Hash::Layer2, Hash::Layer2And3, Hash::Layer3And4];

    /// A frame with these tags.
    fn frame(tags: &[(u16, u16)], ether_type: u16, packet: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        for (kind, vlan) in tags {
            frame.extend([kind.to_be_bytes(), vlan.to_be_bytes()].concat());
        }
        frame.extend(ether_type.to_be_bytes());
        frame.extend(packet);
        frame
    }

    /// Whether the hash of each kind sees a difference.
    fn differ(one: &[u8], other: &[u8]) -> [bool; 3] {
        ALL.map(|hash| hash.of(one) != hash.of(other))
    }

    #[test]
    fn what_counts() {
        let v4 = |change: fn(&mut Vec<u8>)| {
            let mut frame = frame(&[], 0x800, &udp_with(HOST, PEER, 20, |_| {}));
            change(&mut frame);
            frame
        };
        let v6 = |change: fn(&mut Vec<u8>)| {
            let mut frame = frame(&[], 0x86dd, &udp6(HOST6, PEER6));
            change(&mut frame);
            frame
        };
        type Change = fn(&mut Vec<u8>);
        let no = |_: &mut Vec<u8>| {};
        let changes: [(&str, Change, Change, [bool; 3]); 6] = [
            ("destination MAC", |f| f[5] ^= 1, |f| f[5] ^= 1, [true, true, false]),
            ("source MAC", |f| f[11] ^= 1, |f| f[11] ^= 1, [true, true, false]),
            ("source", |f| f[14 + 15] ^= 1, |f| f[14 + 23] ^= 1, [false, true, true]),
            ("destination", |f| f[14 + 19] ^= 1, |f| f[14 + 39] ^= 1, [false, true, true]),
            ("a port", |f| f[14 + 21] ^= 1, |f| f[14 + 41] ^= 1, [false, false, true]),
            ("time to live and payload", |f| (f[22], f[50]) = (9, 9), |f| (f[21], f[70]) = (9, 9), [false; 3]),
        ];
        for (name, change4, change6, expected) in changes {
            assert_eq!(differ(&v4(no), &v4(change4)), expected, "IPv4: {name}");
            assert_eq!(differ(&v6(no), &v6(change6)), expected, "IPv6: {name}");
        }
    }

    #[test]
    fn tags_are_looked_behind() {
        let packet = udp_with(HOST, PEER, 20, |_| {});
        let plain = frame(&[], 0x800, &packet);
        for tags in [&[(0x8100, 100)][..], &[(0x8100, 7)], &[(0x88a8, 5), (0x8100, 6)], &[(0x8100, 1); 3]] {
            assert_eq!(differ(&plain, &frame(tags, 0x800, &packet)), [false; 3], "{tags:?}");
        }
    }

    #[test]
    fn fragments_go_one_way() {
        let first = udp_with(HOST, PEER, 20, |header| header.more_fragments = true);
        let later = udp_with(HOST, PEER, 40, |header| header.fragment_offset = 9.try_into().unwrap());
        assert_eq!(differ(&frame(&[], 0x800, &first), &frame(&[], 0x800, &later)), [false; 3]);
        let [first, later] = fragments6(HOST6, PEER6);
        assert_eq!(differ(&frame(&[], 0x86dd, &first), &frame(&[], 0x86dd, &later)), [false; 3]);
    }

    /// A packet in two pieces (RFC 8200 section 4.5), the first with its ports.
    fn fragments6(from: &str, to: &str) -> [Vec<u8>; 2] {
        let piece = |offset: u16, payload: [u8; 16]| {
            let (from, to) = (ip6(from).octets(), ip6(to).octets());
            let fragment = [&[17, 0][..], &offset.to_be_bytes(), &[0, 0, 0, 9], &payload].concat();
            [&[0x60, 0, 0, 0, 0, 24, 44, 64][..], &from, &to, &fragment].concat()
        };
        [piece(1, [1; 16]), piece(16, [2; 16])]
    }

    #[test]
    fn other_frames_go_by_their_ethernet_header() {
        let arp = frame(&[], 0x806, &[1; 28]);
        let mut other = arp.clone();
        other[11] ^= 1;
        assert_eq!(differ(&arp, &other), [true; 3]);
        assert_eq!(differ(&arp, &frame(&[], 0x8137, &[1; 28])), [true; 3], "another EtherType");
        assert_eq!(differ(&arp, &frame(&[], 0x806, &[2; 28])), [false; 3], "another payload");
        // An IP header that isn't there.
        assert_eq!(differ(&frame(&[], 0x800, &[0x45; 5]), &frame(&[], 0x800, &[0x46; 6])), [false; 3]);
    }

    #[test]
    fn members_of_a_bond_behind_several_next_hops_all_get_their_share() {
        let flows = (0..4096_u32).map(|flow| udp_with((0x0a00_0000 | flow).to_be_bytes(), PEER, 20, |_| {}));
        // Those that a route with two next hops sent here.
        let ours = flows.filter(|packet| flow_hash::of(packet) & 1 == 0);
        let (mut one, mut other) = (0, 0);
        for packet in ours {
            let side = if Hash::Layer3And4.of(&frame(&[], 0x800, &packet)) & 1 == 0 { &mut one } else { &mut other };
            *side += 1;
        }
        assert!(one > 850 && other > 850, "{one} and {other}");
    }

    proptest! {
        #[test]
        fn any_bytes_have_one(frame: Vec<u8>) {
            prop_assert_eq!(ALL.map(|hash| hash.of(&frame)), ALL.map(|hash| hash.of(&frame)));
        }
    }
}
