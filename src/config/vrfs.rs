//! `vrfs`: routing tables beside `default`, each with its own interfaces, routes and neighbours.

use crate::{
    Config, DEFAULT_VRF, Name,
    decode::{Fields, Scalar},
    diagnostic::Reader,
    yaml::{Node, Value},
};

/// A VRF; its name is its key in [`Config::vrfs`](crate::Config::vrfs). It has no settings of its own so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vrf {}

pub(crate) fn decode(node: &Node, config: &mut Config, reader: &mut Reader) {
    if Fields::open(node, "vrfs", "vrfs", reader).is_none() {
        return;
    }
    let Value::Map(entries) = &node.value else { return };
    for entry in entries {
        let Ok(name) = Name::new(&entry.key) else {
            reader.error(
                entry.key_at,
                format!("vrfs: cannot take \"{}\"", entry.key),
                format!("expected {}", Name::WANTED),
            );
            continue;
        };
        if let Some(fields) = Fields::open(&entry.value, format_args!("vrf {name}"), "vrf", reader) {
            fields.close(reader);
        }
        // `default` exists anyway; to name it is no mistake.
        if name != DEFAULT_VRF {
            config.vrfs.insert(name, Vrf::default());
        }
    }
}

pub(crate) fn encode(config: &Config) -> Node {
    config.vrfs.keys().fold(Node::map(), |node, name| node.with(name, Node::map()))
}
