//! millctl from the outside: one command, a file of commands, the three formats, the exit codes.
#![allow(clippy::unwrap_used, reason = "a test")]

use fake::{Daemon, Folder, millctl};

mod fake;
mod nat44;

#[test]
fn a_command_prints_its_answer() {
    let daemon = Daemon::start();
    let ran = daemon.millctl(&["sh", "ver"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(
        ran.out,
        "millrace 0.1.0 (abc1234), packet path for x86-64-v3\nprocess 7, up 1m01s, configuration /etc/m.yaml\n"
    );
    let ran = daemon.millctl(&["show", "ip", "route"]);
    assert_eq!(
        ran.out,
        "Prefix              VRF         Origin      Type         Next hops\n\
         10.0.0.0/24         default     static      unicast      via 192.0.2.1 wan\n\
         10.1.1.0/24         default     static      unicast      via 192.0.2.1 wan\n"
    );
    assert_eq!(daemon.millctl(&["show", "ip", "route", "192.0.2.77"]).out, "no route to 192.0.2.77\n");
    let ran = daemon.millctl(&["show", "ip", "route", "10.0.0.9"]);
    assert!(ran.out.ends_with("\n\n10.0.0.9\n  10.0.0.0/24\n    wan 02:00:00:00:00:01\n"), "{}", ran.out);
    let ran = daemon.millctl(&["show", "ipv6", "route", "summary"]);
    assert!(
        ran.out.ends_with(": 2 ipv6 routes\n\nOrigin  Routes\nstatic       2\n\nLength  Routes\n/24          2\n"),
        "{}",
        ran.out
    );
    assert_eq!(
        daemon.millctl(&["show", "policy-routes"]).out,
        "Position  Source       Interface  VRF   Packets\n\
         \x20      1  10.1.0.0/16  any        blue       12\n\
         \x20      2  any          lan        blue        0\n"
    );
    assert_eq!(daemon.millctl(&["show", "log", "3"]).out.lines().count(), 200);
}

#[test]
fn programs_get_plain_json_and_yaml() {
    let daemon = Daemon::start();
    let json = |words: &[&str]| {
        let ran = daemon.millctl(&[&["-o", "json"], words].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str::<serde_json::Value>(&ran.out).unwrap()
    };
    let interfaces = json(&["show", "interfaces"]);
    let keys: Vec<&str> = interfaces[0].as_object().unwrap().keys().map(String::as_str).collect();
    for key in "name driver device state link mac mtu vrf bridge addresses rx_packets rx_bytes tx_packets tx_bytes \
                rx_drops tx_drops"
        .split_whitespace()
    {
        assert!(keys.contains(&key), "{key} is missing in {keys:?}");
    }
    assert_eq!(interfaces[0]["rx_packets"], serde_json::json!(9007199254740992u64));
    assert_eq!(interfaces[1]["bridge"], serde_json::Value::Null);
    assert!(!keys.contains(&"details"));
    assert_eq!(json(&["show", "interfaces", "wan"])["details"]["mode"], "vnet-header");
    let route = &json(&["show", "ip", "route"])[1];
    assert_eq!(route["type"], "unicast");
    assert_eq!(route["next_hops"][0], serde_json::json!({"gateway": "192.0.2.1", "interface": "wan", "weight": 1}));
    let runtime = &json(&["show", "runtime"])[0];
    assert_eq!((&runtime["node"], &runtime["packets"]), (&"ip4-input".into(), &3.into()));
    assert_eq!(json(&["show", "buffers"])["in_use"], 2);
    assert_eq!(json(&["show", "neighbors"]), serde_json::json!([]));
    assert_eq!(json(&["show", "ip", "route", "192.0.2.77"]), serde_json::json!([]));
    assert_eq!(json(&["show", "configuration"]), serde_json::json!({"workers": {"count": 2, "cpus": [1, 2]}}));
    let resolved = &json(&["show", "ip", "route", "10.0.0.9"])[0];
    assert_eq!(
        (&resolved["prefix"], &resolved["resolution"][1]["mac"]),
        (&"10.0.0.0/24".into(), &"02:00:00:00:00:01".into())
    );
    assert_eq!(json(&["show", "ip", "route", "summary", "vrf", "blue"])[0]["vrf"], "blue");
    assert_eq!(json(&["ping", "192.0.2.1", "count", "2"])[1]["sequence"], 2);

    assert_eq!(daemon.millctl(&["-o", "json", "show", "neighbors"]).out, "[]\n");
    let yaml = daemon.millctl(&["show", "errors", "-o", "yaml"]).out;
    assert_eq!(yaml, "- node: ip4-input\n  reason: bad checksum\n  count: 9\n  drops: 9\n");
    assert!(daemon.millctl(&["show", "configuration", "-o", "yaml"]).out.starts_with("workers:\n"));
}

#[test]
fn edits_reach_the_daemon_as_they_were_meant() {
    let daemon = Daemon::start();
    let edits = [
        "interface add lan driver tap device mr-lan address 192.0.2.1/24,2001:db8::1/64 mtu 9000",
        "interface set lan down",
        "address add 192.0.2.1/24 interface lan",
        "route replace 10.0.0.0/8 via 192.0.2.1,192.0.2.2 weight 3 vrf blue",
        "route add 10.0.0.0/8 prohibit",
        "neighbor remove 192.0.2.9 interface lan",
        "clear runtime",
        "trace add device-input 3 filter icmp and host 192.0.2.1",
        "show ip route 10.0.0.0/8 longer-prefixes",
        "show ipv6 route origin bgp",
        "route add ::/0 next-vrf blue",
        "interface set lan router-advertisements '{interval: 30s}'",
        "interface set lan urpf strict mss-clamp auto",
        "policy-route add source 10.1.0.0/16 interface lan vrf blue position 1",
        "policy-route remove interface lan",
    ];
    let ran = daemon.millctl_with(&["-f", "-"], &edits.join("\n"));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let asked = daemon.asked();
    let expected = [
        concat!(
            r#"InterfaceAdd(InterfaceAdd { name: "lan", driver: "tap", settings: ["#,
            r#"Setting { key: "device", value: "\"mr-lan\"" }, Setting { key: "mtu", value: "9000" }, "#,
            r#"Setting { key: "addresses", value: "[\"192.0.2.1/24\", \"2001:db8::1/64\"]" }] })"#
        ),
        r#"InterfaceSet(InterfaceSet { name: "lan", settings: [Setting { key: "state", value: "down" }] })"#,
        r#"AddressAdd(AddressEdit { prefix: "192.0.2.1/24", interface: "lan" })"#,
        concat!(
            r#"RouteReplace(RouteEdit { prefix: "10.0.0.0/8", vrf: Some("blue"), r#type: "unicast", next_hops: ["#,
            r#"NextHop { gateway: Some("192.0.2.1"), interface: None, weight: 3 }, "#,
            r#"NextHop { gateway: Some("192.0.2.2"), interface: None, weight: 3 }], next_vrf: None })"#
        ),
        r#"RouteAdd(RouteEdit { prefix: "10.0.0.0/8", vrf: None, r#type: "prohibit", next_hops: [], next_vrf: None })"#,
        r#"NeighborRemove(NeighborRemove { interface: "lan", address: "192.0.2.9" })"#,
        "Runtime",
        r#"AddTraceRequest { node: "device-input", count: 3, filter: Some("icmp and host 192.0.2.1") }"#,
        concat!(
            r#"ListRoutesRequest { family: "ipv4", vrf: None, prefix: Some("10.0.0.0/8"), longer: true, "#,
            r#"address: None, limit: 0, origin: None }"#
        ),
        concat!(
            r#"ListRoutesRequest { family: "ipv6", vrf: None, prefix: None, longer: false, "#,
            r#"address: None, limit: 0, origin: Some("bgp") }"#
        ),
        r#"RouteAdd(RouteEdit { prefix: "::/0", vrf: None, r#type: "next-vrf", next_hops: [], next_vrf: Some("blue") })"#,
        concat!(
            r#"InterfaceSet(InterfaceSet { name: "lan", settings: ["#,
            r#"Setting { key: "router-advertisements", value: "{interval: 30s}" }] })"#
        ),
        concat!(
            r#"InterfaceSet(InterfaceSet { name: "lan", settings: ["#,
            r#"Setting { key: "urpf", value: "strict" }, Setting { key: "mss-clamp", value: "auto" }] })"#
        ),
        concat!(
            r#"PolicyRouteAdd(PolicyRouteAdd { source: Some("10.1.0.0/16"), interface: Some("lan"), "#,
            r#"vrf: "blue", position: 1 })"#
        ),
        r#"PolicyRouteRemove(PolicyRouteRemove { source: None, interface: Some("lan") })"#,
    ];
    for (index, expected) in expected.iter().enumerate() {
        assert_eq!(asked.get(index).map(String::as_str), Some(*expected), "{}", edits[index]);
    }
}

#[test]
fn exit_codes_tell_who_is_to_blame() {
    let daemon = Daemon::start();
    let folder = Folder::new();
    let bad = folder.file("bad.yaml", "workers:\n  bad: 1\n");
    let bad = bad.to_str().unwrap();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["route", "add", "10.9.9.0/24", "blackhole"], 1, "there is a route to 10.9.9.0/24 already"),
        (&["show", "interfaces", "nope"], 1, "no interface \"nope\"\n"),
        (&["config", "confirm"], 1, "nothing waits to be confirmed\n"),
        (&["ping", "192.0.2.2", "count", "1"], 1, ""),
        (&["traceroute", "192.0.2.2"], 1, ""),
        (
            &["show", "interfces"],
            2,
            "unknown word \"interfces\"; did you mean \"interfaces\"?\n  show interfces\n       ^^^^^^^^^\n",
        ),
        (&["show"], 2, "\"show\" is incomplete"),
        (&["--nonsense"], 2, "unexpected argument"),
        (&["-f", "/nonexistent/file"], 2, "can't read /nonexistent/file"),
        (&["config", "check", "/nonexistent/file"], 2, "can't read /nonexistent/file"),
        (&["show", "ip", "route", "2001:db8::1"], 2, "`show ipv6 route` has IPv6"),
        (&["show", "ip", "route", "summary", "origin", "bgp"], 2, "\"summary\" is of all routes"),
        (&["show", "ip", "route", "10.0.0.1", "origin", "bgp"], 2, "the best route"),
        (&["interface", "set", "wan", "up", "down"], 2, "exclude each other"),
        (&["interface", "set", "wan", "urpf", "feasible"], 2, "one of off, strict, loose"),
        (&["policy-route", "add", "vrf", "blue"], 2, "still needs one of: source, interface"),
        (&["route", "add", "10.0.0.0/8", "blackhole", "weight", "3"], 2, "there is no \"via GATEWAY\""),
    ];
    for (words, code, message) in cases {
        let ran = daemon.millctl(words);
        assert_eq!(ran.code, *code, "{words:?}: {ran:?}");
        assert!(ran.err.contains(message), "{words:?}: {ran:?}");
    }
    for verb in ["check", "plan", "apply"] {
        let ran = daemon.millctl(&["config", verb, bad]);
        assert_eq!(ran.code, 2);
        assert_eq!(ran.err, format!("{bad}:2:3: unknown key \"bad\"; expected \"workers\"\n"));
        assert_eq!(ran.out, "");
    }
    let ran = millctl(&["-s", folder.0.join("none.sock").to_str().unwrap(), "show", "version"], "");
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("can't reach the daemon at"), "{ran:?}");
    assert!(ran.err.contains("No such file or directory"), "{ran:?}");
}

#[test]
fn a_good_file_is_planned_and_applied() {
    let daemon = Daemon::start();
    let folder = Folder::new();
    let good = folder.file("good.yaml", "workers: {}\n");
    let good = good.to_str().unwrap();
    let changes = "- route 10.0.0.0/8\n+ interface lan: driver tap\n";
    assert_eq!(daemon.millctl(&["config", "check", good]).out, "");
    assert_eq!(daemon.millctl(&["config", "plan", good]).out, changes);
    assert_eq!(
        daemon.millctl(&["config", "apply", good, "confirm", "60"]).out,
        format!("{changes}revision 3 runs\nit will be undone unless `config confirm` comes within 60 seconds\n")
    );
    assert_eq!(daemon.asked(), ["Some(60)"]);
    assert_eq!(daemon.millctl(&["config", "rollback"]).out, "no changes\n");
    assert_eq!(daemon.millctl(&["config", "save", "/tmp/x.yaml"]).out, "wrote /tmp/x.yaml\n");
}

#[test]
fn a_file_of_commands_stops_at_the_first_error_and_names_it() {
    let daemon = Daemon::start();
    let folder = Folder::new();
    let text =
        "# a comment\n\nshow vrfs\nclear errors  # and another\nroute add 10.9.9.0/24 blackhole\nclear runtime\n";
    let file = folder.file("setup.txt", text);
    let file = file.to_str().unwrap();
    let ran = daemon.millctl(&["-f", file]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.starts_with("Name     IPv4 routes"), "{}", ran.out);
    assert!(ran.err.starts_with(&format!("{file}:5: there is a route")), "{}", ran.err);
    assert!(daemon.asked().contains(&"Errors".to_owned()) && !daemon.asked().contains(&"Runtime".to_owned()));

    let ran = daemon.millctl_with(&[], "show vrfs\nexit\nbanana\n");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "standard input without a terminal is a file of commands");
    let ran = daemon.millctl_with(&["-f", "-"], "banana\n");
    assert_eq!(ran.code, 2);
    assert!(ran.err.starts_with("stdin:1: unknown word \"banana\"; expected one of: show, "), "{}", ran.err);
    let ran = daemon.millctl_with(&["-f", "-"], "ping 192.0.2.2 count 1\nclear runtime\n");
    assert_eq!((ran.code, ran.err.as_str()), (1, "stdin:1: failed: ping 192.0.2.2 count 1\n"));
}

#[test]
fn help_needs_no_daemon() {
    let ran = millctl(&["-s", "/nonexistent", "help"], "");
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("\n  route add "), "{}", ran.out);
    let ran = millctl(&["-s", "/nonexistent", "help", "rou", "rem"], "");
    assert!(ran.out.starts_with("route remove PREFIX [vrf VRF]\n    remove a route\n"), "{}", ran.out);
    assert_eq!(millctl(&["help", "banana"], "").code, 2);
    assert_eq!(millctl(&["--version"], "").out, format!("millctl {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(millctl(&["--help"], "").code, 0);
}

#[test]
fn a_question_mark_as_the_last_word_lists_what_can_follow() {
    let daemon = Daemon::start();
    let ran = daemon.millctl(&["interface", "remove", "?"]);
    assert_eq!(ran.out, "  NAME  interface to remove: lan wan\n");
    let ran = daemon.millctl_with(&[], "trace add ?\n");
    assert_eq!(ran.out, "  NODE  node whose packets to trace, such as device-input: device-input\n");
}

#[test]
fn a_watch_prints_a_line_for_each_change() {
    let daemon = Daemon::start();
    let ran = daemon.millctl(&["watch", "routes", "10.0.0.0/8", "listing"]);
    let route = "10.0.0.0/24         default     static      unicast      via 192.0.2.1 wan\n";
    assert_eq!((ran.code, ran.out.as_str()), (0, &*format!("{route}10.0.0.0/24 vrf default is gone\n")));
    assert_eq!(ran.err, "7 changes were missed; all routes follow\n");
    let asked = r#"WatchRoutesRequest { family: "", vrf: None, prefix: Some("10.0.0.0/8"), listing: true }"#;
    assert_eq!(daemon.asked(), [asked]);
    assert_eq!(daemon.millctl(&["watch", "routes", "count", "1"]).out, route);
    let lines = daemon.millctl(&["-o", "json", "watch", "routes"]).out;
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["route"]["origin"], &lines[1]["route"]), (&"static".into(), &serde_json::Value::Null));
}

#[test]
fn ping_prints_as_it_goes_and_sums_up() {
    let daemon = Daemon::start();
    let ran = daemon.millctl(&["ping", "192.0.2.1", "count", "2"]);
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.out,
        "PING 192.0.2.1: 56 data bytes\n\
         64 bytes from 192.0.2.1: icmp_seq=1 ttl=64 time=0.500 ms\n\
         64 bytes from 192.0.2.1: icmp_seq=2 ttl=64 time=0.500 ms\n\
         \n\
         --- 192.0.2.1 ping statistics ---\n\
         2 packets transmitted, 2 received, 0% packet loss\n\
         rtt min/avg/max/mdev = 0.500/0.500/0.500/0.000 ms\n"
    );
}
