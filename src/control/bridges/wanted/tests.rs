use super::*;
use millrace_config::{Df, StationKey, Trunk, UdpChecksum, Vxlan};

const UP: Live = Live { up: true, mac: MacAddr([2, 0, 0, 0, 0, 9]), mtu: 1500 };

/// Interfaces under construction: numbers from 1 on.
#[derive(Default)]
struct Interfaces(Vec<(Name, Driver, Option<Member>, Option<u32>)>);

impl Interfaces {
    fn add(mut self, text: &str, driver: Driver, member: Option<Member>, parent: Option<u32>) -> Interfaces {
        self.0.push((name(text), driver, member, parent));
        self
    }

    fn port(self, name: &str, tagging: Tagging) -> Interfaces {
        self.add(name, Driver::Loopback, Some(Member { tagging, ..member() }), None)
    }

    fn structure(&self, bridge: &Bridge) -> Structure {
        let numbered = (1..).zip(&self.0);
        let seen = numbered.map(|(index, (name, driver, member, parent))| Seen {
            index,
            name: Box::leak(Box::new(name.clone())),
            driver: Box::leak(Box::new(driver.clone())),
            member: member.clone().map(|member| &*Box::leak(Box::new(member))),
            parent: *parent,
        });
        Structure::of(seen, &bridges(bridge))
    }

    /// What the packet path has then; a VLAN's domain has its number and 100 more, while the interface 9 is down.
    fn wanted(&self, bridge: &Bridge) -> Wanted {
        let number = |(_, vlan): &Key| Some(100 + vlan);
        let live = |index| Live { up: index != 9, ..UP };
        let remote = |interface, address: IpAddr| (address.is_ipv4()).then_some(2000 + interface as u16);
        wanted(&self.structure(bridge), &bridges(bridge), number, live, remote)
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn bridges(bridge: &Bridge) -> BTreeMap<Name, Bridge> {
    BTreeMap::from([(name("br0"), bridge.clone())])
}

fn member() -> Member {
    Member::new(name("br0"), false)
}

fn trunk(vlans: &str, native: Option<u16>) -> Tagging {
    Tagging::Trunk(Trunk { vlans: vlans.parse().unwrap(), native })
}

fn vlan(parent: &str, outer: u16, inner: Option<u16>) -> Driver {
    Driver::Vlan(Vlan { parent: name(parent), outer, inner, tag_type: Vlan::tag_type_for(inner) })
}

fn members(wanted: &Wanted) -> Vec<(u16, Vec<u32>)> {
    wanted.domains.iter().map(|(number, domain)| (*number, domain.members.clone())).collect()
}

#[test]
fn ports_without_vlans_are_one_domain_with_the_routed_interface() {
    let other = Member { bridge: name("br1"), ..member() };
    let interfaces = Interfaces::default()
        .port("a", Tagging::Plain)
        .port("b", Tagging::Plain)
        .add("br0", Driver::Bvi, None, None)
        .add("routed", Driver::Loopback, None, None)
        .add("elsewhere", Driver::Loopback, Some(other), None);
    let wanted = interfaces.wanted(&Bridge::default());
    assert_eq!(members(&wanted), [(100, vec![1, 2, 3])]);
    assert_eq!(wanted.ports.keys().copied().collect::<Vec<_>>(), [1, 2, 3], "br1 is no bridge");
    let ports = [1, 2, 3].map(|index| &wanted.ports[&index]);
    assert_eq!(
        ports.map(|port| (port.bvi, port.learn, port.domain)),
        [(false, true, 100), (false, true, 100), (true, false, 100)]
    );
    assert_eq!(wanted.fixed, BTreeMap::from([((100, UP.mac), 3)]));
    let domain = &wanted.domains[&100];
    assert_eq!((domain.mac_limit, domain.mac_age, domain.vlan, domain.look), (65_536, Some(300), 0, false));
}

#[test]
fn ports_that_are_down_are_ports_but_nothing_is_flooded_to_them() {
    let interfaces = (1..=9).fold(Interfaces::default(), |all, n| all.port(&format!("p{n}"), Tagging::Plain));
    let wanted = interfaces.wanted(&Bridge::default());
    assert_eq!(members(&wanted), [(100, (1..=8).collect())]);
    assert_eq!((wanted.ports[&9].up, wanted.ports[&9].domain), (false, 100));
}

#[test]
fn access_and_trunk_ports_have_a_domain_for_each_vlan() {
    let interfaces = Interfaces::default()
        .port("access", Tagging::Access(10))
        .port("trunk", trunk("10,20-21", Some(30)))
        .port("native", trunk("10,30", Some(30)))
        .port("plain", Tagging::Plain)
        .add("br0", Driver::Bvi, None, None)
        .add("br0.20", vlan("br0", 20, None), None, Some(5))
        .add("br0.40", vlan("br0", 40, None), None, Some(5));
    let wanted = interfaces.wanted(&Bridge::default());
    let expected =
        [(100, vec![4, 5]), (110, vec![1, 2, 3]), (120, vec![2, 5]), (121, vec![2]), (130, vec![2, 3]), (140, vec![5])];
    assert_eq!(members(&wanted), expected);
    assert_eq!(wanted.domains[&121].vlan, 21);
    let tagged = |index: u32| wanted.ports[&index].trunk.clone().unwrap_or_default().into_iter().collect::<Vec<_>>();
    assert_eq!((wanted.ports[&1].access, wanted.ports[&1].domain, tagged(1)), (true, 110, vec![]));
    assert_eq!((wanted.ports[&2].domain, tagged(2)), (130, vec![(10, 110), (20, 120), (21, 121)]));
    assert_eq!(
        (wanted.ports[&3].domain, tagged(3)),
        (130, vec![(10, 110), (30, 130)]),
        "tagged frames of its own, too"
    );
    assert_eq!((wanted.ports[&5].domain, tagged(5)), (100, vec![(20, 120), (40, 140)]), "the routed interface");
    let fixed: Vec<_> = wanted.fixed.iter().map(|((number, _), behind)| (*number, *behind)).collect();
    assert_eq!(fixed, [(100, 5), (120, 5), (140, 5)]);
}

#[test]
fn a_trunk_of_all_has_what_others_have_and_two_have_all() {
    let one = Interfaces::default().port("all", trunk("all", None)).port("access", Tagging::Access(10));
    let wanted = one.wanted(&Bridge::default());
    assert_eq!(members(&wanted), [(100, vec![]), (110, vec![1, 2])]);
    assert_eq!(wanted.ports[&1].domain, 0, "without a native VLAN untagged frames are of none");
    let two = one.port("all2", trunk("all", Some(1)));
    let wanted = two.wanted(&Bridge::default());
    assert_eq!((wanted.domains.len(), &wanted.domains[&4194].members), (4095, &vec![1, 3]));
    assert_eq!(wanted.ports[&3].domain, 101);
    let native = Interfaces::default().port("trunk", trunk("10", Some(30))).wanted(&Bridge::default());
    assert_eq!(members(&native), [(100, vec![]), (110, vec![1]), (130, vec![1])], "named as native alone");
}

#[test]
fn sub_interfaces_lose_their_own_tags() {
    let of = |rewrite| Some(Member { tagging: Tagging::Rewrite(rewrite), ..Member::new(name("br0"), true) });
    let interfaces = Interfaces::default()
        .add("wan", Driver::Loopback, None, None)
        .add("wan.7", vlan("wan", 7, None), of(TagRewrite::Pop), Some(1))
        .add("wan.200.10", vlan("wan", 200, Some(10)), of(TagRewrite::Translate(30)), Some(1));
    let wanted = interfaces.wanted(&Bridge::default());
    assert_eq!(wanted.ports[&2].rewrite, Rewrite::Pop(Tags::single(7)));
    let qinq = Tags { tag_type: EtherType::SERVICE_VLAN, outer: 200, inner: Some(10) };
    assert_eq!(wanted.ports[&3].rewrite, Rewrite::Translate(qinq, 30));
    assert_eq!(members(&wanted), [(100, vec![2, 3])]);
}

#[test]
fn static_stations_are_where_the_operator_says() {
    let vxlan = Vxlan {
        vni: 100,
        local: "192.0.2.1".parse().unwrap(),
        remotes: Vec::new(),
        port: Vxlan::PORT,
        learn_remotes: true,
        udp_checksum: UdpChecksum::Auto,
        ttl: 64,
        df: Df::Clear,
        underlay_vrf: Name::default_vrf(),
    };
    let interfaces = Interfaces::default()
        .port("a", Tagging::Access(10))
        .add("vx", Driver::Vxlan(vxlan), Some(member()), None)
        .add("routed", Driver::Loopback, None, None);
    let key = |vlan, last| StationKey { vlan, mac: Mac([2, 0, 0, 0, 0, last]) };
    let at = |interface: &str, remote: Option<&str>| millrace_config::Station {
        interface: name(interface),
        remote: remote.map(|address| address.parse().unwrap()),
    };
    let static_macs = BTreeMap::from([
        (key(Some(10), 1), at("a", None)),
        (key(Some(20), 1), at("a", None)),
        (key(None, 2), at("vx", Some("192.0.2.2"))),
        (key(None, 3), at("vx", Some("2001:db8::2"))),
        (key(None, 4), at("routed", None)),
    ]);
    let wanted = interfaces.wanted(&Bridge { static_macs, ..Bridge::default() });
    let mac = |last| MacAddr([2, 0, 0, 0, 0, last]);
    let expected = [((100, mac(2)), 2002), ((110, mac(1)), 1), ((120, mac(1)), 1)];
    assert_eq!(wanted.fixed, BTreeMap::from(expected), "remotes and ports that there are");
    assert!(wanted.domains.contains_key(&120), "a VLAN that only a station names");
    assert!(wanted.ports[&2].tunnel && !wanted.ports[&1].tunnel);
}

#[test]
fn the_bridge_and_the_port_must_both_allow() {
    let careful = Member { learn: false, flood: false, unknown_unicast: UnknownUnicast::Drop, ..member() };
    let isolated = Member { isolated: true, split_horizon_group: 7, mac_limit: Some(5), ..member() };
    let interfaces = Interfaces::default()
        .add("free", Driver::Loopback, Some(member()), None)
        .add("careful", Driver::Loopback, Some(careful), None)
        .add("isolated", Driver::Loopback, Some(isolated), None);
    let does = |bridge: &Bridge, index: u32| {
        let port = interfaces.wanted(bridge).ports[&index].published();
        [port.learn, port.forward, port.flood, port.flood_unknown, port.pass_spanning_tree]
    };
    let plain = Bridge::default();
    assert_eq!(does(&plain, 1), [true, true, true, true, false]);
    assert_eq!(does(&plain, 2), [false, true, false, false, false]);
    let off = Bridge {
        learn: false,
        forward: false,
        flood: false,
        unknown_unicast: UnknownUnicast::Drop,
        stp: Stp::Pass,
        ..Bridge::default()
    };
    assert_eq!(does(&off, 1), [false, false, false, false, true]);
    let port = &interfaces.wanted(&plain).ports[&3];
    assert_eq!((port.isolated, port.group, port.mac_limit, port.mtu), (true, 7, Some(5), 1500));
    let forever = Bridge { mac_age: millrace_config::Time::seconds(0), arp_suppression: true, ..Bridge::default() };
    let domain = &interfaces.wanted(&forever).domains[&100];
    assert_eq!((domain.mac_age, domain.look), (None, true));
}
