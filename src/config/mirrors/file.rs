//! How mirrors stand in a file and in a command.

use super::{Mirror, MirrorDirection, MirrorTarget};
use crate::{
    Config, Name,
    decode::{Fields, Scalar, suggestion},
    diagnostic::{Reader, Spot},
    edit::{EditError, keys, unreadable},
    yaml::{Node, Value},
};
use std::path::PathBuf;

/// The `mirrors` of a file.
pub(crate) fn decode(node: &Node, config: &mut Config, reader: &mut Reader) {
    if Fields::open(node, "mirrors", "mirrors", reader).is_none() {
        return;
    }
    let Value::Map(entries) = &node.value else { return };
    for entry in entries {
        let Ok(name) = Name::new(&entry.key) else {
            let message = format!("mirrors: cannot take \"{}\"", entry.key);
            reader.error(entry.key_at, message, format!("expected {}", Name::WANTED));
            continue;
        };
        reader.place(Spot::new("mirrors", &name), entry.key_at);
        let mirror = Mirror::decode(&name, &entry.value, reader);
        config.mirrors.extend(mirror.map(|mirror| (name, mirror)));
    }
}

/// The `mirrors` of a file.
pub(crate) fn encode(config: &Config) -> Node {
    config.mirrors.iter().fold(Node::map(), |node, (name, mirror)| node.with(name, mirror.encode()))
}

impl Mirror {
    fn decode(name: &Name, node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut fields = Fields::open(node, format_args!("mirror {name}"), "a mirror", reader)?;
        let spot = |key| Spot::new("mirrors", name).key(key);
        if !fields.has("from") {
            let message = format!("{} is missing", fields.name("from"));
            reader.error(fields.at("from"), message, "expected the interfaces whose frames are copied");
        }
        let from = fields.list("from", reader, Name::read);
        for (i, (_, at)) in from.iter().flatten().enumerate() {
            reader.place(spot("from").value(i), *at);
        }
        let direction = fields.scalar("direction", reader).unwrap_or(MirrorDirection::Both);
        let to = fields.scalar("to", reader).map(MirrorTarget::Interface);
        let file = fields.scalar("file", reader).map(|path: PathBuf| MirrorTarget::File(path));
        let limit = fields.number("limit", 1..=u64::MAX, reader);
        let snap_length = fields.number("snap-length", Self::SNAP_LENGTH_MIN..=Self::SNAP_LENGTH_MAX, reader);
        match (fields.has("to"), fields.has("file")) {
            (true, true) => {
                let message = format!("{}: stands beside `to`", fields.name("file"));
                reader.error(fields.at("file"), message, "keep one of them");
            }
            (false, false) => {
                let message = format!("mirror {name}: to is missing");
                reader.error(fields.at("to"), message, "expected `to`, an interface, or `file`, a pcapng file");
            }
            _ => {}
        }
        for key in ["from", "to", "file"] {
            if fields.has(key) {
                reader.place(spot(key), fields.at(key));
            }
        }
        fields.close(reader);
        let from = from?.into_iter().map(|(name, _)| name).collect();
        Some(Self { from, direction, to: to.or(file)?, limit, snap_length })
    }

    fn encode(&self) -> Node {
        let node = Node::map().with("from", Node::list(self.from.iter().map(Node::text)));
        let node = match &self.to {
            MirrorTarget::Interface(name) => node.with("to", Node::text(name)),
            MirrorTarget::File(path) => node.with("file", Node::text(path.display())),
        };
        let mut node = node.with_unless(&MirrorDirection::Both, "direction", &self.direction);
        if let Some(limit) = self.limit {
            node = node.with("limit", Node::text(limit));
        }
        if let Some(length) = self.snap_length {
            node = node.with("snap-length", Node::text(length));
        }
        node
    }
}

/// `mirror add NAME ...`.
pub(crate) fn add(config: &mut Config, name: Name, settings: &[(String, String)]) -> Result<(), EditError> {
    if let Some(old) = config.mirrors.get(&name) {
        let message = format!("mirror {name} is there already ({old}); use `mirror remove` first");
        return Err(EditError::Exists(message));
    }
    let mut reader = Reader::default();
    let node = keys(format_args!("mirror {name}"), settings, &mut reader);
    let mirror = Mirror::decode(&name, &node, &mut reader);
    unreadable(reader)?;
    config.mirrors.extend(mirror.map(|mirror| (name, mirror)));
    Ok(())
}

/// `mirror remove NAME`.
pub(crate) fn remove(config: &mut Config, name: &Name) -> Result<(), EditError> {
    if config.mirrors.remove(name).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = config.mirrors.keys().map(Name::as_str).collect();
    let hint = if known.is_empty() { "there are none".to_owned() } else { suggestion(name, &known) };
    Err(EditError::NotFound(format!("no mirror \"{name}\"; {hint}")))
}
