//! The surrounding of most tests: a router that bridges a host with remotes behind an underlay, where Linux does the same.

use harness::{Host, Lab, Namespace, Router};
use serde_json::Value;

/// Peers that there are at most.
const MOST: usize = 3;

/// The family of the underlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    V4,
    V6,
}

impl Under {
    pub const BOTH: [Under; 2] = [Under::V4, Under::V6];

    /// The address of the router (0) or of a peer (from 1 on).
    pub fn address(self, who: usize) -> String {
        match self {
            Under::V4 => format!("192.0.2.{}", 10 + who),
            Under::V6 => format!("2001:db8:9::{}", 10 + who),
        }
    }

    fn net(self, who: usize) -> String {
        format!("{}/{}", self.address(who), if self == Under::V4 { 24 } else { 64 })
    }
}

/// The stations inside: the host's addresses, and those of the peers' VXLAN devices.
pub fn inner(who: usize) -> String {
    format!("10.9.0.{}", 10 + who)
}

/// The same in IPv6.
pub fn inner6(who: usize) -> String {
    format!("2001:db8:a::{}", 10 + who)
}

/// The fields are dropped in this order.
pub struct Net {
    /// `lan`: the host. `under`: the underlay. `vx0` in `br0` with `lan`.
    pub router: Router,
    /// [`inner`] and [`inner6`] 0, in the bridge.
    pub host: Host,
    /// Linux routers, numbered from 1 on; in their `vx0` are [`inner`] and [`inner6`] of that number.
    pub peers: Vec<Host>,
    pub under: Under,
    /// A Linux bridge that all are connected to.
    _switch: Namespace,
    _lab: Lab,
}

impl Net {
    /// With so many peers, and more settings of `vx0`, of which the remotes are the peers unless these say otherwise.
    #[track_caller]
    pub fn start(under: Under, peers: usize, settings: &str) -> Net {
        let all: Vec<String> = (1..=peers).map(|n| format!("'{}'", under.address(n))).collect();
        let remotes =
            if settings.starts_with("remotes:") { String::new() } else { format!("remotes: [{}], ", all.join(", ")) };
        Net::with(under, peers, &format!("{remotes}{settings}"), "")
    }

    /// The same with all settings of `vx0`, and those of Linux's.
    #[track_caller]
    pub fn with(under: Under, peers: usize, settings: &str, linux: &str) -> Net {
        assert!(peers <= MOST);
        let lab = Lab::new();
        // Nobody says that he is there before a test wants to hear something.
        lab.router.sysctl("net.ipv6.conf.default.disable_ipv6=1");
        let host = lab.host("lan", &format!("{}/24", inner(0)), &inner(1));
        host.ip(&format!("addr add {}/64 dev eth0 nodad", inner6(0)));
        host.ip("link set eth0 mtu 1430");
        let switch = Namespace::new("switch");
        switch.sysctl("net.ipv6.conf.default.disable_ipv6=1");
        switch.ip("link add name sw0 type bridge mcast_snooping 0");
        switch.ip("link set sw0 up");
        lab.router.cable("under", &switch, "p0");
        switch.ip("link set p0 master sw0");
        let peers: Vec<Host> = (1..=peers).map(|n| peer(under, n, &switch, linux)).collect();
        let router = lab.start(&config(under, settings));
        Net { router, host, peers, under, _switch: switch, _lab: lab }
    }

    /// Frames and datagrams that were dropped on their way through the bridge and VXLAN.
    pub fn lost(&self) -> u64 {
        let ours = |node: &str| ["vxlan", "l2-", "interface-input"].iter().any(|prefix| node.starts_with(prefix));
        let all = self.router.list("show errors").into_iter();
        all.filter(|row| ours(row["node"].as_str().unwrap())).filter_map(|row| row["drops"].as_u64()).sum()
    }

    /// What `show vxlan vx0` says of a remote.
    pub fn remote(&self, peer: usize) -> Option<Value> {
        let shown = self.router.json("show vxlan vx0");
        let address = self.under.address(peer);
        shown["remotes"].as_array()?.iter().find(|remote| remote["address"] == *address).cloned()
    }

    /// The remote that a station is behind, in `show mac-table`.
    pub fn behind(&self, mac: &str) -> Option<String> {
        let row = self.router.list("show mac-table").into_iter().find(|row| row["mac"] == mac)?;
        row["remote"].as_str().map(str::to_owned)
    }

    /// Replaces the configuration by one with other settings of `vx0`.
    #[track_caller]
    pub fn set(&self, settings: &str) {
        self.apply(&config(self.under, settings));
    }

    /// Replaces the configuration.
    #[track_caller]
    pub fn apply(&self, config: &str) {
        let file = self.router.files().write("next.yaml", config);
        self.router.run(&format!("config apply {}", file.display()));
    }
}

/// The router's configuration. It knows where the peers are, so that no packet of a test waits for that.
pub fn config(under: Under, settings: &str) -> String {
    let (local, net) = (under.address(0), under.net(0));
    let neighbor = |n| format!("  - {{interface: under, address: '{}', mac: '{}'}}\n", under.address(n), mac(n));
    let neighbors: String = (1..=MOST).map(neighbor).collect();
    format!(
        "
neighbors:
{neighbors}bridges: {{br0: {{}}}}
interfaces:
  lan: {{driver: af-packet, device: lan, bridge: br0}}
  under: {{driver: af-packet, device: under, addresses: ['{net}']}}
  vx0: {{driver: vxlan, vni: 100, local: '{local}', bridge: br0, {settings}}}
"
    )
}

/// The hardware address of a peer on the underlay.
fn mac(n: usize) -> String {
    format!("02:00:00:00:02:{n:02x}")
}

/// A Linux router with a VXLAN device whose only remote is the router under test.
fn peer(under: Under, n: usize, switch: &Namespace, more: &str) -> Host {
    let peer = Host::unplugged("peer", &under.net(n));
    switch.cable(&format!("p{n}"), &peer, "eth0");
    switch.ip(&format!("link set p{n} master sw0"));
    peer.ip(&format!("link set eth0 address {}", mac(n)));
    if under == Under::V4 {
        peer.sysctl("net.ipv6.conf.eth0.disable_ipv6=1");
    }
    peer.ip("link set eth0 up");
    peer.ip(&format!("addr add {} dev eth0 nodad", under.net(n)));
    // A virtual cable would carry what no card does: a datagram with many segments of TCP inside.
    for feature in ["tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation"] {
        peer.run(&format!("ethtool -K eth0 {feature} off")).ok();
    }
    vxlan_device(&peer, under, n, 100, more);
    peer
}

/// Adds the VXLAN device `vx0` to a peer, anew if it has one.
pub fn vxlan_device(peer: &Namespace, under: Under, n: usize, vni: u32, more: &str) {
    peer.run("ip link del vx0");
    let (local, remote) = (under.address(n), under.address(0));
    peer.ip(&format!("link add vx0 type vxlan id {vni} local {local} remote {remote} dstport 4789 {more}"));
    peer.ip("link set vx0 up mtu 1430");
    peer.ip(&format!("addr add {}/24 dev vx0", inner(n)));
    peer.ip(&format!("addr add {}/64 dev vx0 nodad", inner6(n)));
}

/// A counter of a Linux device.
pub fn linux_count(host: &Namespace, device: &str, key: &str) -> u64 {
    let path = format!("/sys/class/net/{device}/statistics/{key}");
    host.run(&format!("cat {path}")).ok().trim().parse().unwrap()
}

/// The hardware address of a Linux device.
pub fn linux_mac(host: &Namespace, device: &str) -> String {
    host.run(&format!("cat /sys/class/net/{device}/address")).ok().trim().to_owned()
}
