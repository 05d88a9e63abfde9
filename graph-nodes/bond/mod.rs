//! Bonds: several interfaces as one.
//!
//! ```text
//! device-input ─► [bond-input] ─┬► interface-input      as the bond's frame
//!                               └► link-control         LACP and LLDP are the member's
//! interface-output ─► [bond-output] ─► interface-output as a member's frame
//! ```
//! Which members work is control's business; here it is a table.

pub mod hash;
pub mod input;
pub mod output;

pub use hash::Hash;

use crossbeam::utils::CachePadded;
use millrace_engine::builtin::DEVICE_INPUT_ARC;
use millrace_engine::counters::MAX_INTERFACES;
use millrace_engine::epoch::{Slots, domain};
use millrace_engine::{Feature, Graph};
use millrace_tables::load_balance::LoadBalance;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// On members: behind the copies of what was received, before all that the bond's frames meet again.
pub const INPUT: Feature = Feature {
    arc: DEVICE_INPUT_ARC.name,
    node: input::NAME,
    after: &[crate::capture::RX.node, crate::mirror::RX_FEATURE.node],
    before: &[crate::cross_connect::node::NAME, crate::l2::input::NAME],
};

/// On bonds and their sub-interfaces: the last.
pub const OUTPUT: Feature = Feature {
    arc: crate::interface::output::ARC.name,
    node: output::NAME,
    after: &[crate::capture::TX.node, crate::mirror::TX_FEATURE.node],
    before: &[],
};

/// What an interface is to a bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The bond's interface; not 0.
    pub bond: u32,
    /// Whether what it receives is the bond's. If not, it is dropped.
    pub collects: bool,
}

/// Where a bond's frames go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bond {
    /// What of a frame says by which member it leaves.
    pub hash: Hash,
    /// The members that take frames, with their shares; none: frames are dropped.
    pub members: Option<LoadBalance>,
}

#[derive(Debug)]
struct Tables {
    /// By interface: its bond twice, and 1 if it collects; 0: it is no member.
    members: [AtomicU32; MAX_INTERFACES],
    bonds: Slots<Bond>,
}

/// Control's handle to all bonds, and the nodes'. Clones are handles to the same tables.
#[derive(Clone, Debug)]
pub struct Bonds(Arc<CachePadded<Tables>>);

impl Bonds {
    /// None yet.
    pub fn new() -> Bonds {
        let members = [const { AtomicU32::new(0) }; MAX_INTERFACES];
        Bonds(Arc::new(CachePadded::new(Tables { members, bonds: Slots::new(MAX_INTERFACES as u32) })))
    }

    /// Makes an interface a member, or takes it out of its bond. Workers see it with their next frames.
    pub fn set_member(&self, interface: u32, membership: Option<Membership>) {
        if let Some(entry) = self.0.members.get(interface as usize) {
            let value = |m: Membership| m.bond << 1 | u32::from(m.collects);
            entry.store(membership.map_or(0, value), Relaxed);
        }
    }

    /// Lets a bond's frames go there, or makes its interface none.
    pub fn set_bond(&self, interface: u32, bond: Option<Bond>) {
        match bond {
            // Numbers of interfaces are below the capacity.
            Some(bond) => drop(self.0.bonds.set(&domain(), interface, bond)),
            None => drop(self.0.bonds.clear(&domain(), interface)),
        }
    }

    /// What an interface is to a bond.
    #[inline(always)]
    pub fn membership(&self, interface: u32) -> Option<Membership> {
        let value = self.0.members[interface as usize % MAX_INTERFACES].load(Relaxed);
        (value != 0).then_some(Membership { bond: value >> 1, collects: value & 1 != 0 })
    }
}

impl Default for Bonds {
    fn default() -> Bonds {
        Bonds::new()
    }
}

/// Adds the nodes, and their features: switched off until control switches them on.
pub fn register(graph: &mut Graph, bonds: &Bonds) {
    let (rx, tx) = (bonds.clone(), bonds.clone());
    graph.node(move |_| input::BondInput { bonds: rx.clone() }).feature(INPUT);
    graph.node(move |_| output::BondOutput { bonds: tx.clone() }).feature(OUTPUT);
}
