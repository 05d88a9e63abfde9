//! Flows go, and what stood on nothing else with them.

use super::mappings::Kind;
use super::{Base, Refusal, State};
use crate::nat44::rules::{PoolId, Rules, Static};
use millrace_tables::flow::{Flow, FlowId, Owner, Side, Ticks};
use std::sync::atomic::Ordering::Relaxed;

/// Sessions that a worker asks for at once.
const CREDIT: u32 = 64;

impl State {
    /// Ends a flow. Nothing happens if there is none of this number.
    pub fn remove(&mut self, rules: &Rules, id: FlowId, now: Ticks) {
        // Released where it stands: a copy, read at once, waits until it has been written.
        if let Some(flow) = self.flows.get(id) {
            self.base.release(rules, id, flow, now);
            self.flows.remove(id);
        }
    }

    /// Ends flows whose time has run out, looking at `budget` of them at most; frees ports whose quarantine is over. To be called again and
    /// again. How many flows ended.
    pub fn expire(&mut self, rules: &Rules, now: Ticks, budget: usize) -> usize {
        self.follow(rules);
        let (base, mut gone) = (&mut self.base, 0);
        self.flows.expire(now, budget, |id, flow| {
            gone += 1;
            base.release(rules, id, flow, now);
        });
        self.settle(rules, now, budget);
        gone
    }

    /// Frees ports whose quarantine is over, of one address at a time.
    fn settle(&mut self, rules: &Rules, now: Ticks, budget: usize) {
        match rules.all_ports().nth(self.settling) {
            Some(ports) if ports.settle(self.base.worker, budget, now) >= budget => {}
            Some(_) => self.settling += 1,
            None => {
                self.settling = 0;
                self.base.resting = rules.all_ports().any(|ports| ports.waits(self.base.worker));
            }
        }
    }

    fn follow(&mut self, rules: &Rules) {
        if self.timeouts != rules.timeouts() {
            self.timeouts = rules.timeouts();
            self.flows.set_timeouts(&self.timeouts);
        }
    }

    /// After a change of the rules: ends flows that they don't carry any more, among `budget` places from `from` (at first 0) on. Where to
    /// go on; none at the end.
    ///
    /// That is so for a flow whose external address is in no pool any more, whose external or inside endpoint has got a configured
    /// mapping, whose configured mapping is gone or leads elsewhere, or that is exempt now.
    pub fn revalidate(&mut self, rules: &Rules, from: FlowId, budget: usize, now: Ticks) -> Option<FlowId> {
        self.follow(rules);
        self.walk(from, budget, |state, id| {
            if !state.is_carried(rules, id) {
                state.remove(rules, id, now);
            }
        })
    }

    /// Visits the flows among `budget` places from `from` on, which may go. Where to go on; none at the end.
    pub(super) fn walk(
        &mut self,
        from: FlowId,
        budget: usize,
        mut visit: impl FnMut(&mut State, FlowId),
    ) -> Option<FlowId> {
        let (_, next) = self.flows.scan(from, budget);
        let (mut at, end) = (from, next.unwrap_or(FlowId::MAX));
        let first =
            |state: &State, at| state.flows.scan(at, end.saturating_sub(at) as usize).0.map(|(id, _)| id).next();
        while let Some(id) = first(self, at) {
            visit(self, id);
            at = id + 1;
        }
        next
    }

    /// Whether the rules would make such a flow today.
    pub(super) fn is_carried(&self, rules: &Rules, id: FlowId) -> bool {
        let Some(flow) = self.flows.get(id) else { return true };
        let (inside_view, outside_view) = (flow.view(Side::Inside), flow.view(Side::Outside));
        let inside = (inside_view.source(), inside_view.source_port());
        let external = (outside_view.destination(), outside_view.destination_port());
        let (protocol, table) = (flow.protocol(), flow.table());
        // What comes to an external address is translated, whoever sent it.
        let exempt = flow.opener() == Side::Inside && rules.exempt(inside.0, outside_view.source());
        let mapping = self.base.mappings.get(self.base.groups.mapping(id));
        if mapping.is_some_and(|mapping| mapping.kind == Kind::Dynamic) {
            return rules.external(external.0).is_some_and(|found| found.in_pool())
                && !rules.is_static(external, protocol)
                && rules.static_outbound(table, inside, protocol).is_none()
                && !exempt;
        }
        let twice_nat = inside_view.destination() != outside_view.source();
        let seen_as = || rules.any_external(inside_view.destination()).is_some_and(|found| found.is_in(PoolId::TWICE));
        let carried =
            |twice_nat| rules.static_leads_to(external, protocol, &Static { external, inside, table, twice_nat });
        match flow.opener() {
            Side::Outside => carried(twice_nat) && (!twice_nat || seen_as()),
            // What the inside opens is never translated twice.
            Side::Inside => {
                rules.static_outbound(table, inside, protocol).is_some_and(|found| found.external == external)
                    && !exempt
            }
        }
    }

    /// Whether there may be one session more as it is.
    pub(super) fn has_room(&mut self, rules: &Rules) -> bool {
        self.base.has_credit(rules) && self.flows.len() < self.flows.max()
    }

    /// Takes the right to open a session: if need be, from the oldest transitory flow, which was looked for already.
    pub(super) fn make_room(&mut self, rules: &Rules, now: Ticks) -> Result<(), Refusal> {
        if self.oldest.is_some() || !self.has_room(rules) {
            let oldest = self.oldest.take().ok_or(Refusal::SessionLimit)?;
            self.remove(rules, oldest, now);
            self.reclaimed += 1;
            self.ahead = [0; State::STAGES];
        }
        self.base.credit = self.base.credit.checked_sub(1).ok_or(Refusal::SessionLimit)?;
        Ok(())
    }
}

impl Base {
    /// A flow is gone.
    fn release(&mut self, rules: &Rules, id: FlowId, flow: &Flow, now: Ticks) {
        if flow.owner() != Owner::Nat44 {
            return;
        }
        self.hosts.leave(flow.table(), flow.view(Side::Inside).source());
        let mapping_id = self.groups.mapping(id);
        if let Some(mapping) = self.mappings.get_mut(mapping_id) {
            if mapping.kind == Kind::Dynamic {
                self.groups.leave(id, flow, mapping_id, mapping);
            }
            if let Some(gone) = self.leave_mapping(rules, mapping_id, now) {
                self.tell(rules, false, &gone, now);
            }
        }
        self.credit += 1;
        let some = credit(rules);
        if self.credit >= 2 * some {
            rules.sessions().fetch_sub(self.credit - some, Relaxed);
            self.credit = some;
        }
    }

    /// Whether a session may be opened: by what is left of the sessions that were asked for, or of all.
    fn has_credit(&mut self, rules: &Rules) -> bool {
        let (all, max) = (rules.sessions(), rules.max_sessions());
        if all.load(Relaxed) > max && self.credit > 0 {
            // The limit has come down: what is not used goes back.
            all.fetch_sub(std::mem::take(&mut self.credit), Relaxed);
        }
        if self.credit == 0 {
            let some = credit(rules);
            // Nothing is written when all are taken: that would wait for whatever else is being written.
            let taken =
                all.fetch_update(Relaxed, Relaxed, |all| (all < max).then(|| all.saturating_add(some).min(max)));
            self.credit = taken.map_or(0, |before| (max - before).min(some));
        }
        self.credit > 0
    }
}

/// How many sessions a worker asks for at a time, and keeps when it has none: few when there are few, so that no worker has what
/// another one needs.
fn credit(rules: &Rules) -> u32 {
    (rules.max_sessions() / (16 * rules.workers() as u32)).clamp(1, CREDIT)
}
