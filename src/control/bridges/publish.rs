//! The difference between what the packet path has and what it is to have, published.

use super::Bridges;
use super::wanted::{self, Port, Wanted};
use millrace_engine::epoch::domain;
use millrace_graph_nodes::l2;
use millrace_tables::mac::Heard;
use millrace_wire::MacAddr;

impl Bridges {
    /// Lets the packet path have this; stations that can't be fixed, with the reason.
    pub(super) fn publish(&mut self, wanted: Wanted) -> Vec<((u16, MacAddr), Heard)> {
        let Bridges { bridging, sweep, .. } = self;
        let (epoch, before) = (domain(), std::mem::replace(&mut self.published, wanted));
        let after = &self.published;
        for (number, domain) in
            after.domains.iter().filter(|(number, domain)| before.domains.get(number) != Some(domain))
        {
            bridging.stations.limit_bridge(*number, domain.mac_limit);
            sweep.age(*number, domain.mac_age);
            let published = l2::Domain { vlan: domain.vlan, look: domain.look, members: domain.members.clone() };
            // Numbers are below the capacity, here and below.
            let _ = bridging.domains.set(&epoch, (*number).into(), published);
        }
        let (mut forget, mut limited) = (Vec::new(), Vec::new());
        for (index, port) in after.ports.iter().filter(|(index, port)| before.ports.get(index) != Some(port)) {
            bridging.stations.limit_port(*index as u16, port.mac_limit.unwrap_or(u32::MAX));
            let _ = bridging.ports.set(&epoch, *index, port.published());
            limited.extend(port.tunnel.then_some((*index, port.mac_limit.unwrap_or(u32::MAX))));
            let lost = |old: &Port| old.up && !port.up || !old.domains().is_subset(&port.domains());
            forget.extend(before.ports.get(index).filter(|old| lost(old)).map(|old| (*index, old.tunnel)));
        }
        for (index, port) in before.ports.iter().filter(|(index, _)| !after.ports.contains_key(index)) {
            bridging.ports.clear(&epoch, *index);
            bridging.stations.limit_port(*index as u16, u32::MAX);
            bridging.journal.forget(*index);
            forget.push((*index, port.tunnel));
        }
        for (key, _) in before.fixed.iter().filter(|(key, _)| !after.fixed.contains_key(key)) {
            bridging.stations.remove(wanted::station(*key));
        }
        for number in before.domains.keys().filter(|number| !after.domains.contains_key(number)) {
            bridging.domains.clear(&epoch, (*number).into());
            sweep.forget_domain(*number);
        }
        let fixed: Vec<_> = (after.fixed.iter())
            .filter(|(key, behind)| before.fixed.get(key) != Some(behind))
            .map(|(key, behind)| (*key, *behind))
            .collect();
        // What is behind a tunnel is counted by its remote.
        for (index, limit) in limited {
            self.remotes(index).for_each(|remote| self.stations().limit_port(remote, limit));
        }
        for (index, tunnel) in forget {
            self.forget_behind(index, tunnel);
        }
        self.homeless.retain(|key| self.published.fixed.contains_key(key));
        fixed.into_iter().filter_map(|(key, behind)| Some((key, self.fix(key, behind)?))).collect()
    }

    /// Takes a port whose interface goes out of all that frames are flooded to, at once: its number may be another's before all else
    /// that follows is published.
    pub(in crate::control) fn unplug(&mut self, index: u32) {
        let Some(port) = self.published.ports.get_mut(&index) else { return };
        port.up = false;
        let (numbers, tunnel) = (port.domains(), port.tunnel);
        for number in numbers {
            let Some(flooded) = self.published.domains.get_mut(&number) else { continue };
            flooded.members.retain(|member| *member != index);
            let published = l2::Domain { vlan: flooded.vlan, look: flooded.look, members: flooded.members.clone() };
            // Numbers are below the capacity.
            let _ = self.bridging.domains.set(&domain(), number.into(), published);
        }
        self.forget_behind(index, tunnel);
    }

    /// Forgets the stations that were learnt behind a port.
    fn forget_behind(&mut self, index: u32, tunnel: bool) {
        let remotes: Vec<u16> = if tunnel { self.remotes(index).collect() } else { Vec::new() };
        remotes.into_iter().chain([index as u16]).for_each(|behind| self.sweep.forget_behind(behind));
    }

    /// Fixes a station; the reason why that can't be, when it is a new one. What was learnt gives way then, once, and it is tried
    /// again.
    pub(super) fn fix(&mut self, key: (u16, MacAddr), behind: u16) -> Option<Heard> {
        let Err(full) = self.bridging.stations.fix(wanted::station(key), behind) else {
            self.homeless.remove(&key);
            return None;
        };
        if !self.homeless.insert(key) {
            return None;
        }
        // It is not where it was any more, which may be gone.
        self.bridging.stations.remove(wanted::station(key));
        match full {
            Heard::PortFull => self.sweep.forget_behind(behind),
            Heard::BridgeFull => self.sweep.forget_learnt(key.0),
            _ => {}
        }
        Some(full)
    }
}
