//! icmp6-neighbor-discovery: answers who asks for the receiving interface's own IPv6 addresses, and reports stations, hosts that look for
//! a router, and addresses that somebody else has, to the control plane (RFC 4861, RFC 4862).
//! Reads: rx interface, marks. Writes: tx interface.
//!
//! What is wrong in a message costs it a counter of its own. Advertisements of other routers and redirects are for hosts; this is a router.

use super::check::{Checked, Message, check};
use crate::ethernet::frame;
use crate::forwarding::{Forwarding, Interface};
use crate::interface;
use crate::marks;
use crate::neighbor_events::{HeardKind, NeighborEvent, NeighborEvents};
use crate::rate::TokenBucket;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::nd::{ALL_NODES, HOP_LIMIT, LinkLayerOption, NeighborAdvertisement, NeighborFlags, multicast_mac};
use millrace_wire::{EtherType, IntoBytes, IpProtocol, Ipv6, MacAddr, checksum};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Its name.
pub const NAME: NodeName = NodeName::new("icmp6-neighbor-discovery");

/// Answers that a worker sends in a second: a subnet of a thousand hosts that all ask ten times. Somebody who asks more often keeps
/// no worker busy.
pub const RATE: u64 = 10_000;
/// Answers at once; see [`RATE`].
pub const BURST: u64 = 2_000;

edges! {
    /// Answers leave by the interface that the question came in by.
    pub enum Next { Output => interface::output::NAME }
}

counters! {
    /// What came.
    pub enum Count {
        Answered => "solicitations answered",
        Limited => "answers over the limit of a second",
        Learnt => "advertisements of neighbours",
        RouterSolicited => "router solicitations",
        RouterAdvertised => "router advertisements of others (ignored)",
        Redirect => "redirects (ignored)",
        NotForUs => "target address is not ours",
        Tentative => "target address is not ours yet",
        Probed => "another station tries for our address",
        Conflict => "another station claims our address",
        Loop => "our own packet came back",
        ForeignSource => "source address is no station of the interface's subnets",
        ForeignTarget => "target address is no station of the interface's subnets",
        NoEthernet => "came by a point-to-point link, which needs no neighbours",
        NoInterface => "interface is being removed",
        Short => "shorter than its message",
        Fragmented => "fragmented, or longer than a buffer",
        UnknownType => "not neighbour discovery",
        BadHopLimit => "hop limit is not 255",
        BadChecksum => "checksum is wrong",
        BadCode => "code is not 0",
        BadOptions => "malformed options",
        BadMac => "MAC is zero or a group",
        MulticastTarget => "target address is a group",
        SolicitedMulticast => "answer to a question, but sent to a group",
        UnspecifiedElsewhere => "probe for an address, but not to its group",
        UnspecifiedWithMac => "link-layer address of an unspecified source",
        NotLinkLocal => "source address is not link-local",
        EventsFull => "queue to the control plane is full",
        NoRoom => "no room for the answer",
    }
}

/// What `show trace` tells.
pub struct Trace(Checked);

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked { source, message } = self.0;
        let at = |f: &mut fmt::Formatter<'_>, mac: Option<MacAddr>| mac.map_or(Ok(()), |mac| write!(f, " at {mac}"));
        match message {
            Message::Solicitation { target, mac } => {
                write!(f, "who has {target}? tell {source}")?;
                at(f, mac)
            }
            Message::Advertisement { target, mac, flags } => {
                write!(f, "{target} is here")?;
                at(f, mac)?;
                let flags =
                    [(flags.router, " router"), (flags.solicited, " solicited"), (flags.override_, " override")];
                flags.iter().filter(|(on, _)| *on).try_for_each(|(_, word)| f.write_str(word))
            }
            Message::RouterSolicitation { mac } => {
                write!(f, "router solicitation from {source}")?;
                at(f, mac)
            }
            Message::RouterAdvertisement => write!(f, "router advertisement from {source}"),
            Message::Redirect => write!(f, "redirect from {source}"),
        }
    }
}

/// The node.
pub struct NdInput {
    /// Reads: interfaces.
    forwarding: Forwarding,
    /// Where stations are reported.
    events: NeighborEvents,
    answers: TokenBucket,
}

impl NdInput {
    /// Reads interfaces; reports to `events`.
    pub fn new(forwarding: Forwarding, events: NeighborEvents) -> NdInput {
        NdInput { forwarding, events, answers: TokenBucket::new(RATE, BURST) }
    }
}

impl Node for NdInput {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        if !packet.to_l3() {
            return cx.drop(Count::Short);
        }
        let Checked { source, message } = match check(packet) {
            Ok(checked) => checked,
            Err(fault) => return cx.drop(fault),
        };
        cx.trace(packet, || Trace(Checked { source, message }));
        let guard = cx.guard();
        let index = packet.meta.rx_interface;
        let Some(interface) = self.forwarding.interfaces.get(index, &guard) else {
            return cx.drop(Count::NoInterface);
        };
        // Nobody's MAC address is needed there, and there is no frame to look at.
        if interface.point_to_point {
            return cx.drop(Count::NoEthernet);
        }
        let frame_source = frame::source(packet);
        // What the router sent itself, or a frame of its own that a switch sent back, as those to groups may be. Nobody else has its
        // MAC address.
        let ours = packet.meta.marks & marks::OWN != 0 || message.mac() == Some(interface.mac);
        let Some(station) = frame_source.filter(|source| *source != interface.mac && !ours) else {
            return cx.drop(Count::Loop);
        };
        match message {
            Message::Solicitation { target, mac } => {
                self.solicited(Question { source, target, mac, station }, interface, packet, cx)
            }
            Message::Advertisement { target, mac, flags } => {
                self.advertised(index, interface, target, (mac, station), flags, cx)
            }
            Message::RouterSolicitation { mac } => self.router_solicited(index, interface, source, mac, cx),
            Message::RouterAdvertisement => cx.consume(Count::RouterAdvertised),
            // Section 8.2: a router does not change its routes for one.
            Message::Redirect => cx.consume(Count::Redirect),
        }
    }
}

/// A solicitation.
struct Question {
    source: Ipv6Addr,
    target: Ipv6Addr,
    mac: Option<MacAddr>,
    /// The source of its frame.
    station: MacAddr,
}

impl NdInput {
    /// RFC 4861 section 7.2.3, RFC 4862 section 5.4.3.
    fn solicited(
        &mut self,
        question: Question,
        interface: &Interface,
        packet: &mut Packet<'_>,
        cx: &mut Ctx<'_, Self>,
    ) -> Next {
        let Question { source, target, mac, station } = question;
        let (index, probe) = (packet.meta.rx_interface, source.is_unspecified());
        let (own, anycast) = (interface.owns6(target), is_subnet_router(interface, target));
        if interface.tentative.contains(&target) {
            // Two are about to take the same address; who only asks for it will ask again.
            if !probe {
                return cx.consume(Count::Tentative);
            }
            self.tell(NeighborEvent::Duplicate { interface: index, address: target }, cx);
            return cx.consume(Count::Probed);
        }
        if !own && !anycast {
            return cx.consume(Count::NotForUs);
        }
        if probe {
            // It hears that the address is ours.
            if own {
                cx.count(Count::Probed);
                self.tell(NeighborEvent::Duplicate { interface: index, address: target }, cx);
            }
            return self.answer(ALL_NODES, multicast_mac(ALL_NODES), (target, own), interface, packet, cx);
        }
        if interface.owns6(source) {
            self.tell(NeighborEvent::Duplicate { interface: index, address: source }, cx);
            return cx.drop(Count::Conflict);
        }
        // Whoever is not on the link is no neighbour, whatever it says; else anybody could put anything into the neighbour table.
        if !interface.is_neighbour6(source) {
            return cx.drop(Count::ForeignSource);
        }
        if let Some(mac) = mac {
            let address = IpAddr::V6(source);
            self.tell(NeighborEvent::Heard { interface: index, address, mac, kind: HeardKind::Request }, cx);
        }
        self.answer(source, mac.unwrap_or(station), (target, own), interface, packet, cx)
    }

    /// Makes the packet the answer to it (section 7.2.4): `target` is here, and its own alone unless it is an anycast address.
    fn answer(
        &mut self,
        to: Ipv6Addr,
        mac: MacAddr,
        (target, own): (Ipv6Addr, bool),
        interface: &Interface,
        packet: &mut Packet<'_>,
        cx: &mut Ctx<'_, Self>,
    ) -> Next {
        if !self.answers.take(cx.now()) {
            return cx.drop(Count::Limited);
        }
        // Section 7.2.7: of several who have an anycast address, none replaces another.
        let flags = NeighborFlags { router: true, solicited: !to.is_multicast(), override_: own };
        let mut message = [0; NeighborAdvertisement::LEN + LinkLayerOption::LEN];
        let mut header = NeighborAdvertisement::new(flags, target);
        let (first, option) = message.split_at_mut(NeighborAdvertisement::LEN);
        option.copy_from_slice(LinkLayerOption::target(interface.mac).as_bytes());
        first.copy_from_slice(header.as_bytes());
        // For an anycast address, too: the packet comes from an address of ours.
        let source = if own { Some(target) } else { interface.source_for6(to) };
        let Some(source) = source else { return cx.drop(Count::NotForUs) };
        header.icmp.set_checksum(checksum::icmp6(source, to, &message));
        let ip = Ipv6::new(source, to, IpProtocol::ICMP6, HOP_LIMIT, message.len() as u16);
        packet.truncate(0);
        let pieces = [ip.as_bytes(), header.as_bytes(), message.get(NeighborAdvertisement::LEN..).unwrap_or(&[])];
        let written: usize = pieces.into_iter().map(|piece| packet.extend(piece)).sum();
        let fits = written == Ipv6::LEN + message.len();
        if !fits || !frame::put_in_front(packet, interface, mac, EtherType::IPV6) {
            return cx.drop(Count::NoRoom);
        }
        packet.meta.tx_interface = packet.meta.rx_interface;
        cx.count(Count::Answered);
        Next::Output
    }

    /// RFC 4861 section 7.2.5, RFC 4862 section 5.4.4.
    fn advertised(
        &mut self,
        index: u32,
        interface: &Interface,
        target: Ipv6Addr,
        (told, station): (Option<MacAddr>, MacAddr),
        flags: NeighborFlags,
        cx: &mut Ctx<'_, Self>,
    ) -> Next {
        if interface.owns6(target) || interface.tentative.contains(&target) {
            self.tell(NeighborEvent::Duplicate { interface: index, address: target }, cx);
            return cx.consume(Count::Conflict);
        }
        if !interface.is_neighbour6(target) {
            return cx.drop(Count::ForeignTarget);
        }
        let NeighborFlags { router, solicited, override_ } = flags;
        // Who is asked alone need not tell its MAC address, as the one who asked has it (section 7.2.4). Then the frame's source
        // confirms it, and changes nothing.
        let (mac, override_) = told.map_or((station, false), |mac| (mac, override_));
        let kind = HeardKind::Reply { solicited, override_, router };
        self.tell(NeighborEvent::Heard { interface: index, address: IpAddr::V6(target), mac, kind }, cx);
        cx.consume(Count::Learnt)
    }

    /// RFC 4861 section 6.2.6.
    fn router_solicited(
        &mut self,
        index: u32,
        interface: &Interface,
        from: Ipv6Addr,
        mac: Option<MacAddr>,
        cx: &mut Ctx<'_, Self>,
    ) -> Next {
        if !from.is_unspecified() && (interface.owns6(from) || !interface.is_neighbour6(from)) {
            return cx.drop(Count::ForeignSource);
        }
        if let Some(mac) = mac {
            let address = IpAddr::V6(from);
            self.tell(NeighborEvent::Heard { interface: index, address, mac, kind: HeardKind::Request }, cx);
        }
        self.tell(NeighborEvent::RouterSolicited { interface: index, from, mac }, cx);
        cx.consume(Count::RouterSolicited)
    }

    fn tell(&self, event: NeighborEvent, cx: &mut Ctx<'_, Self>) {
        if !self.events.push(event) {
            cx.count(Count::EventsFull);
        }
    }
}

/// Whether `address` is the subnet-router anycast address of a subnet of the interface (RFC 4291 section 2.6.1), which every router on
/// it has; subnets of 127 and 128 bits have none (RFC 6164 section 5).
fn is_subnet_router(interface: &Interface, address: Ipv6Addr) -> bool {
    let subnet = |(own, len): &(Ipv6Addr, u8)| {
        let host = u128::MAX.checked_shr(u32::from(*len)).unwrap_or(0);
        *len < 127 && own.to_bits() & !host == address.to_bits()
    };
    interface.addresses6.iter().any(subnet)
}
