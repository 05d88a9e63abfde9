//! From the next hops of a route to neighbours: directly, or through the routes that lead to the gateways.

use super::Adjacencies;
use super::groups::{Groups, Weighed};
use super::rib::{Known, Rib};
use super::table::{Hop, Path};
use ipnet::Ipv4Net;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Routes that may lie between a route and the interface that its packets leave by.
const MAX_DEPTH: usize = 8;
/// The share of weight 1. Every number to 16 divides it, so that shares of shares mostly stay exact.
const ONE: u64 = 720_720;

/// A neighbour that a route leads to, and its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The interface.
    pub interface: u32,
    /// The neighbour on it.
    pub gateway: Ipv4Addr,
    /// Its share among the ways of the route.
    pub share: u64,
}

/// The routes of one table and the state of the interfaces, to look gateways up in.
#[derive(Clone, Copy)]
pub struct Resolver<'a> {
    pub rib: &'a Rib,
    pub groups: &'a Groups,
    pub adjacencies: &'a Adjacencies,
}

impl Resolver<'_> {
    /// The ways of each next hop; none for one that can't be resolved now.
    pub fn resolve(&self, hops: &[Hop]) -> Vec<Vec<Way>> {
        hops.iter().map(|hop| self.hop(hop, &mut Vec::new())).collect()
    }

    fn hop(&self, hop: &Hop, chain: &mut Vec<Ipv4Net>) -> Vec<Way> {
        let share = u64::from(hop.weight) * ONE;
        let direct = |interface| vec![Way { interface, gateway: hop.gateway, share }];
        match hop.interface {
            Some(interface) if self.adjacencies.is_up(interface) => direct(interface),
            Some(_) => Vec::new(),
            None => match self.gateway(hop.gateway, chain) {
                Found::Connected(interface) => direct(interface),
                Found::Through(ways) => {
                    let all = ways.iter().map(|way| way.share).sum::<u64>().max(1);
                    let part = |way: Way| Way { share: (share * way.share / all).max(1), ..way };
                    ways.into_iter().map(part).collect()
                }
                Found::Nothing => Vec::new(),
            },
        }
    }

    /// The most specific usable route to a gateway, past those in `chain`: a route can't resolve through itself.
    fn gateway(&self, gateway: Ipv4Addr, chain: &mut Vec<Ipv4Net>) -> Found {
        if chain.len() >= MAX_DEPTH {
            return Found::Nothing;
        }
        let covering = (0..=32).rev().filter_map(|len| Ipv4Net::new(gateway, len).ok()).map(|net| net.trunc());
        for prefix in covering.filter(|prefix| !chain.contains(prefix)).collect::<Vec<_>>() {
            // Host routes of neighbours say nothing about where a gateway is that the connected route doesn't.
            for known in self.rib.known(prefix).filter(|known| !known.is_neighbor()) {
                let hops = match known {
                    Known::Own(candidate) => match &candidate.path {
                        Path::Glean(interface) if self.adjacencies.is_up(*interface) => {
                            return Found::Connected(*interface);
                        }
                        Path::Via(hops) => hops,
                        Path::Glean(i) | Path::Local(i) | Path::Broadcast(i) if !self.adjacencies.is_up(*i) => continue,
                        // The router itself, or a route that drops, is no way to a gateway.
                        _ => return Found::Nothing,
                    },
                    Known::Told(_, lead) => match lead.group().and_then(|number| self.groups.get(number)) {
                        Some(group) => &group.hops,
                        None => return Found::Nothing,
                    },
                };
                chain.push(prefix);
                let ways: Vec<Way> = hops.iter().flat_map(|hop| self.hop(hop, chain)).collect();
                chain.pop();
                if !ways.is_empty() {
                    return Found::Through(ways);
                }
            }
        }
        Found::Nothing
    }
}

enum Found {
    Connected(u32),
    Through(Vec<Way>),
    Nothing,
}

/// The ways, each neighbour once, with weights as small as they can be.
pub fn weigh(ways: impl Iterator<Item = Way>) -> Vec<Weighed> {
    let mut shares: BTreeMap<(u32, Ipv4Addr), u64> = BTreeMap::new();
    for way in ways {
        *shares.entry((way.interface, way.gateway)).or_default() += way.share;
    }
    let divisor = shares.values().fold(0, |a, b| gcd(a, *b)).max(1);
    let largest = shares.values().max().map_or(1, |share| share / divisor);
    let weight = |share: u64| {
        let exact = share / divisor;
        let fits = if largest > u64::from(u16::MAX) { exact * u64::from(u16::MAX) / largest } else { exact };
        u16::try_from(fits).unwrap_or(u16::MAX).max(1)
    };
    shares.into_iter().map(|((interface, gateway), share)| (interface, gateway, weight(share))).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
