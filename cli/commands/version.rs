//! `show version`.
use millrace_api::v1::GetVersionRequest;

use crate::error::Error;
use crate::grammar::{Args, Command};
use crate::output;
use crate::session::Session;

pub const COMMANDS: &[Command] =
    &[Command { path: &["show", "version"], args: &[], help: "the daemon's version and age", more: "", run: show }];

fn show(session: &mut Session, _: &Args) -> Result<(), Error> {
    let version = session.call(|mut client| async move { client.show.get_version(GetVersionRequest {}).await })?;
    session.print(&version, |version| {
        format!(
            "millrace {} ({}), packet path for {}\nprocess {}, up {}, configuration {}\n",
            version.version,
            version.commit,
            version.cpu_variant,
            version.pid,
            output::seconds(version.uptime_seconds),
            version.config_file
        )
    })
}
