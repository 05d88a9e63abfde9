//! The one list of features: what the graph is made of.

use millrace_engine::{Graph, Waker};
use millrace_graph_nodes::capture;
use millrace_graph_nodes::capture::Captures;
use millrace_graph_nodes::forwarding::Forwarding;
use millrace_graph_nodes::nat44::{self, Nat44};
use millrace_graph_nodes::neighbor_events::NeighborEvents;
use std::io;

/// The ends of what nodes and control share, on control's side.
#[derive(Clone, Debug)]
pub struct Handles {
    /// Interfaces, adjacencies, routes: written by control, read by nodes.
    pub forwarding: Forwarding,
    /// What the discovery of neighbours heard and wants.
    pub neighbors: NeighborEvents,
    /// Captured frames.
    pub captures: Captures,
    /// The rules of NAT, and what workers keep of it.
    pub nat44: Nat44,
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
        nat44: Nat44::new(workers, control.clone())?,
    };
    let Handles { forwarding, neighbors, captures, nat44 } = &handles;
    let mut graph = Graph::new();
    millrace_graph_nodes::register(&mut graph, forwarding, neighbors);
    capture::register(&mut graph, captures);
    nat44::register(&mut graph, forwarding, nat44);
    Ok((graph, handles))
}
