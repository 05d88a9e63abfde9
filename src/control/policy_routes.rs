//! Policy routes as control has them: the rules of the configuration, and the counters of the packet path that they count on.

use super::Router;
use super::interfaces::Interfaces;
use millrace_config::{self as config, Name};
use millrace_engine::Feature;
use millrace_graph_nodes::ip::{V4, V6};
use millrace_graph_nodes::policy_routes::{MAX, PolicyRoutes as Path, Rule, Selected};
use std::collections::{BTreeMap, BTreeSet};

/// The rules in force.
#[derive(Debug)]
pub struct PolicyRoutes {
    path: Path,
    entries: Vec<Entry>,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As the configuration has it.
    pub rule: config::PolicyRoute,
    path: Rule,
    /// What its counter stood at when it came, or was cleared.
    baseline: u64,
}

impl PolicyRoutes {
    /// None yet.
    pub const fn new(path: Path) -> PolicyRoutes {
        PolicyRoutes { path, entries: Vec::new() }
    }

    /// The rules with how many packets each has sent elsewhere, the first that matches first.
    pub fn list(&self) -> impl Iterator<Item = (&config::PolicyRoute, u64)> {
        let packets = |entry: &Entry| self.path.hits(entry.path.counter).wrapping_sub(entry.baseline);
        self.entries.iter().map(move |entry| (&entry.rule, packets(entry)))
    }

    /// Lets their counters begin anew.
    pub fn clear(&mut self) {
        for entry in &mut self.entries {
            entry.baseline = self.path.hits(entry.path.counter);
        }
    }

    /// The features of an interface: those of the families that a rule about it is about.
    pub(super) fn features(&self, interface: u32) -> impl Iterator<Item = Feature> {
        let about = |entry: &&Entry| entry.path.interface.is_none_or(|index| index == interface);
        let sources = || self.entries.iter().filter(about).map(|entry| entry.path.source);
        let four = sources().any(|source| source.is_none_or(|net| net.addr().is_ipv4()));
        let six = sources().any(|source| source.is_none_or(|net| net.addr().is_ipv6()));
        [(four, V4::FEATURE), (six, V6::FEATURE)].into_iter().filter_map(|(on, feature)| on.then_some(feature))
    }

    /// Puts rules in force. One that was there before goes on counting.
    fn set(
        &mut self,
        rules: &[config::PolicyRoute],
        interfaces: &Interfaces,
        vrfs: &BTreeMap<Name, u32>,
    ) -> Result<(), String> {
        let kept = |rule: &config::PolicyRoute| self.entries.iter().find(|entry| entry.rule == *rule);
        let taken = rules.iter().filter_map(kept).map(|entry| entry.path.counter).collect::<BTreeSet<_>>();
        let mut free = (0..MAX as u16).filter(|counter| !taken.contains(counter));
        let mut entries = Vec::with_capacity(rules.len());
        for rule in rules {
            let (counter, baseline) = match kept(rule) {
                Some(entry) => (entry.path.counter, entry.baseline),
                None => {
                    let counter = free.next().ok_or("no counter is left")?;
                    (counter, self.path.hits(counter))
                }
            };
            let interface = match &rule.packets.interface {
                Some(name) => Some(interfaces.index(name).ok_or_else(|| format!("no interface \"{name}\""))?),
                None => None,
            };
            let table = *vrfs.get(&rule.vrf).ok_or_else(|| format!("no vrf \"{}\"", rule.vrf))?;
            let path = Rule { source: rule.packets.source, interface, table, counter };
            entries.push(Entry { rule: rule.clone(), path, baseline });
        }
        self.entries = entries;
        self.path.publish(&self.entries.iter().map(|entry| entry.path).collect::<Vec<_>>());
        Ok(())
    }
}

impl Router {
    /// Puts policy routes in force.
    ///
    /// # Errors
    /// One names an interface or a VRF that isn't there; all is as it was.
    pub(super) fn set_policy_routes(&mut self, rules: &[config::PolicyRoute]) -> Result<(), String> {
        let Router { policy_routes, interfaces, vrfs, .. } = self;
        policy_routes.set(rules, interfaces, vrfs)
    }
}
