//! The one list of features: what the graph is made of.

use millrace_engine::{Graph, Waker};
use millrace_graph_nodes::bond::{self, Bonds};
use millrace_graph_nodes::capture::{self, Captures};
use millrace_graph_nodes::cross_connect::{self, CrossConnects};
use millrace_graph_nodes::forwarding::Forwarding;
use millrace_graph_nodes::l2::{self, Bridging};
use millrace_graph_nodes::link_control;
use millrace_graph_nodes::mirror::{self, Mirrors};
use millrace_graph_nodes::mss_clamp;
use millrace_graph_nodes::nat44::{self, Nat44};
use millrace_graph_nodes::neighbor_events::NeighborEvents;
use millrace_graph_nodes::policy_routes::{self, PolicyRoutes};
use millrace_graph_nodes::urpf;
use std::io;

/// Stations that all bridges together can know: 32 MiB, of which memory is taken as stations come.
const STATIONS: usize = 1 << 20;

/// The ends of what nodes and control share, on control's side.
#[derive(Clone, Debug)]
pub struct Handles {
    /// Interfaces, adjacencies, routes: written by control, read by nodes.
    pub forwarding: Forwarding,
    /// What the discovery of neighbours heard and wants.
    pub neighbors: NeighborEvents,
    /// Captured frames.
    pub captures: Captures,
    /// Where the frames of cross-connected interfaces go.
    pub cross_connects: CrossConnects,
    /// The ports of bridges, and the stations behind them.
    pub bridging: Bridging,
    /// Members of bonds, and which of them carry frames.
    pub bonds: Bonds,
    /// Frames of LACP and LLDP.
    pub link_control: link_control::Frames,
    /// Whose frames are copied where.
    pub mirrors: Mirrors,
    /// The rules of NAT, and what workers keep of it.
    pub nat44: Nat44,
    /// The rules of policy routing.
    pub policy_routes: PolicyRoutes,
}

/// The graph with all features for so many workers, and what control needs of them. `control` is rung when one has something to
/// say.
///
/// # Errors
/// The system refuses memory.
pub fn graph(workers: usize, control: &Waker) -> io::Result<(Graph, Handles)> {
    let handles = Handles {
        forwarding: Forwarding::new(),
        neighbors: NeighborEvents::new(control.clone()),
        captures: Captures::new(control.clone()),
        cross_connects: CrossConnects::new(),
        bridging: Bridging::new(STATIONS)?,
        bonds: Bonds::new(),
        link_control: link_control::Frames::new(control.clone()),
        mirrors: Mirrors::new(workers),
        nat44: Nat44::new(workers, control.clone())?,
        policy_routes: PolicyRoutes::new(workers),
    };
    let Handles {
        forwarding,
        neighbors,
        captures,
        cross_connects,
        bridging,
        bonds,
        link_control: frames,
        mirrors,
        nat44,
        policy_routes,
    } = &handles;
    let mut graph = Graph::new();
    millrace_graph_nodes::register(&mut graph, forwarding, neighbors);
    capture::register(&mut graph, captures);
    cross_connect::register(&mut graph, cross_connects);
    mirror::register(&mut graph, mirrors);
    l2::register(&mut graph, bridging);
    bond::register(&mut graph, bonds);
    link_control::register(&mut graph, frames);
    urpf::register(&mut graph, forwarding);
    policy_routes::register(&mut graph, forwarding, policy_routes);
    mss_clamp::register(&mut graph, forwarding);
    nat44::register(&mut graph, forwarding, nat44);
    Ok((graph, handles))
}
