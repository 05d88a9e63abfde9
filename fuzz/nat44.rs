//! Any bytes at all, taken for packets from both sides of a NAT with time between them. Whatever they are, no node panics, every
//! buffer and session is accounted for, every packet that leaves has the checksums right that it came with right, and no inside
//! address leaves by the outside interface.
//!
//! The fuzz target and an ordinary test over saved and random inputs share this.

mod packets;

use crate::lab::{Input, assert_settled, checksum};
use millrace_engine::epoch::{Participant, domain};
use millrace_engine::testing::{Sent, Testbed};
use millrace_engine::{Graph, Waker};
use millrace_graph_nodes::forwarding::{Forwarding, Interface};
use millrace_graph_nodes::nat44::rules::{Backend, Filtering, Outside, Pool, Spec, StaticMapping};
use millrace_graph_nodes::nat44::{self, Nat44, hairpin, in2out, inside_guard, out2in};
use millrace_graph_nodes::neighbor_events::NeighborEvents;
use millrace_graph_nodes::{capture, ip, ip4, link_control};
use millrace_tables::adjacency::{Adjacency, AdjacencyKind};
use millrace_tables::fib::Target;
use millrace_tables::flow::{Ticks, Timeouts};
use millrace_tables::lpm::{Lpm, Writer};
use millrace_wire::MacAddr;
use packets::{ADDRESSES, header, header_len, packet, seal, seal_transport, transport_ok};
use std::cell::RefCell;
use std::net::Ipv4Addr;

const LAN: u32 = 1;
const WAN: u32 = 2;
const SECOND: u64 = 1_000_000_000;
const MAC: MacAddr = MacAddr([2, 0xfe, 0, 0, 0, 1]);
struct Lab {
    bed: Testbed,
    nat: Nat44,
    spec: Spec,
    workers: usize,
    /// What left lately.
    log: Vec<Sent>,
    me: Participant,
    _routes: Writer<u32>,
}

thread_local! {
    /// Labs of one worker and of two, for the next input: nothing is left in them of the last.
    static LABS: RefCell<[Option<Lab>; 2]> = const { RefCell::new([None, None]) };
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let setting = input.byte();
    let which = usize::from(setting & 1);
    let mut lab = LABS.with_borrow_mut(|labs| labs[which].take()).unwrap_or_else(|| Lab::new(1 + which));
    lab.set(setting);
    while !input.0.is_empty() {
        lab.step(&mut input);
    }
    lab.end();
    LABS.with_borrow_mut(|labs| labs[which] = Some(lab));
    let _ = domain().collect();
}

fn tables() -> (Forwarding, Writer<u32>) {
    let forwarding = Forwarding::new();
    let (mut routes, reader) = Lpm::with_groups(16).unwrap();
    forwarding.fibs.set(&domain(), 0, reader).unwrap();
    let interface = |address: [u8; 4]| Interface {
        mac: MAC,
        mtu: 1500,
        addresses: vec![(address.into(), 24)],
        ..Interface::default()
    };
    forwarding.interfaces.set(&domain(), LAN, interface(ADDRESSES[3])).unwrap();
    forwarding.interfaces.set(&domain(), WAN, interface(ADDRESSES[4])).unwrap();
    let header = [&[2, 0, 0, 0, 0, 9][..], &MAC.0, &[8, 0]].concat();
    let to = |interface, mtu| Adjacency::with_rewrite(interface, mtu, 0, &header).unwrap();
    for (index, adjacency) in [(1, to(WAN, 600)), (2, to(LAN, 1500)), (3, Adjacency::new(AdjacencyKind::Local))] {
        forwarding.adjacencies.set(&domain(), index, adjacency).unwrap();
    }
    let mut route =
        |prefix: &str, index| routes.insert(prefix.parse().unwrap(), Target::Adjacency(index).to_u32()).unwrap();
    route("0.0.0.0/0", 1);
    route("192.168.1.0/24", 2);
    for ours in ["192.168.1.1/32", "203.0.113.1/32", "203.0.113.2/31", "203.0.113.4/32", "255.255.255.255/32"] {
        route(ours, 3);
    }
    (forwarding, routes)
}

fn graph(forwarding: &Forwarding, nat: &Nat44) -> Graph {
    let (mut graph, waker) = (Graph::new(), Waker::new().unwrap());
    millrace_graph_nodes::register(&mut graph, forwarding, &NeighborEvents::new(waker.clone()));
    capture::register(&mut graph, &capture::Captures::new(waker.clone()));
    link_control::register(&mut graph, &link_control::Frames::new(waker));
    nat44::register(&mut graph, forwarding, nat);
    graph
}

fn mapping(protocol: Option<u8>, external: usize, ports: Option<(u16, u16)>, servers: &[usize]) -> StaticMapping {
    let backend = |at: &usize| Backend { address: ADDRESSES[*at].into(), port: ports.map(|_| 80), weight: 1 };
    StaticMapping {
        protocol,
        external: ADDRESSES[external].into(),
        external_ports: ports,
        internal: servers.iter().map(backend).collect(),
        table: 0,
        affinity: true,
        twice_nat: false,
    }
}

impl Lab {
    fn new(workers: usize) -> Lab {
        let nat = Nat44::new(workers, Waker::new().unwrap()).unwrap();
        let (forwarding, routes) = tables();
        let bed = Testbed::new(graph(&forwarding, &nat), workers, &[LAN, WAN]);
        bed.switch(ip4::input::ARC.name, out2in::NAME, WAN, true);
        bed.switch(ip::lookup::ARC4.name, in2out::NAME, WAN, true);
        bed.switch(ip::lookup::ARC4.name, inside_guard::NAME, LAN, true);
        bed.switch(ip4::local::ARC.name, hairpin::NAME, LAN, true);
        let (log, me) = (Vec::new(), domain().register());
        Lab { bed, nat, spec: Spec::default(), workers, log, me, _routes: routes }
    }

    /// What the first byte of the input asks for.
    fn set(&mut self, setting: u8) {
        let all = [Filtering::AddressDependent, Filtering::EndpointIndependent, Filtering::AddressAndPortDependent];
        self.spec = Spec {
            inside: vec![LAN],
            outside: vec![Outside { interface: WAN, table: 0, addresses: vec![ADDRESSES[4].into()] }],
            pool: match setting >> 1 & 3 {
                0 => Pool::Interface,
                n => Pool::Addresses(
                    ADDRESSES[5..][..usize::from(n).min(2)].iter().map(|a| Ipv4Addr::from(*a)).collect(),
                ),
            },
            filtering: all[usize::from(setting >> 3 & 3) % 3],
            max_sessions: if setting & 0x20 == 0 { 1000 } else { 3 },
            max_sessions_per_host: if setting & 0x40 == 0 { 1000 } else { 2 },
            mss_clamp: (setting & 0x80 != 0).then_some(500),
            timeouts: Timeouts { udp: 120, tcp_established: 300, tcp_transitory: 120, icmp: 60 },
            twice_nat_pool: vec![Ipv4Addr::new(192, 168, 1, 254)],
            ..Spec::default()
        };
        self.log.clear();
        self.publish();
    }

    fn publish(&mut self) {
        self.nat.publish(&self.spec);
        let now = Ticks::from_nanos(self.bed.now);
        for worker in 0..self.workers {
            let rules = self.nat.rules(&self.me.guard());
            let mut state = self.nat.state(worker).get().unwrap();
            let mut cursor = Some(0);
            while let Some(from) = cursor {
                cursor = state.revalidate(rules, from, 100, now);
            }
        }
        self.me.quiescent();
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let what = input.byte();
        let from = if what & 0x80 == 0 { LAN } else { WAN };
        match what & 15 {
            0..7 => {
                let packet = packet(input);
                self.send(from, packet);
            }
            7..10 => self.answer(input),
            10 => self.report(input),
            11 => self.pass(u64::from(input.byte()) * SECOND),
            12 => self.pass(SECOND / 50),
            13 => {
                self.change(input.byte());
                self.publish();
            }
            14 => {
                let len = usize::from(input.byte());
                self.send(from, input.take(len).to_vec());
            }
            _ => {
                let len = usize::from(input.byte());
                let mut packet = input.take(len).to_vec();
                seal(&mut packet);
                self.send(from, packet);
            }
        }
    }

    /// Adds or takes away a static mapping.
    fn change(&mut self, which: u8) {
        let mapping = match which & 7 {
            0 => mapping(Some(6), 5, Some((8080, 8080)), &[0]),
            1 => mapping(Some(17), 5, Some((4000, 4003)), &[1]),
            2 => mapping(Some(6), 5, Some((443, 443)), &[0, 1]),
            3 => mapping(None, 7, None, &[2]),
            4 => mapping(Some(17), 4, Some((53, 53)), &[0]),
            5 => StaticMapping { twice_nat: true, ..mapping(Some(6), 5, Some((80, 80)), &[1]) },
            6 => mapping(None, 6, None, &[2]),
            _ => StaticMapping { affinity: false, ..mapping(Some(17), 5, Some((53, 53)), &[0, 1, 2]) },
        };
        match self.spec.mappings.iter().position(|m| *m == mapping) {
            Some(at) => drop(self.spec.mappings.remove(at)),
            None => self.spec.mappings.push(mapping),
        }
    }

    /// An earlier packet's ends the other way round, and some of its bytes changed.
    fn answer(&mut self, input: &mut Input<'_>) {
        let Some(earlier) = self.earlier(input.byte()) else { return };
        let mut packet = earlier.data[14..].to_vec();
        let (source, destination) = (packet[12..16].to_vec(), packet[16..20].to_vec());
        packet[12..16].copy_from_slice(&destination);
        packet[16..20].copy_from_slice(&source);
        packet[8] = 64;
        let at = header_len(&packet);
        if [6, 17].contains(&packet[9]) && packet.len() >= at + 4 {
            let ports = packet[at..at + 4].to_vec();
            packet[at..at + 2].copy_from_slice(&ports[2..]);
            packet[at + 2..at + 4].copy_from_slice(&ports[..2]);
        }
        if packet[9] == 1 && packet.len() > at && packet[at] == 8 {
            packet[at] = 0;
        }
        let changes = input.byte();
        for _ in 0..changes & 3 {
            let place = usize::from(input.byte());
            let value = input.byte();
            if let Some(byte) = packet.get_mut(place) {
                *byte = value;
            }
        }
        seal(&mut packet);
        seal_transport(&mut packet);
        self.send(earlier.interface, packet);
    }

    /// An ICMP error about an earlier packet.
    fn report(&mut self, input: &mut Input<'_>) {
        let Some(earlier) = self.earlier(input.byte()) else { return };
        let mut quote = earlier.data[14..].to_vec();
        quote.truncate(usize::from(input.byte()));
        let (kind, code) = (input.byte(), input.byte());
        let (place, value) = (usize::from(input.byte()), input.byte());
        if kind & 0x10 != 0
            && let Some(byte) = quote.get_mut(place)
        {
            *byte = value;
        }
        let body = [&[[3, 11, 12, 4][usize::from(kind & 3)], code, 0, 0, 0, 0, 0, 0][..], &quote].concat();
        let source = if kind & 4 == 0 { &earlier.data[14 + 16..14 + 20] } else { &[192, 168, 1, 12] };
        let mut packet = header(1, 64, 0, &[]);
        packet[12..16].copy_from_slice(source);
        packet[16..20].copy_from_slice(&earlier.data[14 + 12..14 + 16]);
        packet.extend(body);
        seal(&mut packet);
        seal_transport(&mut packet);
        self.send(earlier.interface, packet);
    }

    fn earlier(&self, which: u8) -> Option<Sent> {
        let n = self.log.len();
        self.log.get((n.checked_sub(1)?) - usize::from(which) % n).filter(|s| s.data.len() >= 34).cloned()
    }

    fn pass(&mut self, nanos: u64) {
        let sent = self.bed.pass(nanos, 2);
        self.look(&sent, false, false);
    }

    fn send(&mut self, interface: u32, packet: Vec<u8>) {
        let frame = [&MAC.0[..], &[2, 0, 0, 0, 0, 9], &[8, 0], &packet].concat();
        let worker = packet.last().map_or(0, |b| usize::from(*b)) % self.workers;
        let right = transport_ok(&packet);
        // Somebody outside who says that he is inside is not the NAT's business.
        let lies = interface == WAN && packet.get(12..15) == Some(&[192, 168, 1]);
        let sent = self.bed.one(worker, interface, &frame);
        self.look(&sent, right, lies);
        self.log.extend(sent);
        let old = self.log.len().saturating_sub(16);
        self.log.drain(..old);
    }

    fn look(&mut self, sent: &[Sent], right: bool, lies: bool) {
        for Sent { interface, data, .. } in sent {
            let packet = &data[14..];
            assert_eq!(checksum(&packet[..header_len(packet)]), 0, "header checksum: {packet:02x?}");
            assert!(!right || transport_ok(packet), "transport checksum: {packet:02x?}");
            // The router's own address there is no secret: it may complain about a packet that lies about its source.
            let inside = packet[12..15] == [192, 168, 1] && packet[15] != 1;
            assert!(lies || *interface != WAN || !inside, "from an inside address: {packet:02x?}");
        }
        self.me.quiescent();
    }

    /// All time that anything may take passes: nothing is left.
    fn end(&mut self) {
        for _ in 0..20 {
            self.pass(40 * SECOND);
        }
        assert_settled(&mut self.bed);
        for worker in 0..self.workers {
            let state = self.nat.state(worker).get().unwrap();
            let left = state.summary();
            assert_eq!((left.sessions, left.mappings, left.hosts), (0, 0, 0), "worker {worker}");
        }
        let rules = self.nat.rules(&self.me.guard());
        assert!(rules.all_ports().all(|ports| ports.is_unused()), "ports that nobody has");
    }
}
