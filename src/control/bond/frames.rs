//! Frames of LACP and markers, in and out.

use super::{Bonds, port_number};
use crate::control::Router;
use crate::control::lacp::{Aggregator, Send};
use millrace_graph_nodes::interface;
use millrace_wire::lacp::{SLOW_PROTOCOLS_MAC, SlowPdu};
use millrace_wire::{EtherType, Ethernet, FromBytes, IntoBytes};
use std::time::Instant;

impl Router {
    /// A frame of a slow protocol came by an interface.
    pub(in crate::control) fn slow_protocol_heard(&mut self, index: u32, frame: &[u8], now: Instant) {
        let Ok((header, pdu)) = Ethernet::ref_from_prefix(frame) else { return };
        let Bonds { bonds, members, .. } = &mut self.bonds;
        // Nobody speaks it here, or no more.
        let Some(member) = members.get_mut(&index) else { return };
        if bonds.get(&member.bond).is_none_or(|bond| bond.lacp.is_none()) {
            return;
        }
        let bond = member.bond;
        match SlowPdu::parse(pdu) {
            Ok(SlowPdu::Lacp(pdu)) if header.dst == SLOW_PROTOCOLS_MAC => {
                member.counts.received += 1;
                self.with_lacp(bond, |lacp| lacp.received(port_number(index), pdu, now));
            }
            Ok(SlowPdu::Marker(marker)) if header.dst == SLOW_PROTOCOLS_MAC => {
                member.counts.markers += 1;
                self.send_slow(index, marker.response().as_bytes());
            }
            // None is waited for, as none is sent.
            Ok(SlowPdu::MarkerResponse(_)) => {}
            _ => member.counts.refused += 1,
        }
    }

    /// Lets something happen to a bond with LACP, and does what follows.
    pub(super) fn with_lacp(&mut self, bond: u32, happens: impl FnOnce(&mut Aggregator) -> Vec<Send>) {
        let Some(lacp) = self.bonds.bonds.get_mut(&bond).and_then(|bond| bond.lacp.as_mut()) else { return };
        let sends = happens(lacp);
        // Frames are taken before the partner is told that it may send some.
        self.follow_carriers(bond);
        self.send_lacp(sends);
    }

    pub(super) fn send_lacp(&mut self, sends: Vec<Send>) {
        for Send { port, pdu } in sends {
            if let Some(member) = self.bonds.members.get_mut(&port.into()) {
                member.counts.sent += 1;
            }
            self.send_slow(port.into(), pdu.as_bytes());
        }
    }

    fn send_slow(&self, index: u32, pdu: &[u8]) {
        let header = Ethernet::new(SLOW_PROTOCOLS_MAC, self.interfaces.mac(index), EtherType::SLOW_PROTOCOLS);
        let frame = [header.as_bytes(), pdu].concat();
        self.inject(interface::output::NAME, &frame, |meta| meta.tx_interface = index);
    }
}
