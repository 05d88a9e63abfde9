//! icmp4-echo-reply: answers an echo request to the router, in place, and looks up the way back.
//! Reads: rx interface. Writes: marks, table, tx interface; forgets flow hash.
//!
//! IP options are not sent back: RFC 1122 section 3.2.2.6 would have source routes reversed and recorded routes go on,
//! but RFC 7126 has routers drop source routes, and a recorded route is the sender's to ask for, not to rely on.

use crate::forwarding::Forwarding;
use crate::{icmp, ip};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{FromBytes, Icmp4, Icmp4Type, Ipv4, checksum};
use std::fmt;
use std::net::Ipv4Addr;

/// Its name.
pub const NAME: NodeName = NodeName::new("icmp4-echo-reply");

edges! {
    /// The reply finds its way like any packet.
    pub enum Next { Lookup => ip::lookup::NAME4 }
}

counters! {
    /// What comes of requests.
    pub enum Count {
        Sent => "echo replies sent",
        Malformed => "no echo request",
        BadChecksum => "ICMP checksum is wrong",
    }
}

/// What `show trace` tells.
pub struct Trace {
    to: Ipv4Addr,
    id: u16,
    sequence: u16,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "to {} id {} sequence {}", self.to, self.id, self.sequence)
    }
}

/// The node.
pub struct Icmp4EchoReply {
    forwarding: Forwarding,
    id: u16,
}

impl Icmp4EchoReply {
    /// Reads interfaces.
    pub fn new(forwarding: Forwarding) -> Icmp4EchoReply {
        Icmp4EchoReply { forwarding, id: 0 }
    }
}

impl Node for Icmp4EchoReply {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(&request) = packet.header::<Ipv4>() else { return cx.drop(Count::Malformed) };
        // The reply's header goes where the options end.
        if request.header_len() < Ipv4::LEN || !packet.advance(request.header_len()) {
            return cx.drop(Count::Malformed);
        }
        let intact = icmp::sum(packet).is_ok();
        let Some(icmp) = packet.header_mut::<Icmp4>().filter(|h| h.kind() == Icmp4Type::ECHO_REQUEST) else {
            return cx.drop(Count::Malformed);
        };
        if !intact {
            return cx.drop(Count::BadChecksum);
        }
        let before = icmp.kind_and_code();
        icmp.set_kind(Icmp4Type::ECHO_REPLY);
        icmp.set_checksum(checksum::update_u16(icmp.checksum(), before, icmp.kind_and_code()));
        let trace = Trace { to: request.src(), id: icmp.id(), sequence: icmp.sequence() };
        cx.trace(packet, || trace);
        self.id = self.id.wrapping_add(1);
        let payload = packet.total_len() as u16;
        let mut reply = Ipv4::new(request.dst(), request.src(), request.protocol(), icmp::TTL, payload);
        reply.set_tos(request.tos());
        reply.set_dont_fragment(request.dont_fragment());
        reply.set_id(self.id);
        reply.fill_checksum(&[]);
        // As many bytes as were just passed over, at least.
        let there = packet.retreat(Ipv4::LEN);
        let Some((header, _)) = Ipv4::mut_from_prefix(packet.data_mut()).ok().filter(|_| there) else {
            return cx.drop(Count::Malformed);
        };
        *header = reply;
        icmp::goes_back(packet, &self.forwarding, &cx.guard());
        cx.count(Count::Sent);
        Next::Lookup
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marks;
    use crate::testing::*;
    use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Type, Ipv4Header};
    use millrace_engine::testing::Bench;

    const REQUEST: Icmpv4Type = Icmpv4Type::EchoRequest(IcmpEchoHeader { id: 7, seq: 3 });

    #[test]
    fn the_request_turned_round() {
        for (name, data, change) in [
            ("usual", 56, (|_| {}) as fn(&mut Ipv4Header)),
            ("no data", 0, |_| {}),
            ("odd length", 57, |_| {}),
            ("over several buffers", 8000, |_| {}),
            ("over several buffers, odd", 5001, |_| {}),
            ("the longest", 65_507, |_| {}),
            ("don't fragment", 56, |h| h.dont_fragment = true),
            ("last hop", 56, |h| h.time_to_live = 1),
            ("type of service", 56, |h| (h.dscp, h.ecn) = (46.try_into().unwrap(), 1.try_into().unwrap())),
            ("options, which are left out", 56, |h| h.options = [0x94, 4, 0, 0, 1, 1, 1, 0].into()),
            ("options, over several buffers", 4001, |h| h.options = [1; 40].into()),
        ] {
            let data: Vec<u8> = (0..data).map(|at| (at * 7) as u8).collect();
            let request = icmp_with(HOST, LAN_IP, REQUEST, &data, change);
            let outcome = Bench::new(Icmp4EchoReply::new(World::new().forwarding)).one(&request);
            assert_eq!(fate(&outcome), ("ip4-lookup", &[("echo replies sent", 1)][..]), "{name}");
            let (ip, message) = parsed(bytes(&outcome));
            // RFC 1122 section 3.2.2.6: from the address that was asked, with all the data.
            assert_eq!((ip.source, ip.destination, ip.time_to_live), (LAN_IP, HOST, 64), "{name}");
            let mut asked = header(HOST, LAN_IP);
            change(&mut asked);
            assert_eq!((ip.dscp, ip.ecn, ip.dont_fragment), (asked.dscp, asked.ecn, asked.dont_fragment), "{name}");
            assert!(ip.options.is_empty(), "{name}");
            assert_eq!(checksum(message), 0, "{name}: ICMP checksum");
            let (icmp, echoed) = Icmpv4Header::from_slice(message).unwrap();
            assert_eq!(icmp.icmp_type, Icmpv4Type::EchoReply(IcmpEchoHeader { id: 7, seq: 3 }), "{name}");
            assert!(echoed == data, "{name}: data");
            assert_eq!(outcome.packets[0].marks, marks::OWN, "{name}");
        }
    }

    #[test]
    fn the_vrf_that_it_came_from() {
        for (marks, table) in [(0, 7), (marks::NATTED, 0)] {
            let mut bench = Bench::new(Icmp4EchoReply::new(World::new().forwarding));
            let outcome =
                bench.run(&[&echo(HOST, LAN_IP, b"")], |meta| (meta.rx_interface, meta.marks) = (LAN_100, marks));
            assert_eq!((outcome.packets[0].table, outcome.packets[0].tx_interface), (table, LAN_100), "marks {marks}");
        }
    }

    #[test]
    fn refused() {
        let wrong = |packet: Vec<u8>, at: usize| {
            let mut packet = packet;
            packet[at] ^= 1;
            packet
        };
        for (name, packet, reason) in [
            ("one bit of the data", wrong(echo(HOST, LAN_IP, &[0; 9]), 30), "ICMP checksum is wrong"),
            ("one bit in the last buffer", wrong(echo(HOST, LAN_IP, &[0; 5000]), 5020), "ICMP checksum is wrong"),
            (
                "an echo reply",
                { icmp_with(HOST, LAN_IP, Icmpv4Type::EchoReply(IcmpEchoHeader { id: 7, seq: 3 }), &[], |_| {}) },
                "no echo request",
            ),
            ("cut off", echo(HOST, LAN_IP, &[])[..27].to_vec(), "no echo request"),
            ("no ICMP header", echo(HOST, LAN_IP, &[])[..20].to_vec(), "no echo request"),
            ("less than a header", vec![0x45; 19], "no echo request"),
            ("more header than packet", broken(echo(HOST, LAN_IP, &[]), |p| p[0] = 0x4f), "no echo request"),
        ] {
            let outcome = Bench::new(Icmp4EchoReply::new(World::new().forwarding)).one(&packet);
            assert_eq!(fate(&outcome), ("drop", &[(reason, 1)][..]), "{name}");
        }
    }

    #[test]
    fn trace() {
        let (_, text) =
            Bench::new(Icmp4EchoReply::new(World::new().forwarding)).traced(&echo(HOST, LAN_IP, b""), |_| {});
        assert_eq!(text, "to 192.168.1.10 id 7 sequence 3");
    }
}
