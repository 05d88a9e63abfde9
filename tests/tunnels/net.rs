//! The surrounding of most tests: a host in the lan, the router, a Linux router as the underlay, and behind it the tunnel's other end
//! with a network of its own.

use harness::{Between, Host, Lab, Namespace, Router, TunnelEnd};
use serde_json::Value;

/// The family of the underlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    V4,
    V6,
}

impl Under {
    pub const BOTH: [Under; 2] = [Under::V4, Under::V6];

    /// The router's end.
    pub fn local(self) -> &'static str {
        if self == Under::V4 { "203.0.113.1" } else { "2001:db8:2::1" }
    }

    /// The other end.
    pub fn remote(self) -> &'static str {
        if self == Under::V4 { "198.51.100.9" } else { "2001:db8:3::9" }
    }
}

/// GRE without options.
pub const GRE: Between = Between::Gre { key: None, checksum: false };

/// What the far network is to the host: an address at the other end of the tunnel, and one behind it.
pub const FAR: &str = "172.16.0.1";
pub const FAR6: &str = "2001:db8:f::1";

/// The fields are dropped in this order.
pub struct Net {
    /// `lan`: the host. `wan`: the underlay. `t0`: the tunnel, with 10.9.0.1/30 and 2001:db8:9::1/64.
    pub router: Router,
    /// The other end: `tun0` with 10.9.0.2 and 2001:db8:9::2, and on `lo` [`FAR`] and [`FAR6`].
    pub end: TunnelEnd,
    /// 192.168.1.10 and 2001:db8:1::10, behind the router.
    pub lan: Host,
    /// The host that the other end is on.
    pub far: Host,
    /// The router in between: `west` to ours, `east` to the other end.
    pub core: Namespace,
    _lab: Lab,
}

impl Net {
    /// With this between the headers, and more settings of `t0`.
    #[track_caller]
    pub fn start(under: Under, between: Between, settings: &str) -> Net {
        Net::with(under, between, settings, "")
    }

    /// The same with more of the configuration.
    #[track_caller]
    pub fn with(under: Under, between: Between, settings: &str, more: &str) -> Net {
        let lab = Lab::new();
        let lan = lab.host("lan", "192.168.1.10/24", "192.168.1.1");
        lan.configure6("2001:db8:1::10/64", "2001:db8:1::1");
        let core = core(&lab);
        let far = Host::unplugged("far", "198.51.100.9/24");
        core.cable("east", &far, "eth0");
        add(&core, "east", "198.51.100.1/24");
        add(&core, "east", "2001:db8:3::1/64");
        far.configure("198.51.100.9/24", "198.51.100.1");
        far.configure6("2001:db8:3::9/64", "2001:db8:3::1");
        let inside = ["10.9.0.2/30", "2001:db8:9::2/64"];
        let end = TunnelEnd::start(&far, "tun0", (under.remote(), under.local()), between, 1400, &inside);
        far.ip(&format!("addr add {FAR}/32 dev lo"));
        far.ip(&format!("addr add {FAR6}/128 dev lo"));
        far.ip("route add 192.168.1.0/24 via 10.9.0.1");
        far.ip("-6 route add 2001:db8:1::/64 via 2001:db8:9::1");
        let router = lab.start(&config(under, between, settings, more));
        Net { router, end, lan, far, core, _lab: lab }
    }

    /// What `show tunnels t0` says.
    pub fn shown(&self) -> Value {
        self.router.json("show tunnels t0")
    }

    /// One of its numbers.
    #[track_caller]
    pub fn number(&self, key: &str) -> u64 {
        let shown = self.shown();
        shown[key].as_u64().unwrap_or_else(|| panic!("{key} in {shown}"))
    }
}

/// A Linux router between the router under test and whoever is in the east.
pub fn core(lab: &Lab) -> Namespace {
    let core = Namespace::new("core");
    core.sysctl("net.ipv4.ip_forward=1");
    core.sysctl("net.ipv6.conf.all.forwarding=1");
    // Tests that make it tell want to hear each time.
    core.sysctl("net.ipv4.icmp_ratelimit=0");
    core.sysctl("net.ipv6.icmp.ratelimit=0");
    lab.router.cable("wan", &core, "west");
    add(&core, "west", "203.0.113.10/24");
    add(&core, "west", "2001:db8:2::10/64");
    core
}

/// Gives a device of Linux an address.
pub fn add(host: &Namespace, device: &str, address: &str) {
    let nodad = if address.contains(':') { "nodad" } else { "" };
    host.ip(&format!("addr add {address} dev {device} {nodad}"));
}

/// The settings of a tunnel, as the configuration has them.
pub fn driver(under: Under, between: Between) -> String {
    let ends = format!("local: '{}', remote: '{}'", under.local(), under.remote());
    match between {
        Between::Nothing => format!("driver: ipip, {ends}"),
        Between::Gre { key, checksum } => {
            let key = key.map(|key| format!(", key: {key}")).unwrap_or_default();
            format!("driver: gre, {ends}, checksum: {checksum}{key}")
        }
    }
}

/// The router's configuration.
pub fn config(under: Under, between: Between, settings: &str, more: &str) -> String {
    let driver = driver(under, between);
    format!(
        "
interfaces:
  lan: {{driver: af-packet, device: lan, addresses: [192.168.1.1/24, '2001:db8:1::1/64']}}
  wan: {{driver: af-packet, device: wan, addresses: [203.0.113.1/24, '2001:db8:2::1/64']}}
  t0: {{{driver}, addresses: [10.9.0.1/30, '2001:db8:9::1/64'], {settings}}}
routes:
  - {{to: 198.51.100.0/24, via: 203.0.113.10}}
  - {{to: '2001:db8:3::/64', via: '2001:db8:2::10'}}
  - {{to: 172.16.0.0/16, via: 10.9.0.2}}
  - {{to: '2001:db8:f::/64', via: '2001:db8:9::2'}}
{more}"
    )
}

/// Pings with so many bytes, which the sender may cut in pieces once it has heard that it must.
#[track_caller]
pub fn long(host: &Host, to: &str, bytes: u32) {
    let first = host.run(&format!("ping -n -c 1 -W 2 -s {bytes} {to}"));
    let said = host.run(&format!("ping -n -c 2 -i 0.2 -W 2 -s {bytes} {to}")).ok();
    assert!(said.contains(" 0% packet loss"), "{bytes} bytes to {to}: {} and then {said}", first.stdout);
}
