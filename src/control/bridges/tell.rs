//! Events of bridges.

use super::news::{Last, Told};
use crate::control::Router;
use crate::control::events::Severity;
use millrace_graph_nodes::l2::News;
use millrace_tables::mac::Heard;
use millrace_wire::MacAddr;
use std::time::SystemTime;

/// News taken in at once, so that others have their turn.
const NEWS_AT_ONCE: usize = 256;

impl Router {
    pub(super) fn tell_homeless(&mut self, number: u16, mac: MacAddr, full: Heard) {
        let Some((bridge, vlan)) = self.bridges.key(number).cloned() else { return };
        let of = if vlan == 0 { String::new() } else { format!(" of VLAN {vlan}") };
        let why = match full {
            Heard::PortFull => "its port has as many stations as mac-limit allows",
            Heard::BridgeFull => "the bridge has as many stations as mac-limit allows",
            _ => "the table of stations is full",
        };
        let text = format!("static MAC {mac}{of} has no place: {why}; learnt ones are forgotten to make room");
        self.tell(Severity::Warning, format!("bridge {bridge}"), text);
    }

    /// Takes in what the packet path has to say.
    pub(in crate::control) fn pump_bridges(&mut self) {
        for _ in 0..NEWS_AT_ONCE {
            let Some(news) = self.bridges.bridging.journal.pop() else { return };
            self.bridge_news(&news);
        }
        self.control.wake();
    }

    fn bridge_news(&mut self, news: &News) {
        let name = |behind: u16| self.interfaces.name(self.bridges.interface_of(behind));
        let (interface, last) = match *news {
            News::Storm { interface, .. } => (interface, None),
            News::Moved { interface, mac, from, .. } => (interface, Some(Last { mac, from: name(from) })),
            News::PortFull { interface, mac }
            | News::BridgeFull { interface, mac, .. }
            | News::Spoofed { interface, mac } => (interface, Some(Last { mac, from: String::new() })),
        };
        let port = self.interfaces.name(interface);
        let happened = self.bridges.happened(interface);
        if let (News::Moved { .. }, Some(last)) = (news, &last) {
            // Hosts do move; one a second of each port is told.
            let text = format!("{} moved from {} to {port}", last.mac, last.from);
            let source = self.bridge_source(interface);
            self.events.add_frequent(SystemTime::now(), Severity::Info, source, text);
        }
        let second = self.started.elapsed().as_secs();
        let told = self.bridges.watch.hear(news, last, &port, &happened, second);
        told.into_iter().for_each(|told| self.tell_bridge(told));
    }

    fn bridge_source(&self, interface: u32) -> String {
        let bridge = self.bridges.of_port(interface).map(ToString::to_string);
        format!("bridge {}", bridge.unwrap_or_default())
    }

    pub(super) fn tell_bridge(&mut self, told: Told) {
        let severity = if told.over { Severity::Info } else { Severity::Warning };
        self.tell(severity, self.bridge_source(told.interface), told.text);
    }
}
