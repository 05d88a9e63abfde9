//! New flows.
//!
//! An attempt counts itself first, with its host and its mapping, so that neither goes when an old flow has to make room; what stands
//! in its way later undoes that.

use super::address::Wanted;
use super::mappings::{Kind, Mapping};
use super::{Opening, Refusal, State};
use crate::nat44::ports::{TCP, protocol_index};
use crate::nat44::rules::{Filtering, PoolId, Rules, Static};
use millrace_tables::flow::{FlowId, InsertError, Key, NewFlow, Owner, Side, State as FlowState, Ticks, View};
use millrace_wire::TcpFlags;
use std::net::Ipv4Addr;

/// A mapping that counts a flow to be, and whether it is as new.
type Entered = (u32, bool);

/// A flow to be. It is not moved once it is made: a copy is made by other loads than the stores that came before, which have to wait
/// for all that is under way to memory.
struct Flow {
    new: NewFlow,
    /// What it stands on; none: the rules.
    mapping: Option<Entered>,
}

impl Flow {
    #[inline(always)]
    fn new(views: [View; 2], protocol: u8, table: u16, opener: Side, mapping: Option<Entered>) -> Flow {
        let state = if protocol == TCP { FlowState::TcpOpening } else { FlowState::Unreplied };
        Flow { new: NewFlow { views, protocol, table, owner: Owner::Nat44, opener, state }, mapping }
    }
}

impl State {
    /// Makes the flow of a packet from inside that has none and leaves by an outside interface, or goes back to the inside by an external
    /// address (RFC 4787 REQ-9: its source is an external one then, too). Only on the worker that the inside address belongs to.
    ///
    /// # Errors
    /// The packet is not to be translated, or can't be.
    pub fn outbound(&mut self, rules: &Rules, packet: &Opening, now: Ticks) -> Result<FlowId, Refusal> {
        let Key { view, protocol, table } = packet.key;
        let inside = (view.source(), view.source_port());
        if rules.exempt(inside.0, view.destination()) {
            return Err(Refusal::Exempt);
        }
        let flow = |external: (Ipv4Addr, u16), mapping| {
            let outside_view = View::new(view.destination(), view.destination_port(), external.0, external.1);
            Flow::new([view, outside_view], protocol, table, Side::Inside, mapping)
        };
        if let Some(found) = rules.static_outbound(table, inside, protocol) {
            self.enter_host(rules, table, inside.0, now)?;
            return self.open(rules, &flow(found.external, None), now);
        }
        if protocol_index(protocol).is_none() {
            return Err(Refusal::NeedsOneToOne);
        }
        let pool = rules.pool(packet.tx_interface, view.destination()).ok_or(Refusal::NoPool)?;
        let host = self.enter_host(rules, table, inside.0, now)?;
        let wanted = Wanted { kind: Kind::Dynamic, table, inside, protocol, pool, foreseen: None };
        match self.base.enter_mapping(rules, wanted, host, now) {
            Ok((id, new)) => {
                let external = self.base.mappings.get(id).map_or(inside, Mapping::external);
                self.open(rules, &flow(external, Some((id, new))), now)
            }
            Err(refusal) => {
                self.base.hosts.leave(table, inside.0);
                Err(refusal)
            }
        }
    }

    /// Makes the flow of a packet from outside that has none and is for an external address: through a configured mapping, or through one
    /// that an inside host made, if its filter lets the sender in. Only on the worker that [`Rules::inbound_worker`] gives.
    ///
    /// # Errors
    /// The packet is for nobody inside, or not let in.
    pub fn inbound(&mut self, rules: &Rules, packet: &Opening, now: Ticks) -> Result<FlowId, Refusal> {
        let Key { view, protocol, .. } = packet.key;
        let external = (view.destination(), view.destination_port());
        if rules.is_static(external, protocol) {
            let found = rules.static_inbound(&view, protocol).ok_or(Refusal::NoMapping)?;
            check_syn(packet)?;
            return self.inbound_static(rules, packet, found, now);
        }
        let id = self.base.mapping_id_at(rules, external, protocol).ok_or(Refusal::NoMapping)?;
        let mapping = *self.base.mappings.get(id).ok_or(Refusal::NoMapping)?;
        // RFC 4787 REQ-8, RFC 5382 REQ-3.
        let admitted = match rules.filtering() {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => self.base.groups.knows(&self.flows, id, &mapping, view.source()),
            // Such a packet would have a flow.
            Filtering::AddressAndPortDependent => false,
        };
        if !admitted {
            return Err(Refusal::Filtered);
        }
        check_syn(packet)?;
        let (inside, port) = mapping.inside();
        self.enter_host(rules, mapping.table, inside, now)?;
        if let Some(mapping) = self.base.mappings.get_mut(id) {
            mapping.sessions += 1;
        }
        let inside_view = View::new(inside, port, view.source(), view.source_port());
        let (table, mapping) = (mapping.table, Some((id, false)));
        let flow = Flow::new([inside_view, view], protocol, table, Side::Outside, mapping);
        self.open(rules, &flow, now)
    }

    fn inbound_static(
        &mut self,
        rules: &Rules,
        packet: &Opening,
        found: Static,
        now: Ticks,
    ) -> Result<FlowId, Refusal> {
        let Key { view, protocol, .. } = packet.key;
        let (table, (inside, port), client) = (found.table, found.inside, (view.source(), view.source_port()));
        let host = self.enter_host(rules, table, inside, now)?;
        let (client, mapping) = match found.twice_nat {
            false => (client, None),
            true => match self.seen_as(rules, client, protocol, host, now) {
                Ok(seen) => seen,
                Err(refusal) => {
                    self.base.hosts.leave(table, inside);
                    return Err(refusal);
                }
            },
        };
        let inside_view = View::new(inside, port, client.0, client.1);
        let flow = Flow::new([inside_view, view], protocol, table, Side::Outside, mapping);
        self.open(rules, &flow, now)
    }

    /// What a client of a twice-NAT mapping seems to be to the server, and the mapping that holds it.
    fn seen_as(
        &mut self,
        rules: &Rules,
        client: (Ipv4Addr, u16),
        protocol: u8,
        host: u32,
        now: Ticks,
    ) -> Result<((Ipv4Addr, u16), Option<Entered>), Refusal> {
        if client.1 == 0 {
            // Without a port (other protocols, and ICMP, where the port is the server's) the address alone has to do.
            let pool = rules.pool_addresses(PoolId::TWICE);
            let choice = self.base.hosts.hash(0, client.0).to_u32() as usize % pool.len().max(1);
            return pool.get(choice).map(|&address| ((address, 0), None)).ok_or(Refusal::NoPool);
        }
        let wanted =
            Wanted { kind: Kind::Twice, table: 0, inside: client, protocol, pool: PoolId::TWICE, foreseen: None };
        let (id, new) = self.base.enter_mapping(rules, wanted, host, now)?;
        let seen = self.base.mappings.get(id).map_or(client, Mapping::external);
        Ok((seen, Some((id, new))))
    }

    /// Counts a session of a host, if there may be one more.
    fn enter_host(&mut self, rules: &Rules, table: u16, inside: Ipv4Addr, now: Ticks) -> Result<u32, Refusal> {
        // Before anything is touched: a full table refuses cheaply.
        self.oldest = None;
        if !self.has_room(rules) {
            self.oldest = Some(self.flows.oldest_transitory(now).ok_or(Refusal::SessionLimit)?);
        }
        let limit = rules.max_sessions_per_host();
        self.base.hosts.enter(table, inside, limit).ok_or(Refusal::HostLimit)
    }

    /// Makes a flow whose host and mapping are counted already; if that fails, they aren't any more.
    fn open(&mut self, rules: &Rules, new: &Flow, now: Ticks) -> Result<FlowId, Refusal> {
        let opened = self.make_room(rules, now).and_then(|()| self.insert(rules, new, now));
        match (&opened, new.mapping) {
            (Ok(id), mapping) => {
                self.base.groups.set(*id, mapping.map_or(0, |(mapping, _)| mapping));
                if let Some((mapping_id, is_new)) = mapping
                    && let Some(mapping) = self.base.mappings.get_mut(mapping_id)
                    && mapping.kind == Kind::Dynamic
                {
                    self.base.groups.join(&self.flows, *id, mapping_id, mapping);
                    let mapping = *mapping;
                    if is_new {
                        self.base.tell(rules, true, &mapping, now);
                    }
                }
            }
            (Err(_), mapping) => {
                self.base.hosts.leave(new.new.table, new.new.views[0].source());
                if let Some((id, _)) = mapping {
                    self.base.leave_mapping(rules, id, now);
                }
            }
        }
        opened
    }

    /// Puts a flow into the table. Those that stand in its way, one on each side at most, go if the rules don't carry them any more.
    fn insert(&mut self, rules: &Rules, new: &Flow, now: Ticks) -> Result<FlowId, Refusal> {
        for _ in 0..3 {
            match self.flows.insert(&new.new, now) {
                Ok(id) => return Ok(id),
                Err(InsertError::Exists(other)) if !self.is_carried(rules, other) => self.remove(rules, other, now),
                Err(InsertError::Exists(_)) => break,
                Err(InsertError::Full) => {
                    self.base.credit += 1;
                    return Err(Refusal::SessionLimit);
                }
            };
        }
        self.base.credit += 1;
        Err(Refusal::Conflict)
    }
}

/// From outside only a SYN begins a connection: anything else is late, or looks for one. So is a later fragment, whose first didn't.
fn check_syn(packet: &Opening) -> Result<(), Refusal> {
    let begins = |flags: TcpFlags| flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK);
    match packet.tcp.is_some_and(|tcp| begins(tcp.flags)) {
        false if packet.key.protocol == TCP => Err(Refusal::NotSyn),
        _ => Ok(()),
    }
}
