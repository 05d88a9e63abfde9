//! ip4-input: the header checks that RFC 1812 section 5.2.2 asks of a router, each with its own counter; starts the
//! ip4-unicast arc.
//! Reads: rx interface. Writes: network header offset, length (padding is cut off).

use crate::ip;
use millrace_engine::{ArcName, ArcPoint, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::Ipv4;
use millrace_wire::checksum::Sum;
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("ip4-input");

/// Features on received unicast packets before they are looked up, by rx interface.
pub const ARC: ArcPoint = ArcPoint { name: ArcName::new("ip4-unicast"), starts: &[NAME], end: ip::lookup::NAME4 };

edges! {
    /// Good packets are looked up.
    pub enum Next { Lookup => ip::lookup::NAME4 }
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

/// Whether hosts have addresses that begin with this byte: not 0/8, 127/8, multicast, reserved or broadcast
/// (RFC 1812 section 5.3.7).
static HOSTS: [bool; 256] = {
    let mut hosts = [true; 256];
    let mut first = 224;
    while first < 256 {
        hosts[first] = false;
        first += 1;
    }
    (hosts[0], hosts[127]) = (false, false);
    hosts
};

#[inline(always)]
fn is_host(address: u32) -> bool {
    HOSTS[(address >> 24) as usize]
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
    let has_no_address_yet = header.src_u32() == 0 && header.dst_u32() == u32::MAX;
    if !is_host(header.src_u32()) && !has_no_address_yet {
        return Some(Count::MartianSource);
    }
    if header.dst().is_multicast() {
        return Some(Count::Multicast);
    }
    // The limited broadcast is for ourselves.
    (!is_host(header.dst_u32()) && header.dst_u32() != u32::MAX).then_some(Count::MartianDestination)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use millrace_engine::Feature;
    use millrace_engine::testing::Bench;

    fn good() -> Vec<u8> {
        udp(HOST, PEER)
    }

    /// RFC 1812 section 5.2.2 unless said otherwise.
    #[test]
    fn each_fault_has_its_counter() {
        let set = |at: usize, bytes: &'static [u8]| broken(good(), |p| p[at..at + bytes.len()].copy_from_slice(bytes));
        let from = |address: Ip| udp(address, PEER);
        let to = |address: Ip| udp(HOST, address);
        let mut one_bit = good();
        one_bit[11] ^= 1;
        let mut long_header = broken(good(), |p| p[0] = 0x4f);
        long_header.truncate(50);
        for (name, packet, reason) in [
            ("(1) nothing", Vec::new(), "shorter than an IPv4 header"),
            ("(1) 19 bytes", good()[..19].to_vec(), "shorter than an IPv4 header"),
            ("(2) one bit", one_bit, "header checksum is wrong"),
            (
                "(2) one bit of an option",
                {
                    let mut packet = udp_with(HOST, PEER, 10, |h| h.options = [1, 1, 1, 0].into());
                    packet[20] ^= 2;
                    packet
                },
                "header checksum is wrong",
            ),
            ("(3) version 6", set(0, &[0x65]), "version is not 4"),
            ("(3) version 0", set(0, &[0x05]), "version is not 4"),
            ("(4) 16 bytes of header", set(0, &[0x44]), "header length below 20 or beyond the packet"),
            ("(4) no header", set(0, &[0x40]), "header length below 20 or beyond the packet"),
            ("(4) more header than packet", long_header, "header length below 20 or beyond the packet"),
            ("(5) less than the header", set(2, &[0, 19]), "total length below the header's or beyond the packet"),
            ("(5) more than came", set(2, &[0, 39]), "total length below the header's or beyond the packet"),
            ("5.3.7 source 0/8", from([0, 0, 0, 1]), "source address is not a host's"),
            ("5.3.7 source unspecified", from([0; 4]), "source address is not a host's"),
            ("5.3.7 source loopback", from([127, 0, 0, 1]), "source address is not a host's"),
            ("5.3.7 source multicast", from([224, 0, 0, 1]), "source address is not a host's"),
            ("5.3.7 source class E", from([240, 0, 0, 1]), "source address is not a host's"),
            ("5.3.7 source broadcast", from([255; 4]), "source address is not a host's"),
            ("5.3.7 destination 0/8", to([0, 1, 2, 3]), "destination address is not for routing"),
            ("5.3.7 destination loopback", to([127, 1, 2, 3]), "destination address is not for routing"),
            ("5.3.7 destination class E", to([255, 255, 255, 254]), "destination address is not for routing"),
            ("multicast", to([239, 1, 2, 3]), "multicast is not routed"),
        ] {
            assert_eq!(fate(&Bench::new(Ip4Input).one(&packet)), ("drop", &[(reason, 1)][..]), "{name}");
        }
    }

    #[test]
    fn good_packets_pass_as_they_are() {
        for (name, packet) in [
            ("plain", good()),
            ("options", udp_with(HOST, PEER, 10, |h| h.options = [0x94, 4, 0, 0].into())),
            ("60 bytes of header", udp_with(HOST, PEER, 10, |h| h.options = [1; 40].into())),
            ("no data", packet(&header(HOST, PEER), &[])),
            ("time to live 0, which is the next node's", udp_with(HOST, PEER, 10, |h| h.time_to_live = 0)),
            ("lowest and highest host", udp([1, 0, 0, 0], [223, 255, 255, 255])),
            ("around loopback", udp([126, 255, 255, 255], [128, 0, 0, 0])),
            ("limited broadcast", udp(HOST, [255; 4])),
            ("a host without an address (DHCP)", udp([0; 4], [255; 4])),
            ("longer than a buffer", udp_with(HOST, PEER, 8000, |_| {})),
        ] {
            let outcome = Bench::new(Ip4Input).one(&packet);
            assert_eq!(fate(&outcome), ("ip4-lookup", &[][..]), "{name}");
            assert_eq!(bytes(&outcome), packet, "{name}");
        }
    }

    #[test]
    fn padding_is_cut_off() {
        for bytes_of_data in [0, 10, 3000] {
            let packet = udp_with(HOST, PEER, bytes_of_data, |_| {});
            let padded = [&packet[..], &[0xaa; 18]].concat();
            assert_eq!(bytes(&Bench::new(Ip4Input).one(&padded)), packet);
        }
    }

    #[test]
    fn features_of_the_receiving_interface() {
        const FEATURE: NodeName = NodeName::new("feature");
        let mut bench = Bench::new(Ip4Input);
        let feature = Feature { arc: ARC.name, node: FEATURE, after: &[], before: &[] };
        bench.arc(&ARC, &[feature], &[(FEATURE, 2)]);
        for (interface, next) in [(1, "ip4-lookup"), (2, "feature")] {
            let outcome = bench.run(&[&good()], |meta| meta.rx_interface = interface);
            assert_eq!(fate(&outcome), (next, &[][..]), "interface {interface}");
        }
    }

    #[test]
    fn trace() {
        let packet =
            udp_with(HOST, PEER, 10, |h| (h.more_fragments, h.fragment_offset) = (true, 2.try_into().unwrap()));
        let (_, text) = Bench::new(Ip4Input).traced(&packet, |_| {});
        assert_eq!(text, "192.168.1.10 -> 203.0.113.10 udp ttl 64 length 38 fragment at 16, more follow");
    }
}
