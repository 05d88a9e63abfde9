//! `show vrfs`.
use millrace_api::v1::{ListVrfsRequest, Vrf};

use crate::error::Error;
use crate::grammar::{Args, Command};
use crate::output::{Output, Table};
use crate::session::Session;

pub const COMMANDS: &[Command] =
    &[Command { path: &["show", "vrfs"], args: &[], help: "VRFs and how many routes they have", more: "", run: show }];

fn show(session: &mut Session, _: &Args) -> Result<(), Error> {
    let reply = session.call(|mut client| async move { client.show.list_vrfs(ListVrfsRequest {}).await })?;
    let output = session.output;
    session.print(&reply.vrfs[..], |vrfs| table(&output, vrfs))
}

fn table(output: &Output, vrfs: &[Vrf]) -> String {
    let mut table = Table::new(output, &["Name", ">IPv4 routes", ">IPv6 routes", "Interfaces"]);
    for vrf in vrfs {
        let interfaces = vrf.interfaces.join(" ");
        table.row([(&vrf.name).into(), vrf.ipv4_routes.into(), vrf.ipv6_routes.into(), interfaces.into()]);
    }
    table.text()
}
