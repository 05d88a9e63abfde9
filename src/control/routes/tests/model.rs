//! Routes against an obvious model of them: a list that is searched from end to end for every answer.

use super::*;
use crate::control::routes::update::Session;
use ipnet::Ipv4Net;
use std::collections::BTreeSet;

/// Where packets come out: `via INTERFACE GATEWAY`, a word for what drops or is local, `none` without a route.
type Ends = BTreeSet<String>;

/// Tables, next hops or routes that may follow each other.
const DEPTH: usize = 8;

#[derive(Clone, Debug)]
enum To {
    Via(Vec<(Ipv4Addr, Option<u32>)>),
    Glean(u32),
    Local(u32),
    Blackhole,
    Next(u32),
}

#[derive(Clone, Debug)]
struct Route {
    table: u32,
    prefix: Ipv4Net,
    /// 0 connected, 1 static, then what daemons tell.
    origin: usize,
    to: To,
}

#[derive(Clone, Debug, Default)]
struct Model {
    routes: Vec<Route>,
    up: BTreeSet<u32>,
}

impl Model {
    fn set(&mut self, route: Route) {
        self.unset(route.table, route.prefix, route.origin);
        self.routes.push(route);
        self.routes.sort_by_key(|route| (std::cmp::Reverse(route.prefix.prefix_len()), route.origin));
    }

    fn unset(&mut self, table: u32, prefix: Ipv4Net, origin: usize) -> bool {
        let before = self.routes.len();
        self.routes.retain(|r| (r.table, r.prefix, r.origin) != (table, prefix, origin));
        self.routes.len() < before
    }

    /// All routes to an address, the best first.
    fn covering(&self, table: u32, address: Ipv4Addr) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(move |r| r.table == table && r.prefix.contains(&address))
    }

    fn ends(&self, table: u32, address: Ipv4Addr, depth: usize) -> Ends {
        let none = || Ends::from(["none".to_owned()]);
        self.covering(table, address).find_map(|route| self.ends_of(route, address, depth)).unwrap_or_else(none)
    }

    /// `None` if it does not work.
    fn ends_of(&self, route: &Route, address: Ipv4Addr, depth: usize) -> Option<Ends> {
        let one = |text: &str| Some(Ends::from([text.to_owned()]));
        match &route.to {
            To::Via(hops) => {
                let ways = self.ways(route.table, hops, &mut Vec::new());
                (!ways.is_empty()).then(|| ways.into_iter().map(|(i, gateway)| format!("via {i} {gateway}")).collect())
            }
            To::Glean(i) => self.up.contains(i).then(|| Ends::from([format!("glean {i}")])),
            To::Local(i) if !self.up.contains(i) => None,
            To::Local(_) => one("local"),
            To::Blackhole => one("blackhole"),
            To::Next(_) if depth == DEPTH => one("loop"),
            To::Next(table) => Some(self.ends(*table, address, depth + 1)),
        }
    }

    fn ways(&self, table: u32, hops: &[(Ipv4Addr, Option<u32>)], past: &mut Vec<Ipv4Net>) -> BTreeSet<(u32, Ipv4Addr)> {
        let hop = |(gateway, interface): &(Ipv4Addr, Option<u32>)| match interface {
            Some(i) => self.up.iter().filter(|up| *up == i).map(|i| (*i, *gateway)).collect(),
            None => self.behind(table, *gateway, past),
        };
        hops.iter().flat_map(hop).collect()
    }

    fn behind(&self, table: u32, gateway: Ipv4Addr, past: &mut Vec<Ipv4Net>) -> BTreeSet<(u32, Ipv4Addr)> {
        if past.len() == DEPTH {
            return BTreeSet::new();
        }
        for route in self.covering(table, gateway).collect::<Vec<_>>() {
            if past.contains(&route.prefix) {
                continue;
            }
            match &route.to {
                To::Glean(i) if self.up.contains(i) => return BTreeSet::from([(*i, gateway)]),
                To::Glean(_) => continue,
                To::Local(i) if !self.up.contains(i) => continue,
                To::Local(_) | To::Blackhole | To::Next(_) => return BTreeSet::new(),
                To::Via(hops) => {
                    past.push(route.prefix);
                    let ways = self.ways(table, hops, past);
                    past.pop();
                    if !ways.is_empty() {
                        return ways;
                    }
                }
            }
        }
        BTreeSet::new()
    }
}

/// What the forwarding plane does.
fn seen(routes: &Routes, table: u32, to: IpAddr, depth: usize) -> Ends {
    let me = domain().register();
    let guard = me.guard();
    let forwarding = &routes.forwarding;
    let value = match to {
        IpAddr::V4(to) => forwarding.fibs.get(table, &guard).unwrap().lookup(&guard, to.to_bits()),
        IpAddr::V6(to) => forwarding.fibs6.get(table, &guard).unwrap().lookup(&guard, to.to_bits()),
    };
    let mut ends = Ends::new();
    let mut open = vec![Target::from_u32(value)];
    while let Some(target) = open.pop() {
        let index = match target {
            Target::LoadBalance(index) => {
                let balance = forwarding.load_balances.get(index, &guard).unwrap();
                open.extend(balance.buckets().iter().map(|index| Target::Adjacency(*index)));
                continue;
            }
            Target::Adjacency(index) => index,
        };
        let adjacency = forwarding.adjacencies.get(index, &guard).unwrap();
        match adjacency.kind {
            AdjacencyKind::Drop => ends.extend(["none".to_owned()]),
            AdjacencyKind::Blackhole => ends.extend(["blackhole".to_owned()]),
            AdjacencyKind::Local => ends.extend(["local".to_owned()]),
            AdjacencyKind::Glean => ends.extend([format!("glean {}", adjacency.interface)]),
            AdjacencyKind::Arp => {
                ends.extend([format!("via {} {}", adjacency.interface, made_of(adjacency.next_hop))]);
            }
            AdjacencyKind::Balance => open.push(Target::LoadBalance(adjacency.index)),
            AdjacencyKind::Table if depth == DEPTH => ends.extend(["loop".to_owned()]),
            AdjacencyKind::Table => ends.extend(seen(routes, adjacency.index, to, depth + 1)),
            other => panic!("{other:?}"),
        }
    }
    ends
}

struct World {
    routes: Routes,
    model: Model,
    /// Of each table, by origin from 2 on.
    sessions: Vec<[Session; 2]>,
    random: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let mut routes = routes();
        let blue = routes.add_table().unwrap();
        assert_eq!(blue, 1);
        for table in routes.vrfs.values_mut() {
            // Small pieces, to look in between.
            (table.four.walk.step, table.six.walk.step) = (5, 5);
        }
        let sessions = [0, blue].map(|table| ["bgp", "ospf"].map(|name| routes.open(table, name, 20).unwrap()));
        let mut world = World {
            routes,
            model: Model::default(),
            sessions: sessions.to_vec(),
            random: seed.wrapping_mul(0x9e37_79b9),
        };
        for (interface, subnet, own) in [(WAN, "203.0.113.0/24", "203.0.113.1"), (LAN, "192.168.1.0/24", "192.168.1.1")]
        {
            world.model.up.insert(interface);
            for (prefix, to) in [(subnet.to_owned(), To::Glean(interface)), (format!("{own}/32"), To::Local(interface))]
            {
                world.model.set(Route { table: 0, prefix: prefix.parse().unwrap(), origin: 0, to });
            }
        }
        world
    }

    fn below(&mut self, n: u32) -> u32 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.random >> 33) % u64::from(n)) as u32
    }

    fn address(&mut self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.below(4) as u8 * 64, self.below(3) as u8, self.below(3) as u8)
    }

    fn gateway(&mut self) -> (Ipv4Addr, Option<u32>) {
        match self.below(12) {
            0 => (Ipv4Addr::new(203, 0, 113, 1), None),
            1 => (Ipv4Addr::new(198, 18, 0, 9), Some(WAN + self.below(2))),
            2 => (Ipv4Addr::new(203, 0, 113, 9 + self.below(3) as u8), None),
            3..9 => (Ipv4Addr::new(192, 168, 1, 9 + self.below(3) as u8), None),
            _ => (self.address(), None),
        }
    }

    fn path(to: &To) -> Path {
        let hop = |(gateway, interface): &(Ipv4Addr, Option<u32>)| Hop {
            gateway: ip(&gateway.to_string()),
            interface: *interface,
            weight: 1,
        };
        match to {
            To::Via(hops) => Path::Via(hops.iter().map(hop).collect()),
            To::Next(table) => Path::NextVrf(*table),
            _ => Path::Blackhole,
        }
    }

    /// One change.
    fn change(&mut self) -> String {
        if self.below(6) == 0 {
            let interface = WAN + self.below(2);
            let up = !self.model.up.contains(&interface);
            if up {
                self.model.up.insert(interface)
            } else {
                self.model.up.remove(&interface)
            };
            self.routes.set_link(interface, link(up)).unwrap();
            return format!("interface {interface} up {up}");
        }
        let len = [0, 8, 10, 16, 23, 24, 31, 32][self.below(8) as usize];
        let (table, prefix) = (self.below(4) / 3, Ipv4Net::new(self.address(), len).unwrap().trunc());
        let (origin, at) = (1 + self.below(3) as usize, net(&prefix.to_string()));
        let session = origin.checked_sub(2).map(|origin| self.sessions[table as usize][origin]);
        if self.below(3) == 0 {
            let was = self.model.unset(table, prefix, origin);
            let done = match session {
                None => self.routes.unset(table, at, STATIC),
                Some(session) => self.routes.update(session).unwrap().unset(at).is_ok(),
            };
            assert_eq!(was, done);
            return format!("{table} {prefix} {origin} goes");
        }
        let to = match self.below(8) {
            0 => To::Blackhole,
            1 => To::Next(1 - table),
            2 | 3 => To::Via(vec![self.gateway()]),
            _ => To::Via((0..2 + self.below(2)).map(|_| self.gateway()).collect()),
        };
        match session {
            None => self.routes.set(table, at, STATIC, World::path(&to)).unwrap(),
            Some(session) => {
                let mut update = self.routes.update(session).unwrap();
                let lead = update.lead(&World::path(&to)).unwrap();
                update.set(at, lead, false).unwrap();
                update.release(lead);
            }
        }
        let text = format!("{table} {prefix} {origin} {to:?}");
        self.model.set(Route { table, prefix, origin, to });
        text
    }
}

#[test]
fn forwarding_agrees_with_the_model_at_every_step() {
    both(|| {
        for seed in 0..4 {
            let mut world = World::new(seed);
            let mut asked: Vec<(u32, Ipv4Addr)> = (0..24).map(|n| (n % 4 / 3, world.address())).collect();
            asked.extend([(0, [203, 0, 113, 9]), (0, [8, 8, 8, 8]), (1, [8, 8, 8, 8])].map(|(t, a)| (t, a.into())));
            let mut changes = Vec::new();
            for _ in 0..150 {
                let old = world.model.clone();
                changes.push(world.change());
                loop {
                    let done = !world.routes.has_work();
                    for (table, to) in &asked {
                        let got = seen(&world.routes, *table, ip(&to.to_string()), 0);
                        let new = world.model.ends(*table, *to, 0);
                        // Meanwhile, packets are dropped or go where some route leads that works.
                        let may = || {
                            let on_the_way = world.model.covering(*table, *to);
                            let on_the_way = on_the_way.filter_map(|route| world.model.ends_of(route, *to, 0));
                            let into_others = world.model.routes.iter().any(|route| matches!(route.to, To::Next(_)));
                            let none = Ends::from(["none".to_owned()]);
                            let all = [none, old.ends(*table, *to, 0)].into_iter().chain(on_the_way);
                            into_others || all.collect::<Vec<_>>().contains(&got)
                        };
                        // Of many ways, one may be due less than a bucket.
                        let same = got == new || (new.len() > 2 && !got.is_empty() && got.is_subset(&new));
                        assert!(
                            same || (!done && may()),
                            "seed {seed} {:?}: {table} {to} goes {got:?}, should {new:?} after {changes:?} with {:#?} {:?}",
                            FAMILY.get(),
                            world.model.routes,
                            world.routes.resolved(*table, ip(&to.to_string())),
                        );
                    }
                    if done {
                        break;
                    }
                    world.routes.work();
                }
            }
            // Nothing is left behind.
            for (table, sessions) in (0..).zip(world.sessions.clone()) {
                for session in sessions {
                    world.routes.begin(session).unwrap();
                    assert_eq!(world.routes.sweep(session, None, usize::MAX).unwrap().next, None);
                }
                for route in world.model.routes.iter().filter(|r| r.table == table && r.origin == 1) {
                    assert!(world.routes.unset(table, net(&route.prefix.to_string()), STATIC));
                }
            }
            while world.routes.work() {}
            assert!(world.routes.vrfs.values().all(|vrf| vrf.groups.count() == 0));
            assert_eq!((world.routes.balances(), world.routes.adjacencies().count()), (0, 6 + 2));
            assert_eq!((world.routes.count(0, FAMILY.get()), world.routes.count(1, FAMILY.get())), (4, 0));
        }
    });
}
