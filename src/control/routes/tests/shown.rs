//! What listings, summaries and watchers see.

use super::*;
use tokio::sync::broadcast::error::TryRecvError;

fn prefixes(routes: &Routes, from: Bound<IpNet>) -> Vec<String> {
    routes.list(0, from).filter(|(_, shown)| !shown.path.is_end()).map(|(prefix, _)| prefix.to_string()).collect()
}

#[test]
fn both_families_are_listed_in_order() {
    let mut routes = routes();
    for prefix in ["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "::/0", "2001:db8::/48"] {
        routes.set(0, net(prefix), STATIC, Path::Blackhole).unwrap();
    }
    let four = ["0.0.0.0/0", "10.0.0.0/8", "192.168.1.0/24", "192.168.1.1/32", "203.0.113.0/24", "203.0.113.1/32"];
    let six = ["::/0", "2001:db8::/32", "2001:db8::/48"];
    let both = [&four[..], &six].concat();
    for (from, expected) in [
        (Bound::Unbounded, &both[..]),
        (Bound::Included(net("203.0.113.0/24")), &both[4..]),
        (Bound::Excluded(net("203.0.113.1/32")), &both[6..]),
        (Bound::Included(net("::/0")), &both[6..]),
        (Bound::Excluded(net("2001:db8::/32")), &both[8..]),
    ] {
        assert_eq!(prefixes(&routes, from), expected, "{from:?}");
    }
    assert_eq!((routes.count(0, Family::Ip4), routes.count(0, Family::Ip6)), (6, 3));
    let summary = routes.summary(0, Family::Ip6);
    assert_eq!(summary.by_length, [(0, 1), (32, 1), (48, 1)]);
    assert_eq!(summary.by_origin, [("static".to_owned(), 3)]);
}

#[test]
fn counts_follow() {
    both(|| {
        let mut routes = routes();
        let summary = |routes: &Routes| {
            let Summary { prefixes, by_length, by_origin } = routes.summary(0, FAMILY.get());
            assert_eq!(by_length.iter().map(|(_, count)| count).sum::<usize>(), prefixes);
            (prefixes, by_origin.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(summary(&routes), (4, "connected 4".to_owned()));
        let bgp = routes.open(0, "bgp", 20).unwrap();
        let (one, two) = (net("10.0.0.0/8"), net("203.0.113.0/24"));
        routes.set(0, one, STATIC, Path::Blackhole).unwrap();
        {
            let mut update = routes.update(bgp).unwrap();
            let (drop, prohibit) = (update.lead(&Path::Blackhole).unwrap(), update.lead(&Path::Prohibit).unwrap());
            for (prefix, lead) in [(one, drop), (two, drop), (two, prohibit), (net("20.0.0.0/8"), drop)] {
                update.set(prefix, lead, false).unwrap();
            }
        }
        assert_eq!(summary(&routes), (6, "connected 4 static 1 bgp 3".to_owned()));
        routes.set(0, one, STATIC, via(&["203.0.113.9"])).unwrap();
        routes.neighbor_known(0, WAN, ip("203.0.113.9"), MacAddr([2, 0, 0, 0, 0, 9])).unwrap();
        let ends = Source(Origin::Connected, 5);
        routes.set(0, net("203.0.113.255/32"), ends, Path::Broadcast(WAN)).unwrap();
        assert_eq!(summary(&routes), (6, "connected 4 static 1 bgp 3".to_owned()), "neighbours and ends don't count");
        routes.unset(0, one, STATIC);
        assert_eq!(summary(&routes), (6, "connected 4 bgp 3".to_owned()));
        for prefix in [one, two] {
            routes.update(bgp).unwrap().unset(prefix).unwrap();
        }
        assert_eq!(summary(&routes), (5, "connected 4 bgp 1".to_owned()));
        assert!(routes.memory_bytes(0, FAMILY.get()) > 0);
    });
}

#[test]
fn how_an_address_resolves() {
    both(|| {
        let mut routes = routes();
        let blue = routes.add_table().unwrap();
        routes.set(0, net("10.9.0.0/16"), STATIC, weighted(&[("203.0.113.9", 3), ("192.168.1.9", 1)])).unwrap();
        routes.set(0, net("20.0.0.0/8"), STATIC, via(&["10.9.9.9"])).unwrap();
        routes.set(blue, net("0.0.0.0/0"), STATIC, Path::NextVrf(0)).unwrap();
        routes.neighbor_known(0, WAN, ip("203.0.113.9"), MacAddr([2, 0, 0, 0, 0, 9])).unwrap();
        let text = |table: u32, to: &str| -> Vec<String> {
            let line = |step: Step| {
                let what = match step.what {
                    What::Route { table, prefix, origin, .. } => format!("{table} {prefix} {origin}"),
                    What::Hop { hop, interface, reachable } => {
                        let IpAddr::V4(_) = hop.gateway else { return format!("{} hop", step.depth) };
                        format!("hop {} {interface:?} {reachable}", hop.gateway)
                    }
                    What::Balance { buckets, .. } => {
                        format!("balance {:?}", buckets.iter().map(|(_, count)| count).collect::<Vec<_>>())
                    }
                    What::Adjacency { adjacency, .. } => format!("{:?} {}", adjacency.kind, adjacency.interface),
                };
                format!("{} {what}", step.depth)
            };
            routes.resolved(table, ip(to)).into_iter().map(line).collect()
        };
        assert_eq!(text(0, "8.8.8.8"), [""; 0]);
        let prefix = |text: &str| net(text).to_string();
        if FAMILY.get() == Family::Ip4 {
            assert_eq!(
                text(0, "20.1.1.1"),
                [
                    "0 0 20.0.0.0/8 static",
                    "1 hop 10.9.9.9 Some(1) true",
                    "2 0 10.9.0.0/16 static",
                    "3 hop 203.0.113.9 Some(1) true",
                    "4 0 203.0.113.0/24 connected",
                    "3 hop 192.168.1.9 Some(2) true",
                    "4 0 192.168.1.0/24 connected",
                    "1 Balance 0",
                    "2 balance [48, 16]",
                    "3 Rewrite 1",
                    "3 Arp 2",
                ]
            );
        }
        assert_eq!(
            text(blue, "203.0.113.9"),
            [
                format!("0 {blue} {} static", prefix("0.0.0.0/0")),
                "1 Table 0".to_owned(),
                format!("2 0 {} connected", prefix("203.0.113.0/24")),
                "3 Rewrite 1".to_owned(),
            ]
        );
        assert_eq!(routes.way_out(blue, ip("20.1.1.1")), routes.way_out(0, ip("20.1.1.1")));
        assert!(routes.way_out(0, ip("20.1.1.1")).is_some());
        assert_eq!(routes.way_out(0, ip("203.0.113.1")), None, "the router itself");
    });
}

#[test]
fn watchers_hear_of_what_listings_show() {
    both(|| {
        let mut routes = routes();
        let mut watch = routes.subscribe();
        let mut heard = || {
            let mut all = Vec::new();
            loop {
                match watch.try_recv() {
                    Ok(changed) => all.push((changed.table, changed.prefix)),
                    Err(TryRecvError::Empty) => return all,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let prefix = net("10.0.0.0/8");
        routes.set(0, prefix, STATIC, via(&["203.0.113.9"])).unwrap();
        assert_eq!(heard(), [(0, prefix)]);
        routes.neighbor_known(0, WAN, ip("203.0.113.9"), MacAddr([2, 0, 0, 0, 0, 9])).unwrap();
        assert_eq!(heard(), []);
        let bgp = routes.open(0, "bgp", 20).unwrap();
        let mut update = routes.update(bgp).unwrap();
        let lead = update.lead(&Path::Blackhole).unwrap();
        update.set(net("20.0.0.0/8"), lead, true).unwrap();
        update.unset(net("20.0.0.0/8")).unwrap();
        drop(update);
        assert_eq!(heard(), [(0, net("20.0.0.0/8")); 2]);
        routes.set_link(WAN, link(false)).unwrap();
        let gone = heard();
        for prefix in [prefix, net("203.0.113.0/24"), net("203.0.113.1/32")] {
            assert!(gone.contains(&(0, prefix)), "{prefix} is not used any more: {gone:?}");
        }
        routes.unset(0, prefix, STATIC);
        assert_eq!(heard(), [(0, prefix)]);
        drop(watch);
        routes.set(0, prefix, STATIC, Path::Blackhole).unwrap();
        assert!(routes.watchers.is_idle(), "nobody watches any more");
    });
}
