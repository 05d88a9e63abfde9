//! VLANs on a port: which domain a frame is of by its tag, and which tag it has outside of the bridge. Inside, it is without the tag
//! that chose its domain.

use millrace_wire::Tags;

/// Which VLANs a port's frames are of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tagging {
    /// The bridge knows no VLANs: frames keep the tags that they have, all are of the port's domain.
    #[default]
    Plain,
    /// Frames without a tag, or with one that carries a priority only, are of the port's domain, the VLAN's; others are refused.
    Access,
    /// Tagged frames are of their VLAN's domain, others of the port's.
    Trunk(Box<Trunk>),
}

/// The VLANs of a trunk.
#[derive(Clone, PartialEq, Eq)]
pub struct Trunk([u16; 4096]);

impl Trunk {
    /// Of these VLANs, each with its domain. The native VLAN is among them, if tagged frames of it are to be taken, too.
    #[must_use]
    pub fn new(vlans: impl IntoIterator<Item = (u16, u16)>) -> Trunk {
        let mut domains = [0; 4096];
        for (vlan, domain) in vlans {
            if let Some(entry) = domains.get_mut(usize::from(vlan)) {
                *entry = domain;
            }
        }
        Trunk(domains)
    }

    /// The domain of a VLAN, 0 to 4095, if the trunk has it.
    #[inline]
    #[must_use]
    pub fn domain(&self, vlan: u16) -> Option<u16> {
        self.0.get(usize::from(vlan)).copied().filter(|domain| *domain != 0)
    }
}

impl std::fmt::Debug for Trunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let vlans = self.0.iter().enumerate().filter(|(_, domain)| **domain != 0);
        f.debug_map().entries(vlans).finish()
    }
}

/// What becomes of the tags that make a frame a sub-interface's. They are as they were on its way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rewrite {
    /// The port is no sub-interface.
    #[default]
    None,
    /// They are taken off; on the way out, put on.
    Pop(Tags),
    /// They stay; what leaves must have them.
    Keep(Tags),
    /// They stay, and a service tag of this VLAN is put in front; what leaves must have all, and loses that one.
    Push(Tags, u16),
    /// The (outer) one is of this VLAN inside the bridge; what leaves must have it so.
    Translate(Tags, u16),
}
