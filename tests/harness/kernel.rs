//! The Linux kernel in the router's place: what a configuration of interfaces, routes and neighbours means to it.

use crate::Namespace;
use serde_json::Value;

/// Makes the namespace a router with this configuration.
pub fn configure(router: &Namespace, config: &str) {
    let config: Value = serde_saphyr::from_str(config).expect("a YAML configuration");
    router.sysctl("net.ipv4.ip_forward=1");
    router.sysctl("net.ipv4.icmp_ratelimit=0");
    router.sysctl("net.ipv4.fib_multipath_hash_policy=1");
    router.sysctl("net.ipv4.icmp_errors_use_inbound_ifaddr=1");
    let devices = config["interfaces"].as_object().into_iter().flatten();
    let device = |name: &Value| config["interfaces"][name.as_str().unwrap_or_default()]["device"].clone();
    for (_, interface) in devices {
        let device = text(&interface["device"]);
        for key in ["mac", "mtu"] {
            if !interface[key].is_null() {
                let word = if key == "mac" { "address" } else { key };
                router.ip(&format!("link set {device} {word} {}", text(&interface[key])));
            }
        }
        for address in interface["addresses"].as_array().into_iter().flatten() {
            router.ip(&format!("addr add {} brd + dev {device}", text(address)));
        }
    }
    for neighbor in config["neighbors"].as_array().into_iter().flatten() {
        let (address, mac) = (text(&neighbor["address"]), text(&neighbor["mac"]));
        router.ip(&format!("neigh replace {address} lladdr {mac} dev {}", text(&device(&neighbor["interface"]))));
    }
    for route in config["routes"].as_array().into_iter().flatten() {
        let to = text(&route["to"]);
        match (&route["type"], &route["via"]) {
            (Value::String(kind), _) => router.ip(&format!("route add {kind} {to}")),
            (_, Value::Array(hops)) => {
                let hop = |hop: &Value| format!("nexthop via {}", text(hop.get("gateway").unwrap_or(hop)));
                router.ip(&format!("route add {to} {}", hops.iter().map(hop).collect::<Vec<_>>().join(" ")))
            }
            (_, via) => router.ip(&format!("route add {to} via {}", text(via))),
        };
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
