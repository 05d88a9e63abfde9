//! The rules that concern more than one value, or that an edit can break as well as a file. Each area checks its own.

use crate::{
    Buffers, Config, DEFAULT_VRF, Name, Workers, addresses,
    addresses::Subnets,
    af_xdp, bond, bridges,
    diagnostic::{Problem, Spot},
    interfaces, lldp, memif, mirrors, nat44, neighbors, policy_routes, routes, tunnels, vxlan,
};
use std::collections::BTreeSet;

/// A check in progress.
pub(crate) struct Check<'c> {
    pub config: &'c Config,
    /// The interfaces of which something could not be read: what refers to that is not counted as a mistake of its own.
    pub partial: &'c BTreeSet<Name>,
    /// Who has which address and which subnet.
    pub subnets: Subnets<'c>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// Notes a broken rule.
    pub fn problem(&mut self, spot: Spot, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem { spot, message: message.into(), hint: hint.into() });
    }

    /// Refuses a VRF that doesn't exist.
    pub fn vrf(&mut self, spot: Spot, what: &str, vrf: &str) {
        if !self.config.has_vrf(vrf) {
            let known: Vec<&str> = self.config.vrfs.keys().map(Name::as_str).chain([DEFAULT_VRF]).collect();
            self.problem(
                spot,
                format!("{what}: no VRF \"{vrf}\""),
                format!("add it to `vrfs`, or use one of: {}", known.join(", ")),
            );
        }
    }

    /// Refuses an interface that doesn't exist. Whether it exists.
    pub fn interface(&mut self, spot: Spot, what: &str, name: &str) -> bool {
        let exists = self.config.interfaces.contains_key(name);
        if !exists {
            let known: Vec<&str> = self.config.interfaces.keys().map(Name::as_str).collect();
            let hint = if known.is_empty() {
                "add it to `interfaces`".to_owned()
            } else {
                crate::decode::suggestion(name, &known)
            };
            self.problem(spot, format!("{what}: no interface \"{name}\""), hint);
        }
        exists
    }
}

/// All rules that a configuration breaks.
pub(crate) fn check(config: &Config, partial: &BTreeSet<Name>) -> Vec<Problem> {
    let mut check = Check { config, partial, subnets: Subnets::of(config), problems: Vec::new() };
    Workers::check(&mut check);
    Buffers::check(&mut check);
    interfaces::check(&mut check);
    af_xdp::check(&mut check);
    memif::check(&mut check);
    vxlan::check(&mut check);
    tunnels::check(&mut check);
    bond::check(&mut check);
    bridges::check(&mut check);
    addresses::check(&mut check);
    routes::check(&mut check);
    policy_routes::check(&mut check);
    neighbors::check(&mut check);
    nat44::check(&mut check);
    mirrors::check(&mut check);
    lldp::check(&mut check);
    check.problems
}
