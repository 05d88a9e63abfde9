//! Routes of routing daemons.

use super::*;
use crate::control::routes::update::{Refusal, Session, SessionError, Sweep, Update};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};

fn set(update: &mut Update<'_>, prefix: &str, path: &Path, must_be_new: bool) -> Result<(), Refusal> {
    let lead = update.lead(path).unwrap();
    let done = update.set(net(prefix), lead, must_be_new);
    update.release(lead);
    done
}

fn add(routes: &mut Routes, session: Session, prefix: &str, path: &Path) -> Result<(), Refusal> {
    set(&mut routes.update(session).unwrap(), prefix, path, true)
}

fn replace(routes: &mut Routes, session: Session, prefix: &str, path: &Path) {
    set(&mut routes.update(session).unwrap(), prefix, path, false).unwrap();
}

fn remove(routes: &mut Routes, session: Session, prefix: &str) -> Result<(), Refusal> {
    routes.update(session).unwrap().unset(net(prefix))
}

fn origin<'a>(routes: &'a Routes, prefix: &str) -> Option<&'a str> {
    routes.get(0, net(prefix)).map(|shown| shown.origin)
}

/// Takes out what was not named, two routes at a time; how many went.
fn sweep(routes: &mut Routes, session: Session) -> usize {
    let (mut swept, mut next) = (0, None);
    loop {
        let step = routes.sweep(session, next, 2).unwrap();
        swept += step.swept;
        next = step.next;
        if next.is_none() {
            return swept;
        }
    }
}

#[test]
fn distance_decides_between_origins() {
    both(|| {
        let mut routes = routes();
        let bgp = routes.open(0, "bgp", 20).unwrap();
        let ospf = routes.open(0, "ospf", 110).unwrap();
        let prefix = "198.51.100.0/24";
        add(&mut routes, ospf, prefix, &via(&["203.0.113.12"])).unwrap();
        assert_eq!(
            (gateways(&routes, "198.51.100.7"), origin(&routes, prefix)),
            (vec!["203.0.113.12".into()], Some("ospf"))
        );
        add(&mut routes, bgp, prefix, &via(&["203.0.113.11"])).unwrap();
        assert_eq!(
            (gateways(&routes, "198.51.100.7"), origin(&routes, prefix)),
            (vec!["203.0.113.11".into()], Some("bgp"))
        );
        routes.set(0, net(prefix), STATIC, Path::Blackhole).unwrap();
        assert_eq!(
            (kind(&routes, "198.51.100.7"), origin(&routes, prefix)),
            (AdjacencyKind::Blackhole, Some("static"))
        );
        let listed = routes.list(0, Bound::Included(net(prefix))).filter(|(p, _)| *p == net(prefix)).count();
        assert_eq!((listed, routes.count(0, FAMILY.get())), (1, 5), "with two connected networks and two addresses");
        assert!(routes.unset(0, net(prefix), STATIC));
        assert_eq!(gateways(&routes, "198.51.100.7"), ["203.0.113.11"]);
        // A route that leads nowhere just now is not used, and what is worse takes over.
        replace(&mut routes, bgp, prefix, &via(&["10.99.0.1"]));
        assert_eq!(
            (gateways(&routes, "198.51.100.7"), origin(&routes, prefix)),
            (vec!["203.0.113.12".into()], Some("ospf"))
        );
        remove(&mut routes, ospf, prefix).unwrap();
        assert_eq!((gateways(&routes, "198.51.100.7"), origin(&routes, prefix)), (Vec::<String>::new(), Some("bgp")));
        remove(&mut routes, bgp, prefix).unwrap();
        assert_eq!(origin(&routes, prefix), None);
        // Host routes of neighbours lose to everything.
        routes.neighbor_known(0, LAN, ip("192.168.1.9"), MacAddr([2, 0, 0, 0, 0, 9])).unwrap();
        add(&mut routes, ospf, "192.168.1.9/32", &Path::Prohibit).unwrap();
        assert_eq!(kind(&routes, "192.168.1.9"), AdjacencyKind::Prohibit);
        remove(&mut routes, ospf, "192.168.1.9/32").unwrap();
        assert_eq!(kind(&routes, "192.168.1.9"), AdjacencyKind::Rewrite);
        assert!(!routes.adjacencies().is_next_hop(WAN, ip("203.0.113.12")), "nothing is left behind");
    });
}

#[test]
fn what_is_refused() {
    let mut routes = routes();
    let name = |name: &str| SessionError::Name(name.to_owned());
    for (origin, distance, error) in [
        ("", 20, name("")),
        ("BGP", 20, name("BGP")),
        ("4bgp", 20, name("4bgp")),
        ("a-name-too-long1", 20, name("a-name-too-long1")),
        ("static", 20, SessionError::Reserved("static".to_owned())),
        ("bgp", 1, SessionError::Distance(1)),
        ("bgp", 255, SessionError::Distance(255)),
        ("bgp", 256 + 20, SessionError::Distance(256 + 20)),
    ] {
        assert_eq!(routes.open(0, origin, distance), Err(error));
    }
    assert_eq!(routes.open(7, "bgp", 20), Err(SessionError::Gone));
    let bgp = routes.open(0, "bgp", 20).unwrap();
    assert_eq!(routes.open(0, "bgp", 20), Err(SessionError::Busy("bgp".to_owned())));
    assert_eq!(add(&mut routes, bgp, "10.0.0.0/8", &Path::Blackhole), Ok(()));
    assert_eq!(add(&mut routes, bgp, "10.0.0.0/8", &Path::Prohibit), Err(Refusal::Exists));
    assert_eq!(kind(&routes, "10.1.1.1"), AdjacencyKind::Blackhole, "it is as it was");
    assert_eq!(remove(&mut routes, bgp, "11.0.0.0/8"), Err(Refusal::Missing));
    assert_eq!(routes.sweep(bgp, None, 9), Err(SessionError::NotBegun));
    routes.close(bgp);
    assert_eq!(routes.update(bgp).err(), Some(SessionError::Gone));
    assert_eq!(routes.open(0, "bgp", 200), Err(SessionError::OtherDistance("bgp".to_owned(), 20)));
    let bgp = routes.open(0, "bgp", 20).unwrap();
    remove(&mut routes, bgp, "10.0.0.0/8").unwrap();
    routes.close(bgp);
    assert!(routes.open(0, "bgp", 200).is_ok(), "without routes it is a new one");
}

#[test]
fn replacing_all_takes_out_what_is_not_named() {
    both(|| {
        let mut routes = routes();
        let bgp = routes.open(0, "bgp", 20).unwrap();
        for n in 0..7 {
            add(&mut routes, bgp, &format!("10.{n}.0.0/16"), &via(&["203.0.113.11"])).unwrap();
        }
        routes.begin(bgp).unwrap();
        assert_eq!(routes.begin(bgp), Err(SessionError::Begun));
        // The same as before, another next hop, a new one, and one that goes at once.
        add(&mut routes, bgp, "10.1.0.0/16", &via(&["203.0.113.11"])).unwrap();
        add(&mut routes, bgp, "10.4.0.0/16", &via(&["203.0.113.12"])).unwrap();
        add(&mut routes, bgp, "10.9.0.0/16", &Path::Unreachable).unwrap();
        remove(&mut routes, bgp, "10.6.0.0/16").unwrap();
        assert_eq!(add(&mut routes, bgp, "10.4.0.0/16", &Path::Blackhole), Err(Refusal::Exists), "named twice");
        assert_eq!(gateways(&routes, "10.0.0.1"), ["203.0.113.11"], "what isn't named works on");
        assert_eq!(gateways(&routes, "10.4.0.1"), ["203.0.113.12"]);
        assert_eq!(sweep(&mut routes, bgp), 4);
        assert_eq!(routes.sweep(bgp, None, 9), Err(SessionError::NotBegun));
        let left: Vec<_> = (0..10).filter(|n| origin(&routes, &format!("10.{n}.0.0/16")).is_some()).collect();
        assert_eq!((left, routes.told(bgp)), (vec![1, 4, 9], Ok(3)));
        routes.begin(bgp).unwrap();
        assert_eq!(sweep(&mut routes, bgp), 3);
        assert_eq!(routes.sweep(bgp, None, 9), Err(SessionError::NotBegun));
        assert!(!routes.adjacencies().is_next_hop(WAN, ip("203.0.113.11")));
    });
}

#[test]
fn who_goes_away_midway_leaves_the_old_routes() {
    both(|| {
        let mut routes = routes();
        let bgp = routes.open(0, "bgp", 20).unwrap();
        for n in 0..4 {
            add(&mut routes, bgp, &format!("10.{n}.0.0/16"), &via(&["203.0.113.11"])).unwrap();
        }
        routes.begin(bgp).unwrap();
        add(&mut routes, bgp, "10.1.0.0/16", &via(&["203.0.113.12"])).unwrap();
        routes.close(bgp);
        let again = routes.open(0, "bgp", 20).unwrap();
        assert_eq!(routes.told(again), Ok(4));
        assert_eq!(
            (gateways(&routes, "10.0.0.1"), gateways(&routes, "10.1.0.1")),
            (vec!["203.0.113.11".into()], vec!["203.0.113.12".into()])
        );
        // What was named then counts for nothing now.
        routes.begin(again).unwrap();
        add(&mut routes, again, "10.3.0.0/16", &via(&["203.0.113.11"])).unwrap();
        assert_eq!((sweep(&mut routes, again), routes.told(again)), (3, Ok(1)));
        assert_eq!(routes.sweep(bgp, None, 9), Err(SessionError::Gone), "the session before");
    });
}

#[test]
fn a_piece_of_the_sweep_looks_at_so_many_routes() {
    both(|| {
        let mut routes = routes();
        let bgp = routes.open(0, "bgp", 20).unwrap();
        for n in 0..5 {
            add(&mut routes, bgp, &format!("10.{n}.0.0/16"), &Path::Blackhole).unwrap();
        }
        routes.begin(bgp).unwrap();
        let next = Some(net("10.3.0.0/16"));
        assert_eq!(routes.sweep(bgp, None, 3), Ok(Sweep { swept: 3, next }));
        assert_eq!(routes.sweep(bgp, next, 3), Ok(Sweep { swept: 2, next: None }));
    });
}

#[test]
fn next_hops_resolve_through_told_routes_at_the_end_of_each_piece() {
    both(|| {
        let mut routes = routes();
        let (bgp, ospf) = (routes.open(0, "bgp", 200).unwrap(), routes.open(0, "ospf", 110).unwrap());
        routes.set(0, net("12.0.0.0/8"), STATIC, via(&["172.16.0.1"])).unwrap();
        add(&mut routes, bgp, "11.0.0.0/8", &via(&["172.16.0.1"])).unwrap();
        assert_eq!(gateways(&routes, "11.0.0.1"), [""; 0]);
        {
            let mut update = routes.update(ospf).unwrap();
            set(&mut update, "172.16.0.0/12", &via(&["203.0.113.11"]), true).unwrap();
            set(&mut update, "172.16.0.0/16", &via(&["203.0.113.12"]), true).unwrap();
        }
        for to in ["11.0.0.1", "12.0.0.1"] {
            assert_eq!(gateways(&routes, to), ["203.0.113.12"]);
        }
        remove(&mut routes, ospf, "172.16.0.0/16").unwrap();
        assert_eq!(gateways(&routes, "11.0.0.1"), ["203.0.113.11"]);
        replace(&mut routes, ospf, "172.16.0.0/12", &Path::Blackhole);
        assert_eq!(gateways(&routes, "11.0.0.1"), [""; 0], "what drops is no way to a gateway");
    });
}

#[test]
fn interfaces_and_tables_go_under_told_routes() {
    both(|| {
        let mut routes = routes();
        let blue = routes.add_table().unwrap();
        let bgp = routes.open(0, "bgp", 20).unwrap();
        let hop = |interface| Path::Via([on("192.168.1.9", interface)].into());
        add(&mut routes, bgp, "10.0.0.0/8", &hop(LAN)).unwrap();
        assert_eq!(gateways(&routes, "10.1.1.1"), ["192.168.1.9"]);
        routes.remove_link(LAN);
        assert_eq!(gateways(&routes, "10.1.1.1"), [""; 0]);
        // Another interface gets the number.
        routes.set_link(LAN, link(true)).unwrap();
        assert_eq!(gateways(&routes, "10.1.1.1"), [""; 0]);
        add(&mut routes, bgp, "11.0.0.0/8", &hop(LAN)).unwrap();
        assert_eq!(gateways(&routes, "11.1.1.1"), ["192.168.1.9"]);
        remove(&mut routes, bgp, "10.0.0.0/8").unwrap();
        assert_eq!(gateways(&routes, "11.1.1.1"), ["192.168.1.9"]);

        let other = routes.open(blue, "bgp", 20).unwrap();
        add(&mut routes, other, "10.0.0.0/8", &hop(WAN)).unwrap();
        assert!(routes.adjacencies().is_next_hop(WAN, ip("192.168.1.9")));
        routes.remove_table(blue);
        assert!(!routes.adjacencies().is_next_hop(WAN, ip("192.168.1.9")));
        assert_eq!(routes.add_table().unwrap_or(blue), blue + 1, "the number waits for readers, or comes again");
        assert_eq!(routes.update(other).err(), Some(SessionError::Gone));
    });
}

/// Random changes by four origins, against a list of all routes that is searched from end to end.
#[test]
fn random_changes_agree_with_a_slow_table() {
    both(|| {
        let mut routes = routes();
        let mut random = 1_u64;
        let mut below = |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % n
        };
        // By preference: the configuration, then the daemons.
        let sessions = [("bgp", 20), ("ospf", 110), ("rip", 120)].map(|(name, d)| routes.open(0, name, d).unwrap());
        let paths: Vec<_> = (1..=9).map(|n| via(&[&format!("203.0.113.{}", 10 + n)])).collect();
        let mut slow: BTreeMap<(usize, Ipv4Net), usize> = BTreeMap::new();
        for round in 0..6000 {
            let prefix =
                Ipv4Net::new((0x0a00_0000 + below(1 << 12) as u32).into(), 20 + below(13) as u8).unwrap().trunc();
            let (origin, path) = (below(4) as usize, below(9) as usize);
            let adds = below(3) > 0;
            let done = match (origin.checked_sub(1).map(|n| sessions[n]), adds) {
                (None, true) => routes.set(0, net(&prefix.to_string()), STATIC, paths[path].clone()).is_ok(),
                (None, false) => routes.unset(0, net(&prefix.to_string()), STATIC),
                (Some(session), true) => {
                    let must_be_new = below(2) == 0;
                    let done =
                        set(&mut routes.update(session).unwrap(), &prefix.to_string(), &paths[path], must_be_new);
                    assert_eq!(done.is_err(), must_be_new && slow.contains_key(&(origin, prefix)));
                    done.is_ok()
                }
                (Some(session), false) => remove(&mut routes, session, &prefix.to_string()).is_ok(),
            };
            match adds {
                true if done => drop(slow.insert((origin, prefix), path)),
                true => {}
                false => assert_eq!(slow.remove(&(origin, prefix)).is_some(), done),
            }
            if round % 10 == 0 {
                let to = Ipv4Addr::from_bits(0x0a00_0000 + below(1 << 12) as u32);
                let best = slow.iter().filter(|((_, p), _)| p.contains(&to));
                let best = best.max_by_key(|((origin, p), _)| (p.prefix_len(), 9 - origin));
                let expected: Vec<_> = best.map(|(_, path)| format!("203.0.113.{}", 11 + path)).into_iter().collect();
                assert_eq!(gateways(&routes, &to.to_string()), expected, "to {to} in round {round}");
            }
        }
        let prefixes: BTreeSet<_> = slow.keys().map(|(_, prefix)| net(&prefix.to_string())).collect();
        let listed: Vec<_> = routes.list(0, Bound::Included(net("10.0.0.0/8"))).map(|(prefix, _)| prefix).collect();
        let in_ten: Vec<_> = listed.into_iter().filter(|prefix| net("10.0.0.0/8").contains(prefix)).collect();
        assert_eq!(in_ten, prefixes.into_iter().collect::<Vec<_>>(), "each once, in order");
    });
}
