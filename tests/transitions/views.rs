//! What a router shows of itself, without what depends on time, traffic and the way that led there.

use harness::{Router, millctl};
use millrace_config::Config;
use serde_json::{Deserializer, Value};

/// Counters, ages, what was learnt, and numbers that are dealt out in the order of arrival.
const VOLATILE: &[&str] = &[
    "age",
    "stations",
    "moves",
    "storm_drops",
    "port_full",
    "bridge_full",
    "spoofed",
    "statistics",
    "sent",
    "solicitations",
    "last_seconds",
    "next_seconds",
    "markers",
    "refused",
    "receive",
    "mux",
    "actor_churn",
    "partner_churn",
    "copied",
    "mode",
    "missed_down",
    "missed_no_buffer",
    "missed_queue_full",
    "aged_out",
    "last_error",
    "ports_used",
    "sessions",
];
const VOLATILE_BEGINNINGS: &[&str] = &["rx_", "tx_", "errors_", "packets", "bytes"];

/// What is shown, each with the command that shows it.
pub type View = Vec<(String, Value)>;

/// The commands whose answers follow from the configuration.
fn commands(config: &Config) -> Vec<String> {
    let plain = [
        "show configuration",
        "show interfaces",
        "show bridges",
        "show mac-table static",
        "show vxlan",
        "show tunnels",
        "show bonds",
        "show lacp",
        "show mirrors",
        "show lldp interfaces",
        "show policy-routes",
        "show vrfs",
        "show nat44 mappings",
        "show neighbors",
    ];
    let mut all: Vec<String> = plain.into_iter().map(str::to_owned).collect();
    all.extend(config.interfaces.keys().map(|name| format!("show interfaces {name}")));
    all.extend(config.bridges.keys().map(|name| format!("show bridges {name}")));
    for vrf in ["default"].into_iter().chain(config.vrfs.keys().map(|name| &**name)) {
        all.extend(["ip", "ipv6"].map(|family| format!("show {family} route vrf {vrf}")));
        all.extend(["10.0.0.9", "192.0.2.9"].map(|address| format!("show ip route {address} vrf {vrf}")));
        all.extend(["2001:db8::9", "2001:db8:77::9"].map(|address| format!("show ipv6 route {address} vrf {vrf}")));
    }
    all
}

/// Looks at everything once.
pub fn look(router: &Router, config: &Config, folder: &str) -> View {
    let commands = commands(config);
    let file = router.files().write("looks", commands.join("\n"));
    let file = file.display().to_string();
    let answers = millctl(&router.socket(), &["-o", "json", "-f", &file]).ok().replace(folder, "@DIR@");
    let answers = Deserializer::from_str(&answers).into_iter::<Value>().map(|answer| answer.expect("JSON"));
    let mut all: View = commands.into_iter().zip(answers).collect();
    for (command, answer) in &mut all {
        if command == "show neighbors" {
            // Others were learnt.
            let rows = answer.as_array_mut().expect("a listing");
            rows.retain(|row| row["state"] == "static");
        }
        if command == "show nat44 mappings" {
            answer.as_array_mut().expect("a listing").retain(|row| row["type"] != "dynamic");
        }
        if command == "show vxlan" {
            for row in answer.as_array_mut().into_iter().flatten() {
                row["remotes"].as_array_mut().expect("a listing").retain(|remote| remote["origin"] != "learnt");
            }
        }
        if command.contains(" route ") && !command.contains(" route vrf") {
            forget_neighbours(answer);
        }
        forget(answer);
    }
    all
}

/// Takes out of the steps to a destination whether the last one is a neighbour that is known.
fn forget_neighbours(answer: &mut Value) {
    let steps = answer.as_array_mut().into_iter().flatten().flat_map(|answer| answer["resolution"].as_array_mut());
    for step in steps.flatten().filter_map(Value::as_object_mut) {
        step.retain(|key, _| !["gateway", "mac", "state", "type"].contains(&key.as_str()));
    }
}

/// Takes out what is volatile.
fn forget(value: &mut Value) {
    match value {
        Value::Array(rows) => {
            // The kernel's end of a device: its address is its own, and its MTU is only ever raised, which makes slots longer.
            rows.retain(|row| !row["name"].as_str().is_some_and(|name| name.starts_with("kernel-") || name == "rx"));
            rows.iter_mut().for_each(forget);
        }
        Value::Object(map) => {
            let is_bond = map.contains_key("bond");
            map.retain(|key, _| {
                !VOLATILE.contains(&key.as_str()) && !VOLATILE_BEGINNINGS.iter().any(|begin| key.starts_with(begin))
            });
            if is_bond {
                // Which member is used, and what LACP is at, follows from what happened.
                ["active", "key", "system"].iter().for_each(|key| drop(map.remove(*key)));
                for list in ["members", "ports"] {
                    for member in map.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                        for key in ["state", "reason", "port", "selected"] {
                            member.as_object_mut().map(|member| member.remove(key));
                        }
                    }
                }
            }
            map.values_mut().for_each(forget);
        }
        _ => {}
    }
}

/// Where two looks differ first.
pub fn difference(one: &View, other: &View) -> Option<String> {
    if one.len() != other.len() {
        return Some(format!("{} and {} answers", one.len(), other.len()));
    }
    let differ = one.iter().zip(other).find(|(one, other)| one != other);
    differ.map(|((command, one), (_, other))| format!("{command}:\n{}", at("", one, other).join("\n")))
}

/// The places where two values differ.
fn at(place: &str, one: &Value, other: &Value) -> Vec<String> {
    match (one, other) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .filter(|(_, (a, b))| a != b)
            .flat_map(|(n, (a, b))| {
                let name = ["name", "bridge", "interface", "bond", "mirror"].iter().find_map(|key| a[*key].as_str());
                at(&format!("{place}[{}]", name.map_or(n.to_string(), str::to_owned)), a, b)
            })
            .collect(),
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let value = |map: &serde_json::Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or_default();
            let parts = keys.into_iter().map(|key| (key, value(a, key), value(b, key))).filter(|(_, a, b)| a != b);
            parts.flat_map(|(key, a, b)| at(&format!("{place}.{key}"), &a, &b)).collect()
        }
        _ => vec![format!("  {place}: {one} and in a fresh one {other}")],
    }
}
