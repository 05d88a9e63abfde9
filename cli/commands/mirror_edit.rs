//! Changes of mirrors: `mirror add|remove`.
use millrace_api::v1::edit_request::Edit;
use millrace_api::v1::{MirrorAdd, MirrorRemove};

use super::config::edit;
use super::interface::settings;
use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Keyword, Kind, keyword, value};
use crate::session::Session;

const FROM: Keyword = keyword("from", "NAMES", Kind::InterfacesOr(&[]), "interfaces whose frames are copied");
const TARGETS: [Keyword; 2] = [
    keyword("to", "NAME", Kind::Interface, "interface that the copies leave by"),
    keyword("file", "FILE", Kind::File, "pcapng file of the daemon's machine that they are written to"),
];
const KEYS: [Keyword; 3] = [
    keyword("direction", "WHICH", Kind::Choice(&["both", "rx", "tx"]), "frames that are received, sent, or both"),
    keyword("limit", "PACKETS", Kind::Number(1, u64::MAX), "it ends after so many copies"),
    keyword("snap-length", "BYTES", Kind::Number(64, 65535), "bytes of each frame that are copied"),
];

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["mirror", "add"],
        args: &[
            value("NAME", Kind::Word, "name for the mirror: letters, digits, `.`, `_`, `-`"),
            Arg::Required(FROM),
            Arg::OneOf(&TARGETS),
            Arg::Options(&KEYS),
        ],
        help: "copy what interfaces receive and send to another interface or into a file",
        more: "  mirror add m1 from c1,c2 to probe\n  \
               mirror add m2 from wan file /var/tmp/wan.pcapng direction rx limit 100000",
        run: add,
    },
    Command {
        path: &["mirror", "remove"],
        args: &[value("NAME", Kind::Mirror, "mirror to remove")],
        help: "remove a mirror",
        more: "",
        run: remove,
    },
];

fn add(session: &mut Session, args: &Args) -> Result<(), Error> {
    let settings = settings(args, [FROM].iter().chain(&TARGETS).chain(&KEYS))?;
    edit(session, Edit::MirrorAdd(MirrorAdd { name: args.text("NAME"), settings }))
}

fn remove(session: &mut Session, args: &Args) -> Result<(), Error> {
    edit(session, Edit::MirrorRemove(MirrorRemove { name: args.text("NAME") }))
}
