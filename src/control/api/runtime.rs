//! Nodes, workers, errors, traces and the graph as the API shows them.

use crate::control::{Router, time};
use millrace_api::v1::{
    ErrorCount, Feature, FeatureArc, Graph, GraphEdge, GraphNode, ListErrorsReply, ListFeaturesReply, ListTraceReply,
    ListWorkersReply, NodeRuntime, Runtime, TraceHop, TracedPacket, Worker,
};
use millrace_engine::builtin::{DEVICE_INPUT, ERROR_DROP, ERROR_PUNT, INTERFACE_TX};
use millrace_engine::trace::PacketTrace;
use millrace_engine::{ArcName, Feature as Declared, NodeName, NodeRow, clock};
use std::time::{Duration, SystemTime};

pub fn runtime(router: &Router) -> Runtime {
    let ratio = |of: u64, by: u64| if by == 0 { 0.0 } else { of as f64 / by as f64 };
    // The engine runs a node only when there are packets for it, so that every call has a vector.
    let row = |row: NodeRow| NodeRuntime {
        node: row.node.to_string(),
        worker: row.worker as u32,
        calls: row.calls,
        vectors: row.calls,
        packets: row.packets,
        packets_per_call: ratio(row.packets, row.calls),
        clocks: row.clocks,
        clocks_per_packet: ratio(row.clocks, row.packets),
    };
    let heading = router.stats.heading(&router.engine);
    Runtime {
        span_seconds: heading.span.as_secs_f64(),
        rx_pps: heading.rates.rx_pps,
        tx_pps: heading.rates.tx_pps,
        load_percent: heading.rates.load_percent,
        nodes: router.stats.runtime(&router.engine).into_iter().map(row).collect(),
    }
}

pub fn workers(router: &Router) -> ListWorkersReply {
    let queues = |worker: usize| {
        router.interfaces.iter().flat_map(move |interface| {
            let mine = interface.pollers.iter().enumerate().filter(move |(_, poller)| **poller == worker);
            mine.map(|(queue, _)| format!("{}/{queue}", interface.name))
        })
    };
    let worker = |worker: usize| {
        let (rates, ledger) = (router.stats.worker(worker), router.engine.ledger(worker));
        Worker {
            worker: worker as u32,
            cpu: router.engine.cpu(worker).map(|cpu| cpu as u32),
            mode: router.config.workers.mode.to_string(),
            load_percent: rates.load_percent,
            rx_pps: rates.rx_pps,
            tx_pps: rates.tx_pps,
            queues: queues(worker).collect(),
            received: ledger.received,
            made: ledger.made,
            sent: ledger.sent,
            dropped: ledger.dropped,
            consumed: ledger.consumed,
        }
    };
    ListWorkersReply { workers: (0..router.engine.workers()).map(worker).collect() }
}

pub fn errors(router: &Router) -> ListErrorsReply {
    let mut errors: Vec<ErrorCount> = router
        .stats
        .errors(&router.engine)
        .into_iter()
        .map(|row| ErrorCount {
            node: row.node.to_string(),
            reason: row.reason.to_owned(),
            count: row.count,
            drops: row.drops,
        })
        .collect();
    errors.sort_by(|a, b| (&a.node, &a.reason).cmp(&(&b.node, &b.reason)));
    ListErrorsReply { errors }
}

pub fn trace(router: &Router, limit: usize) -> ListTraceReply {
    let mut traces = router.engine.traces();
    traces.sort_by_key(|trace| (trace.start, trace.worker, trace.id));
    let limit = if limit == 0 { usize::MAX } else { limit };
    let zero = SystemTime::now() - Duration::from_nanos(clock::now());
    let numbered = traces.into_iter().take(limit).zip(1..);
    ListTraceReply { packets: numbered.map(|(trace, number)| traced(router, &trace, number, zero)).collect() }
}

fn traced(router: &Router, trace: &PacketTrace, packet: u64, zero: SystemTime) -> TracedPacket {
    let hops = trace.hops.iter().map(|hop| {
        let next = match (hop.next, hop.reason) {
            (Some(next), Some(reason)) => format!("{next}: {reason}"),
            (Some(next), None) => next.to_string(),
            (None, reason) => reason.unwrap_or_default().to_owned(),
        };
        TraceHop { node: hop.node.to_string(), offset_ns: hop.after, text: with_names(router, &hop.text), next }
    });
    TracedPacket {
        packet,
        worker: trace.worker as u32,
        time: time::micros(zero + Duration::from_nanos(trace.start)),
        hops: hops.collect(),
    }
}

/// Nodes know interfaces, and VLANs of bridges, by number; operators by name.
fn with_names(router: &Router, text: &str) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for at in 1..words.len() {
        if words[at - 1] == "interface"
            && let Some(interface) = words[at].parse().ok().and_then(|index| router.interfaces.get(index))
        {
            words[at] = interface.name.to_string();
        }
        if words[at - 1] == "domain"
            && let Some((bridge, vlan)) = words[at].parse().ok().and_then(|number| router.bridges.key(number))
        {
            words[at - 1] = "bridge".to_owned();
            words[at] = if *vlan == 0 { bridge.to_string() } else { format!("{bridge} VLAN {vlan}") };
        }
    }
    words.join(" ")
}

pub fn graph(router: &Router) -> Graph {
    let arcs = router.engine.arcs();
    let kind = |node: NodeName| match node {
        DEVICE_INPUT => "input",
        INTERFACE_TX | ERROR_DROP | ERROR_PUNT => "output",
        _ => "internal",
    };
    let nodes = router.engine.nodes().into_iter();
    let nodes = nodes.map(|node| GraphNode { name: node.to_string(), kind: kind(node).to_owned() }).collect();
    let edge = |(from, to): (NodeName, NodeName)| GraphEdge {
        from: from.to_string(),
        to: to.to_string(),
        arc: arc_of(&arcs, from, to).map(|arc| arc.as_str().to_owned()),
    };
    Graph { nodes, edges: router.engine.edges().into_iter().map(edge).collect() }
}

/// The arc that makes an edge: features are reached in no other way, and go on along it.
fn arc_of(arcs: &[(ArcName, Vec<Declared>)], from: NodeName, to: NodeName) -> Option<ArcName> {
    let has = |features: &[Declared], node| features.iter().any(|feature| feature.node == node);
    let makes = |features: &[Declared]| has(features, to) || (has(features, from) && to != ERROR_DROP);
    arcs.iter().find(|(_, features)| makes(features)).map(|(arc, _)| *arc)
}

pub fn features(router: &Router) -> ListFeaturesReply {
    let on = |arc: ArcName, node: NodeName| {
        let name = format!("{}: {node}", arc.as_str());
        let has = router.interfaces.iter().filter(|interface| router.features_of(interface).contains(&name));
        has.map(|interface| interface.name.to_string()).collect()
    };
    let names = |nodes: &[NodeName]| nodes.iter().map(NodeName::to_string).collect();
    let arc = |(arc, features): (ArcName, Vec<Declared>)| {
        let feature = |declared: Declared| Feature {
            node: declared.node.to_string(),
            after: names(declared.after),
            before: names(declared.before),
            interfaces: on(arc, declared.node),
        };
        FeatureArc { arc: arc.as_str().to_owned(), features: features.into_iter().map(feature).collect() }
    };
    let mut arcs: Vec<FeatureArc> = router.engine.arcs().into_iter().map(arc).collect();
    arcs.sort_by(|a, b| a.arc.cmp(&b.arc));
    ListFeaturesReply { arcs }
}
