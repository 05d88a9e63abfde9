//! `mirrors`: copies of what interfaces receive and send, by another interface or into a capture file.

mod check;
mod file;

use crate::{keyword::keywords, name::Name, op::Change};
use std::{collections::BTreeMap, fmt, path::PathBuf};

pub(crate) use check::check;
pub(crate) use file::{add, decode, encode, remove};

/// A mirror; its name is its key in [`Config::mirrors`](crate::Config::mirrors).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The interfaces whose frames are copied; at least one.
    pub from: Vec<Name>,
    /// Which of their frames. Default both.
    pub direction: MirrorDirection,
    /// Where the copies go.
    pub to: MirrorTarget,
    /// After so many copies it ends; none: never. At least 1.
    pub limit: Option<u64>,
    /// How many bytes of each frame are copied; none: all. At least [`Mirror::SNAP_LENGTH_MIN`].
    pub snap_length: Option<u32>,
}

keywords! {
    /// Which frames a mirror copies.
    MirrorDirection, "both, rx or tx" {
        /// What is received and what is sent (default).
        Both = "both",
        /// What is received.
        Rx = "rx",
        /// What is sent.
        Tx = "tx",
    }
}

/// Where a mirror's copies go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorTarget {
    /// By this interface, which has no other use.
    Interface(Name),
    /// Into this capture file, in pcapng.
    File(PathBuf),
}

impl Mirror {
    /// The fewest bytes of a frame that can be copied.
    pub const SNAP_LENGTH_MIN: u32 = 64;
    /// The most bytes of a frame that can be copied.
    pub const SNAP_LENGTH_MAX: u32 = 65_535;
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from: Vec<&str> = self.from.iter().map(Name::as_str).collect();
        write!(f, "from {} {}", from.join(","), self.to)?;
        if self.direction != MirrorDirection::Both {
            write!(f, " direction {}", self.direction)?;
        }
        if let Some(limit) = self.limit {
            write!(f, " limit {limit}")?;
        }
        self.snap_length.map_or(Ok(()), |length| write!(f, " snap-length {length}"))
    }
}

impl fmt::Display for MirrorTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(name) => write!(f, "to {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// What of the mirrors is different, a line each.
pub(crate) fn changed(change: &Change<BTreeMap<Name, Mirror>>) -> String {
    let Change { from, to } = change;
    let gone = from.iter().filter(|(name, _)| !to.contains_key(*name));
    let gone = gone.map(|(name, mirror)| format!("- mirror {name} {mirror}"));
    let new = to.iter().filter_map(|(name, mirror)| match from.get(name) {
        None => Some(format!("+ mirror {name} {mirror}")),
        Some(old) if old != mirror => Some(format!("~ mirror {name}: {old} -> {mirror}")),
        Some(_) => None,
    });
    gone.chain(new).collect::<Vec<_>>().join("\n")
}
