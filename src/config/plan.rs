//! The way from one configuration to another: a pure function that gives ordered steps.
//!
//! First goes what must go, dependents before what they depend on: mirrors, LLDP, routes, policy routes, neighbours, translation,
//! addresses, static stations, cross-connects and ports, members of bonds, interfaces, bridges. Then interfaces that stay are changed,
//! then comes what is new, in the reverse order. No step leaves anything that refers to an interface or a bridge which isn't there, a
//! route or neighbour by an interface that is in another VRF, or an interface in a VRF that isn't there.
//!
//! An interface with another driver, or another setting of its driver, is made anew, with everything that refers to it; but settings
//! of tunnels and bonds, which have no device, change in place. An interface that changes its VRF stays, but its addresses, its
//! neighbours and the routes that name it go before and come after.

mod spared;
mod steps;

use crate::{
    Config, Driver, Name, NextHop,
    op::{Change, Op},
};
use std::{collections::BTreeSet, fmt};

/// Ordered steps from one configuration to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in the order to take them.
    pub ops: Vec<Op>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The steps that can't be taken while the daemon runs.
    pub fn restart_required(&self) -> impl Iterator<Item = &Op> {
        self.ops.iter().filter(|op| op.restart_required())
    }

    /// The steps that take it back, in the order to take them.
    pub fn inverse(&self) -> Self {
        Self { ops: self.ops.iter().rev().map(Op::inverse).collect() }
    }

    /// Makes all changes in a configuration.
    pub fn apply(&self, config: &mut Config) {
        self.ops.iter().for_each(|op| op.apply(config));
    }
}

/// A step a line, as in a diff.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

/// The steps that make `wanted` of `running`; both are valid.
pub fn plan(running: &Config, wanted: &Config) -> Plan {
    let difference = Difference { running, wanted, fate: Fates::of(running, wanted) };
    let mut ops = Vec::new();
    difference.restarts(&mut ops);
    difference.prune(&mut ops);
    difference.change(&mut ops);
    difference.create(&mut ops);
    if running.api != wanted.api {
        ops.push(Op::ApiSet(Change { from: running.api.clone(), to: wanted.api.clone() }));
    }
    Plan { ops }
}

/// What becomes of the running interfaces that don't just stay.
#[derive(Default)]
struct Fates<'c> {
    /// They go, for good or to be made anew.
    removed: BTreeSet<&'c Name>,
    /// They change their VRF.
    moved: BTreeSet<&'c Name>,
}

impl<'c> Fates<'c> {
    fn of(running: &'c Config, wanted: &Config) -> Self {
        let mut fates = Self::default();
        // A parent sorts before its sub-interfaces, so its fate is known when theirs is asked; a bond does without a member.
        for (name, old) in &running.interfaces {
            match wanted.interfaces.get(name) {
                Some(new)
                    if stays(&old.driver, &new.driver) && !old.parent().is_some_and(|p| fates.removed.contains(p)) =>
                {
                    if new.vrf != old.vrf {
                        fates.moved.insert(name);
                    }
                }
                _ => drop(fates.removed.insert(name)),
            }
        }
        fates
    }

    /// Whether what refers to this interface can't stay while it is worked on.
    fn touched(&self, name: &Name) -> bool {
        self.removed.contains(name) || self.moved.contains(name)
    }

    fn touches(&self, hops: &[NextHop]) -> bool {
        hops.iter().filter_map(|hop| hop.interface.as_ref()).any(|interface| self.touched(interface))
    }
}

struct Difference<'c> {
    running: &'c Config,
    wanted: &'c Config,
    fate: Fates<'c>,
}

/// Whether an interface stays when its driver becomes another one.
fn stays(old: &Driver, new: &Driver) -> bool {
    old == new || old.changes_in_place(new)
}
