//! From the next hops of a route to neighbours: directly, or through the routes that lead to the gateways.
//!
//! Work is O(next hops passed through × prefix lengths in use), and bounded however routes hang on each other. What an answer hangs
//! on is noted, so that a change is followed by those alone whom it may touch.

use super::Adjacencies;
use super::groups::{Groups, Members};
use super::path::{Hop, Path};
use super::rib::{Known, Rib};
use millrace_tables::lpm::Address;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Routes that may lie between a route and the interface that its packets leave by.
const MAX_DEPTH: usize = 8;
/// Next hops that are looked at for one set of them; those beyond can't be reached.
const MAX_LOOKED: usize = 1024;
/// The share of weight 1. Every number to 16 divides it, so that shares of shares mostly stay exact.
pub const ONE: u64 = 720_720;

/// A neighbour that a route leads to, and its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The interface.
    pub interface: u32,
    /// The neighbour on it.
    pub gateway: IpAddr,
    /// Its share among the ways of the route.
    pub share: u64,
    /// Whether it can be taken now. One that can't keeps its place, so that flows on others stay where they are.
    pub up: bool,
}

/// What an answer hangs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Gateways that were looked up, with the length of the shortest prefix that mattered.
    pub gateways: BTreeMap<IpAddr, u8>,
    /// Interfaces whose state mattered.
    pub interfaces: BTreeSet<u32>,
    hops: usize,
}

/// The routes of one table and the state of the interfaces, to look gateways up in.
pub struct Resolver<'a, A: Address> {
    pub rib: &'a Rib<A>,
    pub groups: &'a Groups,
    pub adjacencies: &'a Adjacencies,
    pub looked: Looked,
}

/// The route that decides about a gateway, and what it says.
#[derive(Debug)]
pub enum Found<A: Address> {
    /// It is on this interface.
    Connected(A::Net, u32),
    /// It is behind other next hops.
    Through(A::Net, Vec<Way>),
    Nothing,
}

impl<'a, A: Address> Resolver<'a, A> {
    /// Nothing looked at yet.
    pub fn new(rib: &'a Rib<A>, groups: &'a Groups, adjacencies: &'a Adjacencies) -> Self {
        Resolver { rib, groups, adjacencies, looked: Looked::default() }
    }

    /// The ways of each next hop. One that can't be reached now has those that it had `before`, which are not up.
    pub fn resolve(&mut self, hops: &[Hop], before: &[Vec<Way>]) -> Vec<Vec<Way>> {
        let before = before.iter().map(Vec::as_slice).chain(std::iter::repeat(&[][..]));
        hops.iter().zip(before).map(|(hop, before)| self.hop(hop, before, &mut Vec::new())).collect()
    }

    fn hop(&mut self, hop: &Hop, before: &[Way], chain: &mut Vec<A::Net>) -> Vec<Way> {
        self.looked.hops += 1;
        let share = u64::from(hop.weight) * ONE;
        let direct = |interface, up| vec![Way { interface, gateway: hop.gateway, share, up }];
        let lost = || before.iter().map(|way| Way { up: false, ..*way }).collect();
        let Some(gateway) = A::of_ip(hop.gateway).filter(|_| self.looked.hops <= MAX_LOOKED) else { return lost() };
        match hop.interface {
            Some(interface) => direct(interface, self.is_up(interface)),
            None => match self.gateway(gateway, chain) {
                Found::Connected(_, interface) => direct(interface, true),
                Found::Through(_, ways) => {
                    let all = ways.iter().map(|way| way.share).sum::<u64>().max(1);
                    let part = |way: Way| {
                        let part = u128::from(share) * u128::from(way.share) / u128::from(all);
                        Way { share: u64::try_from(part).unwrap_or(u64::MAX).max(1), ..way }
                    };
                    ways.into_iter().map(part).collect()
                }
                Found::Nothing => lost(),
            },
        }
    }

    fn is_up(&mut self, interface: u32) -> bool {
        self.looked.interfaces.insert(interface);
        self.adjacencies.is_up(interface)
    }

    /// The most specific usable route to a gateway, past those in `chain`: a route can't resolve through itself.
    pub fn gateway(&mut self, gateway: A, chain: &mut Vec<A::Net>) -> Found<A> {
        if chain.len() >= MAX_DEPTH {
            return Found::Nothing;
        }
        let (len, found) = self.search(gateway, chain);
        let shortest = self.looked.gateways.entry(gateway.to_ip()).or_insert(len);
        *shortest = len.min(*shortest);
        found
    }

    /// The same, with the length of the prefix that decided.
    fn search(&mut self, gateway: A, chain: &mut Vec<A::Net>) -> (u8, Found<A>) {
        let rib = self.rib;
        for len in rib.lengths() {
            let prefix = gateway.net(len);
            if chain.contains(&prefix) {
                continue;
            }
            // Host routes of neighbours say nothing about where a gateway is that the connected route doesn't.
            for known in rib.known(prefix).filter(|known| !known.is_neighbor()) {
                let group = match known {
                    Known::Own(candidate) => match &candidate.path {
                        Path::Glean(interface) if self.is_up(*interface) => {
                            return (len, Found::Connected(prefix, *interface));
                        }
                        Path::Via(_) => candidate.group,
                        Path::Glean(i) | Path::Local(i) | Path::Broadcast(i) if !self.is_up(*i) => continue,
                        // The router itself, another table, or a route that drops, is no way to a gateway.
                        _ => return (len, Found::Nothing),
                    },
                    Known::Told(_, lead) => lead.group(),
                };
                let group = group.and_then(|number| self.groups.get(number));
                let Some((Members::Hops(hops), ways)) = group.map(|group| (&group.members, &group.ways)) else {
                    return (len, Found::Nothing);
                };
                chain.push(prefix);
                let before = ways.iter().map(Vec::as_slice).chain(std::iter::repeat(&[][..]));
                let ways: Vec<Way> =
                    hops.iter().zip(before).flat_map(|(hop, before)| self.hop(hop, before, chain)).collect();
                chain.pop();
                if ways.iter().any(|way| way.up) {
                    return (len, Found::Through(prefix, merged(ways)));
                }
            }
        }
        (0, Found::Nothing)
    }
}

/// The ways, each neighbour once, in order.
fn merged(ways: Vec<Way>) -> Vec<Way> {
    let mut all: BTreeMap<(u32, IpAddr), Way> = BTreeMap::new();
    for way in ways {
        let sum = all.entry((way.interface, way.gateway)).or_insert(Way { share: 0, up: false, ..way });
        sum.share = sum.share.saturating_add(way.share);
        sum.up |= way.up;
    }
    all.into_values().collect()
}

/// Shares as weights, as small as they can be. O(shares).
pub fn weights(shares: &[u64]) -> Vec<u16> {
    let divisor = shares.iter().fold(0, |a, b| gcd(a, *b)).max(1);
    let largest = shares.iter().max().map_or(1, |share| share / divisor);
    let weight = |share: &u64| {
        let exact = u128::from(share / divisor);
        let most = u128::from(u16::MAX);
        let fits = if u128::from(largest) > most { exact * most / u128::from(largest) } else { exact };
        u16::try_from(fits).unwrap_or(u16::MAX).max(1)
    };
    shares.iter().map(weight).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
