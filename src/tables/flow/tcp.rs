//! What a flow of TCP is doing, as seen from the middle: RFC 7857 section 2, RFC 6146 section 3.5.2.2, RFC 5382 sections 4 and 5.
//!
//! Nothing here decides whether a segment is forwarded: all are. It decides how long the flow may be idle, and so it believes nobody who
//! hasn't seen the other end's numbers (RFC 5961): a flow is established by acknowledgments of what was really sent, and a reset counts
//! when it lies in its receiver's window.
//!
//! Two deviations from RFC 6146, both for tables that would fill up otherwise. A SYN-ACK doesn't establish the flow, the acknowledgment
//! of it does (as RFC 5382 section 5 words it): somebody who floods a forwarded port with SYNs would have a server's answers make entries
//! that stay for hours. And after a reset, only a segment from the end that it came from shows that it wasn't real: what the other end
//! had under way doesn't.

use super::{Side, State};
use millrace_wire::TcpFlags;

/// What matters of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpSegment {
    /// Its control bits.
    pub flags: TcpFlags,
    /// The number of its first byte.
    pub sequence: u32,
    /// The number of the byte that its sender waits for; counts with the flag ACK.
    pub acknowledgment: u32,
    /// The window as it stands in the header.
    pub window: u16,
    /// The window scale option of a SYN: 0 to 14.
    pub scale: Option<u8>,
}

/// How far an acknowledgment may be ahead of the one before: the largest window (RFC 7323 section 2.3).
const AHEAD: u32 = 1 << 30;
/// What can be acknowledged together with a SYN (RFC 7413 has it carry data).
const WITH_SYN: u32 = 1 << 16;
/// No window scale option in the SYN.
const UNSCALED: u8 = 15;
/// Of a connection whose SYN nobody saw: the most that there is (RFC 7323 section 2.3).
const UNSEEN: u8 = 14;

/// What a flow keeps of both ends' segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tracking {
    /// By side: the number of the byte that it waits for, as far as [`KNOWN`](Self::KNOWN): the lower end of its window.
    pub edges: [u32; 2],
    /// By side: the window as its last header had it.
    pub windows: [u16; 2],
    /// By side: 4 bits of window scale, the inside's first. 15 says that there is none.
    pub scales: u8,
    /// By side: [`KNOWN`](Self::KNOWN), [`ACKED`](Self::ACKED), [`FIN`](Self::FIN) and [`RST`](Self::RST), one bit each.
    pub bits: u8,
}

impl Default for Tracking {
    fn default() -> Tracking {
        Tracking { edges: [0; 2], windows: [0; 2], scales: UNSEEN << 4 | UNSEEN, bits: 0 }
    }
}

impl Tracking {
    /// Its edge is known.
    pub const KNOWN: u8 = 0x01;
    /// It acknowledged what the other side sent: the handshake is over for it.
    pub const ACKED: u8 = 0x04;
    /// It sent a FIN.
    pub const FIN: u8 = 0x10;
    /// It sent a reset, or so it seemed.
    pub const RST: u8 = 0x40;

    fn has(&self, bit: u8, side: Side) -> bool {
        self.bits & bit << side as u8 != 0
    }

    fn has_both(&self, bit: u8) -> bool {
        self.bits & (bit * 3) == bit * 3
    }

    fn set(&mut self, bit: u8, side: Side) {
        self.bits |= bit << side as u8;
    }

    /// Takes note of a segment from `side`. Returns what the flow's state is now.
    pub fn track(&mut self, state: State, side: Side, segment: &TcpSegment) -> State {
        let flags = segment.flags;
        if flags.contains(TcpFlags::RST) {
            return self.reset(state, side, segment);
        }
        if flags.contains(TcpFlags::SYN) {
            match state {
                // RFC 9293 section 3.6.1: a new connection between the same ports.
                State::TcpTimeWait | State::TcpReset if !flags.contains(TcpFlags::ACK) => {
                    *self = Tracking::default();
                    self.syn(side, segment);
                    return State::TcpOpening;
                }
                State::TcpOpening => self.syn(side, segment),
                // RFC 5961 section 4.2: the receiver asks its sender whether it means that; a reset follows if so.
                _ => return state,
            }
        }
        let acknowledges = flags.contains(TcpFlags::ACK) && self.acknowledge(state, side, segment);
        if flags.contains(TcpFlags::FIN) {
            self.set(Tracking::FIN, side);
        }
        match state {
            State::TcpReset if !(acknowledges && self.has(Tracking::RST, side)) => state,
            // RFC 6146 section 3.5.2.2, TRANS: it wasn't real.
            State::TcpReset => {
                self.bits &= !(Tracking::RST * 3);
                self.settled()
            }
            _ => self.settled(),
        }
    }

    /// The state that the flags of both sides make.
    fn settled(&self) -> State {
        if !self.has_both(Tracking::ACKED) {
            State::TcpOpening
        } else if self.has_both(Tracking::FIN) {
            State::TcpTimeWait
        } else if self.bits & (Tracking::FIN * 3) != 0 {
            State::TcpClosing
        } else {
            State::TcpEstablished
        }
    }

    /// A SYN, or both ends' at the same time (RFC 5382 REQ-2).
    fn syn(&mut self, side: Side, segment: &TcpSegment) {
        let (other, next) = (side.other(), segment.sequence.wrapping_add(1));
        // An attempt with another number starts from the beginning.
        if self.has(Tracking::KNOWN, other) && self.edges[other as usize] != next {
            self.bits &= !(Tracking::ACKED << other as u8);
        }
        self.edges[other as usize] = next;
        self.set(Tracking::KNOWN, other);
        let shift = if side == Side::Inside { 0 } else { 4 };
        self.scales = self.scales & !(15 << shift) | segment.scale.unwrap_or(UNSCALED).min(UNSCALED) << shift;
    }

    /// Whether an acknowledgment is one of what the other side sent.
    fn acknowledge(&mut self, state: State, side: Side, segment: &TcpSegment) -> bool {
        let ahead = segment.acknowledgment.wrapping_sub(self.edges[side as usize]);
        let limit = if state == State::TcpOpening && !self.has(Tracking::ACKED, side) { WITH_SYN } else { AHEAD };
        if self.has(Tracking::KNOWN, side) && ahead >= limit {
            return false;
        }
        self.edges[side as usize] = segment.acknowledgment;
        // RFC 7323 section 2.2: the window of a SYN isn't scaled.
        let syn = segment.flags.contains(TcpFlags::SYN);
        self.windows[side as usize] = if syn { segment.window >> self.shift(side) } else { segment.window };
        self.set(Tracking::KNOWN | Tracking::ACKED, side);
        true
    }

    /// By how many bits `side` has its windows shifted: RFC 7323 section 2.2, none unless both ends sent the option.
    fn shift(&self, side: Side) -> u32 {
        let [inside, outside] = [self.scales & 15, self.scales >> 4];
        let scale = if side == Side::Inside { inside } else { outside };
        if inside == UNSCALED || outside == UNSCALED { 0 } else { scale.into() }
    }

    fn reset(&mut self, state: State, side: Side, segment: &TcpSegment) -> State {
        if matches!(state, State::TcpTimeWait) || !self.believable(state, side, segment) {
            return state;
        }
        self.set(Tracking::RST, side);
        State::TcpReset
    }

    /// Whether the other side would take this reset for real (RFC 9293 section 3.10.7, RFC 5961 section 3.2).
    fn believable(&self, state: State, side: Side, segment: &TcpSegment) -> bool {
        let other = side.other();
        let in_window = self.has(Tracking::KNOWN, other) && {
            let window = u32::from(self.windows[other as usize]) << self.shift(other);
            segment.sequence.wrapping_sub(self.edges[other as usize]) <= window
        };
        // In SYN-SENT it is the acknowledgment of the SYN that counts. Its sender has no number of its own yet.
        let refuses = state == State::TcpOpening
            && segment.flags.contains(TcpFlags::ACK)
            && self.has(Tracking::KNOWN, side)
            && segment.acknowledgment == self.edges[side as usize];
        // Of a flow that was picked up on its way, only what the inside sent is known at first.
        let unknown = !self.has(Tracking::KNOWN, other) && side == Side::Inside;
        in_window || refuses || unknown
    }
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
