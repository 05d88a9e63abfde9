//! One worker's NAT: its flows, and what they stand on.
//!
//! A flow that an inside host opened stands on a *mapping*: inside endpoint to external endpoint, the same towards all destinations
//! (RFC 4787 REQ-1, RFC 5382 REQ-1, RFC 5508 REQ-1), which lives as long as it has flows. A flow through a configured mapping stands on the rules. Each
//! flow belongs to an inside *host*, which has an external address (RFC 4787 REQ-2) and a limit. For the filter, a mapping's
//! flows to one remote address are a *group*.
//!
//! | file | what |
//! |---|---|
//! | `hosts` | inside hosts: how many sessions they have, and their external address |
//! | `mappings` | mappings, by inside endpoint and by external port |
//! | `groups` | whom an inside endpoint talked to |
//! | `open` `address` `prefetch` | new flows, and the external endpoint that they get |
//! | `close` | flows go: expired, cleared, or not carried by new rules any more |
//! | `show` | listing and clearing, in bounded steps |
//!
//! What a flow costs here beside its place in the flow table: 12 bytes, and 24 and an index entry for its mapping if that is its own. A second
//! flow of a mapping has an index entry if it is the first to its remote address. Nothing is allocated for a flow.

mod address;
mod close;
mod groups;
mod hosts;
mod mappings;
mod open;
mod prefetch;
mod show;
#[cfg(test)]
mod tests;

pub use show::{Filter, HostRow, MappingRow, SessionRow, Summary};

use super::log::NatLog;
use super::ports::Random;
use super::rules::Rules;
use groups::Groups;
use hosts::Hosts;
use mappings::{Kind, Mappings};
use millrace_tables::flow::tcp::TcpSegment;
use millrace_tables::flow::{FlowId, FlowTable, Key, MAX_FLOWS, Timeouts};
use prefetch::Foreseen;
use std::io;
use std::net::Ipv4Addr;

/// A packet that belongs to no flow yet.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// Its key, from the side that it came from.
    pub key: Key,
    /// Of a packet from inside: the interface that it leaves by.
    pub tx_interface: u32,
    /// What it says if it is TCP, and that is known.
    pub tcp: Option<TcpSegment>,
}

/// Why no flow was made. Nothing of the attempt is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is between networks that are not translated: let it pass as it is.
    Exempt,
    /// The interface has no external addresses.
    NoPool,
    /// The host's external address has no free port.
    NoPort,
    /// There are as many sessions as there may be, and none that can make room.
    SessionLimit,
    /// The inside host has as many sessions as it may have.
    HostLimit,
    /// The protocol has no ports: it needs a mapping of a whole address.
    NeedsOneToOne,
    /// Nobody is behind the external endpoint.
    NoMapping,
    /// The inside endpoint didn't send anything there.
    Filtered,
    /// TCP from outside that doesn't begin a connection.
    NotSyn,
    /// Another flow has the same packets, on one side.
    Conflict,
}

/// One worker's NAT.
#[derive(Debug)]
pub struct State {
    /// The flows.
    pub flows: FlowTable,
    base: Base,
    timeouts: Timeouts,
    /// Whose quarantined ports are looked at next.
    settling: usize,
    reclaimed: u64,
    /// The flow that makes room for the one that is being opened.
    oldest: Option<FlowId>,
    /// How far the oldest flows have been prefetched for this frame, by stage.
    ahead: [FlowId; State::STAGES],
}

/// What flows stand on.
#[derive(Debug)]
struct Base {
    worker: usize,
    mappings: Mappings,
    groups: Groups,
    hosts: Hosts,
    random: Random,
    foreseen: Foreseen,
    log: NatLog,
    /// Sessions that this worker may open before it has to ask for more.
    credit: u32,
    /// Ports may be in quarantine.
    resting: bool,
}

impl State {
    /// The state of a worker without sessions. Its memory grows with them.
    ///
    /// # Errors
    /// When the address space or random numbers can't be had.
    pub fn new(worker: usize, log: NatLog) -> io::Result<State> {
        let max = MAX_FLOWS as usize;
        Ok(State {
            flows: FlowTable::new(MAX_FLOWS)?,
            base: Base {
                worker,
                mappings: Mappings::new(max)?,
                groups: Groups::new(max)?,
                hosts: Hosts::new(max)?,
                random: Random::default(),
                foreseen: Foreseen::default(),
                log,
                credit: 0,
                resting: false,
            },
            timeouts: Timeouts::default(),
            settling: 0,
            reclaimed: 0,
            oldest: None,
            ahead: [0; State::STAGES],
        })
    }

    /// Whether there is nothing that ends with time: no flows, and no ports in quarantine, whose blocks other workers may want.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.flows.is_empty() && !self.base.resting
    }

    /// What an inside endpoint is seen as outside: for packets that an ICMP error quotes (RFC 5508 REQ-5). None without a mapping.
    #[must_use]
    pub fn external_of(
        &self,
        rules: &Rules,
        table: u32,
        inside: Ipv4Addr,
        port: u16,
        protocol: u8,
    ) -> Option<(Ipv4Addr, u16)> {
        if let Some(found) = rules.static_outbound(table as u16, (inside, port), protocol) {
            return Some(found.external);
        }
        let mappings = &self.base.mappings;
        let hash = mappings.hash(Kind::Dynamic, table as u16, (inside, port), protocol);
        let id = mappings.find(hash, |mapping| mapping.is(Kind::Dynamic, table as u16, (inside, port), protocol))?;
        mappings.get(id).map(mappings::Mapping::external)
    }

    /// What is behind an external endpoint: the number of its table, address and port (RFC 5508 REQ-4). None without a mapping, and when
    /// several servers share it.
    #[must_use]
    pub fn inside_of(
        &self,
        rules: &Rules,
        external: Ipv4Addr,
        port: u16,
        protocol: u8,
    ) -> Option<(u32, Ipv4Addr, u16)> {
        if rules.is_static((external, port), protocol) {
            let found = rules.static_inside_of((external, port), protocol)?;
            return Some((u32::from(found.table), found.inside.0, found.inside.1));
        }
        let mapping = self.base.mapping_at(rules, (external, port), protocol)?;
        let (inside, inside_port) = mapping.inside();
        Some((u32::from(mapping.table), inside, inside_port))
    }

    /// Transitory flows that went to make room for others, so far.
    #[must_use]
    pub fn reclaimed(&self) -> u64 {
        self.reclaimed
    }

    /// Bytes of memory: flows, mappings, hosts and their indices; without the ports, 4.1 bytes each, that they hold.
    #[must_use]
    pub fn memory(&self) -> usize {
        let base = &self.base;
        self.flows.memory() + base.mappings.memory() + base.groups.memory() + base.hosts.memory()
    }
}

impl Base {
    /// The mapping that has an external endpoint, by the ports.
    fn mapping_at(&self, rules: &Rules, external: (Ipv4Addr, u16), protocol: u8) -> Option<&mappings::Mapping> {
        self.mapping_id_at(rules, external, protocol).and_then(|id| self.mappings.get(id))
    }

    fn mapping_id_at(&self, rules: &Rules, external: (Ipv4Addr, u16), protocol: u8) -> Option<u32> {
        let id = rules.external(external.0)?.ports()?.holder(self.worker, protocol, external.1)?;
        let mapping = self.mappings.get(id)?;
        (mapping.external() == external && mapping.kind == Kind::Dynamic).then_some(id)
    }
}
