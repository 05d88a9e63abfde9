//! `show graph`, as text, as DOT for graphviz, or drawn as SVG.
use std::collections::BTreeMap;

use millrace_api::v1::{GetGraphRequest, Graph};

use super::graph_svg;
use crate::error::Error;
use crate::grammar::{Args, Command, Kind, maybe};
use crate::session::Session;

pub const COMMANDS: &[Command] = &[Command {
    path: &["show", "graph"],
    args: &[maybe("FORMAT", Kind::Choice(&["dot", "svg"]), "text unless given")],
    help: "the graph of nodes that packets travel",
    more: "  millctl show graph svg > graph.svg\n  millctl show graph dot | dot -Tpdf > graph.pdf",
    run: show,
}];

fn show(session: &mut Session, args: &Args) -> Result<(), Error> {
    let graph = session.call(|mut client| async move { client.show.get_graph(GetGraphRequest {}).await })?;
    match args.get("FORMAT") {
        Some("dot") => session.output.print_text(&dot(&graph)),
        Some(_) => session.output.print_text(&graph_svg::draw(&graph)),
        None => session.print(&graph, text),
    }
}

/// Each node with the nodes that follow it.
fn text(graph: &Graph) -> String {
    let mut nexts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for edge in &graph.edges {
        let arc = edge.arc.as_ref().map(|arc| format!(" (arc {arc})")).unwrap_or_default();
        nexts.entry(&edge.from).or_default().push(format!("  -> {}{arc}\n", edge.to));
    }
    let mut text = String::new();
    for node in &graph.nodes {
        let kind = if node.kind == "internal" { String::new() } else { format!(" ({})", node.kind) };
        text.push_str(&format!("{}{kind}\n", node.name));
        text.extend(nexts.remove(node.name.as_str()).unwrap_or_default());
    }
    text
}

fn dot(graph: &Graph) -> String {
    let mut text = String::from("digraph millrace {\n  rankdir=LR;\n  node [shape=box, fontname=\"monospace\"];\n");
    for node in &graph.nodes {
        let style = if node.kind == "internal" { "" } else { " [style=bold]" };
        text.push_str(&format!("  {:?}{style};\n", node.name));
    }
    for edge in &graph.edges {
        let style = edge.arc.as_ref().map(|arc| format!(" [style=dashed, label={arc:?}]")).unwrap_or_default();
        text.push_str(&format!("  {:?} -> {:?}{style};\n", edge.from, edge.to));
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_api::v1::{GraphEdge, GraphNode};

    fn graph() -> Graph {
        let node = |name: &str, kind: &str| GraphNode { name: name.into(), kind: kind.into() };
        let edge = |from: &str, to: &str, arc: Option<&str>| GraphEdge {
            from: from.into(),
            to: to.into(),
            arc: arc.map(str::to_owned),
        };
        Graph {
            nodes: vec![node("rx", "input"), node("ip4-input", "internal"), node("nat", "internal")],
            edges: vec![edge("rx", "ip4-input", None), edge("ip4-input", "nat", Some("ip4-unicast"))],
        }
    }

    #[test]
    fn text_lists_what_follows_each_node() {
        assert_eq!(text(&graph()), "rx (input)\n  -> ip4-input\nip4-input\n  -> nat (arc ip4-unicast)\nnat\n");
    }

    #[test]
    fn dot_quotes_names() {
        let text = dot(&graph());
        assert!(text.contains("  \"rx\" [style=bold];\n"), "{text}");
        assert!(text.contains("  \"ip4-input\" -> \"nat\" [style=dashed, label=\"ip4-unicast\"];\n"), "{text}");
    }
}
