//! What bonds agreed on with the systems at their other ends: `show lacp`.
use millrace_api::v1::{LacpBond, LacpPort, LacpSystem, ListLacpRequest};

use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Kind, Value};
use crate::output::{Cell, Color, Output, Table};
use crate::session::Session;

const BOND: Value =
    Value { name: "BOND", kind: Kind::InterfaceOf(&["bond"]), help: "this bond, with all that its members know" };

pub const COMMANDS: &[Command] = &[Command {
    path: &["show", "lacp"],
    args: &[Arg::Maybe(BOND)],
    help: "what bonds with LACP agreed on with the systems at their other ends",
    more: "In the column State, letters stand for what a port says of itself, as in other routers: Activity, Timeout (short), \
           Aggregation, Synchronization, Collecting, Distributing, deFaulted, Expired.",
    run: show,
}];

fn show(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListLacpRequest { bond: args.owned("BOND") };
    let reply = session.call(|mut client| async move { client.show.list_lacp(request).await })?;
    let output = session.output;
    match (args.get("BOND"), reply.bonds.first()) {
        (Some(_), Some(bond)) => session.print(bond, |bond| details(&output, bond)),
        _ => session.print(&reply.bonds[..], |bonds| {
            let texts: Vec<String> = bonds.iter().map(|bond| summary(&output, bond)).collect();
            if texts.is_empty() { "no bonds with LACP\n".to_owned() } else { texts.join("\n") }
        }),
    }
}

/// The state of a port in letters; a dash for what it isn't.
fn letters(words: &[String]) -> String {
    const LETTERS: [(&str, char); 8] = [
        ("activity", 'A'),
        ("timeout", 'T'),
        ("aggregation", 'G'),
        ("synchronization", 'S'),
        ("collecting", 'C'),
        ("distributing", 'D'),
        ("defaulted", 'F'),
        ("expired", 'E'),
    ];
    LETTERS.iter().map(|(word, letter)| if words.iter().any(|is| is == word) { *letter } else { '-' }).collect()
}

fn system(system: Option<&LacpSystem>, key: u32) -> String {
    system.map_or_else(|| "none".to_owned(), |one| format!("{} priority {} key {key}", one.mac, one.priority))
}

fn heading(output: &Output, bond: &LacpBond) -> String {
    format!(
        "{}\n  system   {}\n  partner  {}\n  rate     {}\n",
        output.paint(Color::Bold, &bond.bond),
        system(bond.system.as_ref(), bond.key),
        system(bond.partner.as_ref(), bond.partner_key.unwrap_or(0)),
        bond.rate
    )
}

fn mux(port: &LacpPort) -> Cell {
    let color = if port.mux == "distributing" { Color::Green } else { Color::Yellow };
    Cell::from(&port.mux).color(color)
}

fn summary(output: &Output, bond: &LacpBond) -> String {
    let mut table = Table::new(output, &["Member", ">Port", "State", "Mux", ">Partner's port", "State", "Why not"]);
    for port in &bond.ports {
        let partner = port.partner.as_ref();
        table.row([
            (&port.interface).into(),
            port.port.into(),
            letters(&port.state).into(),
            mux(port),
            partner.map_or_else(|| "-".to_owned(), |partner| partner.port.to_string()).into(),
            partner.map_or_else(|| "-".to_owned(), |partner| letters(&partner.state)).into(),
            port.reason.as_deref().unwrap_or("").into(),
        ]);
    }
    format!("{}\n{}", heading(output, bond), table.text())
}

fn details(output: &Output, bond: &LacpBond) -> String {
    let mut text = heading(output, bond);
    for port in &bond.ports {
        text.push_str(&format!("\n{}\n", output.paint(Color::Bold, &port.interface)));
        let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<10} {value}\n"));
        line("port", format!("{} priority {}", port.port, port.priority));
        line("state", port.state.join(" "));
        let selected = if port.selected { "selected" } else { "not selected" };
        line("machines", format!("receive {}, mux {}, {selected}", port.receive, port.mux));
        line("churn", format!("here {}, there {}", port.actor_churn, port.partner_churn));
        match &port.partner {
            None => line("partner", "none".to_owned()),
            Some(partner) => {
                line("partner", system(partner.system.as_ref(), partner.key));
                line("its port", format!("{} priority {}", partner.port, partner.priority));
                line("its state", partner.state.join(" "));
            }
        }
        if let Some(reason) = &port.reason {
            line("why not", reason.clone());
        }
        line("lacpdus", format!("{} received, {} sent, {} refused", port.rx_lacpdus, port.tx_lacpdus, port.refused));
        line("markers", format!("{} answered", port.markers));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;
    use millrace_api::v1::LacpPartner;

    const OUTPUT: Output = Output { format: Format::Table, colors: false, terminal: false };

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(Into::into).collect()
    }

    fn bond0() -> LacpBond {
        let system = |mac: &str| LacpSystem { priority: 32768, mac: mac.into() };
        let all = words("activity aggregation synchronization collecting distributing");
        let p0 = LacpPort {
            interface: "p0".into(),
            port: 3,
            priority: 32768,
            state: all.clone(),
            selected: true,
            receive: "current".into(),
            mux: "distributing".into(),
            actor_churn: "none".into(),
            partner_churn: "none".into(),
            partner: Some(LacpPartner {
                system: Some(system("02:00:00:00:00:0a")),
                key: 7,
                port: 12,
                priority: 128,
                state: all,
            }),
            reason: None,
            rx_lacpdus: 9,
            tx_lacpdus: 10,
            markers: 1,
            refused: 0,
        };
        let p1 = LacpPort {
            interface: "p1".into(),
            port: 4,
            state: words("activity aggregation defaulted"),
            selected: false,
            receive: "defaulted".into(),
            mux: "detached".into(),
            partner: None,
            reason: Some("nobody speaks LACP at its other end".into()),
            ..p0.clone()
        };
        LacpBond {
            bond: "bond0".into(),
            system: Some(system("02:fe:00:00:00:01")),
            key: 5,
            rate: "slow".into(),
            partner: Some(system("02:00:00:00:00:0a")),
            partner_key: Some(7),
            ports: vec![p0, p1],
        }
    }

    #[test]
    fn a_bond_is_a_heading_and_a_table() {
        assert_eq!(
            summary(&OUTPUT, &bond0()),
            "bond0\n  \
               system   02:fe:00:00:00:01 priority 32768 key 5\n  \
               partner  02:00:00:00:00:0a priority 32768 key 7\n  \
               rate     slow\n\
             \n\
             Member  Port  State     Mux           Partner's port  State     Why not\n\
             p0         3  A-GSCD--  distributing              12  A-GSCD--\n\
             p1         4  A-G---F-  detached                   -  -         nobody speaks LACP at its other end\n"
        );
        let alone = LacpBond { partner: None, partner_key: None, ports: Vec::new(), ..bond0() };
        assert!(summary(&OUTPUT, &alone).contains("  partner  none\n"));
    }

    #[test]
    fn one_is_told_with_all_that_is_known() {
        let text = details(&OUTPUT, &bond0());
        assert!(
            text.ends_with(
                "p0\n  \
               port       3 priority 32768\n  \
               state      activity aggregation synchronization collecting distributing\n  \
               machines   receive current, mux distributing, selected\n  \
               churn      here none, there none\n  \
               partner    02:00:00:00:00:0a priority 32768 key 7\n  \
               its port   12 priority 128\n  \
               its state  activity aggregation synchronization collecting distributing\n  \
               lacpdus    9 received, 10 sent, 0 refused\n  \
               markers    1 answered\n\
             \n\
             p1\n  \
               port       4 priority 32768\n  \
               state      activity aggregation defaulted\n  \
               machines   receive defaulted, mux detached, not selected\n  \
               churn      here none, there none\n  \
               partner    none\n  \
               why not    nobody speaks LACP at its other end\n  \
               lacpdus    9 received, 10 sent, 0 refused\n  \
               markers    1 answered\n"
            ),
            "{text}"
        );
    }
}
