//! A NAT between raw wires: several stations in the lan, and all the Internet behind one station in the wan.

use crate::frames::{self, Icmp, Ip};
use crate::l4::Packet;
use crate::two::{End, with_workers};
use crate::{LAN, Router, Seen, WAN, Wire, Wires, eventually};
use serde_json::Value;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// A router that translates, between raw wires. Stations .10 to .13 stand in the lan and share one hardware address, and
/// 10.0.0.0/8 is behind the first; the default route leads to the station in the wan, which so speaks for every host of the Internet.
pub struct Nat {
    /// The router and the wires.
    pub net: Wires,
    /// How many workers it has.
    pub workers: usize,
}

impl Nat {
    /// The configuration around the section `nat44`, without what follows `inside` and `outside` there.
    pub fn config(nat44: &str) -> String {
        let stations = [11, 12, 13]
            .map(|host| format!("  - {{interface: lan, address: 192.168.1.{host}, mac: '02:00:00:00:01:0a'}}\n"));
        let routes = "routes: [{to: 0.0.0.0/0, via: 203.0.113.10}, {to: 10.0.0.0/8, via: 192.168.1.10}]\n";
        let neighbors = stations.concat();
        format!("{}{neighbors}{routes}nat44: {{inside: [lan], outside: [wan], {nat44}}}\n", Wires::CONFIG)
    }

    /// Starts it with these settings of `nat44`, in YAML's flow style: "pool: [203.0.113.2], filtering: ...".
    #[track_caller]
    pub fn start(nat44: &str) -> Nat {
        Nat::with(&Nat::config(nat44))
    }

    /// Starts it with a configuration of one's own. `MILLRACE_TEST_WORKERS` says how many workers it has, if it doesn't itself.
    #[track_caller]
    pub fn with(config: &str) -> Nat {
        Nat::of(Wires::with(&with_workers(config)))
    }

    /// What was started otherwise.
    #[track_caller]
    pub fn of(net: Wires) -> Nat {
        let workers = if net.router.is_daemon() { net.router.list("show workers").len() } else { 1 };
        Nat { net, workers }
    }

    /// The router.
    pub fn router(&self) -> &Router {
        &self.net.router
    }

    /// Replaces the settings of `nat44` while it runs.
    #[track_caller]
    pub fn apply(&self, nat44: &str) {
        self.apply_config(&Nat::config(nat44));
    }

    /// Replaces the whole configuration while it runs.
    #[track_caller]
    pub fn apply_config(&self, config: &str) {
        self.net.apply(config);
    }

    /// Replaces the configuration file, and tells the daemon to read it again.
    #[track_caller]
    pub fn reload(&mut self, config: &str) {
        self.router().write_config(&with_workers(config));
        self.net.router.process().signal(crate::SIGHUP);
    }

    /// Sends packets into the lan and returns all IPv4 packets that came of them, on both sides.
    #[track_caller]
    pub fn pass(&self, packets: &[Vec<u8>]) -> Seen {
        packets.iter().for_each(|packet| self.net.lan.send(&LAN.frame(packet)));
        self.rest().without_arp()
    }

    /// Sends packets into the wan and returns all IPv4 packets that came of them, on both sides.
    #[track_caller]
    pub fn pass_back(&self, packets: &[Vec<u8>]) -> Seen {
        packets.iter().for_each(|packet| self.net.wan.send(&WAN.frame(packet)));
        self.rest().without_arp()
    }

    /// Sends one packet into the lan, and returns the one that comes out of it in the wan.
    #[track_caller]
    pub fn out(&self, packet: &[u8]) -> Packet {
        let seen = self.pass(&[packet.to_vec()]);
        self.only(&seen.wan, &seen.lan, "the wan")
    }

    /// Sends one packet into the wan, and returns the one that comes out of it in the lan.
    #[track_caller]
    pub fn back(&self, packet: &[u8]) -> Packet {
        let seen = self.pass_back(&[packet.to_vec()]);
        self.only(&seen.lan, &seen.wan, "the lan")
    }

    /// The same as [`Nat::out`], byte for byte: the IPv4 packet as it is on the wire.
    #[track_caller]
    pub fn out_raw(&self, packet: &[u8]) -> Vec<u8> {
        first_packet(self.pass(&[packet.to_vec()]).wan)
    }

    /// The same as [`Nat::back`], byte for byte: the IPv4 packet as it is on the wire.
    #[track_caller]
    pub fn back_raw(&self, packet: &[u8]) -> Vec<u8> {
        first_packet(self.pass_back(&[packet.to_vec()]).lan)
    }

    /// Sends one packet into the lan, and returns what comes out of it there again: an answer, or by hairpin.
    #[track_caller]
    pub fn turn(&self, packet: &[u8]) -> Packet {
        let seen = self.pass(&[packet.to_vec()]);
        self.only(&seen.lan, &seen.wan, "the lan")
    }

    /// Sends one packet into the wan, and returns the answer that comes out there again.
    #[track_caller]
    pub fn turn_back(&self, packet: &[u8]) -> Packet {
        let seen = self.pass_back(&[packet.to_vec()]);
        self.only(&seen.wan, &seen.lan, "the wan")
    }

    /// Sends one packet into the lan, of which nothing must come.
    #[track_caller]
    pub fn dropped(&self, packet: &[u8]) {
        let seen = self.pass(&[packet.to_vec()]).flows();
        assert!(seen.0.is_empty() && seen.1.is_empty(), "{seen:?}");
    }

    /// Sends one packet into the wan, of which nothing must come.
    #[track_caller]
    pub fn dropped_back(&self, packet: &[u8]) {
        let seen = self.pass_back(&[packet.to_vec()]).flows();
        assert!(seen.0.is_empty() && seen.1.is_empty(), "{seen:?}");
    }

    #[track_caller]
    fn only(&self, here: &[Vec<u8>], elsewhere: &[Vec<u8>], side: &str) -> Packet {
        let read = |frames: &[Vec<u8>]| frames.iter().filter_map(|frame| Packet::of(frame)).collect::<Vec<_>>();
        let (mut here, elsewhere) = (read(here), read(elsewhere));
        if here.len() != 1 || !elsewhere.is_empty() {
            let flows = |packets: &[Packet]| packets.iter().map(Packet::flow).collect::<Vec<_>>();
            let (here, elsewhere, counts) = (flows(&here), flows(&elsewhere), self.router().ctl("show errors").stdout);
            panic!("one packet should come out in {side}: {here:?}; none on the other side: {elsewhere:?}\n{counts}");
        }
        here.remove(0)
    }

    /// All that the router still had under way, on both sides. Pings to the router itself, from both sides in turn, tell
    /// when it is at rest: they pass every worker, make no session, and can't overtake what was sent before them.
    #[track_caller]
    pub fn rest(&self) -> Seen {
        let mut seen = Seen::default();
        if self.workers > 1 {
            self.await_hand_offs();
        }
        for _ in 0..3 {
            ask(&self.net.lan, &LAN, &mut seen.lan);
            ask(&self.net.wan, &WAN, &mut seen.wan);
        }
        seen
    }

    /// A worker that has slept takes up what was handed to it when the machine lets it run. Waits until all is accounted for,
    /// or the books stand still: then fragments wait for others.
    #[track_caller]
    fn await_hand_offs(&self) {
        let mut last = None;
        eventually("the workers are at rest", || {
            let rows = self.router().list("show workers");
            let sum =
                |keys: &[&str]| keys.iter().flat_map(|key| rows.iter().map(|row| row[*key].as_u64())).flatten().sum();
            let (came, went): (u64, u64) = (sum(&["received", "made"]), sum(&["sent", "dropped", "consumed"]));
            let still = last.replace((came, went)) == Some((came, went));
            (came == went || still).then_some(())
        });
    }

    /// The sessions, as JSON.
    #[track_caller]
    pub fn sessions(&self) -> Vec<Value> {
        self.router().list("show nat44 sessions")
    }

    /// The sessions, each in a line: "udp 192.168.1.10:5000 203.0.113.2:5000 198.51.100.1:53 established".
    #[track_caller]
    pub fn session_lines(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let line = |row: &Value| {
            let end = |side: &str| {
                format!("{}:{}", text(&row[format!("{side}_address")]), text(&row[format!("{side}_port")]))
            };
            let ends = ["inside", "outside", "remote"].map(end).join(" ");
            format!("{} {ends} {}", text(&row["protocol"]), text(&row["state"]))
        };
        let mut lines: Vec<String> = self.sessions().iter().map(line).collect();
        lines.sort();
        lines
    }

    /// How many packets NAT's nodes dropped for reasons that hold this text.
    #[track_caller]
    pub fn refusals(&self, reason: &str) -> u64 {
        let rows = self.router().list("show errors");
        let nat = |row: &&Value| row["node"].as_str().is_some_and(|node| node.starts_with("nat44"));
        let with = |row: &&Value| row["reason"].as_str().is_some_and(|text| text.contains(reason));
        rows.iter().filter(nat).filter(with).filter_map(|row| row["drops"].as_u64()).sum()
    }
}

impl Seen {
    /// The same without the router's announcements and questions.
    pub fn without_arp(mut self) -> Seen {
        self.lan.retain(|frame| frames::ether_type(frame) != frames::ARP);
        self.wan.retain(|frame| frames::ether_type(frame) != frames::ARP);
        self
    }

    /// What the IPv4 packets among the frames are, side by side: first of the lan, then of the wan.
    pub fn flows(&self) -> (Vec<String>, Vec<String>) {
        let flows =
            |frames: &[Vec<u8>]| frames.iter().filter_map(|frame| Packet::of(frame)).map(|p| p.flow()).collect();
        (flows(&self.lan), flows(&self.wan))
    }

    /// The packets seen in the lan.
    pub fn lan_packets(&self) -> Vec<Packet> {
        self.lan.iter().filter_map(|frame| Packet::of(frame)).collect()
    }

    /// The packets seen in the wan.
    pub fn wan_packets(&self) -> Vec<Packet> {
        self.wan.iter().filter_map(|frame| Packet::of(frame)).collect()
    }
}

/// The first packet among frames, without its link header.
#[track_caller]
fn first_packet(frames: Vec<Vec<u8>>) -> Vec<u8> {
    frames.into_iter().next().expect("an IPv4 packet").split_off(14)
}

/// Pings the router from a side until it answers; what comes besides goes to `others`.
#[track_caller]
fn ask(wire: &Wire, end: &End, others: &mut Vec<Vec<u8>>) {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let seq = NEXT.fetch_add(1, Ordering::Relaxed);
    let data = [b"at rest? ".as_slice(), &seq.to_be_bytes()].concat();
    let question = end.frame(&frames::echo_request(end.ip, end.router_ip, 1, seq, &data));
    // Looked for without a look at checksums: among what a test sends on purpose, wrong ones come by.
    let answer = |frame: &[u8]| (frames::ether_type(frame) == frames::IP4 && frame.ends_with(&data)).then_some(());
    let answered = (0..5).find_map(|_| {
        wire.send(&question);
        wire.find(Duration::from_secs(1), others, answer)
    });
    assert!(answered.is_some(), "the router no longer answers: {others:02x?}");
}

/// The ICMP errors among frames.
pub fn errors(frames: &[Vec<u8>]) -> Vec<Icmp> {
    frames.iter().filter_map(|frame| Icmp::of(frame)).filter(|icmp| icmp.kind != 0 && icmp.kind != 8).collect()
}

/// An address of the Internet behind the station in the wan, by number.
pub fn remote(number: u8) -> Ip {
    [198, 51, 100, number]
}
