//! A port: an interface that is a member of a bridge, and what it may do there.

use super::storm::Storm;
use super::tagging::{Rewrite, Tagging};

/// What a port is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortKind {
    /// An interface by which frames leave the router.
    #[default]
    Device,
    /// The bridge's own routed interface: frames to it are the router's.
    Bvi,
}

/// An interface that is in a domain, or in several by the tags of its frames, and what it may do there.
#[derive(Debug)]
pub struct Port {
    /// The domain of frames without a tag; below [`BRIDGES`](millrace_tables::mac::BRIDGES). 0: of none, they are dropped.
    pub domain: u16,
    /// The longest packet that it takes, in bytes behind the Ethernet header and its tags.
    pub mtu: u16,
    /// What it is made of.
    pub kind: PortKind,
    /// Whether stations may be learnt behind remotes on it: who took the frame out of a tunnel has said which
    /// ([`set_behind`](super::set_behind)).
    pub tunnel: bool,
    /// Whether one of its domains wants to look at frames ([`Domain::look`](super::Domain::look)).
    pub look: bool,
    /// Whether stations are learnt from its frames.
    pub learn: bool,
    /// Whether frames from it to stations that are known go on.
    pub forward: bool,
    /// Whether its frames to groups are flooded.
    pub flood: bool,
    /// Whether its frames to unknown stations are flooded.
    pub flood_unknown: bool,
    /// Whether spanning tree frames are flooded like others: a bridge that takes part in no spanning tree may be a wire to those that do.
    pub pass_spanning_tree: bool,
    /// Isolated ports reach only those that are not.
    pub isolated: bool,
    /// Ports of one split-horizon group don't reach each other; 0 is no group.
    pub group: u8,
    /// What becomes of the tags of a sub-interface, which come before those of the bridge's VLANs.
    pub rewrite: Rewrite,
    /// Which VLANs its frames are of.
    pub tagging: Tagging,
    /// How much of it is flooded a second.
    pub storm: Storm,
}

impl Port {
    /// A port that does everything, without limits, in a domain without VLANs.
    #[must_use]
    pub const fn new(domain: u16) -> Port {
        Port {
            domain,
            mtu: u16::MAX,
            kind: PortKind::Device,
            tunnel: false,
            look: false,
            learn: true,
            forward: true,
            flood: true,
            flood_unknown: true,
            pass_spanning_tree: false,
            isolated: false,
            group: 0,
            rewrite: Rewrite::None,
            tagging: Tagging::Plain,
            storm: Storm::off(),
        }
    }

    /// Whether frames come in and leave as they are, all of one domain.
    #[inline(always)]
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        matches!((&self.tagging, &self.rewrite), (Tagging::Plain, Rewrite::None))
    }

    /// Whether it is in a domain, which is that of `vlan`; 0: of frames without VLANs.
    #[inline(always)]
    #[must_use]
    pub fn carries(&self, domain: u16, vlan: u16) -> bool {
        match &self.tagging {
            Tagging::Plain | Tagging::Access => self.domain == domain,
            Tagging::Trunk(trunk) => self.domain == domain || trunk.domain(vlan) == Some(domain),
        }
    }

    /// Whether there are ports that it doesn't hear, though it may be in their domain.
    #[inline(always)]
    #[must_use]
    pub const fn may_be_apart(&self) -> bool {
        self.isolated | (self.group != 0)
    }

    /// Whether frames may go from this port to that one, which is another one of the same domain.
    #[inline(always)]
    #[must_use]
    pub const fn reaches(&self, to: &Port) -> bool {
        let apart = self.isolated && to.isolated || self.group != 0 && self.group == to.group;
        !apart
    }
}
