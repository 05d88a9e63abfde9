//! How answers are printed: as tables for people, or as JSON or YAML for programs.
mod listing;
mod numbers;
mod pager;
mod table;

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::error::Error;

pub use listing::Listing;
pub use numbers::{bytes, rate, seconds};
pub use pager::Pager;
pub use table::{Cell, Table};

/// What answers look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs: an array for a listing, an object for one thing.
    Json,
    /// The same data as YAML.
    Yaml,
}

/// How and where to print.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// The format that was asked for.
    pub format: Format,
    /// Whether colours are wanted.
    pub colors: bool,
    /// Whether standard output is a terminal, so that long answers are paged.
    pub terminal: bool,
}

impl Output {
    /// Looks at the terminal and the environment: colours only on a terminal, and not with `NO_COLOR` (no-color.org)
    /// or a terminal that can't.
    pub fn detect(format: Format) -> Output {
        let terminal = std::io::stdout().is_terminal();
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Output { format, colors: terminal && !unwanted && !dumb, terminal }
    }

    /// Prints one thing or a listing: `text` makes the table.
    pub fn print<T: Serialize + ?Sized>(&self, data: &T, text: impl FnOnce(&T) -> String) -> Result<(), Error> {
        let text = match self.format {
            Format::Table => text(data),
            Format::Json => json(data)?,
            Format::Yaml => yaml(data)?,
        };
        self.print_text(&text)
    }

    /// Prints text as it is.
    pub fn print_text(&self, text: &str) -> Result<(), Error> {
        let mut out = self.writer();
        write(&mut out, text)?;
        out.finish().map_err(closed)
    }

    /// Prints a line at once, for answers that come slowly. Programs get none of it.
    pub fn print_line(&self, line: &str) -> Result<(), Error> {
        if self.format != Format::Table {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(closed)
    }

    /// Prints one of the items that come slowly, at once and in the format that was asked for; JSON as a line each.
    pub fn print_item<T: Serialize>(&self, item: &T, text: impl FnOnce(&T) -> String) -> Result<(), Error> {
        let text = match self.format {
            Format::Table => text(item),
            Format::Json => {
                serde_json::to_string(item).map_err(|error| Error::File(format!("can't write JSON: {error}")))? + "\n"
            }
            Format::Yaml => yaml(std::slice::from_ref(item))?,
        };
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(closed)
    }

    /// Where long text goes.
    pub fn writer(&self) -> Pager {
        Pager::new(self.terminal)
    }

    /// Text in a colour, if colours are wanted.
    pub fn paint(&self, color: Color, text: &str) -> String {
        let code = match color {
            Color::Green => "32",
            Color::Red => "31",
            Color::Yellow => "33",
            Color::Bold => "1",
        };
        if self.colors { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The few colours in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// New, up, good.
    Green,
    /// Removed, down, bad.
    Red,
    /// Changed, or worth a look.
    Yellow,
    /// A heading.
    Bold,
}

/// Writes to a writer that [`Output::writer`] made.
pub fn write(out: &mut Pager, text: &str) -> Result<(), Error> {
    out.write_all(text.as_bytes()).map_err(closed)
}

/// What a failed write of output means.
pub fn closed(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Error::OutputClosed,
        _ => Error::File(format!("can't write the output: {error}")),
    }
}

/// The data as JSON, indented, with a line break at the end.
pub fn json<T: Serialize + ?Sized>(data: &T) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(data);
    text.map(|text| text + "\n").map_err(|error| Error::File(format!("can't write JSON: {error}")))
}

/// The data as YAML.
pub fn yaml<T: Serialize + ?Sized>(data: &T) -> Result<String, Error> {
    let text = serde_saphyr::to_string(&data).map_err(|error| Error::File(format!("can't write YAML: {error}")))?;
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}
