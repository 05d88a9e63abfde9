//! The words of `interface add` and `interface set`: the keys of the configuration, each with what may stand after it.
use crate::grammar::{Keyword, Kind, flag, keyword};

/// The drivers of interfaces, and what makes a sub-interface.
pub const DRIVERS: &[&str] =
    &["af-packet", "af-xdp", "tap", "memif", "vhost-user", "dpdk", "pcap", "loopback", "generator", "vlan"];

/// `true` and `false`.
const BOOL: Kind = Kind::Choice(&["true", "false"]);

/// A key that interfaces of these drivers have.
const fn of(drivers: &'static [&'static str], keyword: Keyword) -> Keyword {
    Keyword { with: Some(("driver", drivers)), ..keyword }
}

/// The keys of drivers.
pub const OF_DRIVERS: [Keyword; 20] = [
    of(
        &["af-packet", "af-xdp", "tap", "dpdk"],
        keyword("device", "DEVICE", Kind::Word, "what the driver opens: a Linux device; dpdk: a PCI address or vdev"),
    ),
    of(
        &["memif", "vhost-user"],
        keyword("socket", "SOCKET", Kind::File, "memif, vhost-user: where the peer is met; memif: also @NAME"),
    ),
    of(
        &["memif"],
        keyword("id", "NUMBER", Kind::Number(0, u32::MAX as u64), "memif: which connection over the socket"),
    ),
    of(
        &["memif", "vhost-user"],
        keyword("role", "ROLE", Kind::Choice(&["server", "client"]), "memif, vhost-user: who makes the socket"),
    ),
    of(&["memif"], keyword("secret", "WORD", Kind::Word, "memif: what both sides must know")),
    of(
        &["af-packet", "af-xdp", "tap", "memif", "vhost-user", "dpdk"],
        keyword("queues", "NUMBER", Kind::Number(1, 64), "queues, each polled by a worker"),
    ),
    of(
        &["af-xdp", "memif", "dpdk"],
        keyword("ring-size", "NUMBER", Kind::Number(32, 32768), "af-xdp, memif, dpdk: descriptors of each ring"),
    ),
    of(
        &["af-xdp"],
        keyword(
            "mode",
            "MODE",
            Kind::Choice(&["auto", "native", "generic"]),
            "af-xdp: in the device's driver or behind it",
        ),
    ),
    of(
        &["af-xdp", "memif"],
        keyword(
            "zero-copy",
            "WHAT",
            Kind::Suggest(&["auto", "required", "off", "true", "false"]),
            "af-xdp: auto, required or off; memif: whether a client shares its buffers",
        ),
    ),
    of(&["af-xdp"], keyword("busy-poll", "BOOL", BOOL, "af-xdp: whether the worker drives the device, too")),
    of(
        &["vhost-user"],
        keyword("offloads", "BOOL", BOOL, "vhost-user: whether guests may leave checksums and segmentation to us"),
    ),
    of(&["dpdk"], keyword("promiscuous", "BOOL", BOOL, "dpdk: whether frames for any address come in")),
    of(&["pcap"], keyword("read", "FILE", Kind::File, "pcap: file to read packets from")),
    of(&["pcap"], keyword("write", "FILE", Kind::File, "pcap: file to write packets to")),
    of(&["pcap"], keyword("loop", "TIMES", Kind::Word, "pcap: how often to read the file")),
    of(&["pcap"], keyword("rate", "RATE", Kind::Word, "pcap: how fast to read, such as 10kpps or max")),
    of(&["generator"], keyword("streams", "YAML", Kind::Yaml, "generator: its streams, as in the configuration file")),
    of(&["generator"], keyword("burst", "PACKETS", Kind::Number(1, 256), "generator: packets to send at a time")),
    of(&["generator"], keyword("check", "BOOL", BOOL, "generator: verify checksums")),
    of(&["generator"], keyword("latency", "BOOL", BOOL, "generator: measure how long packets take")),
];

/// The keys of all interfaces, and of all but sub-interfaces.
pub const OF_ALL: [Keyword; 7] = [
    keyword("mtu", "BYTES", Kind::Number(68, 65535), "largest IP packet to send, in bytes"),
    keyword("mac", "MAC", Kind::Mac, "hardware address"),
    keyword("vrf", "VRF", Kind::Vrf, "VRF to look packets up in"),
    keyword(
        "router-advertisements",
        "WHAT",
        Kind::Suggest(&["on", "off"]),
        "what IPv6 hosts on the link are told: on, off, or keys as in the configuration file",
    ),
    keyword(
        "urpf",
        "MODE",
        Kind::Choice(&["off", "strict", "loose"]),
        "filter sources: routed back by it, or routed at all",
    ),
    keyword(
        "mss-clamp",
        "BYTES",
        Kind::Suggest(&["off", "auto"]),
        "largest TCP segment to ask for: off, auto (what fits the MTU), or 536 to 65495",
    ),
    of(
        &["af-packet", "af-xdp", "tap", "memif", "vhost-user", "dpdk", "pcap", "loopback", "generator"],
        keyword(
            "cross-connect",
            "OTHER",
            Kind::InterfaceOr(&["off"]),
            "the interface that all it receives leaves by, untouched; or off",
        ),
    ),
];

/// What `interface add` has besides: the state is a word of its own in `interface set`.
pub const STATE: Keyword = keyword("state", "STATE", Kind::Choice(&["up", "down"]), "whether it is to be up");
/// The same in `interface set`.
const UP_OR_DOWN: [Keyword; 2] = [flag("up", "let packets pass"), flag("down", "let no packet pass")];

/// Everything that `interface set` can set.
pub const SETTINGS: [Keyword; 29] = {
    let mut all = [UP_OR_DOWN[0]; 29];
    let mut at = 0;
    while at < all.len() {
        all[at] = match at {
            0..2 => UP_OR_DOWN[at],
            2..9 => OF_ALL[at - 2],
            _ => OF_DRIVERS[at - 9],
        };
        at += 1;
    }
    all
};

/// How a value goes into the configuration.
pub enum Form {
    /// As YAML reads it.
    Yaml,
    /// A text, which may look like a number or hold colons.
    Text,
    /// The path of a file, from the root.
    Path,
}

/// The form of a key's value.
pub fn form(key: &str) -> Form {
    match key {
        "device" | "mac" | "vrf" | "secret" | "cross-connect" => Form::Text,
        "read" | "write" | "socket" => Form::Path,
        _ => Form::Yaml,
    }
}
