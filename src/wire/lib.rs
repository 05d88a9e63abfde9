//! Header views over bytes and checksums.
//!
//! Every header is a plain struct with the layout of the wire, so [`FromBytes::ref_from_prefix`] and its siblings turn the front
//! of a packet into a reference to it, without a copy and without a panic. Multi-byte fields are big-endian inside; accessors take
//! and give host-order numbers. Nothing here allocates (`no_std`), and nothing is validated on the way in: a node checks what its
//! RFC asks for, with the accessors, and counts what it drops.
//!
//! ```
//! use millrace_wire::{FromBytes, IpProtocol, Ipv4};
//! let packet = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
//! let (ip, payload) = Ipv4::ref_from_prefix(&packet).unwrap();
//! assert_eq!((ip.ttl(), ip.protocol(), payload.len()), (64, IpProtocol::UDP, 0));
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(not(test), no_std)]

mod arp;
pub mod checksum;
pub mod ecn;
mod ethernet;
mod gre;
mod icmp4;
mod icmp6;
pub mod igmp;
mod ip_protocol;
mod ipv4;
mod ipv6;
mod ipv6_ext;
pub mod lacp;
pub mod lldp;
mod mac;
pub mod membership;
pub mod mld;
pub mod nd;
pub mod pim;
mod tags;
mod tcp;
mod udp;
mod vxlan;

pub use arp::{Arp, ArpOperation};
pub use ethernet::{EtherType, Ethernet, Vlan};
pub use gre::{BadGre, Gre, GreFields};
pub use icmp4::{Icmp4, Icmp4Type, unreachable};
pub use icmp6::{Icmp6, Icmp6Type, parameter_problem, unreachable6};
pub use ip_protocol::IpProtocol;
pub use ipv4::Ipv4;
pub use ipv6::Ipv6;
pub use ipv6_ext::{
    BadChain, Ipv6Extension, Ipv6Extensions, Ipv6Fragment, Ipv6Option, Ipv6Options, UnknownOption, upper_layer,
};
pub use mac::{MacAddr, MacAddrError};
pub use tags::Tags;
pub use tcp::{Tcp, TcpFlags};
pub use udp::Udp;
pub use vxlan::Vxlan;
pub use zerocopy::{FromBytes, IntoBytes};
