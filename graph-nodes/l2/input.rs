//! l2-input: takes the frames of a port: looks where its stations may be found, and stops what no bridge passes on.
//! Reads: rx interface. Writes: scratch.

use super::news::News;
use super::port::Port;
use super::storm::Kind;
use super::tables::{Bridging, Found, Priority, said_behind};
use super::{flood, fwd, learn};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::mac::Station;
use millrace_wire::{Ethernet, MacAddr};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("l2-input");

edges! {
    /// By what the port does.
    pub enum Next { Learn => learn::NAME, Forward => fwd::NAME, Flood => flood::NAME }
}

counters! {
    /// Why frames end here.
    pub enum Count {
        Short => "shorter than its Ethernet header",
        BadSource => "source MAC is no station's",
        Reserved => "link-local control frame",
        Broadcast => "storm control: broadcasts",
        Multicast => "storm control: multicasts",
        NoFlood => "port doesn't flood",
        NoPort => "interface is no port any more",
    }
}

/// What `show trace` tells.
pub struct Trace {
    header: Ethernet,
    domain: u16,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} domain {}", self.header.src, self.header.dst, self.domain)
    }
}

/// The node.
pub struct Input {
    /// Reads: ports. Where stations may be found is computed here, once.
    pub bridging: Bridging,
}

impl Node for Input {
    const NAME: NodeName = NAME;
    const STAGES: usize = 1;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn prefetch(&mut self, _: usize, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) {
        let port = self.bridging.ports.get(packet.meta.rx_interface, &cx.guard());
        let (Some(port), Some(&Ethernet { src, dst, .. })) = (port, packet.header::<Ethernet>()) else {
            return Found::default().put(packet);
        };
        let (stations, domain) = (&self.bridging.stations, port.domain);
        let behind = if port.tunnel { said_behind(packet) } else { packet.meta.rx_interface as u16 };
        let place = |mac: MacAddr| {
            let place = stations.place(Station::new(domain, mac.0));
            stations.prefetch(place);
            place
        };
        packet.meta.adjacency = 0;
        Found { source: place(src), destination: place(dst), domain, behind, priority: Priority::default() }
            .put(packet);
    }

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let port = self.bridging.ports.get(packet.meta.rx_interface, &cx.guard());
        // It may have become another domain's, or one at all, since its stations' places were computed.
        let Some(port) = port.filter(|port| port.domain == Found::of(packet).domain) else {
            return if packet.len() < Ethernet::LEN { cx.drop(Count::Short) } else { cx.drop(Count::NoPort) };
        };
        let Some(header) = packet.header::<Ethernet>() else { return cx.drop(Count::Short) };
        cx.trace(packet, || Trace { header: *header, domain: port.domain });
        if !header.src.is_unicast() {
            return cx.drop(Count::BadSource);
        }
        if header.dst.is_multicast() {
            return self.group(port, packet.meta.rx_interface, header.dst, cx);
        }
        if port.learn { Next::Learn } else { Next::Forward }
    }
}

impl Input {
    /// A frame to a group.
    fn group(&self, port: &Port, interface: u32, dst: MacAddr, cx: &mut Ctx<'_, Input>) -> Next {
        let (kind, storm) = match dst {
            _ if is_reserved(dst) && !port.pass_spanning_tree => return cx.drop(Count::Reserved),
            _ if !port.flood => return cx.drop(Count::NoFlood),
            MacAddr::BROADCAST => (Kind::Broadcast, Count::Broadcast),
            _ => (Kind::Multicast, Count::Multicast),
        };
        if !port.storm.allows(kind, cx.now()) {
            self.bridging.journal.tell(News::Storm { interface, kind }, cx.now());
            return cx.drop(storm);
        }
        if port.learn { Next::Learn } else { Next::Flood }
    }
}

/// Whether one of the addresses that bridges don't pass on (IEEE 802.1Q-2018 table 8-1): 01-80-C2-00-00-00 to 0F.
fn is_reserved(dst: MacAddr) -> bool {
    let MacAddr([front @ .., last]) = dst;
    front == [1, 0x80, 0xc2, 0, 0] && last < 16
}
