//! `bridge` of an interface, and the keys that go with it: what a port of a bridge may do, and which VLANs its frames are of.

mod check;
mod file;
mod vlans;

use crate::{keyword::keywords, name::Name, yaml::Node};
use std::fmt;

pub(crate) use check::{bridge_exists, check};
pub(crate) use file::KEYS;
pub use vlans::Vlans;

/// How an interface is a port of a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The bridge.
    pub bridge: Name,
    /// Whether stations behind it are learnt. Default true.
    pub learn: bool,
    /// Whether its broadcast and multicast frames are flooded. Default true.
    pub flood: bool,
    /// What becomes of its frames to stations that nobody knows. Default flood.
    pub unknown_unicast: UnknownUnicast,
    /// Whether frames between it and other isolated ports are dropped. Default false.
    pub isolated: bool,
    /// Ports of one group other than 0 don't send to each other. Default 0.
    pub split_horizon_group: u8,
    /// The most stations learnt behind it; none, the default: no limit but the bridge's. At least 1.
    pub mac_limit: Option<u32>,
    /// What of its frames to many is let in.
    pub storm_control: StormControl,
    /// Which VLANs of the bridge its frames are of.
    pub tagging: Tagging,
}

keywords! {
    /// What a bridge does with frames to a station that it doesn't know.
    UnknownUnicast, "flood or drop" {
        /// They leave by all ports (default).
        Flood = "flood",
        /// They are dropped.
        Drop = "drop",
    }
}

/// How many frames to many a port takes, in frames a second; none: no limit. Each limit is at least 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StormControl {
    /// Frames to everyone.
    pub broadcast: Option<u32>,
    /// Frames to other groups.
    pub multicast: Option<u32>,
    /// Frames to stations that the bridge doesn't know.
    pub unknown: Option<u32>,
}

/// Which VLANs of the bridge the frames of a port are of, and what is done with their tags. Those of a sub-interface are taken off
/// first, unless [`TagRewrite`] says otherwise: VLANs are told by what comes behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tagging {
    /// All frames are of the bridge itself, tags are nothing but content (default of an interface that is no sub-interface).
    Plain,
    /// `vlan: N`: an access port. Untagged frames (and those tagged with 0) are of this VLAN.
    Access(u16),
    /// `trunk: {vlans, native}`: tagged frames are of the VLAN of their tag.
    Trunk(Trunk),
    /// `tag-rewrite`, of a sub-interface only (its default: pop): what is done with its own tags. All its frames are of the bridge itself.
    Rewrite(TagRewrite),
}

/// The VLANs of a trunk port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    /// Tagged frames of these are let in and out.
    pub vlans: Vlans,
    /// Untagged frames are of this one, and its frames leave untagged; none: untagged frames are dropped.
    pub native: Option<u16>,
}

/// What a bridge does with the tags of a bridged sub-interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagRewrite {
    /// Takes them off on the way in and puts them on on the way out (default).
    Pop,
    /// Leaves them.
    Keep,
    /// Leaves them and puts one more in front, with this VLAN identifier; takes it off on the way out.
    Push(u16),
    /// Gives the outer one this VLAN identifier inside the bridge, and its own again on the way out.
    Translate(u16),
}

impl Member {
    /// The most groups of ports that don't send to each other.
    pub const MAX_SPLIT_HORIZON_GROUP: u8 = 255;
    /// The largest limit of stations.
    pub const MAX_MAC_LIMIT: u32 = 1 << 20;

    /// A port with nothing else set; a sub-interface's tags are taken off inside the bridge.
    pub fn new(bridge: Name, is_sub_interface: bool) -> Self {
        Self {
            bridge,
            learn: true,
            flood: true,
            unknown_unicast: UnknownUnicast::Flood,
            isolated: false,
            split_horizon_group: 0,
            mac_limit: None,
            storm_control: StormControl::default(),
            tagging: Tagging::for_port(is_sub_interface),
        }
    }
}

impl Tagging {
    /// What is done with tags if nothing is said.
    pub const fn for_port(is_sub_interface: bool) -> Self {
        if is_sub_interface { Self::Rewrite(TagRewrite::Pop) } else { Self::Plain }
    }

    /// Whether frames of this VLAN come and go by the port; `None`: frames of no VLAN.
    pub fn carries(&self, vlan: Option<u16>) -> bool {
        match (self, vlan) {
            (Self::Plain | Self::Rewrite(_), vlan) => vlan.is_none(),
            (Self::Access(own), Some(vlan)) => *own == vlan,
            (Self::Trunk(trunk), Some(vlan)) => trunk.native == Some(vlan) || trunk.vlans.contains(vlan),
            (Self::Access(_) | Self::Trunk(_), None) => false,
        }
    }
}

impl Tagging {
    /// The VLANs of its frames, as an operator writes them; none: its frames are of the bridge itself.
    pub(crate) fn vlans(&self) -> Option<String> {
        match self {
            Self::Plain | Self::Rewrite(_) => None,
            Self::Access(vlan) => Some(vlan.to_string()),
            Self::Trunk(Trunk { vlans, native: Some(native) }) if !vlans.contains(*native) => {
                Some(format!("{native},{vlans}"))
            }
            Self::Trunk(trunk) => Some(trunk.vlans.to_string()),
        }
    }
}

/// ` KEY VALUE` for everything that is not as by default, behind the bridge's name.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.bridge)?;
        for (key, on) in [("learn", self.learn), ("flood", self.flood)] {
            if !on {
                write!(f, " {key} false")?;
            }
        }
        if self.unknown_unicast == UnknownUnicast::Drop {
            write!(f, " unknown-unicast {}", self.unknown_unicast)?;
        }
        if self.isolated {
            f.write_str(" isolated true")?;
        }
        if self.split_horizon_group != 0 {
            write!(f, " split-horizon-group {}", self.split_horizon_group)?;
        }
        if let Some(limit) = self.mac_limit {
            write!(f, " mac-limit {limit}")?;
        }
        write!(f, "{}{}", self.storm_control, self.tagging)
    }
}

impl Member {
    /// The keys that differ between two ports of a bridge.
    pub(crate) fn differences(&self, to: &Self) -> String {
        // What is said of a sub-interface's tags by default is no difference either way.
        let is_sub = |port: &Self| matches!(port.tagging, Tagging::Rewrite(_));
        let is_sub = is_sub(self) || is_sub(to);
        self.encode(Node::map(), is_sub).differences(&to.encode(Node::map(), is_sub))
    }
}

/// ` storm-control broadcast N ...`, or nothing.
impl fmt::Display for StormControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return Ok(());
        }
        f.write_str(" storm-control")?;
        for (key, limit) in self.limits() {
            if let Some(limit) = limit {
                write!(f, " {key} {limit}")?;
            }
        }
        Ok(())
    }
}

impl StormControl {
    /// The limits with their keys.
    pub const fn limits(&self) -> [(&'static str, Option<u32>); 3] {
        [("broadcast", self.broadcast), ("multicast", self.multicast), ("unknown", self.unknown)]
    }
}

/// ` vlan N`, ` trunk ...`, ` tag-rewrite ...`, or nothing for what is so by default.
impl fmt::Display for Tagging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain | Self::Rewrite(TagRewrite::Pop) => Ok(()),
            Self::Access(vlan) => write!(f, " vlan {vlan}"),
            Self::Trunk(Trunk { vlans, native }) => {
                write!(f, " trunk {vlans}")?;
                native.map_or(Ok(()), |native| write!(f, " native {native}"))
            }
            Self::Rewrite(TagRewrite::Keep) => f.write_str(" tag-rewrite keep"),
            Self::Rewrite(TagRewrite::Push(vlan)) => write!(f, " tag-rewrite push {vlan}"),
            Self::Rewrite(TagRewrite::Translate(vlan)) => write!(f, " tag-rewrite translate {vlan}"),
        }
    }
}
