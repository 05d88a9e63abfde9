//! Which mappings came and went: events for control, who makes messages of them. They name no destinations (RFC 6888 REQ-12).

use crossbeam::queue::ArrayQueue;
use millrace_engine::Waker;
use millrace_tables::flow::Ticks;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Events that may wait for control.
const WAITING: usize = 16384;

/// A mapping that an inside host's packet made came into being, or ended with its last session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// It came; otherwise it went.
    pub added: bool,
    /// The IP protocol.
    pub protocol: u8,
    /// The number of the inside's table.
    pub table: u16,
    /// The inside endpoint.
    pub inside: Ipv4Addr,
    /// Its port, or its queries' identifier.
    pub inside_port: u16,
    /// The external endpoint.
    pub outside: Ipv4Addr,
    /// Its port, or its queries' identifier.
    pub outside_port: u16,
    /// When, by the workers' clock.
    pub at: Ticks,
}

/// The queue from the workers to control; clones are handles to the same. It never makes a worker wait: when it is full, events
/// are counted and lost.
#[derive(Clone, Debug)]
pub struct NatLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: ArrayQueue<LogEvent>,
    lost: AtomicU64,
    control: Waker,
}

impl NatLog {
    /// An empty one, that rings `control` when it has something.
    #[must_use]
    pub fn new(control: Waker) -> NatLog {
        NatLog(Arc::new(Shared { queue: ArrayQueue::new(WAITING), lost: AtomicU64::new(0), control }))
    }

    /// Adds an event.
    pub fn push(&self, event: LogEvent) {
        if self.0.queue.push(event).is_err() {
            self.0.lost.fetch_add(1, Relaxed);
        }
        self.0.control.wake();
    }

    /// The oldest event.
    #[must_use]
    pub fn pop(&self) -> Option<LogEvent> {
        self.0.queue.pop()
    }

    /// Events lost so far because the queue was full.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_counted() {
        let log = NatLog::new(Waker::new().unwrap());
        let event = |port| LogEvent {
            added: true,
            protocol: 17,
            table: 0,
            inside: Ipv4Addr::new(192, 168, 1, 2),
            inside_port: port,
            outside: Ipv4Addr::new(203, 0, 113, 1),
            outside_port: port,
            at: Ticks(1),
        };
        (0..=WAITING as u16).for_each(|port| log.push(event(port)));
        assert_eq!(log.lost(), 1);
        assert_eq!((log.pop(), log.pop()), (Some(event(0)), Some(event(1))));
    }
}
