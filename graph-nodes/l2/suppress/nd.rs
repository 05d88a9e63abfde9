//! l2-nd-term: learns from neighbour discovery which station has which IPv6 address, and answers questions for those that are known.
//! Reads: rx interface, scratch. Writes: rx and tx interface and adjacency (of answers), scratch.
//!
//! Addresses are learnt from advertisements only: a solicitation doesn't say whether its sender is a router, and an answer that left
//! that out would have hosts forget their router (RFC 4861 section 7.2.5, RFC 9161 section 3.1).

use super::super::tables::{Bridging, Found};
use super::super::{flood, fwd, output};
use super::{Binding, Seen, Sighting};
use crate::nd::check::{Checked, Message, check};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::nd::{HOP_LIMIT, LinkLayerOption, NeighborAdvertisement, NeighborFlags};
use millrace_wire::{EtherType, Ethernet, IntoBytes, IpProtocol, Ipv6, MacAddr, checksum};
use std::fmt;
use std::net::Ipv6Addr;
use std::sync::atomic::Ordering::Relaxed;

/// Its name.
pub const NAME: NodeName = NodeName::new("l2-nd-term");

edges! {
    /// Answers go out, all else where it would have gone.
    pub enum Next { Forward => fwd::NAME, Flood => flood::NAME, Output => output::NAME }
}

counters! {
    /// What was heard.
    pub enum Count {
        Answered => "solicitations answered for stations",
        Told => "addresses of stations heard that were not known",
        Unknown => "solicitations flooded: address is not known",
        Probes => "probes for duplicate addresses, which everyone hears",
        Faulty => "not looked at: against RFC 4861",
        OtherSource => "not believed: link-layer address is not the frame's source",
        BadTarget => "not believed: target address is no station's",
        TooMany => "not learnt: more than a port's share",
        QueueFull => "not learnt: queue to the control plane is full",
        NoRoom => "no room for the answer",
    }
}

/// What `show trace` tells.
pub struct Trace {
    checked: Checked,
    answer: Option<MacAddr>,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked { source, message } = self.checked;
        match (message, self.answer) {
            (Message::Solicitation { target, .. }, Some(mac)) => {
                write!(f, "{source} asks for {target}, answered: {mac}")
            }
            (Message::Solicitation { target, .. }, None) => write!(f, "{source} asks for {target}"),
            (Message::Advertisement { target, .. }, _) => write!(f, "{source} advertises {target}"),
            _ => write!(f, "from {source}"),
        }
    }
}

/// The node.
pub struct NdTerm {
    /// Reads: bindings, stations. Writes: what was seen.
    pub bridging: Bridging,
}

impl Node for NdTerm {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let header = packet.header::<Ethernet>().copied();
        let checked = packet.advance(Ethernet::LEN).then(|| {
            let checked = check(packet).ok();
            let _ = packet.retreat(Ethernet::LEN);
            checked
        });
        let (Some(header), Some(checked)) = (header, checked.flatten()) else {
            cx.count(Count::Faulty);
            return on(packet);
        };
        let guard = cx.guard();
        let answer = match checked.message {
            Message::Solicitation { target, mac } => {
                self.solicited(header, checked.source, target, mac, packet, cx).map(|found| (found, target))
            }
            Message::Advertisement { target, mac, flags } => {
                self.advertised(header, target, mac, flags, packet, cx);
                None
            }
            _ => None,
        };
        cx.trace(packet, || Trace { checked, answer: answer.map(|((binding, _), _)| binding.mac) });
        let Some(((binding, port), target)) = answer else { return on(packet) };
        let _ = guard;
        if !write(packet, binding, (target, checked.source), header.src) {
            return cx.drop(Count::NoRoom);
        }
        super::turn(packet, port);
        cx.count(Count::Answered);
        Next::Output
    }
}

impl NdTerm {
    /// Finds the answer to a question: the station, and the port that it is behind.
    fn solicited<'w>(
        &self,
        header: Ethernet,
        source: Ipv6Addr,
        target: Ipv6Addr,
        mac: Option<MacAddr>,
        packet: &Packet<'_>,
        cx: &mut Ctx<'w, Self>,
    ) -> Option<(&'w Binding, u32)> {
        let guard = cx.guard();
        // RFC 4862 section 5.4: whoever has the address has to hear that another is about to take it (RFC 9161 section 3.2).
        if source.is_unspecified() {
            cx.count(Count::Probes);
            return None;
        }
        if mac.is_some_and(|mac| mac != header.src) {
            cx.count(Count::OtherSource);
            return None;
        }
        // It confirms what is known, and tells nothing new.
        let bindings = &self.bridging.snoop.bindings;
        if let Some(known) = bindings.find(Found::of(packet).domain, source.into(), &guard)
            && known.mac == header.src
        {
            known.seen.store(super::at(cx.now()), Relaxed);
        }
        // A question to one station alone asks whether that one is there (RFC 4861 section 7.3.3).
        if !header.dst.is_multicast() {
            return None;
        }
        let answer = super::answer(&self.bridging, &guard, packet, target.into(), header.src);
        if answer.is_none() {
            cx.count(Count::Unknown);
        }
        answer
    }

    /// Learns from an advertisement.
    fn advertised(
        &self,
        header: Ethernet,
        target: Ipv6Addr,
        mac: Option<MacAddr>,
        flags: NeighborFlags,
        packet: &Packet<'_>,
        cx: &mut Ctx<'_, Self>,
    ) {
        if mac.is_some_and(|mac| mac != header.src) {
            return cx.count(Count::OtherSource);
        }
        if target.is_unspecified() || target.is_loopback() {
            return cx.count(Count::BadTarget);
        }
        let seen = Seen {
            interface: packet.meta.rx_interface,
            domain: Found::of(packet).domain,
            address: target.into(),
            mac: header.src,
            router: flags.router,
            override_: flags.override_,
        };
        match super::saw(&self.bridging, &cx.guard(), seen, cx.now()) {
            Sighting::Known => {}
            Sighting::Told => cx.count(Count::Told),
            Sighting::TooMany => cx.count(Count::TooMany),
            Sighting::QueueFull => cx.count(Count::QueueFull),
        }
    }
}

/// Makes the packet the advertisement (RFC 4861 section 7.2.4) that the station would send: from `target`, to who asked. False when there
/// is no room.
fn write(packet: &mut Packet<'_>, binding: &Binding, (target, to): (Ipv6Addr, Ipv6Addr), asker: MacAddr) -> bool {
    let Binding { mac, router, override_, .. } = *binding;
    let mut header = NeighborAdvertisement::new(NeighborFlags { router, solicited: true, override_ }, target);
    let option = LinkLayerOption::target(mac);
    let mut message = [0; NeighborAdvertisement::LEN + LinkLayerOption::LEN];
    let (first, last) = message.split_at_mut(NeighborAdvertisement::LEN);
    first.copy_from_slice(header.as_bytes());
    last.copy_from_slice(option.as_bytes());
    header.icmp.set_checksum(checksum::icmp6(target, to, &message));
    let ip = Ipv6::new(target, to, IpProtocol::ICMP6, HOP_LIMIT, message.len() as u16);
    let frame = Ethernet::new(asker, mac, EtherType::IPV6);
    packet.truncate(0);
    let pieces = [frame.as_bytes(), ip.as_bytes(), header.as_bytes(), option.as_bytes()];
    let written: usize = pieces.into_iter().map(|piece| packet.extend(piece)).sum();
    written == Ethernet::LEN + Ipv6::LEN + message.len()
}

/// Where a frame goes that is not answered.
fn on(packet: &Packet<'_>) -> Next {
    let group = packet.header::<Ethernet>().is_some_and(|header| header.dst.is_multicast());
    if group { Next::Flood } else { Next::Forward }
}
