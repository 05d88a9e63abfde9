//! The hash that keeps the packets of a flow on one path: addresses, protocol and, where every packet of the flow has
//! them, ports.

use millrace_wire::{IpProtocol, Ipv4};
use zerocopy::FromBytes;

/// The hash of an IPv4 packet, never 0. A fragment hashes without ports, as only the first has them.
pub fn of(packet: &[u8]) -> u32 {
    let Ok((header, _)) = Ipv4::ref_from_prefix(packet) else { return 1 };
    let with_ports = matches!(header.protocol(), IpProtocol::TCP | IpProtocol::UDP) && !header.is_fragment();
    let ports = packet.get(header.header_len()..).and_then(|l4| l4.first_chunk::<4>()).filter(|_| with_ports);
    let addresses = u64::from(header.src_u32()) << 32 | u64::from(header.dst_u32());
    let rest = u64::from(u32::from_be_bytes(*ports.unwrap_or(&[0; 4]))) << 8 | u64::from(header.protocol().0);
    mix(addresses ^ mix(rest)) as u32 | 1 << 31
}

/// The finaliser of MurmurHash3: every input bit reaches every output bit.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ x >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use proptest::prelude::*;

    #[test]
    fn fragments_of_a_packet_share_their_path() {
        let whole = udp(HOST, PEER);
        let first = udp_with(HOST, PEER, 10, |h| h.more_fragments = true);
        let later = udp_with(HOST, PEER, 40, |h| h.fragment_offset = 9.try_into().unwrap());
        assert_eq!(of(&first), of(&later));
        assert_ne!(of(&whole), of(&first), "ports count where all packets have them");
        assert_ne!(of(b"short"), 0);
    }

    proptest! {
        #[test]
        fn what_names_the_flow_decides_and_nothing_else(
            src: u32, dst: u32, ports: [u8; 4], ttl: u8, id: u16, other in 0_usize..12, bit in 0_u32..8
        ) {
            let packet = |change: &dyn Fn(&mut Vec<u8>)| {
                let mut packet = udp_with(src.to_be_bytes(), dst.to_be_bytes(), 20, |_| {});
                packet[20..24].copy_from_slice(&ports);
                change(&mut packet);
                of(&packet)
            };
            let flow = packet(&|_| {});
            prop_assert_ne!(flow, 0);
            prop_assert_eq!(flow, packet(&|p| {
                p[8] = ttl;
                p[4..6].copy_from_slice(&id.to_be_bytes());
                p[30] ^= 0xff;
            }));
            // A single bit of addresses or ports makes another flow, which the mixing tells apart at once.
            prop_assert_ne!(flow, packet(&|p| p[12 + other] ^= 1 << bit));
        }

        #[test]
        fn any_bytes(packet: Vec<u8>) {
            prop_assert_ne!(of(&packet), 0);
        }
    }
}
