//! Single changes by command, as an operator types them: many of them don't fit, and are refused.

use crate::configs;
use crate::pieces::{self, ADDRESSES, BRIDGES, ENDS, PORTS, PREFIXES};
use crate::random::Random;
use serde_json::{Value, json};

/// The words of a command.
pub fn edit(random: &mut Random) -> Vec<String> {
    let port = random.of(&PORTS);
    let bridge = random.of(&BRIDGES);
    match random.below(24) {
        0..9 => set(random, port),
        9..11 => words(&["interface", "remove", port]),
        11..14 => add(random),
        14 => words(&["bridge", "remove", bridge]),
        15..17 => {
            let verb = random.of(&["add", "set", "set"]);
            made(random, &["bridge", verb, bridge], |random, tree| {
                pieces::bridge(random, tree, bridge);
                tree["bridges"][bridge].take()
            })
        }
        17 => {
            let bvi = random.of(&["on", "off", "{addresses: [10.0.3.1/25]}"]);
            words(&["bridge", "set", bridge, "bvi", bvi])
        }
        18..20 => words(&["address", random.of(&["add", "remove"]), random.of(&ADDRESSES), "interface", port]),
        20 => words(&["mirror", "remove", random.of(&["m0", "m1"])]),
        21 => words(&["mirror", "add", random.of(&["m0", "m1"]), "from", port, "to", random.of(&["tb", "ve", "mb"])]),
        22 => words(&["lldp", "set", "enabled", random.of(&["true", "false"])]),
        _ => route(random, port),
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn route(random: &mut Random, port: &str) -> Vec<String> {
    let prefix = random.of(&PREFIXES);
    match random.below(4) {
        0 => words(&["route", "remove", prefix]),
        1 => words(&["route", "add", prefix, "blackhole"]),
        2 => words(&["route", "replace", prefix, "via", random.of(&ENDS)]),
        _ => words(&["route", "replace", prefix, "via", random.of(&ENDS), "interface", port]),
    }
}

fn set(random: &mut Random, port: &str) -> Vec<String> {
    let settings = [
        "up",
        "down",
        "down",
        "mtu 1400",
        "mtu 1500",
        "mac 02:00:00:00:00:01",
        "mac 02:00:00:00:00:02",
        "vrf red",
        "vrf default",
        "bridge br0",
        "bridge br1",
        "bridge off",
        "vlan 10",
        "vlan off",
        "trunk all",
        "trunk 10,20",
        "isolated true",
        "learn false",
        "cross-connect va",
        "cross-connect off",
        "tag-rewrite keep",
        "remotes 10.0.0.9",
        "local 10.0.1.1",
        "vni 2",
        "ttl 9",
        "key 1",
        "members vc,vd",
        "members vd,ve",
        "mode lacp",
        "primary vd",
        "urpf loose",
        "id 2",
        "bridge br0 vlan 20 mac-limit 9",
        "device va",
        "tag-type 802.1ad",
        "underlay-vrf red",
        "router-advertisements on",
        "mss-clamp auto",
    ];
    let setting = random.of(&settings);
    let mut all = words(&["interface", "set", port]);
    all.extend(setting.split(' ').map(str::to_owned));
    all
}

fn add(random: &mut Random) -> Vec<String> {
    if random.one_in(2) {
        let name = random.of(&["va.100", "vb.200.10", "bond0.100", "br0.10", "br1.20", "vx0.100"]);
        let more = random.of(&["bridge br0", "bridge br1 vlan 10", "address 10.0.2.1/24", "vrf red"]);
        let mut all = words(&["interface", "add", name, "driver", "vlan"]);
        all.extend(more.split(' ').map(str::to_owned));
        return all;
    }
    let mut tree = configs::empty();
    let make = random.of(&[pieces::device, pieces::tunnel, pieces::bond]);
    make(random, &mut tree);
    let Some((name, keys)) = tree["interfaces"].as_object().and_then(|all| all.iter().next()) else {
        return Vec::new();
    };
    let (name, mut keys) = (name.clone(), keys.clone());
    if let Some(addresses) = keys.as_object_mut().and_then(|keys| keys.remove("addresses")) {
        keys["address"] = addresses;
    }
    made(random, &["interface", "add", &name], |_, _| keys)
}

/// A command whose settings are those of a piece.
fn made(random: &mut Random, begin: &[&str], make: impl FnOnce(&mut Random, &mut Value) -> Value) -> Vec<String> {
    let mut tree = json!({"bridges": {}});
    let keys = make(random, &mut tree);
    let mut all = words(begin);
    for (key, value) in keys.as_object().into_iter().flatten() {
        let value = match value {
            Value::String(text) if key == "state" => {
                all.push(text.clone());
                continue;
            }
            Value::String(text) => text.clone(),
            Value::Array(items) if items.iter().all(Value::is_string) => {
                items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
            }
            value => value.to_string(),
        };
        all.extend([key.clone(), value]);
    }
    all
}
