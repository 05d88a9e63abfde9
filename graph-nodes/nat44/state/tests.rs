//! A world of a few workers that share rules, and an audit of what they keep.

mod churn;
mod clauses;
mod limits;
mod operating;
mod statics;

use super::mappings::Kind;
use super::{Opening, Refusal, State};
use crate::nat44::log::{LogEvent, NatLog};
use crate::nat44::ports::{ExternalPorts, ICMP, PROTOCOLS, TCP, UDP};
use crate::nat44::rules::{Backend, Outside, Pool, Rules, Spec, StaticMapping};
use millrace_engine::Waker;
use millrace_tables::flow::tcp::TcpSegment;
use millrace_tables::flow::{FlowId, Key, Side, State as FlowState, Ticks, View};
use millrace_wire::TcpFlags;
use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::Ordering::Relaxed;

/// The interface that flows leave by.
const WAN: u32 = 2;
const LAN: u32 = 1;

/// "192.0.2.1:80"; without a port, 0.
fn endpoint(text: &str) -> (Ipv4Addr, u16) {
    match text.parse::<SocketAddrV4>() {
        Ok(both) => (*both.ip(), both.port()),
        Err(_) => (text.parse().unwrap(), 0),
    }
}

fn text((address, port): (Ipv4Addr, u16)) -> String {
    format!("{address}:{port}")
}

/// Inside behind [`LAN`], outside at [`WAN`], and a pool of these.
fn spec(pool: &[&str]) -> Spec {
    Spec {
        inside: vec![LAN],
        outside: vec![Outside { interface: WAN, table: 0, addresses: vec!["198.51.100.1".parse().unwrap()] }],
        pool: Pool::Addresses(pool.iter().map(|address| address.parse().unwrap()).collect()),
        ..Spec::default()
    }
}

/// A mapping of a port, or of a whole address where there are no ports.
fn mapping(protocol: Option<u8>, external: &str, internal: &[&str]) -> StaticMapping {
    let port = |text| Some(endpoint(text)).filter(|(_, port)| *port != 0).map(|(_, port)| port);
    StaticMapping {
        protocol,
        external: endpoint(external).0,
        external_ports: port(external).map(|port| (port, port)),
        internal: internal
            .iter()
            .map(|text| Backend { address: endpoint(text).0, port: port(text), weight: 1 })
            .collect(),
        table: 0,
        affinity: true,
        twice_nat: false,
    }
}

struct World {
    ports: ExternalPorts,
    rules: Rules,
    states: Vec<State>,
    log: NatLog,
    now: Ticks,
}

impl World {
    fn new(spec: &Spec, workers: usize) -> World {
        let log = NatLog::new(Waker::new().unwrap());
        let mut ports = ExternalPorts::default();
        let rules = Rules::new(spec, workers, &mut ports);
        let states = (0..workers).map(|worker| State::new(worker, log.clone()).unwrap()).collect();
        World { ports, rules, states, log, now: Ticks::from_secs(1_000_000) }
    }

    /// One worker, one external address.
    fn simple() -> World {
        World::new(&spec(&["203.0.113.1"]), 1)
    }

    fn publish(&mut self, spec: &Spec) {
        self.rules = Rules::new(spec, self.rules.workers(), &mut self.ports);
    }

    fn revalidate(&mut self) {
        for state in &mut self.states {
            let mut from = Some(0);
            while let Some(at) = from {
                from = state.revalidate(&self.rules, at, 7, self.now);
            }
        }
    }

    fn pass(&mut self, seconds: u32) {
        self.now = self.now + Ticks::from_secs(seconds);
    }

    fn expire(&mut self) {
        for state in &mut self.states {
            while state.expire(&self.rules, self.now, 100) > 0 {}
        }
    }

    /// A first packet from inside. The flow's number and worker.
    fn try_out(&mut self, protocol: u8, from: &str, to: &str, table: u16) -> Result<(usize, FlowId), Refusal> {
        let (from, to) = (endpoint(from), endpoint(to));
        let worker = self.rules.host_worker(from.0);
        let key = Key { view: View::new(from.0, from.1, to.0, to.1), protocol, table };
        let packet = Opening { key, tx_interface: WAN, tcp: syn(protocol) };
        // As it is within a frame, or else by itself.
        for stage in 0..if from.1 % 3 == 0 { 0 } else { State::STAGES } {
            self.states[worker].prefetch_outbound(&self.rules, &key, stage);
        }
        let id = self.states[worker].outbound(&self.rules, &packet, self.now)?;
        Ok((worker, id))
    }

    /// What a first packet from inside has as its source outside.
    fn out(&mut self, protocol: u8, from: &str, to: &str) -> Result<String, Refusal> {
        let (worker, id) = self.try_out(protocol, from, to, 0)?;
        let outside = self.states[worker].flows.get(id).unwrap().view(Side::Outside);
        let remote = (outside.source(), outside.source_port());
        assert_eq!(remote, endpoint(to), "the destination is nobody's business");
        Ok(text((outside.destination(), outside.destination_port())))
    }

    fn try_in(&mut self, protocol: u8, from: &str, to: &str) -> Result<(usize, FlowId), Refusal> {
        let (from, to) = (endpoint(from), endpoint(to));
        let view = View::new(from.0, from.1, to.0, to.1);
        let worker = self.rules.inbound_worker(&view, protocol).unwrap_or(0);
        let packet = Opening { key: Key { view, protocol, table: 0 }, tx_interface: 0, tcp: syn(protocol) };
        let id = self.states[worker].inbound(&self.rules, &packet, self.now)?;
        Ok((worker, id))
    }

    /// Where a first packet from outside goes, and whom it seems to be from.
    fn inbound(&mut self, protocol: u8, from: &str, to: &str) -> Result<(String, String), Refusal> {
        let (worker, id) = self.try_in(protocol, from, to)?;
        let inside = self.states[worker].flows.get(id).unwrap().view(Side::Inside);
        let (to, from) = ((inside.source(), inside.source_port()), (inside.destination(), inside.destination_port()));
        Ok((text(to), text(from)))
    }

    fn sessions(&self) -> u32 {
        self.states.iter().map(|state| state.flows.len()).sum()
    }

    fn clear(&mut self) {
        for state in &mut self.states {
            state.clear(&self.rules, 0, usize::MAX, &super::Filter::default(), self.now);
        }
    }

    fn events(&self) -> Vec<LogEvent> {
        std::iter::from_fn(|| self.log.pop()).collect()
    }

    fn used(&self) -> u32 {
        self.rules.all_ports().flat_map(|ports| ports.used()).sum()
    }

    /// Counts everything anew and compares.
    fn audit(&self) {
        let mut external = HashSet::new();
        let mut ports_of = HashMap::new();
        for (worker, state) in self.states.iter().enumerate() {
            let base = &state.base;
            let (mut hosts, mut mappings, mut groups) = (HashMap::new(), HashMap::new(), HashSet::new());
            let (flows, end) = state.flows.scan(0, usize::MAX);
            assert_eq!(end, None);
            let mut count = 0;
            for (id, flow) in flows {
                count += 1;
                let (inside, outside) = (flow.view(Side::Inside), flow.view(Side::Outside));
                *hosts.entry((flow.table(), inside.source())).or_insert(0) += 1;
                assert_eq!(self.rules.host_worker(inside.source()), worker);
                let mapping_id = base.groups.mapping(id);
                if mapping_id == 0 {
                    continue;
                }
                *mappings.entry(mapping_id).or_insert(0) += 1;
                let mapping = base.mappings.get(mapping_id).expect("a flow's mapping");
                if mapping.kind == Kind::Dynamic {
                    assert_eq!(mapping.inside(), (inside.source(), inside.source_port()));
                    assert_eq!(mapping.external(), (outside.destination(), outside.destination_port()));
                    if mapping.resident != id {
                        groups.insert((mapping_id, outside.source()));
                    }
                    assert!(base.groups.knows(&state.flows, mapping_id, mapping, outside.source()), "its group");
                }
            }
            assert_eq!(state.flows.len(), count);
            assert_eq!(base.hosts.len() as usize, hosts.len());
            let all = (1..base.hosts.end()).filter_map(|id| base.hosts.get(id));
            for host in all {
                assert_eq!(hosts.get(&(host.table(), host.address())), Some(&host.sessions()));
            }
            assert_eq!(base.mappings.len() as usize, mappings.len());
            for (&id, &sessions) in &mappings {
                let mapping = base.mappings.get(id).unwrap();
                assert_eq!(mapping.sessions, sessions, "sessions of a mapping");
                let (address, port) = mapping.external();
                assert!(external.insert((address, mapping.protocol, port)), "{address}:{port} has two holders");
                *ports_of.entry((address, mapping.protocol)).or_insert(0u32) += 1;
                if let Some(ports) = self.rules.any_external(address).and_then(|found| found.ports()) {
                    assert_eq!(ports.holder(worker, mapping.protocol, port), Some(id), "the port's holder");
                    assert_eq!(ports.owner(mapping.protocol, port), Some(worker));
                }
            }
            assert_eq!(base.groups.len(), groups.len(), "groups");
            let indexed = (base.mappings.indexed(), base.hosts.indexed());
            assert_eq!(indexed, (mappings.len(), hosts.len()), "what the indices have");
        }
        for ports in self.rules.all_ports() {
            for (protocol, used) in PROTOCOLS.into_iter().zip(ports.used()) {
                assert_eq!(ports_of.get(&(ports.address(), protocol)).copied().unwrap_or(0), used, "ports in use");
            }
        }
        let credit: u32 = self.states.iter().map(|state| state.base.credit).sum();
        assert_eq!(self.rules.sessions().load(Relaxed), self.sessions() + credit, "the count of sessions");
    }

    /// Nothing is left of anything.
    fn assert_empty(&self) {
        self.audit();
        for state in &self.states {
            let base = &state.base;
            assert_eq!((state.flows.len(), base.mappings.len(), base.hosts.len(), base.groups.len()), (0, 0, 0, 0));
        }
        assert_eq!(self.used(), 0);
    }
}

fn segment(flags: TcpFlags) -> TcpSegment {
    TcpSegment { flags, sequence: 1, acknowledgment: 0, window: 1000, scale: None }
}

fn syn(protocol: u8) -> Option<TcpSegment> {
    (protocol == TCP).then(|| segment(TcpFlags::SYN))
}
