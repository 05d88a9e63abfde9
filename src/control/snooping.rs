//! Who listens to which groups, and which stations have which addresses, behind the ports of bridges.

use super::Router;
use std::time::Instant;

/// All of it.
#[derive(Debug, Default)]
pub struct Snooping {}

impl Router {
    /// Lets the packet path have what the configuration and the interfaces say now.
    pub(super) fn follow_snooping(&mut self) {}

    /// Takes in what the packet path has to say.
    pub(super) fn pump_snooping(&mut self) {}

    /// Does what is due.
    pub(super) fn run_snooping(&mut self, _now: Instant) {}

    /// When something is due next.
    pub(super) fn next_snooping(&self) -> Option<Instant> {
        None
    }

    /// What is done once a second.
    pub(super) fn second_snooping(&mut self) {}
}
