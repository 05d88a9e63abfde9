//! ip6-input: the header checks that RFC 8200 and RFC 4291 ask of a router, each with its own counter; starts the ip6-unicast arc.
//! Reads: rx interface. Writes: network header offset, length (padding is cut off), marks.

use crate::ip::{Family, V6};
use crate::marks;
use millrace_engine::{ArcPoint, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::Ipv6;
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("ip6-input");

/// Features on received packets before they are looked up, by rx interface.
pub const ARC: ArcPoint = ArcPoint { name: V6::UNICAST, starts: &[NAME], end: V6::LOOKUP };

edges! {
    /// Good packets are looked up.
    pub enum Next { Lookup => V6::LOOKUP }
}

counters! {
    /// Why packets end here.
    pub enum Count {
        Short => "shorter than an IPv6 header",
        BadVersion => "version is not 6",
        BadLength => "payload length beyond the packet",
        MartianSource => "source address is not a host's",
        MartianDestination => "destination address is not for routing",
    }
}

/// What `show trace` tells.
pub struct Trace(Ipv6);

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let h = &self.0;
        let (from, to) = (h.src(), h.dst());
        write!(f, "{from} -> {to} {} hop limit {} payload {}", h.next_header(), h.hop_limit(), h.payload_len())
    }
}

/// The node.
pub struct Ip6Input;

impl Node for Ip6Input {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let len = packet.total_len();
        let Some(header) = packet.header::<Ipv6>() else { return cx.drop(Count::Short) };
        let total = Ipv6::LEN + usize::from(header.payload_len());
        // One test for what nearly every packet is; `uncommon` judges the others.
        let fine =
            (header.version() == 6) & (total <= len) & is_global(header.src_u128()) & is_global(header.dst_u128());
        if !fine && let Some(cause) = uncommon(packet) {
            return cx.drop(cause);
        }
        if cx.tracing()
            && let Some(&header) = packet.header::<Ipv6>()
        {
            cx.trace(packet, || Trace(header));
        }
        packet.truncate(total);
        packet.mark_l3();
        let interface = packet.meta.rx_interface;
        cx.start_arc(packet, interface, Next::Lookup)
    }
}

/// Whether an address is a plain one: not in 0000::/8 (unspecified, loopback, IPv4-mapped), fe00::/8 (link-local) or ff00::/8
/// (multicast).
#[inline(always)]
fn is_global(address: u128) -> bool {
    let first = (address >> 120) as u8;
    (first != 0) & (first < 0xfe)
}

/// Why a packet is refused, if it is: what is not plain may be fine after all. Marks what must stay on its link.
#[cold]
fn uncommon(packet: &mut Packet<'_>) -> Option<Count> {
    let Some(header) = packet.header::<Ipv6>() else { return Some(Count::Short) };
    if header.version() != 6 {
        return Some(Count::BadVersion);
    }
    if Ipv6::LEN + usize::from(header.payload_len()) > packet.total_len() {
        return Some(Count::BadLength);
    }
    let (source, destination) = (header.src(), header.dst());
    // RFC 4291 sections 2.5.2, 2.5.3, 2.5.5.2 and 2.7.
    let scope = destination.octets()[1] & 0xf;
    if destination.is_unspecified()
        || destination.is_loopback()
        || destination.to_ipv4_mapped().is_some()
        || destination.is_multicast() && scope <= 1
    {
        return Some(Count::MartianDestination);
    }
    let stays = destination.is_multicast() || destination.is_unicast_link_local();
    if source.is_multicast()
        || source.is_loopback()
        || source.to_ipv4_mapped().is_some()
        || source.is_unspecified() && !stays
    {
        return Some(Count::MartianSource);
    }
    if source.is_unicast_link_local() || source.is_unspecified() {
        packet.meta.marks |= marks::LINK_LOCAL;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use millrace_engine::Feature;
    use millrace_engine::testing::Bench;

    fn good() -> Vec<u8> {
        udp6(HOST6, PEER6)
    }

    #[test]
    fn each_fault_has_its_counter() {
        let set = |at: usize, byte: u8| broken(good(), |p| p[at] = byte);
        let (source, destination) = ("source address is not a host's", "destination address is not for routing");
        for (name, packet, next, reason) in [
            ("a good one", good(), "ip6-lookup", None),
            ("padding behind", [good(), vec![0; 9]].concat(), "ip6-lookup", None),
            ("a header and nothing behind", broken(good()[..40].to_vec(), |p| p[4..6].fill(0)), "ip6-lookup", None),
            ("less than a header", good()[..39].to_vec(), "drop", Some("shorter than an IPv6 header")),
            ("version 4", set(0, 0x40), "drop", Some("version is not 6")),
            ("version 7", set(0, 0x70), "drop", Some("version is not 6")),
            ("one byte missing", set(5, 21), "drop", Some("payload length beyond the packet")),
            // RFC 4291 section 2.7: a multicast address is no source.
            ("from a group", udp6("ff02::1", PEER6), "drop", Some(source)),
            // RFC 4291 section 2.5.3.
            ("from loopback", udp6("::1", PEER6), "drop", Some(source)),
            ("to loopback", udp6(HOST6, "::1"), "drop", Some(destination)),
            // RFC 4291 section 2.5.2.
            ("from nobody", udp6("::", PEER6), "drop", Some(source)),
            ("from nobody to a group", udp6("::", "ff02::1:ff00:1"), "ip6-lookup", None),
            ("from nobody to the link", udp6("::", "fe80::1"), "ip6-lookup", None),
            ("to nobody", udp6(HOST6, "::"), "drop", Some(destination)),
            ("from an IPv4-mapped address", udp6("::ffff:10.0.0.1", PEER6), "drop", Some(source)),
            ("to an IPv4-mapped address", udp6(HOST6, "::ffff:10.0.0.1"), "drop", Some(destination)),
            // RFC 6052: translated addresses are plain.
            ("to a translator", udp6(HOST6, "64:ff9b::10.0.0.1"), "ip6-lookup", None),
            // RFC 4291 section 2.7: reserved and interface-local groups don't come from outside.
            ("to a reserved group", udp6(HOST6, "ff00::1"), "drop", Some(destination)),
            ("to an interface-local group", udp6(HOST6, "ff01::1"), "drop", Some(destination)),
            ("to a link-local group", udp6(HOST6, "ff02::1"), "ip6-lookup", None),
            ("from the link to the world", udp6("fe80::9", PEER6), "ip6-lookup", None),
            ("unique local", udp6("fd00::1", "fc00::1"), "ip6-lookup", None),
        ] {
            let outcome = Bench::new(Ip6Input).one(&packet);
            let counts: Vec<_> = reason.map(|r| (r, 1)).into_iter().collect();
            assert_eq!(fate(&outcome), (next, &counts[..]), "{name}");
            let local = name.starts_with("from the link") || name.starts_with("from nobody to");
            assert_eq!(outcome.packets[0].marks & marks::LINK_LOCAL != 0, local, "{name}");
            if next == "ip6-lookup" && name != "a header and nothing behind" {
                assert_eq!(bytes(&outcome), &packet[..60], "{name}: padding is gone, the rest unchanged");
            }
        }
    }

    #[test]
    fn features_of_the_receiving_interface() {
        const FEATURE: NodeName = NodeName::new("feature");
        let mut bench = Bench::new(Ip6Input);
        bench.arc(&ARC, &[Feature { arc: ARC.name, node: FEATURE, after: &[], before: &[] }], &[(FEATURE, WAN)]);
        for (interface, next) in [(LAN, "ip6-lookup"), (WAN, "feature")] {
            let outcome = bench.run(&[&good()], |meta| meta.rx_interface = interface);
            assert_eq!(fate(&outcome), (next, &[][..]));
        }
    }

    #[test]
    fn trace() {
        let (_, text) = Bench::new(Ip6Input).traced(&good(), |_| {});
        assert_eq!(text, "2001:db8:1::10 -> 2001:db8:2::10 udp hop limit 64 payload 20");
    }
}
