//! What operators see of bonds.

use super::{Bonds, Carries, Counts};
use crate::control::lacp::Aggregator;
use millrace_config as config;

/// A bond.
#[derive(Clone, Copy, Debug)]
pub struct BondState<'a> {
    /// Its interface.
    pub interface: u32,
    /// What the operator wants.
    pub settings: &'a config::Bond,
    /// The member whose MAC address it has.
    pub lender: Option<u32>,
    /// With active-backup, the member that carries frames.
    pub active: Option<u32>,
    /// With LACP, its machines.
    pub lacp: Option<&'a Aggregator>,
    /// Its members' interfaces, in the operator's order.
    pub members: &'a [u32],
}

/// A member of a bond.
#[derive(Clone, Copy, Debug)]
pub struct MemberState<'a> {
    /// Whether frames pass it.
    pub carries: Carries,
    /// Why none leave by it.
    pub why: Option<&'a str>,
    /// Frames of slow protocols.
    pub counts: Counts,
}

impl Bonds {
    /// All bonds.
    pub fn list(&self) -> impl Iterator<Item = BondState<'_>> {
        self.bonds.iter().map(|(interface, bond)| BondState {
            interface: *interface,
            settings: &bond.settings,
            lender: bond.lender,
            active: bond.active,
            lacp: bond.lacp.as_ref(),
            members: &bond.members,
        })
    }

    /// A member.
    pub fn member(&self, interface: u32) -> Option<MemberState<'_>> {
        let member = self.members.get(&interface)?;
        Some(MemberState { carries: member.carries, why: member.why.as_deref(), counts: member.counts })
    }
}
