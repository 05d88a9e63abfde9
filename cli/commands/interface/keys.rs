//! The words of `interface add` and `interface set`: the keys of the configuration, each with what may stand after it.
use crate::grammar::{Keyword, Kind, flag, keyword};

/// The drivers of interfaces, and what makes a sub-interface.
pub const DRIVERS: &[&str] = &[
    "af-packet",
    "af-xdp",
    "tap",
    "memif",
    "vhost-user",
    "dpdk",
    "pcap",
    "loopback",
    "generator",
    "vlan",
    "bvi",
    "vxlan",
    "gre",
    "ipip",
    "bond",
];

/// `true` and `false`.
const BOOL: Kind = Kind::Choice(&["true", "false"]);

/// A key that interfaces of these drivers have.
const fn of(drivers: &'static [&'static str], keyword: Keyword) -> Keyword {
    Keyword { with: Some(("driver", drivers)), ..keyword }
}

/// The keys of drivers.
pub const OF_DRIVERS: [Keyword; 39] = [
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
        &["af-xdp", "bond"],
        keyword(
            "mode",
            "MODE",
            Kind::Suggest(&["auto", "native", "generic", "active-backup", "lacp"]),
            "af-xdp: in the device's driver or behind it; bond: who decides which members carry frames",
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
    of(
        &["vlan"],
        keyword("tag-type", "TYPE", Kind::Choice(&["802.1q", "802.1ad"]), "vlan: what kind the (outer) tag is"),
    ),
    of(&["vxlan"], keyword("vni", "NUMBER", Kind::Number(1, 16_777_214), "vxlan: the VXLAN network identifier")),
    of(TUNNELS, keyword("local", "ADDRESS", Kind::Address, "tunnels: the router's own end")),
    of(&["gre", "ipip"], keyword("remote", "ADDRESS", Kind::Address, "gre, ipip: the other end")),
    of(
        &["vxlan"],
        keyword(
            "remotes",
            "ADDRESSES",
            Kind::OrOff(&Kind::Addresses),
            "vxlan: the ends that frames to everyone go to; or off",
        ),
    ),
    of(&["vxlan"], keyword("port", "NUMBER", Kind::Number(1, 65535), "vxlan: the UDP port at both ends")),
    of(&["vxlan"], keyword("learn-remotes", "BOOL", BOOL, "vxlan: whether ends that are not in remotes are heard")),
    of(
        &["vxlan"],
        keyword(
            "udp-checksum",
            "WHEN",
            Kind::Choice(&["auto", "on", "off"]),
            "vxlan: whether it is computed; auto: with IPv6",
        ),
    ),
    of(
        &["gre"],
        keyword(
            "key",
            "NUMBER",
            Kind::OrOff(&Kind::Number(0, u32::MAX as u64)),
            "gre: which tunnel between two ends it is; or off",
        ),
    ),
    of(&["gre"], keyword("checksum", "BOOL", BOOL, "gre: whether packets carry a checksum")),
    of(TUNNELS, keyword("ttl", "NUMBER", Kind::Number(1, 255), "tunnels: TTL or hop limit of the outer header")),
    of(
        &["gre", "ipip"],
        keyword("tos", "TOS", Kind::Suggest(&["inherit"]), "gre, ipip: type of service outside, or inherit"),
    ),
    of(
        TUNNELS,
        keyword(
            "df",
            "DF",
            Kind::Choice(&["inherit", "set", "clear"]),
            "tunnels: whether IPv4 outside must not be fragmented",
        ),
    ),
    of(TUNNELS, keyword("underlay-vrf", "VRF", Kind::Vrf, "tunnels: VRF that the outer packets are routed in")),
    of(&["bond"], keyword("members", "NAMES", Kind::InterfacesOr(&[]), "bond: interfaces that it is made of")),
    of(
        &["bond"],
        keyword(
            "hash",
            "FIELDS",
            Kind::Choice(&["layer3+4", "layer2", "layer2+3"]),
            "bond: what of a frame says by which member it leaves",
        ),
    ),
    of(
        &["bond"],
        keyword(
            "lacp-rate",
            "RATE",
            Kind::Choice(&["slow", "fast"]),
            "bond: how often the other side is to tell about itself",
        ),
    ),
    of(
        &["bond"],
        keyword(
            "primary",
            "NAME",
            Kind::InterfaceOr(&["off"]),
            "bond: the member that is used whenever it can be; or off",
        ),
    ),
    of(
        &["bond"],
        keyword("min-links", "NUMBER", Kind::Number(1, 16), "bond: how many members must work for it to be up"),
    ),
];

/// The drivers of tunnels.
const TUNNELS: &[&str] = &["vxlan", "gre", "ipip"];

/// The keys of a port of a bridge.
pub const OF_PORTS: [Keyword; 11] = [
    keyword("bridge", "BRIDGE", Kind::BridgeOr(&["off"]), "the bridge that it is a port of; or off"),
    keyword("learn", "BOOL", BOOL, "port: whether stations behind it are learnt"),
    keyword("flood", "BOOL", BOOL, "port: whether its broadcast and multicast is flooded"),
    keyword(
        "unknown-unicast",
        "WHAT",
        Kind::Choice(&["flood", "drop"]),
        "port: what becomes of its frames to stations that nobody knows",
    ),
    keyword("isolated", "BOOL", BOOL, "port: whether frames between it and other isolated ports are dropped"),
    keyword(
        "split-horizon-group",
        "NUMBER",
        Kind::Number(0, 255),
        "port: ports of one group don't send to each other; 0: none",
    ),
    keyword("mac-limit", "NUMBER", Kind::Suggest(&["off"]), "port: the most stations behind it, or off"),
    keyword(
        "storm-control",
        "YAML",
        Kind::Suggest(&["off"]),
        "port: frames a second let in: {broadcast: 1000, multicast: 1000, unknown: 1000}, or off",
    ),
    keyword("vlan", "VLAN", Kind::Suggest(&["off"]), "port: access port, untagged frames are of this VLAN; or off"),
    keyword(
        "trunk",
        "VLANS",
        Kind::Suggest(&["all", "off"]),
        "port: tagged frames of these VLANs: 10,20-30, or {vlans: all, native: 1}",
    ),
    keyword(
        "tag-rewrite",
        "WHAT",
        Kind::Suggest(&["pop", "keep"]),
        "port: what becomes of a sub-interface's tags: pop, keep, {push: VLAN} or {translate: VLAN}",
    ),
];

/// The keys of all interfaces, and of all but sub-interfaces.
pub const OF_ALL: [Keyword; 7] = [
    keyword("mtu", "BYTES", Kind::Number(68, 65535), "largest IP packet to send, in bytes"),
    keyword(
        "mac",
        "MAC",
        Kind::OrOff(&Kind::Mac),
        "hardware address; off: the device's, or one of the router's making",
    ),
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
        &[
            "af-packet",
            "af-xdp",
            "tap",
            "memif",
            "vhost-user",
            "dpdk",
            "pcap",
            "loopback",
            "generator",
            "vxlan",
            "bond",
        ],
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
pub const SETTINGS: [Keyword; 59] = {
    let mut all = [UP_OR_DOWN[0]; 59];
    let mut at = 0;
    while at < all.len() {
        all[at] = match at {
            0..2 => UP_OR_DOWN[at],
            2..9 => OF_ALL[at - 2],
            9..20 => OF_PORTS[at - 9],
            _ => OF_DRIVERS[at - 20],
        };
        at += 1;
    }
    all
};

/// Whether it is said that a key has no value any more, where `off` is no value of its own.
pub fn is_unset(key: &str, text: &str) -> bool {
    text == "off" && ["mac", "remotes", "key", "primary"].contains(&key)
}

/// How a value goes into the configuration.
pub enum Form {
    /// As YAML reads it.
    Yaml,
    /// A text, which may look like a number or hold colons.
    Text,
    /// The path of a file, from the root.
    Path,
    /// Texts with commas between; or a list as YAML reads it.
    List,
}

/// The form of a key's value.
pub fn form(key: &str) -> Form {
    match key {
        "device" | "mac" | "vrf" | "secret" | "cross-connect" | "bridge" | "local" | "remote" | "underlay-vrf"
        | "primary" | "to" | "system-name" | "system-description" => Form::Text,
        "members" | "remotes" | "from" | "interfaces" => Form::List,
        "read" | "write" | "socket" | "file" => Form::Path,
        _ => Form::Yaml,
    }
}
