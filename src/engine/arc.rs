//! Feature arcs: points of the graph at which features are switched on and off per interface.
//!
//! An arc begins in the nodes that call [`Ctx::start_arc`](crate::Ctx::start_arc), passes the features that are on for
//! the packet's interface in an order solved once at start, and ends in a fixed node. Switching is one atomic store.

use crate::counters::MAX_INTERFACES;
use crate::node::NodeName;
use crossbeam::utils::CachePadded;
use std::sync::atomic::{AtomicU32, Ordering};

/// An arc's name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ArcName(&'static str);

impl ArcName {
    /// A name; unique in the graph.
    pub const fn new(name: &'static str) -> ArcName {
        ArcName(name)
    }

    /// The text of it.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// A point of the graph at which features may be switched on.
#[derive(Clone, Copy, Debug)]
pub struct ArcPoint {
    /// Its name.
    pub name: ArcName,
    /// The nodes in which it starts.
    pub starts: &'static [NodeName],
    /// The node in which it ends.
    pub end: NodeName,
}

/// A node that can be switched on at an arc, and its place there.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// The arc.
    pub arc: ArcName,
    /// The node; it goes on with [`Ctx::next_feature`](crate::Ctx::next_feature).
    pub node: NodeName,
    /// Features that come earlier.
    pub after: &'static [NodeName],
    /// Features that come later.
    pub before: &'static [NodeName],
}

/// Features that one arc can have.
pub(crate) const MAX_FEATURES: usize = 32;

/// An arc with its features in order, and which are on where.
pub(crate) struct SolvedArc {
    pub point: ArcPoint,
    pub features: Vec<NodeName>,
    /// The same as they were declared, in the same order.
    pub declared: Vec<Feature>,
    pub masks: Box<CachePadded<Masks>>,
}

/// The features that are on, a bit each, by interface.
pub(crate) type Masks = [AtomicU32; MAX_INTERFACES];

/// What a node needs of its arc on the packet path.
#[derive(Clone, Copy)]
pub(crate) struct ArcView<'a> {
    pub masks: &'a Masks,
    /// Slot of the arc's first feature in the node's targets; the arc's end follows the last feature.
    pub first: u8,
    /// How many features there are.
    pub features: u8,
}

impl<'a> ArcView<'a> {
    /// The view of a node in whose targets the arc's features begin at slot `first`.
    pub fn new((arc, first): &'a (std::sync::Arc<SolvedArc>, u8)) -> ArcView<'a> {
        ArcView { masks: &arc.masks, first: *first, features: arc.features.len() as u8 }
    }
}

impl SolvedArc {
    /// Whether it starts in a node: by its own words, or by those of `others`.
    pub fn starts(&self, node: NodeName, others: &[(ArcName, NodeName)]) -> bool {
        self.point.starts.contains(&node) || others.contains(&(self.point.name, node))
    }

    /// A bit for each feature that is on for an interface.
    pub fn on(&self, interface: u32) -> u32 {
        self.masks[interface as usize % MAX_INTERFACES].load(Ordering::Relaxed)
    }

    pub fn switch(&self, feature: usize, interface: u32, on: bool) {
        let mask = &self.masks[interface as usize % MAX_INTERFACES];
        let bit = 1 << feature;
        if on {
            mask.fetch_or(bit, Ordering::Relaxed)
        } else {
            mask.fetch_and(!bit, Ordering::Relaxed)
        };
    }
}

/// Puts the features of one arc in order, or says why there is none.
pub(crate) fn solve(point: &ArcPoint, features: &[Feature]) -> Result<SolvedArc, Vec<String>> {
    let arc = point.name.as_str();
    let mine: Vec<&Feature> = features.iter().filter(|f| f.arc == point.name).collect();
    let mut errors = Vec::new();
    if mine.len() > MAX_FEATURES {
        errors.push(format!("arc {arc}: {} features; {MAX_FEATURES} at most", mine.len()));
    }
    // before[i] = the features that must come earlier than i
    let mut earlier: Vec<Vec<usize>> = vec![Vec::new(); mine.len()];
    for (i, f) in mine.iter().enumerate() {
        for (names, they_are_earlier) in [(f.after, true), (f.before, false)] {
            for name in names {
                match mine.iter().position(|o| o.node == *name) {
                    Some(o) if they_are_earlier => earlier[i].push(o),
                    Some(o) => earlier[o].push(i),
                    None => errors.push(format!("arc {arc}: feature {}: no feature {name} on this arc", f.node)),
                }
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut order: Vec<usize> = Vec::new();
    while order.len() < mine.len() {
        // The first in order of registration that waits for nobody.
        match (0..mine.len()).find(|i| !order.contains(i) && earlier[*i].iter().all(|e| order.contains(e))) {
            Some(next) => order.push(next),
            None => {
                return Err(vec![format!(
                    "arc {arc}: the order of features is a cycle: {}",
                    cycle(&mine, &earlier, &order)
                )]);
            }
        }
    }
    let masks = Box::new(CachePadded::new([const { AtomicU32::new(0) }; MAX_INTERFACES]));
    let declared: Vec<Feature> = order.into_iter().map(|i| *mine[i]).collect();
    Ok(SolvedArc { point: *point, features: declared.iter().map(|f| f.node).collect(), declared, masks })
}

fn cycle(features: &[&Feature], earlier: &[Vec<usize>], done: &[usize]) -> String {
    let Some(mut at) = (0..features.len()).find(|i| !done.contains(i)) else { return String::new() };
    let mut path = Vec::new();
    while !path.contains(&at) {
        path.push(at);
        let Some(next) = earlier[at].iter().find(|e| !done.contains(e)) else { break };
        at = *next;
    }
    path.push(at);
    let start = path.iter().position(|p| *p == at).unwrap_or(0);
    let names: Vec<_> = path[start..].iter().map(|i| features[*i].node.as_str()).collect();
    names.join(" after ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeName = NodeName::new("a");
    const B: NodeName = NodeName::new("b");
    const C: NodeName = NodeName::new("c");
    const POINT: ArcPoint = ArcPoint { name: ArcName::new("ip4-unicast"), starts: &[], end: NodeName::new("end") };

    fn feature(node: NodeName, after: &'static [NodeName], before: &'static [NodeName]) -> Feature {
        Feature { arc: POINT.name, node, after, before }
    }

    #[test]
    fn order_is_solved_from_after_and_before() {
        let solved = solve(&POINT, &[feature(A, &[B], &[]), feature(B, &[], &[]), feature(C, &[], &[B])]).unwrap();
        assert_eq!(solved.features, [C, B, A]);
    }

    #[test]
    fn unknown_names_and_cycles_are_errors() {
        let e = solve(&POINT, &[feature(A, &[B], &[C])]).err().unwrap();
        assert_eq!(
            e,
            [
                "arc ip4-unicast: feature a: no feature b on this arc",
                "arc ip4-unicast: feature a: no feature c on this arc"
            ]
        );
        let e = solve(&POINT, &[feature(A, &[C], &[]), feature(B, &[A], &[]), feature(C, &[B], &[])]).err().unwrap();
        assert_eq!(e, ["arc ip4-unicast: the order of features is a cycle: a after c after b after a"]);
    }
}
