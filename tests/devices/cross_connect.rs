//! Cross-connects: what comes in by one interface leaves by the other, as if a cable were there.

use harness::{Host, HttpServer, Iperf, Lab, Router, Wire, eventually, frames};
use std::time::Duration;

const CONFIG: &str = "
interfaces:
  one: {driver: af-packet, device: one, mtu: 9000, cross-connect: two}
  two: {driver: af-packet, device: two, mtu: 9000, cross-connect: one}
";

/// A router that is a cable between two hosts of one subnet. The fields are dropped in this order.
struct Cable {
    router: Router,
    one: Host,
    two: Host,
    lab: Lab,
}

fn cable() -> Cable {
    let lab = Lab::new();
    let (one, two) = (lab.host("one", "10.0.0.1/24", "10.0.0.2"), lab.host("two", "10.0.0.2/24", "10.0.0.1"));
    let router = lab.start(CONFIG);
    Cable { router, one, two, lab }
}

#[test]
fn two_hosts_think_that_there_is_a_cable() {
    let net = cable();
    net.one.ping(&net.two.address);
    net.two.ping(&net.one.address);
    HttpServer::start(&net.two, 16 << 20).fetch(&net.one);
    for options in ["", "-R"] {
        assert!(Iperf::run(&net.one, &net.two, 1, options).bits_per_second > 50e6, "iperf3 {options}");
    }
    for host in [&net.one, &net.two] {
        host.ip("link set eth0 mtu 9000");
    }
    net.one.run("ping -n -M do -c 2 -i 0.2 -W 2 -s 8972 10.0.0.2").ok();
    let details = net.router.run("show interfaces one");
    assert!(details.contains("cross-connect two") && details.contains("device-input: cross-connect"), "{details}");
    assert_eq!(net.router.json("show interfaces one")["details"]["cross_connect"], "two");
}

#[test]
fn frames_leave_as_they_came() {
    let lab = Lab::new();
    let (one, two) = (lab.wire("one"), lab.wire("two"));
    let router = lab.start(CONFIG);
    let (from, to) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let group = [0x01, 0x80, 0xc2, 0, 0, 0x0e];
    let ours = frames::mac(router.interface("one").expect("one")["mac"].as_str().expect("a MAC address"));
    let sent: Vec<(&str, Vec<u8>)> = vec![
        ("nothing but a header", frames::ethernet(from, to, 0x88b5, b"")),
        ("for the router's own address", frames::ethernet(from, ours, frames::IP4, &[0x45; 60])),
        ("a bridge never forwards these (802.1Q 8.6.3)", frames::ethernet(from, group, 0x88cc, &[0; 50])),
        ("broadcast", frames::ethernet(from, frames::BROADCAST, 0x0806, &[0xff; 28])),
        ("802.3 length", frames::ethernet(from, to, 7, &[1; 46])),
        ("a tag", frames::tagged(4094, &frames::ethernet(from, to, frames::IP4, &[7; 100]))),
        ("IP that is no IP", frames::ethernet(from, to, frames::IP4, &[0xee; 1500])),
        ("over several buffers", frames::ethernet(from, to, 0x88b5, &[0x11; 8999])),
    ];
    let jumbo = |wire: &Wire| wire.end.ip("link set end0 mtu 9000");
    jumbo(&one);
    jumbo(&two);
    for (name, frame) in &sent {
        for (from, to, back) in [(&one, &two, &one), (&two, &one, &two)] {
            from.send(frame);
            let came = to.recv(Duration::from_secs(10)).unwrap_or_else(|| panic!("{name} did not come"));
            assert!(came == *frame, "{name}: {came:02x?}");
            assert_eq!(back.drain(), Vec::<Vec<u8>>::new(), "{name} came back");
        }
    }
    let frames = sent.len() as u64;
    for interface in ["one", "two"] {
        for count in ["rx_packets", "tx_packets"] {
            assert_eq!(router.counter(interface, count), frames, "{count} of {interface}");
        }
    }
    assert_eq!(router.list("show errors"), Vec::<serde_json::Value>::new());
    router.run("trace add cross-connect 1");
    one.send(&sent[0].1);
    eventually("a trace", || router.run("show trace").contains("interface two").then_some(()));
    let trace = router.run("show trace");
    assert!(trace.contains("cross-connect -> interface-output") && !trace.contains("ethernet-input"), "{trace}");
}

#[test]
fn it_is_one_way_and_switched_while_frames_pass() {
    let net = cable();
    net.one.ping(&net.two.address);
    let commands = ["interface set two cross-connect off", "address add 10.0.0.9/24 interface two"];
    commands.iter().for_each(|command| drop(net.router.run(command)));
    // What `two` sends is the router's own now; what `one` sends still leaves by `two`.
    net.two.ping("10.0.0.9");
    assert!(!net.two.reaches("10.0.0.1") && !net.one.reaches("10.0.0.9"));
    let refused = net.router.ctl("interface set two cross-connect one");
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("no packet of it is routed, but it has addresses"), "{}", refused.stderr);
    net.router.run("address remove 10.0.0.9/24 interface two");
    net.router.run("interface set two cross-connect one");
    net.two.ping("10.0.0.1");
}

#[test]
fn the_other_interface_goes_and_comes_back() {
    let net = cable();
    let reached = || net.one.reaches(&net.two.address).then_some(());
    net.one.ping(&net.two.address);
    let lost = |reason: &str| net.router.errors("interface-tx", reason);

    net.router.run("interface set two down");
    assert!(!net.one.reaches(&net.two.address));
    assert!(lost("interface is down") > 0, "{}", net.router.run("show errors"));
    assert!(net.router.counter("two", "tx_drops") > 0);
    net.router.run("interface set two up");
    eventually("it is up again", reached);

    net.two.ip("link del eth0");
    eventually("its device is gone", || (net.router.interface("two")?["link"] == "missing").then_some(()));
    assert!(!net.one.reaches(&net.two.address));
    net.lab.router.cable("two", &net.two, "eth0");
    net.two.configure("10.0.0.2/24", "10.0.0.1");
    // Its card has another address now.
    net.one.ip("neigh flush all");
    eventually("its device is back", reached);

    let refused = net.router.ctl("interface remove two");
    assert_eq!(
        (refused.code, refused.stderr.trim()),
        (1, "interface two is used by cross-connect of one; remove these first")
    );
    for command in ["interface set one cross-connect off", "interface remove two"] {
        net.router.run(command);
    }
    assert!(!net.one.reaches(&net.two.address));
    net.router.run("interface add two driver af-packet device two cross-connect one");
    net.router.run("interface set one cross-connect two");
    eventually("it is connected again", reached);
    // All of it at once, by a file; and back.
    let file = net.router.files().write("next.yaml", "interfaces: {one: {driver: af-packet, device: one}}");
    net.router.run(&format!("config apply {}", file.display()));
    assert!(!net.one.reaches(&net.two.address));
    net.router.run("config rollback");
    eventually("it is as it was", reached);
    net.router.rebase();
}
