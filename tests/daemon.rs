//! The daemon as a service: its arguments, signals, socket and exit codes, and those of `millctl`.

use harness::{Hosts, Lab, SIGINT, SIGKILL, SIGTERM, TempDir, millctl, millrace, program};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const SMALL: &str = "interfaces: {lo0: {driver: loopback, addresses: [10.255.0.1/32]}}\n";

#[test]
fn check_tells_good_from_bad() {
    let files = TempDir::new();
    let check = |text: &str| millrace(&["--check", "--config", &files.write("r.yaml", text).display().to_string()]);
    check(SMALL).ok();
    check("").ok();
    let said = check("workers: {count: 0}\ninterfaces:\n  a: {driver: tap, device: x, mtu: big}\n").code(2);
    let said = format!("{}{}", said.stdout, said.stderr);
    for place in ["r.yaml:1:18:", "r.yaml:3:36:"] {
        assert!(said.contains(place), "no error at {place}\n{said}");
    }
    for words in [&["--check", "--config", "/nonexistent"][..], &["--check"], &["--nosuch"], &["stray", "words"]] {
        millrace(words).code(2);
    }
}

#[test]
fn a_bad_file_is_no_start() {
    let files = TempDir::new();
    let bad = files.write("bad.yaml", "interfaces: {a: {driver: nosuch}}\n");
    let socket = files.file("api.sock");
    let said = millrace(&["--config", &bad.display().to_string(), "--socket", &socket.display().to_string()]).code(2);
    assert!(said.stderr.contains("bad.yaml:1:"), "{}", said.stderr);
    assert!(!socket.exists());
}

#[test]
fn signals_end_it_cleanly() {
    let lab = Lab::new();
    for signal in [SIGTERM, SIGINT] {
        let mut router = lab.start(SMALL);
        assert!(router.socket().exists());
        router.end(signal).code(0);
        assert!(!router.socket().exists(), "the socket is left behind");
    }
}

#[test]
fn its_socket_is_for_owner_and_group() {
    let lab = Lab::new();
    let router = lab.start(SMALL);
    let mode = std::fs::metadata(router.socket()).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn a_socket_left_by_a_crash_is_no_obstacle() {
    let mut net = Hosts::start("");
    net.router.end(SIGKILL);
    assert!(net.router.socket().exists(), "a killed daemon can't remove its socket");
    net.router.start_again();
    net.lan.ping("203.0.113.10");
}

#[test]
fn two_daemons_do_not_share_a_socket() {
    let lab = Lab::new();
    let router = lab.start(SMALL);
    let [config, socket] = [router.config_file(), router.socket()].map(|path| path.display().to_string());
    let second = millrace(&["--config", &config, "--socket", &socket]);
    assert!(second.code > 0, "a second daemon came up");
    assert!(second.stderr.contains("api.sock"), "{}", second.stderr);
    router.run("show version");
}

#[test]
fn it_forwards_again_after_a_restart() {
    let mut net = Hosts::start("");
    net.lan.ping("203.0.113.10");
    net.router.restart();
    net.lan.ping("203.0.113.10");
}

#[test]
fn exit_codes_of_millctl() {
    let lab = Lab::new();
    let router = lab.start(SMALL);
    for (command, code) in [
        ("show version", 0),
        ("sh ver", 0),
        ("-o json show interfaces", 0),
        ("-o yaml show interfaces", 0),
        ("route add 10.0.0.0/8 via 192.0.2.1 vrf nosuch", 1),
        ("interface remove nosuch", 1),
        ("show nosuch", 2),
        ("s", 2),
        ("route add 10.0.0.0/40 blackhole", 2),
        ("-o xml show version", 2),
        ("--nosuch", 2),
        ("-f /nonexistent", 2),
    ] {
        let output = router.ctl(command).code(code);
        assert_eq!(output.stderr.is_empty(), code == 0, "{command}: {:?}", output.stderr);
        assert!(code == 0 || output.stdout.is_empty(), "{command} fails and prints {:?}", output.stdout);
    }
    millctl(&lab.files.file("nobody.sock"), &["show", "version"]).code(3);
}

#[test]
fn a_file_of_commands_stops_at_the_first_error() {
    let lab = Lab::new();
    let router = lab.start(SMALL);
    let commands = "# comments and blank lines are fine\n\nroute add 10.1.0.0/16 blackhole\nroute add 10.1.0.0/16 \
                    blackhole\nroute add 10.2.0.0/16 blackhole\n";
    let script = lab.files.write("commands", commands);
    let said = router.ctl(&format!("-f {}", script.display())).code(1).stderr;
    assert!(said.contains("commands:4:"), "the line is not named: {said}");
    let routes = router.run("show ip route");
    assert!(routes.contains("10.1.0.0/16") && !routes.contains("10.2.0.0/16"), "{routes}");
}

#[test]
fn version_and_help_need_no_daemon() {
    for name in ["millrace", "millctl"] {
        for option in ["--version", "--help"] {
            let output = harness::Output::of(Command::new(program(name)).arg(option)).ok();
            assert!(output.contains("millrace") || output.contains("millctl"), "{name} {option}: {output}");
        }
    }
}
