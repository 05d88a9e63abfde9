//! Bits of a packet's `marks` that nodes of different features share.

/// It came as a link-layer broadcast or multicast: no ICMP error may answer it (RFC 1812 section 4.3.2.7).
pub const LINK_MULTICAST: u32 = 1;
/// The router itself made it: its TTL is not counted down on the way out, and no ICMP error answers it.
pub const OWN: u32 = 2;
/// A VLAN tag was taken off it, between the network header and the rest of the Ethernet header.
pub const TAGGED: u32 = 4;
