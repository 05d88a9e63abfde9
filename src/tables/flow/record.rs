//! What each packet of a flow touches: one cache line.

use millrace_wire::checksum::Delta;

use super::state::{ICMP, State, TCP, UDP};
use super::tcp::{TcpSegment, Tracking};
use super::time::Ticks;
use super::view::{Key, Side, View, Words};
use crate::region::Zeroed;

/// Who made a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Owner {
    /// Network address translation.
    Nat44 = 0,
    /// The stateful firewall.
    Acl = 1,
}

/// A flow to insert. The views need have nothing in common: they are equal but for the direction where nothing is translated, and
/// differ in all fields where everything is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFlow {
    /// The views of packets from inside and from outside.
    pub views: [View; 2],
    /// The IP protocol.
    pub protocol: u8,
    /// The number of the inside's forwarding table.
    pub table: u16,
    /// Who makes it.
    pub owner: Owner,
    /// Where its first packet came from.
    pub opener: Side,
    /// What it begins as.
    pub state: State,
}

/// A flow. `views[side]` is the key of packets from that side; such a packet becomes `views[other].swapped()`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Flow {
    /// The views by their numbers, so that none of these is in two halves of the line's vectors.
    addresses: [u64; 2],
    ports: [u32; 2],
    table: u16,
    protocol: u8,
    /// The state (bits 0 to 2, zero in a free slot), the owner (3, 4), whether nothing is translated (5), and the opener (6).
    kind: u8,
    windows: [u16; 2],
    edges: [u32; 2],
    l3_delta: Delta,
    l4_delta: Delta,
    last: Ticks,
    bytes: u64,
    /// 48 bits of packets above 16 bits of what TCP needs: the window scales, and bits of [`Tracking`].
    packets: u64,
}

const _: () = assert!(size_of::<Flow>() == 64);

// SAFETY: numbers: zero is one.
unsafe impl Zeroed for Flow {}

const OWNER: u32 = 3;
const IDENTITY: u8 = 1 << 5;
const OPENER: u32 = 6;
/// Where the packets are.
const PACKETS: u32 = 16;

impl Flow {
    #[inline]
    pub(super) fn new(new: &NewFlow, now: Ticks) -> Self {
        let [inside, outside] = new.views;
        let outside = outside.swapped();
        let identity = inside == outside;
        let l3 = Delta::default()
            .u32(inside.source().to_bits(), outside.source().to_bits())
            .u32(inside.destination().to_bits(), outside.destination().to_bits());
        let ports = Delta::default()
            .u16(inside.source_port(), outside.source_port())
            .u16(inside.destination_port(), outside.destination_port());
        let l4 = match new.protocol {
            TCP | UDP => l3.and(ports),
            // No pseudo header (RFC 792).
            ICMP => ports,
            _ => Delta::default(),
        };
        let mut flow = Self {
            addresses: new.views.map(|view| view.numbers().0),
            ports: new.views.map(|view| view.numbers().1),
            table: new.table,
            protocol: new.protocol,
            kind: new.state as u8 | (new.owner as u8) << OWNER | (new.opener as u8) << OPENER,
            l3_delta: l3,
            l4_delta: l4,
            last: now,
            ..Self::free(0)
        };
        if identity {
            flow.kind |= IDENTITY;
        }
        flow.set_tracking(&Tracking::default());
        flow
    }

    /// A free slot, which has the number of the next free one; 0 if it is the last.
    #[inline(always)]
    pub(super) fn free(next: u32) -> Self {
        Self {
            addresses: [0; 2],
            ports: [0; 2],
            table: 0,
            protocol: 0,
            kind: 0,
            windows: [0; 2],
            edges: [next, 0],
            l3_delta: Delta::default(),
            l4_delta: Delta::default(),
            last: Ticks::ZERO,
            bytes: 0,
            packets: 0,
        }
    }

    /// Of a free slot: the next one.
    pub(super) const fn next_free(&self) -> u32 {
        self.edges[0]
    }

    #[inline(always)]
    pub(super) const fn is_free(&self) -> bool {
        self.kind == 0
    }

    /// What packets from `side` look like.
    #[inline(always)]
    #[must_use]
    pub const fn view(&self, side: Side) -> View {
        View::from_numbers((self.addresses[side as usize], self.ports[side as usize]))
    }

    /// What packets from `side` are to look like.
    #[inline(always)]
    #[must_use]
    pub const fn translated(&self, side: Side) -> View {
        self.view(side.other()).swapped()
    }

    /// The key of packets from `side`.
    #[inline(always)]
    #[must_use]
    pub const fn key(&self, side: Side) -> Key {
        let table = match side {
            Side::Inside => self.table,
            Side::Outside => 0,
        };
        Key { view: self.view(side), protocol: self.protocol, table }
    }

    /// The IP protocol.
    #[inline(always)]
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// The number of the inside's forwarding table.
    #[inline(always)]
    #[must_use]
    pub const fn table(&self) -> u16 {
        self.table
    }

    #[inline(always)]
    pub(super) const fn words(&self, side: Side) -> Words {
        let table = match side {
            Side::Inside => self.table,
            Side::Outside => 0,
        };
        self.view(side).words(self.protocol, table)
    }

    /// Whether a packet from `side` with this key belongs to the flow.
    #[inline(always)]
    #[must_use]
    pub const fn matches(&self, side: Side, key: &Key) -> bool {
        self.has(side, key.words())
    }

    #[inline(always)]
    pub(super) const fn has(&self, side: Side, key: Words) -> bool {
        let own = self.words(side);
        (own.0 ^ key.0) | (own.1 ^ key.1) == 0
    }

    /// What translating a packet from `side` does to its IP header's checksum. The two sides' are inverse.
    #[inline(always)]
    #[must_use]
    pub const fn l3_delta(&self, side: Side) -> Delta {
        from_side(self.l3_delta, side)
    }

    /// What it does to the checksum of TCP, of UDP (both with their pseudo header), or of ICMP. Means nothing for other protocols.
    #[inline(always)]
    #[must_use]
    pub const fn l4_delta(&self, side: Side) -> Delta {
        from_side(self.l4_delta, side)
    }

    /// Whether translation changes nothing.
    #[inline(always)]
    #[must_use]
    pub const fn identity(&self) -> bool {
        self.kind & IDENTITY != 0
    }

    /// Who made it.
    #[inline(always)]
    #[must_use]
    pub const fn owner(&self) -> Owner {
        match self.kind >> OWNER & 3 {
            0 => Owner::Nat44,
            _ => Owner::Acl,
        }
    }

    /// Where its first packet came from.
    #[inline(always)]
    #[must_use]
    pub const fn opener(&self) -> Side {
        if self.kind >> OPENER & 1 == 0 { Side::Inside } else { Side::Outside }
    }

    /// What it is doing. [`FlowTable::set_state`](super::FlowTable::set_state) changes it.
    #[inline(always)]
    #[must_use]
    pub const fn state(&self) -> State {
        match State::from_bits(self.kind) {
            Some(state) => state,
            // A free slot, which nobody outside gets to see.
            None => State::Unreplied,
        }
    }

    pub(super) const fn set_state(&mut self, state: State) {
        self.kind = self.kind & !7 | state as u8;
    }

    /// Counts a packet of `len` bytes, either way.
    #[inline(always)]
    pub const fn count(&mut self, len: u16) {
        self.packets = self.packets.wrapping_add(1 << PACKETS);
        self.bytes = self.bytes.wrapping_add(len as u64);
    }

    /// Notes that the flow is in use, so that its timeout begins anew.
    #[inline(always)]
    pub const fn touch(&mut self, now: Ticks) {
        self.last = now;
    }

    /// When it was last in use.
    #[inline(always)]
    #[must_use]
    pub const fn last(&self) -> Ticks {
        self.last
    }

    /// Packets counted, modulo 2^48.
    #[inline(always)]
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets >> PACKETS
    }

    /// Bytes counted.
    #[inline(always)]
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// TCP: what each side has said.
impl Flow {
    /// Takes note of a segment from `side`, and returns the state that the flow is in from now on, for
    /// [`FlowTable::set_state`](super::FlowTable::set_state) if it is another.
    #[must_use]
    pub fn track(&mut self, side: Side, segment: &TcpSegment) -> State {
        let mut tracking = self.tracking();
        let state = tracking.track(self.state(), side, segment);
        self.set_tracking(&tracking);
        state
    }

    /// Keeps the acknowledgment number and the window of a segment from `side` of an established connection: the part of
    /// [`track`](Self::track) that segments without SYN, FIN and RST need. One that is older than what is kept, or that is farther
    /// ahead than the largest window (RFC 7323 section 2.3), changes nothing.
    #[inline(always)]
    pub const fn note_ack(&mut self, side: Side, ack: u32, window: u16) {
        if ack.wrapping_sub(self.edges[side as usize]) < 1 << 30 {
            self.edges[side as usize] = ack;
            self.windows[side as usize] = window;
        }
    }

    /// What is kept of both sides.
    #[must_use]
    pub const fn tracking(&self) -> Tracking {
        let [scales, bits, ..] = self.packets.to_le_bytes();
        Tracking { edges: self.edges, windows: self.windows, scales, bits }
    }

    fn set_tracking(&mut self, tracking: &Tracking) {
        let Tracking { edges, windows, scales, bits } = *tracking;
        self.edges = edges;
        self.windows = windows;
        self.packets = self.packets >> PACKETS << PACKETS | u64::from(u16::from_le_bytes([scales, bits]));
    }
}

#[inline(always)]
const fn from_side(of_inside: Delta, side: Side) -> Delta {
    match side {
        Side::Inside => of_inside,
        Side::Outside => of_inside.inverse(),
    }
}

#[cfg(test)]
mod tests;
