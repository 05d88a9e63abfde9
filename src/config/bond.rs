//! `driver: bond`: several interfaces as one.

use crate::{
    decode::{Fields, Scalar},
    diagnostic::{Reader, Spot},
    driver::Driver,
    keyword::keywords,
    name::Name,
    validate::Check,
    yaml::Node,
};
use std::collections::HashMap;

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

impl Bond {
    pub(crate) fn decode(name: &Name, fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Self> {
        if !fields.has("members") {
            let message = format!("{} is missing", fields.name("members"));
            reader.error(fields.at("members"), message, "expected the interfaces that it is made of, such as [p0, p1]");
        }
        let members = fields.list("members", reader, Name::read);
        for (i, (_, at)) in members.iter().flatten().enumerate() {
            reader.place(Spot::new("interfaces", name).key("members").value(i), *at);
        }
        let mode = fields.scalar("mode", reader).unwrap_or(BondMode::ActiveBackup);
        let hash = fields.scalar("hash", reader).unwrap_or(BondHash::Layer3And4);
        let lacp_rate = fields.scalar("lacp-rate", reader).unwrap_or(LacpRate::Slow);
        let primary = fields.scalar("primary", reader);
        let min_links = fields.number("min-links", 1..=Self::MAX_MEMBERS as u16, reader).unwrap_or(1);
        let members = members?.into_iter().map(|(member, _)| member).collect();
        Some(Self { members, mode, hash, lacp_rate, primary, min_links })
    }

    pub(crate) fn encode(&self, node: Node) -> Node {
        let node = node
            .with("members", Node::list(self.members.iter().map(Node::text)))
            .with_unless(&BondMode::ActiveBackup, "mode", &self.mode)
            .with_unless(&BondHash::Layer3And4, "hash", &self.hash)
            .with_unless(&LacpRate::Slow, "lacp-rate", &self.lacp_rate);
        let node = match &self.primary {
            Some(primary) => node.with("primary", Node::text(primary)),
            None => node,
        };
        node.with_unless(&1, "min-links", &self.min_links)
    }

    /// The same bond with only some of its members.
    pub(crate) fn only(&self, stays: impl Fn(&Name) -> bool) -> Self {
        let members = self.members.iter().filter(|member| stays(member)).cloned().collect();
        Self { members, primary: self.primary.clone().filter(|primary| stays(primary)), ..self.clone() }
    }
}

pub(crate) fn check(check: &mut Check<'_>) {
    let config = check.config;
    let mut taken: HashMap<&Name, &Name> = HashMap::new();
    for (name, interface) in &config.interfaces {
        let Driver::Bond(bond) = &interface.driver else { continue };
        let spot = |key| Spot::new("interfaces", name).key(key);
        let what = format!("interface {name}");
        let count = bond.members.len();
        if !(1..=Bond::MAX_MEMBERS).contains(&count) {
            let hint = format!("expected 1 to {}", Bond::MAX_MEMBERS);
            check.problem(spot("members"), format!("{what}: members: there are {count}"), hint);
        }
        for (i, member) in bond.members.iter().enumerate() {
            check_member(check, (name, interface.mtu), bond, i);
            if let Some(other) = taken.insert(member, name).filter(|other| *other != name) {
                let message = format!("{what}: members: {member} is a member of {other} already");
                check.problem(spot("members").value(i), message, "expected an interface without another use");
            }
        }
        if let Some(primary) = &bond.primary {
            if !bond.members.contains(primary) {
                let members: Vec<&str> = bond.members.iter().map(Name::as_str).collect();
                let hint = format!("expected one of: {}", members.join(", "));
                check.problem(spot("primary"), format!("{what}: primary: {primary} is none of its members"), hint);
            } else if bond.mode == BondMode::Lacp {
                let hint = "expected no primary, or mode: active-backup";
                check.problem(spot("primary"), format!("{what}: primary: with lacp all members carry frames"), hint);
            }
        }
        if usize::from(bond.min_links) > count.max(1) {
            let message = format!("{what}: min-links: {} of {count} members never work", bond.min_links);
            check.problem(spot("min-links"), message, format!("expected 1 to {}", count.max(1)));
        }
    }
}

/// A member has a wire, and nothing else that it is used for.
fn check_member(check: &mut Check<'_>, (name, mtu): (&Name, u16), bond: &Bond, at: usize) {
    let member = &bond.members[at];
    let spot = || Spot::new("interfaces", name).key("members").value(at);
    let what = format!("interface {name}: members");
    if bond.members[..at].contains(member) {
        check.problem(spot(), format!("{what}: {member} stands here twice"), "keep one of them");
        return;
    }
    if !check.interface(spot(), &what, member) || check.partial.contains(member) {
        return;
    }
    let Some(interface) = check.config.interfaces.get(member) else { return };
    if !interface.driver.has_wire() {
        let message = format!("{what}: {member} has no wire of its own ({})", interface.driver);
        check.problem(spot(), message, "expected an interface with a device");
    } else if let Some(key) = interface.uses(member, check.config) {
        let message = format!("{what}: {member} has {key}");
        check.problem(spot(), message, format!("set them on {name}: a member has no other use"));
    } else if let Some(user) = check.config.takers(member).into_iter().find(|user| !user.starts_with("bond ")) {
        let message = format!("{what}: {member} is used by {user}");
        check.problem(spot(), message, "expected an interface without another use");
    } else if interface.mtu < mtu {
        let message = format!("{what}: the mtu of {member} is {}, less than that of {name}", interface.mtu);
        check.problem(spot(), message, format!("expected at least {mtu}, or a smaller mtu of {name}"));
    }
}
