//! Addresses of interfaces: `address add|remove`.
use millrace_api::v1::AddressEdit;
use millrace_api::v1::edit_request::Edit;

use super::config::edit;
use crate::grammar::{Arg, Args, Command, Kind, keyword, value};

const PREFIX: Arg = value("PREFIX", Kind::InterfaceAddress, "address with its prefix length, such as 192.0.2.1/24");
const INTERFACE: Arg = Arg::Required(keyword("interface", "NAME", Kind::Interface, "the interface"));

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["address", "add"],
        args: &[PREFIX, INTERFACE],
        help: "add an address to an interface",
        more: "  address add 192.0.2.1/24 interface wan",
        run: |session, args| edit(session, Edit::AddressAdd(address(args))),
    },
    Command {
        path: &["address", "remove"],
        args: &[PREFIX, INTERFACE],
        help: "take an address from an interface",
        more: "",
        run: |session, args| edit(session, Edit::AddressRemove(address(args))),
    },
];

fn address(args: &Args) -> AddressEdit {
    AddressEdit { prefix: args.text("PREFIX"), interface: args.text("interface") }
}
