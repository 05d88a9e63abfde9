//! The Linux kernel in the router's place: what a configuration of interfaces, routes, neighbours and NAT means to it.

use crate::{Namespace, Output, TempDir};
use serde_json::Value;
use std::fmt::Write;

/// Makes the namespace a router with this configuration.
pub fn configure(router: &Namespace, config: &str) {
    let config: Value = serde_saphyr::from_str(config).expect("a YAML configuration");
    router.sysctl("net.ipv4.ip_forward=1");
    router.sysctl("net.ipv4.icmp_ratelimit=0");
    router.sysctl("net.ipv4.fib_multipath_hash_policy=1");
    router.sysctl("net.ipv4.icmp_errors_use_inbound_ifaddr=1");
    router.sysctl("net.ipv6.conf.all.forwarding=1");
    router.sysctl("net.ipv6.icmp.ratelimit=0");
    router.sysctl("net.ipv6.fib_multipath_hash_policy=1");
    let devices = config["interfaces"].as_object().into_iter().flatten();
    let device = |name: &Value| config["interfaces"][name.as_str().unwrap_or_default()]["device"].clone();
    for (_, interface) in devices {
        let device = text(&interface["device"]);
        for key in ["mac", "mtu"] {
            if !interface[key].is_null() {
                let word = if key == "mac" { "address" } else { key };
                router.ip(&format!("link set {device} down"));
                router.ip(&format!("link set {device} {word} {}", text(&interface[key])));
                // Its link-local address follows its hardware address when it comes up.
                router.ip(&format!("link set {device} up"));
            }
        }
        for address in interface["addresses"].as_array().into_iter().flatten().map(text) {
            if address.contains(':') {
                router.sysctl(&format!("net.ipv6.conf.{device}.disable_ipv6=0"));
                router.ip(&format!("addr add {address} dev {device} nodad"));
            } else {
                router.ip(&format!("addr add {address} brd + dev {device}"));
            }
        }
    }
    for neighbor in config["neighbors"].as_array().into_iter().flatten() {
        let (address, mac) = (text(&neighbor["address"]), text(&neighbor["mac"]));
        router.ip(&format!("neigh replace {address} lladdr {mac} dev {}", text(&device(&neighbor["interface"]))));
    }
    for route in config["routes"].as_array().into_iter().flatten() {
        let to = text(&route["to"]);
        let add = format!("{} route add", if to.contains(':') { "-6" } else { "-4" });
        let by = |hop: &Value| {
            let interface = if hop["interface"].is_null() { &route["interface"] } else { &hop["interface"] };
            let out = if interface.is_null() { String::new() } else { format!(" dev {}", text(&device(interface))) };
            format!("via {}{out}", text(hop.get("gateway").unwrap_or(hop)))
        };
        match (&route["type"], &route["via"]) {
            (Value::String(kind), _) => router.ip(&format!("{add} {kind} {to}")),
            (_, Value::Array(hops)) => {
                let hops: Vec<_> = hops.iter().map(|hop| format!("nexthop {}", by(hop))).collect();
                router.ip(&format!("{add} {to} {}", hops.join(" ")))
            }
            (_, via) => router.ip(&format!("{add} {to} {}", by(via))),
        };
    }
    if !config["nat44"].is_null() {
        translate(router, &config["nat44"]);
    }
}

/// What the kernel thinks of a neighbour.
pub fn neighbor_state(router: &Namespace, address: &str) -> Option<String> {
    let shown = router.ip(&format!("neigh show {address}"));
    shown.split_whitespace().last().map(str::to_lowercase)
}

/// NAT as far as nftables knows it: the first address of the pool or the device's own, mappings of ports and of addresses
/// to one server, and a firewall that drops what belongs to no connection, as on any Linux gateway.
fn translate(router: &Namespace, nat: &Value) {
    let outside = text(&nat["outside"][0]);
    let (mut inward, mut outward) = (String::new(), String::new());
    let own = |address: &str| router.run(&format!("ip addr replace {address}/32 dev {outside}")).ok();
    for mapping in nat["static-mappings"].as_array().into_iter().flatten() {
        let (external, internal) = (text(&mapping["external"]), text(&mapping["internal"]));
        let ends = external.split_once(':').zip(internal.split_once(':'));
        let done = match (mapping["protocol"].as_str(), ends) {
            (Some(protocol), Some(((address, port), (server, server_port)))) => {
                let to = format!("{server}:{server_port}");
                let own =
                    if address == outside { "fib daddr type local".to_owned() } else { format!("ip daddr {address}") };
                writeln!(inward, "iifname {outside} {own} {protocol} dport {port} dnat to {to}")
            }
            _ => writeln!(inward, "iifname {outside} ip daddr {external} dnat to {internal}")
                .and_then(|()| writeln!(outward, "oifname {outside} ip saddr {internal} snat to {external}")),
        };
        done.expect("a rule");
        let _ = router.run(&format!("ip addr add {}/32 dev {outside}", external.split(':').next().unwrap_or_default()));
    }
    match nat["pool"].as_array().and_then(|pool| pool.first()) {
        Some(address) => {
            own(&text(address));
            writeln!(outward, "oifname {outside} snat to {}", text(address)).expect("a rule");
        }
        None => writeln!(outward, "oifname {outside} masquerade").expect("a rule"),
    }
    let rules = format!(
        "table ip nat {{
chain inward {{ type nat hook prerouting priority dstnat
{inward}}}
chain outward {{ type nat hook postrouting priority srcnat
{outward}}}
chain firewall {{ type filter hook forward priority filter
ct state invalid drop
iifname {outside} ct state new ct status ! dnat drop
}}
chain local {{ type filter hook input priority filter
iifname {outside} icmp type != echo-request ct state != {{ established, related }} drop
iifname {outside} meta l4proto != icmp drop
}}
}}\n"
    );
    let files = TempDir::new();
    let file = files.write("rules", &rules);
    Output::of(router.command("nft -f").arg(file)).ok();
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
