//! Sets of next hops (shared path lists), each shared by all routes of a VRF that lead over the same ones, by number.
//!
//! A set has a place of its own in the forwarding plane, which its routes name for as long as they lead over it: an adjacency if it
//! has one next hop, a load-balance if it has several. What becomes of the next hops is published there, once, whatever the number
//! of routes: the adjacency is a copy of its neighbour's, or leads on to a load-balance or another table, or nowhere.
//!
//! Finding the sets that a change may touch is O(log sets + those), following it O(next hops) for each of them.

use super::adjacencies::Adjacencies;
use super::balances::{Balances, Share};
use super::path::Hop;
use super::resolve::{Looked, ONE, Way, weights};
use millrace_tables::fib::Target;
use millrace_tables::load_balance::MAX_BUCKETS;
use millrace_tables::lpm::Address;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// What a set consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// These next hops, of one address family; at least one.
    Hops(Arc<[Hop]>),
    /// The routes of the table of this number.
    Table(u32),
}

/// The parts of the forwarding plane that sets are published in.
#[derive(Debug)]
pub struct Plane<'a> {
    pub adjacencies: &'a mut Adjacencies,
    pub balances: &'a mut Balances,
}

/// A set of next hops.
#[derive(Debug)]
pub struct Group {
    pub members: Members,
    users: usize,
    /// How each of the hops is reached, or was when it last could be.
    pub ways: Vec<Vec<Way>>,
    looked: Looked,
    /// Its place in the forwarding plane.
    place: Target,
    /// Whether packets come anywhere from there.
    works: bool,
    /// Neighbours whose adjacencies it uses.
    held: BTreeMap<(u32, IpAddr), u32>,
    /// The load-balance of a single next hop that several ways lead to.
    inner: Option<u32>,
}

impl Group {
    /// Where it is in the forwarding plane; `None` while no hop can be reached.
    pub fn target(&self) -> Option<Target> {
        self.works.then_some(self.place)
    }

    /// Whether routes of a family may lead over it.
    pub fn suits<A: Address>(&self) -> bool {
        match &self.members {
            Members::Hops(hops) => hops.iter().all(|hop| A::of_ip(hop.gateway).is_some()),
            Members::Table(_) => true,
        }
    }

    /// Leads its place where its ways lead now.
    fn follow(&mut self, plane: &mut Plane<'_>) {
        let before = std::mem::take(&mut self.held);
        for way in self.ways.iter().flatten().filter(|way| way.up) {
            let neighbor = (way.interface, way.gateway);
            if !self.held.contains_key(&neighbor)
                && let Some(index) = plane.adjacencies.acquire(way.interface, way.gateway)
            {
                self.held.insert(neighbor, index);
            }
        }
        self.works = match (&self.members, self.place) {
            (Members::Table(table), Target::Adjacency(slot)) => plane.adjacencies.lead_to_table(slot, *table),
            (_, Target::Adjacency(slot)) => self.follow_single(slot, &before, plane),
            (_, Target::LoadBalance(index)) => {
                plane.balances.set(index, &self.shares(plane.adjacencies));
                !self.held.is_empty()
            }
        };
        for (interface, gateway) in before.into_keys() {
            plane.adjacencies.release(interface, gateway);
        }
    }

    fn follow_single(&mut self, slot: u32, before: &BTreeMap<(u32, IpAddr), u32>, plane: &mut Plane<'_>) -> bool {
        for (interface, gateway) in before.keys() {
            plane.adjacencies.part(*interface, *gateway, slot);
        }
        let inner = match self.held.len() {
            0 | 1 => None,
            _ => self.inner.or_else(|| plane.balances.add()),
        };
        match (inner, self.held.keys().next()) {
            (Some(index), _) => {
                plane.balances.set(index, &self.shares(plane.adjacencies));
                plane.adjacencies.lead_to_balance(slot, index);
            }
            (None, Some((interface, gateway))) => drop(plane.adjacencies.copy(*interface, *gateway, slot)),
            (None, None) => plane.adjacencies.lead_nowhere(slot),
        }
        if let Some(index) = std::mem::replace(&mut self.inner, inner).filter(|old| inner != Some(*old)) {
            plane.balances.remove(index);
        }
        !self.held.is_empty()
    }

    /// Shares flows out anew, as a neighbour was lost or found.
    fn share(&self, plane: &Plane<'_>) {
        if let (Target::LoadBalance(index), _) | (_, Some(index)) = (self.place, self.inner) {
            plane.balances.set(index, &self.shares(plane.adjacencies));
        }
    }

    /// All ways of all hops, in an order that does not hang on what is up; at most as many as a load-balance takes. Lost neighbours
    /// are passed over if there are others.
    fn shares(&self, adjacencies: &Adjacencies) -> Vec<Share> {
        let there = |way: &Way| way.up && !adjacencies.is_lost(way.interface, way.gateway);
        let choice = self.ways.iter().flatten().any(there);
        let Members::Hops(hops) = &self.members else { return Vec::new() };
        let mut shares: Vec<(u32, u64, bool)> = Vec::new();
        for (hop, ways) in hops.iter().zip(&self.ways) {
            if ways.is_empty() {
                shares.push((0, u64::from(hop.weight) * ONE, false));
            }
            shares.extend(ways.iter().map(|way| {
                let index = self.held.get(&(way.interface, way.gateway)).filter(|_| way.up && (there(way) || !choice));
                (index.copied().unwrap_or(0), way.share, index.is_some())
            }));
        }
        if shares.len() > MAX_BUCKETS {
            shares.sort_by_key(|(_, share, up)| std::cmp::Reverse((*up, *share)));
            shares.truncate(MAX_BUCKETS);
        }
        let weights = weights(&shares.iter().map(|(_, share, _)| *share).collect::<Vec<_>>());
        shares.iter().zip(weights).map(|((index, _, up), weight)| (*index, weight, *up)).collect()
    }

    /// Gives up its place and all that it uses.
    fn end(mut self, plane: &mut Plane<'_>) {
        for (interface, gateway) in std::mem::take(&mut self.held).into_keys() {
            if let Target::Adjacency(slot) = self.place {
                plane.adjacencies.part(interface, gateway, slot);
            }
            plane.adjacencies.release(interface, gateway);
        }
        self.inner.take().into_iter().for_each(|index| plane.balances.remove(index));
        match self.place {
            Target::Adjacency(slot) => plane.adjacencies.remove_slot(slot),
            Target::LoadBalance(index) => plane.balances.remove(index),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Groups {
    all: Vec<Option<Group>>,
    free: Vec<u32>,
    by_hops: HashMap<Arc<[Hop]>, u32>,
    by_table: BTreeMap<u32, u32>,
    /// Gateways that were looked up, for which group, and the length of the shortest prefix that mattered.
    gateways: BTreeMap<(IpAddr, u32), u8>,
    /// Interfaces whose state mattered, and for which group.
    interfaces: BTreeSet<(u32, u32)>,
}

impl Groups {
    /// The group of that number.
    pub fn get(&self, number: u32) -> Option<&Group> {
        self.all.get(number as usize)?.as_ref()
    }

    /// The number of the group of these hops.
    pub fn number(&self, hops: &[Hop]) -> Option<u32> {
        self.by_hops.get(hops).copied()
    }

    /// The number of the group that leads to a table.
    pub fn to_table(&self, table: u32) -> Option<u32> {
        self.by_table.get(&table).copied()
    }

    /// How many there are. O(1).
    pub fn count(&self) -> usize {
        self.all.len() - self.free.len()
    }

    /// Adds a group of members that have none yet, with a single user. `None` when the forwarding plane has no place for it.
    pub fn insert(
        &mut self,
        members: Members,
        ways: Vec<Vec<Way>>,
        looked: Looked,
        plane: &mut Plane<'_>,
    ) -> Option<u32> {
        let place = match &members {
            Members::Hops(hops) if hops.len() > 1 => Target::LoadBalance(plane.balances.add()?),
            _ => Target::Adjacency(plane.adjacencies.add_slot()?),
        };
        let mut group =
            Group { members, users: 1, ways, looked, place, works: false, held: BTreeMap::new(), inner: None };
        group.follow(plane);
        // Fewer than places, of which there are not so many.
        let number = self.free.pop().unwrap_or(self.all.len() as u32);
        match &group.members {
            Members::Hops(hops) => drop(self.by_hops.insert(Arc::clone(hops), number)),
            Members::Table(table) => drop(self.by_table.insert(*table, number)),
        }
        self.note(number, &group.looked);
        match self.all.get_mut(number as usize) {
            Some(place) => *place = Some(group),
            None => self.all.push(Some(group)),
        }
        Some(number)
    }

    /// Makes another route a user of a group.
    pub fn join(&mut self, number: u32) {
        if let Some(group) = self.all.get_mut(number as usize).and_then(Option::as_mut) {
            group.users += 1;
        }
    }

    /// Ends a route's use of its group.
    pub fn leave(&mut self, number: u32, plane: &mut Plane<'_>) {
        let Some(place) = self.all.get_mut(number as usize) else { return };
        let Some(group) = place.as_mut() else { return };
        group.users -= 1;
        if group.users > 0 {
            return;
        }
        let Some(group) = place.take() else { return };
        self.free.push(number);
        self.unname(number, &group.members);
        self.forget_looked(number, &group.looked);
        group.end(plane);
    }

    /// Says how the hops of a group are reached now. True when it works now and did not before, or the other way round.
    pub fn set_ways(&mut self, number: u32, ways: Vec<Vec<Way>>, looked: Looked, plane: &mut Plane<'_>) -> bool {
        let Some(group) = self.all.get_mut(number as usize).and_then(Option::as_mut) else { return false };
        let worked = group.works;
        if group.ways != ways {
            group.ways = ways;
            group.follow(plane);
        }
        let flipped = worked != group.works;
        if group.looked != looked {
            let old = std::mem::replace(&mut group.looked, looked.clone());
            self.forget_looked(number, &old);
            self.note(number, &looked);
        }
        flipped
    }

    /// Lets a group that leads to a table follow whether there is that table. True when it works now and did not before, or the
    /// other way round.
    pub fn table_changed(&mut self, number: u32, plane: &mut Plane<'_>) -> bool {
        let Some(group) = self.all.get_mut(number as usize).and_then(Option::as_mut) else { return false };
        let worked = group.works;
        group.follow(plane);
        worked != group.works
    }

    /// Shares flows out anew where a neighbour is one of several that was lost, or found. O(sets).
    pub fn neighbor_changed(&self, interface: u32, gateway: IpAddr, plane: &Plane<'_>) {
        let of_it = self.all.iter().flatten().filter(|group| group.held.contains_key(&(interface, gateway)));
        of_it.for_each(|group| group.share(plane));
    }

    fn note(&mut self, number: u32, looked: &Looked) {
        self.gateways.extend(looked.gateways.iter().map(|(gateway, len)| ((*gateway, number), *len)));
        self.interfaces.extend(looked.interfaces.iter().map(|interface| (*interface, number)));
    }

    fn forget_looked(&mut self, number: u32, looked: &Looked) {
        for gateway in looked.gateways.keys() {
            self.gateways.remove(&(*gateway, number));
        }
        for interface in &looked.interfaces {
            self.interfaces.remove(&(*interface, number));
        }
    }

    /// The groups that hang on the routes to a prefix.
    pub fn hanging_on<A: Address>(&self, prefix: A::Net) -> impl Iterator<Item = u32> + '_ {
        let (first, last, len) = (A::first(prefix), A::last(prefix), A::len(prefix));
        let inside = self.gateways.range((first.to_ip(), 0)..=(last.to_ip(), u32::MAX));
        inside.filter(move |(_, shortest)| **shortest <= len).map(|((_, number), _)| *number)
    }

    /// The groups that hang on an interface's state.
    pub fn on_interface(&self, interface: u32) -> Vec<u32> {
        self.interfaces.range((interface, 0)..=(interface, u32::MAX)).map(|(_, number)| *number).collect()
    }

    /// Makes hops of an interface that is gone lead nowhere, so that they don't come back with another of its number. O(sets).
    pub fn forget_interface(&mut self, interface: u32) {
        let gone = |hop: &Hop| if hop.interface == Some(interface) { Hop { interface: GONE, ..*hop } } else { *hop };
        for number in 0..self.all.len() as u32 {
            let Some(group) = self.get(number) else { continue };
            let Members::Hops(hops) = group.members.clone() else { continue };
            if hops.iter().any(|hop| hop.interface == Some(interface)) {
                self.unname(number, &Members::Hops(Arc::clone(&hops)));
                if let Some(group) = self.all.get_mut(number as usize).and_then(Option::as_mut) {
                    group.members = Members::Hops(hops.iter().map(gone).collect());
                    let on = |way: &Way| way.interface == interface;
                    group.ways.iter_mut().for_each(|ways| ways.retain(|way| !on(way)));
                }
            }
        }
    }

    /// Makes a group that leads to a table that is gone lead nowhere, for the same reason.
    pub fn forget_table(&mut self, table: u32) {
        let Some(number) = self.by_table.remove(&table) else { return };
        if let Some(group) = self.all.get_mut(number as usize).and_then(Option::as_mut) {
            group.members = Members::Table(u32::MAX);
        }
    }

    fn unname(&mut self, number: u32, members: &Members) {
        match members {
            Members::Hops(hops) if self.by_hops.get(hops) == Some(&number) => drop(self.by_hops.remove(hops)),
            Members::Table(table) if self.by_table.get(table) == Some(&number) => drop(self.by_table.remove(table)),
            _ => {}
        }
    }

    /// Gives up all that the groups use.
    pub fn clear(&mut self, plane: &mut Plane<'_>) {
        std::mem::take(self).all.into_iter().flatten().for_each(|group| group.end(plane));
    }
}

/// The interface of hops whose interface is gone: a number that none has.
const GONE: Option<u32> = Some(u32::MAX);
