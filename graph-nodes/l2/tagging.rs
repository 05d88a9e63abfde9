//! VLANs on a port: which domain a frame is of by its tag, and which tag it has outside of the bridge. Inside, it is without the tag
//! that chose its domain.

use super::port::Port;
use super::tables::Priority;
use millrace_engine::Packet;
use millrace_wire::{EtherType, Ethernet, Tags, Vlan};

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

/// Why a frame doesn't come in, or out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It ends within its tags.
    Short,
    /// It has a tag, and the port is an access port.
    Tagged,
    /// It has no tag, and the trunk no native VLAN.
    Untagged,
    /// The port doesn't carry its VLAN, or has none of the tags that it must have.
    NoVlan,
    /// There is no room in front of it for a tag.
    NoRoom,
}

/// Takes the tags off a frame that say which domain it is of: which that is, and the frame's priority.
#[inline(never)]
pub(super) fn enter(port: &Port, packet: &mut Packet<'_>) -> Result<(u16, Priority), Refused> {
    let priority = match port.rewrite {
        Rewrite::None => Priority::default(),
        Rewrite::Pop(tags) => {
            let priority = own(packet, tags)?;
            for _ in 0..tags.len() / Vlan::LEN {
                pop(packet)?;
            }
            priority
        }
        Rewrite::Keep(tags) => own(packet, tags)?,
        Rewrite::Push(tags, vlan) => {
            let priority = own(packet, tags)?;
            push(packet, EtherType::SERVICE_VLAN, priority.control(vlan))?;
            priority
        }
        Rewrite::Translate(tags, vlan) => {
            let priority = own(packet, tags)?;
            set(packet, priority.control(vlan))?;
            priority
        }
    };
    let tag = tag(packet)?.filter(|(kind, _)| *kind == EtherType::VLAN).map(|(_, control)| control);
    match (&port.tagging, tag) {
        (Tagging::Plain, _) => Ok((port.domain, priority)),
        (_, None) if port.domain == 0 => Err(Refused::Untagged),
        (_, None) => Ok((port.domain, priority)),
        // It carries a priority only (802.1Q clause 6.9.1).
        (_, Some(control)) if control & 0xfff == 0 => {
            pop(packet)?;
            match port.domain {
                0 => Err(Refused::Untagged),
                _ if has_tag(packet) => Err(Refused::Tagged),
                domain => Ok((domain, Priority::of(control))),
            }
        }
        (Tagging::Access, Some(_)) => Err(Refused::Tagged),
        (Tagging::Trunk(trunk), Some(control)) => {
            let domain = trunk.domain(control & 0xfff).ok_or(Refused::NoVlan)?;
            pop(packet)?;
            Ok((domain, Priority::of(control)))
        }
    }
}

/// Puts the tags on a frame of a domain, which is that of `vlan`, that it must have outside of the port, which carries it.
#[inline(never)]
pub(super) fn leave(
    port: &Port,
    packet: &mut Packet<'_>,
    (domain, vlan): (u16, u16),
    priority: Priority,
) -> Result<(), Refused> {
    // One of the native VLAN that has a tag of its own would be another VLAN's at the other end.
    if matches!(port.tagging, Tagging::Trunk(_)) && (domain != port.domain || has_tag(packet)) {
        push(packet, EtherType::VLAN, priority.control(vlan))?;
    }
    match port.rewrite {
        Rewrite::None => Ok(()),
        Rewrite::Pop(tags) => {
            if let Some(inner) = tags.inner {
                push(packet, EtherType::VLAN, priority.control(inner))?;
            }
            push(packet, tags.tag_type, priority.control(tags.outer))
        }
        Rewrite::Keep(tags) => own(packet, tags).map(|_| ()),
        Rewrite::Push(tags, vlan) => {
            own(packet, Tags { tag_type: EtherType::SERVICE_VLAN, outer: vlan, inner: None })?;
            pop(packet)?;
            own(packet, tags).map(|_| ())
        }
        Rewrite::Translate(tags, vlan) => {
            let priority = own(packet, Tags { outer: vlan, ..tags })?;
            set(packet, priority.control(tags.outer))
        }
    }
}

/// How many tags a frame has, up to two.
#[cold]
pub(super) fn tags(packet: &Packet<'_>) -> usize {
    let is_tag = |at: usize| {
        let kind = packet.data().get(at..at + 2).and_then(|kind| kind.first_chunk().copied());
        kind.is_some_and(|kind| {
            matches!(EtherType(u16::from_be_bytes(kind)), EtherType::VLAN | EtherType::SERVICE_VLAN)
        })
    };
    match (is_tag(12), is_tag(16)) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 2,
    }
}

/// The first tag of a frame, if it has one: its EtherType and control information.
fn tag(packet: &Packet<'_>) -> Result<Option<(EtherType, u16)>, Refused> {
    let header = packet.header::<Ethernet>().ok_or(Refused::Short)?;
    let kind = header.ether_type();
    if !matches!(kind, EtherType::VLAN | EtherType::SERVICE_VLAN) {
        return Ok(None);
    }
    let [.., high, low] = *packet.data().first_chunk::<16>().ok_or(Refused::Short)?;
    Ok(Some((kind, u16::from_be_bytes([high, low]))))
}

/// Whether a frame has a customer's tag.
fn has_tag(packet: &Packet<'_>) -> bool {
    packet.header::<Ethernet>().is_some_and(|header| header.ether_type() == EtherType::VLAN)
}

/// The priority of a frame that has these tags.
fn own(packet: &Packet<'_>, tags: Tags) -> Result<Priority, Refused> {
    let (kind, control) = tag(packet)?.ok_or(Refused::NoVlan)?;
    let mut fits = kind == tags.tag_type && control & 0xfff == tags.outer;
    if let Some(inner) = tags.inner {
        let [.., a, b, c, d] = *packet.data().first_chunk::<20>().ok_or(Refused::Short)?;
        fits &= EtherType(u16::from_be_bytes([a, b])) == EtherType::VLAN && u16::from_be_bytes([c, d]) & 0xfff == inner;
    }
    if fits { Ok(Priority::of(control)) } else { Err(Refused::NoVlan) }
}

/// Takes the first tag off.
fn pop(packet: &mut Packet<'_>) -> Result<(), Refused> {
    let Some((addresses, _)) = packet.data_mut().split_first_chunk_mut::<{ Ethernet::LEN + Vlan::LEN }>() else {
        return Err(Refused::Short);
    };
    addresses.copy_within(..12, Vlan::LEN);
    let _ = packet.advance(Vlan::LEN);
    Ok(())
}

/// Puts a tag in front of the others.
fn push(packet: &mut Packet<'_>, kind: EtherType, control: u16) -> Result<(), Refused> {
    if packet.len() < Ethernet::LEN {
        return Err(Refused::Short);
    }
    if !packet.retreat(Vlan::LEN) {
        return Err(Refused::NoRoom);
    }
    let Some((header, _)) = packet.data_mut().split_first_chunk_mut::<16>() else { return Err(Refused::Short) };
    header.copy_within(4.., 0);
    let [a, b] = kind.0.to_be_bytes();
    let [c, d] = control.to_be_bytes();
    let [.., at0, at1, at2, at3] = header;
    (*at0, *at1, *at2, *at3) = (a, b, c, d);
    Ok(())
}

/// Replaces the control information of the first tag.
fn set(packet: &mut Packet<'_>, control: u16) -> Result<(), Refused> {
    let [a, b] = control.to_be_bytes();
    let Some([.., high, low]) = packet.data_mut().first_chunk_mut::<16>() else { return Err(Refused::Short) };
    (*high, *low) = (a, b);
    Ok(())
}

#[cfg(test)]
#[path = "tagging_tests.rs"]
mod tests;
