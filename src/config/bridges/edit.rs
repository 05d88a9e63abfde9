//! The commands that change bridges.

use super::Bridge;
use crate::{
    Config, Interface, Name,
    decode::suggestion,
    diagnostic::Reader,
    edit::{EditError, keys, refuse_used, unreadable, with_keys},
    yaml::Node,
};

/// `bridge add NAME [KEY VALUE]...`.
pub(crate) fn add(config: &mut Config, name: Name, settings: &[(String, String)]) -> Result<(), EditError> {
    if config.bridges.contains_key(&name) {
        return Err(EditError::Exists(format!("bridge {name} is there already; use `bridge set`")));
    }
    let mut reader = Reader::default();
    let node = keys(format_args!("bridge {name}"), settings, &mut reader);
    put(config, name, &node, reader)
}

/// `bridge set NAME KEY VALUE...`.
pub(crate) fn set(config: &mut Config, name: &Name, settings: &[(String, String)]) -> Result<(), EditError> {
    let bridge = config.bridges.get(name).ok_or_else(|| no_bridge(config, name))?;
    let mut reader = Reader::default();
    let node = with_keys(format_args!("bridge {name}"), &bridge.encode(), settings, &mut reader);
    let Some((_, bvi)) = settings.iter().find(|(key, _)| key == "bvi") else {
        return put(config, name.clone(), &node, reader);
    };
    match bvi.as_str() {
        "on" if config.interfaces.contains_key(name) => {}
        "off" | "" => {
            remove_bvi(config, name, &format!("interface {name}"))?;
        }
        // What stands in braces is all of it.
        _ => {
            let parts: Vec<Name> = config.sub_interfaces(name).map(|(sub, _)| sub.clone()).collect();
            config.interfaces.retain(|other, _| other != name && !parts.contains(other));
        }
    }
    let kept = |key: &str| key != "bvi" || (bvi != "on" || !config.interfaces.contains_key(name));
    let entries = node.entries().iter().filter(|entry| kept(&entry.key));
    let node = entries.fold(Node::map(), |node, entry| node.with(&entry.key, entry.value.clone()));
    put(config, name.clone(), &node, reader)
}

/// `bridge remove NAME`.
pub(crate) fn remove(config: &mut Config, name: &Name) -> Result<(), EditError> {
    if !config.bridges.contains_key(name) {
        return Err(no_bridge(config, name));
    }
    let ports = config.interfaces.iter().filter(|(_, i)| i.bridge.as_ref().is_some_and(|port| port.bridge == *name));
    let ports: Vec<String> = ports.map(|(port, _)| format!("interface {port}")).collect();
    refuse_used(&format!("bridge {name}"), ports)?;
    remove_bvi(config, name, &format!("the interface of bridge {name}"))?;
    config.bridges.remove(name);
    Ok(())
}

/// Takes away a bridge's own interface, if it has one.
fn remove_bvi(config: &mut Config, name: &Name, what: &str) -> Result<(), EditError> {
    if config.interfaces.contains_key(name) {
        refuse_used(what, config.users_of(name))?;
        config.interfaces.remove(name);
    }
    Ok(())
}

/// Puts a bridge in its place, with its own interface if that is said.
fn put(config: &mut Config, name: Name, node: &Node, mut reader: Reader) -> Result<(), EditError> {
    let decoded = Bridge::decode(&name, node, &mut reader);
    let bvi = decoded.as_ref().and_then(|(_, bvi)| *bvi);
    let interfaces = bvi.map(|node| Interface::decode_bvi(&name, node, &mut reader)).unwrap_or_default();
    unreadable(reader)?;
    for (interface, settings, _) in interfaces {
        if config.interfaces.contains_key(&interface) {
            let message = format!("interface {interface} is there already; choose another name for the bridge");
            return Err(EditError::Exists(message));
        }
        config.interfaces.insert(interface, settings);
    }
    config.bridges.extend(decoded.map(|(bridge, _)| (name, bridge)));
    Ok(())
}

fn no_bridge(config: &Config, name: &Name) -> EditError {
    let known: Vec<&str> = config.bridges.keys().map(Name::as_str).collect();
    let hint = if known.is_empty() { "there are none".to_owned() } else { suggestion(name, &known) };
    EditError::NotFound(format!("no bridge \"{name}\"; {hint}"))
}
