//! The nodes of the graph: a folder per feature, a file per node, each in the same order (what it does, edges,
//! counters, trace, node, tests). Each folder's `register` adds its nodes, arcs and features to a graph.
#![forbid(unsafe_code)]

pub mod arp;
pub mod capture;
pub mod ethernet;
pub mod filter;
pub mod forwarding;
pub mod icmp;
pub mod interface;
pub mod ip;
pub mod ip4;
pub mod ip6;
pub mod marks;
pub mod nat44;
pub mod neighbor_events;
pub mod rate;

#[cfg(test)]
mod graph_tests;
#[cfg(test)]
mod testing;

/// Compiles and runs the example of the guide.
#[cfg(doctest)]
#[doc = include_str!("../docs/writing-a-node.md")]
pub struct WritingANode;
