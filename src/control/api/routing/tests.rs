//! What listings, summaries, resolutions and watches say of a router with routes of both families.

use super::*;
use crate::control::Shared;
use crate::control::routes::{Origin, Source};
use crate::control::tests::{config, start};
use millrace_api::v1::route_news::What;
use millrace_api::v1::{GetRouteSummaryRequest, ResolveRouteRequest, ResolveStep, RouteNews, WatchRoutesRequest};
use tokio::sync::mpsc;

const CONFIG: &str = "
vrfs: {blue: {}}
interfaces:
  wan: {driver: generator, addresses: [192.0.2.1/24, '2001:db8:1::1/64']}
  lo0: {driver: loopback, vrf: blue, addresses: [10.255.0.1/32]}
routes:
  - {to: 10.0.0.0/8, via: 198.51.100.1}
  - {to: 10.8.0.0/16, next-vrf: blue}
  - {to: 10.9.0.0/16, via: 100.64.0.1}
  - {to: 198.51.100.0/24, via: [{gateway: 192.0.2.9, weight: 3}, {gateway: 192.0.2.8}]}
  - {to: 10.8.0.0/17, vrf: blue, type: prohibit}
  - {to: '::/0', via: '2001:db8:1::9'}
  - {to: '2001:db8:8::/48', type: blackhole}
neighbors:
  - {interface: wan, address: 192.0.2.9, mac: '02:00:00:00:00:09'}
";

/// The prefixes that a request gets, each with its VRF, and in how many pieces.
fn listed(router: &Router, request: ListRoutesRequest) -> (Vec<String>, usize) {
    let (mut listing, mut all, mut pieces) = (Listing::start(router, request).unwrap(), Vec::new(), 0);
    while let Some(batch) = listing.next(router) {
        assert!(batch.routes.len() <= BATCH);
        all.extend(batch.routes.iter().map(|route| format!("{} {}", route.prefix, route.vrf)));
        pieces += 1;
    }
    (all, pieces)
}

#[test]
fn routes_of_both_families_are_listed_as_they_are_asked_for() {
    let router = start(CONFIG);
    let ask = |family: &str, prefix: Option<&str>, longer, address: Option<&str>, origin: Option<&str>| {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let (prefix, address, origin, vrf) = (own(prefix), own(address), own(origin), own(Some("default")));
        let request = ListRoutesRequest { family: family.to_owned(), vrf, prefix, longer, address, limit: 0, origin };
        listed(&router, request).0.join(", ").replace(" default", "")
    };
    assert_eq!(ask("ipv6", None, false, None, Some("static")), "::/0, 2001:db8:8::/48");
    assert_eq!(
        ask("ipv6", None, false, None, Some("connected")),
        "2001:db8:1::/64, 2001:db8:1::/128, 2001:db8:1::1/128"
    );
    assert_eq!(
        ask("ipv4", None, false, None, None),
        "10.0.0.0/8, 10.8.0.0/16, 10.9.0.0/16, 192.0.2.0/24, 192.0.2.1/32, 198.51.100.0/24"
    );
    assert!(
        ask("", None, false, None, None)
            .ends_with("198.51.100.0/24, ::/0, 2001:db8:1::/64, 2001:db8:1::/128, 2001:db8:1::1/128, 2001:db8:8::/48")
    );
    assert_eq!(ask("", Some("10.0.0.0/8"), true, None, None), "10.0.0.0/8, 10.8.0.0/16, 10.9.0.0/16");
    assert_eq!(
        ask("", Some("2001:db8:1::/48"), true, None, None),
        "2001:db8:1::/64, 2001:db8:1::/128, 2001:db8:1::1/128"
    );
    assert_eq!(ask("ipv4", Some("2001:db8:1::/48"), true, None, None), "");
    assert_eq!(ask("", Some("::/0"), false, None, None), "::/0");
    assert_eq!(ask("", None, false, Some("2001:db8:8::1"), None), "2001:db8:8::/48");
    assert_eq!(ask("", None, false, Some("10.8.0.1"), None), "10.8.0.0/16");
    assert_eq!(ask("", None, false, Some("10.8.0.1"), Some("connected")), "");
    for (family, vrf, prefix) in [("ipx", None, None), ("", Some("green"), None), ("", None, Some("ten"))] {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let request =
            ListRoutesRequest { family: family.into(), vrf: own(vrf), prefix: own(prefix), ..Default::default() };
        assert!(Listing::start(&router, request).is_err());
    }
}

#[test]
fn many_routes_are_looked_through_in_pieces() {
    let mut router = start(CONFIG);
    for n in 0..2500u32 {
        let prefix = format!("20.{}.{}.0/24", n >> 8, n & 255).parse().unwrap();
        router.routes.set(0, prefix, Source(Origin::Static, 0), Path::Blackhole).unwrap();
    }
    let vrf = || Some("default".to_owned());
    let (all, _) = listed(&router, ListRoutesRequest { vrf: vrf(), ..Default::default() });
    assert_eq!(all.len(), 2500 + 11);
    let few = ListRoutesRequest { vrf: vrf(), origin: Some("connected".into()), ..Default::default() };
    let (found, pieces) = listed(&router, few);
    assert_eq!((found.len(), pieces), (5, 3), "{found:?}");
    let some = ListRoutesRequest { limit: 1500, ..Default::default() };
    assert_eq!(listed(&router, some).0, all[..1500]);
}

#[test]
fn routes_are_summed_up_by_origin_and_length() {
    let router = start(CONFIG);
    let request = GetRouteSummaryRequest { family: "ipv4".into(), vrf: None };
    let tables = summary(&router, &request).unwrap().tables;
    assert_eq!(
        tables.iter().map(|table| (table.vrf.as_str(), table.total)).collect::<Vec<_>>(),
        [("default", 6), ("blue", 2)]
    );
    let origins: Vec<_> = tables[0].by_origin.iter().map(|o| (o.origin.as_str(), o.count)).collect();
    assert_eq!(origins, [("connected", 2), ("static", 4)]);
    let lengths: Vec<_> = tables[0].by_length.iter().map(|l| (l.length, l.count)).collect();
    assert_eq!(lengths, [(8, 1), (16, 2), (24, 2), (32, 1)]);
    let both = GetRouteSummaryRequest { family: String::new(), vrf: Some("default".into()) };
    let families: Vec<_> = summary(&router, &both).unwrap().tables.into_iter().map(|t| (t.family, t.total)).collect();
    assert_eq!(families, [("ipv4".to_owned(), 6), ("ipv6".to_owned(), 5)]);
}

/// The steps in short: depth, kind, what it is, and its share in per cent.
fn steps(router: &Router, address: &str) -> Vec<String> {
    let request = ResolveRouteRequest { address: address.to_owned(), vrf: None };
    let text = |step: ResolveStep| {
        let words = [step.prefix, step.r#type, step.gateway, step.interface, step.mac, step.state];
        let words: Vec<String> = words.into_iter().flatten().collect();
        format!("{} {} {} {:.0}", step.depth, step.kind, words.join(" "), step.share * 100.0)
    };
    resolve(router, &request).unwrap().steps.into_iter().map(text).collect()
}

#[test]
fn an_address_resolves_down_to_adjacencies() {
    let router = start(CONFIG);
    assert_eq!(
        steps(&router, "10.1.2.3"),
        [
            "0 route 10.0.0.0/8 unicast 100",
            "1 gateway 198.51.100.1 wan resolved 100",
            "2 route 198.51.100.0/24 unicast 100",
            "3 gateway 192.0.2.8 wan resolved 25",
            "4 route 192.0.2.0/24 unicast 25",
            "3 gateway 192.0.2.9 wan resolved 75",
            "4 route 192.0.2.0/24 unicast 75",
            "1 load-balance  100",
            "2 adjacency unicast 192.0.2.8 wan 25",
            "2 adjacency unicast 192.0.2.9 wan 02:00:00:00:00:09 static 75",
        ]
    );
    assert_eq!(
        steps(&router, "10.8.0.1"),
        ["0 route 10.8.0.0/16 next-vrf 100", "1 route 10.8.0.0/17 prohibit 100", "2 adjacency prohibit 100"]
    );
    assert_eq!(
        steps(&router, "10.9.0.1")[..2],
        ["0 route 10.0.0.0/8 unicast 100", "1 gateway 198.51.100.1 wan resolved 100"]
    );
    assert_eq!(steps(&router, "2001:db8:8::1"), ["0 route 2001:db8:8::/48 blackhole 100", "1 adjacency blackhole 100"]);
    assert_eq!(
        steps(&router, "2001:db8:9::1")[1..],
        [
            "1 gateway 2001:db8:1::9 wan resolved 100",
            "2 route 2001:db8:1::/64 unicast 100",
            "1 adjacency unicast 2001:db8:1::9 wan 100",
        ]
    );
    assert!(steps(&router, "172.16.0.1").is_empty());
}

/// A watch and where its news comes.
fn watch(router: &Shared, request: WatchRoutesRequest) -> mpsc::Receiver<Result<RouteNews, Status>> {
    let (sender, receiver) = mpsc::channel(1);
    let watch = Watch::start(&mut router.lock(), request).unwrap();
    tokio::spawn(watch.run(router.clone(), sender));
    receiver
}

async fn news(from: &mut mpsc::Receiver<Result<RouteNews, Status>>) -> What {
    from.recv().await.unwrap().unwrap().what.unwrap()
}

fn set(router: &Shared, prefix: &str, path: Path) {
    router.lock().routes.set(0, prefix.parse().unwrap(), Source(Origin::Static, 0), path).unwrap();
}

#[tokio::test]
async fn a_watch_lists_and_then_tells_of_changes() {
    let router = Shared::new(start(CONFIG));
    let request = WatchRoutesRequest { prefix: Some("10.0.0.0/8".into()), listing: true, ..Default::default() };
    let mut from = watch(&router, request);
    let mut listed = Vec::new();
    let end = loop {
        match news(&mut from).await {
            What::Listed(routes) => listed.extend(routes.routes.into_iter().map(|route| route.prefix)),
            What::End(end) => break end.routes,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(listed, ["10.0.0.0/8", "10.8.0.0/16", "10.9.0.0/16", "10.8.0.0/17", "10.255.0.1/32"]);
    assert_eq!(end, 5);
    // Of what happens meanwhile to one prefix only the last is told; what is not asked for is not.
    for path in [Path::Blackhole, Path::Unreachable, Path::Prohibit] {
        set(&router, "10.1.0.0/16", path);
    }
    set(&router, "11.0.0.0/8", Path::Blackhole);
    router.lock().routes.unset(0, "10.8.0.0/16".parse().unwrap(), Source(Origin::Static, 0));
    let What::Changed(changed) = news(&mut from).await else { panic!("no changes") };
    let changes: Vec<_> = changed
        .changes
        .iter()
        .map(|c| (c.prefix.as_str(), c.route.as_ref().map(|route| route.r#type.as_str())))
        .collect();
    assert_eq!(changes, [("10.1.0.0/16", Some("prohibit")), ("10.8.0.0/16", None)]);
}

#[tokio::test]
async fn who_watches_too_slowly_is_told_and_gets_a_new_listing() {
    let router = Shared::new(start(CONFIG));
    let request = WatchRoutesRequest { family: "ipv4".into(), vrf: Some("default".into()), ..Default::default() };
    let mut from = watch(&router, request);
    for n in 0..40_000u32 {
        set(&router, &format!("20.{}.{}.0/24", n >> 8, n & 255), Path::Blackhole);
    }
    let What::Lagged(lagged) = news(&mut from).await else { panic!("nothing was lost?") };
    assert!(lagged.missed > 0);
    let mut count = 0;
    let end = loop {
        match news(&mut from).await {
            What::Listed(routes) => count += routes.routes.len() as u64,
            What::End(end) => break end.routes,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((count, end), (40_006, 40_006));
    // And it goes on.
    set(&router, "10.1.0.0/16", Path::Blackhole);
    let What::Changed(changed) = news(&mut from).await else { panic!("no changes") };
    assert_eq!(changed.changes[0].prefix, "10.1.0.0/16");
}

#[tokio::test]
async fn routes_go_with_their_vrf() {
    let router = Shared::new(start(CONFIG));
    let mut from = watch(&router, WatchRoutesRequest { vrf: Some("blue".into()), ..Default::default() });
    let without = |vrf: &str| {
        config(&format!("interfaces: {{lo0: {{driver: loopback, addresses: [10.255.0.1/32]}}}}\nvrfs: {{{vrf}}}"))
    };
    router.lock().commit(without(""), "apply").unwrap();
    let mut gone = Vec::new();
    while gone.len() < 2 {
        let What::Changed(changed) = news(&mut from).await else { panic!("no changes") };
        assert!(changed.changes.iter().all(|change| change.vrf == "blue" && change.route.is_none()));
        gone.extend(changed.changes.into_iter().map(|change| change.prefix));
    }
    gone.sort();
    assert_eq!(gone, ["10.255.0.1/32", "10.8.0.0/17"]);
}

#[tokio::test]
async fn a_watch_that_nobody_reads_ends() {
    let router = Shared::new(start(CONFIG));
    let (sender, receiver) = mpsc::channel(1);
    let watch = Watch::start(&mut router.lock(), WatchRoutesRequest::default()).unwrap();
    let task = tokio::spawn(watch.run(router.clone(), sender));
    drop(receiver);
    task.await.unwrap();
}
