//! Who is at the other end of the wire, by LLDP: `show lldp neighbors`, `show lldp interfaces`.
use millrace_api::v1::{ListLldpNeighborsReply, ListLldpNeighborsRequest, LldpInterface, LldpNeighbor};

use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Keyword, Kind, flag, keyword};
use crate::output::{self, Color, Output, Table};
use crate::session::Session;

const INTERFACE: Keyword =
    keyword("interface", "NAME", Kind::Interface, "only on this interface, with all that they tell");

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["show", "lldp", "neighbors"],
        args: &[Arg::Option(INTERFACE), Arg::Option(flag("detail", "with all that they tell"))],
        help: "neighbours that tell of themselves by LLDP",
        more: "LLDP is switched on by `lldp set enabled true`.\n\n  \
               show lldp neighbors\n  \
               show lldp neighbors interface wan",
        run: neighbors,
    },
    Command {
        path: &["show", "lldp", "interfaces"],
        args: &[],
        help: "interfaces that take part in LLDP, and what they counted",
        more: "An interface takes part while it has a link and a device with a wire.",
        run: interfaces,
    },
];

fn list(session: &mut Session, interface: Option<String>) -> Result<ListLldpNeighborsReply, Error> {
    let request = ListLldpNeighborsRequest { interface };
    session.call(|mut client| async move { client.show.list_lldp_neighbors(request).await })
}

fn neighbors(session: &mut Session, args: &Args) -> Result<(), Error> {
    let reply = list(session, args.owned("interface"))?;
    let (output, enabled) = (session.output, reply.enabled);
    let detail = args.has("detail") || args.get("interface").is_some();
    session.print(&reply.neighbors[..], |neighbors| match neighbors {
        [] if enabled => "no neighbors\n".to_owned(),
        [] => "no neighbors: LLDP is off; `lldp set enabled true` switches it on\n".to_owned(),
        all if detail => all.iter().map(|one| details(&output, one)).collect::<Vec<_>>().join("\n"),
        all => table(&output, all),
    })
}

fn table(output: &Output, neighbors: &[LldpNeighbor]) -> String {
    let mut table = Table::new(output, &["Interface", "System", "Port", "Chassis", "Capabilities", ">Age", ">TTL"]);
    for one in neighbors {
        table.row([
            (&one.interface).into(),
            one.system_name.as_deref().filter(|name| !name.is_empty()).unwrap_or("-").into(),
            (&one.port_id).into(),
            (&one.chassis_id).into(),
            one.enabled_capabilities.join(",").into(),
            output::seconds(one.age.into()).into(),
            one.ttl.into(),
        ]);
    }
    table.text()
}

fn details(output: &Output, one: &LldpNeighbor) -> String {
    let mut text = format!("{}\n", output.paint(Color::Bold, &one.interface));
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<13} {value}\n"));
    let mut some = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            line(name, &value);
        }
    };
    some("chassis", Some(format!("{} ({})", one.chassis_id, one.chassis_id_type)));
    some("port", Some(format!("{} ({})", one.port_id, one.port_id_type)));
    some("description", one.port_description.clone());
    some("system", one.system_name.clone());
    some("is", one.system_description.clone());
    let does =
        |name: &String| if one.enabled_capabilities.contains(name) { name.clone() } else { format!("{name} (off)") };
    some("capabilities", Some(one.capabilities.iter().map(does).collect::<Vec<_>>().join(", ")));
    some("management", Some(one.management_addresses.join(", ")));
    some("port vlan", one.port_vlan.map(|vlan| if vlan == 0 { "none".to_owned() } else { vlan.to_string() }));
    some(
        "vlans",
        Some(one.vlans.iter().map(|vlan| format!("{} {}", vlan.vlan, vlan.name)).collect::<Vec<_>>().join(", ")),
    );
    some("max frame", one.max_frame_size.map(|size| format!("{size} bytes")));
    let (age, known) = (output::seconds(one.age.into()), output::seconds(one.known_for.into()));
    some("heard", Some(format!("{age} ago, holds {} s, known for {known}", one.ttl)));
    text
}

fn interfaces(session: &mut Session, _: &Args) -> Result<(), Error> {
    let reply = list(session, None)?;
    let (output, enabled) = (session.output, reply.enabled);
    session.print(&reply.interfaces[..], |interfaces| counts(&output, interfaces, enabled))
}

fn counts(output: &Output, interfaces: &[LldpInterface], enabled: bool) -> String {
    if interfaces.is_empty() {
        return if enabled { "no interface with a link\n" } else { "LLDP is off\n" }.to_owned();
    }
    let columns =
        ["Interface", ">Sent", ">Received", ">Refused", ">Bad TLVs", ">Unknown TLVs", ">No room", ">Aged out"];
    let mut table = Table::new(output, &columns);
    for one in interfaces {
        table.row([
            (&one.interface).into(),
            one.tx_frames.into(),
            one.rx_frames.into(),
            one.rx_refused.into(),
            one.rx_discarded_tlvs.into(),
            one.rx_unrecognized_tlvs.into(),
            one.rx_too_many.into(),
            one.aged_out.into(),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;
    use millrace_api::v1::LldpVlan;

    const OUTPUT: Output = Output { format: Format::Table, colors: false, terminal: false };

    fn switch() -> LldpNeighbor {
        LldpNeighbor {
            interface: "wan".into(),
            chassis_id: "00:19:2f:a7:b2:8d".into(),
            chassis_id_type: "mac".into(),
            port_id: "Gi0/13".into(),
            port_id_type: "interface name".into(),
            ttl: 120,
            known_for: 3700,
            age: 12,
            port_description: Some("uplink".into()),
            system_name: Some("S2".into()),
            system_description: Some("a switch".into()),
            capabilities: vec!["bridge".into(), "router".into()],
            enabled_capabilities: vec!["bridge".into()],
            management_addresses: vec!["192.0.2.7".into(), "2001:db8::7".into()],
            port_vlan: Some(1),
            vlans: vec![LldpVlan { vlan: 10, name: "blue".into() }],
            max_frame_size: Some(1522),
        }
    }

    #[test]
    fn a_listing_is_a_table() {
        let plain =
            LldpNeighbor { interface: "lan".into(), ttl: 60, chassis_id: "x".into(), ..LldpNeighbor::default() };
        assert_eq!(
            table(&OUTPUT, &[switch(), plain]),
            "Interface  System  Port    Chassis            Capabilities  Age  TTL\n\
             wan        S2      Gi0/13  00:19:2f:a7:b2:8d  bridge        12s  120\n\
             lan        -               x                                 0s   60\n"
        );
    }

    #[test]
    fn all_that_one_tells() {
        assert_eq!(
            details(&OUTPUT, &switch()),
            "wan\n  \
               chassis       00:19:2f:a7:b2:8d (mac)\n  \
               port          Gi0/13 (interface name)\n  \
               description   uplink\n  \
               system        S2\n  \
               is            a switch\n  \
               capabilities  bridge, router (off)\n  \
               management    192.0.2.7, 2001:db8::7\n  \
               port vlan     1\n  \
               vlans         10 blue\n  \
               max frame     1522 bytes\n  \
               heard         12s ago, holds 120 s, known for 1h01m\n"
        );
    }

    #[test]
    fn what_was_counted() {
        let wan =
            LldpInterface { interface: "wan".into(), tx_frames: 3, rx_frames: 7, rx_refused: 1, ..Default::default() };
        assert_eq!(
            counts(&OUTPUT, &[wan], true),
            "Interface  Sent  Received  Refused  Bad TLVs  Unknown TLVs  No room  Aged out\n\
             wan           3         7        1         0             0        0         0\n"
        );
        assert_eq!(counts(&OUTPUT, &[], false), "LLDP is off\n");
        assert_eq!(counts(&OUTPUT, &[], true), "no interface with a link\n");
    }
}
