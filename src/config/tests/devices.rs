//! What commands make of drivers' keys and of cross-connects.
#![allow(clippy::unwrap_used, reason = "what is unwrapped is written right here")]

use millrace_config::*;

const START: &str = "
interfaces:
  c1: {driver: memif, socket: /run/m.sock, id: 1, secret: word, addresses: [10.0.0.1/24]}
  c2: {driver: memif, socket: /run/m.sock, id: 2}
  vm1: {driver: vhost-user, socket: /run/vm1.sock, cross-connect: c2, mtu: 9000}
  lan: {driver: tap, device: mr-lan, addresses: [192.168.1.1/24], sub-interfaces: {7: {}}}
routes: [{to: 10.9.0.0/16, via: 10.0.0.9}]
";

fn start() -> Config {
    parse(START, "start").unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn keys(interface: &str, keys: &[(&str, &str)]) -> Edit {
    let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Edit::InterfaceSet { name: name(interface), setting: InterfaceSetting::Keys(keys) }
}

fn connect(interface: &str, target: Option<&str>) -> Edit {
    Edit::InterfaceSet { name: name(interface), setting: InterfaceSetting::CrossConnect(target.map(name)) }
}

/// The steps that an edit of [`START`] comes to; they lead there.
fn steps(wanted: Edit) -> String {
    let next = edit(&start(), &wanted).unwrap();
    let (plan, mut there) = (plan(&start(), &next), start());
    plan.apply(&mut there);
    assert_eq!(there, next);
    plan.to_string()
}

/// The words with which an edit of [`START`] is refused.
fn refused(unwanted: Edit) -> String {
    edit(&start(), &unwanted).unwrap_err().to_string()
}

#[test]
fn another_key_of_its_driver_makes_an_interface_anew() {
    // With all that hangs on it; what is not named stays.
    let steps_of_role = steps(keys("c2", &[("socket", "/run/n.sock"), ("role", "client"), ("zero-copy", "true")]));
    assert_eq!(
        steps_of_role,
        "~ interface vm1: cross-connect c2 -> off\n- interface c2: memif /run/m.sock id 2\n\
         + interface c2: memif /run/n.sock id 2\n~ interface vm1: cross-connect off -> c2\n"
    );
    assert_eq!(
        steps(keys("c1", &[("ring-size", "4096")])),
        "- address 10.0.0.1/24 interface c1\n- interface c1: memif /run/m.sock id 1\n\
         + interface c1: memif /run/m.sock id 1\n+ address 10.0.0.1/24 interface c1\n"
    );
    let Driver::Memif(memif) =
        &edit(&start(), &keys("c1", &[("queues", "2")])).unwrap().interfaces["c1"].driver.clone()
    else {
        panic!("no memif");
    };
    assert_eq!((memif.id, memif.queues, memif.secret.as_ref().map(Secret::as_str)), (1, 2, Some("word")));
    assert!(!format!("{memif:?}").contains("word"), "a secret in a log");
    // What it is already is no step.
    assert_eq!(steps(keys("c1", &[("ring-size", "1024"), ("role", "server")])), "");
    // Nothing: what is meant without the key.
    let Driver::Memif(memif) = &edit(&start(), &keys("c1", &[("secret", "")])).unwrap().interfaces["c1"].driver.clone()
    else {
        panic!("no memif");
    };
    assert_eq!((memif.secret.is_none(), memif.id), (true, 1));
}

#[test]
fn keys_of_drivers_keep_to_the_rules_of_a_file() {
    for (edit, words) in [
        (
            keys("c1", &[("id", "2")]),
            "interface c2: id: 2 on this socket is interface c1's already; expected an id of its own, or another socket",
        ),
        (
            keys("c1", &[("zero-copy", "true")]),
            "interface c1: zero-copy: the client shares its buffers, not the server; expected role: client or no zero-copy",
        ),
        (
            keys("c1", &[("ring-size", "1000")]),
            "interface c1: ring-size: cannot take \"1000\"; expected a power of two from 32 to 16384",
        ),
        (
            keys("c1", &[("offloads", "false")]),
            "interface c1: offloads: unknown key; expected one of: driver, socket, id, role, secret, queues, ring-size, zero-copy",
        ),
        (keys("c1", &[("roles", "client")]), "interface c1: roles: unknown key; did you mean `role`?"),
        (
            keys("c1", &[("socket", "")]),
            "interface c1: socket is missing; expected the absolute path of a socket or `@` and a name, such as /run/millrace/memif.sock, of at most 107 bytes",
        ),
        (
            keys("vm1", &[("socket", "/run/m.sock")]),
            "interface vm1: socket /run/m.sock is interface c2's already; expected one of its own for each interface",
        ),
        (
            keys("lan.7", &[("queues", "2")]),
            "interface lan.7: queues: a sub-interface has no driver; set it on lan, or remove it and add another",
        ),
        (keys("c3", &[("id", "2")]), "no interface \"c3\"; expected one of: c1, c2, lan, lan.7, vm1"),
    ] {
        assert_eq!(refused(edit), words);
    }
}

#[test]
fn cross_connects_come_and_go() {
    assert_eq!(steps(connect("vm1", Some("lan"))), "~ interface vm1: cross-connect c2 -> lan\n");
    assert_eq!(steps(connect("vm1", None)), "~ interface vm1: cross-connect c2 -> off\n");
    assert_eq!(steps(connect("c2", Some("vm1"))), "~ interface c2: cross-connect off -> vm1\n");
    for (edit, words) in [
        (
            connect("c1", Some("vm1")),
            "interface c1: cross-connect: no packet of it is routed, but it has addresses; expected no addresses, or no cross-connect",
        ),
        (
            connect("c2", Some("c2")),
            "interface c2: cross-connect: c2 is the interface itself; expected another interface",
        ),
        (
            connect("c2", Some("lan.7")),
            "interface c2: cross-connect: lan.7 is a sub-interface, and frames leave untouched; expected an interface with a driver, such as lan",
        ),
        (
            connect("lan.7", Some("c2")),
            "interface lan.7: cross-connect: a sub-interface has none of its own; expected it on an interface with a driver",
        ),
        (connect("c2", Some("vm2")), "interface c2: cross-connect: no interface \"vm2\"; did you mean `vm1`?"),
        (
            Edit::InterfaceRemove { name: name("c2") },
            "interface c2 is used by cross-connect of vm1; remove these first",
        ),
    ] {
        assert_eq!(refused(edit), words);
    }
}

#[test]
fn the_environment_of_dpdk_is_one_step() {
    let with =
        |text: &str| parse(&format!("{text}\ninterfaces: {{p0: {{driver: dpdk, device: net_null0}}}}"), "").unwrap();
    let wanted = with("dpdk: {memory: 128MiB, huge-pages: off, arguments: [--iova-mode=va]}");
    assert_eq!(
        plan(&with(""), &wanted).to_string(),
        "~ dpdk: 64MiB huge-pages auto -> 128MiB huge-pages off --iova-mode=va\n"
    );
    assert!(plan(&Config::default(), &wanted).to_string().ends_with("\n+ interface p0: dpdk net_null0\n"));
}
