//! What the packet path is to have: ports, domains and static stations, from the settings of bridges and interfaces. Pure functions.

#[cfg(test)]
mod tests;

use super::super::interfaces::Interface;
use millrace_config::{
    Bridge, Driver, Mac, Member, Name, StormControl, Stp, TagRewrite, TagType, Tagging, UnknownUnicast, Vlan, Vlans,
};
use millrace_graph_nodes::l2::storm::Storm;
use millrace_graph_nodes::l2::{self, PortKind, Rewrite};
use millrace_tables::mac::Station;
use millrace_wire::{EtherType, MacAddr, Tags};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A domain as operators know it: a bridge and a VLAN of it; 0 for frames without one.
pub type Key = (Name, u16);

/// What interfaces are in bridges, and which VLANs bridges have: all that changes by commits only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Structure {
    /// By interface.
    pub parts: BTreeMap<u32, Part>,
    /// By bridge.
    pub bridges: BTreeMap<Name, Parts>,
}

/// An interface that is in a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The bridge.
    pub bridge: Name,
    /// As the operator made it a port; none of the bridge's own interface.
    pub member: Option<Member>,
    /// Whether stations may be behind remotes on it.
    pub tunnel: bool,
    /// What becomes of a sub-interface's own tags.
    pub rewrite: Rewrite,
    /// The VLANs of the bridge that it has.
    pub vlans: Carried,
}

/// The VLANs of the bridge that a port has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// Frames of no VLAN, whatever tags they have.
    None,
    /// Untagged frames of this one.
    Access(u16),
    /// Tagged frames of these, and untagged ones of another: 0 for those of no VLAN.
    Trunk(BTreeSet<u16>, Option<u16>),
}

/// What decides about an interface.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'i> {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: &'i Name,
    /// What it is made of.
    pub driver: &'i Driver,
    /// What it is a port of, and how.
    pub member: Option<&'i Member>,
    /// Of a sub-interface: its parent.
    pub parent: Option<u32>,
}

impl<'i> From<&'i Interface> for Seen<'i> {
    fn from(interface: &'i Interface) -> Seen<'i> {
        Seen {
            index: interface.index,
            name: &interface.name,
            driver: &interface.driver,
            member: interface.bridge.as_ref(),
            parent: interface.parent.as_ref().map(|(parent, _)| *parent),
        }
    }
}

impl Seen<'_> {
    /// The tags that make frames of its parent its own.
    fn vlan(&self) -> Option<&Vlan> {
        if let Driver::Vlan(vlan) = self.driver { Some(vlan) } else { None }
    }
}

/// What a bridge consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Its ports by name.
    pub ports: BTreeMap<Name, u32>,
    /// Its own interface.
    pub bvi: Option<u32>,
    /// The VLANs that it has, and 0.
    pub vlans: BTreeSet<u16>,
}

impl Structure {
    /// Of these interfaces and bridges. Members of bridges that don't exist are in none.
    pub fn of<'i>(interfaces: impl Iterator<Item = Seen<'i>>, bridges: &BTreeMap<Name, Bridge>) -> Structure {
        let interfaces: Vec<Seen<'_>> = interfaces.collect();
        let mut structure = Structure::default();
        for (name, settings) in bridges {
            let members = interfaces.iter().filter_map(|i| Some((i, i.member?)));
            let members: Vec<_> = members.filter(|(_, member)| member.bridge == *name).collect();
            let bvi = interfaces.iter().find(|i| *i.driver == Driver::Bvi && i.name == name).map(|i| i.index);
            let subs = interfaces.iter().filter(|i| i.parent.is_some() && i.parent == bvi);
            let subs: BTreeSet<u16> = subs.filter_map(|i| Some(i.vlan()?.outer)).collect();
            let vlans = vlans(members.iter().map(|(_, member)| &member.tagging), &subs, settings);
            for (interface, member) in &members {
                structure.parts.insert(interface.index, port(interface, member, &vlans));
            }
            if let Some(bvi) = bvi {
                let vlans = if subs.is_empty() { Carried::None } else { Carried::Trunk(subs, Some(0)) };
                let part = Part { bridge: name.clone(), member: None, tunnel: false, rewrite: Rewrite::None, vlans };
                structure.parts.insert(bvi, part);
            }
            let ports = members.iter().map(|(i, _)| (i.name.clone(), i.index)).collect();
            structure.bridges.insert(name.clone(), Parts { ports, bvi, vlans });
        }
        structure
    }

    /// The domains that there are to be.
    pub fn domains(&self) -> BTreeSet<Key> {
        let keys = |(name, parts): (&Name, &Parts)| -> Vec<Key> {
            parts.vlans.iter().map(|vlan| (name.clone(), *vlan)).collect()
        };
        self.bridges.iter().flat_map(keys).collect()
    }
}

/// The VLANs of a bridge: those that a port, a sub-interface of its own interface or a static station names. A trunk of all VLANs has what
/// others have; where there are two of them, they have all.
fn vlans<'m>(
    taggings: impl Iterator<Item = &'m Tagging> + Clone,
    subs: &BTreeSet<u16>,
    settings: &Bridge,
) -> BTreeSet<u16> {
    let all = Vlans::all();
    let of_all = taggings.clone().filter(|tagging| matches!(tagging, Tagging::Trunk(trunk) if trunk.vlans == all));
    let mut vlans: BTreeSet<u16> = if of_all.count() > 1 { all.iter().collect() } else { BTreeSet::new() };
    for tagging in taggings {
        match tagging {
            Tagging::Plain | Tagging::Rewrite(_) => {}
            Tagging::Access(vlan) => drop(vlans.insert(*vlan)),
            Tagging::Trunk(trunk) => {
                vlans.extend(trunk.native);
                if trunk.vlans != all {
                    vlans.extend(trunk.vlans.iter());
                }
            }
        }
    }
    vlans.extend(subs);
    vlans.extend(settings.static_macs.keys().filter_map(|station| station.vlan));
    vlans.insert(0);
    vlans
}

fn port(interface: &Seen<'_>, member: &Member, existing: &BTreeSet<u16>) -> Part {
    let tags = interface.vlan().map(tags);
    let rewrite = |rewrite: TagRewrite| {
        tags.map_or(Rewrite::None, |tags| match rewrite {
            TagRewrite::Pop => Rewrite::Pop(tags),
            TagRewrite::Keep => Rewrite::Keep(tags),
            TagRewrite::Push(vlan) => Rewrite::Push(tags, vlan),
            TagRewrite::Translate(vlan) => Rewrite::Translate(tags, vlan),
        })
    };
    let (rewrite, vlans) = match &member.tagging {
        Tagging::Plain => (rewrite(TagRewrite::Pop), Carried::None),
        Tagging::Rewrite(wanted) => (rewrite(*wanted), Carried::None),
        Tagging::Access(vlan) => (rewrite(TagRewrite::Pop), Carried::Access(*vlan)),
        Tagging::Trunk(trunk) => {
            let tagged = existing.iter().copied().filter(|vlan| *vlan != 0 && trunk.vlans.contains(*vlan)).collect();
            (rewrite(TagRewrite::Pop), Carried::Trunk(tagged, trunk.native))
        }
    };
    let tunnel = matches!(interface.driver, Driver::Vxlan(_));
    Part { bridge: member.bridge.clone(), member: Some(member.clone()), tunnel, rewrite, vlans }
}

/// The tags of a sub-interface's frames.
fn tags(vlan: &Vlan) -> Tags {
    let tag_type = match vlan.tag_type {
        TagType::Dot1q => EtherType::VLAN,
        TagType::Dot1ad => EtherType::SERVICE_VLAN,
    };
    Tags { tag_type, outer: vlan.outer, inner: vlan.inner }
}

/// What may change of an interface at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// Whether packets can leave by it.
    pub up: bool,
    /// Its address.
    pub mac: MacAddr,
    /// Its MTU.
    pub mtu: u16,
}

/// A port as the packet path is to have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Whether it is the bridge's own interface.
    pub bvi: bool,
    /// Of untagged frames; 0 for none.
    pub domain: u16,
    /// Tagged frames' VLANs with their domains, of a trunk.
    pub trunk: Option<BTreeMap<u16, u16>>,
    /// Whether untagged frames are of a VLAN.
    pub access: bool,
    /// Whether stations may be behind remotes on it.
    pub tunnel: bool,
    /// Tags of a sub-interface.
    pub rewrite: Rewrite,
    /// Whether frames are to be looked at.
    pub look: bool,
    /// Its MTU.
    pub mtu: u16,
    /// Whether packets can leave by it.
    pub up: bool,
    /// Stations that may be learnt behind it.
    pub mac_limit: Option<u32>,
    learn: bool,
    forward: bool,
    flood: bool,
    flood_unknown: bool,
    pass_spanning_tree: bool,
    isolated: bool,
    group: u8,
    storm: StormControl,
}

impl Port {
    /// All its domains.
    pub fn domains(&self) -> BTreeSet<u16> {
        let tagged = self.trunk.iter().flat_map(BTreeMap::values).copied();
        tagged.chain([self.domain]).filter(|domain| *domain != 0).collect()
    }

    /// As the packet path takes it.
    pub fn published(&self) -> l2::Port {
        let trunk = |vlans: &BTreeMap<u16, u16>| {
            l2::Tagging::Trunk(Box::new(l2::Trunk::new(vlans.iter().map(|(vlan, domain)| (*vlan, *domain)))))
        };
        let plain = if self.access { l2::Tagging::Access } else { l2::Tagging::Plain };
        l2::Port {
            mtu: self.mtu,
            kind: if self.bvi { PortKind::Bvi } else { PortKind::Device },
            tunnel: self.tunnel,
            look: self.look,
            learn: self.learn,
            forward: self.forward,
            flood: self.flood,
            flood_unknown: self.flood_unknown,
            pass_spanning_tree: self.pass_spanning_tree,
            isolated: self.isolated,
            group: self.group,
            rewrite: self.rewrite,
            tagging: self.trunk.as_ref().map_or(plain, trunk),
            storm: Storm::new(self.storm.broadcast, self.storm.multicast, self.storm.unknown),
            ..l2::Port::new(self.domain)
        }
    }
}

/// A domain as the packet path is to have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    /// Whether frames are to be looked at.
    pub look: bool,
    /// The VLAN; 0 for none.
    pub vlan: u16,
    /// The interfaces that flooded frames go to, sorted.
    pub members: Vec<u32>,
    /// The most stations.
    pub mac_limit: u32,
    /// How long they are remembered, in seconds; `None`: for ever.
    pub mac_age: Option<u32>,
}

/// All that the packet path is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// By interface.
    pub ports: BTreeMap<u32, Port>,
    /// By number.
    pub domains: BTreeMap<u16, Domain>,
    /// Stations that neither move nor age, with what they are behind: by domain and address.
    pub fixed: BTreeMap<(u16, MacAddr), u16>,
}

/// What the packet path is to have of this structure. `number` tells domains' numbers; a domain without one is not served. `remote` tells the
/// number of a tunnel's other end, `behind` what stations of an interface are behind.
pub fn wanted(
    structure: &Structure,
    bridges: &BTreeMap<Name, Bridge>,
    number: impl Fn(&Key) -> Option<u16>,
    live: impl Fn(u32) -> Live,
    remote: impl Fn(u32, IpAddr) -> Option<u16>,
) -> Wanted {
    let mut wanted = Wanted::default();
    for (name, parts) in &structure.bridges {
        let Some(settings) = bridges.get(name) else { continue };
        let number = |vlan: u16| number(&(name.clone(), vlan));
        for vlan in &parts.vlans {
            let Some(number) = number(*vlan) else { continue };
            let domain = Domain {
                look: looks(settings),
                vlan: *vlan,
                members: Vec::new(),
                mac_limit: settings.mac_limit,
                mac_age: Some(settings.mac_age.0.as_secs() as u32).filter(|seconds| *seconds != 0),
            };
            wanted.domains.insert(number, domain);
        }
        for index in parts.ports.values().chain(&parts.bvi) {
            let Some(part) = structure.parts.get(index) else { continue };
            let live = live(*index);
            let port = realize(part, settings, live, number);
            for number in port.domains() {
                if let Some(domain) = wanted.domains.get_mut(&number).filter(|_| live.up) {
                    domain.members.push(*index);
                }
                if port.bvi {
                    wanted.fixed.insert((number, live.mac), *index as u16);
                }
            }
            wanted.ports.insert(*index, port);
        }
        for (key, station) in &settings.static_macs {
            let behind = parts.ports.get(&station.interface).and_then(|index| match station.remote {
                Some(address) => remote(*index, address),
                None => Some(*index as u16),
            });
            if let (Some(number), Some(behind)) = (number(key.vlan.unwrap_or(0)), behind) {
                wanted.fixed.insert((number, mac(key.mac)), behind);
            }
        }
    }
    wanted.domains.values_mut().for_each(|domain| domain.members.sort_unstable());
    wanted
}

/// Whether the bridge looks into frames for what they say of groups and addresses.
const fn looks(settings: &Bridge) -> bool {
    settings.arp_suppression || settings.igmp_snooping || settings.mld_snooping
}

const fn mac(mac: Mac) -> MacAddr {
    MacAddr(mac.0)
}

/// The station of a domain with this address.
pub const fn station((domain, mac): (u16, MacAddr)) -> Station {
    Station::new(domain, mac.0)
}

fn realize(part: &Part, settings: &Bridge, live: Live, number: impl Fn(u16) -> Option<u16>) -> Port {
    let untagged = match &part.vlans {
        Carried::None => Some(0),
        Carried::Access(vlan) => Some(*vlan),
        Carried::Trunk(_, native) => *native,
    };
    let trunk = match &part.vlans {
        Carried::Trunk(vlans, _) => Some(vlans.iter().filter_map(|vlan| Some((*vlan, number(*vlan)?))).collect()),
        _ => None,
    };
    let member = part.member.as_ref();
    let allows = |of: fn(&Member) -> bool| member.is_none_or(of);
    Port {
        bvi: member.is_none(),
        domain: untagged.and_then(number).unwrap_or(0),
        trunk,
        access: matches!(part.vlans, Carried::Access(_)),
        tunnel: part.tunnel,
        rewrite: part.rewrite,
        look: looks(settings),
        mtu: live.mtu,
        up: live.up,
        mac_limit: member.and_then(|member| member.mac_limit),
        // The router has one address, which is a fixed station's.
        learn: member.is_some_and(|member| member.learn && settings.learn),
        forward: settings.forward,
        flood: settings.flood && allows(|member| member.flood),
        flood_unknown: settings.unknown_unicast == UnknownUnicast::Flood
            && allows(|member| member.unknown_unicast == UnknownUnicast::Flood),
        pass_spanning_tree: settings.stp == Stp::Pass,
        isolated: member.is_some_and(|member| member.isolated),
        group: member.map_or(0, |member| member.split_horizon_group),
        storm: member.map(|member| member.storm_control).unwrap_or_default(),
    }
}
