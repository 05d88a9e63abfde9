//! The golden graph: every edge, so that a change of the graph is seen in review.

use harness::{Lab, golden};
use millrace_engine::NodeName;
use millrace_graph_nodes::filter::Layer;
use std::collections::BTreeSet;

const CONFIG: &str = "interfaces: {lo0: {driver: loopback, addresses: [10.255.0.1/32]}}";

#[test]
fn the_graph_is_as_it_was_reviewed() {
    let lab = Lab::new();
    let router = lab.start(CONFIG);
    let graph = router.json("show graph");
    let edges = graph["edges"].as_array().into_iter().flatten();
    let text = |edge: &serde_json::Value, key: &str| edge[key].as_str().unwrap_or_default().to_owned();
    let line = |edge: &serde_json::Value| {
        let arc = text(edge, "arc");
        let arc = if arc.is_empty() { arc } else { format!("  (arc {arc})") };
        format!("{} -> {}{arc}\n", text(edge, "from"), text(edge, "to"))
    };
    let lines: BTreeSet<String> = edges.map(line).collect();
    golden::check(&golden::file("graph.golden"), &lines.into_iter().collect::<String>());
}

/// So that filters of traces find what they look for there.
#[test]
fn nodes_of_frames_are_known_as_such() {
    let lab = Lab::new();
    let graph = lab.start(CONFIG).json("show graph");
    let text = |edge: &serde_json::Value, key: &str| edge[key].as_str().unwrap_or_default().to_owned();
    let mut seen = 0;
    for edge in graph["edges"].as_array().into_iter().flatten() {
        let (node, arc) = (text(edge, "from"), text(edge, "arc"));
        // Of the interface-output arc, all but that which is for packets without Ethernet.
        let of_frames = ["device-input", "interface-output"].contains(&arc.as_str()) && node != "tunnel-encap";
        if of_frames || node.starts_with("l2-") || node.starts_with("bvi-") {
            seen += 1;
            assert_ne!(Layer::at(NodeName::new(node.clone().leak())), Layer::Ip, "{node}");
        }
    }
    assert!(seen > 50, "{seen} edges");
}

#[test]
fn it_can_be_drawn() {
    let lab = Lab::new();
    let router = lab.start(CONFIG);
    let dot = router.run("show graph dot");
    assert!(dot.starts_with("digraph") && dot.contains("\"ip4-lookup\" -> \"ip4-rewrite\""), "{dot}");
    let svg = router.run("show graph svg");
    assert!(svg.contains("<svg") && svg.contains("ip4-lookup") && svg.trim_end().ends_with("</svg>"), "{svg}");
}
