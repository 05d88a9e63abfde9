//! Interfaces: `show interfaces`, `interface add|remove|set`.
use millrace_api::v1::edit_request::Edit;
use millrace_api::v1::{
    Interface, InterfaceAdd, InterfaceRemove, InterfaceSet, ListInterfacesRequest, RouterAdvertisements, Setting,
};

use super::config::{absolute, edit};
use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Keyword, Kind, flag, keyword, maybe, value};
use crate::output::{self, Cell, Color, Output, Table};
use crate::session::Session;

const DRIVERS: &[&str] = &["af-packet", "tap", "pcap", "loopback", "generator", "vlan"];

const MTU: Keyword = keyword("mtu", "BYTES", Kind::Number(68, 65535), "largest IP packet to send, in bytes");
const MAC: Keyword = keyword("mac", "MAC", Kind::Mac, "hardware address");
const VRF: Keyword = keyword("vrf", "VRF", Kind::Vrf, "VRF to look packets up in");
const ROUTER_ADVERTISEMENTS: Keyword = keyword(
    "router-advertisements",
    "WHAT",
    Kind::Suggest(&["on", "off"]),
    "what IPv6 hosts on the link are told: on, off, or keys as in the configuration file",
);

const URPF: Keyword = keyword(
    "urpf",
    "MODE",
    Kind::Choice(&["off", "strict", "loose"]),
    "filter sources: routed back by it, or routed at all",
);
const MSS_CLAMP: Keyword = keyword(
    "mss-clamp",
    "BYTES",
    Kind::Suggest(&["off", "auto"]),
    "largest TCP segment to ask for: off, auto (what fits the MTU), or 536 to 65495",
);

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["show", "interfaces"],
        args: &[maybe("NAME", Kind::Interface, "only this interface, with all its details")],
        help: "interfaces with their counters and rates",
        more: "Counters are since the last `clear counters`, rates over about the last second.",
        run: show,
    },
    Command {
        path: &["interface", "add"],
        args: &[
            value("NAME", Kind::Word, "name for the interface: letters, digits, `.`, `_`, `-`"),
            Arg::Required(keyword("driver", "DRIVER", Kind::Suggest(DRIVERS), "how to reach the device")),
            Arg::Option(keyword("device", "DEVICE", Kind::Word, "what the driver opens, such as a Linux device")),
            Arg::Option(keyword("address", "ADDRESS", Kind::InterfaceAddresses, "addresses with their prefix lengths")),
            Arg::Option(MTU),
            Arg::Option(MAC),
            Arg::Option(VRF),
            Arg::Option(ROUTER_ADVERTISEMENTS),
            Arg::Option(URPF),
            Arg::Option(MSS_CLAMP),
            Arg::Option(keyword("state", "STATE", Kind::Choice(&["up", "down"]), "whether it is to be up")),
            Arg::Option(keyword("queues", "NUMBER", Kind::Number(1, 64), "receive queues")),
            Arg::Option(keyword("read", "FILE", Kind::File, "pcap: file to read packets from")),
            Arg::Option(keyword("write", "FILE", Kind::File, "pcap: file to write packets to")),
            Arg::Option(keyword("loop", "TIMES", Kind::Word, "pcap: how often to read the file")),
            Arg::Option(keyword("rate", "RATE", Kind::Word, "pcap: how fast to read, such as 10kpps or max")),
            Arg::Option(keyword("streams", "YAML", Kind::Yaml, "generator: its streams, as in the configuration file")),
            Arg::Option(keyword("burst", "PACKETS", Kind::Number(1, 256), "generator: packets to send at a time")),
            Arg::Option(keyword("check", "BOOL", Kind::Choice(&["true", "false"]), "generator: verify checksums")),
        ],
        help: "add an interface",
        more: "  interface add wan driver af-packet device eth0 address 203.0.113.2/24\n  \
               interface add lan driver tap device mr-lan address 192.168.1.1/24,2001:db8::1/64 mtu 9000\n  \
               interface add wan.100 driver vlan address 10.100.0.1/24",
        run: add,
    },
    Command {
        path: &["interface", "remove"],
        args: &[value("NAME", Kind::Interface, "interface to remove")],
        help: "remove an interface",
        more: "",
        run: remove,
    },
    Command {
        path: &["interface", "set"],
        args: &[
            value("NAME", Kind::Interface, "interface to change"),
            Arg::AnyOf(&[
                flag("up", "let packets pass"),
                flag("down", "let no packet pass"),
                MTU,
                MAC,
                VRF,
                ROUTER_ADVERTISEMENTS,
                URPF,
                MSS_CLAMP,
            ]),
        ],
        help: "change an interface",
        more: "  interface set wan down\n  interface set lan mtu 9000 vrf blue\n  \
               interface set wan urpf strict mss-clamp auto\n  \
               interface set lan router-advertisements on\n  \
               interface set lan router-advertisements '{interval: 30s, dns: [\"2001:db8::53\"]}'",
        run: set,
    },
];

fn show(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListInterfacesRequest { name: args.owned("NAME") };
    let reply = session.call(|mut client| async move { client.show.list_interfaces(request).await })?;
    let output = session.output;
    match (args.get("NAME"), reply.interfaces.first()) {
        (Some(_), Some(interface)) => session.print(interface, |interface| details(&output, interface)),
        _ => session.print(&reply.interfaces[..], |interfaces| table(&output, interfaces)),
    }
}

/// The keywords of `interface add` that go into the configuration as they are.
const ADD_KEYS: &[&str] = &[
    "device",
    "mtu",
    "mac",
    "vrf",
    "router-advertisements",
    "urpf",
    "mss-clamp",
    "state",
    "queues",
    "loop",
    "rate",
    "streams",
    "burst",
    "check",
];

fn add(session: &mut Session, args: &Args) -> Result<(), Error> {
    let mut settings = settings(args, ADD_KEYS);
    for key in ["read", "write"] {
        if let Some(path) = args.get(key) {
            settings.push(Setting { key: key.to_owned(), value: quoted(&absolute(path)?) });
        }
    }
    if let Some(addresses) = args.get("address") {
        let addresses: Vec<String> = addresses.split(',').map(quoted).collect();
        settings.push(Setting { key: "addresses".to_owned(), value: format!("[{}]", addresses.join(", ")) });
    }
    edit(session, Edit::InterfaceAdd(InterfaceAdd { name: args.text("NAME"), driver: args.text("driver"), settings }))
}

fn remove(session: &mut Session, args: &Args) -> Result<(), Error> {
    edit(session, Edit::InterfaceRemove(InterfaceRemove { name: args.text("NAME") }))
}

fn set(session: &mut Session, args: &Args) -> Result<(), Error> {
    let mut settings = settings(args, &["mtu", "mac", "vrf", "router-advertisements", "urpf", "mss-clamp"]);
    match (args.has("up"), args.has("down")) {
        (true, true) => return Err(Error::usage("\"up\" and \"down\" exclude each other")),
        (false, false) => {}
        (up, _) => {
            let value = if up { "up" } else { "down" };
            settings.push(Setting { key: "state".to_owned(), value: value.to_owned() });
        }
    }
    edit(session, Edit::InterfaceSet(InterfaceSet { name: args.text("NAME"), settings }))
}

/// The keywords that were given, as they would stand in the configuration file.
fn settings(args: &Args, keys: &[&'static str]) -> Vec<Setting> {
    let given = keys.iter().filter_map(|key| Some((*key, args.get(key)?)));
    given
        .map(|(key, text)| {
            // Names may look like numbers or hold colons; everything else is meant as YAML reads it.
            let name = matches!(key, "device" | "mac" | "vrf");
            Setting { key: key.to_owned(), value: if name { quoted(text) } else { text.to_owned() } }
        })
        .collect()
}

/// A YAML string in double quotes, which takes the same escapes as JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// One word for what is configured and what the device says, and whether it is good.
fn condition(interface: &Interface) -> (&str, Color) {
    match (interface.state.as_str(), interface.link.as_str()) {
        ("down", _) => ("down", Color::Yellow),
        (_, "up") => ("up", Color::Green),
        (_, "down") => ("no-link", Color::Red),
        (_, link) => (link, Color::Red),
    }
}

fn table(output: &Output, interfaces: &[Interface]) -> String {
    let columns =
        ["Name", "State", "Driver", ">MTU", ">RX packets", ">RX/s", ">TX packets", ">TX/s", ">Drops", "Addresses"];
    let mut table = Table::new(output, &columns);
    for interface in interfaces {
        let (word, color) = condition(interface);
        let drops = Cell::from(interface.rx_drops + interface.tx_drops);
        table.row([
            (&interface.name).into(),
            Cell::from(word).color(color),
            (&interface.driver).into(),
            interface.mtu.into(),
            interface.rx_packets.into(),
            output::rate(interface.rx_pps).into(),
            interface.tx_packets.into(),
            output::rate(interface.tx_pps).into(),
            drops,
            interface.addresses.join(" ").into(),
        ]);
    }
    table.text()
}

fn details(output: &Output, interface: &Interface) -> String {
    let (word, color) = condition(interface);
    let mut text = format!("{} is {}\n", interface.name, output.paint(color, word));
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("  {name:<13} {value}\n"));
        }
    };
    let device = if interface.device.is_empty() { String::new() } else { format!(" {}", interface.device) };
    line("driver", format!("{}{device}", interface.driver));
    line("state", format!("{}, link {}", interface.state, interface.link));
    if let (Some(parent), Some(vlan)) = (&interface.parent, interface.vlan) {
        line("parent", format!("{parent}, VLAN {vlan}"));
    }
    line("mac", interface.mac.clone());
    line("mtu", interface.mtu.to_string());
    line("vrf", interface.vrf.clone());
    line("bridge", interface.bridge.clone().unwrap_or_default());
    line("addresses", interface.addresses.join(" "));
    let counts = |packets, bytes, drops| format!("{packets} packets, {bytes} bytes, {drops} drops");
    line("received", counts(interface.rx_packets, interface.rx_bytes, interface.rx_drops));
    line("sent", counts(interface.tx_packets, interface.tx_bytes, interface.tx_drops));
    let rates = |pps, bps| format!("{} packets/s, {} bits/s", output::rate(pps), output::rate(bps));
    line("receiving", rates(interface.rx_pps, interface.rx_bps));
    line("sending", rates(interface.tx_pps, interface.tx_bps));
    if let Some(details) = &interface.details {
        details.mode.split("; ").for_each(|mode| line("mode", mode.to_owned()));
        let queue = |queue: &millrace_api::v1::InterfaceQueue| match queue.worker {
            Some(worker) => format!("{} on worker {worker}", queue.queue),
            None => format!("{} on no worker", queue.queue),
        };
        line("queues", details.queues.iter().map(queue).collect::<Vec<_>>().join(", "));
        line("capabilities", details.capabilities.join(", "));
        for (name, setting) in [("urpf", &details.urpf), ("mss-clamp", &details.mss_clamp)] {
            if setting != "off" {
                line(name, setting.clone());
            }
        }
        line("features", details.features.join(", "));
        for address in &details.ipv6_addresses {
            line("ipv6", format!("{} {}", address.address, address.state));
        }
        if let Some(told) = &details.router_advertisements {
            line("hosts told", advertisements(told));
        }
        for count in details.statistics.iter().filter(|count| count.count > 0) {
            line("driver count", format!("{} {}", count.count, count.name));
        }
        for note in &details.notes {
            line("note", note.clone());
        }
    }
    text
}

fn advertisements(told: &RouterAdvertisements) -> String {
    let seconds = |seconds: f64| output::seconds(seconds.round() as u64);
    let mut parts = vec![format!("{} router advertisements", told.sent)];
    parts.extend(told.last_seconds.map(|ago| format!("the last {} ago", seconds(ago))));
    parts.extend(told.next_seconds.map(|time| format!("the next in {}", seconds(time))));
    parts.push(format!("{} solicitations", told.solicitations));
    if !told.prefixes.is_empty() {
        parts.push(format!("prefixes {}", told.prefixes.join(" ")));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;
    use millrace_api::v1::{InterfaceDetails, InterfaceQueue, Ipv6Address};

    const OUTPUT: Output = Output { format: Format::Table, colors: false, terminal: false };

    fn wan() -> Interface {
        Interface {
            name: "wan".into(),
            driver: "af-packet".into(),
            device: "eth0".into(),
            state: "up".into(),
            link: "missing".into(),
            mtu: 1500,
            vrf: "default".into(),
            addresses: vec!["203.0.113.2/24".into()],
            rx_packets: 12,
            rx_pps: 1234.0,
            tx_drops: 3,
            ..Default::default()
        }
    }

    #[test]
    fn a_listing_is_a_table() {
        let lan = Interface { name: "lan".into(), state: "down".into(), link: "up".into(), ..Default::default() };
        assert_eq!(
            table(&OUTPUT, &[lan, wan()]),
            "Name  State    Driver      MTU  RX packets   RX/s  TX packets  TX/s  Drops  Addresses\n\
             lan   down                   0           0      0           0     0      0\n\
             wan   missing  af-packet  1500          12  1.23k           0     0      3  203.0.113.2/24\n"
        );
    }

    #[test]
    fn one_interface_is_described() {
        let queue = InterfaceQueue { queue: 0, worker: Some(1) };
        let address = Ipv6Address { address: "fe80::1/64".into(), state: "tentative".into() };
        let told = RouterAdvertisements {
            sent: 3,
            solicitations: 2,
            last_seconds: Some(9.6),
            next_seconds: Some(300.0),
            prefixes: vec!["2001:db8::/64".into()],
        };
        let details = InterfaceDetails {
            queues: vec![queue],
            notes: vec!["no eth0".into()],
            ipv6_addresses: vec![address],
            router_advertisements: Some(told),
            ..Default::default()
        };
        let text = super::details(&OUTPUT, &Interface { details: Some(details), ..wan() });
        assert!(text.starts_with("wan is missing\n  driver        af-packet eth0\n"), "{text}");
        assert!(text.contains("\n  receiving     1.23k packets/s, 0 bits/s\n"), "{text}");
        assert!(text.ends_with("\n  queues        0 on worker 1\n  ipv6          fe80::1/64 tentative\n  hosts told    3 router advertisements, the last 10s ago, \
                           the next in 5m00s, 2 solicitations, prefixes 2001:db8::/64\n  note          no eth0\n"), "{text}");
    }

    #[test]
    fn settings_are_what_the_file_would_hold() {
        assert_eq!(quoted("02:00:00:00:00:01"), r#""02:00:00:00:00:01""#);
        assert_eq!(quoted(r#"a"b"#), r#""a\"b""#);
    }
}
