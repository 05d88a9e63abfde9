//! What a node may reach while it works on a packet: its counters, other edges, buffers, tables' guard, trace.

use crate::arc::ArcView;
use crate::counters::{InterfaceCounters, InterfaceTable, MAX_INTERFACES, NodeCounters};
use crate::epoch::Guard;
use crate::node::{Counters, Edges, Node, SLOT_CHOSEN, SLOT_CONSUME, SLOT_DROP, SLOT_HOLD, Token};
use crate::packet::Packet;
use crate::pool::{Buffer, Cache, Copies, Handoff};
use crate::states::States;
use crate::trace::Tracer;
use std::marker::PhantomData;
use std::sync::atomic::Ordering::Relaxed;

/// The worker's things that a node run borrows.
pub(crate) struct Env<'w> {
    pub cache: &'w mut Cache,
    /// Packets that the node sends besides those of its frame: (slot, buffer).
    pub extra: &'w mut Vec<(u8, u32)>,
    pub interfaces: &'w InterfaceTable,
    pub states: &'w States,
    pub ledger: &'w Ledger,
    pub tracer: &'w mut Tracer,
    pub counters: &'w NodeCounters,
    /// The arc that the node takes part in.
    pub arc: Option<ArcView<'w>>,
    pub guard: Guard<'w>,
    pub now: u64,
    pub worker: usize,
    /// The node's position in the graph.
    pub place: u16,
}

/// Where a worker's packets came from and went: received + made = sent + dropped + consumed + on their way.
#[derive(Default, Debug)]
pub(crate) struct Ledger {
    /// Packets from devices.
    pub received: crate::counters::Counter,
    /// Packets that devices took.
    pub sent: crate::counters::Counter,
    /// Packets that nodes and control made.
    pub made: crate::counters::Counter,
    /// Packets that nodes and control took out: answered, fragmented, handed to control.
    pub consumed: crate::counters::Counter,
    /// Packets dropped.
    pub dropped: crate::counters::Counter,
}

/// The node's side of a run; see the methods.
pub struct Ctx<'w, N: Node> {
    pub(crate) env: Env<'w>,
    /// The slot behind [`SLOT_CHOSEN`], in a word: of a byte the compiler loads four, and waits for the store.
    pub(crate) slot: u32,
    pub(crate) tracing: bool,
    node: PhantomData<fn() -> N>,
}

impl<'w, N: Node> Ctx<'w, N> {
    #[inline(always)]
    pub(crate) fn new(env: Env<'w>, tracing: bool) -> Self {
        Ctx { env, slot: SLOT_DROP.into(), tracing, node: PhantomData }
    }

    /// Counts one.
    #[inline(always)]
    pub fn count(&mut self, count: N::Count) {
        self.count_n(count, 1);
    }

    /// Counts `n`.
    #[inline(always)]
    pub fn count_n(&mut self, count: N::Count, n: u64) {
        if let Some(c) = self.env.counters.reasons.get(count.index()) {
            c.add(n);
        }
    }

    /// The way to `error-drop`: counts the cause and gives the edge to return.
    #[cold]
    #[inline(never)]
    pub fn drop(&mut self, cause: N::Count) -> N::Next {
        self.env.counters.lost(cause.index(), 1);
        if self.tracing {
            self.env.tracer.reason(N::Count::REASONS.get(cause.index()).copied());
        }
        N::Next::dropped(Token(()))
    }

    /// Ends the packet here, as done with rather than lost (an answer went out instead, it was cut in pieces): counts
    /// why, and gives the edge to return.
    #[inline]
    pub fn consume(&mut self, why: N::Count) -> N::Next {
        self.count(why);
        if self.tracing {
            self.env.tracer.reason(N::Count::REASONS.get(why.index()).copied());
        }
        self.slot = SLOT_CONSUME.into();
        N::Next::chosen(Token(()))
    }

    /// Keeps the packet: the engine hands it to [`Node::hold`] as soon as this returns to it. Send it on later with
    /// [`Ctx::send`], from [`Node::tick`] for example. Nodes that do this set [`Node::HOLDS`].
    #[inline]
    pub fn hold(&mut self) -> N::Next {
        const { assert!(N::HOLDS, "a node that holds packets says so by HOLDS = true") };
        self.slot = SLOT_HOLD.into();
        N::Next::chosen(Token(()))
    }

    /// Passes the packet to the same node on another worker, over a bounded ring. Nodes that do this set
    /// [`Node::HANDS_OFF`], and tell by the packet that it has arrived.
    #[inline]
    pub fn hand_off(&mut self, packet: &mut Packet<'_>, worker: usize) -> N::Next {
        const { assert!(N::HANDS_OFF, "a node that passes packets to other workers says so by HANDS_OFF = true") };
        packet.meta.handoff = Handoff { worker: worker as u16, place: self.env.place };
        self.slot = SLOT_CHOSEN.into();
        N::Next::chosen(Token(()))
    }

    /// Starts the node's arc for `interface`: the first feature that is on there, or `end` when none is.
    #[inline(always)]
    pub fn start_arc(&mut self, packet: &mut Packet<'_>, interface: u32, end: N::Next) -> N::Next {
        let Some(arc) = self.env.arc else { return end };
        let mask = arc.masks[interface as usize % MAX_INTERFACES].load(Relaxed);
        if mask == 0 {
            return end;
        }
        packet.meta.features = mask & (mask - 1);
        self.slot = u32::from(arc.first) + mask.trailing_zeros();
        N::Next::chosen(Token(()))
    }

    /// Goes on along the arc that the packet is on: the next feature that is on, or the arc's end.
    #[inline(always)]
    pub fn next_feature(&mut self, packet: &mut Packet<'_>) -> N::Next {
        let Some(arc) = self.env.arc else { return N::Next::dropped(Token(())) };
        let mask = packet.meta.features;
        // Bits beyond the arc's features can't be set; the clamp keeps a stray one on the arc all the same.
        let ahead = mask.trailing_zeros().min(arc.features.into());
        packet.meta.features = mask & mask.wrapping_sub(1);
        self.slot = u32::from(arc.first) + ahead;
        N::Next::chosen(Token(()))
    }

    /// An empty buffer for a packet of the node's own; `None` when the pool is empty.
    pub fn alloc(&mut self) -> Option<Buffer> {
        let buffer = self.env.cache.alloc()?;
        self.env.ledger.made.add(1);
        Some(buffer)
    }

    /// A further buffer for a packet under construction (see [`Buffer::append`]).
    pub fn alloc_more(&mut self) -> Option<Buffer> {
        self.env.cache.alloc()
    }

    /// A new packet with the bytes given; `None` when the pool is empty.
    pub fn build(&mut self, bytes: &[u8]) -> Option<Buffer> {
        let mut buffer = self.alloc()?;
        let cache = &mut *self.env.cache;
        if !buffer.append(bytes, || cache.alloc()) {
            self.free(buffer);
            return None;
        }
        Some(buffer)
    }

    /// A copy of a packet from its current header on, with all that the graph knows of it but its trace: the copy of one that
    /// [shares](Packet::shared) its bytes shares them, too. `None` when the pool is empty.
    pub fn copy(&mut self, packet: &Packet<'_>) -> Option<Buffer> {
        let copy = self.env.cache.copy(packet)?;
        self.env.ledger.made.add(1);
        Some(copy)
    }

    /// Makes so many packets of one, which the node [holds](Ctx::hold), each from the current header on and with all that the graph knows
    /// of it; the first goes on with its trace. Long ones share their bytes but for the first 256: nodes change and put in front
    /// what they like, and only read what is behind. Take them with [`Copies::next`], at least the first.
    pub fn share(&mut self, buffer: Buffer, copies: usize) -> Copies {
        Copies::new(buffer, copies)
    }

    /// Gives a packet of the node's own bytes of its own, should it [share](Packet::shared) them; false when the pool is empty, and
    /// the packet is as it was.
    #[must_use]
    pub fn unshare(&mut self, buffer: &mut Buffer) -> bool {
        buffer.unshare(|| self.env.cache.alloc())
    }

    /// Gives up a packet of the node's own that is not to be sent after all.
    pub fn free(&mut self, buffer: Buffer) {
        self.env.ledger.consumed.add(1);
        self.env.cache.free(buffer);
    }

    /// Sends a packet that is not in the frame: one made by [`Ctx::build`], or one held earlier. Obtain edges to drop
    /// from [`Ctx::drop`].
    pub fn send(&mut self, buffer: Buffer, next: N::Next) {
        let slot = self.resolve(next);
        if slot == SLOT_CONSUME || slot == SLOT_HOLD {
            return self.free(buffer);
        }
        self.env.extra.push((slot, buffer.into_index()));
    }

    /// Proof for reading published tables; what is read through it stays valid for this run of the node.
    #[inline(always)]
    pub fn guard(&self) -> Guard<'w> {
        self.env.guard
    }

    /// Nanoseconds since start, as of the worker's current loop.
    #[inline(always)]
    pub fn now(&self) -> u64 {
        self.env.now
    }

    /// This worker's number, from 0.
    #[inline(always)]
    pub fn worker(&self) -> usize {
        self.env.worker
    }

    /// This worker's counters of an interface, for nodes that move packets between interfaces (sub-interfaces).
    #[inline(always)]
    pub fn interface(&self, interface: u32) -> &'w InterfaceCounters {
        self.env.interfaces.get(interface)
    }

    /// Whether an interface is switched on.
    #[inline(always)]
    pub fn is_up(&self, interface: u32) -> bool {
        self.env.states.is_up(interface)
    }

    /// The interface that carries an interface's packets: itself, or the parent of a sub-interface.
    #[inline(always)]
    pub fn hardware(&self, interface: u32) -> u32 {
        self.env.states.hardware(interface)
    }

    /// Says for `show trace` what the node saw and decided, when this packet is traced.
    #[inline(always)]
    pub fn trace(&mut self, packet: &Packet<'_>, entry: impl FnOnce() -> N::Trace) {
        if self.tracing && packet.traced() {
            self.record(entry);
        }
    }

    #[cold]
    #[inline(never)]
    fn record(&mut self, entry: impl FnOnce() -> N::Trace) {
        self.env.tracer.text(&entry());
    }

    /// Whether any packet is being traced; false in the fast loop, where it costs nothing.
    #[inline(always)]
    pub fn tracing(&self) -> bool {
        self.tracing
    }

    #[inline(always)]
    pub(crate) fn resolve(&self, next: N::Next) -> u8 {
        let slot = next.slot();
        if slot == SLOT_CHOSEN { self.slot as u8 } else { slot }
    }
}
