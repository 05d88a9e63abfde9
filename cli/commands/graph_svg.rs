//! Draws the graph as SVG: nodes in columns from left to right, so that edges run forward wherever the graph does.
//!
//! The way is that of Sugiyama: circles are broken, each node stands in the column of the longest way to it, an edge
//! over several columns gets a slot in each of those between, and slots and nodes are sorted by the middle of their
//! neighbours so that few edges cross.
use std::collections::BTreeMap;

use millrace_api::v1::Graph;

/// Sizes in SVG units (pixels at 100 %).
const LETTER: f64 = 7.3;
const BOX_HEIGHT: f64 = 24.0;
const BOX_ROW: f64 = 40.0;
const SLOT_ROW: f64 = 16.0;
const GAP: f64 = 70.0;
const MARGIN: f64 = 20.0;
/// Edges into a node with more of them than this are drawn faintly and below all else: every node has a way to drop.
const CROWD: usize = 6;
/// How often the order within the columns is improved, forth and back in turn. It settles after a few rounds.
const SWEEPS: usize = 8;

/// A thing with a place: a node, or an edge's slot in a column that it only crosses.
struct Item {
    column: usize,
    /// Of a node, its box's; a slot has none.
    width: Option<f64>,
    /// Where its middle lies, from the top.
    y: f64,
}

/// An edge on the page, from left to right.
struct Line {
    /// The items that it goes through, its nodes first and last.
    items: Vec<usize>,
    /// Whether it leads to the left in truth: it closes a circle.
    backward: bool,
    faint: bool,
    arc: bool,
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
    let columns = columns(graph.nodes.len(), &edges);
    let width = |name: &str| name.chars().count() as f64 * LETTER + 16.0;
    let node = |(at, column): (usize, usize)| Item { column, width: Some(width(&graph.nodes[at].name)), y: 0.0 };
    let mut items: Vec<Item> = columns.into_iter().enumerate().map(node).collect();
    let lines = lines(&edges, &mut items);
    let order = order(&items, &lines);
    let height = stack(&order, &mut items);

    let mut lefts = vec![MARGIN];
    for column in &order {
        let widest = column.iter().filter_map(|&item| items[item].width).fold(0.0, f64::max);
        lefts.push(lefts[lefts.len() - 1] + widest + GAP);
    }
    let right = (lefts[order.len()] - GAP + MARGIN).max(2.0 * MARGIN);
    let mut svg = head(right, height);
    for faint in [true, false] {
        svg.extend(lines.iter().filter(|line| line.faint == faint).map(|line| path(line, &items, &lefts)));
    }
    for (node, item) in graph.nodes.iter().zip(&items) {
        let class = if node.kind == "internal" { "" } else { " class=\"end\"" };
        let (x, y, width) = (lefts[item.column], item.y, item.width.unwrap_or_default());
        svg.push_str(&format!(
            "<rect{class} x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{BOX_HEIGHT}\" rx=\"4\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            y - BOX_HEIGHT / 2.0,
            x + width / 2.0,
            y + 4.0,
            escape(&node.name)
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

/// The column of each node: the longest way to it from a node that nothing leads to. Edges that close a circle are
/// left out of account.
fn columns(nodes: usize, edges: &[(usize, usize, bool)]) -> Vec<usize> {
    #[derive(Default)]
    struct Walk {
        /// Whether a node was met, and whether all that follows it was.
        marks: Vec<(bool, bool)>,
        /// The nodes, each after all that follow it.
        done: Vec<usize>,
        back: Vec<(usize, usize)>,
    }
    fn visit(node: usize, edges: &[(usize, usize, bool)], walk: &mut Walk) {
        walk.marks[node].0 = true;
        for &(_, to, _) in edges.iter().filter(|(from, ..)| *from == node) {
            match walk.marks[to] {
                (false, _) => visit(to, edges, walk),
                (true, false) => walk.back.push((node, to)),
                (true, true) => {}
            }
        }
        walk.marks[node].1 = true;
        walk.done.push(node);
    }

    let mut walk = Walk { marks: vec![(false, false); nodes], ..Walk::default() };
    for node in 0..nodes {
        if !walk.marks[node].0 {
            visit(node, edges, &mut walk);
        }
    }
    let mut column = vec![0; nodes];
    for &node in walk.done.iter().rev() {
        for &(from, to, _) in edges.iter().filter(|(from, ..)| *from == node) {
            if !walk.back.contains(&(from, to)) {
                column[to] = column[to].max(column[from] + 1);
            }
        }
    }
    column
}

/// The edges as lines; adds the slots that they need to the items. A node's edge to itself is not drawn.
fn lines(edges: &[(usize, usize, bool)], items: &mut Vec<Item>) -> Vec<Line> {
    let mut lines = Vec::new();
    for &(from, to, arc) in edges.iter().filter(|(from, to, _)| from != to) {
        let backward = items[from].column > items[to].column;
        let (left, right) = if backward { (to, from) } else { (from, to) };
        let faint = edges.iter().filter(|(_, other, _)| *other == to).count() > CROWD;
        let mut through = vec![left];
        for column in items[left].column + 1..items[right].column {
            if !faint {
                through.push(items.len());
                items.push(Item { column, width: None, y: 0.0 });
            }
        }
        through.push(right);
        lines.push(Line { items: through, backward, faint, arc });
    }
    lines
}

/// The items of each column from top to bottom, each near the middle of those that it is joined to.
fn order(items: &[Item], lines: &[Line]) -> Vec<Vec<usize>> {
    let mut order = vec![Vec::new(); items.iter().map(|item| item.column + 1).max().unwrap_or(0)];
    for (at, item) in items.iter().enumerate() {
        order[item.column].push(at);
    }
    let (mut lefts, mut rights) = (vec![Vec::new(); items.len()], vec![Vec::new(); items.len()]);
    for pair in lines.iter().filter(|line| !line.faint).flat_map(|line| line.items.windows(2)) {
        rights[pair[0]].push(pair[1]);
        lefts[pair[1]].push(pair[0]);
    }
    let mut height = vec![0.0; items.len()];
    for sweep in 0..SWEEPS {
        let (near, columns): (_, Vec<usize>) = if sweep % 2 == 0 {
            (&lefts, (0..order.len()).collect())
        } else {
            (&rights, (0..order.len()).rev().collect())
        };
        for column in columns {
            let middle = |item: usize| match &near[item][..] {
                [] => height[item],
                near => near.iter().map(|&other| height[other]).sum::<f64>() / near.len() as f64,
            };
            let mut wanted: Vec<(f64, usize)> = order[column].iter().map(|&item| (middle(item), item)).collect();
            wanted.sort_by(|a, b| a.0.total_cmp(&b.0));
            order[column] = wanted.into_iter().map(|(_, item)| item).collect();
            let half = order[column].len() as f64 / 2.0;
            for (row, &item) in order[column].iter().enumerate() {
                height[item] = row as f64 - half;
            }
        }
    }
    order
}

/// Gives each item its height on the page, columns centred; returns the height of the whole.
fn stack(order: &[Vec<usize>], items: &mut [Item]) -> f64 {
    let row = |item: &Item| if item.width.is_some() { BOX_ROW } else { SLOT_ROW };
    let tall = |column: &[usize], items: &[Item]| column.iter().map(|&item| row(&items[item])).sum::<f64>();
    let tallest = order.iter().map(|column| tall(column, items)).fold(0.0, f64::max);
    for column in order {
        let mut y = MARGIN + (tallest - tall(column, items)) / 2.0;
        for &item in column {
            let row = row(&items[item]);
            items[item].y = y + row / 2.0;
            y += row;
        }
    }
    tallest + 2.0 * MARGIN
}

/// From the right side of one box, level through its slots, to the left side of the other.
fn path(line: &Line, items: &[Item], lefts: &[f64]) -> String {
    let mut path = String::new();
    for pair in line.items.windows(2) {
        let (from, to) = (&items[pair[0]], &items[pair[1]]);
        let x1 = match from.width {
            Some(width) => lefts[from.column] + width,
            None => lefts[from.column + 1] - GAP,
        };
        let (y1, x2, y2) = (from.y, lefts[to.column], to.y);
        let (begin, bend) = (if path.is_empty() { 'M' } else { 'L' }, (x2 - x1) / 2.0);
        path.push_str(&format!(
            "{begin}{x1:.1} {y1:.1} C{:.1} {y1:.1} {:.1} {y2:.1} {x2:.1} {y2:.1}",
            x1 + bend,
            x2 - bend
        ));
    }
    let names = [("faint", line.faint), ("arc", line.arc), ("back", line.backward)];
    let class: Vec<&str> = names.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    let end = if line.backward { "start" } else { "end" };
    format!("<path class=\"{}\" marker-{end}=\"url(#tip)\" d=\"{path}\"/>\n", class.join(" "))
}

fn head(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\">\n\
         <style>text {{ font: 12px monospace; text-anchor: middle; }} rect {{ fill: #fff; stroke: #345; }} \
         rect.end {{ stroke-width: 2; }} path {{ fill: none; stroke: #678; }} path.faint {{ stroke: #ddd; }} \
         path.arc {{ stroke-dasharray: 4 3; }} path.back {{ stroke: #b64; }} #tip path {{ fill: #678; }}</style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 6 6\" refX=\"6\" refY=\"3\" markerWidth=\"6\" markerHeight=\"6\" \
         orient=\"auto-start-reverse\"><path d=\"M0 0 L6 3 L0 6 z\"/></marker></defs>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_api::v1::{GraphEdge, GraphNode};

    fn items(columns: &[usize]) -> Vec<Item> {
        columns.iter().map(|&column| Item { column, width: Some(10.0), y: 0.0 }).collect()
    }

    #[test]
    fn columns_are_longest_ways_and_circles_do_no_harm() {
        let edges = [(0, 1, false), (1, 2, false), (0, 2, false), (2, 1, false), (3, 3, false)];
        assert_eq!(columns(4, &edges), [0, 1, 2, 0]);
    }

    #[test]
    fn long_edges_have_slots_and_those_to_the_left_are_turned() {
        let mut items = items(&[0, 1, 2]);
        let lines = lines(&[(0, 2, true), (2, 1, false), (1, 1, false)], &mut items);
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0].items[..], lines[0].backward, lines[0].arc), (&[0, 3, 2][..], false, true));
        assert_eq!((&lines[1].items[..], lines[1].backward), (&[1, 2][..], true));
        assert_eq!((items[3].column, items[3].width), (1, None));
    }

    #[test]
    fn nodes_stand_near_those_that_they_are_joined_to() {
        // 0 and 1 lead to 3 and 2: without a crossing, 3 comes first.
        let mut items = items(&[0, 0, 1, 1]);
        let lines = lines(&[(0, 3, false), (1, 2, false)], &mut items);
        assert_eq!(order(&items, &lines), [vec![0, 1], vec![3, 2]]);
    }

    #[test]
    fn every_node_and_edge_is_drawn() {
        let names = ["rx", "a<b", "tx"];
        let nodes = names.map(|name| GraphNode { name: name.into(), kind: "internal".into() }).to_vec();
        let edge = |from: &str, to: &str| GraphEdge { from: from.into(), to: to.into(), arc: None };
        let svg = draw(&Graph { nodes, edges: vec![edge("rx", "a<b"), edge("a<b", "tx"), edge("rx", "absent")] });
        assert_eq!(svg.matches("<rect").count(), 3);
        assert_eq!(svg.matches("<path class").count(), 2);
        assert!(svg.contains(">a&lt;b<"), "{svg}");
        assert!(draw(&Graph::default()).ends_with("</svg>\n"));
    }
}
