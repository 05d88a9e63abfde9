//! The control plane: one [`Router`] owns everything that is not the packet path, and one thread works on it.
//!
//! A configuration, wherever it comes from, is committed by [`Router::commit`]: planned, applied step by step, undone when
//! a step fails. What the packet path has to say (neighbours, lost devices, answers to pings, captured frames) arrives
//! through queues that [`run`] empties when it is woken. API calls come through [`api`] and take the same lock, which is
//! never held while anything is waited for.
//!
//! | file | what |
//! |---|---|
//! | `run` `ready` `farewell` | start, the loop over timers, signals and the packet path, the end |
//! | `apply` `history` | from one configuration to another, and back |
//! | `interfaces` `devices` `specs` `addresses` | interfaces and their devices |
//! | `routes` | the routes of all VRFs, and the forwarding tables made of them |
//! | `features` `urpf` `mss_clamp` `policy_routes` `cross_connect` | what is decided beside the routes |
//! | `nat44` | the rules of address translation, the workers' sessions, the log of mappings |
//! | `bridges` `snooping` | bridges, the stations behind their ports, groups and addresses heard there |
//! | `vxlan` `tunnels` `bond` | interfaces without a device of their own |
//! | `mirror` `lldp` | copies of frames, neighbours on links |
//! | `neighbors` `discovery` | the neighbour table, and what it does |
//! | `ip6` | IPv6 addresses and what hosts are told: duplicate address detection, router advertisements, multicast groups |
//! | `probes` `capture` `stats` `events` `log` | what operators look at |
//! | `api` | the gRPC server |

mod addresses;
pub mod api;
pub mod apply;
pub mod bond;
pub mod bridges;
pub mod capture;
mod cross_connect;
mod devices;
mod discovery;
pub mod events;
mod farewell;
mod features;
pub mod history;
pub mod interfaces;
pub mod ip6;
pub mod lacp;
mod link_control;
pub mod lldp;
pub mod log;
pub mod mirror;
mod mss_clamp;
pub mod nat44;
pub mod neighbors;
mod pcapng;
pub mod policy_routes;
pub mod probes;
pub mod ready;
pub mod routes;
pub mod run;
pub mod snooping;
mod specs;
pub mod stats;
#[cfg(test)]
mod tests;
mod time;
pub mod tunnels;
mod urpf;
pub mod vxlan;

use crate::wiring;
use bond::Bonds;
use bridges::Bridges;
use events::{Events, Severity};
use features::Features;
use history::History;
use interfaces::Interfaces;
use ip6::Ip6;
use lldp::Lldp;
use millrace_config::{Config, HugePages, Name};
use millrace_engine::epoch::domain;
use millrace_engine::{Engine, EngineError, Waker};
use millrace_graph_nodes::capture::Captures;
use millrace_graph_nodes::cross_connect::CrossConnects;
use millrace_graph_nodes::forwarding::Forwarding;
use millrace_graph_nodes::link_control::Frames;
use millrace_graph_nodes::neighbor_events::NeighborEvents;
use millrace_io::Context;
use mirror::Mirrors;
use nat44::Nat;
use neighbors::Neighbors;
use policy_routes::PolicyRoutes;
use probes::Probes;
use routes::{RouteError, Routes};
use snooping::Snooping;
use stats::Stats;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tunnels::Tunnels;
use vxlan::Vxlan;

/// How the daemon was started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The configuration file, as an absolute path.
    pub config_file: PathBuf,
    /// Whether the command line names the socket.
    pub socket_given: bool,
}

/// Why there is no router.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The packet path can't start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The configuration can't be applied.
    #[error(transparent)]
    Commit(#[from] apply::CommitError),
    /// The first forwarding table can't be made.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The system refuses memory for what workers keep.
    #[error("memory for sessions can't be reserved: {0}")]
    Memory(io::Error),
}

/// All state of the control plane; see the module.
pub struct Router {
    /// The workers.
    pub engine: Engine,
    /// How it was started.
    pub options: Options,
    /// What runs.
    pub config: Config,
    /// What ran.
    pub history: History,
    /// The interfaces.
    pub interfaces: Interfaces,
    /// The numbers of the VRFs' tables.
    pub vrfs: BTreeMap<Name, u32>,
    /// The routes.
    pub routes: Routes,
    /// The neighbours.
    pub neighbors: Neighbors,
    /// What IPv6 asks of a router.
    pub ip6: Ip6,
    /// The routes by source and interface.
    pub policy_routes: PolicyRoutes,
    /// The translation of addresses.
    pub nat44: Nat,
    /// The bridges, and what is behind their ports.
    pub bridges: Bridges,
    /// Who listens to which groups there, and has which addresses.
    pub snooping: Snooping,
    /// The VXLAN interfaces.
    pub vxlan: Vxlan,
    /// The GRE and IPIP interfaces.
    pub tunnels: Tunnels,
    /// The bonds.
    pub bonds: Bonds,
    /// The neighbours on links.
    pub lldp: Lldp,
    /// Who gets copies of whose frames.
    pub mirrors: Mirrors,
    /// What happened.
    pub events: Events,
    /// Rates and marks.
    pub stats: Stats,
    /// The router's own echo requests.
    pub probes: Probes,
    /// When it started.
    pub started: Instant,
    forwarding: Forwarding,
    neighbor_events: NeighborEvents,
    features: Features,
    captures: Captures,
    cross_connects: CrossConnects,
    link_control: Frames,
    capture: capture::Capture,
    control: Waker,
    device_context: Context,
    devices_checked: Instant,
    /// DPDK was asked for a device, and so has been started: it stays as it is.
    dpdk_started: bool,
    /// A missing device was not tried because it was tried a moment ago.
    devices_left: bool,
    stuck: bool,
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Drop for Router {
    /// Devices go before the engine: what stands ready in their rings comes back to its pool first.
    fn drop(&mut self) {
        for interface in self.interfaces.iter_mut().filter(|interface| interface.device.is_some()) {
            self.engine.detach(interface.index);
            interface.idle.clear();
            interface.device = None;
        }
    }
}

/// The router as the parts of the daemon share it.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Router>>);

impl Shared {
    /// Shares a router.
    pub fn new(router: Router) -> Shared {
        Shared(Arc::new(Mutex::new(router)))
    }

    /// The router, for as long as nothing is awaited (the compiler sees to that: the guard can't be sent). All of this
    /// happens on one thread, so that nobody ever waits here.
    pub fn lock(&self) -> MutexGuard<'_, Router> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Garbage older than this means that a worker hangs.
const STUCK: Duration = Duration::from_secs(5);

impl Router {
    /// Starts the workers and applies the configuration. `control` is what wakes the caller to call
    /// [`pump`](Self::pump), `devices` what is rung when the link of a device with a peer changed.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(config: Config, options: Options, control: Waker, devices: Waker) -> Result<Router, StartError> {
        let engine_config = specs::engine(&config);
        let (graph, handles) = wiring::graph(engine_config.workers.len(), &control).map_err(StartError::Memory)?;
        let wiring::Handles {
            forwarding,
            neighbors: neighbor_events,
            captures,
            cross_connects,
            bridging,
            mirrors,
            bonds,
            link_control,
            nat44,
            policy_routes,
        } = handles;
        let engine = Engine::start(graph, &engine_config, control.clone())?;
        let device_context = Context { pool: engine.pool(), changed: devices };
        let huge = engine.pool().region().huge();
        if !huge && config.buffers.huge_pages == HugePages::Auto {
            tracing::warn!("no huge pages for the packet buffers: slower than it could be; see vm.nr_hugepages");
        }
        let stats = Stats::new(&engine);
        let now = Instant::now();
        let mut routes = Routes::new(forwarding.clone());
        let vrfs = BTreeMap::from([(Name::default_vrf(), routes.add_table()?)]);
        // What can't change while it runs is so from the beginning.
        let config_at_start = Config {
            workers: config.workers.clone(),
            buffers: config.buffers.clone(),
            dpdk: config.dpdk.clone(),
            api: config.api.clone(),
            ..Config::default()
        };
        let mut router = Router {
            engine,
            options,
            config: config_at_start,
            history: History::default(),
            interfaces: Interfaces::default(),
            vrfs,
            routes,
            neighbors: Neighbors::default(),
            ip6: Ip6::default(),
            policy_routes: PolicyRoutes::new(policy_routes),
            nat44: Nat::new(nat44),
            bridges: Bridges::new(bridging.clone()),
            snooping: Snooping::new(bridging, control.clone()),
            vxlan: Vxlan::new(engine_config.workers.len()),
            tunnels: Tunnels::default(),
            bonds: Bonds::new(bonds),
            lldp: Lldp::default(),
            mirrors: Mirrors::new(mirrors, control.clone()),
            events: Events::default(),
            stats,
            probes: Probes::default(),
            started: now,
            forwarding,
            neighbor_events,
            features: Features::default(),
            captures,
            cross_connects,
            link_control,
            capture: capture::Capture::default(),
            control,
            device_context,
            devices_checked: now,
            dpdk_started: false,
            devices_left: false,
            stuck: false,
        };
        router.commit(config, "start")?;
        Ok(router)
    }

    /// Takes in what the packet path has to say.
    pub fn pump(&mut self) {
        let now = Instant::now();
        self.collect_lost();
        self.collect_neighbors(now);
        while let Some(mut buffer) = self.engine.punted() {
            let packet: Vec<u8> = buffer.packet().segments().flatten().copied().collect();
            self.tunnels_hear(buffer.packet().meta.table, &packet, now);
            self.probes.answer(&packet, now);
        }
        self.collect_captured();
        self.pump_nat44();
        self.pump_bridges();
        self.pump_snooping();
        self.collect_link_control(now);
        self.pump_mirrors();
    }

    /// Does what is due. See [`next_deadline`](Self::next_deadline).
    pub fn timers(&mut self) {
        let now = Instant::now();
        self.run_neighbors(now);
        self.run_ip6(now);
        self.run_pending(now);
        self.run_bridges(now);
        self.run_snooping(now);
        self.run_tunnels(now);
        self.run_bonds(now);
        self.run_lldp(now);
        if self.routes.has_work() {
            self.routes.work();
            self.engine.tables_changed();
        }
    }

    /// When [`timers`](Self::timers) is to be called next.
    pub fn next_deadline(&self) -> Option<Instant> {
        // Routes are worked on in pieces, so that nothing else waits for long.
        if self.routes.has_work() {
            return Some(Instant::now());
        }
        let confirm = self.history.pending.map(|pending| pending.deadline);
        let neighbours = [self.neighbors.next(), self.next_ip6(), confirm];
        let links =
            [self.next_bridges(), self.next_snooping(), self.next_tunnels(), self.next_bonds(), self.next_lldp()];
        neighbours.into_iter().chain(links).flatten().min()
    }

    /// Has the loop do what changes of routes left to be done, see [`Routes::work`].
    fn wake_for_routes(&self) {
        if self.routes.has_work() {
            self.control.wake();
        }
    }

    /// What is done once a second: rates, garbage, devices that may have changed unheard.
    pub fn second(&mut self) {
        let Router { stats, engine, interfaces, .. } = self;
        stats.sample(engine, interfaces.iter().map(|i| i.index));
        let _ = domain().collect();
        let waiting = domain().lag().waiting;
        let stuck = waiting > STUCK;
        if stuck != self.stuck {
            self.stuck = stuck;
            let (severity, text) = match stuck {
                true => (Severity::Error, format!("a worker has not ended its loop for {} s", waiting.as_secs())),
                false => (Severity::Info, "all workers run again".to_owned()),
            };
            self.tell(severity, "workers".to_owned(), text);
        }
        self.flush_capture();
        self.second_nat44();
        self.second_bridges();
        self.second_snooping();
        self.second_vxlan();
        self.second_bonds();
        self.second_lldp();
        self.second_mirrors();
        self.check_devices(Instant::now());
    }

    /// Lets the counters of interfaces begin anew.
    pub fn clear_counters(&mut self) {
        let Router { engine, interfaces, .. } = self;
        for interface in interfaces.iter_mut() {
            interface.baseline = engine.interface(interface.index);
            interface.lost_before = interface.lost();
        }
        self.policy_routes.clear();
    }

    /// Notes an event, and logs it.
    pub fn tell(&mut self, severity: Severity, source: String, text: String) {
        match severity {
            Severity::Info => tracing::info!("{source}: {text}"),
            Severity::Warning => tracing::warn!("{source}: {text}"),
            Severity::Error => tracing::error!("{source}: {text}"),
        }
        self.events.add(severity, source, text);
    }
}
