//! arp-input: answers questions for the receiving interface's own addresses and those that it stands in for (external
//! addresses of NAT), and reports stations to the control plane.
//! Reads: rx interface, marks. Writes: tx interface.
//!
//! A packet has to be right in every field to be believed (RFC 826 "Packet Reception", RFC 1812 section 3.3.2). An
//! address conflict (RFC 5227 section 2.4) is counted, not defended.

use crate::ethernet::frame;
use crate::forwarding::{Forwarding, Interface};
use crate::interface;
use crate::neighbor_events::{HeardKind, NeighborEvent, NeighborEvents};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{Arp, ArpOperation, EtherType};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

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
    pub events: NeighborEvents,
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
        if frame::source(packet).is_some_and(|source| source != arp.sender_mac) {
            cx.count(Count::OtherSource);
        }
        let for_us = interface.answers_for(arp.target());
        // Whether a sender without an address probes for ours (RFC 5227 section 2.1.1), there is nobody to report.
        let sender = Some(arp.sender()).filter(|s| *s != Ipv4Addr::UNSPECIFIED);
        let (kind, done) = match arp.operation() {
            _ if sender == Some(arp.target()) => (HeardKind::Gratuitous, Some(Count::Gratuitous)),
            _ if !for_us => return cx.consume(Count::NotForUs),
            ArpOperation::REQUEST => (HeardKind::Request, None),
            _ => (REPLY, Some(Count::Learnt)),
        };
        if let Some(address) = sender.map(IpAddr::V4)
            && !self.events.push(NeighborEvent::Heard { interface: index, address, mac: arp.sender_mac, kind })
        {
            cx.count(Count::EventsFull);
        }
        match done {
            Some(count) => cx.consume(count),
            None => answer(&arp, interface, packet, cx),
        }
    }
}

/// A reply answers a question and replaces what is known (RFC 826 "Packet Reception").
const REPLY: HeardKind = HeardKind::Reply { solicited: true, override_: true, router: false };

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
    if interface.answers_for(sender) {
        return Some(if arp.sender_mac == interface.mac { Count::Loop } else { Count::Conflict });
    }
    let probe = sender == Ipv4Addr::UNSPECIFIED && arp.operation() == ArpOperation::REQUEST;
    (!probe && !interface.is_neighbour(sender)).then_some(Count::ForeignSender)
}

/// Turns the request into its reply, in place.
fn answer(arp: &Arp, interface: &Interface, packet: &mut Packet<'_>, cx: &mut Ctx<'_, ArpInput>) -> Next {
    packet.truncate(Arp::LEN);
    if let Some(to) = packet.header_mut::<Arp>() {
        *to = arp.reply(interface.mac);
    }
    if !frame::put_in_front(packet, interface, arp.sender_mac, EtherType::ARP) {
        return cx.drop(Count::NoHeadroom);
    }
    packet.meta.tx_interface = packet.meta.rx_interface;
    cx.count(Count::Answered);
    Next::Output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marks;
    use crate::testing::*;
    use millrace_engine::Waker;
    use millrace_engine::testing::Bench;
    use millrace_wire::MacAddr;

    const GROUP: MacAddr = MacAddr([1, 0, 0x5e, 0, 0, 1]);
    const UNSET: MacAddr = MacAddr::ZERO;
    const NEW: (MacAddr, Ip) = (HOST_MAC, HOST);

    fn arp(operation: u8, sender: (MacAddr, Ip), target: (MacAddr, Ip)) -> Vec<u8> {
        let fixed = [0, 1, 8, 0, 6, 4, 0, operation];
        [&fixed[..], &sender.0.0, &sender.1, &target.0.0, &target.1].concat()
    }

    fn frame(ethernet: &[u8], packet: &[u8]) -> Vec<u8> {
        [&MacAddr::BROADCAST.0[..], &HOST_MAC.0, ethernet, packet].concat()
    }

    fn bench() -> Bench<ArpInput> {
        let events = NeighborEvents::new(Waker::new().unwrap());
        let mut bench = Bench::new(ArpInput { forwarding: World::new().forwarding, events });
        bench.skip = 14;
        bench
    }

    fn events() -> (NeighborEvents, Bench<ArpInput>) {
        let events = NeighborEvents::new(Waker::new().unwrap());
        let mut bench = Bench::new(ArpInput { forwarding: World::new().forwarding, events: events.clone() });
        bench.skip = 14;
        (events, bench)
    }

    fn heard(kind: HeardKind) -> Option<NeighborEvent> {
        Some(NeighborEvent::Heard { interface: LAN, address: HOST.into(), mac: HOST_MAC, kind })
    }

    #[test]
    fn what_is_believed() {
        let (us, other) = ((LAN_MAC, LAN_IP), (PEER_MAC, [192, 168, 1, 77]));
        let question = |target: Ip| arp(1, NEW, (UNSET, target));
        let foreign = "sender address is no station of the interface's subnets";
        for (name, packet, next, reason, event) in [
            ("a question for us", question(LAN_IP), "interface-output", "requests answered", heard(HeardKind::Request)),
            ("for our other address", question([10, 9, 0, 1]), "interface-output", "requests answered", {
                heard(HeardKind::Request)
            }),
            // RFC 5227 section 2.1.1: answered, but there is nobody to learn.
            (
                "a probe for us",
                arp(1, (HOST_MAC, [0; 4]), (UNSET, LAN_IP)),
                "interface-output",
                "requests answered",
                None,
            ),
            (
                "a probe for another",
                arp(1, (HOST_MAC, [0; 4]), (UNSET, other.1)),
                "consumed",
                "target address is not ours",
                None,
            ),
            ("a question for another", question(other.1), "consumed", "target address is not ours", None),
            ("a question for our wan address", question(WAN_IP), "consumed", "target address is not ours", None),
            ("an answer to us", arp(2, NEW, us), "consumed", "replies to us", heard(REPLY)),
            ("an answer to another", arp(2, NEW, other), "consumed", "target address is not ours", None),
            // RFC 5227 section 3: an announcement may be a request or a reply.
            ("an announcement", question(HOST), "consumed", "gratuitous announcements", heard(HeardKind::Gratuitous)),
            (
                "an announcement as a reply",
                arp(2, NEW, (MacAddr::BROADCAST, HOST)),
                "consumed",
                "gratuitous announcements",
                heard(HeardKind::Gratuitous),
            ),
            // RFC 5227 section 2.4.
            (
                "another has our address",
                arp(2, (HOST_MAC, LAN_IP), other),
                "drop",
                "another station claims our address",
                None,
            ),
            ("our own announcement", arp(1, us, (UNSET, LAN_IP)), "drop", "our own packet came back", None),
            ("from another subnet", arp(1, (HOST_MAC, PEER), (UNSET, LAN_IP)), "drop", foreign, None),
            (
                "from the subnet's broadcast",
                arp(1, (HOST_MAC, [192, 168, 1, 255]), (UNSET, LAN_IP)),
                "drop",
                foreign,
                None,
            ),
            ("an answer from nobody", arp(2, (HOST_MAC, [0; 4]), us), "drop", foreign, None),
            // RFC 1812 section 3.3.2.
            (
                "a group as the sender",
                arp(1, (GROUP, HOST), (UNSET, LAN_IP)),
                "drop",
                "sender MAC is zero or a group",
                None,
            ),
            (
                "no sender",
                arp(1, (MacAddr::ZERO, HOST), (UNSET, LAN_IP)),
                "drop",
                "sender MAC is zero or a group",
                None,
            ),
            ("operation 3, RARP", arp(3, NEW, (UNSET, LAN_IP)), "drop", "neither request nor reply", None),
            ("27 bytes", question(LAN_IP)[..27].to_vec(), "drop", "shorter than an ARP packet", None),
        ] {
            let (queue, mut bench) = events();
            let outcome = bench.one(&frame(&[8, 6], &packet));
            assert_eq!(fate(&outcome), (next, &[(reason, 1)][..]), "{name}");
            assert_eq!((queue.pop(), queue.pop()), (event, None), "{name}: what control hears");
        }
    }

    /// RFC 826, "Packet Reception".
    #[test]
    fn other_hardware_and_protocols() {
        for (at, value) in [(1, 6), (2, 0x86), (4, 8), (5, 16)] {
            let mut packet = arp(1, NEW, (UNSET, LAN_IP));
            packet[at] = value;
            let outcome = bench().one(&frame(&[8, 6], &packet));
            assert_eq!(fate(&outcome), ("drop", &[("not IPv4 over Ethernet", 1)][..]), "byte {at}");
        }
    }

    #[test]
    fn the_answer_is_the_request_turned_round() {
        // With the padding of a short frame.
        let question = [&arp(1, NEW, (UNSET, LAN_IP))[..], &[0; 18]].concat();
        let mut bench = bench();
        let outcome = bench.one(&frame(&[8, 6], &question));
        let answer = arp(2, (LAN_MAC, LAN_IP), NEW);
        assert_eq!(bytes(&outcome), [&HOST_MAC.0[..], &LAN_MAC.0, &[8, 6], &answer].concat());
        assert_eq!(outcome.packets[0].tx_interface, LAN);
        assert_eq!(bench.interface(LAN).tx_packets, 0, "interface-tx counts");
    }

    /// External addresses of NAT that lie in an interface's subnet: answered for, and defended, as its own are.
    #[test]
    fn proxied_addresses() {
        let mut world = World::new();
        let [first, second]: [Ip; 2] = [[192, 168, 1, 5], [192, 168, 1, 200]];
        let (addresses, proxied) = (vec![(LAN_IP.into(), 24)], [first.into(), second.into()].into());
        world.interface(LAN, Interface { mac: LAN_MAC, addresses, proxied, ..Interface::default() });
        let (conflict, answered) = ("another station claims our address", "requests answered");
        for (packet, next, reason) in [
            (arp(1, NEW, (UNSET, first)), "interface-output", answered),
            (arp(1, (HOST_MAC, [0; 4]), (UNSET, second)), "interface-output", answered),
            (arp(1, NEW, (UNSET, [192, 168, 1, 6])), "consumed", "target address is not ours"),
            (arp(2, NEW, (LAN_MAC, first)), "consumed", "replies to us"),
            (arp(2, (HOST_MAC, first), (MacAddr::BROADCAST, first)), "drop", conflict),
            (arp(1, (LAN_MAC, second), (UNSET, second)), "drop", "our own packet came back"),
        ] {
            let events = NeighborEvents::new(Waker::new().unwrap());
            let mut bench = Bench::new(ArpInput { forwarding: world.forwarding.clone(), events });
            bench.skip = 14;
            let outcome = bench.one(&frame(&[8, 6], &packet));
            assert_eq!(fate(&outcome), (next, &[(reason, 1)][..]), "{packet:?}");
            if next == "interface-output" {
                assert_eq!(bytes(&outcome)[22..32], [&LAN_MAC.0[..], &packet[24..28]].concat(), "sender of the answer");
            }
        }
    }

    #[test]
    fn on_a_vlan() {
        let mut bench = bench();
        bench.skip = 18;
        let (station, ours) = ((HOST_MAC, [10, 100, 0, 9]), [10, 100, 0, 1]);
        let question = frame(&[0x81, 0, 0, 100, 8, 6], &arp(1, station, (UNSET, ours)));
        let tagged = |interface| {
            move |meta: &mut millrace_engine::pool::Meta| {
                (meta.rx_interface, meta.marks) = (interface, marks::TAGGED);
            }
        };
        let outcome = bench.run(&[&question], tagged(LAN_100));
        let answer = arp(2, (LAN_MAC, ours), station);
        let header = [&HOST_MAC.0[..], &LAN_MAC.0, &[0x81, 0, 0, 100, 8, 6]].concat();
        assert_eq!(fate(&outcome), ("interface-output", &[("requests answered", 1)][..]));
        assert_eq!(bytes(&outcome), [header, answer].concat());
        assert_eq!(outcome.packets[0].tx_interface, LAN_100);
        // A priority tag only: the parent's frame, which is answered without a tag.
        let question = frame(&[0x81, 0, 0xe0, 0, 8, 6], &arp(1, NEW, (UNSET, LAN_IP)));
        let outcome = bench.run(&[&question], tagged(LAN));
        assert_eq!(fate(&outcome), ("interface-output", &[("requests answered", 1)][..]));
        assert_eq!(bytes(&outcome)[..14], [&HOST_MAC.0[..], &LAN_MAC.0, &[8, 6]].concat());
    }

    #[test]
    fn a_frame_from_another_source_is_counted_and_believed() {
        let packet = arp(1, (PEER_MAC, HOST), (UNSET, LAN_IP));
        let outcome = bench().one(&frame(&[8, 6], &packet));
        let counts = [("requests answered", 1), ("sender MAC is not the frame's source (accepted)", 1)];
        assert_eq!(fate(&outcome), ("interface-output", &counts[..]));
        assert_eq!(bytes(&outcome)[..6], PEER_MAC.0, "the answer goes to the sender that the packet names (RFC 826)");
    }

    #[test]
    fn a_full_queue_is_counted_and_does_not_keep_from_answering() {
        let mut bench = bench();
        let question = frame(&[8, 6], &arp(1, NEW, (UNSET, LAN_IP)));
        let many: Vec<&[u8]> = vec![&question; 256];
        for _ in 0..16 {
            assert_eq!(bench.run(&many, |meta| meta.rx_interface = LAN).counts, [("requests answered", 256)]);
        }
        let counts = [("requests answered", 1), ("queue to the control plane is full", 1)];
        assert_eq!(fate(&bench.one(&question)), ("interface-output", &counts[..]));
    }

    #[test]
    fn trace() {
        let say = |packet: &[u8]| bench().traced(&frame(&[8, 6], packet), |meta| meta.rx_interface = LAN).1;
        let question = arp(1, NEW, (UNSET, LAN_IP));
        assert_eq!(say(&question), "who has 192.168.1.1? tell 192.168.1.10 at 02:00:00:00:01:0a");
        assert_eq!(say(&arp(2, NEW, (LAN_MAC, LAN_IP))), "192.168.1.10 is at 02:00:00:00:01:0a, to 192.168.1.1");
    }
}
