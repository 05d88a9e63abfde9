//! Settings of LLDP: `lldp set`.
use millrace_api::v1::LldpSet;
use millrace_api::v1::edit_request::Edit;

use super::config::edit;
use super::interface::settings;
use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Keyword, Kind, keyword};
use crate::session::Session;

const KEYS: [Keyword; 6] = [
    keyword("enabled", "BOOL", Kind::Choice(&["true", "false"]), "whether anything is told and heard"),
    keyword("interfaces", "NAMES", Kind::InterfacesOr(&["all"]), "interfaces where, or all that have a wire"),
    keyword("interval", "TIME", Kind::Suggest(&["30s"]), "how often it is told"),
    keyword("hold", "NUMBER", Kind::Number(2, 10), "for how many intervals others remember it"),
    keyword("system-name", "TEXT", Kind::Word, "the name that is told"),
    keyword("system-description", "TEXT", Kind::Word, "the description that is told"),
];

pub const COMMANDS: &[Command] = &[Command {
    path: &["lldp", "set"],
    args: &[Arg::AnyOf(&KEYS)],
    help: "change what neighbours at layer 2 are told",
    more: "  lldp set enabled true\n  \
           lldp set interfaces wan,p0 interval 10s system-name edge1",
    run: set,
}];

fn set(session: &mut Session, args: &Args) -> Result<(), Error> {
    edit(session, Edit::LldpSet(LldpSet { settings: settings(args, KEYS.iter())? }))
}
