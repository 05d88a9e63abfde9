//! Running one pending frame of one node: the measured, panic-proof step of the loop.

use crate::arc::ArcView;
use crate::builtin::{Builtin, handoff, punt, tx};
use crate::clock::clocks;
use crate::counters::MAX_INTERFACES;
use crate::ctx::Env;
use crate::device::TxBurst;
use crate::dispatch::{How, UNTOUCHED, left_behind};
use crate::frame::Frame;
use crate::schedule::Kind;
use crate::worker::Worker;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{Ordering, fence};

impl Worker {
    /// Runs the oldest frame that waits at a place.
    #[inline]
    pub(crate) fn run_place(&mut self, at: usize) {
        let Some(frame) = self.schedule.take(at) else { return };
        let n = frame.len();
        match &self.schedule.places[at].kind {
            Kind::Node(_) => self.run_node(at, frame),
            Kind::Builtin(kind) => {
                let kind = *kind;
                if self.tracer.active(self.now) {
                    self.trace_builtin(at, &frame);
                }
                match kind {
                    Builtin::Tx => self.run_tx(frame),
                    Builtin::Handoff => self.run_handoff(at, frame),
                    Builtin::Punt => self.run_punt(at, frame),
                    Builtin::Drop | Builtin::Input => self.run_drop(frame),
                }
            }
        }
        let stats = &self.shared.workers[self.id].nodes[at].stats;
        stats.calls.add(1);
        stats.packets.add(n as u64);
        let end = clocks();
        stats.clocks.add(end.wrapping_sub(self.mark));
        self.mark = end;
    }

    #[inline]
    fn run_node(&mut self, at: usize, frame: Box<Frame>) {
        let me = &self.shared.workers[self.id];
        let place = &mut self.schedule.places[at];
        let Kind::Node(node) = &mut place.kind else { return };
        let tracing = self.tracer.active(self.now);
        let how = How { level: self.level, cold: place.cold, trace: tracing.then_some((at, &*place.names)) };
        let env = Env {
            cache: &mut self.cache,
            extra: &mut self.extra,
            interfaces: &me.interfaces,
            states: &self.shared.states,
            ledger: &me.ledger,
            tracer: &mut self.tracer,
            counters: &me.nodes[at],
            arc: place.arc.as_ref().map(ArcView::new),
            guard: self.participant.guard(),
            now: self.now,
            worker: self.id,
            place: at as u16,
        };
        self.nexts.fill(UNTOUCHED);
        let (indices, nexts) = (frame.as_slice(), &mut *self.nexts);
        // The node's own state may be torn by a panic, but it is memory-safe Rust; its packets are dealt with below.
        let outcome = catch_unwind(AssertUnwindSafe(|| node.run(indices, nexts, env, how)));
        if outcome.is_err() {
            self.after_panic(at, frame);
        } else if let Some(consumed) = self.schedule.scatter(at, frame, &self.nexts) {
            self.end_here(consumed);
        }
        if !self.extra.is_empty() {
            self.send_extra(at);
        }
    }

    /// Lets a waiting node look whether it still has to wait.
    pub(crate) fn tick_place(&mut self, at: usize) {
        let me = &self.shared.workers[self.id];
        let place = &mut self.schedule.places[at];
        let Kind::Node(node) = &mut place.kind else { return };
        let env = Env {
            cache: &mut self.cache,
            extra: &mut self.extra,
            interfaces: &me.interfaces,
            states: &self.shared.states,
            ledger: &me.ledger,
            tracer: &mut self.tracer,
            counters: &me.nodes[at],
            arc: place.arc.as_ref().map(ArcView::new),
            guard: self.participant.guard(),
            now: self.now,
            worker: self.id,
            place: at as u16,
        };
        if catch_unwind(AssertUnwindSafe(|| node.tick(env))).is_err() {
            self.report_panic(at);
        }
        // What it said of a packet belongs to no step.
        self.tracer.begin();
        self.send_extra(at);
    }

    /// Packets that a node sent besides its frame.
    #[cold]
    fn send_extra(&mut self, at: usize) {
        for i in 0..self.extra.len() {
            let (slot, index) = self.extra[i];
            let target = self.schedule.target(at, slot).unwrap_or(self.shared.drop);
            let _ = self.schedule.put(target, index);
        }
        self.extra.clear();
    }

    /// Packets that a node was done with.
    fn end_here(&mut self, frame: Box<Frame>) {
        self.me().ledger.consumed.add(frame.len() as u64);
        // SAFETY: `scatter` left exactly the packets that belong to nobody else.
        unsafe { self.cache.put_packets(frame.as_slice()) };
        self.schedule.give_back(frame);
    }

    #[cold]
    fn after_panic(&mut self, at: usize, frame: Box<Frame>) {
        let rest: Vec<u32> = left_behind(frame.as_slice(), &self.nexts).collect();
        self.me().nodes[at].panic_drops.add(rest.len() as u64);
        for index in rest {
            let _ = self.schedule.put(self.shared.drop, index);
        }
        self.schedule.give_back(frame);
        self.report_panic(at);
    }

    /// Counts a contained panic, and logs it once a second at most.
    fn report_panic(&mut self, at: usize) {
        self.me().nodes[at].panics.add(1);
        if self.now.saturating_sub(self.last_panic_log) > 1_000_000_000 || self.last_panic_log == 0 {
            self.last_panic_log = self.now.max(1);
            let what = crate::panic::take().unwrap_or_else(|| "no message".to_owned());
            tracing::error!(
                node = self.schedule.places[at].name.as_str(),
                worker = self.id,
                "panic; its frame is dropped: {what}"
            );
        }
    }

    fn run_drop(&mut self, frame: Box<Frame>) {
        let me = &self.shared.workers[self.id];
        for index in frame.as_slice() {
            // SAFETY: the frame owns its packets; one view at a time.
            let packet = unsafe { self.cache.pool().packet(*index) };
            me.interfaces.get(packet.meta.rx_interface).rx_drops.add(1);
        }
        me.ledger.dropped.add(frame.len() as u64);
        // SAFETY: the frame owned them and is given back empty.
        unsafe { self.cache.put_packets(frame.as_slice()) };
        self.schedule.give_back(frame);
    }

    fn run_punt(&mut self, at: usize, frame: Box<Frame>) {
        let me = &self.shared.workers[self.id];
        for index in frame.as_slice() {
            // SAFETY: the frame owned the packet and is given back empty.
            let buffer = unsafe { self.cache.pool().adopt(*index) };
            match self.shared.punts.push(buffer) {
                Ok(()) => me.ledger.consumed.add(1),
                Err(buffer) => {
                    me.nodes[at].lost(punt::FULL, 1);
                    me.ledger.dropped.add(1);
                    self.cache.free(buffer);
                }
            }
        }
        self.schedule.give_back(frame);
        self.shared.control.wake();
    }

    /// Sends runs of packets for the same interface by its queue here, or by the worker that has one.
    fn run_tx(&mut self, frame: Box<Frame>) {
        let pool = self.cache.pool();
        let indices = frame.as_slice();
        let mut from = 0;
        while let Some(&first) = indices.get(from) {
            // SAFETY: the frame owns its packets; one view at a time.
            let interface = unsafe { pool.packet(first) }.meta.tx_interface;
            let (mut bytes, mut shared) = (0, false);
            let run = indices[from..].iter().take_while(|i| {
                // SAFETY: as above.
                let packet = unsafe { pool.packet(**i) };
                let same = packet.meta.tx_interface == interface;
                if same {
                    bytes += packet.total_len() as u64;
                    shared |= packet.chained() && packet.shared();
                }
                same
            });
            let to = from + run.count();
            self.send_run(interface, &indices[from..to], bytes, shared);
            from = to;
        }
        self.schedule.give_back(frame);
    }

    fn send_run(&mut self, interface: u32, indices: &[u32], bytes: u64, shared_cells: bool) {
        let shared = self.shared;
        let states = &shared.states;
        let hardware = states.hardware(interface);
        let all = indices.len();
        let pool = self.cache.pool();
        let queue = &mut self.tx[hardware as usize % MAX_INTERFACES];
        let (mut kept, mut lost, mut lost_bytes) = (0, 0, 0);
        let (done, cause) = if !states.is_up(interface) || !states.is_up(hardware) {
            (0, tx::DOWN)
        } else if let Some(queue) = queue {
            // SAFETY: the packets are the frame's; those that are not kept are freed below.
            let mut burst = unsafe { TxBurst::new(&mut self.cache, indices) };
            let n = if shared_cells && !queue.takes_shared() { burst.unshare() } else { all };
            // A driver that panics has sent nothing, but may have kept some.
            let result = catch_unwind(AssertUnwindSafe(|| queue.tx(&mut burst)));
            (kept, lost, lost_bytes) = burst.end();
            match result {
                Ok(Ok(done)) => (done.min(n), if n < all && done >= n { tx::NO_BUFFER } else { tx::REFUSED }),
                Ok(Err(_)) | Err(_) => (kept, tx::GONE),
            }
        } else if let Some(owner) = self.tx_owner[hardware as usize % MAX_INTERFACES].filter(|o| *o != self.id) {
            if self.pass_on(owner, indices) {
                return;
            }
            (0, tx::RING_FULL)
        } else {
            (0, tx::NO_QUEUE)
        };
        let me = &self.shared.workers[self.id];
        let sent = done.saturating_sub(lost);
        for index in &indices[done.max(kept)..] {
            // SAFETY: still the frame's; one view at a time.
            lost_bytes += unsafe { pool.packet(*index) }.total_len() as u64;
        }
        for i in [interface, hardware].iter().take(if interface == hardware { 1 } else { 2 }) {
            let counters = me.interfaces.get(*i);
            counters.tx_packets.add(sent as u64);
            counters.tx_bytes.add(bytes - lost_bytes);
            counters.tx_drops.add((all - sent) as u64);
        }
        me.ledger.sent.add(sent as u64);
        if sent < all {
            me.ledger.dropped.add((all - sent) as u64);
            me.nodes[usize::from(self.shared.tx)].lost(cause, (all - sent) as u64);
        }
        // SAFETY: these are the frame's still, which is given back empty.
        unsafe { self.cache.put_packets(&indices[kept..]) };
    }

    /// Hands packets to the worker that has the queue. False, and the packets still ours, when its ring is full.
    fn pass_on(&mut self, owner: usize, indices: &[u32]) -> bool {
        let mut frame = self.schedule.empty_frame();
        let fits = indices.iter().all(|i| frame.push(*i));
        debug_assert!(fits);
        match self.push_to(owner, self.shared.tx, frame) {
            Ok(()) => true,
            Err(frame) => {
                self.schedule.give_back(frame);
                false
            }
        }
    }

    /// Hands a frame to a node of another worker; back it comes when that one's ring is full, or there is no such worker.
    fn push_to(&self, worker: usize, place: u16, frame: Box<Frame>) -> Result<(), Box<Frame>> {
        let Some(other) = self.shared.workers.get(worker) else { return Err(frame) };
        other.inbox.push((place, frame)).map_err(|(_, frame)| frame)?;
        fence(Ordering::SeqCst);
        if other.sleeping.load(Ordering::SeqCst) {
            other.waker.wake();
        }
        Ok(())
    }

    /// Sorts packets by the worker and node that they go on at, and hands them over in frames.
    fn run_handoff(&mut self, at: usize, frame: Box<Frame>) {
        for &index in frame.as_slice() {
            // SAFETY: the frame owns its packets; one view at a time.
            let to = unsafe { self.cache.pool().packet(index) }.meta.handoff;
            let worker = usize::from(to.worker);
            if worker >= self.leaving.len() {
                self.me().nodes[at].lost(handoff::NO_WORKER, 1);
                let _ = self.schedule.put(self.shared.drop, index);
                continue;
            }
            let other = self.leaving[worker].take_if(|(place, frame)| *place != to.place || frame.room() == 0);
            if let Some((place, frame)) = other {
                self.leave(at, worker, place, frame);
            }
            let spare = || (to.place, self.schedule.empty_frame());
            let fits = self.leaving[worker].get_or_insert_with(spare).1.push(index);
            debug_assert!(fits);
        }
        for worker in 0..self.leaving.len() {
            if let Some((place, frame)) = self.leaving[worker].take() {
                self.leave(at, worker, place, frame);
            }
        }
        self.schedule.give_back(frame);
    }

    fn leave(&mut self, at: usize, worker: usize, place: u16, frame: Box<Frame>) {
        if let Err(frame) = self.push_to(worker, place, frame) {
            self.me().nodes[at].lost(handoff::RING_FULL, frame.len() as u64);
            self.schedule.put_frame(self.shared.drop, frame);
        }
    }

    #[cold]
    fn trace_builtin(&mut self, at: usize, frame: &Frame) {
        let place = &self.schedule.places[at];
        let name = place.name;
        for index in frame.as_slice() {
            // SAFETY: the frame owns its packets; one view at a time.
            let mut packet = unsafe { self.cache.pool().packet(*index) };
            self.tracer.consider(at, &mut packet);
            if packet.traced() {
                self.tracer.begin();
                let interface = match place.kind {
                    Kind::Builtin(Builtin::Input) => Some(packet.meta.rx_interface),
                    Kind::Builtin(Builtin::Tx) => Some(packet.meta.tx_interface),
                    _ => None,
                };
                if let Some(interface) = interface {
                    self.tracer.text(&format_args!("interface {interface} length {}", packet.total_len()));
                }
                self.tracer.hop(packet.trace_id(), name, None);
            }
        }
    }

    /// Puts a frame from a device on its way: past the features that are on for the interface, to the input node.
    #[inline]
    pub(crate) fn start_frame(&mut self, interface: u32, frame: Box<Frame>) {
        let input = usize::from(self.shared.input);
        if self.tracer.active(self.now) {
            self.trace_builtin(input, &frame);
        }
        let place = &self.schedule.places[input];
        let Some((arc, first)) = &place.arc else { return };
        let mask = arc.masks[interface as usize % MAX_INTERFACES].load(Ordering::Relaxed);
        let slot = *first + (mask.trailing_zeros() as usize).min(arc.features.len()) as u8;
        if mask != 0 {
            for index in frame.as_slice() {
                // SAFETY: the frame owns its packets; one view at a time.
                unsafe { self.cache.pool().packet(*index) }.meta.features = mask & (mask - 1);
            }
        }
        let target = self.schedule.target(input, slot).unwrap_or(self.shared.drop);
        self.schedule.put_frame(target, frame);
    }
}
