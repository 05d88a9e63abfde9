//! NAT44: source translation of what leaves by outside interfaces, destination translation of what comes by them (RFC 3022, RFC 4787,
//! RFC 5382, RFC 5508, RFC 7857, RFC 6888).
//!
//! | file | what |
//! |---|---|
//! | `rules` | what the configuration asks for, published as a whole |
//! | `ports` | the external ports, dealt to workers in blocks |
//! | `state` | one worker's sessions, mappings and hosts |
//! | `log` | which mappings came and went, for control |
//! | `in2out` `out2in` | nodes: packets of known flows |
//! | `in2out_slowpath` `out2in_slowpath` | nodes: all others |
//! | `hairpin` `inside_guard` `reass` | nodes: from inside to inside, from outside past the translation, fragments |
//! | `parse` `rewrite` `icmp` `mss` `fast` | packets: what they are, and what is changed in them |
//! | `trace` | what is told of them |

#[cfg(test)]
mod churn;
mod fast;
pub mod hairpin;
pub mod icmp;
pub mod in2out;
pub mod in2out_slowpath;
pub mod inside_guard;
pub mod log;
#[cfg(test)]
mod model;
pub mod mss;
pub mod out2in;
pub mod out2in_slowpath;
pub mod parse;
pub mod ports;
pub mod reass;
pub mod rewrite;
pub mod rules;
pub mod state;
pub mod trace;

#[cfg(test)]
mod node_tests;

use crate::forwarding::Forwarding;
use log::NatLog;
use millrace_engine::epoch::{Guard, Published, domain};
use millrace_engine::{Graph, Local, Packet, Waker};
use millrace_tables::flow::{FlowId, FlowTable, Side, State as FlowState, Ticks, View};
use millrace_wire::{FromBytes, Icmp4, Icmp4Type, IpProtocol, Ipv4};
use parse::{Kind, Parsed, parse};
use ports::ExternalPorts;
use rules::{Rules, Spec};
pub use state::State;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Sessions that may be looked at for expiry at once: some 100 µs.
const EXPIRE_AT_ONCE: usize = 4096;

/// NAT as control holds it and nodes share it; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Nat44(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    rules: Published<Rules>,
    states: Box<[Local<State>]>,
    /// The external ports of all addresses; the rules in force have those that they give out.
    ports: Mutex<ExternalPorts>,
    log: NatLog,
}

impl Nat44 {
    /// NAT for so many workers (at least one), with rules that translate nothing. `control` is rung when the log has something.
    ///
    /// # Errors
    /// When memory for the sessions can't be reserved.
    pub fn new(workers: usize, control: Waker) -> io::Result<Nat44> {
        let workers = workers.max(1);
        let log = NatLog::new(control);
        let mut ports = ExternalPorts::default();
        let rules = Rules::new(&Spec::default(), workers, &mut ports);
        let state = |worker| Ok(Local::new(State::new(worker, log.clone())?));
        let states = (0..workers).map(state).collect::<io::Result<_>>()?;
        Ok(Nat44(Arc::new(Shared { rules: Published::new(rules), states, ports: Mutex::new(ports), log })))
    }

    /// The rules in force.
    #[inline(always)]
    pub fn rules<'g>(&self, guard: &Guard<'g>) -> &'g Rules {
        self.0.rules.get(guard)
    }

    /// Puts rules in force. External ports that are in use stay so; see [`State::revalidate`] for the sessions that have them.
    pub fn publish(&self, spec: &Spec) {
        let mut ports = self.0.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = Rules::new(spec, self.workers(), &mut ports);
        self.0.rules.publish(&domain(), rules);
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.0.states.len()
    }

    /// What worker `worker` keeps to itself; a number too high gives the last one's.
    pub fn state(&self, worker: usize) -> &Local<State> {
        let last = self.0.states.len() - 1;
        &self.0.states[worker.min(last)]
    }

    /// The log.
    pub fn log(&self) -> &NatLog {
        &self.0.log
    }
}

/// Adds the nodes and their places on the arcs.
pub fn register(graph: &mut Graph, forwarding: &Forwarding, nat: &Nat44) {
    let (tables, handle) = (forwarding.clone(), nat.clone());
    graph.node(move |worker| in2out::In2out::new(tables.clone(), handle.clone(), worker)).feature(in2out::FEATURE);
    let (tables, handle) = (forwarding.clone(), nat.clone());
    graph.node(move |worker| in2out_slowpath::In2outSlowpath::new(tables.clone(), handle.clone(), worker));
    let handle = nat.clone();
    graph.node(move |worker| out2in::Out2in::new(handle.clone(), worker)).feature(out2in::FEATURE);
    let (tables, handle) = (forwarding.clone(), nat.clone());
    graph.node(move |worker| out2in_slowpath::Out2inSlowpath::new(handle.clone(), tables.clone(), worker));
    let handle = nat.clone();
    graph.node(move |_| hairpin::Hairpin::new(handle.clone())).feature(hairpin::FEATURE);
    let handle = nat.clone();
    graph.node(move |_| inside_guard::InsideGuard::new(handle.clone())).feature(inside_guard::FEATURE);
    graph.node(|_| reass::In2outReass::default()).node(|_| reass::Out2inReass::default());
}

/// The type of an ICMP message; none of other packets.
fn icmp_kind(packet: &Packet<'_>) -> Option<Icmp4Type> {
    let header = packet.header::<Ipv4>().filter(|header| header.protocol() == IpProtocol::ICMP)?;
    let (message, _) = Icmp4::ref_from_prefix(packet.data().get(header.header_len()..)?).ok()?;
    Some(message.kind())
}

fn is_icmp_error(packet: &Packet<'_>) -> bool {
    icmp_kind(packet).is_some_and(Icmp4Type::is_error)
}

fn is_echo_request(packet: &Packet<'_>) -> bool {
    icmp_kind(packet) == Some(Icmp4Type::ECHO_REQUEST)
}

/// The view and protocol by which a packet to an external address finds its session; of an ICMP error those of the packet that it
/// quotes. None for a fragment whose ports are not known, and for what is malformed.
fn external_view(packet: &Packet<'_>) -> Option<(View, u8)> {
    let parsed = parse(packet, Side::Outside).ok()?;
    Some(match parsed.kind {
        Kind::Error(quoted) => (quoted.view, quoted.protocol.0),
        _ => (parsed.view, parsed.protocol.0),
    })
}

/// Takes note of what a packet from `side` makes of its flow's state.
fn track(flows: &mut FlowTable, id: FlowId, side: Side, parsed: &Parsed, now: Ticks) {
    let Some(flow) = flows.get_mut(id) else { return };
    let state = match &parsed.tcp {
        Some(segment) => flow.track(side, segment),
        None if flow.state() == FlowState::Unreplied && flow.opener() != side => FlowState::Replied,
        None => return,
    };
    if state != flow.state() {
        flows.set_state(id, state, now);
    }
}
