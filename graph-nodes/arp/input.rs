//! arp-input: answers questions for the receiving interface's own addresses, and reports stations to the control plane.
//! Reads: rx interface, marks. Writes: tx interface.
//!
//! A packet has to be right in every field to be believed (RFC 826 "Packet Reception", RFC 1812 section 3.3.2). An
//! address conflict (RFC 5227 section 2.4) is counted, not defended.

use crate::arp::{ArpEvent, ArpEvents, HeardKind};
use crate::forwarding::{Forwarding, Interface};
use crate::{interface, marks};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{Arp, ArpOperation, EtherType, Ethernet, IntoBytes, MacAddr, Vlan};
use std::fmt;
use std::net::Ipv4Addr;

/// Its name.
pub const NAME: NodeName = NodeName::new("arp-input");

edges! {
    /// Answers leave by the interface that the question came in by.
    pub enum Next { Output => interface::output::NAME }
}

counters! {
    /// What came.
    pub enum Count {
        Answered => "requests answered",
        Learnt => "replies to us",
        Gratuitous => "gratuitous announcements",
        NotForUs => "target address is not ours",
        Short => "shorter than an ARP packet",
        NotIp4 => "not IPv4 over Ethernet",
        UnknownOperation => "neither request nor reply",
        BadSenderMac => "sender MAC is zero or a group",
        NoInterface => "interface is being removed",
        Conflict => "another station claims our address",
        Loop => "our own packet came back",
        ForeignSender => "sender address is no station of the interface's subnets",
        OtherSource => "sender MAC is not the frame's source (accepted)",
        EventsFull => "queue to the control plane is full",
        NoHeadroom => "no room for the Ethernet header",
    }
}

/// What `show trace` tells.
pub struct Trace(Arp);

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arp { sender_mac, .. } = self.0;
        match self.0.operation() {
            ArpOperation::REQUEST => write!(f, "who has {}? tell {} at {sender_mac}", self.0.target(), self.0.sender()),
            ArpOperation::REPLY => write!(f, "{} is at {sender_mac}, to {}", self.0.sender(), self.0.target()),
            ArpOperation(other) => write!(f, "operation {other}"),
        }
    }
}

/// The node.
pub struct ArpInput {
    /// Reads: interfaces.
    pub forwarding: Forwarding,
    /// Where stations are reported.
    pub events: ArpEvents,
}

impl Node for ArpInput {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(&arp) = packet.header::<Arp>() else { return cx.drop(Count::Short) };
        cx.trace(packet, || Trace(arp));
        let index = packet.meta.rx_interface;
        let Some(interface) = self.forwarding.interfaces.get(index, &cx.guard()) else {
            return cx.drop(Count::NoInterface);
        };
        if let Some(fault) = fault(&arp, interface) {
            return cx.drop(fault);
        }
        if frame_source(packet).is_some_and(|source| source != arp.sender_mac) {
            cx.count(Count::OtherSource);
        }
        let for_us = interface.owns(arp.target());
        // Whether a sender without an address probes for ours (RFC 5227 section 2.1.1), there is nobody to report.
        let sender = Some(arp.sender()).filter(|s| *s != Ipv4Addr::UNSPECIFIED);
        let (kind, done) = match arp.operation() {
            _ if sender == Some(arp.target()) => (HeardKind::Gratuitous, Some(Count::Gratuitous)),
            _ if !for_us => return cx.consume(Count::NotForUs),
            ArpOperation::REQUEST => (HeardKind::Request, None),
            _ => (HeardKind::Reply, Some(Count::Learnt)),
        };
        if let Some(address) = sender
            && !self.events.push(ArpEvent::Heard { interface: index, address, mac: arp.sender_mac, kind })
        {
            cx.count(Count::EventsFull);
        }
        match done {
            Some(count) => cx.consume(count),
            None => answer(&arp, interface, packet, cx),
        }
    }
}

/// What is wrong with a packet, if anything.
fn fault(arp: &Arp, interface: &Interface) -> Option<Count> {
    let sender = arp.sender();
    // RFC 826: "Do I have the hardware type? Do I speak the protocol?"
    if !arp.is_ipv4_over_ethernet() {
        return Some(Count::NotIp4);
    }
    if !matches!(arp.operation(), ArpOperation::REQUEST | ArpOperation::REPLY) {
        return Some(Count::UnknownOperation);
    }
    // RFC 1812 section 3.3.2: a router must not believe that a group or broadcast MAC address is a station's.
    if !arp.sender_mac.is_unicast() {
        return Some(Count::BadSenderMac);
    }
    if interface.owns(sender) {
        return Some(if arp.sender_mac == interface.mac { Count::Loop } else { Count::Conflict });
    }
    let probe = sender == Ipv4Addr::UNSPECIFIED && arp.operation() == ArpOperation::REQUEST;
    (!probe && !interface.is_neighbour(sender)).then_some(Count::ForeignSender)
}

/// The source of the frame, which lies before the network header.
fn frame_source(packet: &mut Packet<'_>) -> Option<MacAddr> {
    let back = Ethernet::LEN + if packet.meta.marks & marks::TAGGED != 0 { Vlan::LEN } else { 0 };
    if !packet.retreat(back) {
        return None;
    }
    let source = packet.header::<Ethernet>().map(|header| header.src);
    let _ = packet.advance(back);
    source
}

/// Turns the request into its reply, in place.
fn answer(arp: &Arp, interface: &Interface, packet: &mut Packet<'_>, cx: &mut Ctx<'_, ArpInput>) -> Next {
    packet.truncate(Arp::LEN);
    if let Some(to) = packet.header_mut::<Arp>() {
        *to = arp.reply(interface.mac);
    }
    let mut header = Ethernet::new(arp.sender_mac, interface.mac, EtherType::ARP);
    if let Some(vlan) = interface.vlan {
        if !put_before(packet, Vlan::new(vlan, EtherType::ARP).as_bytes()) {
            return cx.drop(Count::NoHeadroom);
        }
        header.set_ether_type(EtherType::VLAN);
    }
    if !put_before(packet, header.as_bytes()) {
        return cx.drop(Count::NoHeadroom);
    }
    packet.meta.tx_interface = packet.meta.rx_interface;
    cx.count(Count::Answered);
    Next::Output
}

fn put_before(packet: &mut Packet<'_>, header: &[u8]) -> bool {
    let fits = packet.retreat(header.len());
    if fits && let Some(to) = packet.data_mut().get_mut(..header.len()) {
        to.copy_from_slice(header);
    }
    fits
}
