//! Real hosts on either side, with the programs that people use.

use harness::{DualHosts, Host, HttpServer, Iperf, Lab, PATIENCE, UdpStream, eventually};

/// The addresses of the hops that traceroute shows. One probe at a time, as Linux hosts limit their errors.
#[track_caller]
pub fn hops(host: &Host, how: &str, to: &str) -> Vec<String> {
    let path = host.run(&format!("traceroute -6 -n -q 1 -N 1 -w 2 {how} {to}")).ok();
    path.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
}

#[test]
fn pings() {
    let net = DualHosts::start("");
    net.lan.ping(&net.wan.address);
    net.wan.ping(&net.lan.address);
    for own in ["2001:db8:1::1", "2001:db8:2::1"] {
        net.lan.ping(own);
        net.wan.ping(own);
    }
    // In fragments, which the host makes: RFC 8200 section 4.5.
    net.lan.run("ping -n -c 2 -i 0.2 -W 2 -s 20000 2001:db8:2::10").ok();
    net.lan.run("ping -n -c 2 -i 0.2 -W 2 -s 5000 2001:db8:1::1").ok();
    net.wan.run("ping -n -c 2 -i 0.2 -W 2 -s 5000 2001:db8:1::1").ok();
    // The largest packet that fits.
    net.lan.run("ping -n -c 2 -i 0.2 -W 2 -M do -s 1452 2001:db8:2::10").ok();
}

/// The router has a link-local address on every interface (RFC 4291 2.8), and answers by it on that link alone.
#[test]
fn the_link_local_address() {
    let net = DualHosts::start("");
    let gateway = |host: &Host| {
        host.ip("-6 neigh show dev eth0")
            .lines()
            .filter_map(|line| line.split_whitespace().skip_while(|word| *word != "lladdr").nth(1).map(str::to_owned))
            .next()
    };
    for host in [&net.lan, &net.wan] {
        let mac = eventually("the router's hardware address", || gateway(host));
        let address = std::net::Ipv6Addr::from(harness::frames6::link_local(harness::frames::mac(&mac)));
        host.ping(&format!("{address}%eth0"));
        host.run(&format!("ping -n -c 1 -W 2 -s 3000 {address}%eth0")).ok();
        // Who asks all routers hears of it, too (RFC 4443 4.2).
        let said = host.run("ping -n -c 1 -W 2 ff02::2%eth0").ok();
        assert!(said.contains(&format!("from {address}%eth0")), "{said}");
    }
}

#[test]
fn downloads_and_uploads() {
    let net = DualHosts::start("");
    HttpServer::start(&net.wan, 32 << 20).fetch(&net.lan);
    HttpServer::start(&net.lan, 4 << 20).fetch(&net.wan);
    for options in ["-6", "-6 -R", "-6 -P 4"] {
        let rate = Iperf::run(&net.lan, &net.wan, 1, options).bits_per_second;
        assert!(rate > 100e6, "iperf3 {options}: {:.1} Mbit/s", rate / 1e6);
    }
    for options in ["-6 -u -b 20M", "-6 -u -b 20M -R"] {
        let rate = Iperf::run(&net.lan, &net.wan, 1, options).bits_per_second;
        assert!(rate > 10e6, "iperf3 {options}: {:.1} Mbit/s", rate / 1e6);
    }
}

/// Both families at once, each undisturbed by the other.
#[test]
fn dual_stack() {
    let net = DualHosts::start("");
    let wan4 = net.wan.at("203.0.113.10");
    let numbers = UdpStream::start(&net.lan, &net.wan, 500);
    std::thread::scope(|scope| {
        scope.spawn(|| HttpServer::start(&wan4, 16 << 20).fetch(&net.lan));
        scope.spawn(|| HttpServer::start(&net.lan, 16 << 20).fetch(&net.wan));
        scope.spawn(|| net.lan.ping("203.0.113.10"));
        scope.spawn(|| net.lan.ping("2001:db8:2::10"));
    });
    let (sent, missing) = numbers.finish();
    assert!(missing.is_empty(), "{} of {sent} packets were lost: {missing:?}", missing.len());
    // The hosts are neighbours of the router in both families.
    let rows = net.router.list("show neighbors");
    for address in ["192.168.1.10", "2001:db8:1::10", "203.0.113.10", "2001:db8:2::10"] {
        assert!(rows.iter().any(|row| row["address"] == address), "no {address} in {rows:?}");
    }
}

#[test]
fn traceroute_shows_the_router() {
    let net = DualHosts::start("");
    for how in ["-I", "-U", "-T -p 80", ""] {
        assert_eq!(hops(&net.lan, how, "2001:db8:2::10"), ["2001:db8:1::1", "2001:db8:2::10"], "traceroute {how}");
    }
}

/// Two routers in a row. One knows the other by its global address, the other way leads by a link-local one.
#[test]
fn two_routers() {
    let (left, right) = (Lab::new(), Lab::new());
    let near = left.host("lan", "192.168.1.10/24", "192.168.1.1").with6("2001:db8:1::10/64", "2001:db8:1::1");
    let far = right.host("far", "192.168.9.10/24", "192.168.9.1").with6("2001:db8:9::10/64", "2001:db8:9::1");
    left.router.cable("wan", &right.router, "wan");
    // What the cable's ends say by themselves is not the routers'.
    let left_router = left.start(
        "
interfaces:
  lan: {driver: af-packet, device: lan, addresses: [192.168.1.1/24, '2001:db8:1::1/64']}
  wan: {driver: af-packet, device: wan, mac: '02:fe:00:00:00:12', addresses: [10.0.0.1/30, '2001:db8:f::1/64']}
routes:
  - {to: 192.168.9.0/24, via: 10.0.0.2}
  - {to: '2001:db8:9::/64', via: '2001:db8:f::2'}
",
    );
    let right_router = right.start(
        "
interfaces:
  far: {driver: af-packet, device: far, addresses: [192.168.9.1/24, '2001:db8:9::1/64']}
  wan: {driver: af-packet, device: wan, mac: '02:fe:00:00:00:13', addresses: [10.0.0.2/30, '2001:db8:f::2/64']}
routes:
  - {to: 192.168.1.0/24, via: 10.0.0.1}
  - {to: '2001:db8:1::/64', via: [{gateway: 'fe80::fe:ff:fe00:12', interface: wan}]}
",
    );
    eventually("the way is there", || near.reaches("2001:db8:9::10").then_some(()));
    for how in ["-I", "-U"] {
        let path = hops(&near, how, "2001:db8:9::10");
        assert_eq!(path, ["2001:db8:1::1", "2001:db8:f::2", "2001:db8:9::10"], "traceroute {how}");
    }
    HttpServer::start(&far, 8 << 20).fetch(&near);
    near.ping("192.168.9.10");
    drop((left_router, right_router));
}

/// What the router itself asks: ping and traceroute by an operator.
#[test]
fn the_operator_asks() {
    let net = DualHosts::start("");
    let said = net.router.run("ping 2001:db8:1::10 count 3");
    assert!(said.contains("3 packets transmitted, 3 received, 0% packet loss"), "{said}");
    assert_eq!(said.matches("bytes from 2001:db8:1::10: icmp_seq=").count(), 3, "{said}");
    net.router.run("ping 2001:db8:1::10 count 1 source 2001:db8:2::1");
    net.router.run("ping 2001:db8:1::1 count 1");
    net.router.ctl("ping 2001:db8:77::1 count 1").code(1);
    net.router.ctl("ping 2001:db8:1::10 source 2001:db8:77::1").code(1);
    net.wan.sysctl("net.ipv6.conf.all.forwarding=1");
    let said = net.router.run("traceroute 2001:db8:2::10");
    assert!(said.contains("2001:db8:2::10"), "{said}");
}

/// A restart of the router: hosts that knew it find it again, without a change of theirs.
#[test]
fn the_router_is_restarted() {
    let mut net = DualHosts::start("");
    net.lan.ping("2001:db8:2::10");
    net.router.restart();
    let found = harness::within(PATIENCE, || net.lan.reaches("2001:db8:2::10").then_some(()));
    assert!(found.is_some(), "{}", net.router.run("show neighbors"));
    net.wan.ping("2001:db8:1::10");
}
