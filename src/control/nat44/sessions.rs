//! The sessions, which the workers keep to themselves: jobs that look at a few hundred of one worker at a time.

use super::Nat;
use millrace_engine::Engine;
use millrace_engine::clock;
use millrace_engine::epoch::domain;
use millrace_graph_nodes::nat44::State;
use millrace_graph_nodes::nat44::rules::Rules;
use millrace_tables::flow::{FlowId, Ticks};
use std::net::Ipv4Addr;

/// Sessions that a job looks at: some tens of microseconds.
pub const AT_ONCE: usize = 256;

/// A way through what all workers have, a job at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// The worker whose turn it is.
    worker: usize,
    /// Where its next job begins.
    at: FlowId,
}

impl Nat {
    /// Runs a job on a worker with what that one keeps to itself. None when there is no such worker.
    pub fn on<R: Send + 'static>(
        &self,
        engine: &Engine,
        worker: usize,
        job: impl FnOnce(&mut State, &Rules, Ticks) -> R + Send + 'static,
    ) -> Option<R> {
        if worker >= self.path.workers() {
            return None;
        }
        let path = self.path.clone();
        let done = engine.run_on(worker, move || {
            let me = domain().register();
            let guard = me.guard();
            let mut state = path.state(worker).get()?;
            Some(job(&mut state, path.rules(&guard), Ticks::from_nanos(clock::now())))
        });
        done.flatten()
    }

    /// The external addresses whose ports are given out, and how many of TCP, UDP and ICMP are in use.
    pub fn ports_used(&self) -> Vec<(Ipv4Addr, [u32; 3])> {
        let me = domain().register();
        let guard = me.guard();
        let externals = self.path.rules(&guard).externals();
        let mut used: Vec<_> =
            externals.filter_map(|(address, found)| Some((address, found.ports()?.used()))).collect();
        used.sort_unstable();
        used
    }

    /// Runs a job on each worker.
    pub fn on_each<R: Send + 'static>(
        &self,
        engine: &Engine,
        job: impl Fn(&mut State, &Rules, Ticks) -> R + Clone + Send + 'static,
    ) -> Vec<R> {
        (0..self.path.workers()).filter_map(|worker| self.on(engine, worker, job.clone())).collect()
    }

    /// Takes the next step of a way: a job that begins where the last one stopped, and says where the next one does. None at the
    /// end of the way.
    pub fn step<R: Send + 'static>(
        &self,
        engine: &Engine,
        walk: &mut Walk,
        job: impl FnOnce(&mut State, &Rules, FlowId, Ticks) -> (R, Option<FlowId>) + Send + 'static,
    ) -> Option<R> {
        let Walk { worker, at } = *walk;
        let (result, next) = self.on(engine, worker, move |state, rules, now| job(state, rules, at, now))?;
        *walk = match next {
            Some(at) => Walk { worker, at },
            None => Walk { worker: worker + 1, ..Walk::default() },
        };
        Some(result)
    }

    /// All sessions have to be looked at again.
    pub(super) fn look_again(&mut self) {
        self.looking = Some(Walk::default());
    }

    /// Whether some have.
    pub(super) fn is_looking(&self) -> bool {
        self.looking.is_some()
    }

    /// Looks at some sessions, and ends those that the rules don't carry any more.
    pub(super) fn look_on(&mut self, engine: &Engine) {
        let Some(mut walk) = self.looking else { return };
        let looked =
            self.step(engine, &mut walk, |state, rules, at, now| ((), state.revalidate(rules, at, AT_ONCE, now)));
        self.looking = looked.map(|()| walk);
        if looked.is_none() {
            // Addresses that were kept for their last sessions' sake can be forgotten.
            self.path.publish(&self.applied.spec);
        }
    }
}
