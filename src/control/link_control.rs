//! What was heard of protocols that end at the other end of the wire: slow protocols are the bonds', LLDP is everyone's.

use super::Router;
use millrace_wire::{EtherType, Ethernet, FromBytes};
use std::time::Instant;

/// Frames taken in at once, so that others have their turn.
const AT_ONCE: usize = 128;

impl Router {
    /// Takes in the frames that the packet path handed over.
    pub(super) fn collect_link_control(&mut self, now: Instant) {
        for _ in 0..AT_ONCE {
            let Some(frame) = self.link_control.pop() else { return };
            let (index, bytes) = (frame.interface, frame.bytes());
            match Ethernet::ref_from_prefix(bytes).map(|(header, _)| header.ether_type()) {
                Ok(EtherType::SLOW_PROTOCOLS) => self.slow_protocol_heard(index, bytes, now),
                Ok(EtherType::LLDP) => self.lldp_heard(index, bytes, now),
                _ => {}
            }
        }
        self.control.wake();
    }
}
