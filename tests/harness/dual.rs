//! The two usual surroundings with both families: what [`Hosts`](crate::Hosts) and [`Wires`] are, and IPv6 beside it.
//! `MILLRACE_TEST_WORKERS` says how many workers the router has, if its configuration doesn't.

use crate::frames6::{self, Ip6};
use crate::two::{End, LAN, WAN, Wires, with_workers};
use crate::{Host, Hosts, Lab, Router, Wire, eventually};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// The side called `lan`, in IPv6.
pub const LAN6: End<Ip6> =
    End { ip: address(1, 0x10), mac: LAN.mac, router_ip: address(1, 1), router_mac: LAN.router_mac };

/// The side called `wan`, in IPv6.
pub const WAN6: End<Ip6> =
    End { ip: address(2, 0x10), mac: WAN.mac, router_ip: address(2, 1), router_mac: WAN.router_mac };

const fn address(net: u8, host: u8) -> Ip6 {
    [0x20, 1, 0x0d, 0xb8, 0, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]
}

impl End<Ip6> {
    /// An IPv6 packet as a frame from the station to the router.
    pub fn frame(&self, packet: &[u8]) -> Vec<u8> {
        crate::frames::ethernet(self.mac, self.router_mac, frames6::IP6, packet)
    }

    /// Another station of the same network, by the last byte of its hardware address and of its address.
    pub fn station(&self, number: u8) -> ([u8; 6], Ip6) {
        let (mut mac, mut ip) = (self.mac, self.ip);
        (mac[5], ip[15]) = (number, number);
        (mac, ip)
    }

    /// The router's link-local address on this side.
    pub fn router_link_local(&self) -> Ip6 {
        frames6::link_local(self.router_mac)
    }
}

impl Wires {
    /// The configuration that every test of both families begins with.
    pub const DUAL: &str = "
interfaces:
  lan: {driver: af-packet, device: lan, mac: '02:fe:00:00:00:01', addresses: [192.168.1.1/24, '2001:db8:1::1/64']}
  wan: {driver: af-packet, device: wan, mac: '02:fe:00:00:00:02', addresses: [203.0.113.1/24, '2001:db8:2::1/64']}
neighbors:
  - {interface: lan, address: 192.168.1.10, mac: '02:00:00:00:01:0a'}
  - {interface: wan, address: 203.0.113.10, mac: '02:00:00:00:02:0a'}
  - {interface: lan, address: '2001:db8:1::10', mac: '02:00:00:00:01:0a'}
  - {interface: wan, address: '2001:db8:2::10', mac: '02:00:00:00:02:0a'}
";

    /// Starts it, with more of a configuration.
    #[track_caller]
    pub fn dual(more: &str) -> Wires {
        Wires::dual_with(&format!("{}{more}", Wires::DUAL))
    }

    /// Starts it with a configuration of one's own that has the addresses and neighbours of [`Wires::DUAL`]. When this
    /// returns, the router has found that its addresses are nobody else's, and uses them.
    #[track_caller]
    pub fn dual_with(config: &str) -> Wires {
        let net = Wires::with(&with_workers(config));
        net.await_addresses();
        net
    }

    /// Waits until the router answers by its addresses of both sides.
    #[track_caller]
    pub fn await_addresses(&self) {
        answers(&self.lan, &LAN6);
        answers(&self.wan, &WAN6);
        self.pass(&[]);
    }
}

/// Pings the router from a side until it answers.
#[track_caller]
pub fn answers(wire: &Wire, end: &End<Ip6>) {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let seq = NEXT.fetch_add(1, Ordering::Relaxed);
    let data = [b"ready? ".as_slice(), &seq.to_be_bytes()].concat();
    let question = end.frame(&frames6::echo_request(end.ip, end.router_ip, 2, seq, &data));
    eventually("the router answers by IPv6", || {
        wire.send(&question);
        let ours = |frame: &[u8]| (frame.ends_with(&data) && frame[6..12] == end.router_mac).then_some(());
        wire.find(Duration::from_millis(100), &mut Vec::new(), ours)
    });
}

/// A router with a Linux host of both families on either side. The fields are dropped in this order.
pub struct DualHosts {
    /// The router; its interfaces are `lan` and `wan`.
    pub router: Router,
    /// 2001:db8:1::10, behind the router's 2001:db8:1::1; and 192.168.1.10.
    pub lan: Host,
    /// 2001:db8:2::10, behind the router's 2001:db8:2::1; and 203.0.113.10.
    pub wan: Host,
    /// The place.
    pub lab: Lab,
}

impl DualHosts {
    /// The interfaces as every configuration for this surrounding has them.
    pub const INTERFACES: &str = "
interfaces:
  lan: {driver: af-packet, device: lan, addresses: [192.168.1.1/24, '2001:db8:1::1/64']}
  wan: {driver: af-packet, device: wan, addresses: [203.0.113.1/24, '2001:db8:2::1/64']}
";

    /// Starts it, with more of a configuration after the interfaces.
    #[track_caller]
    pub fn start(more: &str) -> DualHosts {
        DualHosts::with(&format!("{}{more}", DualHosts::INTERFACES))
    }

    /// Starts it with a configuration of one's own, and waits until both hosts reach the router.
    #[track_caller]
    pub fn with(config: &str) -> DualHosts {
        let (lab, lan, wan) = DualHosts::lab();
        let router = lab.start(&with_workers(config));
        for (host, gateway) in [(&lan, "2001:db8:1::1"), (&wan, "2001:db8:2::1")] {
            eventually("the host reaches its router", || host.reaches(gateway).then_some(()));
        }
        DualHosts { router, lan, wan, lab }
    }

    /// The place and the hosts, without a router.
    pub fn lab() -> (Lab, Host, Host) {
        let (lab, lan, wan) = Hosts::lab();
        (lab, lan.with6("2001:db8:1::10/64", "2001:db8:1::1"), wan.with6("2001:db8:2::10/64", "2001:db8:2::1"))
    }
}
