//! The commands of address translation.
use super::fake::Daemon;

#[test]
fn sessions_mappings_and_the_summary_are_tables() {
    let daemon = Daemon::start();
    let out = daemon.millctl(&["show", "nat44", "sessions"]).out;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2501);
    assert_eq!(
        lines[..4],
        [
            "Prot  Inside                 Outside                Remote                 State        Expires   Packets       Bytes",
            "tcp   192.168.1.10:40000     203.0.113.2:50000      198.51.100.7:443       established    2h03m        12     4.0 KiB",
            "icmp  192.168.1.10:40001     203.0.113.2:50001      198.51.100.7           established    2h03m        12     4.0 KiB",
            "tcp   192.168.1.10:40002     203.0.113.2:50002      198.51.100.7:443       established    2h03m        12     4.0 KiB  vrf blue",
        ]
    );
    assert_eq!(
        daemon.millctl(&["show", "nat44", "mappings"]).out,
        "\
Type     Protocol  Inside                       Outside                      Sessions  VRF         Notes
static   any       192.168.1.11                 203.0.113.3                         7  default
static   tcp       192.168.1.10:443             203.0.113.2:8443                    -  blue        of wan
static   tcp       192.168.1.11:443             203.0.113.2:8443                    -  blue        of wan, weight 2, twice-nat
static   tcp       192.168.1.10:6000-6100       -                                   -  blue        of wan
dynamic  udp       192.168.1.10:40000           203.0.113.2:40000                   3  default
"
    );
    assert_eq!(
        daemon.millctl(&["show", "nat44", "summary", "hosts", "3"]).out,
        "\
sessions      2500 of 1000000 (0 %)
by protocol   icmp 1, tcp 2499
by state      established 2500
mappings      2500 with 2500 external ports
hosts         1, at most 10000 sessions each
memory        390.6 KiB
refused       no mapping 17
log           5 told, 2 suppressed, 0 not sent

Address      TCP ports  UDP ports  ICMP identifiers
203.0.113.2       2499          0                 1

Busiest host  VRF      Sessions
192.168.1.10  default      2500
"
    );
    assert_eq!(daemon.asked().last().map(String::as_str), Some("GetNat44SummaryRequest { hosts: 3 }"));
}

/// What other programs rely on.
#[test]
fn programs_get_all_sessions_in_one_array() {
    let daemon = Daemon::start();
    let out = daemon.millctl(&["-o", "json", "show", "nat44", "sessions"]).out;
    let sessions: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(sessions.len(), 2500);
    assert_eq!(
        sessions[2],
        serde_json::json!({
            "protocol": "tcp", "inside_address": "192.168.1.10", "inside_port": 40002, "outside_address": "203.0.113.2",
            "outside_port": 50002, "remote_address": "198.51.100.7", "remote_port": 443, "state": "established",
            "expires_in": 7439, "packets": 12, "bytes": 4096, "vrf": "blue"
        })
    );
    let out = daemon.millctl(&["-o", "yaml", "show", "nat44", "sessions", "limit", "1"]).out;
    assert!(out.starts_with("- protocol: tcp\n  inside_address: \"192.168.1.10\"\n"), "{out}");
    assert_eq!(out.matches("- protocol").count(), 1);
    let out = daemon.millctl(&["-o", "json", "show", "nat44", "summary"]).out;
    let summary: serde_json::Value = serde_json::from_str(&out).unwrap();
    for (key, value) in [
        ("sessions", serde_json::json!(2500)),
        ("max_sessions", serde_json::json!(1_000_000)),
        ("by_protocol", serde_json::json!({"icmp": 1, "tcp": 2499})),
        ("by_state", serde_json::json!({"established": 2500})),
        ("ports_used", serde_json::json!(2500)),
    ] {
        assert_eq!(summary[key], value, "{key}");
    }
    assert_eq!(daemon.millctl(&["-o", "json", "nat44", "sessions", "clear"]).out, "{\n  \"sessions\": 2500\n}\n");
}

#[test]
fn filters_and_edits_reach_the_daemon_as_they_were_meant() {
    let daemon = Daemon::start();
    let filter = |inside: &str, protocol: &str, port: &str| {
        format!(
            "Nat44Filter {{ inside: {inside}, outside: None, remote: None, protocol: {protocol}, port: {port}, vrf: None }}"
        )
    };
    let some = |text: &str| format!("Some({text:?})");
    let cases = [
        (
            "show nat44 sessions inside 192.168.1.10 protocol tcp port 443 limit 20",
            format!(
                "ListNat44SessionsRequest {{ filter: Some({}), limit: 20 }}",
                filter(&some("192.168.1.10"), &some("tcp"), "Some(443)")
            ),
        ),
        (
            "show nat44 mappings port 80",
            format!("ListNat44MappingsRequest {{ filter: Some({}), limit: 0 }}", filter("None", "None", "Some(80)")),
        ),
        (
            "nat44 sessions clear inside 192.168.1.10",
            format!("ClearNat44SessionsRequest {{ filter: Some({}) }}", filter(&some("192.168.1.10"), "None", "None")),
        ),
        ("nat44 inside add lan", edit(r#"InsideAdd("lan")"#)),
        ("nat44 outside remove wan", edit(r#"OutsideRemove("wan")"#)),
        ("nat44 pool add 203.0.113.16/30", edit(r#"PoolAdd("203.0.113.16/30")"#)),
        ("nat44 pool remove interface", edit(r#"PoolRemove("interface")"#)),
        ("nat44 twice-nat-pool add 192.168.1.254", edit(r#"TwiceNatPoolAdd("192.168.1.254")"#)),
        (
            "nat44 mapping add protocol tcp external wan:443 internal 192.168.1.10:443,192.168.1.11:443 weights 1,2 affinity none \
             twice-nat vrf blue",
            edit(concat!(
                r#"MappingAdd(Nat44MappingAdd { protocol: Some("tcp"), external: "wan:443", internal: ["#,
                r#"Nat44Server { address: "192.168.1.10:443", weight: 1 }, "#,
                r#"Nat44Server { address: "192.168.1.11:443", weight: 2 }], "#,
                r#"affinity: "none", twice_nat: true, vrf: Some("blue") })"#
            )),
        ),
        (
            "nat44 mapping remove external 203.0.113.3",
            edit(r#"MappingRemove(Nat44MappingRemove { protocol: None, external: "203.0.113.3" })"#),
        ),
        (
            "nat44 exempt add destination 10.0.0.0/8",
            edit(r#"ExemptAdd(Nat44Exempt { source: None, destination: Some("10.0.0.0/8") })"#),
        ),
        (
            "nat44 set max-sessions 7",
            edit(r#"Set(Nat44Set { settings: [Setting { key: "max-sessions", value: "7" }] })"#),
        ),
        (
            "nat44 set log syslog off",
            edit(r#"Set(Nat44Set { settings: [Setting { key: "log syslog", value: "off" }] })"#),
        ),
        (
            "nat44 set timeouts udp 120s icmp 30s",
            edit(concat!(
                r#"Set(Nat44Set { settings: [Setting { key: "timeouts udp", value: "120s" }, "#,
                r#"Setting { key: "timeouts icmp", value: "30s" }] })"#
            )),
        ),
    ];
    let lines: Vec<&str> = cases.iter().map(|(line, _)| *line).collect();
    let ran = daemon.millctl_with(&["-f", "-"], &lines.join("\n"));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.ends_with("dynamic  udp       192.168.1.10:40000           203.0.113.2:40000                   3  default\n1 session cleared\n"), "{}", ran.out);
    let asked = daemon.asked();
    for (index, (line, expected)) in cases.iter().enumerate() {
        assert_eq!(asked.get(index), Some(expected), "{line}");
    }
}

/// How an edit looks to the daemon.
fn edit(what: &str) -> String {
    format!("Nat44(Nat44Edit {{ edit: Some({what}) }})")
}

#[test]
fn what_makes_no_sense_is_refused_at_once() {
    let daemon = Daemon::start();
    let cases: &[(&[&str], &str)] = &[
        (&["nat44", "mapping", "add", "external", "wan:443", "protocol", "tcp"], "\"internal\""),
        (
            &["nat44", "mapping", "add", "external", "wan:443", "internal", "a:1,b:1", "weights", "1"],
            "1 weights for 2 servers",
        ),
        (
            &["nat44", "mapping", "add", "external", "wan:443", "internal", "a:1", "weights", "256"],
            "\"256\" is no weight",
        ),
        (
            &["nat44", "mapping", "add", "external", "wan:443", "internal", "a:1", "protocol", "sctp"],
            "not one of tcp, udp",
        ),
        (&["nat44", "exempt", "add"], "one of: source, destination"),
        (&["nat44", "set", "timeouts"], "one of: udp, tcp-established"),
        (&["nat44", "set", "max-sessions", "0"], "a number from 1 to 16000000"),
        (&["show", "nat44", "sessions", "port", "65536"], "a number from 0 to 65535"),
    ];
    for (words, message) in cases {
        let ran = daemon.millctl(words);
        assert_eq!(ran.code, 2, "{words:?}: {ran:?}");
        assert!(ran.err.contains(message), "{words:?}: {ran:?}");
    }
    assert_eq!(daemon.asked(), [""; 0]);
}

#[test]
fn static_mappings_are_offered_to_whoever_removes_one() {
    let daemon = Daemon::start();
    let ran = daemon.millctl(&["nat44", "mapping", "remove", "external", "?"]);
    assert!(ran.out.contains(": 203.0.113.3 wan:8443 wan:5000-5100\n"), "{}", ran.out);
}
