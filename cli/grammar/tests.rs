//! The grammar at work, on a small grammar of its own and on the real one.
use std::collections::BTreeSet;

use super::{
    Arg, Command, Expected, Kind, Line, Parser, Value, flag, follow_text, keyword, maybe, overview, page, parse, value,
};
use crate::commands::{GRAMMAR, Grammar};

const fn command(path: &'static [&'static str], args: &'static [Arg], help: &'static str) -> Command {
    Command { path, args, help, more: "", run: |_, _| Ok(()) }
}

static COMMANDS: [Command; 9] = [
    command(&["show", "interfaces"], &[maybe("NAME", Kind::Interface, "one")], "list interfaces"),
    command(&["show", "ip", "route"], &[maybe("PREFIX", Kind::Prefix, "one"), Arg::Option(VRF)], "list routes"),
    command(&["show", "version"], &[], "the version"),
    command(&["set"], &[Arg::AnyOf(&[flag("up", "on"), flag("down", "off"), MTU])], "set things"),
    command(
        &["add"],
        &[
            Arg::Required(keyword("driver", "DRIVER", Kind::Word, "which")),
            Arg::Options(&[
                super::Keyword {
                    with: Some(("driver", &["tap", "tun"])),
                    ..keyword("device", "NAME", Kind::Word, "it")
                },
                super::Keyword { with: Some(("driver", &["memif"])), ..keyword("socket", "PATH", Kind::Word, "where") },
            ]),
        ],
        "add things",
    ),
    command(&["clear", "counters"], &[], "clear counters"),
    command(&["clear", "counts"], &[], "clear counts"),
    command(
        &["route"],
        &[
            value("PREFIX", Kind::Prefix, "where to"),
            Arg::OneOf(&[keyword("via", "GATEWAY", Kind::Address, "gateway"), flag("blackhole", "drop")]),
            Arg::Option(VRF),
        ],
        "add a route",
    ),
    command(
        &["capture"],
        &[
            Arg::Option(keyword("filter", "EXPR", Kind::Expression, "matching")),
            Arg::Required(keyword("limit", "N", Kind::Number(1, 9), "how many")),
        ],
        "capture",
    ),
];
const VRF: super::Keyword = keyword("vrf", "VRF", Kind::Vrf, "the VRF");
const MTU: super::Keyword = keyword("mtu", "N", Kind::Number(68, 9000), "bytes");
static SMALL: Grammar = Grammar::new(&[&COMMANDS], &[("show", "see"), ("show ip", "IPv4"), ("clear", "reset")]);

/// A parsed line as text: the path, then the arguments in the order of their names.
fn outcome(line: &str) -> String {
    match parse(&SMALL, &Line::split(line)) {
        Ok(None) => "nothing".to_owned(),
        Ok(Some(run)) => format!("{} {:?}", run.command.name(), run.args).replace("Args", ""),
        Err(error) => format!("error at {}..{}: {}", error.span.start, error.span.end, error.message),
    }
}

#[test]
fn lines_are_parsed_or_refused_with_a_reason() {
    let cases = [
        ("", "nothing"),
        ("  # only a comment", "nothing"),
        ("show version", "show version ({})"),
        ("sh v", "show version ({})"),
        ("sh in", "show interfaces ({})"),
        ("sh in wan", r#"show interfaces ({"NAME": "wan"})"#),
        ("show ip r", "show ip route ({})"),
        ("show ip r 10.0.0.0/8 v blue", r#"show ip route ({"PREFIX": "10.0.0.0/8", "vrf": "blue"})"#),
        ("show ip r vrf blue", r#"show ip route ({"vrf": "blue"})"#),
        ("set up", r#"set ({"up": ""})"#),
        ("set m 1500 up", r#"set ({"mtu": "1500", "up": ""})"#),
        ("add driver tap dev t0", r#"add ({"device": "t0", "driver": "tap"})"#),
        ("add driver memif d", r#"error at 17..18: unknown word "d"; expected one of: socket"#),
        ("add driver tap socket s", r#"error at 15..21: "socket" doesn't go with driver tap"#),
        ("add socket s driver tap", r#"add ({"driver": "tap", "socket": "s"})"#),
        ("route 10.0.0.0/8 bl", r#"route ({"PREFIX": "10.0.0.0/8", "blackhole": ""})"#),
        ("capture limit 3 filter tcp port 80", r#"capture ({"filter": "tcp port 80", "limit": "3"})"#),
        ("capture filter tcp port 80 limit 3", r#"capture ({"filter": "tcp port 80", "limit": "3"})"#),
        ("capture filter 'tcp or limit' limit 3", r#"capture ({"filter": "tcp or limit", "limit": "3"})"#),
        ("s", r#"error at 0..1: ambiguous word "s": show, set"#),
        ("show i", r#"error at 5..6: ambiguous word "i": interfaces, ip"#),
        ("clear count", r#"error at 6..11: ambiguous word "count": counters, counts"#),
        ("show interfces", r#"error at 5..14: unknown word "interfces"; did you mean "interfaces"?"#),
        ("shwo version", r#"error at 0..4: unknown word "shwo"; did you mean "show"?"#),
        ("show banana", r#"error at 5..11: unknown word "banana"; expected one of: interfaces, ip, version"#),
        ("show", r#"error at 4..4: "show" is incomplete; expected one of: interfaces, ip, version"#),
        ("show ip", r#"error at 7..7: "show ip" is incomplete; expected one of: route"#),
        ("show version now", r#"error at 13..16: nothing can follow here, but "now" does"#),
        ("route", r#"error at 5..5: "route" still needs PREFIX (where to)"#),
        ("route 10.0.0.0", r#"error at 6..14: "10.0.0.0" is not a prefix, such as 10.0.0.0/8 or 2001:db8::/32"#),
        ("route 10.0.0.0/8", r#"error at 16..16: "route" still needs one of: via, blackhole"#),
        ("route 10.0.0.0/8 via", r#"error at 20..20: "route" still needs GATEWAY after "via""#),
        (
            "route 10.0.0.0/8 via 192.0.2.1 blackhole",
            r#"error at 31..40: "blackhole" can't be given here again or with what stands before"#,
        ),
        ("set", r#"error at 3..3: "set" still needs one of: up, down, mtu"#),
        ("set mtu 67", r#"error at 8..10: "67" is not a number from 68 to 9000"#),
        ("capture filter tcp", r#"error at 18..18: "capture" still needs "limit""#),
        ("show 'version", "error at 13..13: a quote is not closed"),
        ("''", r#"error at 0..2: unknown word ""; expected one of: show, set, add, clear, route, capture"#),
    ];
    for (line, expected) in cases {
        assert_eq!(outcome(line), expected, "{line}");
    }
}

/// What can follow a line, as `?` and Tab see it.
fn following(line: &str) -> Vec<&'static str> {
    let mut parser = Parser::new(&SMALL);
    for word in &Line::split(line).words {
        parser.feed(word).unwrap_or_else(|error| panic!("{line}: {}", error.message));
    }
    let name = |item: &Expected| match item {
        Expected::Word(word, _) => *word,
        Expected::Value(value) => value.name,
        Expected::Enter => "<Enter>",
    };
    parser.expected().iter().map(name).collect()
}

#[test]
fn what_can_follow_is_known_at_every_point() {
    let cases: &[(&str, &[&str])] = &[
        ("", &["show", "set", "add", "clear", "route", "capture"]),
        ("sh", &["interfaces", "ip", "version"]),
        ("show ip", &["route"]),
        ("show version", &["<Enter>"]),
        ("show interfaces", &["NAME", "<Enter>"]),
        ("show interfaces wan", &["<Enter>"]),
        ("show ip route", &["PREFIX", "vrf", "<Enter>"]),
        ("show ip route vrf", &["VRF"]),
        ("show ip route vrf blue", &["<Enter>"]),
        ("route", &["PREFIX"]),
        ("route 10.0.0.0/8", &["via", "blackhole", "vrf"]),
        ("route 10.0.0.0/8 via", &["GATEWAY"]),
        ("route 10.0.0.0/8 blackhole", &["vrf", "<Enter>"]),
        ("set", &["up", "down", "mtu"]),
        ("set up", &["down", "mtu", "<Enter>"]),
        ("capture filter tcp", &["limit"]),
        ("add driver memif", &["socket", "<Enter>"]),
    ];
    for (line, expected) in cases {
        assert_eq!(&following(line), expected, "{line}");
    }
}

#[test]
fn a_question_mark_lists_what_can_follow_with_help() {
    let names = |value: &Value| if value.kind == Kind::Interface { vec!["lan".into(), "wan".into()] } else { vec![] };
    let list = |line: &str, partial: &str| {
        let mut parser = Parser::new(&SMALL);
        for word in &Line::split(line).words {
            parser.feed(word).unwrap_or_else(|error| panic!("{line}: {}", error.message));
        }
        follow_text(&parser.expected(), partial, names)
    };
    assert_eq!(list("", "s"), "  show  see\n  set   set things\n");
    assert_eq!(list("show", ""), "  interfaces  list interfaces\n  ip          IPv4\n  version     the version\n");
    assert_eq!(list("show interfaces", ""), "  NAME     one: lan wan\n  <Enter>  run the command\n");
    assert_eq!(list("show version", "x"), "  nothing can follow here\n");
    let many = |_: &Value| (0..20).map(|n| n.to_string()).collect();
    let value = Value { name: "N", kind: Kind::Word, help: "a name" };
    assert_eq!(follow_text(&[Expected::Value(value)], "", many), "  N  a name: 0 1 2 3 4 5 6 7 8 9 10 11 and 8 more\n");
}

#[test]
fn pages_are_made_from_the_grammar() {
    let text = page(&SMALL, "rou").unwrap();
    assert_eq!(
        text,
        "route PREFIX {via GATEWAY | blackhole} [vrf VRF]\n    add a route\n\n      PREFIX       where to\n      \
         via GATEWAY  gateway\n      blackhole    drop\n      vrf VRF      the VRF\n"
    );
    assert_eq!(
        page(&SMALL, "clear").unwrap(),
        "clear counters\n    clear counters\n\nclear counts\n    clear counts\n"
    );
    assert_eq!(page(&SMALL, "banana").unwrap_err().span, 0..6);
    assert!(overview(&SMALL).starts_with("  show interfaces  list interfaces\n"));
}

#[test]
fn the_real_grammar_keeps_its_own_rules() {
    let paths: Vec<String> = GRAMMAR.commands().map(Command::name).collect();
    for (index, path) in paths.iter().enumerate() {
        let clash = paths
            .iter()
            .enumerate()
            .find(|(other, longer)| *other != index && (*longer == path || longer.starts_with(&format!("{path} "))));
        assert_eq!(clash, None, "{path} is the beginning of another command");
    }
    for command in GRAMMAR.commands() {
        let name = command.name();
        assert!(!command.help.is_empty() && !command.help.ends_with('.'), "{name}: a line of help without a full stop");
        for depth in 1..command.path.len() {
            let topic = command.path[..depth].join(" ");
            assert!(!GRAMMAR.topic(&topic).is_empty(), "{topic} has no help");
        }
        let mut names = BTreeSet::new();
        let mut optional_seen = false;
        for arg in command.args {
            match arg {
                Arg::Value(value) | Arg::Maybe(value) => {
                    assert!(names.insert(value.name), "{name}: {} twice", value.name);
                    let optional = matches!(arg, Arg::Maybe(_));
                    assert!(optional || !optional_seen, "{name}: {} can't follow a value left out", value.name);
                    optional_seen |= optional;
                }
                _ => {
                    for keyword in arg.keywords() {
                        assert!(names.insert(keyword.word), "{name}: {} twice", keyword.word);
                    }
                }
            }
        }
    }
}

#[test]
fn the_interfaces_of_the_specification_are_understood() {
    let lines = "show version|show interfaces|show interfaces wan|sh int|show ip route|show ip route 10.0.0.0/8 vrf blue|\
        show neighbors|show vrfs|show runtime|show errors|show trace|show graph|show graph dot|show graph svg|\
        show workers|show buffers|show memory|show events|show configuration|show log|show features|\
        interface add wan driver af-packet device veth0|interface remove wan|interface set wan up|\
        interface set wan mtu 9000|interface set wan mac 02:00:00:00:00:01|interface set wan vrf blue|\
        address add 192.0.2.1/24 interface wan|address remove 192.0.2.1/24 interface wan|\
        route add 10.0.0.0/8 via 192.0.2.1,192.0.2.2 interface wan weight 2 vrf blue|\
        route replace 10.0.0.0/8 unreachable|route add 10.0.0.0/8 prohibit vrf blue|route remove 10.0.0.0/8 vrf blue|\
        neighbor add 192.0.2.9 mac 02:00:00:00:00:09 interface lan|neighbor remove 192.0.2.9 interface lan|\
        show nat44 sessions|show nat44 sessions inside 192.168.1.10 port 80|show nat44 mappings|show nat44 summary|\
        nat44 inside add lan|nat44 outside remove wan|nat44 pool add 203.0.113.2|nat44 pool remove interface|\
        nat44 mapping add protocol tcp external 203.0.113.2:8080 internal 192.168.1.10:80|\
        nat44 mapping remove external 203.0.113.3|nat44 sessions clear|nat44 exempt add destination 10.0.0.0/8|\
        nat44 set timeouts udp 300s|nat44 set max-sessions 1000000|nat44 set max-sessions-per-host 10000|\
        clear counters|clear runtime|clear errors|clear trace|clear neighbors|\
        trace add device-input 10|trace add device-input 10 filter icmp|\
        capture start /tmp/x interface wan filter tcp port 80 limit 5|capture stop|\
        ping 192.0.2.1|ping 192.0.2.1 count 3 source 192.0.2.2 vrf blue|traceroute 192.0.2.1|\
        config check a.yaml|config plan a.yaml|config apply a.yaml|config apply a.yaml confirm 60|config confirm|\
        config rollback|config rollback 3|config history|config save|config save a.yaml|help|help route add|exit|quit";
    for line in lines.split('|') {
        let parsed = parse(&GRAMMAR, &Line::split(line));
        assert!(matches!(parsed, Ok(Some(_))), "{line}: {parsed:?}");
    }
}
