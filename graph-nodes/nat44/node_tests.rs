//! The nodes one by one: where each packet goes, what it is then, what is counted. Hosts of the world's lan are inside, its wan is
//! outside, and there are two workers where a test says so.

use super::rules::{Exempt, Outside, Pool, Spec};
use super::*;
use crate::icmp::reason::Reason;
use crate::marks;
use crate::testing::*;
use etherparse::icmpv4::{DestUnreachableHeader, TimeExceededCode};
use etherparse::{IcmpEchoHeader, Icmpv4Type};
use in2out::In2out;
use in2out_slowpath::In2outSlowpath;
use millrace_engine::Node;
use millrace_engine::testing::{Bench, Outcome};
use out2in::Out2in;
use out2in_slowpath::Out2inSlowpath;

/// Pool address of the world's nat: no interface has it.
const POOL: Ip = [203, 0, 113, 100];
const SERVER: Ip = [198, 51, 100, 7];
/// Where an IPv4 header without options has its ports behind.
const PORTS: std::ops::Range<usize> = 20..24;

fn spec() -> Spec {
    Spec {
        inside: vec![LAN],
        outside: vec![Outside { interface: WAN, table: 0, addresses: vec![WAN_IP.into()] }],
        pool: Pool::Addresses(vec![POOL.into()]),
        exempt: vec![Exempt { source: "192.168.1.0/24".parse().unwrap(), destination: "10.8.0.0/16".parse().unwrap() }],
        ..Spec::default()
    }
}

struct Nodes {
    nat: Nat44,
    out: Bench<In2out>,
    out_slow: Bench<In2outSlowpath>,
    back: Bench<Out2in>,
    back_slow: Bench<Out2inSlowpath>,
}

/// The nodes of worker 0 of so many.
fn nodes_of(workers: usize, spec: &Spec) -> Nodes {
    let forwarding = World::new().forwarding;
    let nat = Nat44::new(workers, Waker::new().unwrap()).unwrap();
    nat.publish(spec);
    let mut nodes = Nodes {
        out: Bench::new(In2out::new(forwarding.clone(), nat.clone(), 0)),
        out_slow: Bench::new(In2outSlowpath::new(forwarding, nat.clone(), 0)),
        back: Bench::new(Out2in::new(nat.clone(), 0)),
        back_slow: Bench::new(Out2inSlowpath::new(nat.clone(), Forwarding::new(), 0)),
        nat,
    };
    nodes.out.arc(&crate::ip::lookup::ARC4, &[in2out::FEATURE], &[]);
    nodes.back.arc(&crate::ip4::input::ARC, &[out2in::FEATURE], &[]);
    nodes
}

fn nodes() -> Nodes {
    nodes_of(1, &spec())
}

fn run<N: Node>(bench: &mut Bench<N>, packet: &[u8], rx: u32, marks: u32) -> Outcome {
    bench.run(&[packet], |meta| {
        (meta.rx_interface, meta.tx_interface, meta.adjacency, meta.marks) = (rx, WAN, TO_PEER, marks);
    })
}

impl Nodes {
    /// A packet from the lan on its way to the wan: to nat44-in2out, and if that says so to its slow path.
    fn out(&mut self, packet: &[u8]) -> Outcome {
        let outcome = run(&mut self.out, packet, LAN, 0);
        match outcome.packets[0].next {
            "nat44-in2out-slowpath" => run(&mut self.out_slow, packet, LAN, 0),
            _ => outcome,
        }
    }

    /// A packet from the wan.
    fn back(&mut self, packet: &[u8]) -> Outcome {
        let outcome = run(&mut self.back, packet, WAN, 0);
        match outcome.packets[0].next {
            "nat44-out2in-slowpath" => run(&mut self.back_slow, packet, WAN, 0),
            _ => outcome,
        }
    }
}

/// Source and destination, with the ports, of a packet with right checksums.
#[track_caller]
fn ends(packet: &[u8]) -> (Ip, u16, Ip, u16) {
    let (header, rest) = parsed(packet);
    let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
    (header.source, port(0), header.destination, port(2))
}

fn reply(packet: &[u8]) -> Vec<u8> {
    let (from, from_port, to, to_port) = ends(packet);
    let mut reply = udp(to, from);
    reply[PORTS].copy_from_slice(&[to_port.to_be_bytes(), from_port.to_be_bytes()].concat());
    reply[26..28].fill(0);
    reply
}

/// RFC 3022 section 4.1, and RFC 4787 REQ-1, REQ-3: the port stays, as it is free.
#[test]
fn a_flow_is_opened_by_its_first_packet_and_then_known() {
    let mut nodes = nodes();
    let packet = udp(HOST, SERVER);
    let first = nodes.out(&packet);
    assert_eq!(fate(&first), ("ip4-rewrite", &[("packets translated", 1), ("sessions opened", 1)][..]));
    assert_eq!(ends(bytes(&first)), (POOL, 40_000, SERVER, 7));
    let second = run(&mut nodes.out, &packet, LAN, 0);
    assert_eq!(fate(&second), ("ip4-rewrite", &[("packets translated", 1)][..]), "by the fast path");
    assert_eq!((bytes(&second), second.packets[0].marks), (bytes(&first), marks::NATTED));
    let back = reply(bytes(&first));
    // The first answer changes the state, the second doesn't.
    for (node, next) in [("slow", "nat44-out2in-slowpath"), ("fast", "ip4-lookup")] {
        assert_eq!(run(&mut nodes.back, &back, WAN, 0).packets[0].next, next, "{node}");
        let outcome = nodes.back(&back);
        assert_eq!((ends(bytes(&outcome)), outcome.packets[0].table), ((SERVER, 7, HOST, 40_000), 0), "{node}");
    }
}

#[test]
fn a_connection_is_fast_once_it_is_established() {
    let mut nodes = nodes();
    let from_host = |flags: fn(&mut etherparse::TcpHeader)| tcp(HOST, SERVER, b"", flags);
    let from_server = |flags: fn(&mut etherparse::TcpHeader)| {
        tcp(SERVER, POOL, b"", |tcp| {
            (tcp.source_port, tcp.destination_port) = (80, 40_000);
            (tcp.sequence_number, tcp.acknowledgment_number) = (5000, 1001);
            flags(tcp);
        })
    };
    assert_eq!(nodes.out(&from_host(|tcp| tcp.syn = true)).packets[0].next, "ip4-rewrite");
    let syn_ack = nodes.back(&from_server(|tcp| (tcp.syn, tcp.ack) = (true, true)));
    assert_eq!(ends(bytes(&syn_ack)), (SERVER, 80, HOST, 40_000));
    let ack = from_host(|tcp| {
        (tcp.ack, tcp.sequence_number, tcp.acknowledgment_number) = (true, 1001, 5001);
    });
    assert_eq!(run(&mut nodes.out, &ack, LAN, 0).packets[0].next, "nat44-in2out-slowpath", "it establishes");
    assert_eq!(nodes.out(&ack).packets[0].next, "ip4-rewrite");
    let fast = run(&mut nodes.out, &ack, LAN, 0);
    assert_eq!((fast.packets[0].next, ends(bytes(&fast))), ("ip4-rewrite", (POOL, 40_000, SERVER, 80)));
    let data = from_server(|tcp| (tcp.ack, tcp.sequence_number) = (true, 5001));
    assert_eq!(run(&mut nodes.back, &data, WAN, 0).packets[0].next, "ip4-lookup");
    for (name, change) in [
        ("FIN", (|tcp| (tcp.ack, tcp.fin) = (true, true)) as fn(&mut etherparse::TcpHeader)),
        ("RST", |tcp| tcp.rst = true),
        ("SYN", |tcp| tcp.syn = true),
    ] {
        let outcome = run(&mut nodes.out, &from_host(change), LAN, 0);
        assert_eq!(outcome.packets[0].next, "nat44-in2out-slowpath", "{name} may change the state");
    }
}

#[test]
fn what_is_not_translated_on_the_way_out() {
    let mut nodes = nodes();
    let packet = udp(HOST, SERVER);
    for (name, rx, packet_marks) in [
        ("not from inside", WAN, 0),
        ("translated already", LAN, marks::NATTED),
        ("the router's own", LAN, marks::OWN),
        ("the router's own, from nowhere", 0, marks::OWN),
    ] {
        let outcome = run(&mut nodes.out, &packet, rx, packet_marks);
        assert_eq!((fate(&outcome), bytes(&outcome)), (("ip4-rewrite", &[][..]), &packet[..]), "{name}");
    }
    let exempt = nodes.out(&udp(HOST, [10, 8, 0, 1]));
    let counts = &[("packets between networks that are not translated", 1)][..];
    assert_eq!(fate(&exempt), ("ip4-rewrite", counts));
    assert_eq!((bytes(&exempt), exempt.packets[0].marks), (&udp(HOST, [10, 8, 0, 1])[..], marks::NATTED));
    assert_eq!(fate(&nodes.out(b"short")), ("drop", &[("no IPv4 header", 1)][..]));
}

/// RFC 1812 section 5.3.1, RFC 1191 section 4: the error quotes what the host sent, and no session is made.
#[test]
fn what_ip4_rewrite_will_refuse_is_left_to_it() {
    let mut nodes = nodes();
    let refused = &[("packets left to ip4-rewrite to refuse", 1)][..];
    for (name, packet) in [
        ("TTL", udp_with(HOST, SERVER, 10, |h| h.time_to_live = 1)),
        ("MTU", udp_with(HOST, SERVER, 1473, |h| h.dont_fragment = true)),
    ] {
        let outcome = nodes.out(&packet);
        assert_eq!((fate(&outcome), bytes(&outcome)), (("ip4-rewrite", refused), &packet[..]), "{name}");
    }
    let fragmented = nodes.out(&udp_with(HOST, SERVER, 1473, |_| {}));
    assert_eq!(ends(bytes(&fragmented)).0, POOL, "it may be cut");
    let mut state = nodes.nat.state(0).get().unwrap();
    assert_eq!(state.flows.len(), 1);
    assert!(state.flows.get_mut(0).is_none_or(|flow| flow.packets() == 0));
}

/// RFC 4787 REQ-8 and RFC 5382 REQ-4: what nobody asked for ends without a word.
#[test]
fn unsolicited_packets() {
    let mut nodes = nodes();
    nodes.out(&udp(HOST, SERVER));
    let to = |address: Ip, port: u16| {
        broken(udp([198, 51, 100, 99], address), |packet| {
            packet[22..24].copy_from_slice(&port.to_be_bytes());
            packet[26..28].fill(0);
        })
    };
    let ping = |address: Ip| echo(SERVER, address, b"");
    let syn = tcp(SERVER, WAN_IP, b"", |tcp| tcp.syn = true);
    let answer = icmp_with(SERVER, WAN_IP, Icmpv4Type::EchoReply(IcmpEchoHeader { id: 5, seq: 1 }), b"", |_| {});
    for (name, packet, next, count) in [
        ("no mapping", to(POOL, 41_000), "drop", "unsolicited: no mapping"),
        ("a stranger", to(POOL, 40_000), "drop", "unsolicited: mapping does not admit the sender"),
        ("SYN to the router, which alone has the address", syn, "ip4-lookup", "packets for the router itself"),
        ("a ping to the pool", ping(POOL), "ip4-lookup", "packets for the router itself"),
        ("a ping to the router", ping(WAN_IP), "ip4-lookup", "packets for the router itself"),
        ("an answer to the router's ping", answer, "ip4-lookup", "packets for the router itself"),
    ] {
        let outcome = nodes.back(&packet);
        assert_eq!((fate(&outcome), bytes(&outcome)), ((next, &[(count, 1)][..]), &packet[..]), "{name}");
        assert_eq!(outcome.packets[0].marks, 0, "{name}");
    }
    let transit = nodes.back(&udp(SERVER, HOST));
    assert_eq!((fate(&transit), bytes(&transit)), (("ip4-lookup", &[][..]), &udp(SERVER, HOST)[..]));
}

#[test]
fn the_inside_is_guarded() {
    let nat = nodes().nat;
    let mut bench = Bench::new(inside_guard::InsideGuard::new(nat));
    bench.arc(&crate::ip::lookup::ARC4, &[in2out::FEATURE, inside_guard::FEATURE], &[]);
    let straight = &[("from outside straight to an inside host", 1)][..];
    for (name, packet, rx, packet_marks, fate_is) in [
        ("straight", udp(SERVER, HOST), WAN, 0, ("drop", straight)),
        ("translated", udp(SERVER, HOST), WAN, marks::NATTED, ("ip4-rewrite", &[][..])),
        ("from inside", udp(LAN_IP, HOST), LAN, 0, ("ip4-rewrite", &[][..])),
        ("from the router", udp(WAN_IP, HOST), WAN, marks::OWN, ("ip4-rewrite", &[][..])),
        ("exempt", udp([10, 8, 3, 4], HOST), WAN, 0, ("ip4-rewrite", &[][..])),
        ("exempt the other way only", udp([10, 9, 3, 4], HOST), WAN, 0, ("drop", straight)),
    ] {
        assert_eq!(fate(&run(&mut bench, &packet, rx, packet_marks)), fate_is, "{name}");
    }
}

/// RFC 4787 REQ-9: with the external address as the source.
#[test]
fn hairpin() {
    let mut nodes = nodes();
    let (a, b) = (HOST, [192, 168, 1, 11]);
    nodes.out(&udp(a, SERVER));
    let mut bench = Bench::new(hairpin::Hairpin::new(nodes.nat.clone()));
    bench.arc(&crate::ip4::local::ARC, &[hairpin::FEATURE], &[]);
    let packet = broken(udp(b, POOL), |packet| {
        packet[PORTS].copy_from_slice(&[50_000_u16.to_be_bytes(), 40_000_u16.to_be_bytes()].concat());
        packet[26..28].fill(0);
    });
    let outcome = run(&mut bench, &packet, LAN, 0);
    let counts = &[("packets from inside to inside by an external address", 1)][..];
    assert_eq!((fate(&outcome), outcome.packets[0].marks), (("nat44-in2out", counts), marks::HAIRPIN));
    assert_eq!(run(&mut nodes.out, &packet, LAN, marks::HAIRPIN).packets[0].next, "nat44-in2out-slowpath");
    let out = run(&mut nodes.out_slow, &packet, LAN, marks::HAIRPIN);
    assert_eq!((out.packets[0].next, ends(bytes(&out))), ("nat44-out2in", (POOL, 50_000, POOL, 40_000)));
    // Filtered as if it came from outside: A has sent nothing to the external address.
    let refused = run(&mut nodes.back_slow, bytes(&out), LAN, marks::HAIRPIN | marks::NATTED);
    assert_eq!(fate(&refused), ("drop", &[("unsolicited: mapping does not admit the sender", 1)][..]));

    let nobody = broken(packet.clone(), |packet| packet[22..24].copy_from_slice(&[1, 1]));
    assert_eq!(fate(&run(&mut bench, &nobody, LAN, 0)), ("ip4-local-end-of-arc", &[][..]));
    assert_eq!(fate(&run(&mut bench, &udp(HOST, LAN_IP), LAN, 0)), ("ip4-local-end-of-arc", &[][..]));
    // Fragments go together, and come back from there when nobody has the port.
    let first = broken(nobody, |packet| packet[6] = 0x20);
    assert_eq!(run(&mut bench, &first, LAN, 0).packets[0].next, "nat44-in2out");
    let outcome = run(&mut nodes.out_slow, &first, LAN, marks::HAIRPIN | marks::PORTS_KNOWN);
    assert_eq!((fate(&outcome), outcome.packets[0].marks), (("ip4-local-end-of-arc", &[][..]), 0));
    let own = run(&mut nodes.out, &packet, LAN, marks::HAIRPIN | marks::OWN);
    assert_eq!(fate(&own), ("nat44-out2in", &[][..]), "the router's answer to somebody behind it");
    let expired = broken(packet, |packet| packet[8] = 1);
    assert_eq!(fate(&run(&mut bench, &expired, LAN, 0)), ("icmp4-error", &[("time to live ran out", 1)][..]));
}

/// RFC 5508 REQ-3 to REQ-6.
#[test]
fn errors_find_the_flow_that_they_are_about() {
    let mut nodes = nodes();
    let sent = nodes.out(&udp(HOST, SERVER));
    let seen_outside = bytes(&sent).to_vec();
    let router = [203, 0, 113, 77];
    let exceeded = Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit);
    let back = nodes.back(&icmp_with(router, POOL, exceeded.clone(), &seen_outside, |_| {}));
    assert_eq!(fate(&back), ("ip4-lookup", &[("packets translated", 1)][..]));
    let (header, message) = parsed(bytes(&back));
    assert_eq!((header.source, header.destination, checksum(message)), (router, HOST, 0));
    assert_eq!(&message[8..], &udp(HOST, SERVER)[..], "the quote is what was sent");

    let answered = nodes.back(&reply(&seen_outside));
    let unreachable = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);
    let out = nodes.out(&icmp_with(HOST, SERVER, unreachable, bytes(&answered), |_| {}));
    assert_eq!(fate(&out), ("ip4-rewrite", &[("packets translated", 1)][..]));
    let (header, message) = parsed(bytes(&out));
    assert_eq!((header.source, header.destination, checksum(message)), (POOL, SERVER, 0));
    assert_eq!(&message[8..], &reply(&seen_outside)[..]);

    let nobodys = udp([203, 0, 113, 100], [9, 9, 9, 9]);
    let lost = nodes.back(&icmp_with(router, POOL, exceeded, &broken(nobodys, |p| p[20] = 0x11), |_| {}));
    assert_eq!(fate(&lost), ("drop", &[("ICMP error about no known session", 1)][..]));
}

/// An error that the router made about a packet that it had translated already.
#[test]
fn the_routers_own_errors_quote_what_came() {
    let mut nodes = nodes();
    let out = nodes.out(&udp(HOST, SERVER));
    let came = reply(bytes(&out));
    let inside = bytes(&nodes.back(&came)).to_vec();
    let unreachable = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Host);
    let error = icmp_with(WAN_IP, SERVER, unreachable, &inside, |_| {});
    assert_eq!(run(&mut nodes.out, &error, WAN, marks::OWN).packets[0].next, "nat44-in2out-slowpath");
    let outcome = run(&mut nodes.out_slow, &error, WAN, marks::OWN);
    assert_eq!(fate(&outcome), ("ip4-rewrite", &[("packets translated", 1)][..]));
    let (header, message) = parsed(bytes(&outcome));
    assert_eq!((header.source, header.destination, checksum(message)), (WAN_IP, SERVER, 0));
    assert_eq!(&message[8..], &came[..]);
}

/// RFC 5508 REQ-8: the sender hears of it.
#[test]
fn limits() {
    let mut nodes = nodes_of(1, &Spec { max_sessions_per_host: 1, ..spec() });
    nodes.out(&udp(HOST, SERVER));
    let refused = nodes.out(&udp(HOST, [198, 51, 100, 8]));
    assert_eq!(fate(&refused), ("icmp4-error", &[("limit of sessions for the host", 1)][..]));
    assert_eq!(Reason::of(&refused.packets[0]), Some(Reason::Prohibited));
    assert_eq!(nodes.out(&udp(HOST, SERVER)).packets[0].next, "ip4-rewrite", "what there is goes on");

    let mut nodes = nodes_of(1, &Spec { pool: Pool::Addresses(vec![]), ..spec() });
    assert_eq!(fate(&nodes.out(&udp(HOST, SERVER))).1, [("no external address for the interface", 1)]);
    let gre = broken(udp(HOST, SERVER), |packet| packet[9] = 47);
    let refused = self::nodes().out(&gre);
    assert_eq!(fate(&refused), ("drop", &[("protocol needs a one-to-one mapping", 1)][..]));
}

#[test]
fn fragments_wait_for_their_ports() {
    let mut nodes = nodes();
    let first = udp_with(HOST, SERVER, 16, |h| h.more_fragments = true);
    assert_eq!(run(&mut nodes.out, &first, LAN, 0).packets[0].next, "nat44-in2out-reass");
    assert_eq!(run(&mut nodes.out, &first, LAN, marks::PORTS_KNOWN).packets[0].next, "nat44-in2out-slowpath");
    let later = udp_with(SERVER, POOL, 16, |h| h.fragment_offset = 2.try_into().unwrap());
    assert_eq!(run(&mut nodes.back, &later, WAN, 0).packets[0].next, "nat44-out2in-reass");
    assert_eq!(run(&mut nodes.back, &later, WAN, marks::PORTS_KNOWN).packets[0].next, "nat44-out2in-slowpath");
}

/// Each inside host's packets come to one worker, and what comes back to the worker that has the port.
#[test]
fn packets_find_their_worker() {
    let mut nodes = nodes_of(2, &spec());
    let guard_of = domain().register();
    let homes: Vec<usize> =
        (0..20).map(|n| nodes.nat.rules(&guard_of.guard()).host_worker([192, 168, 1, n].into())).collect();
    assert!(homes.contains(&0) && homes.contains(&1));
    for (n, home) in homes.iter().enumerate() {
        let packet = udp([192, 168, 1, n as u8], SERVER);
        let outcome = run(&mut nodes.out, &packet, LAN, 0);
        match home {
            0 => assert_eq!(outcome.packets[0].next, "nat44-in2out-slowpath"),
            other => {
                assert_eq!((outcome.packets[0].next, outcome.packets[0].worker), ("worker-handoff", *other as u16));
                continue;
            }
        }
        let out = nodes.out(&packet);
        let back = reply(bytes(&out));
        assert_eq!(nodes.back(&back).packets[0].next, "ip4-lookup");
        // The same on the other worker.
        nodes.back.worker = 1;
        let outcome = run(&mut nodes.back, &back, WAN, 0);
        nodes.back.worker = 0;
        assert!(matches!(outcome.packets[0].next, "ip4-lookup" | "worker-handoff"));
    }
}

#[test]
fn trace() {
    let mut nodes = nodes();
    let to_wan = |meta: &mut millrace_engine::pool::Meta| {
        (meta.rx_interface, meta.tx_interface, meta.adjacency) = (LAN, WAN, TO_PEER);
    };
    let (_, text) = nodes.out_slow.traced(&udp(HOST, SERVER), to_wan);
    assert_eq!(text, "flow 1 192.168.1.10:40000 -> 198.51.100.7:7 as 203.0.113.100:40000 -> 198.51.100.7:7");
    assert_eq!(nodes.out.traced(&udp(HOST, SERVER), to_wan).1, "flow 1");
    assert_eq!(nodes.back.traced(&udp(SERVER, POOL), |_| {}).1, "no flow");
}
