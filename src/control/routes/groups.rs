//! Sets of next hops, each shared by all routes of a table that lead over the same ones, by number.

use super::resolve::Way;
use super::table::{Hop, Parts};
use ipnet::Ipv4Net;
use millrace_tables::fib::Target;
use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// A neighbour, as interface and address, and its weight.
pub type Weighed = (u32, Ipv4Addr, u16);

/// A set of next hops.
#[derive(Debug)]
pub struct Group {
    pub hops: Arc<[Hop]>,
    users: usize,
    /// How each of the hops is reached.
    pub ways: Vec<Vec<Way>>,
    /// What comes of all ways together.
    pub weighed: Vec<Weighed>,
    /// Where that is in the forwarding plane; `None` while no hop can be reached.
    pub target: Option<Target>,
}

impl Group {
    /// One with a single user.
    pub fn new(hops: Arc<[Hop]>, ways: Vec<Vec<Way>>, weighed: Vec<Weighed>, parts: &mut Parts<'_>) -> Group {
        let target = acquire(&weighed, parts);
        Group { hops, users: 1, ways, weighed, target }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Groups {
    all: Vec<Option<Group>>,
    free: Vec<u32>,
    by_hops: HashMap<Arc<[Hop]>, u32>,
    /// Gateways that are looked up, with the number of hops that do.
    gateways: BTreeMap<Ipv4Addr, usize>,
}

impl Groups {
    /// The group of that number.
    pub fn get(&self, number: u32) -> Option<&Group> {
        self.all.get(number as usize)?.as_ref()
    }

    /// The same, to change.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut Group> {
        self.all.get_mut(number as usize)?.as_mut()
    }

    /// The number of the group of these hops.
    pub fn number(&self, hops: &[Hop]) -> Option<u32> {
        self.by_hops.get(hops).copied()
    }

    /// All numbers in use.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).zip(&self.all).filter(|(_, group)| group.is_some()).map(|(number, _)| number)
    }

    /// Adds a group of hops that have none yet.
    pub fn insert(&mut self, group: Group) -> u32 {
        for hop in group.hops.iter().filter(|hop| hop.interface.is_none()) {
            *self.gateways.entry(hop.gateway).or_default() += 1;
        }
        let hops = Arc::clone(&group.hops);
        let number = match self.free.pop() {
            Some(number) => {
                self.all[number as usize] = Some(group);
                number
            }
            None => {
                self.all.push(Some(group));
                // One for each route at most, of which memory has no room for so many.
                self.all.len() as u32 - 1
            }
        };
        self.by_hops.insert(hops, number);
        number
    }

    /// Makes another route a user of a group.
    pub fn join(&mut self, number: u32) {
        if let Some(group) = self.get_mut(number) {
            group.users += 1;
        }
    }

    /// Ends a route's use of its group.
    pub fn leave(&mut self, number: u32, parts: &mut Parts<'_>) {
        let Some(group) = self.get_mut(number) else { return };
        group.users -= 1;
        if group.users > 0 {
            return;
        }
        let Some(group) = self.all.get_mut(number as usize).and_then(Option::take) else { return };
        self.free.push(number);
        if self.by_hops.get(&group.hops) == Some(&number) {
            self.by_hops.remove(&group.hops);
        }
        release(&group.weighed, group.target, parts);
        for hop in group.hops.iter().filter(|hop| hop.interface.is_none()) {
            if let Some(users) = self.gateways.get_mut(&hop.gateway) {
                *users -= 1;
                if *users == 0 {
                    self.gateways.remove(&hop.gateway);
                }
            }
        }
    }

    /// Whether a gateway that is looked up lies in a prefix.
    pub fn look_up_in(&self, prefix: Ipv4Net) -> bool {
        self.gateways.range(prefix.network()..=prefix.broadcast()).next().is_some()
    }

    /// Makes hops of an interface that is gone lead nowhere, so that they don't come back with another of its number.
    pub fn forget(&mut self, interface: u32) {
        for (number, group) in (0..).zip(&mut self.all) {
            let Some(group) = group.as_mut().filter(|g| g.hops.iter().any(|hop| hop.interface == Some(interface)))
            else {
                continue;
            };
            if self.by_hops.get(&group.hops) == Some(&number) {
                self.by_hops.remove(&group.hops);
            }
            let gone =
                |hop: &Hop| if hop.interface == Some(interface) { Hop { interface: GONE, ..*hop } } else { *hop };
            group.hops = group.hops.iter().map(gone).collect();
        }
    }

    /// Gives up all that the groups use.
    pub fn clear(&mut self, parts: &mut Parts<'_>) {
        for group in std::mem::take(self).all.into_iter().flatten() {
            release(&group.weighed, group.target, parts);
        }
    }
}

/// No interface has this number.
const GONE: Option<u32> = Some(0);

/// The target of ways; takes a use of every neighbour.
pub fn acquire(weighed: &[Weighed], parts: &mut Parts<'_>) -> Option<Target> {
    let mut shares = Vec::with_capacity(weighed.len());
    for (interface, gateway, weight) in weighed {
        shares.push((parts.adjacencies.acquire(*interface, *gateway)?, *weight));
    }
    shares.truncate(millrace_tables::load_balance::MAX_BUCKETS);
    shares.sort_unstable();
    parts.balances.acquire(&shares)
}

/// Gives up what [`acquire`] took.
pub fn release(weighed: &[Weighed], target: Option<Target>, parts: &mut Parts<'_>) {
    if let Some(target) = target {
        parts.balances.release(target);
    }
    for (interface, gateway, _) in weighed {
        parts.adjacencies.release(*interface, *gateway);
    }
}
