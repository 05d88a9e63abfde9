//! The engine's own nodes, which deal with whole frames: device-input, interface-tx, worker-handoff, error-drop, error-punt.

use crate::arc::{ArcName, ArcPoint};
use crate::graph::{Graph, NodeSpec};
use crate::node::NodeName;

/// Polls the devices.
pub const DEVICE_INPUT: NodeName = NodeName::new("device-input");
/// Hands packets to the devices.
pub const INTERFACE_TX: NodeName = NodeName::new("interface-tx");
/// Takes packets to other workers; see [`Ctx::hand_off`](crate::Ctx::hand_off).
pub const WORKER_HANDOFF: NodeName = NodeName::new("worker-handoff");
/// Where packets end that are dropped. Causes are counted by the node that drops.
pub const ERROR_DROP: NodeName = NodeName::new("error-drop");
/// Hands packets to the control plane.
pub const ERROR_PUNT: NodeName = NodeName::new("error-punt");

/// The arc from a device to the input node of the graph.
pub const DEVICE_INPUT_ARC: ArcPoint =
    ArcPoint { name: ArcName::new("device-input"), starts: &[DEVICE_INPUT], end: ERROR_DROP };

/// Which of the engine's own nodes one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Builtin {
    Input,
    Tx,
    Handoff,
    Drop,
    Punt,
}

/// What device-input counts.
pub(crate) mod input {
    pub const DOWN: usize = 0;
    pub const STARVED: usize = 1;
    pub const REASONS: &[&str] = &["interface is down", "no free buffer"];
}

/// What interface-tx counts.
pub(crate) mod tx {
    pub const DOWN: usize = 0;
    pub const NO_QUEUE: usize = 1;
    pub const REFUSED: usize = 2;
    pub const GONE: usize = 3;
    pub const RING_FULL: usize = 4;
    pub const NO_BUFFER: usize = 5;
    pub const REASONS: &[&str] = &[
        "interface is down",
        "interface has no transmit queue",
        "device took no more packets",
        "device is gone",
        "ring to the interface's worker is full",
        "no free buffer for a copy of shared bytes",
    ];
}

/// What worker-handoff counts.
pub(crate) mod handoff {
    pub const RING_FULL: usize = 0;
    pub const NO_WORKER: usize = 1;
    pub const REASONS: &[&str] = &["ring to the other worker is full", "no such worker"];
}

/// What error-punt counts.
pub(crate) mod punt {
    pub const FULL: usize = 0;
    pub const REASONS: &[&str] = &["queue to the control plane is full"];
}

pub(crate) fn register(graph: &mut Graph) {
    let builtin = |name, reasons, kind| NodeSpec {
        name,
        targets: &[],
        hands_off: false,
        reasons,
        make: crate::graph::Make::Builtin(kind),
    };
    graph.nodes.push(builtin(DEVICE_INPUT, input::REASONS, Builtin::Input));
    graph.nodes.push(builtin(INTERFACE_TX, tx::REASONS, Builtin::Tx));
    graph.nodes.push(builtin(WORKER_HANDOFF, handoff::REASONS, Builtin::Handoff));
    graph.nodes.push(builtin(ERROR_DROP, &[], Builtin::Drop));
    graph.nodes.push(builtin(ERROR_PUNT, punt::REASONS, Builtin::Punt));
}
