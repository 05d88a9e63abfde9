//! Routes as listings show them, and how packets to an address are sent.

use super::path::{Hop, Path};
use super::resolve::{Found, Resolver};
use super::rib::Known;
use super::table::Table;
use super::vrf::Vrf;
use super::{Family, Origin, Routes};
use ipnet::IpNet;
use millrace_engine::epoch::{Guard, domain};
use millrace_tables::adjacency::{Adjacency, AdjacencyKind};
use millrace_tables::fib::Target;
use millrace_tables::lpm::Address;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

/// Tables and load-balances that a packet may pass through.
const MAX_STEPS: usize = 8;

/// A route in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The word for its origin.
    pub origin: &'a str,
    /// Where it leads.
    pub path: Path,
}

/// How many routes of a family a table has. Those of the table itself (broadcast, multicast, link-local) and host routes of
/// neighbours don't count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Prefixes, used or not.
    pub prefixes: usize,
    /// How many prefixes there are of each length that there are any of, shortest first.
    pub by_length: Vec<(u8, usize)>,
    /// How many routes there are of each origin that has any, the best first; a prefix may have one of each.
    pub by_origin: Vec<(String, usize)>,
}

/// One step from an address to the wire. What a step leads to follows it, one level deeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// 0 for the first.
    pub depth: usize,
    /// What there is.
    pub what: What,
}

/// See [`Step`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The route that decides, in a table.
    Route {
        /// The table's number.
        table: u32,
        /// Its prefix.
        prefix: IpNet,
        /// The word for its origin.
        origin: String,
        /// Where it leads.
        path: Path,
    },
    /// One of its next hops.
    Hop {
        /// As the route says it.
        hop: Hop,
        /// The interface by which it is reached, or would be.
        interface: Option<u32>,
        /// Whether packets can go there now.
        reachable: bool,
    },
    /// Flows are shared out over a load-balance: adjacencies, with how many of the buckets each has.
    Balance {
        /// Its index.
        index: u32,
        /// In order of the first bucket.
        buckets: Vec<(u32, usize)>,
    },
    /// One way that packets may end.
    Adjacency {
        /// Its index.
        index: u32,
        /// What it does.
        adjacency: Adjacency,
    },
}

impl<'a> Shown<'a> {
    /// `None` for host routes of neighbours.
    fn of(known: Known<'a>, vrf: &'a Vrf) -> Option<Shown<'a>> {
        Some(match known {
            Known::Own(candidate) if candidate.origin == Origin::Neighbor => return None,
            Known::Own(candidate) => Shown { origin: candidate.origin.as_str(), path: candidate.path.clone() },
            Known::Told(at, lead) => Shown { origin: &vrf.learned.get(at)?.name, path: lead.path(&vrf.groups)? },
        })
    }
}

/// Does something with the table of an address's or prefix's family.
macro_rules! by_family {
    ($vrf:expr, $what:expr, $kind:ident, |$table:ident, $found:ident| $do:expr) => {
        match $what {
            $kind::V4($found) => {
                let $table = &$vrf.four;
                $do
            }
            $kind::V6($found) => {
                let $table = &$vrf.six;
                $do
            }
        }
    };
}

impl Routes {
    /// The routes of a table from there on, those of IPv4 first, then those of IPv6 (which begin at `::/0`), in order of address
    /// and length: the one that is used, or would be if it worked; host routes of neighbours are left out. O(log routes) to begin,
    /// the same for each.
    pub fn list(&self, table: u32, from: Bound<IpNet>) -> impl Iterator<Item = (IpNet, Shown<'_>)> {
        let (four, six) = match from {
            Bound::Unbounded => (Some(Bound::Unbounded), Bound::Unbounded),
            Bound::Included(IpNet::V4(net)) => (Some(Bound::Included(net)), Bound::Unbounded),
            Bound::Excluded(IpNet::V4(net)) => (Some(Bound::Excluded(net)), Bound::Unbounded),
            Bound::Included(IpNet::V6(net)) => (None, Bound::Included(net)),
            Bound::Excluded(IpNet::V6(net)) => (None, Bound::Excluded(net)),
        };
        self.vrfs.get(&table).into_iter().flat_map(move |vrf| {
            let four = four.map(|from| self.shown_from(vrf, &vrf.four, from));
            four.into_iter().flatten().chain(self.shown_from(vrf, &vrf.six, six))
        })
    }

    fn shown_from<'a, A: Address>(
        &'a self,
        vrf: &'a Vrf,
        table: &'a Table<A>,
        from: Bound<A::Net>,
    ) -> impl Iterator<Item = (IpNet, Shown<'a>)> {
        let shown = move |prefix: A::Net| Some((prefix.into(), self.shown(vrf, table, prefix)?));
        table.rib.prefixes(from).filter_map(shown)
    }

    /// One route of a table, as [`list`](Self::list) would show it.
    pub fn get(&self, table: u32, prefix: IpNet) -> Option<Shown<'_>> {
        let vrf = self.vrfs.get(&table)?;
        by_family!(vrf, prefix, IpNet, |table, prefix| self.shown(vrf, table, prefix))
    }

    fn shown<'a, A: Address>(&'a self, vrf: &'a Vrf, table: &'a Table<A>, prefix: A::Net) -> Option<Shown<'a>> {
        let best = table.best(prefix, &vrf.groups, &self.adjacencies).map(|(known, _)| known);
        Shown::of(best.or_else(|| table.rib.known(prefix).next())?, vrf)
    }

    /// The route that packets to an address take, past host routes of neighbours.
    pub fn match_shown(&self, table: u32, address: IpAddr) -> Option<(IpNet, Shown<'_>)> {
        let vrf = self.vrfs.get(&table)?;
        match address {
            IpAddr::V4(address) => self.match_in(vrf, &vrf.four, address.to_bits()),
            IpAddr::V6(address) => self.match_in(vrf, &vrf.six, address.to_bits()),
        }
    }

    fn match_in<'a, A: Address>(&'a self, vrf: &'a Vrf, table: &'a Table<A>, at: A) -> Option<(IpNet, Shown<'a>)> {
        let (longest, _) = table.longest_match(at)?;
        table.rib.lengths().filter(|len| *len <= A::len(longest)).find_map(|len| {
            let prefix = at.net(len);
            let (known, _) = table.best(prefix, &vrf.groups, &self.adjacencies)?;
            Some((prefix.into(), Shown::of(known, vrf)?))
        })
    }

    /// The interface that each next hop of a listed route is reached by.
    pub fn interfaces(&self, table: u32, hops: &Arc<[Hop]>) -> Vec<Option<u32>> {
        let group = self.vrfs.get(&table).and_then(|vrf| vrf.groups.get(vrf.groups.number(hops)?));
        let Some(group) = group else { return vec![None; hops.len()] };
        group.ways.iter().map(|ways| ways.iter().find(|way| way.up).map(|way| way.interface)).collect()
    }

    /// Where packets to an address go first.
    pub fn lookup(&self, table: u32, address: IpAddr) -> Option<Target> {
        let vrf = self.vrfs.get(&table)?;
        match address {
            IpAddr::V4(address) => vrf.four.longest_match(address.to_bits()).map(|(_, target)| target),
            IpAddr::V6(address) => vrf.six.longest_match(address.to_bits()).map(|(_, target)| target),
        }
    }

    /// The interface by which packets to an address leave, those of one flow at least; `None` when they don't.
    pub fn way_out(&self, table: u32, address: IpAddr) -> Option<u32> {
        let me = domain().register();
        let guard = me.guard();
        let mut target = self.lookup(table, address)?;
        for _ in 0..MAX_STEPS {
            let index = match target {
                Target::Adjacency(index) => index,
                Target::LoadBalance(index) => self.forwarding.load_balances.get(index, &guard)?.pick(0),
            };
            let adjacency = self.forwarding.adjacencies.get(index, &guard)?;
            target = match adjacency.kind {
                AdjacencyKind::Balance => Target::LoadBalance(adjacency.index),
                AdjacencyKind::Table => self.lookup(adjacency.index, address)?,
                _ => return (adjacency.interface != 0).then_some(adjacency.interface),
            };
        }
        None
    }

    /// How packets to an address are sent, from the route that decides down to the adjacencies. Nothing if there is no route.
    pub fn resolved(&self, table: u32, address: IpAddr) -> Vec<Step> {
        let mut steps = Vec::new();
        let me = domain().register();
        self.resolve_to(table, address, 0, &me.guard(), &mut steps);
        steps
    }

    fn resolve_to(&self, table: u32, address: IpAddr, depth: usize, guard: &Guard<'_>, steps: &mut Vec<Step>) {
        let (Some(vrf), Some((prefix, shown))) = (self.vrfs.get(&table), self.match_shown(table, address)) else {
            return;
        };
        let hops = match &shown.path {
            Path::Via(hops) => Some(Arc::clone(hops)),
            _ => None,
        };
        let origin = shown.origin.to_owned();
        steps.push(Step { depth, what: What::Route { table, prefix, origin, path: shown.path } });
        for hop in hops.iter().flat_map(|hops| hops.iter()) {
            by_family!(vrf, prefix, IpNet, |table_of_family, prefix| {
                let mut chain = vec![prefix];
                self.resolve_hop(table, vrf, table_of_family, hop, depth + 1, &mut chain, steps);
            });
        }
        let target = self.lookup(table, address);
        self.resolve_target(target, address, depth + 1, guard, steps);
    }

    /// One next hop, and the route by which it is reached.
    #[expect(clippy::too_many_arguments, reason = "where, what, how deep, and past what")]
    fn resolve_hop<A: Address>(
        &self,
        number: u32,
        vrf: &Vrf,
        table: &Table<A>,
        hop: &Hop,
        depth: usize,
        chain: &mut Vec<A::Net>,
        steps: &mut Vec<Step>,
    ) {
        let mut resolver = Resolver::new(&table.rib, &vrf.groups, &self.adjacencies);
        let (interface, reachable, through) = match (hop.interface, A::of_ip(hop.gateway)) {
            (Some(interface), _) => (Some(interface), self.adjacencies.is_up(interface), None),
            (None, None) => (None, false, None),
            // A set's next hops don't depend on which route has it.
            (None, Some(gateway)) => match resolver.gateway(gateway, &mut Vec::new()) {
                Found::Connected(prefix, interface) => (Some(interface), true, Some(prefix)),
                Found::Through(prefix, ways) => {
                    (ways.iter().find(|way| way.up).map(|way| way.interface), true, Some(prefix))
                }
                Found::Nothing => (None, false, None),
            },
        };
        steps.push(Step { depth, what: What::Hop { hop: *hop, interface, reachable } });
        let Some(prefix) = through.filter(|prefix| !chain.contains(prefix) && chain.len() < MAX_STEPS) else { return };
        let Some(shown) = self.shown(vrf, table, prefix) else { return };
        let hops = match &shown.path {
            Path::Via(hops) => Some(Arc::clone(hops)),
            _ => None,
        };
        let origin = shown.origin.to_owned();
        let what = What::Route { table: number, prefix: prefix.into(), origin, path: shown.path };
        steps.push(Step { depth: depth + 1, what });
        chain.push(prefix);
        for hop in hops.iter().flat_map(|hops| hops.iter()) {
            self.resolve_hop(number, vrf, table, hop, depth + 2, chain, steps);
        }
        chain.pop();
    }

    /// What the forwarding plane does.
    fn resolve_target(
        &self,
        target: Option<Target>,
        address: IpAddr,
        depth: usize,
        guard: &Guard<'_>,
        steps: &mut Vec<Step>,
    ) {
        match target {
            None => {}
            Some(_) if depth > 2 * MAX_STEPS => {}
            Some(Target::LoadBalance(index)) => {
                let mut buckets: Vec<(u32, usize)> = Vec::new();
                let all = self.forwarding.load_balances.get(index, guard).map_or(&[][..], |balance| balance.buckets());
                for adjacency in all {
                    match buckets.iter_mut().find(|(a, _)| a == adjacency) {
                        Some((_, count)) => *count += 1,
                        None => buckets.push((*adjacency, 1)),
                    }
                }
                let ways: Vec<u32> = buckets.iter().map(|(adjacency, _)| *adjacency).collect();
                steps.push(Step { depth, what: What::Balance { index, buckets } });
                for adjacency in ways {
                    self.resolve_target(Some(Target::Adjacency(adjacency)), address, depth + 1, guard, steps);
                }
            }
            Some(Target::Adjacency(index)) => {
                let Some(adjacency) = self.forwarding.adjacencies.get(index, guard).copied() else { return };
                steps.push(Step { depth, what: What::Adjacency { index, adjacency } });
                match adjacency.kind {
                    AdjacencyKind::Balance => {
                        let balance = Target::LoadBalance(adjacency.index);
                        self.resolve_target(Some(balance), address, depth + 1, guard, steps);
                    }
                    AdjacencyKind::Table if depth < MAX_STEPS => {
                        self.resolve_to(adjacency.index, address, depth + 1, guard, steps);
                    }
                    _ => {}
                }
            }
        }
    }

    /// How many routes of a family a table has, as [`Summary::prefixes`]. O(1).
    pub fn count(&self, table: u32, family: Family) -> usize {
        self.shown_by_length(table, family).map(|(_, count)| count).sum()
    }

    fn shown_by_length(&self, table: u32, family: Family) -> impl Iterator<Item = (u8, usize)> + '_ {
        let shown = self.vrfs.get(&table).map(|vrf| match family {
            Family::Ip4 => &vrf.four.shown,
            Family::Ip6 => &vrf.six.shown,
        });
        (0..=u8::MAX).zip(shown.into_iter().flatten()).map(|(len, count)| (len, *count as usize))
    }

    /// How many routes of which kind a table has. O(lengths + origins).
    pub fn summary(&self, table: u32, family: Family) -> Summary {
        let Some(vrf) = self.vrfs.get(&table) else { return Summary::default() };
        let (own, told): (_, Vec<usize>) = match family {
            Family::Ip4 => (&vrf.four.own, vrf.four.rib.learned.iter().map(|routes| routes.len()).collect()),
            Family::Ip6 => (&vrf.six.own, vrf.six.rib.learned.iter().map(|routes| routes.len()).collect()),
        };
        let own = Origin::ALL.iter().zip(own).map(|(origin, count)| (origin.as_str().to_owned(), *count));
        let told = vrf.learned.iter().zip(told).map(|(origin, count)| (origin.name.to_string(), count));
        Summary {
            prefixes: self.count(table, family),
            by_length: self.shown_by_length(table, family).filter(|(_, count)| *count > 0).collect(),
            by_origin: own.chain(told).filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// Bytes that a forwarding table takes. O(1).
    pub fn memory_bytes(&self, table: u32, family: Family) -> usize {
        self.vrfs.get(&table).map_or(0, |vrf| match family {
            Family::Ip4 => vrf.four.memory_bytes(),
            Family::Ip6 => vrf.six.memory_bytes(),
        })
    }

    /// How many load-balances there are. O(1).
    pub fn balances(&self) -> usize {
        self.balances.count()
    }
}
