//! Neighbours: `show neighbors`, `neighbor add|remove`.
use millrace_api::v1::edit_request::Edit;
use millrace_api::v1::{ListNeighborsRequest, Neighbor, NeighborAdd, NeighborRemove};

use super::config::edit;
use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Keyword, Kind, keyword, value};
use crate::output::{self, Cell, Color, Output, Table};
use crate::session::Session;

const INTERFACE: Keyword = keyword("interface", "NAME", Kind::Interface, "the interface that it is on");

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["show", "neighbors"],
        args: &[Arg::Option(INTERFACE)],
        help: "neighbours, learnt and static",
        more: "",
        run: show,
    },
    Command {
        path: &["neighbor", "add"],
        args: &[
            value("ADDRESS", Kind::Neighbor, "its IP address"),
            Arg::Required(keyword("mac", "MAC", Kind::Mac, "its hardware address")),
            Arg::Required(INTERFACE),
        ],
        help: "add a static neighbour",
        more: "  neighbor add 192.168.1.9 mac 02:00:00:00:00:09 interface lan",
        run: |session, args| {
            let (interface, address, mac) = (args.text("interface"), args.text("ADDRESS"), args.text("mac"));
            edit(session, Edit::NeighborAdd(NeighborAdd { interface, address, mac }))
        },
    },
    Command {
        path: &["neighbor", "remove"],
        args: &[value("ADDRESS", Kind::Neighbor, "its IP address"), Arg::Required(INTERFACE)],
        help: "remove a neighbour",
        more: "",
        run: |session, args| {
            let (interface, address) = (args.text("interface"), args.text("ADDRESS"));
            edit(session, Edit::NeighborRemove(NeighborRemove { interface, address }))
        },
    },
];

fn show(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListNeighborsRequest { interface: args.owned("interface") };
    let reply = session.call(|mut client| async move { client.show.list_neighbors(request).await })?;
    let output = session.output;
    session.print(&reply.neighbors[..], |neighbors| table(&output, neighbors))
}

fn table(output: &Output, neighbors: &[Neighbor]) -> String {
    let mut table = Table::new(output, &["Interface", "Address", "MAC", "State", ">Age"]);
    for neighbor in neighbors {
        let state = Cell::from(&neighbor.state);
        let state = match neighbor.state.as_str() {
            "reachable" | "static" => state.color(Color::Green),
            "failed" | "incomplete" => state.color(Color::Red),
            _ => state,
        };
        table.row([
            (&neighbor.interface).into(),
            (&neighbor.address).into(),
            neighbor.mac.as_deref().unwrap_or("-").into(),
            state,
            output::seconds(neighbor.age).into(),
        ]);
    }
    table.text()
}
