//! A listing that may be long: printed as it comes, whatever the format, so that nobody holds all of it.
use serde::Serialize;

use super::{Color, Format, Output, Pager, closed, json, write, yaml};
use crate::error::Error;

/// A listing under construction.
pub struct Listing {
    output: Output,
    out: Pager,
    heading: String,
    any: bool,
}

impl Listing {
    /// A listing without items. Its table has this heading, if it has any items.
    pub fn new(output: &Output, heading: &str) -> Listing {
        let heading = format!("{}\n", output.paint(Color::Bold, heading));
        Listing { output: *output, out: output.writer(), heading, any: false }
    }

    /// Prints the next items; `line` makes the lines of one in the table.
    pub fn add<T: Serialize>(&mut self, items: &[T], line: impl Fn(&T) -> String) -> Result<(), Error> {
        let mut text = String::new();
        for item in items {
            text.push_str(match (self.output.format, self.any) {
                (Format::Table, false) => &self.heading,
                (Format::Json, false) => "[\n",
                (Format::Json, true) => ",\n",
                _ => "",
            });
            text.push_str(&match self.output.format {
                Format::Table => line(item),
                Format::Json => element(item)?,
                Format::Yaml => yaml(std::slice::from_ref(item))?,
            });
            self.any = true;
        }
        // At once, because standard output is flushed with every line.
        write(&mut self.out, &text)
    }

    /// Ends it; `nothing` is what a person reads when there was no item.
    pub fn finish(mut self, nothing: &str) -> Result<(), Error> {
        let end = match (self.output.format, self.any) {
            (Format::Table, false) => nothing,
            (Format::Json, true) => "\n]\n",
            (Format::Json | Format::Yaml, false) => "[]\n",
            _ => "",
        };
        write(&mut self.out, end)?;
        self.out.finish().map_err(closed)
    }
}

/// An element of a JSON array: without the line break at its end, so that a comma can follow.
fn element<T: Serialize>(item: &T) -> Result<String, Error> {
    let text = json(item)?;
    Ok(text.trim_end().lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes in pieces reads as if it had come at once.
    #[test]
    fn an_element_stands_in_an_array_as_it_would_at_once() {
        let items = [serde_json::json!({"a": 1, "b": []}), serde_json::json!({"a": 2, "b": [{"c": "x\ny"}]})];
        let pieces: Vec<String> = items.iter().map(|item| element(item).unwrap()).collect();
        assert_eq!(format!("[\n{}\n]\n", pieces.join(",\n")), json(&items[..]).unwrap());
        let pieces: String = items.iter().map(|item| yaml(std::slice::from_ref(item)).unwrap()).collect();
        assert_eq!(pieces, yaml(&items[..]).unwrap());
        assert_eq!((json(&items[..0]).unwrap().as_str(), yaml(&items[..0]).unwrap().as_str()), ("[]\n", "[]\n"));
    }
}
