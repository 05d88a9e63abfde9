//! LLDP (IEEE 802.1AB): what is told to neighbours on the link, and heard of them.
//!
//! An interface takes part while it has a device with a wire, a link, and the operator wants it. Neighbours are forgotten when they say
//! good-bye, when their time is over, and when the link goes.

pub mod heard;
mod local;
mod sender;
pub mod table;
#[cfg(test)]
mod tests;
mod told;

use super::Router;
use super::events::Severity;
use heard::{Heard, Id};
use millrace_config as config;
use millrace_graph_nodes::interface;
use millrace_graph_nodes::rate::TokenBucket;
use millrace_wire::lldp::NEAREST_BRIDGE;
use millrace_wire::{Ethernet, FromBytes, MacAddr};
use sender::Sender;
use std::collections::BTreeMap;
use std::time::Instant;
use table::{Change, Neighbor, Neighbors};

/// Events of an interface's neighbours at once, and then one a second: whoever makes up neighbours shall not fill the operator's memory.
const EVENTS: u64 = 20;

/// All of it.
#[derive(Debug, Default)]
pub struct Lldp {
    /// What the operator wants.
    pub configured: config::Lldp,
    /// What names the router, once there is an interface that has a MAC address.
    chassis: Option<MacAddr>,
    /// By interface.
    ports: BTreeMap<u32, Port>,
}

/// An interface that takes part.
#[derive(Debug)]
pub struct Port {
    sender: Sender,
    /// Who is there.
    pub neighbors: Neighbors,
    /// What was counted.
    pub counts: Counts,
    events: TokenBucket,
    silenced: bool,
    crowded: bool,
}

/// Frames of an interface (clause 9.2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames that were sent.
    pub sent: u64,
    /// Frames that came.
    pub received: u64,
    /// Those that were refused.
    pub refused: u64,
    /// TLVs that were left out, as they are none.
    pub discarded_tlvs: u64,
    /// TLVs that are not known here.
    pub unrecognized_tlvs: u64,
    /// Frames of neighbours that there was no room for.
    pub too_many: u64,
    /// Neighbours that were not heard any more.
    pub aged_out: u64,
}

impl Lldp {
    /// The interfaces that take part.
    pub fn ports(&self) -> impl Iterator<Item = (u32, &Port)> {
        self.ports.iter().map(|(index, port)| (*index, port))
    }
}

/// How a neighbour is called in events.
fn called(heard: &Heard) -> String {
    let Heard { chassis: Id { text: chassis, .. }, port: Id { text: port, .. }, system_name, .. } = heard;
    match system_name {
        Some(name) if !name.is_empty() => format!("{name} port {port}"),
        _ => format!("{chassis} port {port}"),
    }
}

impl Router {
    /// Takes over its settings.
    pub(super) fn set_lldp(&mut self, lldp: &config::Lldp) {
        self.lldp.configured.clone_from(lldp);
    }

    /// Lets interfaces take part as the configuration and their links say now.
    pub(super) fn follow_lldp(&mut self) {
        let now = Instant::now();
        let told = self.lldp_told();
        let gone: Vec<u32> = self.lldp.ports.keys().filter(|index| !told.contains_key(index)).copied().collect();
        for index in gone {
            self.end_lldp_port(index);
        }
        let bucket = || TokenBucket::new(1, EVENTS);
        for (index, told) in told {
            match self.lldp.ports.get_mut(&index) {
                Some(port) => port.sender.set(told, now),
                None => {
                    let port = Port {
                        sender: Sender::new(told, now),
                        neighbors: Neighbors::default(),
                        counts: Counts::default(),
                        events: bucket(),
                        silenced: false,
                        crowded: false,
                    };
                    self.lldp.ports.insert(index, port);
                    // The loop has to look at the timers again.
                    self.control.wake();
                }
            }
        }
    }

    /// An interface takes part no more: neighbours are told, if that can be, and forgotten.
    pub(super) fn end_lldp_port(&mut self, index: u32) {
        let Some(mut port) = self.lldp.ports.remove(&index) else { return };
        self.send_lldp(index, &port.sender.told().good_bye());
        for neighbor in port.neighbors.clear() {
            let why = if self.interfaces.is_up(index) { "LLDP is off" } else { "link down" };
            self.tell_neighbor(index, &mut port, Severity::Info, format!("{} is gone: {why}", called(&neighbor.heard)));
        }
    }

    /// The end: neighbours are told.
    pub(super) fn end_lldp(&mut self) {
        for (index, port) in &self.lldp.ports {
            self.send_lldp(*index, &port.sender.told().good_bye());
        }
    }

    fn send_lldp(&self, index: u32, frame: &[u8]) {
        if self.interfaces.is_up(index) {
            self.inject(interface::output::NAME, frame, |meta| meta.tx_interface = index);
        }
    }

    /// A frame came by an interface.
    pub(super) fn lldp_heard(&mut self, index: u32, frame: &[u8], now: Instant) {
        let Some(mut port) = self.lldp.ports.remove(&index) else { return };
        self.heard_on_port(index, &mut port, frame, now);
        self.lldp.ports.insert(index, port);
    }

    fn heard_on_port(&mut self, index: u32, port: &mut Port, frame: &[u8], now: Instant) {
        let Ok((header, pdu)) = Ethernet::ref_from_prefix(frame) else { return };
        port.counts.received += 1;
        let heard = if header.dst == NEAREST_BRIDGE { Heard::read(pdu).ok() } else { None };
        let Some(heard) = heard else {
            port.counts.refused += 1;
            return;
        };
        port.counts.discarded_tlvs += u64::from(heard.discarded);
        port.counts.unrecognized_tlvs += u64::from(heard.unrecognized);
        let name = called(&heard);
        let text = match port.neighbors.heard(&heard, now) {
            Change::New => {
                port.sender.hurry(now);
                self.control.wake();
                format!("{name} is there")
            }
            Change::Changed => format!("{name} tells something else"),
            Change::Gone => format!("{name} says good-bye"),
            Change::Same | Change::Unknown => return,
            Change::TooMany => {
                port.counts.too_many += 1;
                if std::mem::replace(&mut port.crowded, true) {
                    return;
                }
                let text = format!("there are more than {} neighbors; {name} and others are left out", table::MOST);
                return self.tell_neighbor(index, port, Severity::Warning, text);
            }
        };
        self.tell_neighbor(index, port, Severity::Info, text);
    }

    fn tell_neighbor(&mut self, index: u32, port: &mut Port, severity: Severity, text: String) {
        let nanoseconds = self.started.elapsed().as_nanos() as u64;
        let fits = port.events.take(nanoseconds);
        if !fits && std::mem::replace(&mut port.silenced, true) {
            return;
        }
        if fits {
            port.silenced = false;
        }
        let text = if fits { text } else { format!("{text}; neighbors change too often to tell more for now") };
        self.tell(severity, format!("lldp {}", self.interfaces.name(index)), text);
    }

    /// Does what is due.
    pub(super) fn run_lldp(&mut self, now: Instant) {
        let interval = self.lldp.configured.interval.0;
        let indices: Vec<u32> = self.lldp.ports.keys().copied().collect();
        for index in indices {
            let Some(port) = self.lldp.ports.get_mut(&index) else { continue };
            if let Some(frame) = port.sender.run(interval, now) {
                port.counts.sent += 1;
                self.send_lldp(index, &frame);
            }
            let Some(port) = self.lldp.ports.get_mut(&index) else { continue };
            let aged: Vec<Neighbor> = port.neighbors.expire(now);
            port.counts.aged_out += aged.len() as u64;
            port.crowded &= port.neighbors.iter().count() >= table::MOST;
            if aged.is_empty() {
                continue;
            }
            let Some(mut port) = self.lldp.ports.remove(&index) else { continue };
            for neighbor in aged {
                let text = format!("{} is gone: not heard for {} s", called(&neighbor.heard), neighbor.heard.ttl);
                self.tell_neighbor(index, &mut port, Severity::Warning, text);
            }
            self.lldp.ports.insert(index, port);
        }
    }

    /// When something is due next.
    pub(super) fn next_lldp(&self) -> Option<Instant> {
        let next = |port: &Port| [Some(port.sender.next()), port.neighbors.next()];
        self.lldp.ports.values().flat_map(next).flatten().min()
    }

    /// What is done once a second: whatever is told may have changed.
    pub(super) fn second_lldp(&mut self) {
        if self.lldp.configured.enabled || !self.lldp.ports.is_empty() {
            self.follow_lldp();
        }
    }
}
