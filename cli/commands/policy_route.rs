//! Policy routes: `show policy-routes`, `policy-route add|remove`.
use millrace_api::v1::edit_request::Edit;
use millrace_api::v1::{ListPolicyRoutesRequest, PolicyRoute, PolicyRouteAdd, PolicyRouteRemove};

use super::config::edit;
use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Keyword, Kind, keyword};
use crate::output::{Output, Table};
use crate::session::Session;

const SOURCE: Keyword = keyword("source", "PREFIX", Kind::Prefix, "prefix of the packets' sources");
const INTERFACE: Keyword = keyword("interface", "NAME", Kind::Interface, "interface that the packets come by");

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["show", "policy-routes"],
        args: &[],
        help: "in which VRF chosen packets are looked up",
        more: "The first that matches a packet wins. Packets are since it came, or since the last `clear counters`.",
        run: show,
    },
    Command {
        path: &["policy-route", "add"],
        args: &[
            Arg::AnyOf(&[SOURCE, INTERFACE]),
            Arg::Required(keyword("vrf", "VRF", Kind::Vrf, "VRF to look the packets up in")),
            Arg::Option(keyword(
                "position",
                "NUMBER",
                Kind::Number(1, 256),
                "its place, from 1; else behind all others",
            )),
        ],
        help: "look packets up in another VRF, by their source and interface",
        more: "Packets to the router itself stay in the VRF of their interface.\n\n  \
               policy-route add source 10.1.0.0/16 vrf blue\n  \
               policy-route add source 2001:db8:1::/48 interface lan vrf blue position 1\n  \
               policy-route add interface guests vrf red",
        run: |session, args| {
            let (source, interface, vrf) = (args.owned("source"), args.owned("interface"), args.text("vrf"));
            let position = args.number("position").unwrap_or(0);
            edit(session, Edit::PolicyRouteAdd(PolicyRouteAdd { source, interface, vrf, position }))
        },
    },
    Command {
        path: &["policy-route", "remove"],
        args: &[Arg::AnyOf(&[SOURCE, INTERFACE])],
        help: "remove a policy route, named by its source and interface",
        more: "",
        run: |session, args| {
            let (source, interface) = (args.owned("source"), args.owned("interface"));
            edit(session, Edit::PolicyRouteRemove(PolicyRouteRemove { source, interface }))
        },
    },
];

fn show(session: &mut Session, _: &Args) -> Result<(), Error> {
    let request = ListPolicyRoutesRequest {};
    let reply = session.call(|mut client| async move { client.show.list_policy_routes(request).await })?;
    let output = session.output;
    session.print(&reply.policy_routes[..], |rules| table(&output, rules))
}

fn table(output: &Output, rules: &[PolicyRoute]) -> String {
    let mut table = Table::new(output, &[">Position", "Source", "Interface", "VRF", ">Packets"]);
    for rule in rules {
        let [source, interface] = [&rule.source, &rule.interface].map(|given| given.as_deref().unwrap_or("any"));
        table.row([rule.position.into(), source.into(), interface.into(), (&rule.vrf).into(), rule.packets.into()]);
    }
    table.text()
}
