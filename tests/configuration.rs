//! One typed configuration, changed by files: checked, planned, applied, undone, confirmed, kept.

use harness::{Hosts, SIGHUP, UdpStream, eventually, millrace};
use std::path::PathBuf;

/// A change of the usual configuration: another address in the lan, and a default route.
const MORE: &str = "
interfaces:
  lan: {driver: af-packet, device: lan, addresses: [192.168.1.1/24, 192.168.7.1/24]}
  wan: {driver: af-packet, device: wan, addresses: [203.0.113.1/24]}
routes:
  - {to: 0.0.0.0/0, via: 203.0.113.10}
";

fn file(net: &Hosts, text: &str) -> PathBuf {
    net.lab.files.write("new.yaml", text)
}

/// Whether the router has what [`MORE`] adds.
fn has_more(net: &Hosts) -> bool {
    let route = net.router.list("show ip route").iter().any(|route| route["prefix"] == "0.0.0.0/0");
    let address = net.lan.reaches("192.168.7.1");
    assert_eq!(route, address, "a change was applied by half");
    route
}

#[test]
fn a_file_is_planned_and_applied_under_traffic() {
    let net = Hosts::start("");
    net.lan.ping("203.0.113.10");
    let more = file(&net, MORE);
    let stream = UdpStream::start(&net.lan, &net.wan, 2000);
    let plan = net.router.run(&format!("config plan {}", more.display()));
    assert!(plan.contains("192.168.7.1/24") && plan.contains("0.0.0.0/0"), "{plan}");
    assert!(!has_more(&net), "a plan changes nothing");
    net.router.run(&format!("config apply {}", more.display()));
    assert!(has_more(&net));
    let plan = net.router.json(&format!("config plan {}", more.display()));
    assert_eq!(plan["lines"].as_array().map_or(0, Vec::len), 0, "there is nothing left to do: {plan}");
    net.router.run("config rollback");
    assert!(!has_more(&net));
    let (sent, missing) = stream.finish();
    assert!(missing.is_empty(), "{} of {sent} packets were lost: {missing:?}", missing.len());
}

#[test]
fn history_keeps_every_revision() {
    let net = Hosts::start("");
    let more = file(&net, MORE);
    net.router.run(&format!("config apply {}", more.display()));
    net.router.run("route add 10.0.0.0/8 via 203.0.113.10");
    net.router.run("config rollback 1");
    let history = net.router.list("config history");
    let sources: Vec<_> = history.iter().filter_map(|row| row["source"].as_str()).collect();
    assert_eq!(sources, ["rollback", "edit", "apply", "start"], "newest first");
    let running: Vec<_> = history.iter().filter(|row| row["running"] == true).collect();
    assert!(running.len() == 1 && running[0] == &history[0], "{running:?}");
    assert!(history[1]["summary"].as_str().is_some_and(|line| line.contains("10.0.0.0/8")), "{}", history[1]);
    assert!(!has_more(&net));
    net.router.ctl("config rollback 99").code(1);
}

#[test]
fn what_is_not_confirmed_is_undone() {
    let net = Hosts::start("");
    let more = file(&net, MORE);
    net.router.run(&format!("config apply {} confirm 1", more.display()));
    assert!(has_more(&net), "it is applied at once");
    eventually("it is undone", || {
        let row = net.router.list("config history").into_iter().next();
        row.filter(|row| row["source"] == "confirm timeout")
    });
    assert!(!has_more(&net));
    net.router.ctl("config confirm").code(1);
    net.router.run(&format!("config apply {} confirm 2", more.display()));
    net.router.run("config confirm");
    net.router.ctl("config confirm").code(1);
    // The time runs out, and nothing happens: five pings take longer.
    net.lan.run("ping -n -c 6 -i 0.5 192.168.7.1").ok();
    assert!(has_more(&net));
}

#[test]
fn the_running_configuration_can_be_saved() {
    let mut net = Hosts::start("");
    net.router.run("route add 198.51.100.0/24 via 203.0.113.10");
    net.router.run("interface set wan mtu 1400");
    let saved = net.lab.files.file("saved.yaml");
    net.router.run(&format!("config save {}", saved.display()));
    assert_eq!(std::fs::read_to_string(&saved).unwrap_or_default(), net.router.run("show configuration"));
    millrace(&["--check", "--config", &saved.display().to_string()]).ok();
    let plan = net.router.json(&format!("config plan {}", saved.display()));
    assert_eq!(plan["lines"].as_array().map_or(0, Vec::len), 0, "{plan}");
    // Without a name it is the file that the daemon was started with: nothing that was typed is lost at a restart.
    net.router.run("config save");
    net.router.restart();
    assert_eq!(net.router.interface("wan").expect("wan")["mtu"], 1400);
    assert!(net.router.list("show ip route").iter().any(|route| route["prefix"] == "198.51.100.0/24"));
}

#[test]
fn a_bad_file_changes_nothing() {
    let net = Hosts::start("");
    let before = net.router.run("show configuration");
    let bad = file(&net, &format!("{MORE}  - {{to: 10.0.0.0/33, via: 203.0.113.10}}\nintrefaces: {{}}\n"));
    for command in ["check", "plan", "apply"] {
        let said = net.router.ctl(&format!("config {command} {}", bad.display())).code(2);
        let said = format!("{}{}", said.stdout, said.stderr);
        for place in ["new.yaml:7:", "new.yaml:8:"] {
            assert!(said.contains(place), "config {command} names no error at {place}\n{said}");
        }
    }
    net.router.ctl("config apply /nonexistent.yaml").code(2);
    assert_eq!(net.router.run("show configuration"), before);
    assert!(!has_more(&net));
}

#[test]
fn a_change_that_fails_on_the_way_is_undone() {
    let net = Hosts::start("");
    let before = net.router.run("show configuration");
    // There is a device of this name already, and it is no tap.
    net.lab.router.ip("link add name taken type veth peer name taken-peer");
    // The file takes an address away and adds an interface before it comes to that one.
    let bad = "  a0: {driver: loopback}\n  bad: {driver: tap, device: taken, addresses: [10.8.0.1/24]}\nroutes:";
    let text = MORE.replace("192.168.1.1/24, ", "").replace("routes:", bad);
    let said = net.router.ctl(&format!("config apply {}", file(&net, &text).display())).code(1).stderr;
    assert!(said.contains("taken"), "{said}");
    assert_eq!(net.router.run("show configuration"), before);
    assert!(!has_more(&net));
    assert_eq!(net.router.list("show interfaces").len(), 2);
    net.lan.ping("192.168.1.1");
    net.lan.ping("203.0.113.10");
}

#[test]
fn sighup_reads_the_file_again() {
    let mut net = Hosts::start("");
    net.router.write_config(MORE);
    net.router.process().signal(SIGHUP);
    eventually("the new file runs", || net.lan.reaches("192.168.7.1").then_some(()));
    assert!(has_more(&net));
    net.router.write_config("interfaces: {lan: {driver: nosuch}}");
    net.router.process().signal(SIGHUP);
    net.router.process().wrote("config.yaml:1:");
    assert!(has_more(&net), "a bad file is refused as a whole");
    net.router.write_config(Hosts::INTERFACES);
    net.router.process().signal(SIGHUP);
    eventually("the old file runs", || (!net.lan.reaches("192.168.7.1")).then_some(()));
    net.lan.ping("203.0.113.10");
}
