//! l2-arp-term: learns from ARP which station has which IPv4 address, and answers questions for those that are known.
//! Reads: rx interface, scratch. Writes: rx and tx interface and adjacency (of answers), scratch.

use super::super::tables::{Bridging, Found};
use super::super::{flood, fwd, output};
use super::{Seen, Sighting};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{Arp, ArpOperation, Ethernet, MacAddr};
use std::fmt;
use std::net::Ipv4Addr;

/// Its name.
pub const NAME: NodeName = NodeName::new("l2-arp-term");

edges! {
    /// Answers go out, all else where it would have gone.
    pub enum Next { Forward => fwd::NAME, Flood => flood::NAME, Output => output::NAME }
}

counters! {
    /// What was heard.
    pub enum Count {
        Answered => "requests answered for stations",
        Told => "addresses of stations heard that were not known",
        Unknown => "requests flooded: address is not known",
        Probes => "probes and announcements, which everyone hears",
        Short => "not looked at: no ARP packet for IPv4 over Ethernet",
        OtherSource => "not believed: sender MAC is not the frame's source",
        BadSender => "not believed: sender address is no station's",
        TooMany => "not learnt: more than a port's share",
        QueueFull => "not learnt: queue to the control plane is full",
    }
}

/// What `show trace` tells.
pub struct Trace {
    arp: Arp,
    answer: Option<MacAddr>,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sender, target) = (self.arp.sender(), self.arp.target());
        match (self.arp.operation(), self.answer) {
            (ArpOperation::REQUEST, Some(mac)) => write!(f, "{sender} asks for {target}, answered: {mac}"),
            (ArpOperation::REQUEST, None) => write!(f, "{sender} asks for {target}"),
            _ => write!(f, "{sender} is at {}", self.arp.sender_mac),
        }
    }
}

/// The node.
pub struct ArpTerm {
    /// Reads: bindings, stations. Writes: what was seen.
    pub bridging: Bridging,
}

impl Node for ArpTerm {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let header = packet.header::<Ethernet>().copied();
        let arp = packet.data().get(Ethernet::LEN..).and_then(super::super::snoop::read::<Arp>).copied();
        let (Some(header), Some(arp)) = (header, arp.filter(Arp::is_ipv4_over_ethernet)) else {
            cx.count(Count::Short);
            return on(packet);
        };
        let answer = self.heard(header, &arp, packet, cx);
        cx.trace(packet, || Trace { arp, answer: answer.map(|(mac, _)| mac) });
        let Some((mac, port)) = answer else { return on(packet) };
        packet.truncate(Ethernet::LEN + Arp::LEN);
        if let Some(header) = packet.header_mut::<Ethernet>() {
            (header.dst, header.src) = (arp.sender_mac, mac);
        }
        let _ = packet.advance(Ethernet::LEN);
        if let Some(packet) = packet.header_mut::<Arp>() {
            *packet = arp.reply(mac);
        }
        let _ = packet.retreat(Ethernet::LEN);
        super::turn(packet, port);
        cx.count(Count::Answered);
        Next::Output
    }
}

impl ArpTerm {
    /// Learns from a packet, and finds the answer to it: the station that is asked for, and the port that it is behind.
    fn heard(
        &self,
        header: Ethernet,
        arp: &Arp,
        packet: &Packet<'_>,
        cx: &mut Ctx<'_, Self>,
    ) -> Option<(MacAddr, u32)> {
        let (sender, target, guard) = (arp.sender(), arp.target(), cx.guard());
        let asks = arp.operation() == ArpOperation::REQUEST;
        // A probe (RFC 5227 section 1.1) tells nothing of its sender yet; it and an announcement are for all to hear, so that whoever has
        // the address, too, may object (RFC 9161 section 3.2).
        if asks && sender == Ipv4Addr::UNSPECIFIED {
            cx.count(Count::Probes);
            return None;
        }
        if arp.sender_mac != header.src {
            cx.count(Count::OtherSource);
            return None;
        }
        if !is_station(sender) {
            cx.count(Count::BadSender);
            return None;
        }
        let seen = Seen {
            interface: packet.meta.rx_interface,
            domain: Found::of(packet).domain,
            address: sender.into(),
            mac: arp.sender_mac,
            router: false,
            override_: true,
        };
        match super::saw(&self.bridging, &guard, seen, cx.now()) {
            Sighting::Known => {}
            Sighting::Told => cx.count(Count::Told),
            Sighting::TooMany => cx.count(Count::TooMany),
            Sighting::QueueFull => cx.count(Count::QueueFull),
        }
        if sender == target {
            cx.count(Count::Probes);
            return None;
        }
        // A question to one station alone asks whether that one is there (RFC 1122 section 2.3.2.1).
        if !asks || !header.dst.is_broadcast() {
            return None;
        }
        let answer = super::answer(&self.bridging, &guard, packet, target.into(), arp.sender_mac);
        if answer.is_none() {
            cx.count(Count::Unknown);
        }
        answer.map(|(binding, port)| (binding.mac, port))
    }
}

/// Where a frame goes that is not answered.
fn on(packet: &Packet<'_>) -> Next {
    let group = packet.header::<Ethernet>().is_some_and(|header| header.dst.is_multicast());
    if group { Next::Flood } else { Next::Forward }
}

/// Whether a station may have an address.
const fn is_station(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback() || address.is_broadcast())
}
