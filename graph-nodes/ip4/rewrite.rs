//! ip4-rewrite: time to live, checksum, MTU, and the Ethernet header that the adjacency has ready.
//! Reads: adjacency, marks. Writes: tx interface.

use crate::forwarding::Forwarding;
use crate::icmp::error::Reason;
use crate::{icmp, interface, ip4, marks};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::adjacency::{Adjacency, AdjacencyKind};
use millrace_wire::{Ethernet, Ipv4};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("ip4-rewrite");

edges! {
    /// Out, or what stands against it.
    pub enum Next { Output => interface::output::NAME, Fragment => ip4::fragment::NAME, IcmpError => icmp::error::NAME }
}

counters! {
    /// Packets that are not sent on as they are.
    pub enum Count {
        Short => "no IPv4 header",
        Expired => "time to live ran out",
        TooBig => "longer than the MTU and may not be fragmented",
        LinkMulticast => "came as a link-layer broadcast or multicast",
        Gone => "adjacency is being removed",
        NoHeadroom => "no room for the Ethernet header",
    }
}

/// What `show trace` tells.
pub struct Trace {
    interface: u32,
    header: [u8; 14],
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interface {} header ", self.interface)?;
        self.header.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// The node.
pub struct Ip4Rewrite {
    /// Reads: adjacencies.
    pub forwarding: Forwarding,
}

impl Node for Ip4Rewrite {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let guard = cx.guard();
        let adjacency = self.forwarding.adjacencies.get(packet.meta.adjacency, &guard);
        let Some(adjacency) = adjacency.filter(|a| a.kind == AdjacencyKind::Rewrite) else {
            return cx.drop(Count::Gone);
        };
        let marks = packet.meta.marks & (marks::OWN | marks::LINK_MULTICAST);
        let Some(header) = packet.header_mut::<Ipv4>() else { return cx.drop(Count::Short) };
        if header.total_len() > adjacency.mtu {
            return too_big(adjacency.mtu, packet, cx);
        }
        // RFC 1812 section 5.3.1: a router counts down what it forwards, not what it sends.
        if marks == 0 {
            if header.ttl() <= 1 {
                return expired(packet, cx);
            }
            header.dec_ttl();
        } else if marks & marks::OWN == 0 {
            // RFC 1812 section 5.3.4: it was not meant for the router alone, so others have it, too.
            return cx.drop(Count::LinkMulticast);
        }
        packet.meta.tx_interface = adjacency.interface;
        cx.trace(packet, || Trace { interface: adjacency.interface, header: *first_14(adjacency) });
        if adjacency.rewrite_len == Ethernet::LEN as u8 && packet.retreat(Ethernet::LEN) {
            if let Some(to) = packet.data_mut().first_chunk_mut() {
                *to = *first_14(adjacency);
            }
            return Next::Output;
        }
        tagged(adjacency, packet, cx)
    }
}

#[inline(always)]
fn first_14(adjacency: &Adjacency) -> &[u8; 14] {
    const { assert!(Adjacency::MAX_REWRITE >= 14) };
    match adjacency.rewrite.first_chunk() {
        Some(header) => header,
        None => &[0; 14],
    }
}

/// A header of another length: one with a VLAN tag.
#[cold]
fn tagged(adjacency: &Adjacency, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Ip4Rewrite>) -> Next {
    let header = adjacency.header();
    if !packet.retreat(header.len()) {
        return cx.drop(Count::NoHeadroom);
    }
    if let Some(to) = packet.data_mut().get_mut(..header.len()) {
        to.copy_from_slice(header);
    }
    Next::Output
}

#[cold]
fn expired(packet: &mut Packet<'_>, cx: &mut Ctx<'_, Ip4Rewrite>) -> Next {
    cx.count(Count::Expired);
    Reason::TimeExceeded.note(packet);
    Next::IcmpError
}

/// Cut in pieces, or refused with the MTU that would do (RFC 1191 section 4). A packet that is to be forwarded is
/// counted down first: its pieces come back here as the router's own.
#[cold]
fn too_big(mtu: u16, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Ip4Rewrite>) -> Next {
    let own = packet.meta.marks & marks::OWN != 0;
    if !own && packet.meta.marks & marks::LINK_MULTICAST != 0 {
        return cx.drop(Count::LinkMulticast);
    }
    let Some(header) = packet.header_mut::<Ipv4>() else { return cx.drop(Count::Short) };
    if !own && header.ttl() <= 1 {
        return expired(packet, cx);
    }
    if header.dont_fragment() {
        cx.count(Count::TooBig);
        Reason::FragmentationNeeded { mtu }.note(packet);
        return Next::IcmpError;
    }
    if !own {
        header.dec_ttl();
        packet.meta.marks |= marks::OWN;
    }
    Next::Fragment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use etherparse::Ipv4Header;
    use millrace_engine::testing::{Bench, Outcome};

    fn rewritten(adjacency: u32, marks: u32, packet: &[u8]) -> Outcome {
        let mut world = World::new();
        world.adjacency(20, neighbour(PEER_MAC, PEER, 600));
        let mut bench = Bench::new(Ip4Rewrite { forwarding: world.forwarding });
        bench.run(&[packet], |meta| (meta.adjacency, meta.marks) = (adjacency, marks))
    }

    #[test]
    fn a_header_in_front_and_a_hop_less() {
        for (name, change) in [
            ("plain", (|_| {}) as fn(&mut Ipv4Header)),
            ("last hop but one", |h| h.time_to_live = 2),
            ("options", |h| h.options = [0x94, 4, 0, 0].into()),
            ("don't fragment", |h| h.dont_fragment = true),
        ] {
            let packet = udp_with(HOST, PEER, 1000, change);
            let outcome = rewritten(TO_PEER, 0, &packet);
            assert_eq!(fate(&outcome), ("interface-output", &[][..]), "{name}");
            assert_eq!(outcome.packets[0].tx_interface, WAN, "{name}");
            // RFC 1812 section 5.3.1; the checksum follows by RFC 1624.
            let lower = udp_with(HOST, PEER, 1000, |h| {
                change(h);
                h.time_to_live -= 1;
            });
            assert_eq!(bytes(&outcome), [&wan_header(PEER_MAC)[..], &lower].concat(), "{name}");
        }
    }

    #[test]
    fn a_vlan_tag() {
        let outcome = rewritten(TO_LAN_100, marks::OWN, &udp(HOST, PEER));
        assert_eq!(fate(&outcome), ("interface-output", &[][..]));
        assert_eq!(bytes(&outcome)[12..18], [0x81, 0, 0, 100, 8, 0]);
        assert_eq!(bytes(&outcome)[18..], udp(HOST, PEER), "what the router sends itself keeps its time to live");
        assert_eq!(outcome.packets[0].tx_interface, LAN_100);
    }

    #[test]
    fn what_is_not_sent_on_as_it_is() {
        let with = |bytes, change: fn(&mut Ipv4Header)| udp_with(HOST, PEER, bytes, change);
        let expired = |ttl: u8| udp_with(HOST, PEER, 10, |h| h.time_to_live = ttl);
        let too_big = "longer than the MTU and may not be fragmented";
        let ttl = |packet: &[u8]| packet[8];
        for (name, packet, marks, next, reason, count, ttl_after) in [
            // RFC 1812 section 5.3.1.
            ("time to live 1", expired(1), 0, "icmp4-error", Some((11, 0, 0)), Some("time to live ran out"), 1),
            ("time to live 0", expired(0), 0, "icmp4-error", Some((11, 0, 0)), Some("time to live ran out"), 0),
            ("our own with time to live 1", expired(1), marks::OWN, "interface-output", None, None, 1),
            // 600 bytes fit, 601 don't (RFC 791 section 3.2, RFC 1191 section 4).
            ("fits exactly", with(572, |_| {}), 0, "interface-output", None, None, 63),
            ("one byte too many", with(573, |_| {}), 0, "ip4-fragment", None, None, 63),
            ("our own, too long", with(573, |_| {}), marks::OWN, "ip4-fragment", None, None, 64),
            (
                "too long, time to live 1",
                with(573, |h| h.time_to_live = 1),
                0,
                "icmp4-error",
                Some((11, 0, 0)),
                Some("time to live ran out"),
                1,
            ),
            (
                "too long, don't fragment",
                with(573, |h| h.dont_fragment = true),
                0,
                "icmp4-error",
                Some((3, 4, 600)),
                Some(too_big),
                64,
            ),
        ] {
            let outcome = rewritten(20, marks, &packet);
            let counts: Vec<_> = count.map(|c| (c, 1)).into_iter().collect();
            assert_eq!(fate(&outcome), (next, &counts[..]), "{name}");
            let out = &outcome.packets[0];
            let [kind, code, low, high, ..] = out.scratch.to_le_bytes();
            if let Some(reason) = reason {
                assert_eq!((kind, code, u16::from_le_bytes([low, high])), reason, "{name}");
            }
            let ip = out.data.get(if next == "interface-output" { 14.. } else { 0.. }).unwrap();
            parsed(ip);
            assert_eq!(ttl(ip), ttl_after, "{name}: time to live");
            let own = marks & marks::OWN != 0 || next == "ip4-fragment";
            assert_eq!(out.marks & marks::OWN != 0, own, "{name}: counted down once");
        }
    }

    /// RFC 1812 section 5.3.4.
    #[test]
    fn link_layer_broadcasts_go_no_further() {
        let broadcast: &[_] = &[("came as a link-layer broadcast or multicast", 1)];
        for bytes_of_data in [10, 2000] {
            let packet = udp_with(HOST, PEER, bytes_of_data, |_| {});
            let outcome = rewritten(TO_PEER, marks::LINK_MULTICAST | marks::TAGGED, &packet);
            assert_eq!(fate(&outcome), ("drop", broadcast), "{bytes_of_data} bytes of data");
        }
        let outcome = rewritten(TO_PEER, marks::TAGGED, &udp(HOST, PEER));
        assert_eq!((fate(&outcome).0, bytes(&outcome)[14 + 8]), ("interface-output", 63), "a tag changes nothing");
    }

    #[test]
    fn adjacencies_that_changed_meanwhile() {
        let gone: &[_] = &[("adjacency is being removed", 1)];
        for adjacency in [OURS, TO_STRANGER, 99] {
            assert_eq!(fate(&rewritten(adjacency, 0, &udp(HOST, PEER))), ("drop", gone), "adjacency {adjacency}");
        }
        assert_eq!(fate(&rewritten(TO_PEER, 0, b"short")), ("drop", &[("no IPv4 header", 1)][..]));
    }
}
