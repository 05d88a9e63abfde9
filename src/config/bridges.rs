//! `bridges`: what joins interfaces at layer 2. Which interfaces those are is said at the interfaces, by `bridge`. A bridge's own
//! routed interface (`bvi`) stands in the same map as all others, under the bridge's name.

mod check;
mod edit;
mod file;

use crate::{Mac, Name, Time, UnknownUnicast, keyword::keywords, op::Change};
use std::{collections::BTreeMap, fmt, net::IpAddr, ops::RangeInclusive};

pub(crate) use check::check;
pub(crate) use edit::{add, remove, set};
pub(crate) use file::{decode, encode};

/// A bridge; its name is its key in [`Config::bridges`](crate::Config::bridges).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// How long a station is remembered after its last frame; one of [`Bridge::MAC_AGES`], or 0: for ever. Default 300 s.
    pub mac_age: Time,
    /// The most stations that are learnt, in each VLAN of it; 1 to [`Member::MAX_MAC_LIMIT`](crate::Member::MAX_MAC_LIMIT), default 65,536.
    pub mac_limit: u32,
    /// Whether any port learns stations. Default true.
    pub learn: bool,
    /// Whether frames are forwarded to stations that are known. Default true.
    pub forward: bool,
    /// Whether broadcast and multicast frames are flooded. Default true.
    pub flood: bool,
    /// What becomes of frames to stations that nobody knows. Default flood.
    pub unknown_unicast: UnknownUnicast,
    /// What becomes of the frames of spanning tree protocols. Default drop.
    pub stp: Stp,
    /// Whether it answers ARP requests and neighbour solicitations for stations whose binding it knows. Default false.
    pub arp_suppression: bool,
    /// Whether IPv4 multicast goes only where somebody listens (RFC 4541). Default false.
    pub igmp_snooping: bool,
    /// Whether IPv6 multicast goes only where somebody listens (RFC 4541). Default false.
    pub mld_snooping: bool,
    /// Stations that are not learnt but said.
    pub static_macs: BTreeMap<StationKey, Station>,
}

/// A station of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StationKey {
    /// Its VLAN; none: that of frames without VLAN.
    pub vlan: Option<u16>,
    /// Its address, a unicast one.
    pub mac: Mac,
}

/// Where a station is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    /// The port that it is behind.
    pub interface: Name,
    /// Of a VXLAN interface, the remote that it is behind.
    pub remote: Option<IpAddr>,
}

keywords! {
    /// What a bridge does with the frames of spanning tree protocols: those to 01:80:c2:00:00:00 (IEEE 802.1D) and 01:00:0c:cc:cc:cd (PVST+).
    Stp, "drop or pass" {
        /// They are dropped (default).
        Drop = "drop",
        /// They are flooded, as if the bridge were a wire.
        Pass = "pass",
    }
}

impl Default for Bridge {
    fn default() -> Self {
        Self {
            mac_age: Self::MAC_AGE,
            mac_limit: Self::MAC_LIMIT,
            learn: true,
            forward: true,
            flood: true,
            unknown_unicast: UnknownUnicast::Flood,
            stp: Stp::Drop,
            arp_suppression: false,
            igmp_snooping: false,
            mld_snooping: false,
            static_macs: BTreeMap::new(),
        }
    }
}

impl Bridge {
    /// How long a station is remembered by default (IEEE 802.1D-2004 table 7-5).
    pub const MAC_AGE: Time = Time::seconds(300);
    /// How long a station can be remembered (same table), if not for ever.
    pub const MAC_AGES: RangeInclusive<Time> = Time::seconds(10)..=Time::seconds(1_000_000);
    /// The most stations by default.
    pub const MAC_LIMIT: u32 = 65_536;
    /// The most bridges and VLANs of bridges, all together.
    pub const MAX_VLANS: usize = 16_383;
}

/// What of a bridge is different, a line for its settings and one for each static station.
pub(crate) fn changed(name: &Name, change: &Change<Bridge>) -> String {
    let Change { from, to } = change;
    let alone = |bridge: &Bridge| Bridge { static_macs: BTreeMap::new(), ..bridge.clone() }.encode();
    let settings = Some(alone(from).differences(&alone(to))).filter(|differences| !differences.is_empty());
    let settings = settings.map(|differences| format!("~ bridge {name}: {differences}"));
    let line = |sign, key: &StationKey, station: &Station| format!("{sign} static mac {key} {station} bridge {name}");
    let gone = from.static_macs.iter().filter(|(key, station)| to.static_macs.get(key) != Some(station));
    let gone = gone.map(|(key, station)| line('-', key, station));
    let new = to.static_macs.iter().filter(|(key, station)| from.static_macs.get(key) != Some(station));
    let new = new.map(|(key, station)| line('+', key, station));
    settings.into_iter().chain(gone).chain(new).collect::<Vec<_>>().join("\n")
}

/// ` KEY VALUE` for everything that is not as by default.
impl fmt::Display for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mac_age != Self::MAC_AGE {
            write!(f, " mac-age {}", self.mac_age)?;
        }
        if self.mac_limit != Self::MAC_LIMIT {
            write!(f, " mac-limit {}", self.mac_limit)?;
        }
        for (key, on) in [("learn", self.learn), ("forward", self.forward), ("flood", self.flood)] {
            if !on {
                write!(f, " {key} false")?;
            }
        }
        if self.unknown_unicast != UnknownUnicast::Flood {
            write!(f, " unknown-unicast {}", self.unknown_unicast)?;
        }
        if self.stp != Stp::Drop {
            write!(f, " stp {}", self.stp)?;
        }
        for (key, on) in [
            ("arp-suppression", self.arp_suppression),
            ("igmp-snooping", self.igmp_snooping),
            ("mld-snooping", self.mld_snooping),
        ] {
            if on {
                write!(f, " {key} true")?;
            }
        }
        match self.static_macs.len() {
            0 => Ok(()),
            1 => f.write_str(" of 1 static mac"),
            n => write!(f, " of {n} static macs"),
        }
    }
}

impl fmt::Display for StationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.mac)?;
        self.vlan.map_or(Ok(()), |vlan| write!(f, " vlan {vlan}"))
    }
}

impl fmt::Display for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interface {}", self.interface)?;
        self.remote.map_or(Ok(()), |remote| write!(f, " remote {remote}"))
    }
}
