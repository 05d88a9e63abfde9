//! Two Millraces with tunnels between them.

use harness::{Host, Iperf, Lab, Router, eventually};

struct Site {
    router: Router,
    host: Host,
    _lab: Lab,
}

fn site(lab: Lab, n: usize, driver: &str) -> Site {
    let host = lab.host("lan", &format!("192.168.{n}.10/24"), &format!("192.168.{n}.1"));
    host.configure6(&format!("2001:db8:{n}::10/64"), &format!("2001:db8:{n}::1"));
    let other = 3 - n;
    let router = lab.start(&format!(
        "
interfaces:
  lan: {{driver: af-packet, device: lan, addresses: [192.168.{n}.1/24, '2001:db8:{n}::1/64']}}
  wan: {{driver: af-packet, device: wan, addresses: [192.0.2.{n}/24, '2001:db8:ffff::{n}/64']}}
  t0: {{{}, addresses: [10.9.0.{n}/30]}}
routes:
  - {{to: 192.168.{other}.0/24, via: 10.9.0.{other}}}
  - {{to: '2001:db8:{other}::/64', via: [{{interface: t0}}]}}
",
        driver.replace("OWN", &n.to_string()).replace("OTHER", &other.to_string())
    ));
    Site { router, host, _lab: lab }
}

fn check(driver: &str) {
    let labs = [Lab::new(), Lab::new()];
    labs[0].router.cable("wan", &labs[1].router, "wan");
    let mut n = 0;
    let [one, two] = labs.map(|lab| {
        n += 1;
        site(lab, n, driver)
    });
    eventually("the tunnel is through", || one.host.reaches("192.168.2.10").then_some(()));
    two.host.ping("192.168.1.10");
    one.host.ping("2001:db8:2::10");
    let long = one.host.run("ping -n -c 2 -i 0.2 -W 2 -s 5000 192.168.2.10").ok();
    assert!(long.contains(" 0% packet loss"), "{long}");
    let stream = Iperf::run(&one.host, &two.host, 1, "");
    assert!(stream.bits_per_second > 1e6, "{} bit/s", stream.bits_per_second);
    one.router.settle();
    two.router.settle();
    let count = |site: &Site, key| site.router.json("show tunnels t0")[key].as_u64().expect("a number");
    for (rx, tx) in [("rx_packets", "tx_packets"), ("rx_bytes", "tx_bytes")] {
        assert_eq!((count(&one, tx), count(&two, tx)), (count(&two, rx), count(&one, rx)), "{driver} {tx}");
    }
}

#[test]
fn gre_over_ipv4() {
    check("driver: gre, local: 192.0.2.OWN, remote: 192.0.2.OTHER, key: 99, checksum: true");
}

#[test]
fn ipip_over_ipv6() {
    check("driver: ipip, local: '2001:db8:ffff::OWN', remote: '2001:db8:ffff::OTHER'");
}
