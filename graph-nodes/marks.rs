//! Bits of a packet's `marks` that nodes of different features share.

/// It came as a link-layer broadcast or multicast: no ICMP error may answer it (RFC 1812 section 4.3.2.7).
pub const LINK_MULTICAST: u32 = 1;
/// The router itself made it: its TTL is not counted down on the way out, and no ICMP error answers it.
pub const OWN: u32 = 2;
/// A VLAN tag was taken off it, between the network header and the rest of the Ethernet header.
pub const TAGGED: u32 = 4;
/// NAT translated it (or found that it needn't): it is not translated again, and may go to an inside host.
pub const NATTED: u32 = 8;
/// A fragment whose ports are known: `scratch[1]` holds the four bytes that they are in the first one, little-endian.
pub const PORTS_KNOWN: u32 = 16;
/// Its source is a link-local address: it goes to no other link than the one that it came from, or answers to (RFC 4291 section
/// 2.5.6).
pub const LINK_LOCAL: u32 = 64;
/// It came in fragments (or as one, RFC 6946) and was put together here.
pub const REASSEMBLED: u32 = 128;
/// From an inside host to an external address: its destination is translated after its source.
pub const HAIRPIN: u32 = 32;
/// How many tunnels it has been put into here, from 0 to 3, in two bits: a tunnel that leads through itself ends there.
pub const TUNNELS: u32 = 256 | 512;
/// One tunnel, of [`TUNNELS`].
pub const ONE_TUNNEL: u32 = 256;
/// A copy that a mirror made: no mirror copies it again.
pub const MIRRORED: u32 = 1024;
/// With [`TAGGED`]: there were two tags.
pub const TAGGED_TWICE: u32 = 2048;
