//! The expressions by which traces and captures choose packets: a part of tcpdump's language.
//!
//! | | chooses |
//! |---|---|
//! | `arp` `ip` `ip6` `icmp` `icmp6` `tcp` `udp` | that protocol; `ip` is IPv4 |
//! | `proto N` | an IP protocol by number, or by a name as above |
//! | `host A` `src host A` `dst host A` | an address, of ARP's sender and target too |
//! | `net P` `src net P` `dst net P` | a prefix, likewise |
//! | `port N` `src port N` `dst port N` | a TCP or UDP port |
//! | `vlan` `vlan N` | an 802.1Q or 802.1ad tag, the outer or the inner one |
//! | `ether host M` `ether src M` `ether dst M` | a MAC address |
//! | `ether proto N` | an EtherType, behind tags |
//! | `not E` `E and E` `E or E` `(E)` | `!`, `&&` and `\|\|` do, too |
//!
//! As in tcpdump, `not` binds closest, and `and` and `or` equally, from left to right. The empty expression chooses
//! everything.

mod parse;
mod view;

use crate::ip::{V4, V6};
use crate::vxlan::Underlay;
use crate::{arp, bond, capture, cross_connect, ethernet, interface, l2, link_control, mirror};
use ipnet::IpNet;
use millrace_engine::NodeName;
use millrace_engine::builtin::{DEVICE_INPUT, ERROR_DROP, INTERFACE_TX, WORKER_HANDOFF};
use millrace_wire::{EtherType, IpProtocol, MacAddr};
use std::fmt;
use std::str::FromStr;
use view::View;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Expr);

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FilterError {
    /// Where, in characters from 1.
    pub at: usize,
    /// What, and what would be right.
    pub message: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.at, self.message)
    }
}

/// What a packet begins with where the filter meets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layer {
    /// An Ethernet header.
    Ethernet,
    /// An ARP packet.
    Arp,
    /// An IPv4 or IPv6 header.
    Ip,
    /// An Ethernet header, or that of IP as on tunnels without Ethernet; the bytes tell.
    Either,
}

impl Layer {
    /// What packets begin with when this node gets them.
    pub fn at(node: NodeName) -> Layer {
        /// Frames from devices on their way to a protocol, and within bridges.
        const FRAMES: [NodeName; 21] = [
            DEVICE_INPUT,
            interface::input::NAME,
            capture::RX.node,
            mirror::rx::NAME,
            mirror::tx::NAME,
            bond::INPUT.node,
            bond::OUTPUT.node,
            cross_connect::FEATURE.node,
            ethernet::input::NAME,
            link_control::NAME,
            l2::input::NAME,
            l2::learn::NAME,
            l2::snoop::node::NAME,
            l2::suppress::arp::NAME,
            l2::suppress::nd::NAME,
            l2::fwd::NAME,
            l2::flood::NAME,
            l2::output::NAME,
            l2::bvi_input::NAME,
            l2::bvi_output::NAME,
            V4::ENCAP,
        ];
        /// On the way out, and where packets of all nodes come together.
        const BOTH: [NodeName; 5] =
            [interface::output::NAME, capture::TX.node, INTERFACE_TX, WORKER_HANDOFF, ERROR_DROP];
        match node {
            arp::input::NAME => Layer::Arp,
            V6::ENCAP => Layer::Ethernet,
            node if FRAMES.contains(&node) => Layer::Ethernet,
            node if BOTH.contains(&node) => Layer::Either,
            _ => Layer::Ip,
        }
    }
}

/// Which end of a packet is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
    Either,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expr {
    Everything,
    Arp,
    Ip,
    Ip6,
    Protocol(IpProtocol),
    Net(Side, IpNet),
    Port(Side, u16),
    Vlan(Option<u16>),
    Mac(Side, MacAddr),
    EtherType(EtherType),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Filter, FilterError> {
        parse::parse(text).map(Filter)
    }
}

impl Filter {
    /// Whether it chooses the packet that begins with `layer`. What the bytes don't hold is not there.
    pub fn matches(&self, layer: Layer, packet: &[u8]) -> bool {
        self.0.holds(&View::of(layer, packet))
    }
}

impl Expr {
    fn holds(&self, view: &View) -> bool {
        match self {
            Expr::Everything => true,
            Expr::Arp => view.arp,
            Expr::Ip => view.version == Some(4),
            Expr::Ip6 => view.version == Some(6),
            Expr::Protocol(protocol) => view.protocol == Some(*protocol),
            Expr::Net(side, net) => side.of(view.addresses, |address| net.contains(&address)),
            Expr::Port(side, port) => side.of(view.ports, |p| p == *port),
            Expr::Vlan(id) => view.vlans.into_iter().flatten().any(|vlan| id.is_none_or(|id| id == vlan)),
            Expr::Mac(side, mac) => side.of(view.macs, |m| m == *mac),
            Expr::EtherType(ether_type) => view.ether_type == Some(*ether_type),
            Expr::Not(e) => !e.holds(view),
            Expr::And(a, b) => a.holds(view) && b.holds(view),
            Expr::Or(a, b) => a.holds(view) || b.holds(view),
        }
    }
}

impl Side {
    fn of<T>(self, ends: Option<(T, T)>, is: impl Fn(T) -> bool) -> bool {
        ends.is_some_and(|(source, destination)| match self {
            Side::Source => is(source),
            Side::Destination => is(destination),
            Side::Either => is(source) || is(destination),
        })
    }
}

#[cfg(test)]
mod tests;
