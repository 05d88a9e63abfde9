//! Real hosts behind the NAT, with the programs that people use.

use harness::{Host, Hosts, HttpServer, Iperf, Lab, Process, eventually};

/// `lan` and `lan2` are inside, `wan` is outside and leads on to `far`.
pub struct Home {
    /// The router and its first two hosts: `lan` (192.168.1.10) and `wan` (203.0.113.10).
    pub net: Hosts,
    /// 192.168.2.10, inside, too.
    pub lan2: Host,
    /// 198.51.100.10, behind `wan`.
    pub far: Host,
}

impl Home {
    /// Starts it with these settings of `nat44`.
    #[track_caller]
    pub fn start(nat44: &str) -> Home {
        Home::with(nat44, "")
    }

    /// The same with more of a configuration.
    #[track_caller]
    pub fn with(nat44: &str, more: &str) -> Home {
        let lab = Lab::new();
        let lan = lab.host("lan", "192.168.1.10/24", "192.168.1.1");
        let lan2 = lab.host("lan2", "192.168.2.10/24", "192.168.2.1");
        let wan = lab.host("wan", "203.0.113.10/24", "203.0.113.1");
        let far = Host::unplugged("far", "198.51.100.10/24");
        wan.cable("eth1", &far, "eth0");
        wan.ip("addr add 198.51.100.1/24 dev eth1");
        wan.sysctl("net.ipv4.ip_forward=1");
        // As a host of the Internet, it knows the way to external addresses and none to inside ones.
        wan.ip("route del default");
        far.configure("198.51.100.10/24", "198.51.100.1");
        let interfaces = Hosts::INTERFACES.trim_end();
        let router = lab.start(&format!(
            "{interfaces}
  lan2: {{driver: af-packet, device: lan2, addresses: [192.168.2.1/24]}}
routes: [{{to: 0.0.0.0/0, via: 203.0.113.10}}]
nat44: {{inside: [lan, lan2], outside: [wan], {nat44}}}
{more}"
        ));
        Home { net: Hosts { router, lan, wan, lab }, lan2, far }
    }
}

/// The addresses of the hops that traceroute shows.
#[track_caller]
fn hops(host: &Host, how: &str, to: &str) -> Vec<String> {
    let path = host.run(&format!("traceroute -n -q 1 -w 2 {how} {to}")).ok();
    path.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
}

#[test]
fn downloads_and_uploads() {
    for pool in ["interface", "[203.0.113.2]"] {
        let home = Home::start(&format!("pool: {pool}"));
        let server = HttpServer::start(&home.far, 32 << 20);
        server.fetch(&home.net.lan);
        server.fetch(&home.lan2);
        for options in ["", "-R", "-P 4"] {
            let rate = Iperf::run(&home.net.lan, &home.far, 1, options).bits_per_second;
            assert!(rate > 1e6, "iperf3 {options}: {:.1} Mbit/s", rate / 1e6);
        }
        Iperf::run(&home.net.lan, &home.far, 1, "-u -b 20M");
        Iperf::run(&home.net.lan, &home.far, 1, "-u -b 20M -R");
    }
}

/// RFC 5508 REQ-1, RFC 4787 REQ-14: pings, also larger than a packet, from two hosts at once.
#[test]
fn pings() {
    let home = Home::start("pool: interface");
    std::thread::scope(|scope| {
        for host in [&home.net.lan, &home.lan2] {
            scope.spawn(|| {
                host.ping("198.51.100.10");
                host.run("ping -n -c 3 -i 0.2 -W 2 -s 20000 198.51.100.10").ok();
                host.run("ping -n -c 3 -i 0.2 -W 2 -s 1472 -M do 198.51.100.10").ok();
            });
        }
    });
    // And the outside can't ping the inside.
    home.net.wan.ip("route add 192.168.0.0/16 via 203.0.113.1");
    assert!(!home.net.wan.reaches("192.168.1.10"));
    home.net.wan.ping("203.0.113.1");
}

/// RFC 1812, RFC 5508 REQ-4: every hop is shown as it is, by any method; traceroute says so itself when a checksum or a
/// quote is wrong (the "bad checksums" of others' trouble).
#[test]
fn traceroutes() {
    let home = Home::start("pool: [203.0.113.2]");
    let wanted = ["192.168.1.1", "203.0.113.10", "198.51.100.10"];
    // One probe at a time, as Linux hosts limit their errors.
    for how in ["-N 1 -I", "-N 1 -U", "-N 1 -T -p 80", "-N 1"] {
        assert_eq!(hops(&home.net.lan, how, "198.51.100.10"), wanted, "traceroute {how}");
    }
    assert_eq!(hops(&home.net.lan, "-N 1 -I", "203.0.113.10"), ["192.168.1.1", "203.0.113.10"]);
    let said = home.net.router.run("traceroute 198.51.100.10");
    assert!(said.contains("203.0.113.10") && said.contains("198.51.100.10"), "{said}");
    assert!(home.net.router.run("ping 198.51.100.10 count 2").contains("2 received"));
}

/// A resolver outside, asked over UDP by busybox.
#[test]
fn names_are_resolved() {
    let home = Home::start("pool: interface");
    let server: Process = home.far.spawn(
        "dnsmasq --no-daemon --no-resolv --no-hosts --conf-file=/dev/null --user=root --pid-file= \
         --address=/example.test/198.51.100.77 --txt-record=big.test,big --listen-address=198.51.100.10 --bind-interfaces",
    );
    server.wrote("started");
    for host in [&home.net.lan, &home.lan2] {
        let said = host.run("busybox nslookup -type=a example.test 198.51.100.10").ok();
        assert!(said.contains("198.51.100.77"), "{said}");
    }
}

/// RFC 4787 REQ-3, RFC 5382 REQ-7: two inside hosts with the same source port to the same server, at the same time.
#[test]
fn the_same_source_port() {
    let home = Home::start("pool: [203.0.113.2]");
    let server = HttpServer::start(&home.far, 4 << 20);
    for host in [&home.net.lan, &home.lan2, &home.net.lan] {
        server.fetch_from_port(host, 5000);
    }
    let rows = home.net.router.list("show nat44 sessions inside 192.168.1.10 protocol tcp");
    assert!(rows.iter().all(|row| row["inside_port"] == 5000), "{rows:?}");
}

/// Port forwarding in: a client outside fetches from a server inside; and hairpinning (RFC 5382 REQ-8): another inside
/// host and the server itself do the same by the same address.
#[test]
fn a_server_inside() {
    let home = Home::start(
        "pool: interface, static-mappings: [{protocol: tcp, external: 'wan:8080', internal: '192.168.1.10:8080'}]",
    );
    let server = HttpServer::start(&home.net.lan.at("203.0.113.1"), 4 << 20);
    for client in [&home.far, &home.net.wan, &home.lan2, &home.net.lan] {
        server.fetch(client);
    }
}

/// One-to-one: everything in and out under one address; a ping comes in, too.
#[test]
fn a_host_of_its_own_address() {
    let home = Home::start("pool: interface, static-mappings: [{external: 203.0.113.3, internal: 192.168.1.10}]");
    HttpServer::start(&home.net.lan.at("203.0.113.3"), 4 << 20).fetch(&home.far);
    home.far.ping("203.0.113.3");
    let server = HttpServer::start(&home.far, 4 << 20);
    server.fetch(&home.net.lan);
    let rows = home.net.router.list("show nat44 sessions inside 192.168.1.10");
    assert!(!rows.is_empty() && rows.iter().all(|row| row["outside_address"] == "203.0.113.3"), "{rows:?}");
}

/// A configuration change in the middle of a download.
#[test]
fn a_change_in_the_middle() {
    let home = Home::start("pool: [203.0.113.2]");
    std::thread::scope(|scope| {
        let download = scope.spawn(|| Iperf::run(&home.net.lan, &home.far, 3, "-R"));
        eventually("it runs", || (home.net.router.list("show nat44 sessions protocol tcp").len() >= 2).then_some(()));
        for port in 1000..1020 {
            let mapping = format!("protocol tcp external 203.0.113.2:{port} internal 192.168.1.10:{port}");
            home.net.router.run(&format!("nat44 mapping add {mapping}"));
        }
        home.net.router.run("nat44 set timeouts udp 60s");
        assert!(download.join().expect("iperf3").bits_per_second > 1e6);
    });
}

/// The example that the documentation shows: the host goes out, and its server is reached from outside.
#[test]
fn the_example_works() {
    let config = std::fs::read_to_string(harness::golden::file("../configs/nat-router.yaml")).expect("the example");
    let lab = Lab::new();
    let lan = lab.host("lan", "192.168.1.10/24", "192.168.1.1");
    let wan = lab.host("wan", "203.0.113.1/24", "203.0.113.2");
    wan.ip("route del default");
    let router = lab.start(&config);
    lan.ping("203.0.113.1");
    HttpServer::start(&wan, 4 << 20).fetch(&lan);
    lab.files.write("index.html", "a page from inside\n");
    let _server: Process = lan.spawn(&format!("busybox httpd -f -p 80 -h {}", lab.files.display()));
    let page = || Some(wan.run("curl -sf --max-time 5 http://203.0.113.2:8080/")).filter(|got| got.code == 0);
    assert_eq!(eventually("the server answers", page).stdout, "a page from inside\n");
    assert!(router.list("show nat44 sessions").len() >= 3);
}
