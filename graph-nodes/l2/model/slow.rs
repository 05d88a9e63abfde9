//! A slow, obvious bridge, written from IEEE 802.1Q and the meaning of the settings, not from the nodes.

use crate::l2::{PortKind, Rewrite};
use std::collections::BTreeMap;

/// The EtherTypes of tags: a customer's, a provider's.
pub const CUSTOMER: u16 = 0x8100;
pub const SERVICE: u16 = 0x88a8;

/// The VLANs of the bridge with their domains; 0: frames without VLANs.
pub const DOMAINS: [(u16, u16); 3] = [(0, 1), (10, 2), (20, 3)];

/// The domain of a VLAN that the bridge has.
pub fn domain_of(vlan: u16) -> Option<u16> {
    DOMAINS.into_iter().find_map(|(of, domain)| (of == vlan).then_some(domain))
}

/// Which VLANs a port has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vlans {
    None,
    Access(u16),
    Trunk { vlans: Vec<u16>, native: Option<u16> },
}

/// What of a port changes.
#[derive(Clone, Debug)]
pub struct Settings {
    pub vlans: Vlans,
    pub rewrite: Rewrite,
    pub kind: PortKind,
    pub learn: bool,
    pub forward: bool,
    pub flood: bool,
    pub flood_unknown: bool,
    pub pass_spanning_tree: bool,
    pub isolated: bool,
    pub group: u8,
    pub mtu: u16,
}

impl Settings {
    /// The VLAN of frames without a tag, if they are let in.
    pub fn native(&self) -> Option<u16> {
        match self.vlans {
            Vlans::None => Some(0),
            Vlans::Access(vlan) => Some(vlan),
            Vlans::Trunk { native, .. } => native,
        }
    }

    /// Whether frames of a VLAN leave by it.
    pub fn carries(&self, vlan: u16) -> bool {
        self.native() == Some(vlan) || matches!(&self.vlans, Vlans::Trunk { vlans, .. } if vlans.contains(&vlan))
    }
}

/// A frame that left: by which port, to which remote of it, and its bytes.
pub type Left = (u32, u16, Vec<u8>);

/// Where a station is, since when, and whether the operator said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub behind: u16,
    pub heard: u32,
    pub fixed: bool,
}

/// The slow bridge.
#[derive(Default)]
pub struct Slow {
    pub ports: BTreeMap<u32, Settings>,
    pub stations: BTreeMap<(u16, [u8; 6]), Place>,
    /// The ports that remotes are reached by.
    pub remotes: BTreeMap<u16, u32>,
    pub limit: usize,
    pub now: u32,
}

impl Slow {
    /// The frames that leave because one came in by `port`, from a remote of it or from none.
    pub fn frame(&mut self, port: u32, remote: Option<u16>, bytes: &[u8]) -> Vec<Left> {
        let Some(here) = self.ports.get(&port).cloned() else { return Vec::new() };
        let Some((vlan, priority, bytes)) = enter(&here, bytes) else { return Vec::new() };
        let Some(domain) = domain_of(vlan) else { return Vec::new() };
        let (to, from) = (six(&bytes[..6]), six(&bytes[6..12]));
        let group = to[0] & 1 == 1;
        if from[0] & 1 == 1 || from == [0; 6] {
            return Vec::new();
        }
        let spanning_tree = to == [1, 0x80, 0xc2, 0, 0, 0] || to == [1, 0, 0x0c, 0xcc, 0xcc, 0xcd];
        let control = bytes[12..14] == [0x88, 0xcc] || bytes[12..14] == [0x88, 0x09];
        if to[..5] == [1, 0x80, 0xc2, 0, 0] && to[5] < 16 && (!spanning_tree || control) {
            return Vec::new();
        }
        if spanning_tree && !here.pass_spanning_tree || group && !here.flood {
            return Vec::new();
        }
        if here.learn && !self.learn(domain, from, remote.unwrap_or(port as u16)) {
            return Vec::new();
        }
        let known = self.stations.get(&(domain, to)).filter(|_| !group).copied();
        let targets: Vec<(u32, u16)> = match known {
            Some(_) if !here.forward => Vec::new(),
            Some(place) if place.behind < 1024 => vec![(place.behind.into(), 0)],
            Some(place) => self.remotes.get(&place.behind).map(|at| (*at, place.behind)).into_iter().collect(),
            None if group || here.flood_unknown => self.ports.keys().map(|at| (*at, 0)).collect(),
            None => Vec::new(),
        };
        let targets = targets.into_iter().filter(|(at, _)| *at != port);
        targets.filter_map(|(at, remote)| Some((at, remote, self.leave(&here, at, vlan, priority, &bytes)?))).collect()
    }

    /// What leaves by a port, if the frame does.
    fn leave(&self, here: &Settings, at: u32, vlan: u16, priority: u16, bytes: &[u8]) -> Option<Vec<u8>> {
        let there = self.ports.get(&at)?;
        if here.isolated && there.isolated || here.group != 0 && here.group == there.group || !there.carries(vlan) {
            return None;
        }
        let mut bytes = bytes.to_vec();
        let is_trunk = matches!(there.vlans, Vlans::Trunk { .. });
        // Its native VLAN is without a tag, unless the frame has one that would be taken for the VLAN's.
        if is_trunk && (there.native() != Some(vlan) || bytes[12..14] == CUSTOMER.to_be_bytes()) {
            push(&mut bytes, CUSTOMER, priority << 12 | vlan);
        }
        match there.rewrite {
            Rewrite::None => {}
            Rewrite::Pop(tags) => {
                if let Some(inner) = tags.inner {
                    push(&mut bytes, CUSTOMER, priority << 12 | inner);
                }
                push(&mut bytes, tags.tag_type.0, priority << 12 | tags.outer);
            }
            Rewrite::Keep(tags) => has(&bytes, &wanted(tags.tag_type.0, tags.outer, tags.inner))?,
            Rewrite::Push(tags, vlan) => {
                has(&bytes, &[(SERVICE, vlan)])?;
                pop(&mut bytes)?;
                has(&bytes, &wanted(tags.tag_type.0, tags.outer, tags.inner))?;
            }
            Rewrite::Translate(tags, vlan) => {
                has(&bytes, &wanted(tags.tag_type.0, vlan, tags.inner))?;
                let priority = bytes[14] & 0xf0;
                bytes[14..16].copy_from_slice(&tags.outer.to_be_bytes());
                bytes[14] |= priority;
            }
        }
        let tags = (0..2).take_while(|n| matches!(kind(&bytes, *n), Some(CUSTOMER | SERVICE))).count();
        (bytes.len() <= usize::from(there.mtu) + 14 + 4 * tags).then_some(bytes)
    }

    /// Whether the frame may go on.
    fn learn(&mut self, domain: u16, station: [u8; 6], behind: u16) -> bool {
        let known = self.stations.get(&(domain, station)).copied();
        if let Some(place) = known.filter(|place| place.fixed) {
            return place.behind == behind;
        }
        if known.is_some_and(|place| place.behind == behind) || self.behind(behind) < self.limit {
            self.stations.insert((domain, station), Place { behind, heard: self.now, fixed: false });
        }
        true
    }

    fn behind(&self, behind: u16) -> usize {
        self.stations.values().filter(|place| place.behind == behind).count()
    }

    /// The operator's word; whether there was room.
    pub fn fix(&mut self, domain: u16, station: [u8; 6], behind: u16) -> bool {
        let there = self.stations.get(&(domain, station)).is_some_and(|place| place.behind == behind);
        let fits = there || self.behind(behind) < self.limit;
        if fits {
            self.stations.insert((domain, station), Place { behind, heard: self.now, fixed: true });
        }
        fits
    }
}

/// The VLAN of a frame that comes in by a port, its priority, and what it is inside of the bridge.
fn enter(here: &Settings, bytes: &[u8]) -> Option<(u16, u16, Vec<u8>)> {
    let mut bytes = bytes.to_vec();
    if bytes.len() < 14 {
        return None;
    }
    let mut priority = 0;
    if let Rewrite::Pop(tags) | Rewrite::Keep(tags) | Rewrite::Push(tags, _) | Rewrite::Translate(tags, _) =
        here.rewrite
    {
        has(&bytes, &wanted(tags.tag_type.0, tags.outer, tags.inner))?;
        priority = u16::from(bytes[14] >> 4);
        match here.rewrite {
            Rewrite::None | Rewrite::Keep(_) => {}
            Rewrite::Pop(_) => {
                pop(&mut bytes)?;
                tags.inner.map_or(Some(()), |_| pop(&mut bytes))?;
            }
            Rewrite::Push(_, vlan) => push(&mut bytes, SERVICE, priority << 12 | vlan),
            Rewrite::Translate(_, vlan) => bytes[14..16].copy_from_slice(&(priority << 12 | vlan).to_be_bytes()),
        }
    }
    if here.vlans == Vlans::None {
        // A tag of which not even the number is there is nobody's.
        let cut = matches!(kind(&bytes, 0), Some(CUSTOMER | SERVICE)) && bytes.len() < 16;
        return (!cut || here.rewrite == Rewrite::None).then_some((0, priority, bytes));
    }
    if matches!(kind(&bytes, 0), Some(CUSTOMER | SERVICE)) && bytes.len() < 16 {
        return None;
    }
    if kind(&bytes, 0) != Some(CUSTOMER) {
        return Some((here.native()?, priority, bytes));
    }
    let control = u16::from_be_bytes([bytes[14], bytes[15]]);
    pop(&mut bytes)?;
    let vlan = match (&here.vlans, control & 0xfff) {
        // Two tags, of which the first says nothing, are not to be taken for one.
        (_, 0) if kind(&bytes, 0) == Some(CUSTOMER) => return None,
        (_, 0) => here.native()?,
        (Vlans::Trunk { vlans, .. }, vlan) if vlans.contains(&vlan) => vlan,
        _ => return None,
    };
    Some((vlan, control >> 12, bytes))
}

fn wanted(kind: u16, outer: u16, inner: Option<u16>) -> Vec<(u16, u16)> {
    [(kind, outer)].into_iter().chain(inner.map(|vlan| (CUSTOMER, vlan))).collect()
}

/// Whether a frame begins with these tags.
fn has(bytes: &[u8], tags: &[(u16, u16)]) -> Option<()> {
    let fits = |(n, (of, vlan)): (usize, &(u16, u16))| {
        let control = bytes.get(14 + 4 * n..16 + 4 * n).map(|two| u16::from_be_bytes([two[0], two[1]]));
        kind(bytes, n) == Some(*of) && control.map(|control| control & 0xfff) == Some(*vlan)
    };
    tags.iter().enumerate().all(fits).then_some(())
}

/// The EtherType at the place of tag `n`.
fn kind(bytes: &[u8], n: usize) -> Option<u16> {
    bytes.get(12 + 4 * n..14 + 4 * n).map(|two| u16::from_be_bytes([two[0], two[1]]))
}

fn pop(bytes: &mut Vec<u8>) -> Option<()> {
    (bytes.len() >= 18).then(|| {
        bytes.drain(12..16);
    })
}

fn push(bytes: &mut Vec<u8>, kind: u16, control: u16) {
    let tag = [kind.to_be_bytes(), control.to_be_bytes()].concat();
    bytes.splice(12..12, tag);
}

fn six(bytes: &[u8]) -> [u8; 6] {
    bytes.try_into().unwrap()
}
