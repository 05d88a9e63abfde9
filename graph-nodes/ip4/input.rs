//! ip4-input: the header checks that RFC 1812 section 5.2.2 asks of a router, each with its own counter; starts the
//! ip4-unicast arc.
//! Reads: rx interface. Writes: network header offset, length (padding is cut off).

use crate::ip4;
use millrace_engine::{ArcName, ArcPoint, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::Ipv4;
use millrace_wire::checksum::Sum;
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("ip4-input");

/// Features on received unicast packets before they are looked up, by rx interface.
pub const ARC: ArcPoint = ArcPoint { name: ArcName::new("ip4-unicast"), starts: &[NAME], end: ip4::lookup::NAME };

edges! {
    /// Good packets are looked up.
    pub enum Next { Lookup => ip4::lookup::NAME }
}

counters! {
    /// Why packets end here.
    pub enum Count {
        Short => "shorter than an IPv4 header",
        BadVersion => "version is not 4",
        BadHeaderLength => "header length below 20 or beyond the packet",
        BadTotalLength => "total length below the header's or beyond the packet",
        BadChecksum => "header checksum is wrong",
        MartianSource => "source address is not a host's",
        MartianDestination => "destination address is not for routing",
        Multicast => "multicast is not routed",
    }
}

/// What `show trace` tells.
pub struct Trace(Ipv4);

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let h = &self.0;
        write!(f, "{} -> {} {} ttl {} length {}", h.src(), h.dst(), h.protocol(), h.ttl(), h.total_len())?;
        if h.is_fragment() {
            write!(f, " fragment at {}{}", h.fragment_offset(), if h.more_fragments() { ", more follow" } else { "" })?;
        }
        Ok(())
    }
}

/// The node.
pub struct Ip4Input;

impl Node for Ip4Input {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let len = packet.total_len();
        let Some(header) = packet.header::<Ipv4>() else { return cx.drop(Count::Short) };
        let total = usize::from(header.total_len());
        // One test for what nearly every packet is; `explain` judges the others.
        let fine = header.is_plain()
            & (total >= Ipv4::LEN)
            & (total <= len)
            & header.checksum_ok()
            & is_host(header.src_u32())
            & is_host(header.dst_u32());
        if !fine && let Some(cause) = explain(packet) {
            return cx.drop(cause);
        }
        if cx.tracing()
            && let Some(&header) = packet.header::<Ipv4>()
        {
            cx.trace(packet, || Trace(header));
        }
        packet.truncate(total);
        packet.mark_l3();
        let interface = packet.meta.rx_interface;
        cx.start_arc(packet, interface, Next::Lookup)
    }
}

/// Not 0/8, 127/8, multicast, reserved or broadcast (RFC 1812 section 5.3.7). Without branches.
#[inline(always)]
fn is_host(address: u32) -> bool {
    let first = address >> 24;
    (first.wrapping_sub(1) < 223) & (first != 127)
}

/// Why a packet is refused, if it is: one with options may be fine after all.
#[cold]
fn explain(packet: &Packet<'_>) -> Option<Count> {
    let Some(header) = packet.header::<Ipv4>() else { return Some(Count::Short) };
    if header.version() != 4 {
        return Some(Count::BadVersion);
    }
    let total = usize::from(header.total_len());
    let Some(whole) = packet.data().get(..header.header_len()).filter(|h| h.len() >= Ipv4::LEN) else {
        return Some(Count::BadHeaderLength);
    };
    if total < whole.len() || total > packet.total_len() {
        return Some(Count::BadTotalLength);
    }
    if !Sum::of(whole).is_ok() {
        return Some(Count::BadChecksum);
    }
    // A host that has no address yet (DHCP) may send to everyone from 0.0.0.0; RFC 1812 section 5.3.7 makes it local only.
    if !is_host(header.src_u32()) && !(header.src_u32() == 0 && header.dst_u32() == u32::MAX) {
        return Some(Count::MartianSource);
    }
    if header.dst().is_multicast() {
        return Some(Count::Multicast);
    }
    // The limited broadcast is for ourselves.
    (!is_host(header.dst_u32()) && header.dst_u32() != u32::MAX).then_some(Count::MartianDestination)
}
