//! A router with a bridge: a wire to a querier by hand, one that only listens, and hosts that join groups as programs do.

use harness::frames::{self, Ip, Mac};
use harness::frames6::{self, Ip6};
use harness::{Host, Lab, Router, Wire, eventually, nd};
use serde_json::Value;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

/// The ports that receivers listen on, by family: a socket of IPv6 takes the number for both.
const PORTS: [u16; 2] = [5004, 5006];
/// The querier behind the wire `r0`: the lowest address there is.
pub const QUERIER: (Mac, Ip) = ([2, 0, 0, 0, 0xcc, 1], [192, 168, 2, 2]);

/// The families, with a group that hosts join, and one that nobody does.
pub const FAMILIES: [Family; 2] = [
    Family { show: "igmp", group: "239.1.2.3", other: "239.9.9.9" },
    Family { show: "mld", group: "ff15::1:2:3", other: "ff15::9" },
];

/// What is the same for both.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub show: &'static str,
    pub group: &'static str,
    pub other: &'static str,
}

impl Family {
    pub fn group(self) -> IpAddr {
        self.group.parse().expect("an address")
    }
}

/// A bridge `br0` with the ports `r0` and `s0`, which are wires, and hosts 192.168.2.11 and so on.
pub struct Net {
    pub router: Router,
    /// A router's end, which asks by hand.
    pub r: Wire,
    /// Somebody who listens to nothing.
    pub s: Wire,
    pub hosts: Vec<Host>,
    _lab: Lab,
}

/// The names of hosts' ports.
pub const NAMES: [&str; 3] = ["h1", "h2", "h3"];

impl Net {
    /// With so many hosts, and these settings of the bridge.
    #[track_caller]
    pub fn start(count: usize, bridge: &str) -> Net {
        let lab = Lab::new();
        let [r, s] = ["r0", "s0"].map(|name| lab.wire(name));
        let host = |number: usize| {
            let host = lab.host(NAMES[number], &format!("192.168.2.{}/24", 11 + number), "192.168.2.1");
            host.ip(&format!("addr add 2001:db8:2::{}/64 dev eth0 nodad", 11 + number));
            host
        };
        let hosts: Vec<Host> = (0..count).map(host).collect();
        let names = ["r0", "s0"].iter().chain(&NAMES[..count]);
        let port = |name: &&str| format!("  {name}: {{driver: af-packet, device: {name}, bridge: br0}}\n");
        let ports: String = names.map(port).collect();
        let router = lab.start(&format!("interfaces:\n{ports}bridges:\n  br0: {{{bridge}}}\n"));
        Net { router, r, s, hosts, _lab: lab }
    }

    /// Asks all hosts who listens, by both families: robustness 2, in `interval` seconds again, answered within a tenth of a second.
    pub fn ask_all(&self, interval: u8) {
        self.r.send(&query4(None, interval));
        self.r.send(&query6(None, interval));
    }

    /// The same until the bridge has groups filtered in both families.
    #[track_caller]
    pub fn filter(&self, interval: u8) {
        self.ask_all(interval);
        for family in FAMILIES {
            eventually("groups are filtered", || self.shown(family)["filtering"].as_bool()?.then_some(()));
        }
    }

    /// Asks who listens to a group, with the last member query interval of a tenth of a second.
    pub fn ask_for(&self, group: IpAddr) {
        self.r.send(&match group {
            IpAddr::V4(group) => query4(Some(group.octets()), 125),
            IpAddr::V6(group) => query6(Some(group.octets()), 125),
        });
    }

    /// What the bridge knows of a family's groups.
    pub fn shown(&self, family: Family) -> Value {
        let all = self.router.json(&format!("show {}-snooping br0", family.show));
        all[0].clone()
    }

    /// The interfaces that listen to a group.
    pub fn listeners(&self, family: Family, group: &str) -> Vec<String> {
        let shown = self.shown(family);
        let of_group = |one: &&Value| one["group"] == group;
        let found = shown["groups"].as_array().and_then(|groups| groups.iter().find(of_group)).cloned();
        let listeners = found.and_then(|found| found["listeners"].as_array().cloned()).unwrap_or_default();
        listeners.iter().filter_map(|one| one["interface"].as_str().map(str::to_owned)).collect()
    }

    /// Waits until exactly these interfaces listen to a group.
    #[track_caller]
    pub fn await_listeners(&self, family: Family, group: &str, names: &[&str]) {
        eventually(&format!("{names:?} listen to {group}"), || (self.listeners(family, group) == names).then_some(()));
    }

    /// Sends a datagram to a group from a host; whether it came by `r0` and by `s0`.
    #[track_caller]
    pub fn sent(&self, from: &Host, group: &str, data: &[u8]) -> [bool; 2] {
        let group: IpAddr = group.parse().expect("an address");
        // What comes behind it is flooded: groups of the link are (RFC 4541 section 2.1.2).
        let last = [data, b" and the last"].concat();
        from.enter(|| {
            send(group, data);
            send(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 99)), &last);
        });
        let has = |frame: &[u8], data: &[u8]| frame.windows(data.len()).any(|part| part == data);
        [&self.r, &self.s].map(|wire| {
            let mut came = false;
            wire.expect("what is sent to everyone", |frame| {
                let is_last = has(frame, &last);
                came |= has(frame, data) && !is_last;
                is_last.then_some(())
            });
            came
        })
    }
}

/// A frame of IPv4 with TTL 1 and a router alert.
fn alert4(from: (Mac, Ip), to: Ip, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    let sum = frames::checksum(&message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    let mut head =
        [&[0x46, 0, 0, 24 + message.len() as u8, 0, 0, 0, 0, 1, 2, 0, 0][..], &from.1, &to, &[0x94, 4, 0, 0]].concat();
    let sum = frames::checksum(&head).to_be_bytes();
    head[10..12].copy_from_slice(&sum);
    let [_, b, c, d] = to;
    frames::ethernet(from.0, [1, 0, 0x5e, b & 0x7f, c, d], frames::IP4, &[head, message].concat())
}

/// A query of IGMPv3.
fn query4(group: Option<Ip>, interval: u8) -> Vec<u8> {
    let (asked, to) = (group.unwrap_or_default(), group.unwrap_or([224, 0, 0, 1]));
    alert4(QUERIER, to, &[&[0x11, 1, 0, 0][..], &asked, &[2, interval, 0, 0]].concat())
}

/// A report of IGMPv2.
pub fn report4(from: (Mac, Ip), group: Ip) -> Vec<u8> {
    alert4(from, group, &[&[0x16, 0, 0, 0][..], &group].concat())
}

/// A query of MLDv2.
fn query6(group: Option<Ip6>, interval: u8) -> Vec<u8> {
    let mut frame = nd::query((QUERIER.0, frames6::link_local(QUERIER.0)), group, 100);
    // The interval is the second byte behind the group; the checksum follows (RFC 1624).
    let at = 14 + 40 + 8 + 8 + 16 + 1;
    let before = u16::from_be_bytes([frame[at - 1], frame[at]]);
    frame[at] = interval;
    let sum_at = 14 + 40 + 8 + 2;
    let sum = !u16::from_be_bytes([frame[sum_at], frame[sum_at + 1]]);
    let now = u16::from_be_bytes([frame[at - 1], frame[at]]);
    let total = u32::from(sum) + u32::from(!before) + u32::from(now);
    let folded = (total & 0xffff) + (total >> 16);
    let folded = !(((folded & 0xffff) + (folded >> 16)) as u16);
    frame[sum_at..sum_at + 2].copy_from_slice(&folded.to_be_bytes());
    frame
}

/// A program that listens to a group.
pub struct Receiver(UdpSocket);

impl Receiver {
    /// Joins on a host.
    pub fn join(host: &Host, group: IpAddr) -> Receiver {
        host.enter(|| {
            let socket = match group {
                IpAddr::V4(group) => {
                    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORTS[0])).expect("bind");
                    let own: Ipv4Addr = host.address.parse().expect("an address");
                    socket.join_multicast_v4(&group, &own).expect("join");
                    socket
                }
                IpAddr::V6(group) => {
                    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, PORTS[1])).expect("bind");
                    socket.join_multicast_v6(&group, 0).expect("join");
                    socket
                }
            };
            socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a time limit");
            Receiver(socket)
        })
    }

    /// Whether these data come, whatever comes before.
    pub fn gets(&self, data: &[u8]) -> bool {
        let mut buffer = [0; 2048];
        loop {
            match self.0.recv(&mut buffer) {
                Ok(len) if &buffer[..len] == data => return true,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Sends a datagram to a group from this namespace.
fn send(group: IpAddr, data: &[u8]) {
    let socket = match group {
        IpAddr::V4(_) => {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("bind");
            socket.set_multicast_ttl_v4(8).expect("a TTL");
            socket
        }
        IpAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("bind"),
    };
    socket.send_to(data, (group, PORTS[usize::from(group.is_ipv6())])).expect("send");
}
