//! What workers and control share: counters, rings, switches. Nothing here locks on the packet path.

use crate::builtin::{DEVICE_INPUT, ERROR_DROP, INTERFACE_TX};
use crate::counters::{Counter, InterfaceTable, NodeCounters};
use crate::ctx::Ledger;
use crate::frame::Frame;
use crate::graph::{NOWHERE, Solved};
use crate::pool::{Buffer, Pool};
use crate::states::States;
use crate::trace::TraceStore;
use crate::waker::Waker;
use crate::worker::Worker;
use crossbeam::queue::{ArrayQueue, SegQueue};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Packets that may wait for the control plane.
const PUNT_QUEUE: usize = 1024;
/// Frames that may wait for another worker; many, as frames are small when little comes.
const INBOX: usize = 1024;

/// Something that control wants done on a worker's thread.
pub(crate) type Job = Box<dyn FnOnce(&mut Worker) + Send>;

/// A receive queue that reported that its device is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueLost {
    /// The interface that it belonged to.
    pub interface: u32,
    /// What the device said.
    pub error: String,
}

pub(crate) struct Shared {
    pub pool: &'static Pool,
    pub graph: Solved,
    pub workers: Vec<WorkerShared>,
    /// What interfaces are besides their queues.
    pub states: States,
    pub punts: ArrayQueue<Buffer>,
    pub lost: SegQueue<QueueLost>,
    pub control: Waker,
    pub input: u16,
    pub tx: u16,
    pub drop: u16,
}

/// One worker, as others see it; on cache lines that no other worker writes.
#[repr(align(128))]
pub(crate) struct WorkerShared {
    pub nodes: Vec<NodeCounters>,
    pub interfaces: InterfaceTable,
    pub ledger: Ledger,
    pub traces: Arc<TraceStore>,
    pub mailbox: SegQueue<Job>,
    /// Frames from other workers, and the nodes that they are for.
    pub inbox: ArrayQueue<(u16, Box<Frame>)>,
    pub waker: Waker,
    pub sleeping: AtomicBool,
    /// Clocks of loops that found work.
    pub busy: Counter,
}

impl Shared {
    pub fn new(pool: &'static Pool, graph: Solved, workers: usize, control: Waker) -> io::Result<Shared> {
        let one = || -> io::Result<WorkerShared> {
            Ok(WorkerShared {
                nodes: graph.nodes.iter().map(|n| NodeCounters::new(n.reasons.len())).collect(),
                interfaces: InterfaceTable::new(),
                ledger: Ledger::default(),
                traces: Arc::default(),
                mailbox: SegQueue::new(),
                inbox: ArrayQueue::new(INBOX),
                waker: Waker::new()?,
                sleeping: AtomicBool::new(false),
                busy: Counter::default(),
            })
        };
        let position = |name| graph.position(name).unwrap_or(NOWHERE);
        Ok(Shared {
            pool,
            workers: (0..workers).map(|_| one()).collect::<io::Result<_>>()?,
            states: States::new(false),
            punts: ArrayQueue::new(PUNT_QUEUE),
            lost: SegQueue::new(),
            control,
            input: position(DEVICE_INPUT),
            tx: position(INTERFACE_TX),
            drop: position(ERROR_DROP),
            graph,
        })
    }
}
