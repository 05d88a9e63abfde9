//! Text to tree.

use super::{Entry, Node, Value};
use crate::diagnostic::{Position, Reader};
use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span, StrInput};
use std::collections::HashMap;

/// Why reading stopped; the reason is in the [`Reader`] already.
struct Stop;

/// Reads one document. None after an error of syntax, when what follows can't be trusted.
pub(crate) fn read(text: &str, reader: &mut Reader) -> Option<Node> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut source = Source { parser: Parser::new_from_str_with_options(text, options), reader };
    source.stream().ok()
}

struct Source<'t, 'r> {
    parser: Parser<'t, StrInput<'t>>,
    reader: &'r mut Reader,
}

impl<'t> Source<'t, '_> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        match self.parser.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let message = format!("not valid YAML: {}", error.info());
                Err(self.stop(position(error.marker()), &message, "see the line and the one before it"))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn stop(&mut self, at: Position, message: &str, hint: &str) -> Stop {
        self.reader.error(at, message, hint);
        Stop
    }

    /// The whole file: no document, which is an empty configuration, or one.
    fn stream(&mut self) -> Result<Node, Stop> {
        let mut document = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => {
                    return Ok(document.unwrap_or(Node { at: Position { line: 1, column: 1 }, value: Value::Null }));
                }
                (Event::DocumentStart(..), span) if document.is_some() => {
                    return Err(self.stop(
                        position(&span.start),
                        "a second document",
                        "a configuration is one document: remove the `---`",
                    ));
                }
                (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
                (event, span) => document = Some(self.node(event, &span)?),
            }
        }
    }

    /// The node that starts with this event.
    fn node(&mut self, event: Event<'t>, span: &Span) -> Result<Node, Stop> {
        let at = position(&span.start);
        if span.tag_start.is_some() {
            return Err(self.stop(at, "a YAML tag", "remove the word that starts with `!`"));
        }
        let value = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) if matches!(&*text, "" | "~" | "null") => Value::Null,
            Event::Scalar(text, ..) => Value::Text(text.into_owned()),
            Event::SequenceStart(..) => Value::List(self.list()?),
            Event::MappingStart(..) => Value::Map(self.map()?),
            _ => return Err(self.stop(at, "a YAML alias", "write the value out in each place")),
        };
        Ok(Node { at, value })
    }

    fn list(&mut self) -> Result<Vec<Node>, Stop> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, &span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Vec<Entry>, Stop> {
        let mut entries = Vec::new();
        let mut seen = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(entries);
            }
            let key_at = position(&span.start);
            let Event::Scalar(key, ..) = event else {
                return Err(self.stop(key_at, "a key that is not a single word", "write `key: value`"));
            };
            let (event, span) = self.next()?;
            let mut value = self.node(event, &span)?;
            if value.value == Value::Null {
                // The parser places what isn't there at whatever comes next.
                value.at = key_at;
            }
            match seen.insert(key.clone(), key_at) {
                None => entries.push(Entry { key: key.into_owned(), key_at, value }),
                Some(first) => {
                    let message = format!("`{key}` stands here twice");
                    self.reader.error(
                        key_at,
                        message,
                        format!("keep one of them; the first is in line {}", first.line),
                    );
                }
            }
        }
    }
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}
