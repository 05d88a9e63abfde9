//! Bonds as control has them: which members carry frames follows from links, from the operator's choice (active-backup) or from what was
//! agreed with the system at the other end ([`lacp`](super::lacp)).
//!
//! Members take the bond's MAC address and MTU for as long as they are members. Changes of a bond are made in place: what stays a member
//! doesn't notice.

mod carry;
mod follow;
mod frames;
pub mod show;
#[cfg(test)]
mod tests;

use super::Router;
use super::events::Severity;
use super::interfaces::{Interface, Interfaces};
use super::lacp::Aggregator;
use millrace_config::{self as config, BondMode, Driver};
use millrace_engine::Feature;
use millrace_graph_nodes::bond as nodes;
use std::collections::BTreeMap;
use std::time::Instant;

/// All of them.
#[derive(Debug, Default)]
pub struct Bonds {
    /// What the packet path reads.
    nodes: nodes::Bonds,
    /// By the bond's interface.
    bonds: BTreeMap<u32, Bond>,
    /// By the member's interface.
    members: BTreeMap<u32, Member>,
    /// They are being followed now: changes that this makes are looked at when it is done.
    following: bool,
    /// There were such changes.
    again: bool,
}

/// A bond.
#[derive(Debug)]
struct Bond {
    /// What the operator wants.
    settings: config::Bond,
    /// Members that there are, in the operator's order.
    members: Vec<u32>,
    /// The member whose MAC address it has.
    lender: Option<u32>,
    /// With active-backup, the member that carries frames.
    active: Option<u32>,
    /// With LACP.
    lacp: Option<Aggregator>,
    /// What the packet path was told of where frames go.
    published: Option<nodes::Bond>,
    /// Whether the operator was told of its link.
    told: bool,
}

/// A member.
#[derive(Debug)]
struct Member {
    bond: u32,
    /// What the packet path does with its frames: takes them, sends them.
    carries: Carries,
    /// Why it carries none.
    why: Option<String>,
    /// What its device refused, as the operator was told.
    refused: Option<String>,
    /// Frames of slow protocols.
    counts: Counts,
}

/// Whether frames pass a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carries {
    /// Those that it receives.
    pub rx: bool,
    /// Those that leave by it.
    pub tx: bool,
}

/// Frames of slow protocols on a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// LACPDUs that came.
    pub received: u64,
    /// LACPDUs that were sent.
    pub sent: u64,
    /// Markers that were answered.
    pub markers: u64,
    /// Frames that are none, or that nobody here speaks.
    pub refused: u64,
}

impl Bonds {
    /// No bonds yet.
    pub fn new(nodes: nodes::Bonds) -> Bonds {
        Bonds { nodes, ..Bonds::default() }
    }

    /// The bond that an interface is a member of.
    pub fn bond_of(&self, interface: u32) -> Option<u32> {
        self.members.get(&interface).map(|member| member.bond)
    }

    /// The features of an interface that is a member, a bond, or a sub-interface of one.
    pub fn features(&self, interface: &Interface) -> &'static [Feature] {
        let carrier = interface.parent.as_ref().map_or(interface.index, |(parent, _)| *parent);
        match interface.index {
            index if self.members.contains_key(&index) => &[nodes::INPUT],
            _ if self.bonds.contains_key(&carrier) => &[nodes::OUTPUT],
            _ => &[],
        }
    }
}

impl Router {
    /// Lets the packet path have what the configuration and the interfaces say now.
    pub(super) fn follow_bonds(&mut self) {
        self.bonds.again = true;
        if self.bonds.following {
            return;
        }
        self.bonds.following = true;
        // A change of a bond is one of an interface, after which bonds are to be followed. Each round settles one thing at least.
        for _ in 0..8 {
            if !std::mem::take(&mut self.bonds.again) {
                break;
            }
            self.follow_bonds_once();
        }
        self.bonds.following = false;
    }

    fn follow_bonds_once(&mut self) {
        self.follow_members();
        let bonds: Vec<u32> = self.bonds.bonds.keys().copied().collect();
        for index in bonds {
            self.follow_bond_links(index, Instant::now());
            self.follow_carriers(index);
        }
    }

    /// Does what is due.
    pub(super) fn run_bonds(&mut self, now: Instant) {
        let is_due = |bond: &Bond| bond.lacp.as_ref().and_then(Aggregator::next).is_some_and(|next| next <= now);
        let due: Vec<u32> = self.bonds.bonds.iter().filter(|(_, bond)| is_due(bond)).map(|(index, _)| *index).collect();
        for index in due {
            self.with_lacp(index, |lacp| lacp.run(now));
        }
    }

    /// When something is due next.
    pub(super) fn next_bonds(&self) -> Option<Instant> {
        self.bonds.bonds.values().filter_map(|bond| bond.lacp.as_ref()?.next()).min()
    }

    /// What is done once a second: queues of members may have come.
    pub(super) fn second_bonds(&mut self) {
        if !self.bonds.bonds.is_empty() {
            self.follow_bonds();
        }
    }

    /// A member or a bond is going to be switched off: partners send their frames elsewhere from now on.
    pub(super) fn quiet_bond(&mut self, index: u32) {
        let is_it = |(member, of): &(&u32, &Member)| **member == index || of.bond == index;
        let last = |(member, of): (&u32, &Member)| {
            self.bonds.bonds.get(&of.bond)?.lacp.as_ref()?.good_bye(port_number(*member))
        };
        let sends = self.bonds.members.iter().filter(is_it).filter_map(last).collect();
        self.send_lacp(sends);
    }

    /// The end: partners send their frames elsewhere from now on.
    pub(super) fn end_bonds(&mut self) {
        let members: Vec<(u32, u32)> = self.bonds.members.iter().map(|(index, member)| (*index, member.bond)).collect();
        for (index, bond) in members {
            let lacp = self.bonds.bonds.get_mut(&bond).and_then(|bond| bond.lacp.as_mut());
            let sends = lacp.map(|lacp| lacp.remove(port_number(index), Instant::now())).unwrap_or_default();
            self.send_lacp(sends);
        }
    }

    fn tell_bond(&mut self, index: u32, severity: Severity, text: String) {
        self.tell(severity, format!("interface {}", self.interfaces.name(index)), text);
    }
}

/// A bond's settings, of an interface that is one.
fn settings_of(interface: &Interface) -> Option<&config::Bond> {
    match &interface.driver {
        Driver::Bond(bond) => Some(bond),
        _ => None,
    }
}

/// The number of a port in LACP: that of its interface, which is below 1024 and not 0.
const fn port_number(interface: u32) -> u16 {
    interface as u16
}

/// Whether frames can pass a member: its link is up, and workers have its queues.
fn is_usable(interfaces: &Interfaces, index: u32) -> bool {
    interfaces.is_up(index) && interfaces.get(index).is_some_and(|interface| interface.idle.is_empty())
}

const fn is_lacp(settings: &config::Bond) -> bool {
    matches!(settings.mode, BondMode::Lacp)
}
