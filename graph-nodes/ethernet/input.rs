//! ethernet-input: checks that a frame is for us, takes off its header and tags, and sends it by its EtherType.
//! Reads: rx interface. Writes: rx interface (a sub-interface's), table, marks.

use crate::forwarding::{Forwarding, Interface};
use crate::{arp, interface, ip4, ip6, link_control, marks};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{EtherType, Ethernet, MacAddr, Tags, Vlan};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("ethernet-input");

edges! {
    /// By EtherType; or by its tags to a sub-interface that is a bridge's.
    pub enum Next {
        Ip4 => ip4::input::NAME,
        Ip6 => ip6::input::NAME,
        Arp => arp::input::NAME,
        LinkControl => link_control::NAME,
        Switched => interface::input::NAME,
    }
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
    outer: Option<u16>,
    inner: Option<u16>,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} ", self.header.src, self.header.dst)?;
        match (self.outer, self.inner) {
            (None, _) => {}
            (Some(outer), None) => write!(f, "vlan {outer} ")?,
            (Some(outer), Some(inner)) => write!(f, "vlan {outer}.{inner} ")?,
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
        let next = match header.ether_type() {
            EtherType::IPV4 => Next::Ip4,
            EtherType::IPV6 if interface.has_ip6() => Next::Ip6,
            _ => return self.uncommon(packet, cx),
        };
        if header.dst != interface.mac {
            return self.uncommon(packet, cx);
        }
        cx.trace(packet, || Trace { header: *header, outer: None, inner: None });
        let _ = packet.advance(Ethernet::LEN);
        packet.meta.table = interface.table;
        next
    }
}

#[inline(always)]
const fn is_tag(ether_type: EtherType) -> bool {
    matches!(ether_type, EtherType::VLAN | EtherType::SERVICE_VLAN)
}

impl EthernetInput {
    /// A frame with a tag, of another protocol, for a group, or for somebody else.
    #[cold]
    fn uncommon(&self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(&header) = packet.header::<Ethernet>() else { return cx.drop(Count::Short) };
        let Some(interface) = self.forwarding.interfaces.get(packet.meta.rx_interface, &cx.guard()) else {
            return cx.drop(Count::NoInterface);
        };
        if is_tag(header.ether_type()) {
            return self.tagged(packet, header, interface, cx);
        }
        cx.trace(packet, || Trace { header, outer: None, inner: None });
        let for_control = matches!(header.ether_type(), EtherType::LLDP | EtherType::SLOW_PROTOCOLS);
        if for_control && header.dst.is_multicast() {
            return Next::LinkControl;
        }
        let _ = packet.advance(Ethernet::LEN);
        packet.meta.table = interface.table;
        if header.dst != interface.mac && !accept_group(packet, header.dst) {
            return cx.drop(Count::NotForUs);
        }
        by_type(header.ether_type(), interface, cx)
    }

    fn tagged(&self, packet: &mut Packet<'_>, header: Ethernet, parent: &Interface, cx: &mut Ctx<'_, Self>) -> Next {
        let Some((outer, ether_type)) = tag(packet, Ethernet::LEN) else { return cx.drop(Count::Short) };
        let inner = if ether_type == EtherType::VLAN { tag(packet, Ethernet::LEN + Vlan::LEN) } else { None };
        cx.trace(packet, || Trace { header, outer: Some(outer), inner: inner.map(|(vlan, _)| vlan) });
        let find = |inner: Option<u16>| {
            let tags = Tags { tag_type: header.ether_type(), outer, inner };
            let found = parent.sub_interfaces.binary_search_by_key(&tags, |(tags, _)| *tags).ok()?;
            parent.sub_interfaces.get(found).map(|(_, index)| *index)
        };
        // VLAN 0 carries a priority only: the frame is as one without the tag (802.1Q clause 6.9).
        let (index, ether_type, tags) = match (outer, inner) {
            (0, _) => (Some(packet.meta.rx_interface), ether_type, 1),
            (_, None) => (find(None), ether_type, 1),
            (_, Some((0, behind))) => (find(None), behind, 2),
            (_, Some((vlan, behind))) => match find(Some(vlan)) {
                Some(index) => (Some(index), behind, 2),
                None => (find(None), ether_type, 1),
            },
        };
        let Some(index) = index else { return cx.drop(Count::UnknownVlan) };
        let Some(interface) = self.forwarding.interfaces.get(index, &cx.guard()) else {
            return cx.drop(Count::NoInterface);
        };
        let is_sub = index != packet.meta.rx_interface;
        packet.meta.rx_interface = index;
        // A bridge has its own way with tags, and with whom a frame is for.
        if interface.switched && is_sub {
            return Next::Switched;
        }
        if is_sub {
            let counters = cx.interface(index);
            counters.rx_packets.add(1);
            counters.rx_bytes.add(packet.total_len() as u64);
        }
        let _ = packet.advance(Ethernet::LEN + tags * Vlan::LEN);
        packet.meta.marks |= if tags == 1 { marks::TAGGED } else { marks::TAGGED | marks::TAGGED_TWICE };
        packet.meta.table = interface.table;
        if header.dst != interface.mac && !accept_group(packet, header.dst) {
            return cx.drop(Count::NotForUs);
        }
        by_type(ether_type, interface, cx)
    }
}

/// The tag at an offset: its VLAN, and the EtherType behind it.
fn tag(packet: &Packet<'_>, at: usize) -> Option<(u16, EtherType)> {
    let [a, b, c, d] = *packet.data().get(at..)?.first_chunk()?;
    Some((u16::from_be_bytes([a, b]) & 0xfff, EtherType(u16::from_be_bytes([c, d]))))
}

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
                0,
                &[("no sub-interface for the VLAN", 1)],
            ),
            (
                "a VLAN whose interface goes",
                frame(ours, &tag(200, [8, 0])),
                "drop",
                LAN,
                0,
                0,
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

    /// Two tags, and which of them a sub-interface of the wan has.
    #[test]
    fn two_tags() {
        let mut world = World::new();
        let (q, ad) = (EtherType::VLAN, EtherType::SERVICE_VLAN);
        let (outer, both, both_q, bridged) = (20, 21, 22, 23);
        let subs = [
            (Tags { tag_type: q, outer: 200, inner: Some(7) }, both_q),
            (Tags { tag_type: ad, outer: 200, inner: None }, outer),
            (Tags { tag_type: ad, outer: 200, inner: Some(7) }, both),
            (Tags { tag_type: ad, outer: 300, inner: None }, bridged),
        ];
        assert!(subs.is_sorted());
        for (tags, index) in subs {
            let switched = index == bridged;
            let sub =
                Interface { mac: WAN_MAC, mtu: 1500, table: index, tags: Some(tags), switched, ..Interface::default() };
            world.interface(index, sub);
        }
        let wan = Interface { mac: WAN_MAC, mtu: 1500, sub_interfaces: subs.to_vec(), ..Interface::default() };
        world.interface(WAN, wan);
        let mut bench = Bench::new(EthernetInput { forwarding: world.forwarding.clone() });
        let (once, twice) = (marks::TAGGED, marks::TAGGED | marks::TAGGED_TWICE);
        let unknown: &[_] = &[("no sub-interface for the VLAN", 1)];
        let no_type: &[_] = &[("unknown EtherType", 1)];
        for (name, tags, next, interface, marked, left, counts) in [
            ("both", &[(ad, 200), (q, 7)][..], "ip4-input", both, twice, 22, &[][..]),
            ("of the other kind", &[(q, 200), (q, 7)], "ip4-input", both_q, twice, 22, &[]),
            ("priorities", &[(ad, 0xe0c8), (q, 0x2007)], "ip4-input", both, twice, 22, &[]),
            ("the outer one only", &[(ad, 200)], "ip4-input", outer, once, 18, &[]),
            ("a priority behind it (802.1Q 6.9)", &[(ad, 200), (q, 0xe000)], "ip4-input", outer, twice, 22, &[]),
            ("another behind it", &[(ad, 200), (q, 8)], "drop", outer, once, 18, no_type),
            ("no such outer one", &[(ad, 201), (q, 7)], "drop", WAN, 0, 0, unknown),
            ("one of the other kind", &[(q, 200)], "drop", WAN, 0, 0, unknown),
            ("a bridge's", &[(ad, 300)], "interface-input", bridged, 0, 0, &[]),
            ("a bridge's, with one of its own", &[(ad, 300), (q, 7)], "interface-input", bridged, 0, 0, &[]),
        ] {
            let tags: Vec<u8> = tags
                .iter()
                .flat_map(|(kind, control)| [kind.0.to_be_bytes(), u16::to_be_bytes(*control)].concat())
                .collect();
            let bytes = frame(WAN_MAC.0, &[&tags[..], &[8, 0]].concat());
            let outcome = bench.run(&[&bytes], |meta| meta.rx_interface = WAN);
            let out = &outcome.packets[0];
            assert_eq!(fate(&outcome), (next, counts), "{name}");
            assert_eq!((out.rx_interface, out.marks, &out.data[..]), (interface, marked, &bytes[left..]), "{name}");
        }
        let foreign = frame(OTHER, &[0x88, 0xa8, 1, 44, 8, 0]);
        let outcome = bench.run(&[&foreign], |meta| meta.rx_interface = WAN);
        assert_eq!(fate(&outcome), ("interface-input", &[][..]), "a bridge takes frames for anybody");
        let counted = |interface| bench.interface(interface).rx_packets;
        assert_eq!((counted(both), counted(both_q), counted(outer), counted(bridged)), (2, 1, 3, 0));
    }

    #[test]
    fn what_ends_at_the_other_end_of_the_wire_is_controls() {
        let mut bench = Bench::new(EthernetInput { forwarding: World::new().forwarding });
        let group = [1, 0x80, 0xc2, 0, 0, 2];
        let not_ours: &[_] = &[("destination MAC is not ours", 1)];
        for (name, bytes, next, counts) in [
            ("slow protocols", frame(group, &[0x88, 9]), "link-control", &[][..]),
            ("LLDP", frame(group, &[0x88, 0xcc]), "link-control", &[]),
            ("LLDP for another", frame(OTHER, &[0x88, 0xcc]), "drop", not_ours),
            ("LLDP for us alone", frame(LAN_MAC.0, &[0x88, 0xcc]), "drop", &[("unknown EtherType", 1)]),
        ] {
            let outcome = bench.one(&bytes);
            assert_eq!(fate(&outcome), (next, counts), "{name}");
            if next == "link-control" {
                assert_eq!(outcome.packets[0].data, bytes, "{name}: the whole frame");
            }
        }
    }

    #[test]
    fn trace() {
        let mut bench = Bench::new(EthernetInput { forwarding: World::new().forwarding });
        let (_, text) = bench.traced(&frame(LAN_MAC.0, &[0x81, 0, 0, 100, 8, 0]), |meta| meta.rx_interface = LAN);
        assert_eq!(text, "02:00:00:00:01:0a -> 02:fe:00:00:00:01 vlan 100 type vlan");
        let two = frame(LAN_MAC.0, &[0x88, 0xa8, 0, 200, 0x81, 0, 0, 7, 8, 0]);
        let (_, text) = bench.traced(&two, |meta| meta.rx_interface = LAN);
        assert_eq!(text, "02:00:00:00:01:0a -> 02:fe:00:00:00:01 vlan 200.7 type service-vlan");
    }
}
