//! Which members carry frames, and whether the bond has a link by that.

use super::{Bond, Bonds, Carries, is_usable, nodes, port_number};
use crate::control::Router;
use crate::control::events::Severity;
use crate::control::interfaces::Interfaces;
use crate::control::lacp::{Aggregator, Churn, Mux, Port, Receive, Send};
use millrace_config::{BondHash, State};
use millrace_io::Link;
use millrace_tables::load_balance::LoadBalance;
use std::time::Instant;

/// The member that carries frames with active-backup: the primary one if it works, else who does it now if that works, else the first
/// that works.
pub(super) fn choose(members: &[(u32, bool)], primary: Option<u32>, now: Option<u32>) -> Option<u32> {
    let works = |member: u32| members.contains(&(member, true));
    let first = members.iter().find(|(_, works)| *works).map(|(member, _)| *member);
    primary.filter(|p| works(*p)).or(now.filter(|n| works(*n))).or(first)
}

/// Why a port of LACP carries nothing, or not yet.
fn why_not(port: &Port, lacp: &Aggregator) -> String {
    let partner = port.partner();
    match (port.receive(), port.mux()) {
        (Receive::Defaulted, _) => "nobody speaks LACP at its other end".to_owned(),
        (Receive::Expired, _) => "its partner is silent".to_owned(),
        _ if partner.system == lacp.settings().system => "its cable leads back to this bond".to_owned(),
        (_, Mux::Detached) if !port.is_selected() => {
            format!("its partner is {} key {}, another one than the bond's", partner.system, partner.key)
        }
        (_, Mux::Detached | Mux::Waiting) => "it is about to join".to_owned(),
        _ if port.churn().1 == Churn::Churned => "its partner doesn't want it in its aggregate".to_owned(),
        _ => "its partner is not ready".to_owned(),
    }
}

impl Bond {
    /// Whether frames pass a member, and why not.
    fn carries(&self, interfaces: &Interfaces, index: u32, member: u32) -> (Carries, Option<String>) {
        let none = |why: String| (Carries::default(), Some(why));
        if !interfaces.is_enabled(index) {
            return none("the bond is switched off".to_owned());
        }
        if interfaces.is_up(member) && !is_usable(interfaces, member) {
            return none("it is about to join".to_owned());
        }
        if !is_usable(interfaces, member) {
            let off = interfaces.get(member).is_some_and(|member| member.state == State::Down);
            return none(if off { "it is switched off" } else { "its link is down" }.to_owned());
        }
        match &self.lacp {
            None if self.active == Some(member) => (Carries { rx: true, tx: true }, None),
            None => none("it stands by".to_owned()),
            Some(lacp) => match lacp.port(port_number(member)) {
                Some(port) => {
                    let carries = Carries { rx: port.is_collecting(), tx: port.is_distributing() };
                    (carries, (!carries.tx).then(|| why_not(port, lacp)))
                }
                None => none("it is about to join".to_owned()),
            },
        }
    }

    fn hash(&self) -> nodes::Hash {
        match self.settings.hash {
            BondHash::Layer2 => nodes::Hash::Layer2,
            BondHash::Layer2And3 => nodes::Hash::Layer2And3,
            BondHash::Layer3And4 => nodes::Hash::Layer3And4,
        }
    }
}

impl Router {
    /// Lets a bond know of the links of its members: who is active, and what LACP makes of it.
    pub(super) fn follow_bond_links(&mut self, index: u32, now: Instant) {
        let Router { bonds: Bonds { bonds, .. }, interfaces, .. } = self;
        let Some(bond) = bonds.get_mut(&index) else { return };
        let enabled = interfaces.is_enabled(index);
        let works = |member: &u32| (*member, enabled && is_usable(interfaces, *member));
        let members: Vec<(u32, bool)> = bond.members.iter().map(works).collect();
        let Some(lacp) = &mut bond.lacp else {
            let primary = bond.settings.primary.as_ref().and_then(|name| interfaces.index(name));
            bond.active = choose(&members, primary, bond.active);
            return;
        };
        bond.active = None;
        let set = |(member, works): &(u32, bool)| lacp.set_enabled(port_number(*member), *works, now);
        let sends: Vec<Send> = members.iter().flat_map(set).collect();
        self.send_lacp(sends);
    }

    /// Lets the packet path know which members carry frames, and the bond have a link while enough of them do.
    pub(super) fn follow_carriers(&mut self, index: u32) {
        let Router { bonds, interfaces, .. } = self;
        let Some(bond) = bonds.bonds.get_mut(&index) else { return };
        let of = |member: &u32| (*member, bond.carries(interfaces, index, *member));
        let states: Vec<(u32, (Carries, Option<String>))> = bond.members.iter().map(of).collect();
        let carrying = states.iter().filter(|(_, (carries, _))| carries.tx).count();
        // With active-backup one carries frames for all that could.
        let (working, do_it) = match &bond.lacp {
            Some(_) => (carrying, "carry frames"),
            None => (bond.members.iter().filter(|member| is_usable(interfaces, **member)).count(), "work"),
        };
        let up = carrying > 0 && working >= usize::from(bond.settings.min_links);
        let shares: Vec<(u32, u16, bool)> = states.iter().map(|(m, (carries, _))| (*m, 1, carries.tx)).collect();
        // Fewer members than are wanted carry nothing at all.
        let members = if up { LoadBalance::resilient(&shares).ok() } else { None };
        let published = nodes::Bond { hash: bond.hash(), members };
        if bond.published.as_ref() != Some(&published) {
            bonds.nodes.set_bond(index, Some(published.clone()));
            bond.published = Some(published);
        }
        let (failed_over, mut news) = (self.follow_member_states(index, &states), Vec::new());
        let problem = (!up).then(|| match carrying {
            0 => "no member carries frames".to_owned(),
            _ => format!("{working} of the {} members that min-links wants {do_it}", self.min_links(index)),
        });
        let link = if up { Link::Up } else { Link::Down };
        // Before workers have the queues of devices, there is nothing to tell.
        let begins = states.iter().any(|(m, _)| self.interfaces.is_up(*m) && !is_usable(&self.interfaces, *m));
        let told = match self.bonds.bonds.get_mut(&index) {
            Some(bond) => {
                let told = bond.told;
                bond.told |= !begins;
                told
            }
            None => true,
        };
        let Some(interface) = self.interfaces.get_mut(index) else { return };
        let changed = interface.link != link;
        if changed || interface.problem != problem {
            (interface.link, interface.problem) = (link, problem.clone());
        }
        if !begins && (changed || !told) {
            news.push(match problem {
                None => (Severity::Info, format!("link up: {carrying} of {} members carry frames", states.len())),
                Some(problem) => (Severity::Warning, format!("link down: {problem}")),
            });
        }
        news.into_iter().for_each(|(severity, text)| self.tell_bond(index, severity, text));
        if changed {
            self.refresh_or_warn(index);
        }
        if up && (changed || failed_over) {
            self.announce_bond(index);
        }
    }

    fn min_links(&self, index: u32) -> u16 {
        self.bonds.bonds.get(&index).map_or(1, |bond| bond.settings.min_links)
    }

    /// Tells packet path and operator what members do now. Whether frames go by a member by which none went before.
    fn follow_member_states(&mut self, index: u32, states: &[(u32, (Carries, Option<String>))]) -> bool {
        let mut failed_over = false;
        let mut news = Vec::new();
        for (number, (carries, why)) in states {
            let Some(member) = self.bonds.members.get_mut(number) else { continue };
            let before = std::mem::replace(&mut member.carries, *carries);
            let told = std::mem::replace(&mut member.why, why.clone());
            if before.rx != carries.rx {
                let membership = nodes::Membership { bond: index, collects: carries.rx };
                self.bonds.nodes.set_member(*number, Some(membership));
            }
            failed_over |= carries.tx && !before.tx;
            let name = self.interfaces.name(index);
            match (before.tx, carries.tx, why) {
                (false, true, _) => news.push((*number, Severity::Info, format!("carries frames of {name}"))),
                (true, false, Some(why)) => {
                    let severity = if needs_help(why) { Severity::Warning } else { Severity::Info };
                    news.push((*number, severity, format!("carries no frames of {name}: {why}")));
                }
                // What an operator has to do something about.
                (false, false, Some(why)) if told.as_ref() != Some(why) && needs_help(why) => {
                    news.push((*number, Severity::Warning, format!("carries no frames of {name}: {why}")));
                }
                _ => {}
            }
        }
        news.into_iter().for_each(|(number, severity, text)| self.tell_bond(number, severity, text));
        failed_over
    }

    /// Switches learn where the router is now: by all addresses of the bond, of its sub-interfaces, and of bridges that it is a port of.
    fn announce_bond(&mut self, index: u32) {
        self.announce(index);
        let of = [vec![index], self.interfaces.children(index)].concat();
        let bridge = |index: &u32| self.interfaces.get(*index)?.bridge.as_ref().map(|member| member.bridge.clone());
        let bridges: Vec<_> = of.iter().filter_map(bridge).collect();
        let routed: Vec<u32> = bridges.iter().filter_map(|name| self.interfaces.index(name)).collect();
        routed.into_iter().for_each(|index| self.announce(index));
    }
}

/// Whether it will not get better by itself.
fn needs_help(why: &str) -> bool {
    !["it stands by", "it is about to join", "its partner is not ready"].contains(&why)
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn who_is_active() {
        let all = [(1, true), (2, true), (3, true)];
        let without_1 = [(1, false), (2, true), (3, true)];
        for (name, members, primary, now, expected) in [
            ("the first", &all[..], None, None, Some(1)),
            ("who is, stays", &all, None, Some(3), Some(3)),
            ("the primary one, whoever is", &all, Some(2), Some(3), Some(2)),
            ("the first that works", &without_1, None, None, Some(2)),
            ("a primary one that fails", &without_1, Some(1), Some(1), Some(2)),
            ("who stands in for it, stays", &without_1, Some(1), Some(3), Some(3)),
            ("who left", &all, None, Some(9), Some(1)),
            ("a primary one that is none", &all, Some(9), None, Some(1)),
            ("nobody works", &[(1, false)], Some(1), Some(1), None),
            ("nobody is there", &[], None, None, None),
        ] {
            assert_eq!(choose(members, primary, now), expected, "{name}");
        }
    }
}
