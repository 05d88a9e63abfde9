//! ethernet-input: checks that a frame is for us, takes off its header and 802.1Q tag, and sends it by its EtherType.
//! Reads: rx interface. Writes: rx interface (a sub-interface's), table, marks.

use crate::forwarding::{Forwarding, Interface};
use crate::{arp, ip4, ip6, marks};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{EtherType, Ethernet, MacAddr, Vlan};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("ethernet-input");

edges! {
    /// By EtherType.
    pub enum Next { Ip4 => ip4::input::NAME, Ip6 => ip6::input::NAME, Arp => arp::input::NAME }
}

counters! {
    /// Why frames end here.
    pub enum Count {
        Short => "shorter than its Ethernet header",
        NotForUs => "destination MAC is not ours",
        UnknownType => "unknown EtherType",
        UnknownVlan => "no sub-interface for the VLAN",
        NoIp6 => "interface has no IPv6",
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
        let interface = self.forwarding.interfaces.get(packet.meta.rx_interface, &cx.guard());
        let Some(interface) = interface else { return cx.drop(Count::NoInterface) };
        let Some(header) = packet.header::<Ethernet>() else { return cx.drop(Count::Short) };
        let (for_us, ether_type) = (header.dst == interface.mac, header.ether_type());
        if !for_us || ether_type == EtherType::VLAN {
            return self.uncommon(packet, cx);
        }
        cx.trace(packet, || Trace { header: *header, vlan: None });
        let _ = packet.advance(Ethernet::LEN);
        packet.meta.table = interface.table;
        by_type(ether_type, interface, cx)
    }
}

impl EthernetInput {
    /// A frame with a tag, for a group, or for somebody else.
    #[cold]
    fn uncommon(&self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
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
        by_type(header.ether_type(), interface, cx)
    }

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
        by_type(tag.ether_type(), interface, cx)
    }
}

#[inline(always)]
fn by_type(ether_type: EtherType, interface: &Interface, cx: &mut Ctx<'_, EthernetInput>) -> Next {
    match ether_type {
        EtherType::IPV4 => Next::Ip4,
        EtherType::IPV6 if interface.has_ip6() => Next::Ip6,
        EtherType::IPV6 => cx.drop(Count::NoIp6),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use millrace_engine::testing::Bench;

    const OTHER: [u8; 6] = [2, 0, 0, 0, 9, 9];
    const GROUP: [u8; 6] = [1, 0, 0x5e, 0, 0, 5];
    const ALL: [u8; 6] = [0xff; 6];

    fn frame(to: [u8; 6], middle: &[u8]) -> Vec<u8> {
        [&to[..], &HOST_MAC.0, middle, b"payload"].concat()
    }

    #[test]
    fn frames() {
        let world = World::new();
        let ours = LAN_MAC.0;
        let (ip, group, tagged) = ("ip4-input", marks::LINK_MULTICAST, marks::TAGGED);
        let tag = |control: u16, kind: [u8; 2]| [&[0x81, 0][..], &control.to_be_bytes(), &kind].concat();
        for (name, frame, next, interface, table, marked, counts) in [
            ("IPv4 for us", frame(ours, &[8, 0]), ip, LAN, 0, 0, &[][..]),
            ("ARP for all", frame(ALL, &[8, 6]), "arp-input", LAN, 0, group, &[]),
            ("IPv4 for a group", frame(GROUP, &[8, 0]), ip, LAN, 0, group, &[]),
            ("IPv6", frame(ours, &[0x86, 0xdd]), "ip6-input", LAN, 0, 0, &[]),
            ("IPv6 for a group", frame([0x33, 0x33, 0, 0, 0, 1], &[0x86, 0xdd]), "ip6-input", LAN, 0, group, &[]),
            (
                "IPv6 where there is none",
                frame(ours, &tag(100, [0x86, 0xdd])),
                "drop",
                LAN_100,
                7,
                tagged,
                &[("interface has no IPv6", 1)],
            ),
            ("802.3 length", frame(ours, &[0, 7]), "drop", LAN, 0, 0, &[("unknown EtherType", 1)]),
            ("for another", frame(OTHER, &[8, 0]), "drop", LAN, 0, 0, &[("destination MAC is not ours", 1)]),
            ("VLAN 100", frame(ours, &tag(100, [8, 0])), ip, LAN_100, 7, tagged, &[]),
            ("VLAN 100, priority 5", frame(ours, &tag(0xa064, [8, 0])), ip, LAN_100, 7, tagged, &[]),
            ("VLAN 100, ARP", frame(ALL, &tag(100, [8, 6])), "arp-input", LAN_100, 7, tagged | group, &[]),
            ("VLAN 0 is none (802.1Q 6.9)", frame(ours, &tag(0, [8, 0])), ip, LAN, 0, tagged, &[]),
            (
                "unknown VLAN",
                frame(ours, &tag(101, [8, 0])),
                "drop",
                LAN,
                0,
                tagged,
                &[("no sub-interface for the VLAN", 1)],
            ),
            (
                "a VLAN whose interface goes",
                frame(ours, &tag(200, [8, 0])),
                "drop",
                LAN,
                0,
                tagged,
                &[("interface is being removed", 1)],
            ),
            (
                "VLAN 100, for another",
                frame(OTHER, &tag(100, [8, 0])),
                "drop",
                LAN_100,
                7,
                tagged,
                &[("destination MAC is not ours", 1)],
            ),
            ("two tags", frame(ours, &tag(100, [0x81, 0])), "drop", LAN_100, 7, tagged, &[("unknown EtherType", 1)]),
        ] {
            let mut bench = Bench::new(EthernetInput { forwarding: world.forwarding.clone() });
            let outcome = bench.one(&frame);
            assert_eq!(fate(&outcome), (next, counts), "{name}");
            let out = &outcome.packets[0];
            assert_eq!((out.rx_interface, out.table, out.marks), (interface, table, marked), "{name}");
            if !matches!(next, "drop") {
                assert_eq!(out.data, b"payload", "{name}");
            }
            let sub = bench.interface(LAN_100);
            let expected = if interface == LAN_100 { (1, frame.len() as u64) } else { (0, 0) };
            assert_eq!((sub.rx_packets, sub.rx_bytes), expected, "{name}: the sub-interface's counters");
        }
    }

    #[test]
    fn runts_and_missing_interfaces() {
        let mut bench = Bench::new(EthernetInput { forwarding: World::new().forwarding });
        let whole = frame(LAN_MAC.0, &[8, 0]);
        let tagged = frame(LAN_MAC.0, &[0x81, 0, 0, 100, 8, 0]);
        let short: &[_] = &[("shorter than its Ethernet header", 1)];
        for runt in [&whole[..0], &whole[..13], &tagged[..17]] {
            assert_eq!(fate(&bench.one(runt)), ("drop", short), "{} bytes", runt.len());
        }
        let outcome = bench.run(&[&whole], |meta| meta.rx_interface = 77);
        assert_eq!(fate(&outcome), ("drop", &[("interface is being removed", 1)][..]));
    }

    #[test]
    fn trace() {
        let mut bench = Bench::new(EthernetInput { forwarding: World::new().forwarding });
        let (_, text) = bench.traced(&frame(LAN_MAC.0, &[0x81, 0, 0, 100, 8, 0]), |meta| meta.rx_interface = LAN);
        assert_eq!(text, "02:00:00:00:01:0a -> 02:fe:00:00:00:01 vlan 100 type vlan");
    }
}
