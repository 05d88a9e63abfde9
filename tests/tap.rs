//! The tap driver: the kernel's side of the device becomes a host.

use harness::{Host, HttpServer, Iperf, Lab, Router, SIGTERM};

/// A router with a tap, whose kernel side is the card of a host, and a host on a veth.
fn start(tap: &str) -> (Router, Host, Host, Lab) {
    let lab = Lab::new();
    let wan = lab.host("wan", "203.0.113.10/24", "203.0.113.1");
    let router = lab.start(&format!(
        "
interfaces:
  lan: {{driver: tap, device: mr-lan, {tap}addresses: [192.168.1.1/24]}}
  wan: {{driver: af-packet, device: wan, addresses: [203.0.113.1/24]}}
"
    ));
    let lan = Host::unplugged("lan", "192.168.1.10/24");
    lab.router.ip(&format!("link set mr-lan netns {} name eth0", lan.name()));
    lan.configure("192.168.1.10/24", "192.168.1.1");
    (router, lan, wan, lab)
}

#[test]
fn a_tap_is_a_hosts_card() {
    let (router, lan, wan, _lab) = start("");
    lan.ping("192.168.1.1");
    lan.ping("203.0.113.10");
    wan.ping("192.168.1.10");
    HttpServer::start(&wan, 16 << 20).fetch(&lan);
    HttpServer::start(&lan, 16 << 20).fetch(&wan);
    for options in ["", "-R"] {
        assert!(Iperf::run(&lan, &wan, 1, options).bits_per_second > 50e6, "iperf3 {options}");
    }
    let row = router.interface("lan").expect("lan");
    assert_eq!((&row["driver"], &row["device"]), (&"tap".into(), &"mr-lan".into()));
    assert_ne!(row["mac"].as_str(), Some(lan.mac().as_str()), "both ends of the cable have the same address");
}

#[test]
fn several_queues_and_jumbo_packets() {
    let (_router, lan, wan, _lab) = start("queues: 2, mtu: 9000, ");
    lan.ip("link set eth0 mtu 9000");
    lan.ping("203.0.113.10");
    lan.run("ping -n -M do -c 2 -i 0.2 -W 2 -s 8972 192.168.1.1").ok();
    assert!(Iperf::run(&lan, &wan, 1, "-P 4").bits_per_second > 50e6);
}

#[test]
fn the_device_goes_with_the_daemon() {
    let lab = Lab::new();
    let mut router = lab.start("interfaces: {lan: {driver: tap, device: mr-lan, addresses: [192.168.1.1/24]}}");
    assert!(lab.router.ip("-br link").contains("mr-lan"));
    router.run("interface remove lan");
    assert!(!lab.router.ip("-br link").contains("mr-lan"));
    router.run("interface add lan driver tap device mr-lan2");
    assert!(lab.router.ip("-br link").contains("mr-lan2"));
    router.end(SIGTERM).code(0);
    assert!(!lab.router.ip("-br link").contains("mr-lan2"));
}
