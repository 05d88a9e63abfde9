//! All commands: a file for each feature, listed here once.
mod address;
mod bond;
mod bridge;
mod buffers;
mod capture;
mod clear;
mod config;
mod errors;
mod events;
mod features;
mod graph;
mod graph_svg;
mod interface;
mod lacp;
mod lldp;
mod lldp_set;
mod mac_table;
mod mirror;
mod mirror_edit;
mod nat44;
mod neighbor;
mod ping;
mod policy_route;
mod route;
mod runtime;
mod shell;
mod show_bridges;
mod show_route;
mod snooping;
mod trace;
mod traceroute;
mod tunnel;
mod version;
mod vrf;
mod vxlan;
mod watch;

use crate::grammar::Command;

/// The commands, and what the words say that several commands begin with.
#[derive(Debug)]
pub struct Grammar {
    features: &'static [&'static [Command]],
    topics: &'static [(&'static str, &'static str)],
}

impl Grammar {
    /// A grammar of these commands and topics.
    pub const fn new(
        features: &'static [&'static [Command]],
        topics: &'static [(&'static str, &'static str)],
    ) -> Grammar {
        Grammar { features, topics }
    }

    /// All commands, in order.
    pub fn commands(&self) -> impl Iterator<Item = &'static Command> {
        self.features.iter().copied().flatten()
    }

    /// The help of a path that several commands begin with; empty for any other.
    pub fn topic(&self, path: &str) -> &'static str {
        self.topics.iter().find(|(topic, _)| *topic == path).map_or("", |(_, help)| help)
    }
}

/// Everything that `millctl` understands. The order is that of `help` and `?`.
pub static GRAMMAR: Grammar = Grammar::new(
    &[
        version::COMMANDS,
        interface::COMMANDS,
        address::COMMANDS,
        show_route::COMMANDS,
        route::COMMANDS,
        watch::COMMANDS,
        policy_route::COMMANDS,
        neighbor::COMMANDS,
        vrf::COMMANDS,
        show_bridges::COMMANDS,
        bridge::COMMANDS,
        mac_table::COMMANDS,
        snooping::COMMANDS,
        mirror::COMMANDS,
        mirror_edit::COMMANDS,
        lldp_set::COMMANDS,
        vxlan::COMMANDS,
        bond::COMMANDS,
        lacp::COMMANDS,
        lldp::COMMANDS,
        tunnel::COMMANDS,
        nat44::COMMANDS,
        nat44::EDITS,
        runtime::COMMANDS,
        errors::COMMANDS,
        trace::COMMANDS,
        graph::COMMANDS,
        features::COMMANDS,
        buffers::COMMANDS,
        events::COMMANDS,
        config::COMMANDS,
        clear::COMMANDS,
        capture::COMMANDS,
        ping::COMMANDS,
        traceroute::COMMANDS,
        shell::COMMANDS,
    ],
    &[
        ("show", "what there is to see"),
        ("show ip", "IPv4 tables"),
        ("show ipv6", "IPv6 tables"),
        ("interface", "add, remove and set interfaces"),
        ("address", "add addresses to interfaces and remove them"),
        ("route", "add, replace and remove routes"),
        ("policy-route", "choose in which VRF packets are looked up"),
        ("neighbor", "add and remove static neighbours"),
        ("bridge", "add, remove and set bridges"),
        ("mirror", "add and remove mirrors: copies of frames"),
        ("lldp", "what neighbours at layer 2 are told"),
        ("watch", "what happens, as it happens"),
        ("show lldp", "neighbours that tell of themselves by LLDP"),
        ("show nat44", "translation of addresses"),
        ("nat44", "translate addresses between inside and outside"),
        ("nat44 inside", "interfaces that lead to the hosts whose addresses are hidden"),
        ("nat44 outside", "interfaces that lead to those who see external addresses"),
        ("nat44 pool", "the addresses that inside hosts are hidden behind"),
        ("nat44 twice-nat-pool", "the addresses that clients of mappings with twice-nat get"),
        ("nat44 mapping", "let outside hosts reach inside servers"),
        ("nat44 exempt", "networks between which nothing is translated"),
        ("nat44 set", "change limits, timeouts, filtering and the log"),
        ("nat44 sessions", "sessions that are there"),
        ("trace", "follow packets through the graph"),
        ("config", "files and history of the configuration"),
        ("clear", "set counters or learnt state back to nothing"),
        ("capture", "write packets to a file"),
    ],
);
