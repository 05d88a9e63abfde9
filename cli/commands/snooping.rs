//! What bridges find out by looking at frames: `show igmp-snooping`, `show mld-snooping`, `show arp-suppression`.
use millrace_api::v1::{Binding, ListBindingsRequest, ListSnoopingRequest, SnoopedVlan};

use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Kind, Value};
use crate::output::{self, Color, Listing, Output, Table};
use crate::session::Session;

const BRIDGE: Value = Value { name: "BRIDGE", kind: Kind::Bridge, help: "only this bridge" };

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["show", "igmp-snooping"],
        args: &[Arg::Maybe(BRIDGE)],
        help: "IPv4 multicast groups in bridges: who listens, behind which port",
        more: "Without a querier nobody is asked who listens, and groups are flooded.",
        run: |session, args| show(session, args, "igmp"),
    },
    Command {
        path: &["show", "mld-snooping"],
        args: &[Arg::Maybe(BRIDGE)],
        help: "IPv6 multicast groups in bridges: who listens, behind which port",
        more: "Without a querier nobody is asked who listens, and groups are flooded.",
        run: |session, args| show(session, args, "mld"),
    },
    Command {
        path: &["show", "arp-suppression"],
        args: &[Arg::Maybe(BRIDGE)],
        help: "addresses of stations that bridges answer ARP and Neighbor Discovery for",
        more: "An address is \"disputed\" while several stations claim it by turns: all of them may answer then. How many questions were \
               answered is told by `show errors`.",
        run: suppression,
    },
];

fn show(session: &mut Session, args: &Args, protocol: &str) -> Result<(), Error> {
    let request = ListSnoopingRequest { protocol: protocol.to_owned(), bridge: args.owned("BRIDGE") };
    let reply = session.call(|mut client| async move { client.show.list_snooping(request).await })?;
    let output = session.output;
    let name = protocol.to_uppercase();
    session.print(&reply.vlans[..], |vlans| match vlans {
        [] => format!("no bridge has {name} snooping\n"),
        vlans => vlans.iter().map(|vlan| listing(&output, vlan)).collect::<Vec<_>>().join("\n"),
    })
}

fn listing(output: &Output, vlan: &SnoopedVlan) -> String {
    let name = match vlan.vlan {
        Some(number) => format!("{} VLAN {number}", vlan.bridge),
        None => vlan.bridge.clone(),
    };
    let mut text = format!("{}\n", output.paint(Color::Bold, &name));
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<8} {value}\n"));
    match &vlan.querier {
        Some(querier) => {
            let every = output::seconds(querier.interval.into());
            let left = output::seconds(querier.expires_in);
            let filters = if vlan.filtering { "" } else { "; groups are flooded until it was answered" };
            let (address, interface, version) = (&querier.address, &querier.interface, querier.version);
            line(
                "querier",
                format!("{address} on {interface}, version {version}, every {every}, {left} left{filters}"),
            );
        }
        None => line("querier", "none: groups are flooded".to_owned()),
    }
    let routers = vlan.routers.iter().map(|r| format!("{} ({} left)", r.interface, output::seconds(r.expires_in)));
    let routers: Vec<String> = routers.collect();
    line("routers", if routers.is_empty() { "none".to_owned() } else { routers.join(", ") });
    if vlan.refused > 0 {
        line("refused", format!("{}: too many groups", vlan.refused));
    }
    if vlan.groups.is_empty() {
        line("groups", "none".to_owned());
        return text;
    }
    let mut table = Table::new(output, &["Group", "Interface", ">Left", "Sources"]);
    for group in &vlan.groups {
        for listener in &group.listeners {
            let sources = if listener.sources.is_empty() { "any".to_owned() } else { listener.sources.join(" ") };
            let left = output::seconds(listener.expires_in);
            table.row([(&group.group).into(), (&listener.interface).into(), left.into(), sources.into()]);
        }
    }
    text + &table.text()
}

const HEADINGS: [&str; 7] = ["Bridge", "VLAN", "Address", "MAC", "Interface", "State", "Age"];

fn suppression(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListBindingsRequest { bridge: args.owned("BRIDGE") };
    let mut stream = session.call(|mut client| async move { client.show.list_bindings(request).await })?;
    let mut listing = Listing::new(&session.output, &line(&HEADINGS));
    while let Some(batch) = session.next(&mut stream)? {
        listing.add(&batch.entries, |one| format!("{}\n", line(&cells(one))))?;
    }
    listing.finish("no addresses\n")
}

fn cells(one: &Binding) -> [String; 7] {
    [
        one.bridge.clone(),
        one.vlan.map_or_else(|| "-".to_owned(), |vlan| vlan.to_string()),
        one.address.clone(),
        one.mac.clone(),
        one.interface.clone().unwrap_or_else(|| "-".to_owned()),
        one.state.clone(),
        one.age.map_or_else(String::new, |age| output::seconds(age.into())),
    ]
}

/// A line of the table. The columns have widths of their own, because the last address has not come when the first is printed.
fn line(cells: &[impl AsRef<str>; 7]) -> String {
    let [bridge, vlan, address, mac, interface, state, age] = cells.each_ref().map(AsRef::as_ref);
    let line = format!("{bridge:<10}  {vlan:>4}  {address:<26}  {mac:<17}  {interface:<16}  {state:<8}  {age:>7}");
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;
    use millrace_api::v1::{SnoopedGroup, SnoopedListener, SnoopingQuerier, SnoopingRouter};

    const PLAIN: Output = Output { format: Format::Table, colors: false, terminal: false };

    #[test]
    fn a_vlan_is_a_heading_and_its_groups() {
        let listener = |interface: &str, sources: &[&str]| SnoopedListener {
            interface: interface.to_owned(),
            expires_in: 250,
            sources: sources.iter().map(ToString::to_string).collect(),
        };
        let vlan = SnoopedVlan {
            bridge: "br0".into(),
            vlan: Some(10),
            filtering: true,
            querier: Some(SnoopingQuerier {
                address: "10.0.0.1".into(),
                interface: "p1".into(),
                version: 3,
                interval: 125,
                expires_in: 255,
                ..SnoopingQuerier::default()
            }),
            routers: vec![SnoopingRouter { interface: "p1".into(), expires_in: 255 }],
            groups: vec![SnoopedGroup {
                group: "239.1.1.1".into(),
                listeners: vec![listener("p2", &[]), listener("p3", &["10.1.1.1", "10.1.1.2"])],
            }],
            refused: 0,
        };
        let expected = "br0 VLAN 10\n  \
                        querier  10.0.0.1 on p1, version 3, every 2m05s, 4m15s left\n  \
                        routers  p1 (4m15s left)\n\
                        Group      Interface   Left  Sources\n\
                        239.1.1.1  p2         4m10s  any\n\
                        239.1.1.1  p3         4m10s  10.1.1.1 10.1.1.2\n";
        assert_eq!(listing(&PLAIN, &vlan), expected);
        let silent = SnoopedVlan { bridge: "br0".into(), refused: 7, ..SnoopedVlan::default() };
        let expected = "br0\n  querier  none: groups are flooded\n  routers  none\n  \
                        refused  7: too many groups\n  groups   none\n";
        assert_eq!(listing(&PLAIN, &silent), expected);
    }

    #[test]
    fn an_address_is_a_line() {
        let learnt = Binding {
            bridge: "br0".into(),
            address: "10.0.0.9".into(),
            mac: "02:00:00:00:00:09".into(),
            interface: Some("p1".into()),
            state: "learnt".into(),
            age: Some(75),
            vlan: Some(10),
            router: false,
        };
        let own = Binding { age: None, state: "own".into(), vlan: None, interface: None, ..learnt.clone() };
        let text = [line(&HEADINGS), line(&cells(&learnt)), line(&cells(&own))].join("\n");
        let expected = "Bridge      VLAN  Address                     MAC                Interface         State         Age\n\
                        br0           10  10.0.0.9                    02:00:00:00:00:09  p1                learnt      1m15s\n\
                        br0            -  10.0.0.9                    02:00:00:00:00:09  -                 own";
        assert_eq!(text, expected);
    }
}
