//! A VXLAN interface without a bridge: routed, with one remote.

use crate::net::{Under, inner, vxlan_device};
use harness::{Host, Lab, Router, path_mtu};

struct Net {
    router: Router,
    host: Host,
    peer: Host,
    _lab: Lab,
}

fn start(under: Under) -> Net {
    let lab = Lab::new();
    let host = lab.host("lan", "192.168.1.10/24", "192.168.1.1");
    let peer = Host::unplugged("peer", &under.address(1));
    lab.router.cable("under", &peer, "eth0");
    let length = if under == Under::V4 { 24 } else { 64 };
    peer.ip("link set eth0 address 02:00:00:00:02:01");
    peer.ip(&format!("addr add {}/{length} dev eth0 nodad", under.address(1)));
    vxlan_device(&peer, under, 1, 100, "");
    peer.ip(&format!("route add 192.168.1.0/24 via {}", inner(0)));
    let (local, remote) = (under.address(0), under.address(1));
    let router = lab.start(&format!(
        "
neighbors: [{{interface: under, address: '{remote}', mac: '02:00:00:00:02:01'}}]
interfaces:
  lan: {{driver: af-packet, device: lan, addresses: [192.168.1.1/24]}}
  under: {{driver: af-packet, device: under, addresses: ['{local}/{length}']}}
  vx0: {{driver: vxlan, vni: 100, local: '{local}', remotes: ['{remote}'], addresses: ['{}/24', '2001:db8:a::10/64']}}
",
        inner(0)
    ));
    Net { router, host, peer, _lab: lab }
}

#[test]
fn packets_are_routed_through_it() {
    for under in Under::BOTH {
        let net = start(under);
        net.host.ping(&inner(1));
        net.peer.ping("192.168.1.10");
        net.peer.ping("2001:db8:a::10");
        assert_eq!(net.router.neighbor_state(&inner(1)).as_deref(), Some("reachable"));
        net.router.run(&format!("ping {} count 2", inner(1)));
        let shown = net.router.json("show vxlan vx0");
        assert_eq!((&shown["bridge"], &shown["local_is_here"]), (&serde_json::Value::Null, &true.into()));
        for node in ["vxlan4-encap", "vxlan6-encap", "vxlan4-input", "vxlan6-input", "interface-input", "interface-tx"]
        {
            assert_eq!(net.router.errors(node, ""), 0, "{}", net.router.run("show errors"));
        }
    }
}

/// RFC 1191: who sends too large a packet hears what would fit.
#[test]
fn its_mtu_is_what_the_underlay_leaves() {
    for (under, mtu) in [(Under::V4, 1450), (Under::V6, 1430)] {
        let net = start(under);
        net.host.ping(&inner(1));
        assert_eq!(path_mtu(&net.host, &format!("{}:7", inner(1))), mtu);
    }
}
