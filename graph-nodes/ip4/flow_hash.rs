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
fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ x >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}
