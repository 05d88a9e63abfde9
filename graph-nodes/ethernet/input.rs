//! ethernet-input: checks that a frame is for us, takes off its header and 802.1Q tag, and sends it by its EtherType.
//! Reads: rx interface. Writes: rx interface (a sub-interface's), table, marks.

use crate::forwarding::Forwarding;
use crate::{arp, ip4, marks};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{EtherType, Ethernet, MacAddr, Vlan};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("ethernet-input");

edges! {
    /// By EtherType.
    pub enum Next { Ip4 => ip4::input::NAME, Arp => arp::input::NAME }
}

counters! {
    /// Why frames end here.
    pub enum Count {
        Short => "shorter than its Ethernet header",
        NotForUs => "destination MAC is not ours",
        UnknownType => "unknown EtherType",
        UnknownVlan => "no sub-interface for the VLAN",
        NoInterface => "interface is being removed",
    }
}

/// What `show trace` tells.
pub struct Trace {
    header: Ethernet,
    vlan: Option<u16>,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} ", self.header.src, self.header.dst)?;
        if let Some(vlan) = self.vlan {
            write!(f, "vlan {vlan} ")?;
        }
        write!(f, "type {}", self.header.ether_type())
    }
}

/// The node.
pub struct EthernetInput {
    /// Reads: interfaces.
    pub forwarding: Forwarding,
}

impl Node for EthernetInput {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(&header) = packet.header::<Ethernet>() else { return cx.drop(Count::Short) };
        let Some(interface) = self.forwarding.interfaces.get(packet.meta.rx_interface, &cx.guard()) else {
            return cx.drop(Count::NoInterface);
        };
        let _ = packet.advance(Ethernet::LEN);
        packet.meta.table = interface.table;
        if header.ether_type() == EtherType::VLAN {
            return self.tagged(packet, header, cx);
        }
        cx.trace(packet, || Trace { header, vlan: None });
        if header.dst != interface.mac && !accept_group(packet, header.dst) {
            return cx.drop(Count::NotForUs);
        }
        by_type(header.ether_type(), cx)
    }
}

impl EthernetInput {
    #[cold]
    fn tagged(&self, packet: &mut Packet<'_>, header: Ethernet, cx: &mut Ctx<'_, Self>) -> Next {
        let interfaces = &self.forwarding.interfaces;
        let Some(&tag) = packet.header::<Vlan>() else { return cx.drop(Count::Short) };
        let whole_frame = (packet.total_len() + Ethernet::LEN) as u64;
        let _ = packet.advance(Vlan::LEN);
        packet.meta.marks |= marks::TAGGED;
        cx.trace(packet, || Trace { header, vlan: Some(tag.id()) });
        let Some(parent) = interfaces.get(packet.meta.rx_interface, &cx.guard()) else {
            return cx.drop(Count::NoInterface);
        };
        // VLAN 0 carries a priority only: the frame is the parent's own (802.1Q section 6.9).
        let index = match tag.id() {
            0 => packet.meta.rx_interface,
            vlan => match parent.sub_interfaces.binary_search_by_key(&vlan, |s| s.0) {
                Ok(at) => parent.sub_interfaces[at].1,
                Err(_) => return cx.drop(Count::UnknownVlan),
            },
        };
        let Some(interface) = interfaces.get(index, &cx.guard()) else { return cx.drop(Count::NoInterface) };
        if index != packet.meta.rx_interface {
            let counters = cx.interface(index);
            counters.rx_packets.add(1);
            counters.rx_bytes.add(whole_frame);
        }
        packet.meta.rx_interface = index;
        packet.meta.table = interface.table;
        if header.dst != interface.mac && !accept_group(packet, header.dst) {
            return cx.drop(Count::NotForUs);
        }
        by_type(tag.ether_type(), cx)
    }
}

#[inline(always)]
fn by_type(ether_type: EtherType, cx: &mut Ctx<'_, EthernetInput>) -> Next {
    match ether_type {
        EtherType::IPV4 => Next::Ip4,
        EtherType::ARP => Next::Arp,
        _ => cx.drop(Count::UnknownType),
    }
}

/// Whether a group address, in which case the packet is marked.
#[cold]
fn accept_group(packet: &mut Packet<'_>, dst: MacAddr) -> bool {
    if dst.is_multicast() {
        packet.meta.marks |= marks::LINK_MULTICAST;
    }
    dst.is_multicast()
}
