//! Policy routes: two uplinks, each in a VRF of its own, and who takes which by where it is.

use harness::{Host, HttpServer, Lab, Router};

/// What both uplinks lead to.
const SERVER4: &str = "198.51.100.80";
const SERVER6: &str = "2001:db8:80::80";
/// How much each of the two servers has to give.
const BY_WAN: usize = 10_000;
const BY_OTHER: usize = 20_000;

/// A lan, and two uplinks to servers of the same addresses: `wan` in the default VRF, `other` in the VRF blue, from which there is a
/// way back to the lan.
struct Net {
    router: Router,
    lan: Host,
    _servers: Vec<HttpServer>,
    _hosts: [Host; 2],
    _lab: Lab,
}

fn start(more: &str) -> Net {
    let lab = Lab::new();
    let lan = lab.host("lan", "192.168.1.10/24", "192.168.1.1").with6("2001:db8:1::10/64", "2001:db8:1::1");
    let wan = lab.host("wan", "203.0.113.10/24", "203.0.113.1").with6("2001:db8:2::10/64", "2001:db8:2::1");
    let other = lab.host("other", "192.0.2.10/24", "192.0.2.1").with6("2001:db8:3::10/64", "2001:db8:3::1");
    for address in ["192.168.1.77/24", "2001:db8:1::77/64"] {
        lan.ip(&format!("addr add {address} dev eth0 nodad"));
    }
    let mut servers = Vec::new();
    for (host, bytes) in [(&wan, BY_WAN), (&other, BY_OTHER)] {
        host.ip(&format!("addr add {SERVER4}/32 dev lo"));
        host.ip(&format!("addr add {SERVER6}/128 dev lo nodad"));
        host.sysctl("net.ipv6.bindv6only=1");
        servers.extend([SERVER4, SERVER6].map(|address| HttpServer::start(&host.at(address), bytes)));
    }
    let router = lab.start(&format!(
        "
interfaces:
  lan: {{driver: af-packet, device: lan, addresses: [192.168.1.1/24, '2001:db8:1::1/64']}}
  wan: {{driver: af-packet, device: wan, addresses: [203.0.113.1/24, '2001:db8:2::1/64']}}
  other: {{driver: af-packet, device: other, vrf: blue, addresses: [192.0.2.1/24, '2001:db8:3::1/64']}}
vrfs: {{blue: {{}}}}
routes:
  - {{to: {SERVER4}/32, via: 203.0.113.10}}
  - {{to: {SERVER4}/32, vrf: blue, via: 192.0.2.10}}
  - {{to: '{SERVER6}/128', via: '2001:db8:2::10'}}
  - {{to: '{SERVER6}/128', vrf: blue, via: '2001:db8:3::10'}}
  - {{to: 192.168.1.0/24, vrf: blue, next-vrf: default}}
  - {{to: '2001:db8:1::/64', vrf: blue, next-vrf: default}}
{more}"
    ));
    for gateway in ["192.168.1.1", "2001:db8:1::1"] {
        harness::eventually("the lan reaches its router", || lan.reaches(gateway).then_some(()));
    }
    Net { router, lan, _servers: servers, _hosts: [wan, other], _lab: lab }
}

impl Net {
    /// How much a download has from this source of the lan: that tells the server.
    #[track_caller]
    fn fetched(&self, source: &str) -> usize {
        let server = if source.contains(':') { format!("[{SERVER6}]") } else { SERVER4.to_owned() };
        let command = format!(
            "curl -sS --fail --max-time 20 --retry 3 --retry-all-errors --interface {source} -o /dev/null -w %{{size_download}} http://{server}:8080/file"
        );
        self.lan.run(&command).ok().trim().parse().expect("a number of bytes")
    }

    /// The same from each of the lan's sources: .10 and .77 of IPv4, and of IPv6.
    #[track_caller]
    fn all(&self) -> [usize; 4] {
        ["192.168.1.10", "192.168.1.77", "2001:db8:1::10", "2001:db8:1::77"].map(|source| self.fetched(source))
    }

    /// How many packets each rule has chosen.
    fn packets(&self) -> Vec<u64> {
        let rules = self.router.list("show policy-routes");
        rules.iter().map(|rule| rule["packets"].as_u64().expect("a count")).collect()
    }
}

#[test]
fn by_source() {
    let net = start(
        "policy-routes:
  - {source: 192.168.1.64/26, vrf: blue}
  - {source: '2001:db8:1::77/128', interface: lan, vrf: blue}
  - {source: 192.168.1.77/32, vrf: default}
",
    );
    assert_eq!(net.all(), [BY_WAN, BY_OTHER, BY_WAN, BY_OTHER]);
    let packets = net.packets();
    // A connection is four packets at the very least from who opens it; how many acknowledge depends on how busy the machine is.
    assert!(packets[0] >= 4 && packets[1] >= 4 && packets[2] == 0, "{packets:?}");
    // The router answers from where it is asked, though the other VRF doesn't have that address.
    for (source, router) in [("192.168.1.77", "192.168.1.1"), ("2001:db8:1::77", "2001:db8:1::1")] {
        let output = net.lan.run(&format!("ping -n -c 3 -i 0.2 -W 2 -I {source} {router}")).ok();
        assert!(output.contains(" 0% packet loss"), "{output}");
    }
    assert_eq!(net.packets(), packets, "they stay where they are");
    net.router.run("clear counters");
    net.router.rebase();
    assert_eq!(net.packets(), [0, 0, 0]);

    // Rules change while traffic flows.
    net.router.run("policy-route remove source 192.168.1.64/26");
    assert_eq!(net.all(), [BY_WAN, BY_WAN, BY_WAN, BY_OTHER], "the third rule wins now");
    let before = net.packets();
    net.router.run("policy-route add interface lan vrf blue position 1");
    assert_eq!(net.packets(), [&[0], &before[..]].concat(), "a rule that stays goes on counting");
    assert_eq!(net.all(), [BY_OTHER; 4], "a rule before all others, for both families");
    let rules = net.router.list("show policy-routes");
    assert_eq!((&rules[0]["interface"], &rules[0]["source"]), (&"lan".into(), &serde_json::Value::Null));
    net.router.run("config rollback");
    assert_eq!(net.all(), [BY_WAN, BY_WAN, BY_WAN, BY_OTHER]);
    // With nothing left, nothing is on.
    net.router.run("policy-route remove source 192.168.1.77/32");
    net.router.run("policy-route remove source 2001:db8:1::77/128 interface lan");
    assert_eq!(net.all(), [BY_WAN; 4]);
    let details = &net.router.json("show interfaces lan")["details"]["features"];
    assert!(!details.to_string().contains("policy-route"), "{details}");
}

/// Whom a rule sends to the other uplink is hidden behind that one's address, and SYNs are clamped on the way, though it is NAT's slow
/// path that they take.
#[test]
fn with_nat44() {
    let net = start(
        "policy-routes: [{source: 192.168.1.77/32, vrf: blue}]
nat44: {inside: [lan], outside: [wan, other], pool: interface}
",
    );
    for uplink in ["wan", "other"] {
        net.router.run(&format!("interface set {uplink} mss-clamp 1000 urpf strict"));
    }
    for (source, bytes, uplink) in [("192.168.1.10", BY_WAN, "203.0.113.1"), ("192.168.1.77", BY_OTHER, "192.0.2.1")] {
        assert_eq!(net.fetched(source), bytes, "{source}");
        let sessions = net.router.list(&format!("show nat44 sessions inside {source}"));
        assert!(!sessions.is_empty(), "{source} is translated");
        assert!(sessions.iter().all(|session| session["outside_address"] == uplink), "{sessions:?}");
    }
    let lowered = |node| net.router.errors(node, "maximum segment sizes lowered");
    assert_eq!(["ip4-mss-clamp-in", "ip4-mss-clamp-out"].map(lowered), [2; 2]);
}
