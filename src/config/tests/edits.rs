//! What each command makes of a configuration, and what is refused with which words.
#![allow(clippy::unwrap_used, reason = "what is unwrapped is written right here")]

use millrace_config::*;

const START: &str = "
vrfs: {blue: {}}
interfaces:
  wan:
    driver: af-packet
    device: eth0
    addresses: [192.0.2.2/24]
    sub-interfaces: {7: {addresses: [10.7.0.1/24]}, 8: {mtu: 1400}}
  lan: {driver: tap, device: mr-lan, addresses: [192.168.1.1/24]}
routes:
  - {to: 10.0.0.0/8, via: [{gateway: 192.0.2.1, interface: wan}]}
  - {to: 172.16.0.0/12, vrf: blue, type: blackhole}
neighbors:
  - {interface: wan, address: 192.0.2.9, mac: \"02:00:00:00:00:09\"}
";

fn start() -> Config {
    parse(START, "start").unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn key(prefix: &str) -> RouteKey {
    RouteKey { vrf: Name::default_vrf(), prefix: prefix.parse().unwrap() }
}

fn via(gateway: &str) -> Route {
    Route::via(vec![NextHop::new(gateway.parse().unwrap())])
}

fn add(interface: &str, driver: &str, settings: &[(&str, &str)]) -> Edit {
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Edit::InterfaceAdd { name: name(interface), driver: driver.to_owned(), settings }
}

fn set(interface: &str, setting: InterfaceSetting) -> Edit {
    Edit::InterfaceSet { name: name(interface), setting }
}

fn address(interface: &str, address: &str) -> (Name, ipnet::IpNet) {
    (name(interface), address.parse().unwrap())
}

fn add_address(interface: &str, prefix: &str) -> Edit {
    let (interface, address) = address(interface, prefix);
    Edit::AddressAdd { interface, address }
}

fn remove_address(interface: &str, prefix: &str) -> Edit {
    let (interface, address) = address(interface, prefix);
    Edit::AddressRemove { interface, address }
}

fn neighbor(interface: &str, address: &str) -> NeighborKey {
    NeighborKey { interface: name(interface), address: address.parse().unwrap() }
}

/// The steps that an edit of [`START`] comes to.
fn steps(wanted: Edit) -> String {
    let next = edit(&start(), &wanted).unwrap();
    assert!(next.problems().is_empty());
    plan(&start(), &next).to_string()
}

/// The words with which an edit of [`START`] is refused.
fn refused(unwanted: Edit) -> String {
    edit(&start(), &unwanted).unwrap_err().to_string()
}

#[test]
fn interfaces_come_and_go_and_change() {
    assert_eq!(
        steps(add(
            "x0",
            "tap",
            &[("device", "t0"), ("mtu", "9000"), ("addresses", "[10.1.0.1/24, 10.2.0.1/24]"), ("vrf", "blue")]
        )),
        "+ interface x0: tap t0 mtu 9000 vrf blue\n+ address 10.1.0.1/24 interface x0\n+ address 10.2.0.1/24 interface x0\n"
    );
    assert_eq!(steps(add("lo", "loopback", &[("state", "down")])), "+ interface lo: loopback down\n");
    assert_eq!(
        steps(add("gen0", "generator", &[("streams", "[{source: 10.0.0.1, destination: 10.0.0.2}]")])),
        "+ interface gen0: generator of 1 stream\n"
    );
    assert_eq!(
        steps(add("wan.9", "vlan", &[("addresses", "10.9.0.1/24")])),
        "+ interface wan.9: vlan 9 of wan\n+ address 10.9.0.1/24 interface wan.9\n"
    );
    assert_eq!(
        steps(Edit::InterfaceRemove { name: name("lan") }),
        "- address 192.168.1.1/24 interface lan\n- interface lan: tap mr-lan\n"
    );
    assert_eq!(steps(set("lan", InterfaceSetting::State(State::Down))), "~ interface lan: state up -> down\n");
    let mac = Some("02:00:00:00:00:01".parse().unwrap());
    assert_eq!(
        steps(set("lan", InterfaceSetting::Mac(mac))),
        "~ interface lan: mac the device's -> 02:00:00:00:00:01\n"
    );
    assert_eq!(
        steps(set("lan", InterfaceSetting::Vrf(name("blue")))),
        "- address 192.168.1.1/24 interface lan\n~ interface lan: vrf default -> blue\n+ address 192.168.1.1/24 interface lan\n"
    );
    // A sub-interface that has no MTU of its own follows its parent's: the parent grows first.
    assert_eq!(
        steps(set("wan", InterfaceSetting::Mtu(9000))),
        "~ interface wan: mtu 1500 -> 9000\n~ interface wan.7: mtu 1500 -> 9000\n"
    );
}

#[test]
fn addresses_routes_and_neighbors_come_and_go() {
    assert_eq!(steps(add_address("lan", "10.1.0.1/24")), "+ address 10.1.0.1/24 interface lan\n");
    assert_eq!(steps(remove_address("lan", "192.168.1.1/24")), "- address 192.168.1.1/24 interface lan\n");
    let (key_new, key_old) = (key("0.0.0.0/0"), key("10.0.0.0/8"));
    assert_eq!(
        steps(Edit::RouteAdd { key: key_new.clone(), route: via("192.0.2.1") }),
        "+ route 0.0.0.0/0 via 192.0.2.1\n"
    );
    assert_eq!(steps(Edit::RouteReplace { key: key_new, route: Route::Prohibit }), "+ route 0.0.0.0/0 prohibit\n");
    assert_eq!(
        steps(Edit::RouteReplace { key: key_old.clone(), route: via("192.0.2.7") }),
        "~ route 10.0.0.0/8: via 192.0.2.1 interface wan -> via 192.0.2.7\n"
    );
    assert_eq!(steps(Edit::RouteRemove { key: key_old }), "- route 10.0.0.0/8 via 192.0.2.1 interface wan\n");
    let blue = RouteKey { vrf: name("blue"), ..key("172.16.0.0/12") };
    assert_eq!(steps(Edit::RouteRemove { key: blue }), "- route 172.16.0.0/12 blackhole vrf blue\n");
    let mac = "02:00:00:00:00:01".parse().unwrap();
    assert_eq!(
        steps(Edit::NeighborAdd { key: neighbor("lan", "192.168.1.9"), mac }),
        "+ neighbor 192.168.1.9 interface lan mac 02:00:00:00:00:01\n"
    );
    assert_eq!(
        steps(Edit::NeighborRemove { key: neighbor("wan", "192.0.2.9") }),
        "- neighbor 192.0.2.9 interface wan mac 02:00:00:00:00:09\n"
    );
}

#[test]
fn what_is_there_is_not_added_and_what_is_not_there_is_not_removed() {
    assert_eq!(
        refused(add("lan", "tap", &[("device", "t1")])),
        "interface lan is there already (tap mr-lan); use `interface set`"
    );
    assert_eq!(refused(Edit::InterfaceRemove { name: name("lam") }), "no interface \"lam\"; did you mean `lan`?");
    assert_eq!(
        refused(set("x", InterfaceSetting::Mtu(1500))),
        "no interface \"x\"; expected one of: lan, wan, wan.7, wan.8"
    );
    assert_eq!(
        refused(add_address("lan", "192.168.1.1/24")),
        "interface lan has 192.168.1.1/24 already; nothing to add"
    );
    assert_eq!(
        refused(remove_address("lan", "192.168.1.2/24")),
        "interface lan doesn't have 192.168.1.2/24; it has 192.168.1.1/24"
    );
    assert_eq!(
        refused(Edit::RouteAdd { key: key("10.0.0.0/8"), route: via("192.0.2.7") }),
        "10.0.0.0/8 has a route already (via 192.0.2.1 interface wan); use `route replace`"
    );
    assert_eq!(
        refused(Edit::RouteRemove { key: key("10.0.0.0/9") }),
        "10.0.0.0/9 has no static route; `show ip route` lists the routes; connected ones go with their address"
    );
    let mac = "02:00:00:00:00:01".parse().unwrap();
    assert_eq!(
        refused(Edit::NeighborAdd { key: neighbor("wan", "192.0.2.9"), mac }),
        "neighbor 192.0.2.9 interface wan is there already (mac 02:00:00:00:00:09); use `neighbor remove` first"
    );
    assert_eq!(
        refused(Edit::NeighborRemove { key: neighbor("lan", "192.168.1.9") }),
        "there is no static neighbor 192.168.1.9 interface lan; `show neighbors` lists them; learned ones go by `clear neighbors`"
    );
}

#[test]
fn an_interface_in_use_stays() {
    assert_eq!(
        refused(Edit::InterfaceRemove { name: name("wan") }),
        "interface wan is used by interface wan.7, interface wan.8, neighbor 192.0.2.9, route 10.0.0.0/8; remove these first"
    );
    let many = (0..20).fold(start(), |config, n| {
        let hop = NextHop { interface: Some(name("lan")), ..NextHop::new("192.168.1.9".parse().unwrap()) };
        edit(&config, &Edit::RouteAdd { key: key(&format!("10.{n}.0.0/16")), route: Route::via(vec![hop]) }).unwrap()
    });
    let error = edit(&many, &Edit::InterfaceRemove { name: name("lan") }).unwrap_err();
    assert!(matches!(error, EditError::InUse(_)));
    assert!(error.to_string().ends_with("route 10.7.0.0/16 and 12 more; remove these first"), "{error}");
}

#[test]
fn an_edit_keeps_to_the_rules_of_a_file() {
    assert_eq!(
        refused(add("x", "tap", &[("devise", "t0"), ("mtu", "big")])),
        "interface x: device is missing; expected the name of a network device: 1 to 15 characters without `/`, `:` and spaces\n\
         interface x: mtu: cannot take \"big\"; expected a whole number from 68 to 9216\n\
         interface x: devise: unknown key; did you mean `device`?"
    );
    assert_eq!(
        refused(add("x", "tap", &[("device", "t0"), ("device", "t1")])),
        "interface x: device stands here twice; keep one of them"
    );
    assert_eq!(
        refused(add("x", "tap", &[("device", "mr-lan")])),
        "interface x: device mr-lan is interface lan's already; expected one of its own for each interface"
    );
    assert!(
        refused(add("x", "tap", &[("device", "t0"), ("addresses", "[10.0.0.1/24")])).starts_with("not valid YAML: ")
    );
    assert_eq!(
        refused(add("x", "memif", &[])),
        "interface x: socket is missing; expected the absolute path of a socket or `@` and a name, such as /run/millrace/memif.sock, of at most 107 bytes"
    );
    assert_eq!(
        refused(add("x.5", "vlan", &[])),
        "interface x.5: no parent of that name; expected the name of an interface, a dot and a VLAN, as in `wan.100`, or two: `wan.200.10`"
    );
    assert_eq!(refused(add("wan.007", "vlan", &[])), "interface wan.007: not the name of VLAN 007; expected wan.7");
    assert_eq!(
        refused(set("wan", InterfaceSetting::Mtu(67))),
        "interface wan: mtu: 67 is out of range; expected 68 to 9216\ninterface wan.7: mtu: 67 is out of range; expected 68 to 9216\ninterface wan.8: mtu: 1400 is more than that of wan; expected at most 67"
    );
    assert_eq!(
        refused(set("wan.7", InterfaceSetting::Mac(Some(Mac([2; 6]))))),
        "interface wan.7: mac: a sub-interface has its parent's; set it on wan"
    );
    assert_eq!(
        refused(add_address("lan", "192.0.2.3/24")),
        "interface wan: address 192.0.2.2/24: interface lan is on 192.0.2.0/24 already; expected a subnet of its own for each interface of a VRF"
    );
    assert_eq!(
        refused(Edit::RouteAdd { key: key("10.1.2.3/16"), route: Route::Blackhole }),
        "route 10.1.2.3/16: bits are set behind the prefix length; expected 10.1.0.0/16"
    );
    assert_eq!(
        refused(remove_address("wan", "192.0.2.2/24")),
        "neighbor 192.0.2.9: in no subnet of interface wan; give the interface an address in the neighbor's subnet"
    );
}

#[test]
fn both_families_are_edited_alike() {
    assert_eq!(steps(add_address("wan", "2001:db8:1::1/64")), "+ address 2001:db8:1::1/64 interface wan\n");
    let with = |edits: &[Edit]| edits.iter().fold(start(), |config, wanted| edit(&config, wanted).unwrap());
    let fe80 = NextHop { interface: Some(name("wan")), ..NextHop::new("fe80::9".parse().unwrap()) };
    let add = Edit::RouteAdd { key: key("::/0"), route: Route::via(vec![fe80]) };
    let next = with(&[add_address("wan", "2001:db8:1::1/64"), add.clone()]);
    assert!(plan(&start(), &next).to_string().ends_with("+ route ::/0 via fe80::9 interface wan\n"));
    assert_eq!(
        edit(&next, &add).unwrap_err().to_string(),
        "::/0 has a route already (via fe80::9 interface wan); use `route replace`"
    );
    let mac = "02:00:00:00:00:09".parse().unwrap();
    let neighbor = Edit::NeighborAdd { key: neighbor("wan", "fe80::9"), mac };
    assert!(edit(&next, &neighbor).is_ok());
    assert_eq!(refused(neighbor), "neighbor fe80::9: interface wan has no IPv6; give the interface an IPv6 address");
    assert_eq!(
        refused(Edit::RouteAdd { key: key("2001:db8::/32"), route: via("192.0.2.1") }),
        "route 2001:db8::/32: via 192.0.2.1: another address family; expected an IPv6 address, as the prefix is one"
    );
}

#[test]
fn a_route_leads_into_another_vrf() {
    let leak = |vrf: &str| Edit::RouteReplace { key: key("10.0.0.0/8"), route: Route::NextVrf(name(vrf)) };
    assert_eq!(steps(leak("blue")), "~ route 10.0.0.0/8: via 192.0.2.1 interface wan -> next-vrf blue\n");
    assert_eq!(
        refused(leak("green")),
        "route 10.0.0.0/8: next-vrf: no VRF \"green\"; add it to `vrfs`, or use one of: blue, default"
    );
    assert_eq!(
        refused(leak("default")),
        "route 10.0.0.0/8: next-vrf: this is the route's own VRF; expected the name of another VRF"
    );
}

#[test]
fn router_advertisements_are_switched_and_set() {
    let set = |text: &str| set("lan", InterfaceSetting::RouterAdvertisements(text.to_owned()));
    assert_eq!(steps(set("on")), "~ interface lan: router-advertisements off -> on\n");
    assert_eq!(steps(set("off")), "");
    let text = "{interval: 30s, prefixes: [\"2001:db8::/64\"]}";
    assert_eq!(steps(set(text)), format!("~ interface lan: router-advertisements off -> {text}\n"));
    let on = edit(&start(), &set("on")).unwrap();
    assert_eq!(plan(&on, &start()).to_string(), "~ interface lan: router-advertisements on -> off\n");
    assert_eq!(
        refused(set("{interval: 2s, intervall: 9}")),
        "interface lan: router-advertisements: interval: cannot take \"2s\"; expected a time from 4s to 30m, with its unit\n\
         interface lan: router-advertisements: intervall: unknown key; did you mean `interval`?"
    );
    assert!(refused(set("{interval")).starts_with("not valid YAML: "));
    assert_eq!(
        refused(set("sometimes")),
        "interface lan: router-advertisements: found a single value; expected a mapping: `key: value`"
    );
    assert_eq!(
        steps(add("x", "tap", &[("device", "t0"), ("router-advertisements", "on")])),
        "+ interface x: tap t0 router-advertisements on\n"
    );
}
