//! Bridges as they are: `show bridges`.
use millrace_api::v1::{Bridge, BridgePort, BridgeVlan, ListBridgesRequest, StormControl};

use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Kind, Value};
use crate::output::{self, Cell, Color, Output, Table};
use crate::session::Session;

const NAME: Value = Value { name: "NAME", kind: Kind::Bridge, help: "this one, with its ports and VLANs" };

pub const COMMANDS: &[Command] = &[Command {
    path: &["show", "bridges"],
    args: &[Arg::Maybe(NAME)],
    help: "bridges: settings, ports, VLANs, how many stations they know",
    more: "The settings of a port are what holds there: those of the bridge come first. Counters are since the port came into the \
           bridge.",
    run: show,
}];

fn show(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListBridgesRequest { name: args.owned("NAME") };
    let reply = session.call(|mut client| async move { client.show.list_bridges(request).await })?;
    let output = session.output;
    match (args.get("NAME"), reply.bridges.first()) {
        (Some(_), Some(bridge)) => session.print(bridge, |bridge| details(&output, bridge)),
        _ => session.print(&reply.bridges[..], |bridges| table(&output, bridges)),
    }
}

fn table(output: &Output, bridges: &[Bridge]) -> String {
    if bridges.is_empty() {
        return "no bridges\n".to_owned();
    }
    let mut table =
        Table::new(output, &["Name", ">Stations", ">MAC limit", ">MAC age", ">Moves", ">VLANs", "BVI", "Interfaces"]);
    for bridge in bridges {
        let bvi = bridge.bvi.as_ref().map(|bvi| match bvi.addresses.join(" ") {
            addresses if addresses.is_empty() => bvi.link.clone(),
            addresses => addresses,
        });
        let names: Vec<&str> = bridge.ports.iter().map(|port| port.interface.as_str()).collect();
        table.row([
            (&bridge.bridge).into(),
            bridge.stations.into(),
            bridge.mac_limit.into(),
            age(bridge).into(),
            bridge.moves.into(),
            vlans(&bridge.vlans).count().into(),
            bvi.unwrap_or_else(|| "-".to_owned()).into(),
            names.join(" ").into(),
        ]);
    }
    table.text()
}

/// Those that are VLANs.
fn vlans(all: &[BridgeVlan]) -> impl Iterator<Item = &BridgeVlan> {
    all.iter().filter(|vlan| vlan.vlan != 0)
}

fn age(bridge: &Bridge) -> String {
    if bridge.mac_age == 0 { "never".to_owned() } else { output::seconds(bridge.mac_age.into()) }
}

fn details(output: &Output, bridge: &Bridge) -> String {
    let mut text = format!("{}\n", output.paint(Color::Bold, &bridge.bridge));
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<10} {value}\n"));
    let each = if vlans(&bridge.vlans).count() > 0 { " in each VLAN" } else { "" };
    let Bridge { stations, static_stations, mac_limit, .. } = bridge;
    let forgotten =
        if bridge.mac_age == 0 { "never forgotten".to_owned() } else { format!("forgotten after {}", age(bridge)) };
    line("stations", format!("{stations}, {static_stations} of them static; at most {mac_limit}{each}; {forgotten}"));
    line("moves", bridge.moves.to_string());
    let switch = |(name, on): (&str, bool)| format!("{name} {}", if on { "on" } else { "off" });
    let switches = [("learn", bridge.learn), ("forward", bridge.forward), ("flood", bridge.flood)].map(switch);
    line("frames", format!("{}, unknown-unicast {}, stp {}", switches.join(", "), bridge.unknown_unicast, bridge.stp));
    let looks = [
        ("arp-suppression", bridge.arp_suppression),
        ("igmp-snooping", bridge.igmp_snooping),
        ("mld-snooping", bridge.mld_snooping),
    ];
    line("looks", looks.map(switch).join(", "));
    line("bvi", bvi(bridge));
    let peculiar: Vec<_> = bridge.ports.iter().map(|port| (port, peculiarities(port))).collect();
    if !bridge.ports.is_empty() {
        let columns =
            ["Port", "State", ">Stations", ">Moves", ">Storm drops", ">Not learnt", ">Spoofed", "VLANs", "Settings"];
        let mut table = Table::new(output, &columns);
        for (port, settings) in &peculiar {
            let (word, color) = condition(port);
            let drops = port.storm_drops.as_ref().map_or(0, |drops| drops.broadcast + drops.multicast + drops.unknown);
            let not_learnt = port.port_full + port.bridge_full;
            let alarm = |count: u64| {
                let cell = Cell::from(count);
                if count > 0 { cell.color(Color::Yellow) } else { cell }
            };
            table.row([
                (&port.interface).into(),
                Cell::from(word).color(color),
                port.stations.into(),
                port.moves.into(),
                alarm(drops),
                alarm(not_learnt),
                alarm(port.spoofed),
                tagging(port).into(),
                settings.join(", ").into(),
            ]);
        }
        text.push_str(&format!("\n{}", table.text()));
    }
    if vlans(&bridge.vlans).count() > 0 {
        let mut table = Table::new(output, &[">VLAN", ">Stations", "BVI", "Ports"]);
        for vlan in &bridge.vlans {
            table.row([
                if vlan.vlan == 0 { "-".to_owned() } else { vlan.vlan.to_string() }.into(),
                vlan.stations.into(),
                vlan.bvi.clone().unwrap_or_else(|| "-".to_owned()).into(),
                vlan.interfaces.join(" ").into(),
            ]);
        }
        text.push_str(&format!("\n{}", table.text()));
    }
    text
}

fn bvi(bridge: &Bridge) -> String {
    let Some(bvi) = &bridge.bvi else { return "none".to_owned() };
    let word = if bvi.state == "down" { "down" } else { &bvi.link };
    let mut text = format!("{word}, {}", bvi.mac);
    for (what, words) in [("", &bvi.addresses), (" VLANs", &bvi.sub_interfaces)] {
        if !words.is_empty() {
            text.push_str(&format!(",{what} {}", words.join(" ")));
        }
    }
    text
}

/// One word for what is configured and what the device says, and whether it is good.
fn condition(port: &BridgePort) -> (&str, Color) {
    match (port.state.as_str(), port.link.as_str()) {
        ("down", _) => ("down", Color::Yellow),
        (_, "up") => ("up", Color::Green),
        (_, "down") => ("no-link", Color::Red),
        (_, link) => (link, Color::Red),
    }
}

fn tagging(port: &BridgePort) -> String {
    let vlan = port.vlan.map(|vlan| vlan.to_string());
    match port.tagging.as_str() {
        "plain" => "-".to_owned(),
        "access" => format!("access {}", vlan.unwrap_or_default()),
        "trunk" => {
            let native = vlan.map(|vlan| format!(" native {vlan}")).unwrap_or_default();
            format!("trunk {}{native}", port.trunk.as_deref().unwrap_or_default())
        }
        word => format!("{word} {}", vlan.unwrap_or_default()).trim_end().to_owned(),
    }
}

/// What is not as it is by default.
fn peculiarities(port: &BridgePort) -> Vec<String> {
    let mut words = Vec::new();
    for (name, on) in [("learn", port.learn), ("flood", port.flood)] {
        if !on {
            words.push(format!("{name} off"));
        }
    }
    if port.unknown_unicast != "flood" {
        words.push(format!("unknown-unicast {}", port.unknown_unicast));
    }
    if port.isolated {
        words.push("isolated".to_owned());
    }
    if port.split_horizon_group != 0 {
        words.push(format!("split-horizon-group {}", port.split_horizon_group));
    }
    words.extend(port.mac_limit.map(|limit| format!("mac-limit {limit}")));
    words.extend(port.storm_control.as_ref().map(storm));
    words
}

fn storm(limits: &StormControl) -> String {
    let limits = [("broadcast", limits.broadcast), ("multicast", limits.multicast), ("unknown", limits.unknown)];
    let words = limits.into_iter().filter_map(|(name, limit)| Some(format!(" {name} {}", limit?)));
    format!("storm-control{}", words.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;
    use millrace_api::v1::{BridgeBvi, StormDrops};

    const OUTPUT: Output = Output { format: Format::Table, colors: false, terminal: false };

    fn bridge() -> Bridge {
        let port = |name: &str| BridgePort {
            interface: name.into(),
            state: "up".into(),
            link: "up".into(),
            learn: true,
            flood: true,
            unknown_unicast: "flood".into(),
            tagging: "plain".into(),
            stations: 3,
            ..BridgePort::default()
        };
        let trunk = BridgePort {
            isolated: true,
            learn: false,
            link: "missing".into(),
            tagging: "trunk".into(),
            vlan: Some(1),
            trunk: Some("1,20-30".into()),
            storm_control: Some(StormControl { broadcast: Some(100), multicast: None, unknown: Some(5) }),
            storm_drops: Some(StormDrops { broadcast: 7, multicast: 0, unknown: 1 }),
            ..port("p2")
        };
        Bridge {
            bridge: "br0".into(),
            mac_age: 300,
            mac_limit: 65536,
            learn: true,
            forward: true,
            flood: true,
            unknown_unicast: "drop".into(),
            stp: "drop".into(),
            stations: 7,
            static_stations: 1,
            moves: 2,
            bvi: Some(BridgeBvi {
                interface: "br0".into(),
                state: "up".into(),
                link: "up".into(),
                mac: "02:00:00:00:00:01".into(),
                addresses: vec!["192.168.2.1/24".into()],
                sub_interfaces: vec!["br0.20".into()],
            }),
            ports: vec![port("p1"), trunk],
            ..Bridge::default()
        }
    }

    #[test]
    fn a_listing_is_a_table() {
        assert_eq!(
            table(&OUTPUT, &[bridge()]),
            "Name  Stations  MAC limit  MAC age  Moves  VLANs  BVI             Interfaces\n\
             br0          7      65536    5m00s      2      0  192.168.2.1/24  p1 p2\n"
        );
        assert_eq!(table(&OUTPUT, &[]), "no bridges\n");
    }

    #[test]
    fn one_bridge_is_described() {
        let vlan = BridgeVlan { vlan: 20, stations: 4, interfaces: vec!["p2".into()], bvi: Some("br0.20".into()) };
        let untagged = BridgeVlan { vlan: 0, stations: 3, interfaces: vec!["p1".into()], bvi: Some("br0".into()) };
        let text = details(&OUTPUT, &Bridge { vlans: vec![untagged, vlan], ..bridge() });
        assert_eq!(
            text,
            "br0
  stations   7, 1 of them static; at most 65536 in each VLAN; forgotten after 5m00s
  moves      2
  frames     learn on, forward on, flood on, unknown-unicast drop, stp drop
  looks      arp-suppression off, igmp-snooping off, mld-snooping off
  bvi        up, 02:00:00:00:00:01, 192.168.2.1/24, VLANs br0.20

Port  State    Stations  Moves  Storm drops  Not learnt  Spoofed  VLANs                   Settings
p1    up              3      0            0           0        0  -
p2    missing         3      0            8           0        0  trunk 1,20-30 native 1  learn off, isolated, storm-control broadcast 100 unknown 5

VLAN  Stations  BVI     Ports
   -         3  br0     p1
  20         4  br0.20  p2
"
        );
        let ageless = details(&OUTPUT, &Bridge { mac_age: 0, ..bridge() });
        assert!(ageless.contains("at most 65536; never forgotten\n"), "{ageless}");
    }
}
