//! The golden graph: every edge, so that a change of the graph is seen in review.

use harness::{Lab, golden};
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

#[test]
fn it_can_be_drawn() {
    let lab = Lab::new();
    let router = lab.start(CONFIG);
    let dot = router.run("show graph dot");
    assert!(dot.starts_with("digraph") && dot.contains("\"ip4-lookup\" -> \"ip4-rewrite\""), "{dot}");
    let svg = router.run("show graph svg");
    assert!(svg.contains("<svg") && svg.contains("ip4-lookup") && svg.trim_end().ends_with("</svg>"), "{svg}");
}
