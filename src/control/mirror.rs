//! Mirrors as control has them.

use super::Router;
use millrace_config::{Mirror, Name};
use std::collections::BTreeMap;
use std::time::Instant;

/// All of it.
#[derive(Debug, Default)]
pub struct Mirrors {
    /// What the operator wants.
    pub configured: BTreeMap<Name, Mirror>,
}

impl Router {
    /// Takes over the settings of all mirrors.
    pub(super) fn set_mirrors(&mut self, mirrors: &BTreeMap<Name, Mirror>) {
        self.mirrors.configured.clone_from(mirrors);
    }

    /// Lets the packet path have what the configuration and the interfaces say now.
    pub(super) fn follow_mirrors(&mut self) {}

    /// Takes in what the packet path has to say.
    pub(super) fn pump_mirrors(&mut self) {}

    /// Does what is due.
    pub(super) fn run_mirrors(&mut self, _now: Instant) {}

    /// When something is due next.
    pub(super) fn next_mirrors(&self) -> Option<Instant> {
        None
    }

    /// What is done once a second.
    pub(super) fn second_mirrors(&mut self) {}
}
