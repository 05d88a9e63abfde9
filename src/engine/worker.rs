//! A worker: its loop over devices and pending frames, and its sleep.

use crate::builtin::input;
use crate::clock;
use crate::counters::MAX_INTERFACES;
use crate::device::{RxBurst, RxQueue, TxQueue, Wake};
use crate::dispatch::{Level, Nexts};
use crate::epoch::{self, Participant};
use crate::frame::Frame;
use crate::panic;
use crate::pool::Cache;
use crate::schedule::{Kind, Schedule};
use crate::shared::{QueueLost, Shared, WorkerShared};
use crate::trace::Tracer;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{Ordering, fence};

/// What a worker does when there is nothing to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Sleeps on its devices' descriptors.
    #[default]
    Adaptive,
    /// Goes on polling.
    Polling,
}

/// How long an adaptive worker polls in vain before it sleeps, in nanoseconds.
const PATIENCE: u64 = 50_000;
/// How often nodes that wait for something are asked, in nanoseconds.
const TICK: u64 = 10_000_000;
/// The longest sleep, in nanoseconds.
const SLEEP: u64 = 1_000_000_000;

/// A receive queue and the interface that it belongs to.
struct RxPort {
    interface: u32,
    queue: Box<dyn RxQueue>,
}

/// The thread's own state; control reaches it through jobs only.
pub struct Worker {
    pub(crate) id: usize,
    pub(crate) shared: &'static Shared,
    pub(crate) cache: Cache,
    pub(crate) participant: Participant,
    pub(crate) schedule: Schedule,
    pub(crate) tracer: Tracer,
    pub(crate) level: Level,
    pub(crate) now: u64,
    /// Time-stamp at the end of what was measured last.
    pub(crate) mark: u64,
    pub(crate) extra: Vec<(u8, u32)>,
    /// Frames that are being filled for nodes of other workers, by worker.
    pub(crate) leaving: Vec<Option<(u16, Box<Frame>)>>,
    pub(crate) nexts: Box<Nexts>,
    pub(crate) last_panic_log: u64,
    pub(crate) tx: Vec<Option<Box<dyn TxQueue>>>,
    /// The worker that sends for an interface for which this one has no queue.
    pub(crate) tx_owner: Vec<Option<usize>>,
    rx: Vec<RxPort>,
    /// Interfaces with a queue in `tx`.
    sends: Vec<u32>,
    mode: Mode,
    next_tick: u64,
    idle_since: u64,
    stop: bool,
}

impl Worker {
    pub(crate) fn new(id: usize, shared: &'static Shared, mode: Mode) -> Worker {
        let traces = shared.workers[id].traces.clone();
        Worker {
            id,
            cache: shared.pool.cache(),
            participant: epoch::domain().register(),
            schedule: Schedule::new(&shared.graph, id),
            tracer: Tracer::new(id, shared.graph.nodes.len(), traces),
            level: Level::detect(),
            now: clock::now(),
            mark: clock::clocks(),
            extra: Vec::with_capacity(1024),
            leaving: (0..shared.workers.len()).map(|_| None).collect(),
            nexts: Box::new([0; 256]),
            last_panic_log: 0,
            tx: (0..MAX_INTERFACES).map(|_| None).collect(),
            tx_owner: vec![None; MAX_INTERFACES],
            rx: Vec::new(),
            sends: Vec::new(),
            mode,
            next_tick: 0,
            idle_since: 0,
            stop: false,
            shared,
        }
    }

    #[inline(always)]
    pub(crate) fn me(&self) -> &'static WorkerShared {
        &self.shared.workers[self.id]
    }

    /// Runs until told to stop.
    pub(crate) fn run(&mut self) {
        while !self.stop {
            let start = clock::clocks();
            self.now = clock::now();
            self.mark = start;
            // Nodes and drivers are caught closer by; this is for a bug in the loop itself.
            let worked = catch_unwind(AssertUnwindSafe(|| self.turn())).unwrap_or_else(|_| {
                tracing::error!(worker = self.id, "panic in the loop: {}", panic::as_error());
                false
            });
            self.participant.quiescent();
            self.cache.publish();
            if worked {
                self.me().busy.add(clock::clocks().wrapping_sub(start));
                self.idle_since = 0;
            } else if self.mode == Mode::Adaptive {
                self.idle();
            } else {
                std::hint::spin_loop();
            }
        }
        self.schedule.places.clear();
    }

    /// One turn of the loop; whether there was anything to do.
    pub(crate) fn turn(&mut self) -> bool {
        let mut worked = self.jobs();
        worked |= self.inbox();
        let mut port = 0;
        while port < self.rx.len() {
            let ports = self.rx.len();
            worked |= self.poll(port);
            // A queue whose device is gone has left the list.
            port += usize::from(self.rx.len() == ports);
        }
        if self.now >= self.next_tick {
            self.next_tick = self.now + TICK;
            worked |= self.tick();
            self.reclaim();
        }
        while let Some(at) = self.schedule.first() {
            self.run_place(at);
        }
        worked
    }

    fn jobs(&mut self) -> bool {
        let mut worked = false;
        while let Some(job) = self.me().mailbox.pop() {
            job(self);
            worked = true;
        }
        worked
    }

    /// Packets that other workers have for devices and nodes of this one.
    fn inbox(&mut self) -> bool {
        let mut worked = false;
        while let Some((at, frame)) = self.shared.workers[self.id].inbox.pop() {
            self.schedule.put_frame(at, frame);
            worked = true;
        }
        worked
    }

    /// Polls one receive queue and starts what came on its way.
    #[inline]
    fn poll(&mut self, port: usize) -> bool {
        let mut frame = self.schedule.empty_frame();
        let RxPort { interface, queue } = &mut self.rx[port];
        let interface = *interface;
        let mut burst = RxBurst { cache: &mut self.cache, frame: &mut frame, interface, bytes: 0, starved: 0 };
        // A driver that panics has lost its queue, not the worker.
        let result = catch_unwind(AssertUnwindSafe(|| queue.rx(&mut burst))).unwrap_or_else(|_| Err(panic::as_error()));
        let (bytes, starved, n) = (burst.bytes, burst.starved, frame.len());
        let shared = self.shared;
        let me = &shared.workers[self.id];
        let counters = &me.nodes[usize::from(shared.input)];
        if let Err(error) = result {
            self.rx.remove(port);
            shared.lost.push(QueueLost { interface, error: error.to_string() });
            shared.control.wake();
        }
        if starved > 0 {
            counters.reasons[input::STARVED].add(starved);
        }
        if n == 0 {
            self.schedule.give_back(frame);
            return false;
        }
        let seen = me.interfaces.get(interface);
        seen.rx_packets.add(n as u64);
        seen.rx_bytes.add(bytes);
        me.ledger.received.add(n as u64);
        if shared.states.is_up(interface) {
            self.start_frame(interface, frame);
        } else {
            counters.lost(input::DOWN, n as u64);
            self.schedule.put_frame(shared.drop, frame);
        }
        counters.stats.calls.add(1);
        counters.stats.packets.add(n as u64);
        let end = clock::clocks();
        counters.stats.clocks.add(end.wrapping_sub(self.mark));
        self.mark = end;
        true
    }

    /// Asks the nodes that wait for something; whether any does.
    pub(crate) fn tick(&mut self) -> bool {
        let mut any = false;
        for at in 0..self.schedule.places.len() {
            if matches!(&self.schedule.places[at].kind, Kind::Node(n) if n.wants_tick()) {
                self.tick_place(at);
                any = true;
            }
        }
        any && self.schedule.first().is_some()
    }

    /// Has devices give back the cells of what they sent; whether some are still out.
    fn reclaim(&mut self) -> bool {
        let mut out = false;
        for interface in &self.sends {
            if let Some(queue) = &mut self.tx[*interface as usize % MAX_INTERFACES] {
                let cache = &mut self.cache;
                // A driver that panics keeps what it has.
                out |= catch_unwind(AssertUnwindSafe(|| queue.reclaim(cache))).unwrap_or(false);
            }
        }
        out
    }

    /// Nothing to do: wait a little, then sleep.
    fn idle(&mut self) {
        if self.idle_since == 0 {
            self.idle_since = self.now;
        }
        if self.now - self.idle_since < PATIENCE {
            return std::hint::spin_loop();
        }
        let waiting = self.schedule.places.iter().any(|p| matches!(&p.kind, Kind::Node(n) if n.wants_tick()));
        let out = self.reclaim();
        self.cache.publish();
        let mut until = self.now + if waiting || out { TICK } else { SLEEP };
        let mut fds = Vec::with_capacity(self.rx.len() + 1);
        let readable = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        fds.push(readable(self.me().waker.fd()));
        for port in &self.rx {
            match port.queue.wake() {
                Wake::Fd(fd) => fds.push(readable(fd)),
                Wake::At(time) => until = until.min(time),
                Wake::Poll => return,
                Wake::Never => {}
            }
        }
        self.sleep(&mut fds, until.saturating_sub(clock::now()));
    }

    fn sleep(&mut self, fds: &mut [libc::pollfd], nanos: u64) {
        self.participant.offline();
        self.me().sleeping.store(true, Ordering::SeqCst);
        // Pairs with the fence of whoever gives us work: they see us sleeping, or we see the work.
        fence(Ordering::SeqCst);
        if self.me().mailbox.is_empty() && self.me().inbox.is_empty() {
            let timeout =
                libc::timespec { tv_sec: (nanos / 1_000_000_000) as i64, tv_nsec: (nanos % 1_000_000_000) as i64 };
            // SAFETY: `fds` is a slice of its own length; the signal mask is left alone.
            unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, &timeout, std::ptr::null()) };
        }
        self.me().sleeping.store(false, Ordering::SeqCst);
        self.me().waker.clear();
        self.participant.online();
        self.idle_since = 0;
    }

    /// Takes over a queue pair of an interface.
    pub(crate) fn attach(&mut self, interface: u32, rx: Option<Box<dyn RxQueue>>, tx: Option<Box<dyn TxQueue>>) {
        if let Some(queue) = rx {
            self.rx.push(RxPort { interface, queue });
        }
        if tx.is_some() {
            self.tx[interface as usize % MAX_INTERFACES] = tx;
            self.sends.push(interface);
        }
    }

    /// Gives up all queues of an interface.
    pub(crate) fn detach(&mut self, interface: u32) {
        self.rx.retain(|p| p.interface != interface);
        self.tx[interface as usize % MAX_INTERFACES] = None;
        self.sends.retain(|i| *i != interface);
        self.tx_owner[interface as usize % MAX_INTERFACES] = None;
    }

    pub(crate) fn stop(&mut self) {
        self.stop = true;
    }
}
