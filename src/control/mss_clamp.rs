//! The MSS clamp as control has it: how an interface's setting is told to the packet path.

use millrace_config::MssClamp;
use millrace_engine::Feature;
use millrace_graph_nodes::ip::{V4, V6};
use millrace_graph_nodes::mss_clamp::{Clamped, Limit};

/// What the packet path calls it.
pub const fn limit(clamp: MssClamp) -> Limit {
    match clamp {
        MssClamp::Off => Limit::Off,
        MssClamp::Auto => Limit::Auto,
        MssClamp::Max(bytes) => Limit::Max(bytes),
    }
}

/// The features of an interface with this setting.
pub const fn features(clamp: MssClamp) -> &'static [Feature] {
    match clamp {
        MssClamp::Off => &[],
        MssClamp::Auto | MssClamp::Max(_) => &[V4::IN, V4::OUT, V6::IN, V6::OUT],
    }
}
