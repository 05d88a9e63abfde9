//! Control's handle to the running workers: queues, switches, counters, traces, packets in and out.

use crate::clock;
use crate::counters::{InterfaceTotals, MAX_INTERFACES};
use crate::device::{RxQueue, TxQueue};
use crate::dispatch::Level;
use crate::graph::{Graph, GraphError, solve_graph};
use crate::memory::HugePages;
use crate::node::NodeName;
use crate::pool::{Buffer, Pool};
use crate::rows::{ErrorRow, LedgerTotals, NodeRow};
use crate::shared::{QueueLost, Shared};
use crate::trace::{PacketFilter, PacketTrace};
use crate::waker::Waker;
use crate::worker::{Mode, Worker};
use crate::{ArcName, Feature, panic};
use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

/// A worker to start.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkerConfig {
    /// The processor that it stays on; any when `None`.
    pub cpu: Option<usize>,
}

/// What the engine starts with; it does not change while it runs.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The workers, at least one.
    pub workers: Vec<WorkerConfig>,
    /// What they do when idle.
    pub mode: Mode,
    /// How many buffers.
    pub buffers: usize,
    /// Where these lie.
    pub huge_pages: HugePages,
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The graph is wrong.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The system refused memory or a thread.
    #[error("{what}: {error}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        error: io::Error,
    },
}

/// A pair of queues for one worker.
pub struct Attach {
    /// The worker, from 0.
    pub worker: usize,
    /// To poll; a worker may have several of one interface.
    pub rx: Option<Box<dyn RxQueue>>,
    /// To send by.
    pub tx: Option<Box<dyn TxQueue>>,
}

/// The reason under which contained panics are counted.
const PANIC: &str = "panic in the node, frame dropped";

/// The running engine. Dropping it stops the workers.
pub struct Engine {
    shared: &'static Shared,
    threads: Vec<JoinHandle<()>>,
    cpus: Vec<Option<usize>>,
}

impl Engine {
    /// Solves the graph, makes the buffers and starts the workers. `control` is rung when something waits for the
    /// caller: punted packets or lost queues.
    ///
    /// # Errors
    /// When the graph does not hold together, or memory or threads can't be had.
    pub fn start(graph: Graph, config: &EngineConfig, control: Waker) -> Result<Engine, EngineError> {
        let system = |what| move |error| EngineError::System { what, error };
        let solved = solve_graph(graph)?;
        let pool = Pool::new(config.buffers, config.huge_pages).map_err(system("packet buffers"))?;
        let shared = Shared::new(pool, solved, config.workers.len(), control).map_err(system("a descriptor"))?;
        // The engine lives as long as the process, and this is what lets workers share it without counting references.
        let shared: &'static Shared = Box::leak(Box::new(shared));
        let mode = config.mode;
        clock::now();
        let start = |(id, worker): (usize, &WorkerConfig)| {
            let cpu = worker.cpu;
            std::thread::Builder::new().name(format!("worker-{id}")).spawn(move || {
                panic::contain();
                if let Some(cpu) = cpu
                    && let Err(error) = pin(cpu)
                {
                    tracing::warn!(worker = id, cpu, %error, "cannot stay on its processor");
                }
                Worker::new(id, shared, mode).run();
            })
        };
        let threads =
            config.workers.iter().enumerate().map(start).collect::<io::Result<_>>().map_err(system("a thread"))?;
        Ok(Engine { shared, threads, cpus: config.workers.iter().map(|w| w.cpu).collect() })
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.shared.workers.len()
    }

    /// The processor that a worker was told to stay on.
    pub fn cpu(&self, worker: usize) -> Option<usize> {
        self.cpus.get(worker).copied().flatten()
    }

    /// The instruction set for which the running dispatch loop was compiled.
    pub fn cpu_variant(&self) -> &'static str {
        Level::detect().name()
    }

    /// The buffers.
    pub fn pool(&self) -> &'static Pool {
        self.shared.pool
    }

    /// Gives an interface its queues, or some of them; workers that get none of its transmit queues pass packets on to one that did.
    /// Returns when every worker has taken it in.
    pub fn attach(&self, interface: u32, queues: Vec<Attach>) {
        let owners: Vec<usize> = queues.iter().filter(|q| q.tx.is_some()).map(|q| q.worker).collect();
        let mut queues: Vec<Option<Attach>> = queues.into_iter().map(Some).collect();
        self.on_every_worker(|id| {
            let mine: Vec<Attach> = queues
                .iter_mut()
                .filter(|q| q.as_ref().is_some_and(|q| q.worker == id))
                .filter_map(Option::take)
                .collect();
            let owner = owners.get(id % owners.len().max(1)).copied();
            Box::new(move |w| {
                if owner.is_some() {
                    w.tx_owner[interface as usize % MAX_INTERFACES] = owner;
                }
                mine.into_iter().for_each(|q| w.attach(interface, q.rx, q.tx));
            })
        });
    }

    /// Takes an interface's queues away; they are closed when this returns.
    pub fn detach(&self, interface: u32) {
        self.on_every_worker(|_| Box::new(move |w| w.detach(interface)));
    }

    /// Switches an interface on or off; packets of one that is off are dropped and counted.
    pub fn set_up(&self, interface: u32, up: bool) {
        self.shared.states.set_up(interface, up);
    }

    /// Says whose queues carry an interface's packets: its own, or those of the parent of a sub-interface.
    pub fn set_hardware(&self, interface: u32, hardware: u32) {
        self.shared.states.set_hardware(interface, hardware);
    }

    /// Switches a feature on an interface. False when there is no such feature on that arc.
    pub fn switch_feature(&self, arc: ArcName, feature: NodeName, interface: u32, on: bool) -> bool {
        let arcs = &self.shared.graph.arcs;
        let Some(arc) = arcs.iter().find(|a| a.point.name == arc) else { return false };
        let Some(at) = arc.features.iter().position(|f| *f == feature) else { return false };
        arc.switch(at, interface, on);
        true
    }

    /// The features that are on for an interface, each with its arc.
    pub fn features_of(&self, interface: u32) -> Vec<(ArcName, NodeName)> {
        let on = |arc: &crate::arc::SolvedArc| {
            let (name, mask) = (arc.point.name, arc.on(interface));
            let named = arc.features.iter().enumerate().filter(move |(at, _)| mask & 1 << at != 0);
            named.map(|(_, node)| (name, *node)).collect::<Vec<_>>()
        };
        self.shared.graph.arcs.iter().flat_map(|arc| on(arc)).collect()
    }

    /// Arcs with their features in the order that was solved.
    pub fn arcs(&self) -> Vec<(ArcName, Vec<Feature>)> {
        self.shared.graph.arcs.iter().map(|a| (a.point.name, a.declared.clone())).collect()
    }

    /// All nodes, in the order in which they run.
    pub fn nodes(&self) -> Vec<NodeName> {
        self.shared.graph.nodes.iter().map(|n| n.name).collect()
    }

    /// All edges (from, to), sorted.
    pub fn edges(&self) -> Vec<(NodeName, NodeName)> {
        self.shared.graph.edges()
    }

    /// Lets nodes that wait for a table look again, now.
    pub fn tables_changed(&self) {
        for id in 0..self.workers() {
            self.submit(
                id,
                Box::new(|w| {
                    w.tick();
                }),
            );
        }
    }

    /// Sends a packet of control's own into a node of the first worker. False when there is no such node or no buffer.
    /// Set what the node reads from the metadata (interfaces, offsets) before.
    pub fn inject(&self, node: NodeName, packet: Buffer) -> bool {
        let Some(at) = self.shared.graph.position(node) else { return false };
        self.submit(
            0,
            Box::new(move |w| {
                w.me().ledger.made.add(1);
                let _ = w.schedule.put(at, packet.into_index());
            }),
        );
        true
    }

    /// The next packet that the graph handed to control.
    pub fn punted(&self) -> Option<Buffer> {
        self.shared.punts.pop()
    }

    /// The next receive queue that found its device gone.
    pub fn lost_queue(&self) -> Option<QueueLost> {
        self.shared.lost.pop()
    }

    /// Every node that ran, on every worker.
    pub fn runtime(&self) -> Vec<NodeRow> {
        let rows = self.shared.workers.iter().enumerate().flat_map(|(worker, w)| {
            self.shared.graph.nodes.iter().zip(&w.nodes).map(move |(node, c)| NodeRow {
                node: node.name,
                worker,
                calls: c.stats.calls.get(),
                packets: c.stats.packets.get(),
                clocks: c.stats.clocks.get(),
            })
        });
        rows.filter(|r| r.calls > 0).collect()
    }

    /// Every counter of every node, zeros too.
    pub fn errors(&self) -> Vec<ErrorRow> {
        let sum = |f: &dyn Fn(&crate::shared::WorkerShared) -> u64| self.shared.workers.iter().map(f).sum::<u64>();
        let mut rows = Vec::new();
        for (at, node) in self.shared.graph.nodes.iter().enumerate() {
            for (i, reason) in node.reasons.iter().enumerate() {
                let (count, drops) = (sum(&|w| w.nodes[at].reasons[i].get()), sum(&|w| w.nodes[at].drops[i].get()));
                rows.push(ErrorRow { node: node.name, reason, count, drops });
            }
            let (count, drops) = (sum(&|w| w.nodes[at].panics.get()), sum(&|w| w.nodes[at].panic_drops.get()));
            rows.push(ErrorRow { node: node.name, reason: PANIC, count, drops });
        }
        rows
    }

    /// What passed an interface since start.
    pub fn interface(&self, interface: u32) -> InterfaceTotals {
        let mut totals = InterfaceTotals::default();
        self.shared.workers.iter().for_each(|w| totals.add(w.interfaces.get(interface)));
        totals
    }

    /// Where a worker's packets came from and went.
    pub fn ledger(&self, worker: usize) -> LedgerTotals {
        self.shared.workers.get(worker).map_or_else(LedgerTotals::default, |w| LedgerTotals {
            received: w.ledger.received.get(),
            made: w.ledger.made.get(),
            sent: w.ledger.sent.get(),
            dropped: w.ledger.dropped.get(),
            consumed: w.ledger.consumed.get(),
        })
    }

    /// Clocks that a worker spent in loops that found work, since start.
    pub fn busy_clocks(&self, worker: usize) -> u64 {
        self.shared.workers.get(worker).map_or(0, |w| w.busy.get())
    }

    /// Runs a job on a worker's thread between two frames and waits for what it returns (microseconds; a sleeping worker is
    /// woken): the way to state that the worker keeps to itself ([`Local`](crate::Local)). None when there is no such worker.
    pub fn run_on<R: Send + 'static>(&self, worker: usize, job: impl FnOnce() -> R + Send + 'static) -> Option<R> {
        let (done, result) = mpsc::channel();
        self.submit(
            worker,
            Box::new(move |_| {
                let _ = done.send(job());
            }),
        );
        result.recv().ok()
    }

    /// Traces the next `count` packets that reach `node` on each worker and pass `filter`. False when there is no such
    /// node.
    pub fn trace(&self, node: &str, count: u32, filter: Option<PacketFilter>) -> bool {
        let Some(at) = self.shared.graph.by_text(node) else { return false };
        self.on_every_worker(|_| {
            let filter = filter.clone();
            Box::new(move |w| w.tracer.arm(usize::from(at), count, filter))
        });
        true
    }

    /// The traces of all workers.
    pub fn traces(&self) -> Vec<PacketTrace> {
        self.shared.workers.iter().flat_map(|w| w.traces.read()).collect()
    }

    /// Forgets all traces and traces no more.
    pub fn clear_traces(&self) {
        self.on_every_worker(|_| Box::new(|w| w.tracer.disarm()));
    }

    fn submit(&self, worker: usize, job: crate::shared::Job) {
        if let Some(w) = self.shared.workers.get(worker) {
            w.mailbox.push(job);
            w.waker.wake();
        }
    }

    /// Has a job done by every worker, and waits for all of them (a turn of their loop, microseconds).
    fn on_every_worker(&self, mut job: impl FnMut(usize) -> crate::shared::Job) {
        let (done, all_done) = mpsc::channel();
        for id in 0..self.workers() {
            let (job, done) = (job(id), done.clone());
            self.submit(
                id,
                Box::new(move |w| {
                    job(w);
                    let _ = done.send(());
                }),
            );
        }
        drop(done);
        // Ends when every job ran or, should a worker be gone, was thrown away.
        while all_done.recv().is_ok() {}
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for id in 0..self.workers() {
            self.submit(id, Box::new(Worker::stop));
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        while self.shared.punts.pop().is_some() {}
        // Workers, nodes and devices are gone: what is still owned was lost by a bug.
        #[cfg(debug_assertions)]
        {
            let leaked = self.shared.pool.owned();
            if !leaked.is_empty() && !std::thread::panicking() {
                tracing::error!("{} packet buffers leaked: {:?}", leaked.len(), leaked.get(..16).unwrap_or(&leaked));
            }
        }
    }
}

fn pin(cpu: usize) -> io::Result<()> {
    // SAFETY: a zeroed cpu_set_t is the empty set; CPU_SET checks its range; 0 names the calling thread.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
