//! `driver: bond`: several interfaces as one.

use crate::{keyword::keywords, name::Name};

/// `driver: bond`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bond {
    /// The interfaces that it is made of, in the operator's order; they have no other use. At most [`Bond::MAX_MEMBERS`].
    pub members: Vec<Name>,
    /// Who decides which of them carry frames. Default active-backup.
    pub mode: BondMode,
    /// What of a frame says by which member it leaves. Default layer3+4.
    pub hash: BondHash,
    /// How often the other side is asked to tell about itself, with LACP. Default slow.
    pub lacp_rate: LacpRate,
    /// With active-backup, the member that is used whenever it can be; none: a member is used until it fails.
    pub primary: Option<Name>,
    /// How many members must work for the bond to be up; from 1, default 1.
    pub min_links: u16,
}

keywords! {
    /// Who decides which members of a bond carry frames.
    BondMode, "active-backup or lacp" {
        /// One member carries all, another one takes over when it fails (default).
        ActiveBackup = "active-backup",
        /// All that the two sides agree on (IEEE 802.1AX).
        Lacp = "lacp",
    }
}

keywords! {
    /// What of a frame says by which member it leaves.
    BondHash, "layer3+4, layer2 or layer2+3" {
        /// IP addresses, protocol and ports (default).
        Layer3And4 = "layer3+4",
        /// Ethernet addresses.
        Layer2 = "layer2",
        /// Ethernet and IP addresses.
        Layer2And3 = "layer2+3",
    }
}

keywords! {
    /// How often the other side of a bond is asked to tell about itself.
    LacpRate, "slow or fast" {
        /// Every 30 seconds (default).
        Slow = "slow",
        /// Every second.
        Fast = "fast",
    }
}

impl Bond {
    /// The most members.
    pub const MAX_MEMBERS: usize = 16;
}
