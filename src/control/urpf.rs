//! The reverse-path filter as control has it: how an interface's setting is told to the packet path.

use millrace_config::Urpf;
use millrace_engine::Feature;
use millrace_graph_nodes::ip::{V4, V6};
use millrace_graph_nodes::urpf::{Filtered, Mode};

/// What the packet path calls it.
pub const fn mode(urpf: Urpf) -> Mode {
    match urpf {
        Urpf::Off => Mode::Off,
        Urpf::Strict => Mode::Strict,
        Urpf::Loose => Mode::Loose,
    }
}

/// The features of an interface with this setting.
pub const fn features(urpf: Urpf) -> &'static [Feature] {
    match urpf {
        Urpf::Off => &[],
        Urpf::Strict | Urpf::Loose => &[V4::FEATURE, V6::FEATURE],
    }
}
