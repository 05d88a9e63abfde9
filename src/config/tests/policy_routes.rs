//! What the commands of policy routes, `urpf` and `mss-clamp` make of a configuration, and what is refused with which words.
#![allow(clippy::unwrap_used, reason = "what is unwrapped is written right here")]

use millrace_config::*;

const START: &str = "
vrfs: {blue: {}, red: {}}
interfaces:
  lan: {driver: tap, device: t0, addresses: [192.168.1.1/24]}
  wan: {driver: tap, device: t1}
policy-routes:
  - {source: 10.1.0.0/16, vrf: blue}
  - {interface: lan, vrf: red}
";

fn start() -> Config {
    parse(START, "start").unwrap()
}

fn packets(source: &str, interface: &str) -> PolicyMatch {
    PolicyMatch {
        source: (!source.is_empty()).then(|| source.parse().unwrap()),
        interface: (!interface.is_empty()).then(|| interface.parse().unwrap()),
    }
}

fn add(source: &str, interface: &str, vrf: &str, at: Option<usize>) -> Edit {
    let rule = PolicyRoute { packets: packets(source, interface), vrf: vrf.parse().unwrap() };
    Edit::PolicyRouteAdd { rule, at }
}

fn remove(source: &str, interface: &str) -> Edit {
    Edit::PolicyRouteRemove(packets(source, interface))
}

/// The rules after an edit, and the steps to them.
fn after(wanted: &Edit) -> (Vec<String>, String) {
    let next = edit(&start(), wanted).unwrap();
    (next.policy_routes.iter().map(PolicyRoute::to_string).collect(), plan(&start(), &next).to_string())
}

fn refused(unwanted: &Edit) -> String {
    edit(&start(), unwanted).unwrap_err().to_string()
}

#[test]
fn rules_come_and_go_in_their_order() {
    let (first, second) = ("source 10.1.0.0/16 vrf blue", "interface lan vrf red");
    let new = "source 2001:db8::/32 interface wan vrf blue";
    for (at, rules) in [
        (None, [first, second, new]),
        (Some(1), [new, first, second]),
        (Some(2), [first, new, second]),
        (Some(3), [first, second, new]),
        (Some(99), [first, second, new]),
    ] {
        let (there, steps) = after(&add("2001:db8::/32", "wan", "blue", at));
        assert_eq!((there, steps), (rules.map(str::to_owned).into(), format!("+ policy-route {new}\n")), "{at:?}");
    }
    let (there, steps) = after(&remove("10.1.0.0/16", ""));
    assert_eq!((there, steps.as_str()), (vec![second.to_owned()], "- policy-route source 10.1.0.0/16 vrf blue\n"));
}

#[test]
fn what_rules_name_is_there_as_long_as_they_are() {
    let mut wanted = start();
    wanted.policy_routes.reverse();
    assert_eq!(plan(&start(), &wanted).to_string(), "~ policy-routes: another order\n");
    wanted.policy_routes.remove(0);
    wanted.interfaces.remove("lan");
    wanted.vrfs.remove("red");
    assert_eq!(
        plan(&start(), &wanted).to_string(),
        "- policy-route interface lan vrf red\n- address 192.168.1.1/24 interface lan\n- interface lan: tap t0\n- vrf red\n"
    );
    // An interface that is made anew: its rule goes before and comes after.
    let mut wanted = start();
    wanted.interfaces.get_mut("lan").unwrap().driver = Driver::Loopback;
    let steps = plan(&start(), &wanted).to_string();
    let at = |line: &str| steps.find(line).unwrap_or_else(|| panic!("no {line:?} in\n{steps}"));
    assert!(at("- policy-route interface lan vrf red\n") < at("- interface lan"), "{steps}");
    assert!(at("+ interface lan") < at("+ policy-route interface lan vrf red\n"), "{steps}");
    // One that changes its VRF is the same interface.
    let mut wanted = start();
    wanted.interfaces.get_mut("lan").unwrap().vrf = "blue".parse().unwrap();
    assert!(!plan(&start(), &wanted).to_string().contains("policy-route"));
}

#[test]
fn what_is_refused() {
    for (unwanted, words) in [
        (
            add("10.1.0.0/16", "", "red", None),
            "policy-route source 10.1.0.0/16 vrf blue is there already; use `policy-route remove` first",
        ),
        (
            remove("10.1.0.0/16", "lan"),
            "there is no policy-route source 10.1.0.0/16 interface lan; `show policy-routes` lists them",
        ),
        (
            add("10.1.2.3/16", "", "red", None),
            "policy-route source 10.1.2.3/16: bits are set behind the prefix length; expected 10.1.0.0/16",
        ),
        (add("", "", "red", None), "policy-route: neither `source` nor `interface`; expected one of them, or both"),
        (add("", "dmz", "red", None), "policy-route interface dmz: no interface \"dmz\"; expected one of: lan, wan"),
        (
            add("", "wan", "green", None),
            "policy-route interface wan: no VRF \"green\"; add it to `vrfs`, or use one of: blue, red, default",
        ),
        (
            Edit::InterfaceRemove { name: "lan".parse().unwrap() },
            "interface lan is used by policy-route interface lan; remove these first",
        ),
        (
            Edit::InterfaceSet {
                name: "lan".parse().unwrap(),
                setting: InterfaceSetting::MssClamp(MssClamp::Max(535)),
            },
            "interface lan: mss-clamp: 535 is out of range; expected off, auto, or a whole number from 536 to 65495",
        ),
    ] {
        assert_eq!(refused(&unwanted), words);
    }
    let mut many = start();
    many.policy_routes = (0..=255u8)
        .map(|n| PolicyRoute { packets: packets(&format!("10.{n}.0.0/16"), ""), vrf: "blue".parse().unwrap() })
        .collect();
    assert_eq!(many.problems(), []);
    let error = edit(&many, &add("", "lan", "blue", None)).unwrap_err();
    assert_eq!(error.to_string(), "policy-routes: 257 rules; expected at most 256");
}

#[test]
fn settings_of_interfaces() {
    let steps = |setting| {
        let next = edit(&start(), &Edit::InterfaceSet { name: "lan".parse().unwrap(), setting }).unwrap();
        plan(&start(), &next).to_string()
    };
    assert_eq!(steps(InterfaceSetting::Urpf(Urpf::Strict)), "~ interface lan: urpf off -> strict\n");
    assert_eq!(steps(InterfaceSetting::MssClamp(MssClamp::Auto)), "~ interface lan: mss-clamp off -> auto\n");
    assert_eq!(steps(InterfaceSetting::MssClamp(MssClamp::Max(1400))), "~ interface lan: mss-clamp off -> 1400\n");
    let settings = [("device", "t2"), ("urpf", "loose"), ("mss-clamp", "1400")];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let add = Edit::InterfaceAdd { name: "dmz".parse().unwrap(), driver: "tap".to_owned(), settings };
    let steps = plan(&start(), &edit(&start(), &add).unwrap()).to_string();
    assert_eq!(steps, "+ interface dmz: tap t2 urpf loose mss-clamp 1400\n");
}
