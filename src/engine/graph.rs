//! The graph: which nodes there are, solved once at start into tables of indices.

use crate::arc::{ArcName, ArcPoint, Feature, SolvedArc, solve};
use crate::builtin::{Builtin, ERROR_DROP, WORKER_HANDOFF};
use crate::dispatch::{Instance, Run};
use crate::node::{Counters, Edges, Node, NodeName, SLOT_CHOSEN, SLOT_FIRST};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What runs a node.
pub(crate) enum Make {
    /// Makes its instance for a worker, by the worker's number.
    Node(Box<dyn Fn(usize) -> Box<dyn Run> + Send + Sync>),
    /// The engine itself.
    Builtin(Builtin),
}

/// One node before the graph is solved.
pub(crate) struct NodeSpec {
    pub name: NodeName,
    pub targets: &'static [NodeName],
    /// Whether it passes packets to other workers.
    pub hands_off: bool,
    pub reasons: &'static [&'static str],
    pub make: Make,
}

/// The list of nodes, arcs and features, to be filled by `wiring` and given to the engine.
#[derive(Default)]
pub struct Graph {
    pub(crate) nodes: Vec<NodeSpec>,
    pub(crate) arcs: Vec<ArcPoint>,
    pub(crate) features: Vec<Feature>,
    pub(crate) input: Option<NodeName>,
    pub(crate) starts: Vec<(ArcName, NodeName)>,
}

/// What is wrong with a graph; every fault, not the first.
#[derive(Debug, thiserror::Error)]
#[error("the graph does not hold together: {}", .0.join("; "))]
pub struct GraphError(pub Vec<String>);

impl Graph {
    /// A graph with the engine's own nodes.
    pub fn new() -> Graph {
        let mut graph = Graph::default();
        crate::builtin::register(&mut graph);
        graph
    }

    /// Adds a node; `make` builds its instance for each worker.
    pub fn node<N: Node>(&mut self, make: impl Fn(usize) -> N + Send + Sync + 'static) -> &mut Graph {
        self.nodes.push(NodeSpec {
            name: N::NAME,
            targets: N::Next::TARGETS,
            hands_off: N::HANDS_OFF,
            reasons: N::Count::REASONS,
            make: Make::Node(Box::new(move |worker| Box::new(Instance::new(make(worker))))),
        });
        self
    }

    /// Adds an arc.
    pub fn arc(&mut self, arc: ArcPoint) -> &mut Graph {
        self.arcs.push(arc);
        self
    }

    /// Adds a feature to an arc; its node is added by [`Graph::node`].
    pub fn feature(&mut self, feature: Feature) -> &mut Graph {
        self.features.push(feature);
        self
    }

    /// Has a further node start an arc, besides those that the arc names itself.
    pub fn start(&mut self, arc: ArcName, node: NodeName) -> &mut Graph {
        self.starts.push((arc, node));
        self
    }

    /// Says where received packets enter (the end of the device-input arc).
    pub fn input(&mut self, node: NodeName) -> &mut Graph {
        self.input = Some(node);
        self
    }
}

/// A node of the solved graph.
pub(crate) struct SolvedNode {
    pub name: NodeName,
    pub reasons: &'static [&'static str],
    pub make: Make,
    /// Position of the target in the graph's order, by slot.
    pub targets: Vec<u16>,
    /// The arc that it starts or is a feature of: number of the arc, slot of its first feature; its end follows the last.
    pub arc: Option<(usize, u8)>,
}

/// The solved graph: nodes in the order in which pending frames run.
pub(crate) struct Solved {
    pub nodes: Vec<SolvedNode>,
    pub arcs: Vec<Arc<SolvedArc>>,
}

impl Solved {
    pub fn position(&self, name: NodeName) -> Option<u16> {
        self.nodes.iter().position(|n| n.name == name).map(|p| p as u16)
    }

    pub fn by_text(&self, name: &str) -> Option<u16> {
        self.nodes.iter().position(|n| n.name.as_str() == name).map(|p| p as u16)
    }

    /// All edges, as (from, to), in order; a drop edge only where a node counts drops, and from a feature only to what is
    /// behind it on its arc.
    pub fn edges(&self) -> Vec<(NodeName, NodeName)> {
        let mut edges = Vec::new();
        for node in &self.nodes {
            for (slot, target) in node.targets.iter().enumerate() {
                let own = slot >= usize::from(SLOT_CHOSEN) || !node.reasons.is_empty();
                if own
                    && !self.passed(node, slot)
                    && let Some(to) = self.nodes.get(usize::from(*target))
                {
                    edges.push((node.name, to.name));
                }
            }
        }
        edges.sort();
        edges.dedup();
        edges
    }

    /// Whether a slot of a feature is that of a feature which packets have passed when they come to it, or its own.
    fn passed(&self, node: &SolvedNode, slot: usize) -> bool {
        let Some((arc, first)) = node.arc else { return false };
        let features = self.arcs.get(arc).map_or(&[][..], |arc| &arc.features);
        let place = features.iter().position(|feature| *feature == node.name);
        place.is_some_and(|place| (usize::from(first)..=usize::from(first) + place).contains(&slot))
    }
}

/// What each node's slots are to lead to, and the arc that it is on (number, slot of the first feature).
type Wanted = BTreeMap<NodeName, (Vec<NodeName>, Option<(usize, u8)>)>;

/// No node: the slots that are not edges.
pub(crate) const NOWHERE: u16 = u16::MAX;

pub(crate) fn solve_graph(mut graph: Graph) -> Result<Solved, GraphError> {
    let mut errors = Vec::new();
    if let Some(input) = graph.input {
        graph.arcs.push(ArcPoint { end: input, ..crate::builtin::DEVICE_INPUT_ARC });
    } else {
        errors.push("no input node".to_owned());
    }
    let mut arcs = Vec::new();
    for point in &graph.arcs {
        match solve(point, &graph.features) {
            Ok(arc) => arcs.push(Arc::new(arc)),
            Err(e) => errors.extend(e),
        }
    }
    for f in &graph.features {
        if !graph.arcs.iter().any(|a| a.name == f.arc) {
            errors.push(format!("feature {}: no arc {}", f.node, f.arc.as_str()));
        }
    }
    // Each node's targets by name: its own edges, then those that its arc adds.
    let mut wanted = Wanted::new();
    for node in &graph.nodes {
        let mut targets = vec![ERROR_DROP; usize::from(SLOT_FIRST)];
        if node.hands_off {
            targets[usize::from(SLOT_CHOSEN)] = WORKER_HANDOFF;
        }
        targets.extend(node.targets);
        let mine = arcs
            .iter()
            .enumerate()
            .filter(|(_, a)| a.starts(node.name, &graph.starts) || a.features.contains(&node.name));
        let mine: Vec<_> = mine.collect();
        if mine.len() > 1 {
            errors.push(format!("node {}: on more than one arc", node.name));
        }
        let arc = mine.first().map(|(number, a)| {
            let first = targets.len() as u8;
            targets.extend(&a.features);
            targets.push(a.point.end);
            (*number, first)
        });
        if targets.len() > 250 {
            errors.push(format!("node {}: {} edges; 250 at most", node.name, targets.len()));
        }
        if wanted.insert(node.name, (targets, arc)).is_some() {
            errors.push(format!("node {}: registered twice", node.name));
        }
    }
    for (name, (targets, _)) in &wanted {
        for t in targets.iter().filter(|t| !wanted.contains_key(t)) {
            errors.push(format!("node {name}: no node {t}"));
        }
    }
    for arc in &arcs {
        for start in arc.point.starts.iter().filter(|s| !wanted.contains_key(s)) {
            errors.push(format!("arc {}: no node {start}", arc.point.name.as_str()));
        }
    }
    for (arc, node) in &graph.starts {
        if !arcs.iter().any(|a| a.point.name == *arc) || !wanted.contains_key(node) {
            errors.push(format!("arc {}: can't start in {node}: no such arc, or no such node", arc.as_str()));
        }
    }
    if wanted.len() > 256 {
        errors.push(format!("{} nodes; 256 at most", wanted.len()));
    }
    if !errors.is_empty() {
        return Err(GraphError(errors));
    }
    let order = run_order(&wanted);
    let position = |n: &NodeName| order.iter().position(|o| o == n).map_or(NOWHERE, |p| p as u16);
    let mut specs: BTreeMap<NodeName, NodeSpec> = graph.nodes.into_iter().map(|n| (n.name, n)).collect();
    let nodes = order.iter().filter_map(|name| {
        let (targets, arc) = wanted.get(name)?;
        let spec = specs.remove(name)?;
        let mut targets: Vec<u16> = targets.iter().map(position).collect();
        if !spec.hands_off {
            targets[usize::from(SLOT_CHOSEN)] = NOWHERE;
        }
        Some(SolvedNode { name: *name, reasons: spec.reasons, make: spec.make, targets, arc: *arc })
    });
    Ok(Solved { nodes: nodes.collect(), arcs })
}

/// Nodes so that edges lead forward where they can: depth-first from device-input, reversed; what is not reached from
/// there (timers' targets) comes first, and error-drop last, so that it frees whole frames.
fn run_order(wanted: &Wanted) -> Vec<NodeName> {
    fn visit(n: NodeName, wanted: &Wanted, seen: &mut Vec<NodeName>, out: &mut Vec<NodeName>) {
        if seen.contains(&n) {
            return;
        }
        seen.push(n);
        if let Some((targets, _)) = wanted.get(&n) {
            targets.iter().rev().for_each(|t| visit(*t, wanted, seen, out));
        }
        out.push(n);
    }
    let (mut seen, mut out) = (vec![ERROR_DROP], vec![ERROR_DROP]);
    visit(crate::builtin::DEVICE_INPUT, wanted, &mut seen, &mut out);
    for n in wanted.keys() {
        visit(*n, wanted, &mut seen, &mut out);
    }
    out.reverse();
    out
}
