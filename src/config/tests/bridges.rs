//! What commands make of bridges, their ports, tunnels, bonds, mirrors and LLDP, and what is refused with which words.
#![allow(clippy::unwrap_used, reason = "what is unwrapped is written right here")]

use millrace_config::*;

const START: &str = "
bridges:
  br0: {bvi: {addresses: [10.1.0.1/24], sub-interfaces: {10: {addresses: [10.1.10.1/24]}}}, static-macs: [{mac: '02:00:00:00:00:07', interface: c2}]}
  br1: {mac-age: 10m}
interfaces:
  c1: {driver: tap, device: c1, bridge: br0, vlan: 10, isolated: true}
  c2: {driver: tap, device: c2, bridge: br0}
  c3: {driver: tap, device: c3}
  wan: {driver: tap, device: wan, addresses: [192.0.2.1/24], sub-interfaces: {200: {}, 300: {bridge: br1}}}
  vx0: {driver: vxlan, vni: 7, local: 192.0.2.1, remotes: [192.0.2.2]}
  gre0: {driver: gre, local: 192.0.2.1, remote: 192.0.2.2, addresses: [10.9.0.1/30]}
  p1: {driver: tap, device: p1}
  p2: {driver: tap, device: p2}
  bond0: {driver: bond, members: [p1, p2], primary: p1}
  probe: {driver: tap, device: probe}
mirrors: {m1: {from: [c1], to: probe}}
lldp: {interfaces: [wan]}
nat44: {inside: [br0], outside: [wan]}
";

fn start() -> Config {
    parse(START, "start").unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn pairs(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn set(interface: &str, settings: &[(&str, &str)]) -> Edit {
    Edit::InterfaceSet { name: name(interface), setting: InterfaceSetting::Keys(pairs(settings)) }
}

fn add(interface: &str, driver: &str, settings: &[(&str, &str)]) -> Edit {
    Edit::InterfaceAdd { name: name(interface), driver: driver.to_owned(), settings: pairs(settings) }
}

fn remove(interface: &str) -> Edit {
    Edit::InterfaceRemove { name: name(interface) }
}

fn bridge_add(bridge: &str, settings: &[(&str, &str)]) -> Edit {
    Edit::BridgeAdd { name: name(bridge), settings: pairs(settings) }
}

fn bridge_set(bridge: &str, settings: &[(&str, &str)]) -> Edit {
    Edit::BridgeSet { name: name(bridge), settings: pairs(settings) }
}

fn bridge_remove(bridge: &str) -> Edit {
    Edit::BridgeRemove { name: name(bridge) }
}

fn mirror_add(mirror: &str, settings: &[(&str, &str)]) -> Edit {
    Edit::MirrorAdd { name: name(mirror), settings: pairs(settings) }
}

/// The steps that edits of [`START`], one after the other, come to; they lead there.
fn steps(wanted: &[Edit]) -> String {
    let next = wanted.iter().fold(start(), |config, wanted| edit(&config, wanted).unwrap());
    let (plan, mut there) = (plan(&start(), &next), start());
    plan.apply(&mut there);
    assert_eq!(there, next);
    assert_eq!(parse(&next.to_yaml(), "canonical"), Ok(next));
    plan.to_string()
}

/// The words with which an edit of [`START`] is refused.
fn refused(unwanted: Edit) -> String {
    edit(&start(), &unwanted).unwrap_err().to_string()
}

#[test]
fn bridges_come_with_keys_and_an_interface() {
    assert_eq!(steps(&[bridge_add("br2", &[])]), "+ bridge br2\n");
    assert_eq!(
        steps(&[bridge_add("br2", &[("mac-age", "0s"), ("stp", "pass"), ("bvi", "{addresses: [10.2.0.1/24]}")])]),
        "+ bridge br2 mac-age 0s stp pass\n+ interface br2: bvi\n+ address 10.2.0.1/24 interface br2\n"
    );
    assert_eq!(refused(bridge_add("br1", &[])), "bridge br1 is there already; use `bridge set`");
    assert_eq!(
        refused(bridge_add("c3", &[])),
        "bridge c3: an interface has this name; expected another name: a bridge's own interface is called as the bridge"
    );
    assert_eq!(
        refused(bridge_add("c3", &[("bvi", "on")])),
        "interface c3 is there already; choose another name for the bridge"
    );
    assert_eq!(
        refused(bridge_add("br2", &[("mac-age", "1s"), ("lern", "5")])),
        "bridge br2: mac-age: cannot take \"1s\"; expected a time from 10s to 1000000s, or 0s: stations are never forgotten\n\
         bridge br2: lern: unknown key; did you mean `learn`?"
    );
}

#[test]
fn bridges_change_while_they_run() {
    assert_eq!(
        steps(&[bridge_set("br1", &[("mac-age", ""), ("learn", "false")])]),
        "~ bridge br1: mac-age 10m -> default, learn default -> false\n"
    );
    let stations = "[{mac: '02:00:00:00:00:08', interface: c1, vlan: 10}]";
    assert_eq!(
        steps(&[bridge_set("br0", &[("static-macs", stations)])]),
        "- static mac 02:00:00:00:00:07 interface c2 bridge br0\n\
         + static mac 02:00:00:00:00:08 vlan 10 interface c1 bridge br0\n"
    );
    assert_eq!(steps(&[bridge_set("br0", &[("bvi", "on"), ("stp", "pass")])]), "~ bridge br0: stp default -> pass\n");
    assert_eq!(steps(&[bridge_set("br1", &[("bvi", "on")])]), "+ interface br1: bvi\n");
    assert_eq!(
        steps(&[add("br1", "bvi", &[("addresses", "[10.2.0.1/24]")])]),
        "+ interface br1: bvi\n+ address 10.2.0.1/24 interface br1\n"
    );
    // What stands in braces is all of it.
    assert_eq!(
        steps(&[bridge_set("br0", &[("bvi", "{mtu: 9000}")])]),
        "- address 10.1.0.1/24 interface br0\n- address 10.1.10.1/24 interface br0.10\n- interface br0.10: vlan 10 of br0\n\
         ~ interface br0: mtu 1500 -> 9000\n"
    );
    assert_eq!(
        refused(bridge_set("br0", &[("bvi", "off")])),
        "interface br0 is used by interface br0.10, nat44 inside; remove these first"
    );
    assert_eq!(refused(bridge_set("br2", &[("stp", "pass")])), "no bridge \"br2\"; did you mean `br0`?");
}

#[test]
fn bridges_go_when_nothing_refers_to_them() {
    assert_eq!(
        steps(&[set("wan.300", &[("bridge", "off")]), bridge_remove("br1")]),
        "~ interface wan.300: bridge br1 -> off\n- bridge br1\n"
    );
    assert_eq!(refused(bridge_remove("br0")), "bridge br0 is used by interface c1, interface c2; remove these first");
    assert_eq!(refused(bridge_remove("br1")), "bridge br1 is used by interface wan.300; remove these first");
    let alone =
        [bridge_set("br0", &[("static-macs", "")]), set("c1", &[("bridge", "off")]), set("c2", &[("bridge", "")])];
    let next = alone.iter().fold(start(), |config, wanted| edit(&config, wanted).unwrap());
    assert_eq!(
        edit(&next, &bridge_remove("br0")).unwrap_err().to_string(),
        "the interface of bridge br0 is used by interface br0.10, nat44 inside; remove these first"
    );
}

#[test]
fn ports_join_change_and_leave() {
    assert_eq!(
        steps(&[set("c3", &[("bridge", "br0"), ("trunk", "{vlans: '10,20', native: 1}"), ("mac-limit", "5")])]),
        "~ interface c3: bridge off -> br0 mac-limit 5 trunk 10,20 native 1\n"
    );
    // One way to tell VLANs takes the place of another; what is not named stays.
    assert_eq!(
        steps(&[set("c1", &[("trunk", "all")])]),
        "~ interface c1: vlan 10 -> default, trunk default -> {vlans: all}\n"
    );
    assert_eq!(steps(&[set("c1", &[("vlan", "off")])]), "~ interface c1: vlan 10 -> default\n");
    assert_eq!(
        steps(&[set("c1", &[("bridge", "br1")])]),
        "~ interface c1: bridge br0 isolated true vlan 10 -> off\n~ interface c1: bridge off -> br1 isolated true vlan 10\n"
    );
    assert_eq!(steps(&[set("c1", &[("bridge", "off")])]), "~ interface c1: bridge br0 isolated true vlan 10 -> off\n");
    assert_eq!(
        steps(&[add("wan.200.10", "vlan", &[("bridge", "br1"), ("tag-rewrite", "{translate: 20}")])]),
        "+ interface wan.200.10: vlan 200.10 of wan\n~ interface wan.200.10: bridge off -> br1 tag-rewrite translate 20\n"
    );
    assert_eq!(
        steps(&[set("wan.300", &[("tag-rewrite", "keep")])]),
        "~ interface wan.300: tag-rewrite default -> keep\n"
    );
    assert_eq!(
        refused(set("wan", &[("bridge", "br1")])),
        "interface wan: bridge: no packet of a port is routed, but it has addresses; set addresses under `bvi` of bridge br1, or leave the bridge\n\
         interface wan: bridge: no packet of a port is routed, but it has sub-interfaces; expected `trunk` on the port, or the bridge at its sub-interfaces"
    );
    assert_eq!(
        refused(set("c3", &[("vlan", "10")])),
        "interface c3: vlan: only a port of a bridge has it; expected `bridge: NAME` beside it, or no `vlan`"
    );
    assert_eq!(
        refused(set("c2", &[("bridge", "off")])),
        "bridge br0: static-macs: 02:00:00:00:00:07: c2 is no port of the bridge; expected one of its ports: c1"
    );
    assert_eq!(
        refused(set("c1", &[("bridge", "off"), ("vlan", "10")])),
        "interface c1: bridge: off takes all keys of the port away; set it alone"
    );
    assert_eq!(
        refused(set("c3", &[("bridge", "br7")])),
        "interface c3: bridge: no bridge \"br7\"; did you mean `br0`?"
    );
}

#[test]
fn a_bridges_own_interface_is_no_port_and_no_cross_connect() {
    assert_eq!(refused(add("br7", "bvi", &[])), "interface br7: no bridge \"br7\"; did you mean `br0`?");
    assert_eq!(
        refused(set("br0.10", &[("bridge", "br1")])),
        "interface br0.10: bridge: br0 is a bridge's own interface, with the VLANs of that bridge; expected no bridge\n\
         interface br0.10: bridge: no packet of a port is routed, but it has addresses; set addresses under `bvi` of bridge br1, or leave the bridge"
    );
    assert_eq!(
        refused(set("br0", &[("bridge", "br1")])).lines().next(),
        Some(
            "interface br0: bridge: a bridge's own interface is no port of another one; expected no bridge: it is the routed interface of bridge br0"
        )
    );
    let connect = InterfaceSetting::CrossConnect(Some(name("c3")));
    assert_eq!(
        refused(Edit::InterfaceSet { name: name("br0"), setting: connect }).lines().next(),
        Some(
            "interface br0: cross-connect: a bridge's own interface has none; expected it on another interface: frames to the bridge itself are routed"
        )
    );
}

#[test]
fn tunnels_and_bonds_change_in_place() {
    assert_eq!(
        steps(&[set("vx0", &[("remotes", "[192.0.2.2, 192.0.2.3]"), ("ttl", "9")])]),
        "~ interface vx0: remotes [192.0.2.2] -> [192.0.2.2, 192.0.2.3], ttl default -> 9\n"
    );
    // The headers are larger then, and the MTU that goes with them is smaller.
    assert_eq!(
        steps(&[set("gre0", &[("key", "5")])]),
        "~ interface gre0: key default -> 5\n~ interface gre0: mtu 1476 -> 1472\n"
    );
    let all = parse(START, "").unwrap().interfaces;
    let mtus: Vec<u16> = ["vx0", "gre0", "bond0"].iter().map(|name| all[*name].mtu).collect();
    assert_eq!(mtus, [1450, 1476, 1500]);
    assert_eq!(
        steps(&[set("bond0", &[("members", "[p1, c3]"), ("min-links", "2")])]),
        "~ interface bond0: members [p1, p2] -> [p1]\n\
         ~ interface bond0: members [p1] -> [p1, c3], min-links default -> 2\n"
    );
    assert_eq!(
        refused(set("bond0", &[("members", "[p1, c1]")])),
        "interface bond0: members: c1 has bridge; set them on bond0: a member has no other use"
    );
    assert_eq!(
        refused(add("x", "vxlan", &[("vni", "7"), ("local", "192.0.2.1")])),
        "interface x: vni: 7 at 192.0.2.1 is interface vx0's already; expected a VNI of its own for each local address, port and underlay VRF"
    );
    assert_eq!(
        refused(set("br0", &[("ttl", "4")])),
        "interface br0: ttl: a bridge's own interface has no driver; `bridge set br0` sets the keys of the bridge"
    );
}

#[test]
fn the_other_ends_of_a_vxlan_are_known_or_heard_and_not_too_many() {
    let many: Vec<String> = (0..Vxlan::MAX_REMOTES).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
    let with = |more: &str| set("vx0", &[("remotes", &format!("[{}{more}]", many.join(",")))]);
    steps(&[with("")]);
    assert_eq!(refused(with(", 10.1.0.0")), "interface vx0: remotes: 513 are too many; expected at most 512");
    let deaf = || set("vx0", &[("remotes", "[]"), ("learn-remotes", "false")]);
    assert_eq!(
        refused(deaf()),
        "interface vx0: learn-remotes: no other end is known, and none can become known; expected `remotes`, `learn-remotes: true`, or static-macs with a `remote`"
    );
    let station = "[{mac: '02:00:00:00:00:09', interface: vx0, remote: 192.0.2.9}]";
    steps(&[set("vx0", &[("bridge", "br1")]), bridge_set("br1", &[("static-macs", station)]), deaf()]);
}

#[test]
fn what_is_named_stays() {
    for (interface, users) in [
        ("probe", "mirror m1"),
        ("c1", "mirror m1"),
        ("c2", "static mac 02:00:00:00:00:07 of bridge br0"),
        ("p1", "bond bond0"),
        ("br0", "interface br0.10, nat44 inside"),
        ("wan", "interface wan.200, interface wan.300, lldp, nat44 outside"),
    ] {
        assert_eq!(refused(remove(interface)), format!("interface {interface} is used by {users}; remove these first"));
    }
    assert_eq!(
        steps(&[remove("br0.10")]),
        "- address 10.1.10.1/24 interface br0.10\n- interface br0.10: vlan 10 of br0\n"
    );
    assert_eq!(
        steps(&[remove("bond0"), remove("p1")]),
        "- interface bond0: bond active-backup of p1,p2\n- interface p1: tap p1\n"
    );
}

#[test]
fn mirrors_and_lldp() {
    assert_eq!(
        steps(&[mirror_add(
            "m2",
            &[("from", "[c2, br0]"), ("file", "/tmp/a.pcapng"), ("limit", "5"), ("direction", "rx")]
        )]),
        "+ mirror m2 from c2,br0 file /tmp/a.pcapng direction rx limit 5\n"
    );
    assert_eq!(steps(&[Edit::MirrorRemove { name: name("m1") }]), "- mirror m1 from c1 to probe\n");
    assert_eq!(refused(Edit::MirrorRemove { name: name("m2") }), "no mirror \"m2\"; expected one of: m1");
    assert_eq!(
        refused(mirror_add("m1", &[("from", "c1"), ("to", "probe")])),
        "mirror m1 is there already (from c1 to probe); use `mirror remove` first"
    );
    assert_eq!(
        refused(mirror_add("m2", &[("from", "probe"), ("to", "c3")])),
        "mirror m1: to: what leaves by probe is copied from probe by mirror m2; expected an interface that no mirror copies from"
    );
    // A mirror whose target is made anew ends before and begins after.
    assert_eq!(
        steps(&[set("probe", &[("queues", "2")])]),
        "- mirror m1 from c1 to probe\n- interface probe: tap probe\n+ interface probe: tap probe\n+ mirror m1 from c1 to probe\n"
    );
    assert_eq!(
        steps(&[Edit::LldpSet(pairs(&[("enabled", "true"), ("interfaces", "all"), ("system-name", "edge")]))]),
        "~ lldp: off -> interfaces all interval 30s hold 4 system-name \"edge\"\n"
    );
    assert_eq!(
        refused(Edit::LldpSet(pairs(&[("hold", "1"), ("interfaces", "[wan, br0]")]))),
        "lldp: hold: cannot take \"1\"; expected a whole number from 2 to 10"
    );
    for interval in ["0s", "3601s", "1500ms"] {
        assert_eq!(
            refused(Edit::LldpSet(pairs(&[("interval", interval)]))),
            format!("lldp: interval: cannot take \"{interval}\"; expected a time of whole seconds from 1s to 3600s")
        );
    }
    steps(&[Edit::LldpSet(pairs(&[("enabled", "true"), ("interval", "3600s")]))]);
    assert_eq!(
        refused(Edit::LldpSet(pairs(&[("system-name", "a\0b")]))),
        "lldp: system-name: cannot take \"a\0b\"; expected a text of 1 to 255 bytes"
    );
    assert_eq!(
        refused(Edit::LldpSet(pairs(&[("interfaces", "[wan, br0]")]))),
        "lldp: interfaces: br0 has no wire of its own (bvi); expected an interface with a device"
    );
}
