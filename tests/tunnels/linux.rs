//! Linux hosts behind a tunnel, and Linux's own tunnels.

use crate::net::{FAR, FAR6, GRE, Net, Under, add, core, long};
use harness::{Between, HttpServer, Lab, eventually};

const KINDS: [Between; 5] = [
    GRE,
    Between::Gre { key: Some(4_000_000_000), checksum: false },
    Between::Gre { key: None, checksum: true },
    Between::Gre { key: Some(7), checksum: true },
    Between::Nothing,
];

/// Pings, long pings in pieces and a download, of both families, through each kind of tunnel, and the same count at both ends.
fn through(under: Under) {
    for between in KINDS {
        let net = Net::start(under, between, "");
        eventually("the tunnel is through", || net.lan.reaches(FAR).then_some(()));
        for to in ["10.9.0.2", FAR, "2001:db8:9::2", FAR6] {
            net.lan.ping(to);
        }
        net.far.ping("192.168.1.10");
        net.far.ping("2001:db8:1::10");
        // The router's own, from its end and to it.
        net.far.ping("10.9.0.1");
        assert!(net.router.run("ping 10.9.0.2 count 2").contains("2 received"), "{between:?}");
        for (to, size) in [(FAR, 4000), (FAR6, 4000), (FAR, 1400)] {
            long(&net.lan, to, size);
        }
        let server = HttpServer::start(&net.far.at(FAR), 500_000);
        server.fetch(&net.lan);
        net.router.settle();
        assert_eq!(net.number("tx_packets"), net.end.received(), "{between:?}");
        assert_eq!(net.number("rx_packets"), net.end.sent(), "{between:?}");
        assert_eq!(net.end.refused(), 0, "{between:?}");
        assert_eq!(net.router.counter("t0", "tx_packets"), net.number("tx_packets"));
    }
}

#[test]
fn over_ipv4() {
    through(Under::V4);
}

#[test]
fn over_ipv6() {
    through(Under::V6);
}

/// Linux has IPv6 in IPv6 by segment routing: with one segment there is no routing header, only the outer one (RFC 8986 section
/// 4.16.1.2, RFC 2473).
#[test]
fn linux_s_own_ip_in_ipv6() {
    let lab = Lab::new();
    let lan = lab.host("lan", "192.168.1.10/24", "192.168.1.1");
    lan.configure6("2001:db8:1::10/64", "2001:db8:1::1");
    let linux = core(&lab);
    for device in ["all", "west"] {
        linux.sysctl(&format!("net.ipv6.conf.{device}.seg6_enabled=1"));
    }
    add(&linux, "lo", &format!("{FAR}/32"));
    add(&linux, "lo", &format!("{FAR6}/128"));
    linux.ip("-6 route add 2001:db8:3::6/128 encap seg6local action End.DT6 table local dev west");
    linux.ip("-6 route add 2001:db8:1::/64 encap seg6 mode encap.red segs 2001:db8:2::1 dev west");
    linux.ip("sr tunsrc set 2001:db8:3::6");
    let _router = lab.start(
        "
interfaces:
  lan: {driver: af-packet, device: lan, addresses: ['2001:db8:1::1/64']}
  wan: {driver: af-packet, device: wan, addresses: ['2001:db8:2::1/64']}
  t0: {driver: ipip, local: '2001:db8:2::1', remote: '2001:db8:3::6', addresses: ['2001:db8:9::1/64']}
routes:
  - {to: '2001:db8:3::/64', via: '2001:db8:2::10'}
  - {to: '2001:db8:f::/64', via: [{interface: t0}]}
",
    );
    eventually("Linux answers through its tunnel", || lan.reaches(FAR6).then_some(()));
    lan.ping(FAR6);
    // As long as Linux, which forgets the outer header in its MTU, answers.
    long(&lan, FAR6, 1300);
}
