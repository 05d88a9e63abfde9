//! One of the two NATs, what it gave out, and what comes of an event there.

use crate::describe::{self, External};
use crate::event::{Event, Flow, Where};
use harness::{LAN, Lab, Nat, Router, WAN, Wires, frames};
use std::collections::HashMap;

/// The external address of both.
pub const EXTERNAL: &str = "203.0.113.2";

/// What Linux is told, to do as the RFCs ask.
const LINUX: [&str; 4] = [
    // A wrong checksum is for the receiver to see (RFC 1624: updates are incremental), not for a router to judge.
    "nf_conntrack_checksum=0",
    // Of segments out of the window only resets are told apart (RFC 7857 section 2.2).
    "nf_conntrack_tcp_be_liberal=1",
    // RFC 4787 REQ-5, RFC 5508 REQ-2.
    "nf_conntrack_udp_timeout=300",
    "nf_conntrack_icmp_timeout=60",
];

/// One NAT, and the external ports that it chose.
pub struct Side {
    nat: Nat,
    given: HashMap<Flow, u16>,
}

impl Side {
    /// Linux filters by address and port and forgets nothing else that the RFCs ask for; so does Millrace here.
    const NAT: &str = "pool: [203.0.113.2], filtering: address-and-port-dependent";

    /// The configuration of both: with a narrow link outside, so that packets of a usual size have to be fragmented.
    fn config() -> String {
        Nat::config(Side::NAT).replace("device: wan,", "device: wan, mtu: 1000,")
    }

    /// Millrace.
    #[track_caller]
    pub fn millrace() -> Side {
        Side::of(Nat::with(&Side::config()))
    }

    /// Linux.
    #[track_caller]
    pub fn linux() -> Side {
        let lab = Lab::new();
        let (lan, wan) = (lab.wire("lan"), lab.wire("wan"));
        let router = Router::start_kernel(&lab, &Side::config());
        Side::of(Nat::of(Wires { router, lan, wan, lab }))
    }

    fn of(nat: Nat) -> Side {
        if !nat.router().is_daemon() {
            for setting in LINUX {
                nat.net.lab.router.sysctl(&format!("net.netfilter.{setting}"));
            }
        }
        Side { nat, given: HashMap::new() }
    }

    /// Plays an event and says what comes of it, a line for each packet.
    #[track_caller]
    pub fn play(&mut self, event: &Event) -> Vec<String> {
        let Some(packets) = event.packets(|flow| self.given.get(flow).copied()) else {
            return vec!["the flow is not known".to_owned()];
        };
        for packet in packets {
            match event.from {
                Where::Lan => self.nat.net.lan.send(&LAN.frame(&packet)),
                Where::Wan => self.nat.net.wan.send(&WAN.frame(&packet)),
            }
        }
        let seen = self.nat.rest().without_arp();
        if let (Some(flow), Some(port)) =
            (event.opens(), seen.wan.first().and_then(|frame| describe::source_port(frame)))
        {
            self.given.insert(flow, port);
        }
        let given = External { given: &self.given };
        let mut lines = given.lines("lan", &seen.lan);
        lines.extend(given.lines("wan", &seen.wan));
        for (end, frames) in [(&LAN, &seen.lan), (&WAN, &seen.wan)] {
            let stray = frames.iter().find(|frame| frames::link(frame).0 != end.mac);
            assert!(stray.is_none(), "a frame to another station: {stray:02x?}");
        }
        lines
    }

    /// The external port that it gave to a flow.
    pub fn given(&self, flow: &Flow) -> Option<u16> {
        self.given.get(flow).copied()
    }

    /// How many sessions it has, if it is Millrace.
    pub fn sessions(&self) -> usize {
        self.nat.sessions().len()
    }
}
