//! What memory is used for: `show buffers`, `show memory`.
use millrace_api::v1::{Buffers, GetBuffersRequest, ListMemoryRequest, MemoryArea};

use crate::error::Error;
use crate::grammar::{Args, Command};
use crate::output::{self, Output, Table};
use crate::session::Session;

pub const COMMANDS: &[Command] = &[
    Command { path: &["show", "buffers"], args: &[], help: "the pool of packet buffers", more: "", run: buffers },
    Command { path: &["show", "memory"], args: &[], help: "what memory is used for", more: "", run: memory },
];

fn buffers(session: &mut Session, _: &Args) -> Result<(), Error> {
    let buffers = session.call(|mut client| async move { client.show.get_buffers(GetBuffersRequest {}).await })?;
    session.print(&buffers, text)
}

fn memory(session: &mut Session, _: &Args) -> Result<(), Error> {
    let reply = session.call(|mut client| async move { client.show.list_memory(ListMemoryRequest {}).await })?;
    let output = session.output;
    session.print(&reply.areas[..], |areas| table(&output, areas))
}

fn text(buffers: &Buffers) -> String {
    format!(
        "{} buffers of {} bytes: {} free ({} of them in caches of workers), {} in use\n{} in pages of {}\n",
        buffers.total,
        buffers.data_bytes,
        buffers.free,
        buffers.cached,
        buffers.in_use,
        output::bytes(buffers.region_bytes),
        output::bytes(buffers.page_bytes)
    )
}

fn table(output: &Output, areas: &[MemoryArea]) -> String {
    let mut table = Table::new(output, &["Area", ">Size", ">Entries"]);
    for area in areas {
        let entries = area.entries.map(|entries| entries.to_string()).unwrap_or_default();
        table.row([(&area.area).into(), output::bytes(area.bytes).into(), entries.into()]);
    }
    table.text()
}
