//! LLDP: what is told to neighbours on the link, and heard of them.

use super::Router;
use millrace_config as config;
use std::time::Instant;

/// All of it.
#[derive(Debug, Default)]
pub struct Lldp {
    /// What the operator wants.
    pub configured: config::Lldp,
}

impl Router {
    /// Takes over its settings.
    pub(super) fn set_lldp(&mut self, lldp: &config::Lldp) {
        self.lldp.configured.clone_from(lldp);
    }

    /// Lets the packet path have what the configuration and the interfaces say now.
    pub(super) fn follow_lldp(&mut self) {}

    /// A frame came by an interface.
    pub(super) fn lldp_heard(&mut self, _index: u32, _frame: &[u8], _now: Instant) {}

    /// Does what is due.
    pub(super) fn run_lldp(&mut self, _now: Instant) {}

    /// When something is due next.
    pub(super) fn next_lldp(&self) -> Option<Instant> {
        None
    }

    /// What is done once a second.
    pub(super) fn second_lldp(&mut self) {}
}
