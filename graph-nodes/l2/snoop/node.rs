//! l2-snoop: looks at the frames of a domain: tells control of groups that hosts join, and where those go; has ARP and neighbour
//! discovery answered.
//! Reads: rx interface, scratch. Writes: scratch (of frames to groups, for l2-flood).

use super::super::suppress::{arp, nd};
use super::super::tables::{Bridging, Found};
use super::super::{flood, fwd};
use super::{Heard, LONGEST, Share, Watch, Way};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::membership::{Fault, Message};
use millrace_wire::{EtherType, Ethernet, Icmp6, Icmp6Type, IpProtocol, Ipv4, Ipv6, igmp, mld, pim};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("l2-snoop");

edges! {
    /// By what it is.
    pub enum Next { Forward => fwd::NAME, Flood => flood::NAME, Arp => arp::NAME, Nd => nd::NAME }
}

counters! {
    /// What was seen.
    pub enum Count {
        Messages => "IGMP, MLD and PIM messages heard",
        Short => "shorter than its Ethernet header",
        Cut => "IGMP or MLD: cut short or a fragment",
        Checksum => "IGMP or MLD: bad checksum",
        HopLimit => "IGMP or MLD: TTL or hop limit is not 1",
        NoRouterAlert => "IGMP or MLD: no router alert",
        BadSource => "IGMP or MLD: source is no link-local address",
        BadDestination => "IGMP or MLD: not sent to where such a message is",
        BadGroup => "IGMP or MLD: about an address that is no group",
        BadLength => "IGMP or MLD: more counted than there is",
        Long => "IGMP or MLD: longer than 1500 bytes",
        TooMany => "IGMP or MLD: more than a port's share",
        QueueFull => "not heard: queue to the control plane is full",
    }
}

/// What `show trace` tells.
pub struct Trace(Way);

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Way::All => "for all ports",
            Way::Routers4 => "for ports with IPv4 routers",
            Way::Routers6 => "for ports with IPv6 routers",
            Way::Group4 => "for listeners of its IPv4 group",
            Way::Group6 => "for listeners of its IPv6 group",
        })
    }
}

/// The node.
pub struct Snooper {
    /// Reads: what is looked at in the domain. Writes: what was heard.
    pub bridging: Bridging,
}

impl Node for Snooper {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(&Ethernet { dst, .. }) = packet.header::<Ethernet>() else { return cx.drop(Count::Short) };
        let group = dst.is_multicast();
        let (way, next) = match self.look(packet, group, cx) {
            Ok(way) => (way, if group { Next::Flood } else { Next::Forward }),
            // Whom it goes to if it isn't answered.
            Err(next @ (Next::Arp | Next::Nd)) => (self.otherwise(packet, next, cx), next),
            Err(next) => return next,
        };
        cx.trace(packet, || Trace(way));
        way.put(packet);
        next
    }
}

impl Snooper {
    /// Where a frame goes that is for somebody to answer first, if nobody does.
    fn otherwise(&self, packet: &Packet<'_>, next: Next, cx: &Ctx<'_, Self>) -> Way {
        let watch = self.bridging.snoop.watches.get(Found::of(packet).domain.into(), &cx.guard());
        // A solicitation is for listeners of a group that its target belongs to (RFC 4291 section 2.7.1).
        if next == Next::Nd && watch.is_some_and(|watch| watch.mld.is_some()) { Way::Group6 } else { Way::All }
    }

    /// Where a frame goes, or where it is looked at further.
    fn look(&self, packet: &mut Packet<'_>, group: bool, cx: &mut Ctx<'_, Self>) -> Result<Way, Next> {
        let domain = Found::of(packet).domain;
        let guard = cx.guard();
        let Some(watch) = self.bridging.snoop.watches.get(domain.into(), &guard) else { return Ok(Way::All) };
        let Some((ether, ip)) = packet.data().split_at_checked(Ethernet::LEN) else { return Ok(Way::All) };
        // Further tags inside the bridge are the stations' own business.
        match ether.last_chunk().map_or(EtherType(0), |bytes| EtherType(u16::from_be_bytes(*bytes))) {
            EtherType::ARP if watch.suppress => Err(Next::Arp),
            EtherType::IPV6 if watch.suppress && is_neighbour_discovery(ip) => Err(Next::Nd),
            EtherType::IPV4 if group => self.group4(watch, packet, domain, cx),
            EtherType::IPV6 if group => self.group6(watch, packet, domain, cx),
            _ => Ok(Way::All),
        }
    }

    fn group4(&self, watch: &Watch, packet: &Packet<'_>, domain: u16, cx: &mut Ctx<'_, Self>) -> Result<Way, Next> {
        let bytes = packet.data().get(Ethernet::LEN..).unwrap_or_default();
        let Some(ip) = super::read::<Ipv4>(bytes).filter(|_| watch.igmp.is_some()) else { return Ok(Way::All) };
        let protocol = ip.protocol();
        if protocol == IpProtocol::IGMP {
            return self.message(packet, igmp::parse(bytes), Way::Routers4, domain, cx);
        }
        // RFC 4541 section 2.1.1 (1): routers are behind ports that PIM hellos come from.
        if protocol == pim::PROTOCOL && pim::hello(bytes).is_some() {
            self.tell(packet, domain, cx)?;
        }
        Ok(Way::Group4)
    }

    fn group6(&self, watch: &Watch, packet: &Packet<'_>, domain: u16, cx: &mut Ctx<'_, Self>) -> Result<Way, Next> {
        let bytes = packet.data().get(Ethernet::LEN..).unwrap_or_default();
        let Some(ip) = super::read::<Ipv6>(bytes).filter(|_| watch.mld.is_some()) else { return Ok(Way::All) };
        match ip.next_header() {
            // MLD has a hop-by-hop header, and what says that it is MLD without one is faulty.
            IpProtocol::HOP_BY_HOP | IpProtocol::ICMP6 => match mld::parse(bytes) {
                Ok(None) => Ok(Way::Group6),
                message => self.message(packet, message, Way::Routers6, domain, cx),
            },
            pim::PROTOCOL if pim::hello(bytes).is_some() => {
                self.tell(packet, domain, cx)?;
                Ok(Way::Group6)
            }
            _ => Ok(Way::Group6),
        }
    }

    /// RFC 4541 section 2.1.1: reports go to routers only, queries and what nobody knows to all.
    fn message(
        &self,
        packet: &Packet<'_>,
        message: Result<Option<Message<'_>>, Fault>,
        routers: Way,
        domain: u16,
        cx: &mut Ctx<'_, Self>,
    ) -> Result<Way, Next> {
        let way = match message {
            Ok(None) => return Ok(Way::All),
            Ok(Some(Message::Query(_))) => Way::All,
            Ok(Some(_)) => routers,
            // Section 2.1.1 (7): not believed, and not flooded.
            Err(fault) => return Err(cx.drop(count(fault))),
        };
        self.tell(packet, domain, cx)?;
        Ok(way)
    }

    /// Hands a message to the control plane. One too many of a port goes no further: whoever gets it would be flooded, too.
    fn tell(&self, packet: &Packet<'_>, domain: u16, cx: &mut Ctx<'_, Self>) -> Result<(), Next> {
        let interface = packet.meta.rx_interface;
        let bytes = packet.data().get(Ethernet::LEN..).unwrap_or_default();
        if bytes.len() > LONGEST || packet.chained() {
            return Err(cx.drop(Count::Long));
        }
        if !self.bridging.snoop.allows(interface, Share::Messages, cx.now()) {
            return Err(cx.drop(Count::TooMany));
        }
        let mut heard = Heard { interface, domain, len: bytes.len() as u16, bytes: [0; LONGEST] };
        if let Some(to) = heard.bytes.get_mut(..bytes.len()) {
            to.copy_from_slice(bytes);
        }
        cx.count(if self.bridging.snoop.tell_heard(heard) { Count::Messages } else { Count::QueueFull });
        Ok(())
    }
}

const fn count(fault: Fault) -> Count {
    match fault {
        Fault::Short => Count::Cut,
        Fault::Checksum => Count::Checksum,
        Fault::HopLimit => Count::HopLimit,
        Fault::NoRouterAlert => Count::NoRouterAlert,
        Fault::BadSource => Count::BadSource,
        Fault::BadDestination => Count::BadDestination,
        Fault::BadGroup => Count::BadGroup,
        Fault::BadLength => Count::BadLength,
    }
}

/// Whether an IPv6 packet is a neighbour solicitation or advertisement. With extension headers in front it is looked at by its receivers
/// only (RFC 6980 has them refuse fragments, and nobody sends others).
fn is_neighbour_discovery(ip: &[u8]) -> bool {
    let icmp = |ip: &[u8]| Some(super::read::<Icmp6>(ip.get(Ipv6::LEN..)?)?.kind());
    super::read::<Ipv6>(ip).is_some_and(|header| header.next_header() == IpProtocol::ICMP6)
        && matches!(icmp(ip), Some(Icmp6Type::NEIGHBOR_SOLICITATION | Icmp6Type::NEIGHBOR_ADVERTISEMENT))
}
