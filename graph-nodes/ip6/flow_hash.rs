//! The hash that keeps the packets of a flow on one path: addresses, flow label, protocol and, where every packet of the flow has
//! them, ports (RFC 6438).

use crate::ip4::flow_hash::mix;
use millrace_wire::{FromBytes, IpProtocol, Ipv6};

/// The hash of an IPv6 packet, never 0. One with extension headers hashes without ports: only the first fragment has them.
pub fn of(packet: &[u8]) -> u32 {
    let Ok((header, rest)) = Ipv6::ref_from_prefix(packet) else { return 1 };
    let with_ports = matches!(header.next_header(), IpProtocol::TCP | IpProtocol::UDP);
    let ports = rest.first_chunk::<4>().filter(|_| with_ports);
    let ports = u64::from(u32::from_be_bytes(*ports.unwrap_or(&[0; 4])));
    let halves = |address: u128| [(address >> 64) as u64, address as u64];
    let label = u64::from(header.flow_label()) << 8 | u64::from(header.next_header().0);
    let [a, b] = halves(header.src_u128());
    let [c, d] = halves(header.dst_u128());
    [a, b, c, d, ports << 32 | label].into_iter().fold(0, |hash, word| mix(hash ^ word)) as u32 | 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_names_the_flow_decides_and_nothing_else(
            addresses: [u8; 32], ports: [u8; 4], limit: u8, label in 0_u32..1 << 20, other in 0_usize..36, bit in 0_u32..8
        ) {
            let packet = |change: &dyn Fn(&mut Vec<u8>)| {
                let mut packet = udp6(HOST6, PEER6);
                packet[8..40].copy_from_slice(&addresses);
                packet[40..44].copy_from_slice(&ports);
                packet[1..4].copy_from_slice(&label.to_be_bytes()[1..]);
                change(&mut packet);
                of(&packet)
            };
            let flow = packet(&|_| {});
            prop_assert_ne!(flow, 0);
            // Hop limit, payload, traffic class.
            prop_assert_eq!(flow, packet(&|p| {
                p[7] = limit;
                p[50] ^= 0xff;
                p[0] ^= 0xf;
            }));
            prop_assert_ne!(flow, packet(&|p| p[8 + other] ^= 1 << bit));
            prop_assert_ne!(flow, packet(&|p| p[3] ^= 1 << bit), "flow label");
        }

        #[test]
        fn any_bytes(packet: Vec<u8>) {
            prop_assert_ne!(of(&packet), 0);
        }
    }
}
