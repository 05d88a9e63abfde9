//! Keys and values of a command, read as those of a file.

use super::EditError;
use crate::{
    diagnostic::{Diagnostic, Position, Reader},
    yaml::{self, Node, Value},
};
use std::fmt;

/// Keys and values of a command as a file would have them; `what` they are of. `driver` stands beside them.
pub(crate) fn keys(what: impl fmt::Display, settings: &[(String, String)], reader: &mut Reader) -> Node {
    let mut node = Node::map();
    for (i, (key, value)) in settings.iter().enumerate() {
        if key == "driver" || settings[..i].iter().any(|(other, _)| other == key) {
            reader.error(Position::default(), format!("{what}: {key} stands here twice"), "keep one of them");
        }
        if let Some(value) = yaml::value(value, reader) {
            node = node.with(key, value);
        }
    }
    node
}

/// What stands in a file, with other values for some of its keys; those with an empty one go.
pub(crate) fn with_keys(
    what: impl fmt::Display,
    old: &Node,
    settings: &[(String, String)],
    reader: &mut Reader,
) -> Node {
    let new = keys(what, settings, reader);
    let kept = old.entries().iter().filter(|entry| settings.iter().all(|(key, _)| *key != entry.key));
    let all = kept.chain(new.entries());
    let all = all.filter(|entry| !matches!(&entry.value.value, Value::Text(text) if text.is_empty()));
    all.fold(Node::map(), |node, entry| node.with(&entry.key, entry.value.clone()))
}

/// Refuses values that could not be read.
pub(crate) fn unreadable(reader: Reader) -> Result<(), EditError> {
    let text = |Diagnostic { message, hint, .. }: Diagnostic| format!("{message}; {hint}");
    let errors: Vec<String> = reader.finish().into_iter().map(text).collect();
    if errors.is_empty() { Ok(()) } else { Err(EditError::Unreadable(errors)) }
}
