//! VXLAN interfaces of a router: what follows from the configuration, and from who is heard.

use super::remotes::{Remotes, Source};
use super::*;
use crate::control::tests::{config, start};
use millrace_engine::NodeName;
use millrace_graph_nodes::vxlan::Tunnels;

const BOTH: &str = "
bridges: {br0: {static-macs: [{mac: '02:00:00:00:00:07', interface: vx0, remote: 192.0.2.7}]}}
interfaces:
  ge0: {driver: generator, addresses: [192.0.2.1/24]}
  vx0: {driver: vxlan, vni: 100, local: 192.0.2.1, remotes: [192.0.2.2, 192.0.2.3], bridge: br0}
  vx1: {driver: vxlan, vni: 100, local: '2001:db8::1', remotes: ['2001:db8::2'], port: 8472, addresses: [10.0.0.1/24]}
";

/// The remotes of an interface.
fn remotes(router: &Router, name: &str) -> Vec<(String, Source)> {
    let index = router.interfaces.index(name).unwrap();
    router.vxlan.remotes().of(index).map(|(address, remote)| (address.to_string(), remote.source)).collect()
}

/// The number of a remote of an interface.
fn number(router: &Router, name: &str, address: &str) -> Option<u16> {
    router.vxlan.number(router.interfaces.index(name).unwrap(), ip(address))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn hear(router: &mut Router, name: &str, address: &str) -> bool {
    let index = router.interfaces.index(name).unwrap();
    router.remote_heard(index, ip(address), Instant::now());
    router.vxlan.number(index, ip(address)).is_some()
}

#[test]
fn remotes_follow_the_configuration() {
    let mut router = start(BOTH);
    let (vx0, vx1) = (router.interfaces.index("vx0").unwrap(), router.interfaces.index("vx1").unwrap());
    let named = |address: &str| (address.to_owned(), Source::Named);
    let station = ("192.0.2.7".to_owned(), Source::Station);
    assert_eq!(remotes(&router, "vx0"), [named("192.0.2.2"), named("192.0.2.3"), station.clone()]);
    assert_eq!(remotes(&router, "vx1"), [named("2001:db8::2")]);
    let number_of = |router: &Router, address| number(router, "vx0", address).unwrap();
    let [two, three, seven] = ["192.0.2.2", "192.0.2.3", "192.0.2.7"].map(|address| number_of(&router, address));
    assert_eq!(router.remote_name(three), Some((vx0, ip("192.0.2.3"))));
    assert_eq!(router.remote_name(2000), None);
    assert_eq!(router.bridges.interface_of(three), vx0);
    // Stations that the operator put behind a remote are there.
    let mac = millrace_tables::mac::Station::new(1, [2, 0, 0, 0, 0, 7]);
    let stations = router.bridges.stations();
    assert_eq!(stations.find(mac, stations.place(mac)).map(|known| known.port), Some(seven));
    let open = |router: &Router, port| router.forwarding.udp_services.is_open(port);
    assert!(open(&router, 4789) && open(&router, 8472));
    let on = |router: &Router, index| {
        let features = router.engine.features_of(index).into_iter();
        features.filter(|(arc, _)| arc.as_str() == "interface-output").map(|(_, node)| node).collect::<Vec<_>>()
    };
    assert_eq!(on(&router, vx0), [NodeName::new("vxlan4-encap")]);
    assert_eq!(on(&router, vx1), [NodeName::new("vxlan6-encap")]);
    // An edit leaves what stays as it is, and tells what else changes.
    router
        .commit(config(&BOTH.replace("192.0.2.2, ", "").replace("vni: 100, local: 192", "vni: 7, local: 192")), "edit")
        .unwrap();
    assert_eq!(remotes(&router, "vx0"), [named("192.0.2.3"), station]);
    assert_eq!([number_of(&router, "192.0.2.3"), number_of(&router, "192.0.2.7")], [three, seven]);
    assert_eq!((router.remote_name(two), router.bridges.interface_of(two)), (None, two.into()));
    assert_eq!(router.vxlan.get(vx0).unwrap().vni, 7);
    assert_eq!(router.interfaces.index("vx0"), Some(vx0), "in place");
    // The same interface in the other family.
    let other = BOTH.replace("local: 192.0.2.1, remotes: [192.0.2.2, 192.0.2.3]", "local: '2001:db8::1', remotes: []");
    let other = other
        .replace("remote: 192.0.2.7", "remote: '2001:db8::7'")
        .replace("vni: 100, local: '2001:db8::1', remotes: []", "vni: 9, local: '2001:db8::1', remotes: []");
    router.commit(config(&other), "edit").unwrap();
    assert_eq!(remotes(&router, "vx0"), [("2001:db8::7".to_owned(), Source::Station)]);
    assert_eq!(on(&router, vx0), [NodeName::new("vxlan6-encap")]);
    router.commit(config(""), "edit").unwrap();
    assert!(!open(&router, 4789) && !open(&router, 8472));
    assert_eq!((router.vxlan.remotes().iter().count(), on(&router, vx0)), (0, vec![]));
}

#[test]
fn who_is_heard_is_learnt_where_that_is_wanted() {
    let mut router = start(BOTH);
    assert!(hear(&mut router, "vx0", "192.0.2.9"));
    let index = router.interfaces.index("vx0").unwrap();
    assert_eq!(router.vxlan.remotes().get(index, ip("192.0.2.9")).unwrap().source, Source::Learnt);
    assert_eq!(router.bridges.interface_of(number(&router, "vx0", "192.0.2.9").unwrap()), index);
    let told = |router: &Router| router.events.newest(1).next().unwrap().text.clone();
    assert_eq!(told(&router), "remote 192.0.2.9 learnt");
    // No router has these.
    for address in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.5", "255.255.255.255", "192.0.2.1", "2001:db8::9"] {
        assert!(!hear(&mut router, "vx0", address), "{address}");
    }
    assert!(!hear(&mut router, "vx1", "2001:db8::9"), "a routed one has one remote");
    // Only so many.
    for n in 0..400_u32 {
        hear(&mut router, "vx0", &std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).to_string());
    }
    let learnt = remotes(&router, "vx0").iter().filter(|(_, source)| *source == Source::Learnt).count();
    assert_eq!(learnt, 256);
    assert_eq!(told(&router), "10.0.0.255 and others are not learnt as remotes: 256 are already");
    // An operator who names one doesn't make it another.
    let before = number(&router, "vx0", "192.0.2.9");
    router.commit(config(&BOTH.replace("192.0.2.3]", "192.0.2.3, 192.0.2.9]")), "edit").unwrap();
    assert_eq!(number(&router, "vx0", "192.0.2.9"), before);
    assert_eq!(router.vxlan.remotes().get(index, ip("192.0.2.9")).unwrap().source, Source::Named);
    // Nor does one who doesn't want them keep them.
    router.commit(config(&BOTH.replace("192.0.2.3]", "192.0.2.3], learn-remotes: false")), "edit").unwrap();
    assert_eq!(remotes(&router, "vx0").len(), 3);
    assert!(!hear(&mut router, "vx0", "192.0.2.9"));
}

#[test]
fn interfaces_of_one_bridge_have_remotes_and_checksums_of_their_own() {
    let other = "
  vx2: {driver: vxlan, vni: 101, local: 192.0.2.1, remotes: [192.0.2.2], bridge: br0}
  vx3: {driver: vxlan, vni: 102, local: '2001:db8::1', remotes: ['2001:db8::2'], udp-checksum: off}
";
    let router = start(&format!("{BOTH}{other}"));
    assert_eq!(remotes(&router, "vx2"), [("192.0.2.2".to_owned(), Source::Named)]);
    let checksums = |name| {
        let wanted = router.vxlan.get(router.interfaces.index(name).unwrap()).unwrap();
        (wanted.checksum, wanted.zero_checksum)
    };
    assert_eq!(["vx0", "vx1", "vx3"].map(checksums), [(false, false), (true, false), (false, true)]);
}

#[test]
fn silent_remotes_are_forgotten() {
    let mut remotes = Remotes::new(2);
    let (heard, named) = ((5, ip("192.0.2.9")), (5, ip("192.0.2.2")));
    assert!(remotes.want(heard, Source::Learnt) && remotes.want(named, Source::Named));
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let limit = Duration::from_secs(60);
    assert_eq!(remotes.silent(after(59), limit, |_| 0), []);
    assert_eq!(remotes.silent(after(62), limit, |number| u32::from(number == 1024)), [], "a station is behind it");
    assert_eq!(remotes.silent(after(62), limit, |_| 0), [heard]);
    let number = remotes.get(5, heard.1).unwrap().number;
    assert_eq!(remotes.retain(|key, _| key != heard), [number]);
    assert_eq!((remotes.by_number(number), remotes.by_number(1025)), (None, Some(named)));
    // Its number is not another's while stations may be behind it.
    remotes.reuse(after(1), |_| 0);
    remotes.reuse(after(90), |_| 1);
    let _ = millrace_engine::epoch::domain().collect();
    assert!(remotes.want(heard, Source::Learnt));
    assert_eq!(remotes.get(5, heard.1).unwrap().number, 1026);
    remotes.reuse(after(90), |_| 0);
    let all = Tunnels::NUMBERS.len();
    for n in 3..all as u32 + 50 {
        remotes.want((6, ip(&std::net::Ipv4Addr::from_bits(n).to_string())), Source::Learnt);
    }
    let count = remotes.iter().count();
    assert!(count == all || count == all - 1, "all numbers but the one that readers may still hold: {count}");
    assert!(!remotes.want((7, ip("192.0.2.1")), Source::Named));
}
