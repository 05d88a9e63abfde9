//! Unicast reverse-path forwarding: interfaces that take no packets whose source can't be where they come from (RFC 2827,
//! RFC 3704, RFC 8704).

pub mod check;

use crate::forwarding::Forwarding;
use crate::ip::{Family, V4, V6};
use crate::{nat44, policy_routes};
use check::Urpf;
use millrace_engine::{Feature, Graph, NodeName};

/// The name of the IPv4 node.
pub const NAME4: NodeName = NodeName::new("ip4-urpf");
/// The name of the IPv6 node.
pub const NAME6: NodeName = NodeName::new("ip6-urpf");

/// Which packets an interface takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// All.
    #[default]
    Off,
    /// Those whose source the best routes lead to by the same interface; by one of them, where there are several (RFC 3704
    /// section 2.2).
    Strict,
    /// Those whose source is routed at all, be it by the default route (RFC 3704 section 2.4).
    Loose,
}

/// What the filter has to know of a family.
pub trait Filtered: Family {
    /// The node's name, and its place: first on the arc, while the source is the one that came.
    const FEATURE: Feature;
}

impl Filtered for V4 {
    const FEATURE: Feature =
        Feature { arc: V4::UNICAST, node: NAME4, after: &[], before: &[policy_routes::NAME4, nat44::out2in::NAME] };
}

impl Filtered for V6 {
    const FEATURE: Feature = Feature { arc: V6::UNICAST, node: NAME6, after: &[], before: &[policy_routes::NAME6] };
}

/// Adds the nodes and their places on the arcs.
pub fn register(graph: &mut Graph, forwarding: &Forwarding) {
    let tables = forwarding.clone();
    graph.node(move |_| Urpf::<V4>::new(tables.clone())).feature(V4::FEATURE);
    let tables = forwarding.clone();
    graph.node(move |_| Urpf::<V6>::new(tables.clone())).feature(V6::FEATURE);
}
