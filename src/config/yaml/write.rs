//! Tree to text, in one canonical form: mappings as indented blocks, lists of single values on one line, lists of mappings with
//! one line an item.

use super::{Node, Value};
use std::fmt::Write;

/// The document as text.
pub(crate) fn write(root: &Node) -> String {
    let mut text = String::new();
    block(root, 0, &mut text);
    text
}

/// Writes a mapping, one key a line, this deep.
fn block(node: &Node, depth: usize, out: &mut String) {
    let Value::Map(entries) = &node.value else { return };
    for entry in entries {
        let _ = write!(out, "{:1$}{2}:", "", depth * 2, scalar(&entry.key));
        match &entry.value.value {
            Value::Map(inner) if !inner.is_empty() => {
                out.push('\n');
                block(&entry.value, depth + 1, out);
            }
            Value::List(items) if items.iter().any(|i| matches!(i.value, Value::Map(_))) => {
                out.push('\n');
                for item in items {
                    let _ = writeln!(out, "{:1$}- {2}", "", depth * 2 + 2, flow(item));
                }
            }
            _ => {
                let _ = writeln!(out, " {}", flow(&entry.value));
            }
        }
    }
}

/// A value on one line.
pub(crate) fn flow(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Text(text) => scalar(text),
        Value::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let pairs: Vec<_> = entries.iter().map(|e| format!("{}: {}", scalar(&e.key), flow(&e.value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

/// A single value, in quotes if YAML would read it otherwise as something else (YAML 1.2.2 clauses 5.3, 5.7 and 7.3.3).
fn scalar(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '+');
    let special = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    if starts_well && text.chars().all(harmless) && !special.iter().any(|s| s.eq_ignore_ascii_case(text)) {
        return text.to_owned();
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // Control characters, and what YAML counts as a line break or as no character.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
