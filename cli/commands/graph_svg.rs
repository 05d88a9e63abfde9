//! Draws the graph as SVG: nodes in columns from left to right, so that edges run forward wherever the graph does.
use std::collections::BTreeMap;

use millrace_api::v1::Graph;

/// Sizes in SVG units (pixels at 100 %).
const LETTER: f64 = 7.3;
const BOX_HEIGHT: f64 = 24.0;
const ROW: f64 = 38.0;
const GAP: f64 = 90.0;
const MARGIN: f64 = 20.0;
/// Edges into a node with more of them than this are drawn faintly: every node has a way to drop.
const CROWD: usize = 6;
/// How often the order within the columns is improved. It settles after a few rounds.
const SWEEPS: usize = 6;

struct Box {
    x: f64,
    y: f64,
    width: f64,
}

/// The graph as an SVG document.
pub fn draw(graph: &Graph) -> String {
    let index: BTreeMap<&str, usize> =
        graph.nodes.iter().enumerate().map(|(i, node)| (node.name.as_str(), i)).collect();
    let edges: Vec<(usize, usize, bool)> = graph
        .edges
        .iter()
        .filter_map(|edge| Some((*index.get(&*edge.from)?, *index.get(&*edge.to)?, edge.arc.is_some())))
        .collect();
    let columns = order(&columns(graph.nodes.len(), &edges), &edges);
    let (boxes, width, height) = place(graph, &columns);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\">\n\
         <style>text {{ font: 12px monospace; text-anchor: middle; }} rect {{ fill: #fff; stroke: #345; }} \
         .end {{ stroke-width: 2; }} path {{ fill: none; stroke: #678; }} .faint {{ stroke: #ddd; }} \
         .arc {{ stroke-dasharray: 4 3; }}</style>\n"
    );
    let incoming = |node: usize| edges.iter().filter(|(_, to, _)| *to == node).count();
    let mut lines: Vec<(bool, String)> = Vec::new();
    for &(from, to, arc) in &edges {
        let faint = incoming(to) > CROWD;
        let class =
            [("faint", faint), ("arc", arc)].iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect::<Vec<_>>();
        lines.push((
            !faint,
            format!("<path class=\"{}\" d=\"{}\"/>\n", class.join(" "), curve(&boxes[from], &boxes[to])),
        ));
    }
    // The faint ones first, so that they lie below.
    lines.sort_by_key(|(strong, _)| *strong);
    svg.extend(lines.into_iter().map(|(_, line)| line));
    for (node, place) in graph.nodes.iter().zip(&boxes) {
        let class = if node.kind == "internal" { "" } else { " class=\"end\"" };
        let Box { x, y, width } = place;
        svg.push_str(&format!(
            "<rect{class} x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BOX_HEIGHT}\" rx=\"4\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            x + width / 2.0,
            y + 16.0,
            escape(&node.name)
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

/// The column of each node: the longest way to it from a node that nothing leads to. Edges that close a circle are
/// left out of account.
fn columns(nodes: usize, edges: &[(usize, usize, bool)]) -> Vec<usize> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    fn visit(
        node: usize,
        edges: &[(usize, usize, bool)],
        marks: &mut [Mark],
        done: &mut Vec<usize>,
        back: &mut Vec<(usize, usize)>,
    ) {
        marks[node] = Mark::Open;
        for &(_, to, _) in edges.iter().filter(|(from, ..)| *from == node) {
            match marks[to] {
                Mark::New => visit(to, edges, marks, done, back),
                Mark::Open => back.push((node, to)),
                Mark::Done => {}
            }
        }
        marks[node] = Mark::Done;
        done.push(node);
    }

    let (mut marks, mut done, mut back) = (vec![Mark::New; nodes], Vec::new(), Vec::new());
    for node in 0..nodes {
        if marks[node] == Mark::New {
            visit(node, edges, &mut marks, &mut done, &mut back);
        }
    }
    let mut column = vec![0; nodes];
    for &node in done.iter().rev() {
        for &(from, to, _) in edges.iter().filter(|(from, ..)| *from == node) {
            if !back.contains(&(from, to)) {
                column[to] = column[to].max(column[from] + 1);
            }
        }
    }
    column
}

/// The nodes of each column from top to bottom, each near the middle of those that lead to it.
fn order(column: &[usize], edges: &[(usize, usize, bool)]) -> Vec<Vec<usize>> {
    let mut columns = vec![Vec::new(); column.iter().max().map_or(0, |last| last + 1)];
    for (node, &column) in column.iter().enumerate() {
        columns[column].push(node);
    }
    let mut height = vec![0.0; column.len()];
    for _ in 0..SWEEPS {
        for nodes in &mut columns {
            let middle = |node: usize| {
                let near: Vec<f64> =
                    edges.iter().filter(|(_, to, _)| *to == node).map(|(from, ..)| height[*from]).collect();
                if near.is_empty() { height[node] } else { near.iter().sum::<f64>() / near.len() as f64 }
            };
            let mut wanted: Vec<(f64, usize)> = nodes.iter().map(|&node| (middle(node), node)).collect();
            wanted.sort_by(|a, b| a.0.total_cmp(&b.0));
            *nodes = wanted.into_iter().map(|(_, node)| node).collect();
            for (row, &node) in nodes.iter().enumerate() {
                height[node] = row as f64 - nodes.len() as f64 / 2.0;
            }
        }
    }
    columns
}

/// Where each node's box lies, and the size of the whole.
fn place(graph: &Graph, columns: &[Vec<usize>]) -> (Vec<Box>, f64, f64) {
    let width = |node: usize| graph.nodes[node].name.chars().count() as f64 * LETTER + 16.0;
    let height = columns.iter().map(Vec::len).max().unwrap_or(0) as f64 * ROW + 2.0 * MARGIN;
    let mut boxes: Vec<Box> = (0..graph.nodes.len()).map(|node| Box { x: 0.0, y: 0.0, width: width(node) }).collect();
    let mut x = MARGIN;
    for nodes in columns {
        let top = (height - nodes.len() as f64 * ROW) / 2.0;
        for (row, &node) in nodes.iter().enumerate() {
            boxes[node].x = x;
            boxes[node].y = top + row as f64 * ROW;
        }
        x += nodes.iter().map(|&node| width(node)).fold(0.0, f64::max) + GAP;
    }
    (boxes, (x - GAP + MARGIN).max(2.0 * MARGIN), height)
}

/// From the right side of one box to the left side of another.
fn curve(from: &Box, to: &Box) -> String {
    let (x1, y1) = (from.x + from.width, from.y + BOX_HEIGHT / 2.0);
    let (x2, y2) = (to.x, to.y + BOX_HEIGHT / 2.0);
    let bend = ((x2 - x1).abs() / 2.0).max(GAP / 2.0);
    format!("M{x1:.1} {y1:.1} C{:.1} {y1:.1} {:.1} {y2:.1} {x2:.1} {y2:.1}", x1 + bend, x2 - bend)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_api::v1::{GraphEdge, GraphNode};

    #[test]
    fn columns_are_longest_ways_and_circles_do_no_harm() {
        let edges = [(0, 1, false), (1, 2, false), (0, 2, false), (2, 1, false), (3, 3, false)];
        assert_eq!(columns(4, &edges), [0, 1, 2, 0]);
    }

    #[test]
    fn nodes_stand_near_those_that_lead_to_them() {
        // 0 and 1 lead to 3 and 2: without a crossing, 3 comes first.
        assert_eq!(order(&[0, 0, 1, 1], &[(0, 3, false), (1, 2, false)]), [vec![0, 1], vec![3, 2]]);
    }

    #[test]
    fn every_node_and_edge_is_drawn_inside_the_picture() {
        let names = ["rx", "a<b", "tx"];
        let nodes = names.map(|name| GraphNode { name: name.into(), kind: "internal".into() }).to_vec();
        let edge = |from: &str, to: &str| GraphEdge { from: from.into(), to: to.into(), arc: None };
        let svg = draw(&Graph { nodes, edges: vec![edge("rx", "a<b"), edge("a<b", "tx"), edge("rx", "absent")] });
        assert_eq!(svg.matches("<rect").count(), 3);
        assert_eq!(svg.matches("<path").count(), 2);
        assert!(svg.contains(">a&lt;b<"), "{svg}");
        assert!(draw(&Graph::default()).ends_with("</svg>\n"));
    }
}
