//! What operators see and do: a bounded step at a time, as it happens between frames.

use super::State;
use super::mappings::{Kind, Mapping};
use crate::nat44::ports::{ICMP, TCP, UDP};
use crate::nat44::rules::Rules;
use millrace_tables::flow::{Flow, FlowId, Side, State as FlowState, Ticks};
use std::net::Ipv4Addr;

/// Which sessions, or mappings. All that is set must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The inside host.
    pub inside: Option<Ipv4Addr>,
    /// The external address.
    pub outside: Option<Ipv4Addr>,
    /// The host outside, or what it seems to be inside. A mapping has none.
    pub remote: Option<Ipv4Addr>,
    /// The IP protocol.
    pub protocol: Option<u8>,
    /// Any of its ports, or the identifier of a query.
    pub port: Option<u16>,
    /// The number of the inside's table.
    pub table: Option<u16>,
}

/// A session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The IP protocol.
    pub protocol: u8,
    /// The number of the inside's table.
    pub table: u16,
    /// The inside endpoint. Ports of ICMP are the queries' identifiers; other protocols have none.
    pub inside: (Ipv4Addr, u16),
    /// What it is seen as outside.
    pub outside: (Ipv4Addr, u16),
    /// The endpoint outside.
    pub remote: (Ipv4Addr, u16),
    /// What that is seen as inside: the same, unless twice-NAT translates it.
    pub remote_inside: (Ipv4Addr, u16),
    /// What it is doing.
    pub state: FlowState,
    /// Who sent the first packet.
    pub opener: Side,
    /// It stands on a configured mapping.
    pub is_static: bool,
    /// Packets both ways.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Seconds without a packet.
    pub idle: u32,
    /// Seconds that it lives if none comes.
    pub expires_in: u32,
}

/// A mapping that an inside host made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappingRow {
    /// The IP protocol.
    pub protocol: u8,
    /// The number of the inside's table.
    pub table: u16,
    /// The inside endpoint.
    pub inside: (Ipv4Addr, u16),
    /// What it is seen as outside.
    pub outside: (Ipv4Addr, u16),
    /// Its sessions.
    pub sessions: u32,
}

/// An inside host with sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRow {
    /// Its address.
    pub address: Ipv4Addr,
    /// The number of its table.
    pub table: u16,
    /// Its sessions.
    pub sessions: u32,
    /// The external address that its mappings get.
    pub external: Option<Ipv4Addr>,
}

/// How much of everything there is, of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Sessions.
    pub sessions: u32,
    /// Sessions of TCP, UDP and ICMP; the rest is of others.
    pub by_protocol: [(u8, u32); 3],
    /// Sessions by state.
    pub by_state: [(FlowState, u32); FlowState::ALL.len()],
    /// Mappings that inside hosts made, and the ones of twice-NAT clients.
    pub mappings: u32,
    /// Inside hosts with sessions.
    pub hosts: u32,
    /// Sessions that went to make room for others, since the start.
    pub reclaimed: u64,
    /// Bytes, without the ports.
    pub memory: usize,
}

impl Filter {
    fn admits(&self, protocol: u8, table: u16, inside: Ipv4Addr, outside: Ipv4Addr) -> bool {
        self.protocol.is_none_or(|wanted| wanted == protocol)
            && self.table.is_none_or(|wanted| wanted == table)
            && self.inside.is_none_or(|wanted| wanted == inside)
            && self.outside.is_none_or(|wanted| wanted == outside)
    }

    fn admits_flow(&self, flow: &Flow) -> bool {
        let (inside, outside) = (flow.view(Side::Inside), flow.view(Side::Outside));
        let ports = [inside, outside].map(|view| [view.source_port(), view.destination_port()]);
        self.admits(flow.protocol(), flow.table(), inside.source(), outside.destination())
            && self.remote.is_none_or(|wanted| [outside.source(), inside.destination()].contains(&wanted))
            && self.port.is_none_or(|wanted| ports.as_flattened().contains(&wanted))
    }

    fn admits_mapping(&self, mapping: &Mapping) -> bool {
        let (inside, outside) = (mapping.inside(), mapping.external());
        self.admits(mapping.protocol, mapping.table, inside.0, outside.0)
            && self.remote.is_none()
            && self.port.is_none_or(|wanted| [inside.1, outside.1].contains(&wanted))
    }
}

impl State {
    /// The sessions that the filter admits among `max` places from `from` (at first 0) on, and where to go on; none at the end.
    #[must_use]
    pub fn list(&self, from: FlowId, max: usize, filter: &Filter, now: Ticks) -> (Vec<SessionRow>, Option<FlowId>) {
        let (flows, next) = self.flows.scan(from, max);
        let admitted = flows.filter(|(_, flow)| filter.admits_flow(flow));
        (admitted.map(|(id, flow)| self.session(id, flow, now)).collect(), next)
    }

    fn session(&self, id: FlowId, flow: &Flow, now: Ticks) -> SessionRow {
        let (inside, outside) = (flow.view(Side::Inside), flow.view(Side::Outside));
        let mapping = self.base.mappings.get(self.base.groups.mapping(id));
        SessionRow {
            protocol: flow.protocol(),
            table: flow.table(),
            inside: (inside.source(), inside.source_port()),
            outside: (outside.destination(), outside.destination_port()),
            remote: (outside.source(), outside.source_port()),
            remote_inside: (inside.destination(), inside.destination_port()),
            state: flow.state(),
            opener: flow.opener(),
            is_static: mapping.is_none_or(|mapping| mapping.kind == Kind::Twice),
            packets: flow.packets(),
            bytes: flow.bytes(),
            idle: now.since(flow.last()).as_secs(),
            expires_in: self.flows.expires_in(id, now).as_secs(),
        }
    }

    /// Ends the sessions that the filter admits among `budget` places from `from` (at first 0) on. How many, and where to go on; none at
    /// the end.
    pub fn clear(
        &mut self,
        rules: &Rules,
        from: FlowId,
        budget: usize,
        filter: &Filter,
        now: Ticks,
    ) -> (usize, Option<FlowId>) {
        let mut cleared = 0;
        let next = self.walk(from, budget, |state, id| {
            if state.flows.get(id).is_some_and(|flow| filter.admits_flow(flow)) {
                state.remove(rules, id, now);
                cleared += 1;
            }
        });
        (cleared, next)
    }

    /// The mappings of inside hosts that the filter admits among `max` places from `from` (at first 0) on, and where to go on; none at the
    /// end.
    #[must_use]
    pub fn mappings(&self, from: u32, max: usize, filter: &Filter) -> (Vec<MappingRow>, Option<u32>) {
        let (range, next) = step(from, max, self.base.mappings.end());
        let dynamic = range.filter_map(|id| self.base.mappings.get(id)).filter(|found| found.kind == Kind::Dynamic);
        let rows = dynamic.filter(|mapping| filter.admits_mapping(mapping)).map(|mapping| MappingRow {
            protocol: mapping.protocol,
            table: mapping.table,
            inside: mapping.inside(),
            outside: mapping.external(),
            sessions: mapping.sessions,
        });
        (rows.collect(), next)
    }

    /// The inside hosts with `least` sessions or more among `max` places from `from` (at first 0) on, and where to go on; none at the
    /// end.
    #[must_use]
    pub fn hosts(&self, from: u32, max: usize, least: u32) -> (Vec<HostRow>, Option<u32>) {
        let (range, next) = step(from, max, self.base.hosts.end());
        let hosts = range.filter_map(|id| self.base.hosts.get(id)).filter(|host| host.sessions() >= least);
        let rows = hosts.map(|host| HostRow {
            address: host.address(),
            table: host.table(),
            sessions: host.sessions(),
            external: host.external(),
        });
        (rows.collect(), next)
    }

    /// How much of everything there is.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            sessions: self.flows.len(),
            by_protocol: [TCP, UDP, ICMP].map(|protocol| (protocol, self.flows.count_by_protocol(protocol))),
            by_state: self.flows.count_by_state(),
            mappings: self.base.mappings.len(),
            hosts: self.base.hosts.len(),
            reclaimed: self.reclaimed,
            memory: self.memory(),
        }
    }
}

/// The numbers from `from` on, `max` at most, and the one behind them if that is still below `end`.
fn step(from: u32, max: usize, end: u32) -> (std::ops::Range<u32>, Option<u32>) {
    let stop = from.saturating_add(u32::try_from(max).unwrap_or(u32::MAX)).min(end);
    (from..stop, (stop < end).then_some(stop))
}
