//! l2-input: takes the frames of a port: finds their domain, takes off the tag that says it, and stops what no bridge passes on.
//! Reads: rx interface, scratch (of a port that is a tunnel). Writes: scratch, table, adjacency.

use super::news::News;
use super::port::Port;
use super::storm::Kind;
use super::tables::{Bridging, Found, Priority, said_behind};
use super::tagging::{Refused, enter};
use super::{flood, fwd, learn, snoop};
use crate::link_control;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::mac::Station;
use millrace_wire::{EtherType, Ethernet, MacAddr};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("l2-input");

edges! {
    /// By the destination, and what the port does.
    pub enum Next {
        Learn => learn::NAME,
        Forward => fwd::NAME,
        Flood => flood::NAME,
        Snoop => snoop::node::NAME,
        LinkControl => link_control::NAME,
    }
}

counters! {
    /// Why frames end here.
    pub enum Count {
        Short => "shorter than its Ethernet header",
        BadSource => "source MAC is no station's",
        SpanningTree => "spanning tree frame, which the bridge drops",
        Reserved => "link-local control frame",
        Broadcast => "storm control: broadcasts",
        Multicast => "storm control: multicasts",
        NoFlood => "port doesn't flood",
        NoPort => "interface is no port any more",
        Tagged => "tagged frame on an access port",
        Untagged => "frame without a tag on a trunk without a native VLAN",
        NoVlan => "VLAN is not one of the trunk's",
        NoRoom => "no room for a tag",
    }
}

/// What `show trace` tells.
pub struct Trace {
    source: Station,
    destination: Station,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} domain {}", self.source.mac(), self.destination.mac(), self.source.bridge())
    }
}

/// The node.
pub struct Input {
    /// Reads: ports. What the next nodes look up is on its way into the caches when they begin.
    pub bridging: Bridging,
}

impl Node for Input {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let interface = packet.meta.rx_interface;
        let Some(port) = self.bridging.ports.get(interface, &cx.guard()) else { return cx.drop(Count::NoPort) };
        if !port.is_plain() || port.tunnel || port.look {
            return self.uncommon(port, packet, cx);
        }
        self.take(port, port.domain, Priority::default(), interface as u16, false, packet, cx)
    }
}

/// The words that begin with the destination and with the source.
#[inline(always)]
fn words(header: &[u8; Ethernet::LEN]) -> [u64; 2] {
    // Each in one load, not byte by byte. Both are there: the header is longer than a word.
    let word = |chunk: Option<&[u8; 8]>| chunk.map_or(0, |word| u64::from_le_bytes(*word));
    [word(header.first_chunk()), word(header.last_chunk())]
}

impl Input {
    /// A frame with or without tags, out of a tunnel perhaps, at which somebody may want to look.
    #[inline(never)]
    fn uncommon(&self, port: &Port, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Input>) -> Next {
        let behind = if port.tunnel { said_behind(packet) } else { packet.meta.rx_interface as u16 };
        let entered = if port.is_plain() { Ok((port.domain, Priority::default())) } else { enter(port, packet) };
        match entered {
            Ok((domain, priority)) => {
                let look = port.look && self.looks(domain, cx);
                self.take(port, domain, priority, behind, look, packet, cx)
            }
            // What the two ends of a wire tell each other is of no VLAN (IEEE 802.1AB: LLDP frames have no tag).
            Err(Refused::Untagged) if is_for_this_end(packet) => Next::LinkControl,
            Err(refused) => cx.drop(refused.into()),
        }
    }

    /// A frame of a domain, whose source is learnt behind `behind`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "what is known of a frame, in registers")]
    fn take(
        &self,
        port: &Port,
        domain: u16,
        priority: Priority,
        behind: u16,
        look: bool,
        packet: &mut Packet<'_>,
        cx: &mut Ctx<'_, Input>,
    ) -> Next {
        let Some(header) = packet.data().first_chunk() else { return cx.drop(Count::Short) };
        let [destination, source] = words(header).map(|word| Station::from_word(domain, word));
        cx.trace(packet, || Trace { source, destination });
        if source.is_group() || source == Station::new(domain, [0; 6]) {
            return cx.drop(Count::BadSource);
        }
        let stations = &self.bridging.stations;
        let (source_place, destination_place) = (stations.place(source), stations.place(destination));
        stations.prefetch(source_place);
        stations.prefetch(destination_place);
        let forward = port.forward;
        Found { source, destination, source_place, destination_place, domain, behind, priority, forward, look }
            .put(packet);
        // Whom a packet that was routed before is for is no adjacency's business any more.
        packet.meta.adjacency = 0;
        if destination.is_group() {
            return self.group(port, destination.mac(), packet, cx);
        }
        match port.learn {
            true => Next::Learn,
            false if look => Next::Snoop,
            false => Next::Forward,
        }
    }

    /// Whether a domain wants to look at frames.
    fn looks(&self, domain: u16, cx: &Ctx<'_, Input>) -> bool {
        self.bridging.domains.get(domain.into(), &cx.guard()).is_some_and(|domain| domain.look)
    }

    /// A frame to a group.
    fn group(&self, port: &Port, dst: MacAddr, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Input>) -> Next {
        let interface = packet.meta.rx_interface;
        if is_for_this_end(packet) {
            return Next::LinkControl;
        }
        if is_spanning_tree(dst) {
            if !port.pass_spanning_tree {
                return cx.drop(Count::SpanningTree);
            }
        } else if is_reserved(dst) {
            return cx.drop(Count::Reserved);
        }
        let (kind, storm) = match dst {
            _ if !port.flood => return cx.drop(Count::NoFlood),
            MacAddr::BROADCAST => (Kind::Broadcast, Count::Broadcast),
            _ => (Kind::Multicast, Count::Multicast),
        };
        if !port.storm.allows(kind, cx.now()) {
            self.bridging.journal.tell(News::Storm { interface, kind }, cx.now());
            return cx.drop(storm);
        }
        match port.learn {
            true => Next::Learn,
            false if Found::of(packet).look => Next::Snoop,
            false => Next::Flood,
        }
    }
}

/// Whether one of the addresses that bridges don't pass on (IEEE 802.1Q-2018 table 8-1): 01-80-C2-00-00-00 to 0F.
fn is_reserved(dst: MacAddr) -> bool {
    let MacAddr([front @ .., last]) = dst;
    front == [1, 0x80, 0xc2, 0, 0] && last < 16
}

/// Whether the group of bridges that take part in a spanning tree: IEEE 802.1Q-2018 table 8-1, or Cisco's for each VLAN (PVST+).
fn is_spanning_tree(dst: MacAddr) -> bool {
    matches!(dst, MacAddr([1, 0x80, 0xc2, 0, 0, 0] | [1, 0, 0x0c, 0xcc, 0xcc, 0xcd]))
}

/// Whether a frame is for the one at this end of the wire, to a reserved group: LLDP, slow protocols.
fn is_for_this_end(packet: &Packet<'_>) -> bool {
    packet.header::<Ethernet>().is_some_and(|header| {
        is_reserved(header.dst) && matches!(header.ether_type(), EtherType::LLDP | EtherType::SLOW_PROTOCOLS)
    })
}

impl From<Refused> for Count {
    fn from(refused: Refused) -> Count {
        match refused {
            Refused::Short => Count::Short,
            Refused::Tagged => Count::Tagged,
            Refused::Untagged => Count::Untagged,
            Refused::NoVlan => Count::NoVlan,
            Refused::NoRoom => Count::NoRoom,
        }
    }
}
