//! Bonds as they are: `show bonds`.
use millrace_api::v1::{Bond, ListBondsRequest};

use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Kind, Value};
use crate::output::{Cell, Color, Output, Table};
use crate::session::Session;

const NAME: Value = Value { name: "NAME", kind: Kind::InterfaceOf(&["bond"]), help: "this one, with its members" };

pub const COMMANDS: &[Command] = &[Command {
    path: &["show", "bonds"],
    args: &[Arg::Maybe(NAME)],
    help: "bonds: which of their members carry frames, and why others don't",
    more: "What was agreed with the system at the other end is told by `show lacp`.",
    run: show,
}];

fn show(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListBondsRequest { name: args.owned("NAME") };
    let reply = session.call(|mut client| async move { client.show.list_bonds(request).await })?;
    let output = session.output;
    match (args.get("NAME"), reply.bonds.first()) {
        (Some(_), Some(bond)) => session.print(bond, |bond| details(&output, bond)),
        _ => session.print(&reply.bonds[..], |bonds| table(&output, bonds)),
    }
}

fn table(output: &Output, bonds: &[Bond]) -> String {
    if bonds.is_empty() {
        return "no bonds\n".to_owned();
    }
    let mut table = Table::new(output, &["Name", "Link", "Mode", "Hash", ">Carry", "Members"]);
    for bond in bonds {
        let carry = bond.members.iter().filter(|member| member.state == "carries").count();
        let names: Vec<String> =
            bond.members.iter().map(|member| called(bond, &member.interface, &member.state)).collect();
        table.row([
            (&bond.bond).into(),
            link(&bond.link),
            (&bond.mode).into(),
            (&bond.hash).into(),
            format!("{carry}/{}", bond.members.len()).into(),
            names.join(", ").into(),
        ]);
    }
    table.text()
}

/// A member in a list.
fn called(bond: &Bond, name: &str, state: &str) -> String {
    match state {
        "carries" if bond.mode == "active-backup" => format!("{name} (active)"),
        "carries" => name.to_owned(),
        other => format!("{name} ({other})"),
    }
}

fn link(link: &str) -> Cell {
    Cell::from(link).color(if link == "up" { Color::Green } else { Color::Red })
}

fn details(output: &Output, bond: &Bond) -> String {
    let mut text = format!("{}\n", output.paint(Color::Bold, &bond.bond));
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<10} {value}\n"));
    let reason = bond.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    line("link", format!("{}{reason}", bond.link));
    let primary = bond.primary.as_ref().map(|primary| format!(", primary {primary}")).unwrap_or_default();
    line("mode", format!("{}{primary}", bond.mode));
    line("hash", bond.hash.clone());
    line("min-links", bond.min_links.to_string());
    line("mac", bond.mac.clone());
    line("mtu", bond.mtu.to_string());
    if !bond.members.is_empty() {
        let mut table = Table::new(output, &["Member", "State", ">RX packets", ">TX packets", "Why"]);
        for member in &bond.members {
            let color = if member.state == "carries" { Color::Green } else { Color::Yellow };
            table.row([
                (&member.interface).into(),
                Cell::from(&member.state).color(color),
                member.rx_packets.into(),
                member.tx_packets.into(),
                member.reason.as_deref().unwrap_or("").into(),
            ]);
        }
        text.push_str(&format!("\n{}", table.text()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;
    use millrace_api::v1::BondMember;

    const OUTPUT: Output = Output { format: Format::Table, colors: false, terminal: false };

    fn bond0() -> Bond {
        let member = |name: &str, state: &str, reason: Option<&str>| BondMember {
            interface: name.into(),
            state: state.into(),
            reason: reason.map(Into::into),
            rx_packets: 12,
            tx_packets: 7,
            ..BondMember::default()
        };
        Bond {
            bond: "bond0".into(),
            mode: "active-backup".into(),
            hash: "layer3+4".into(),
            link: "up".into(),
            mac: "02:fe:00:00:00:01".into(),
            mtu: 1500,
            min_links: 1,
            active: Some("p1".into()),
            primary: Some("p0".into()),
            members: vec![member("p0", "idle", Some("its link is down")), member("p1", "carries", None)],
            ..Bond::default()
        }
    }

    #[test]
    fn a_listing_is_a_table() {
        let mut bond1 = Bond { bond: "bond1".into(), mode: "lacp".into(), link: "down".into(), ..bond0() };
        bond1.members.truncate(1);
        assert_eq!(
            table(&OUTPUT, &[bond0(), bond1]),
            "Name   Link  Mode           Hash      Carry  Members\n\
             bond0  up    active-backup  layer3+4    1/2  p0 (idle), p1 (active)\n\
             bond1  down  lacp           layer3+4    0/1  p0 (idle)\n"
        );
        assert_eq!(table(&OUTPUT, &[]), "no bonds\n");
    }

    #[test]
    fn one_is_told_with_its_members() {
        assert_eq!(
            details(&OUTPUT, &bond0()),
            "bond0\n  \
               link       up\n  \
               mode       active-backup, primary p0\n  \
               hash       layer3+4\n  \
               min-links  1\n  \
               mac        02:fe:00:00:00:01\n  \
               mtu        1500\n\
             \n\
             Member  State    RX packets  TX packets  Why\n\
             p0      idle             12           7  its link is down\n\
             p1      carries          12           7\n"
        );
        let down = Bond { link: "down".into(), reason: Some("no member carries frames".into()), ..bond0() };
        assert!(details(&OUTPUT, &down).contains("  link       down (no member carries frames)\n"));
    }
}
