//! Things that a configuration may have: each put into a tree, whether or not it fits.

use crate::random::Random;
use serde_json::{Map, Value, json};

const WITH_DEVICE: [&str; 10] = ["va", "vb", "vc", "vd", "ve", "ta", "tb", "ma", "mb", "lo"];
/// No limit is below the static stations that there may be: which of too many have a place depends on the way.
const MOST: usize = 8;
pub const BRIDGES: [&str; 3] = ["br0", "br1", "br2"];
pub const PORTS: [&str; 19] = [
    "va",
    "vb",
    "vc",
    "vd",
    "ve",
    "ta",
    "tb",
    "ma",
    "vx0",
    "vx1",
    "vx2",
    "bond0",
    "bond1",
    "va.100",
    "vb.100",
    "vb.200.10",
    "bond0.100",
    "br0",
    "vx0.100",
];
const PARENTS: [&str; 6] = ["va", "vb", "vc", "ta", "bond0", "vx0"];
const TAGS: [&str; 4] = ["100", "200", "100.10", "200.10"];
const VRFS: [&str; 3] = ["default", "default", "red"];
const MACS: [&str; 3] = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"];
/// The address of `va`, mostly, is `ADDRESSES[0]`: tunnels end there.
pub const ADDRESSES: [&str; 8] = [
    "10.0.0.1/24",
    "10.0.1.1/24",
    "10.0.2.1/24",
    "10.0.3.1/25",
    "10.0.9.1/32",
    "2001:db8::1/64",
    "2001:db8:1::1/64",
    "fe80::1/64",
];
pub const ENDS: [&str; 3] = ["10.0.0.9", "10.0.1.9", "10.0.0.10"];
const ENDS6: [&str; 2] = ["2001:db8::9", "2001:db8::10"];
pub const PREFIXES: [&str; 5] = ["0.0.0.0/0", "192.0.2.0/24", "198.51.100.7/32", "::/0", "2001:db8:77::/48"];

/// Puts a thing into a tree.
pub fn piece(random: &mut Random, tree: &mut Value) {
    match random.below(30) {
        0..7 => device(random, tree),
        7..11 => sub_interface(random, tree),
        11..14 => {
            let name = random.of(&BRIDGES);
            bridge(random, tree, name);
        }
        14..16 => bvi(random, tree),
        16..18 => tunnel(random, tree),
        18 => bond(random, tree),
        19..21 => station(random, tree),
        21 => mirror(random, tree),
        22 => lldp(random, tree),
        23..25 => route(random, tree),
        25..27 => neighbor(random, tree),
        27 => nat44(random, tree),
        28 => drop(tree["vrfs"].as_object_mut().map(|vrfs| vrfs.insert("red".to_owned(), json!({})))),
        _ => {
            let interface = random.of(&PORTS);
            tree["policy-routes"] = json!([{"interface": interface, "vrf": random.of(&VRFS)}]);
        }
    }
}

pub fn device(random: &mut Random, tree: &mut Value) {
    let name = random.of(&WITH_DEVICE);
    let mut keys = match name.as_bytes()[0] {
        b'v' => json!({"driver": "af-packet", "device": name}),
        b't' => json!({"driver": "tap", "device": name}),
        b'm' => {
            let id = if random.one_in(4) { 3 } else { u32::from(name.as_bytes()[1] - b'a') };
            json!({"driver": "memif", "socket": "@DIR@/m.sock", "id": id})
        }
        _ => json!({"driver": "loopback"}),
    };
    if random.one_in(4) && !name.starts_with('m') {
        keys["mtu"] = random.of(&[1400, 1500, 2000]).into();
    }
    if random.one_in(4) && name != "lo" {
        keys["mac"] = random.of(&MACS).into();
    }
    role(random, &mut keys, false);
    put(random, tree, name, keys);
}

/// Puts an interface into a tree. What was there of it may keep its sub-interfaces.
fn put(random: &mut Random, tree: &mut Value, name: &str, mut keys: Value) {
    let before = &tree["interfaces"][name];
    if let Some(subs) = before.get("sub-interfaces").filter(|_| keys.get("bridge").is_none() && !random.one_in(4)) {
        keys["sub-interfaces"] = subs.clone();
    }
    if random.one_in(8) {
        keys["state"] = "down".into();
    }
    tree["interfaces"][name] = keys;
}

/// What an interface is there for.
fn role(random: &mut Random, keys: &mut Value, is_sub: bool) {
    match random.below(6) {
        0 => {}
        1..3 => routed(random, keys),
        3 if !is_sub && random.one_in(2) => keys["cross-connect"] = random.of(&PORTS).into(),
        _ => port(random, keys, is_sub),
    }
}

fn routed(random: &mut Random, keys: &mut Value) {
    keys["addresses"] = random.some(&ADDRESSES).into();
    if random.one_in(3) {
        keys["vrf"] = random.of(&VRFS).into();
    }
    if random.one_in(6) {
        keys["urpf"] = random.of(&["strict", "loose"]).into();
    }
    if random.one_in(6) {
        keys["mss-clamp"] = "auto".into();
    }
    if random.one_in(6) {
        keys["router-advertisements"] = json!({});
    }
}

fn port(random: &mut Random, keys: &mut Value, is_sub: bool) {
    keys["bridge"] = random.of(&BRIDGES).into();
    for (key, value) in [
        ("learn", json!(false)),
        ("flood", json!(false)),
        ("unknown-unicast", json!("drop")),
        ("isolated", json!(true)),
        ("split-horizon-group", json!(1 + random.below(2))),
        ("mac-limit", json!(MOST + random.below(4))),
        ("storm-control", json!({random.of(&["broadcast", "multicast", "unknown"]): 1 + random.below(100)})),
    ] {
        if random.one_in(6) {
            keys[key] = value;
        }
    }
    match random.below(6) {
        0 | 1 => keys["vlan"] = random.of(&[10, 20]).into(),
        2 => keys["trunk"] = json!({"vlans": random.of(&["10", "10,20", "20-30", "all"])}),
        3 => keys["trunk"] = json!({"vlans": "20", "native": random.of(&[10, 20])}),
        4 if is_sub => {
            keys["tag-rewrite"] = random.of(&[json!("keep"), json!({"push": 300}), json!({"translate": 300})])
        }
        _ => {}
    }
}

fn sub_interface(random: &mut Random, tree: &mut Value) {
    let (mut keys, tags) = (json!({}), random.of(&TAGS));
    if random.one_in(5) {
        keys["tag-type"] = random.of(&["802.1q", "802.1ad"]).into();
    }
    if random.one_in(6) {
        keys["state"] = "down".into();
    }
    if random.one_in(4) {
        let bridge = random.of(&BRIDGES);
        if tree["bridges"][bridge]["bvi"].is_object() {
            routed(random, &mut keys);
            tree["bridges"][bridge]["bvi"]["sub-interfaces"][random.of(&["10", "20"])] = keys;
        }
        return;
    }
    role(random, &mut keys, true);
    let parent = random.of(&PARENTS);
    if tree["interfaces"][parent].is_object() {
        tree["interfaces"][parent]["sub-interfaces"][tags] = keys;
    }
}

pub fn bridge(random: &mut Random, tree: &mut Value, name: &str) {
    let mut keys = json!({});
    for (key, value) in [
        ("mac-age", json!(random.of(&["10s", "60s", "0s"]))),
        ("mac-limit", json!(MOST + random.below(10))),
        ("learn", json!(false)),
        ("forward", json!(false)),
        ("flood", json!(false)),
        ("unknown-unicast", json!("drop")),
        ("stp", json!("pass")),
        ("arp-suppression", json!(true)),
        ("igmp-snooping", json!(true)),
        ("mld-snooping", json!(true)),
    ] {
        if random.one_in(5) {
            keys[key] = value;
        }
    }
    for kept in ["bvi", "static-macs"] {
        if let Some(before) = tree["bridges"][name].get(kept) {
            keys[kept] = before.clone();
        }
    }
    tree["bridges"][name] = keys;
}

fn bvi(random: &mut Random, tree: &mut Value) {
    let name = random.of(&BRIDGES);
    if !tree["bridges"][name].is_object() {
        return;
    }
    let mut keys = json!({});
    if random.one_in(3) {
        keys["mac"] = random.of(&MACS).into();
    }
    if random.one_in(6) {
        keys["state"] = "down".into();
    }
    if let Some(subs) = tree["bridges"][name]["bvi"].get("sub-interfaces") {
        keys["sub-interfaces"] = subs.clone();
    }
    routed(random, &mut keys);
    tree["bridges"][name]["bvi"] = keys;
}

pub fn tunnel(random: &mut Random, tree: &mut Value) {
    let name = random.of(&["vx0", "vx1", "vx2", "gre0", "gre1", "ipip0"]);
    let six = random.one_in(3);
    let (local, ends) = if six { ("2001:db8::1", &ENDS6[..]) } else { ("10.0.0.1", &ENDS[..]) };
    let mut keys = json!({"local": local});
    if name.starts_with("vx") {
        keys["driver"] = "vxlan".into();
        keys["vni"] = (1 + random.below(3)).into();
        if !random.one_in(4) {
            keys["remotes"] = random.some(ends).into();
        }
        for (key, value) in [("learn-remotes", json!(false)), ("port", json!(8472)), ("udp-checksum", json!("on"))] {
            if random.one_in(4) {
                keys[key] = value;
            }
        }
        role(random, &mut keys, false);
    } else {
        keys["driver"] = name.trim_end_matches(char::is_numeric).into();
        keys["remote"] = random.of(ends).into();
        if name.starts_with("gre") && random.one_in(2) {
            keys["key"] = random.below(2).into();
        }
        routed(random, &mut keys);
    }
    if random.one_in(4) {
        keys["ttl"] = random.of(&[8, 255]).into();
    }
    if random.one_in(4) {
        keys["mtu"] = 1300.into();
    }
    if random.one_in(6) {
        keys["underlay-vrf"] = random.of(&VRFS).into();
    }
    put(random, tree, name, keys);
}

pub fn bond(random: &mut Random, tree: &mut Value) {
    let name = random.of(&["bond0", "bond1"]);
    let mut keys =
        json!({"driver": "bond", "members": random.some(&["vc", "vd", "ve", "tb"]), "mac": random.of(&MACS)});
    if random.one_in(2) {
        keys["mode"] = "lacp".into();
        keys["lacp-rate"] = random.of(&["fast", "slow"]).into();
    } else if random.one_in(2) {
        keys["primary"] = keys["members"][0].clone();
    }
    if random.one_in(3) {
        keys["hash"] = random.of(&["layer2", "layer2+3"]).into();
    }
    role(random, &mut keys, false);
    for member in keys["members"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let bare: Map<String, Value> = tree["interfaces"][member]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| ["driver", "device", "mtu", "mac", "state"].contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let driver = if member.starts_with('t') { "tap" } else { "af-packet" };
        tree["interfaces"][member] =
            if bare.is_empty() { json!({"driver": driver, "device": member}) } else { bare.into() };
    }
    put(random, tree, name, keys);
}

fn station(random: &mut Random, tree: &mut Value) {
    let bridge = random.of(&BRIDGES);
    // Few chance upon a port of the bridge.
    let ports: Vec<String> = tree["interfaces"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, keys)| keys["bridge"] == bridge)
        .map(|(name, _)| name.clone())
        .collect();
    if ports.is_empty() || !tree["bridges"][bridge].is_object() {
        return;
    }
    let interface = random.of(&ports);
    let mac = format!("02:00:00:00:01:{:02x}", random.below(4));
    let mut keys = json!({"mac": mac, "interface": interface});
    let port = &tree["interfaces"][&interface];
    match port.get("vlan") {
        Some(vlan) => keys["vlan"] = vlan.clone(),
        None if port.get("trunk").is_some() => keys["vlan"] = random.of(&[10, 20]).into(),
        None => {}
    }
    if port["driver"] == "vxlan" {
        keys["remote"] = random
            .of(if port["local"] == "10.0.0.1" { &ENDS } else { &["2001:db8::9", "2001:db8::10", "2001:db8::11"] })
            .into();
    }
    let station = format!("{mac} {}", keys["vlan"]);
    tree["bridges"][bridge]["static-macs"][station] = keys;
}

fn mirror(random: &mut Random, tree: &mut Value) {
    let mut keys = json!({"from": random.some(&PORTS)});
    if random.one_in(2) {
        let to = random.of(&["tb", "ve", "mb"]);
        let driver = match to {
            "tb" => json!({"driver": "tap", "device": "tb"}),
            "mb" => json!({"driver": "memif", "socket": "@DIR@/m.sock", "id": 1}),
            _ => json!({"driver": "af-packet", "device": "ve"}),
        };
        tree["interfaces"][to] = driver;
        keys["to"] = to.into();
    } else {
        keys["file"] = format!("@DIR@/m{}.pcapng", random.below(2)).into();
    }
    let there = |name: &Value| {
        let name = name.as_str().unwrap_or_default();
        let (parent, tags) = name.split_once('.').unwrap_or((name, ""));
        let parent = &tree["interfaces"][parent];
        if tags.is_empty() { parent.is_object() } else { parent["sub-interfaces"][tags].is_object() }
    };
    let from: Vec<Value> = keys["from"].as_array().into_iter().flatten().filter(|name| there(name)).cloned().collect();
    keys["from"] = from.into();
    if random.one_in(2) {
        keys["direction"] = random.of(&["rx", "tx"]).into();
    }
    if random.one_in(4) {
        keys["snap-length"] = 64.into();
    }
    tree["mirrors"][random.of(&["m0", "m1"])] = keys;
}

fn lldp(random: &mut Random, tree: &mut Value) {
    let mut keys = json!({"enabled": !random.one_in(4), "interval": random.of(&["1s", "30s"])});
    if random.one_in(2) {
        keys["interfaces"] = random.some(&["va", "vb", "vc", "vd", "ta"]).into();
    }
    tree["lldp"] = keys;
}

fn route(random: &mut Random, tree: &mut Value) {
    let (prefix, vrf) = (random.of(&PREFIXES), random.of(&VRFS));
    let mut keys = json!({"to": prefix, "vrf": vrf});
    let gateways = if prefix.contains(':') { ["2001:db8::9", "2001:db8:1::9", "2001:db8:77::1"] } else { ENDS };
    match random.below(6) {
        0 => keys["type"] = random.of(&["blackhole", "unreachable", "prohibit"]).into(),
        1 => keys["next-vrf"] = random.of(&VRFS).into(),
        2 => keys["via"] = json!([{"interface": random.of(&["gre0", "gre1", "ipip0"])}]),
        3 => keys["via"] = json!([{"gateway": random.of(&gateways), "interface": random.of(&PORTS)}]),
        4 => keys["via"] = random.some(&gateways).into(),
        _ => keys["via"] = random.of(&gateways).into(),
    }
    tree["routes"][format!("{prefix} {vrf}")] = keys;
}

fn neighbor(random: &mut Random, tree: &mut Value) {
    let (interface, address) = (random.of(&PORTS), random.of(&[&ENDS[..], &ENDS6[..]].concat()));
    let keys = json!({"interface": interface, "address": address, "mac": random.of(&MACS)});
    tree["neighbors"][format!("{interface} {address}")] = keys;
}

fn nat44(random: &mut Random, tree: &mut Value) {
    let names = ["br0", "br1", "va", "vb", "va.100", "br0.10", "vx0", "gre0"];
    let (inside, outside) = (random.of(&names), random.of(&names));
    let mut keys = json!({"inside": [inside], "outside": [outside], "pool": "interface"});
    if random.one_in(2) {
        keys["pool"] = json!(["203.0.113.7"]);
        keys["static-mappings"] = json!([{"external": "10.0.0.77", "internal": "192.168.9.9"}]);
    }
    tree["nat44"] = keys;
}
