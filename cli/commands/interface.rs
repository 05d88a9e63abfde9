//! Interfaces: `show interfaces`, `interface add|remove|set`.
mod keys;
mod text;

use millrace_api::v1::edit_request::Edit;
use millrace_api::v1::{InterfaceAdd, InterfaceRemove, InterfaceSet, ListInterfacesRequest, Setting};

use super::config::{absolute, edit};
use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Keyword, Kind, keyword, maybe, value};
use crate::session::Session;
use keys::Form;
use text::{details, table};

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["show", "interfaces"],
        args: &[maybe("NAME", Kind::Interface, "only this interface, with all its details")],
        help: "interfaces with their counters and rates",
        more: "Counters are since the last `clear counters`, rates over about the last second.",
        run: show,
    },
    Command {
        path: &["interface", "add"],
        args: &[
            value("NAME", Kind::Word, "name for the interface: letters, digits, `.`, `_`, `-`"),
            Arg::Required(keyword("driver", "DRIVER", Kind::Suggest(keys::DRIVERS), "how to reach the device")),
            Arg::Option(keyword("address", "ADDRESS", Kind::InterfaceAddresses, "addresses with their prefix lengths")),
            Arg::Options(&keys::OF_DRIVERS),
            Arg::Options(&keys::OF_ALL),
            Arg::Options(&keys::OF_PORTS),
            Arg::Option(keys::STATE),
        ],
        help: "add an interface",
        more: "  interface add wan driver af-packet device eth0 address 203.0.113.2/24\n  \
               interface add lan driver tap device mr-lan address 192.168.1.1/24,2001:db8::1/64 mtu 9000\n  \
               interface add wan.100 driver vlan address 10.100.0.1/24\n  \
               interface add c1 driver memif socket /run/millrace/memif.sock id 1 address 10.1.0.1/24\n  \
               interface add vm1 driver vhost-user socket /run/millrace/vm1.sock cross-connect p0\n  \
               interface add p0 driver dpdk device 0000:8a:00.0 queues 2\n  \
               interface add c2 driver tap device mr-c2 bridge br0 vlan 10\n  \
               interface add wan.200.10 driver vlan bridge br0\n  \
               interface add vx0 driver vxlan vni 100 local 192.0.2.1 remotes 192.0.2.2,192.0.2.3 bridge br0\n  \
               interface add gre0 driver gre local 192.0.2.1 remote 192.0.2.2 address 10.9.0.1/30\n  \
               interface add bond0 driver bond members p1,p2 mode lacp bridge br0",
        run: add,
    },
    Command {
        path: &["interface", "remove"],
        args: &[value("NAME", Kind::Interface, "interface to remove")],
        help: "remove an interface",
        more: "",
        run: remove,
    },
    Command {
        path: &["interface", "set"],
        args: &[value("NAME", Kind::Interface, "interface to change"), Arg::AnyOf(&keys::SETTINGS)],
        help: "change an interface",
        more: "  interface set wan down\n  interface set lan mtu 9000 vrf blue\n  \
               interface set wan urpf strict mss-clamp auto\n  \
               interface set lan router-advertisements on\n  \
               interface set lan router-advertisements '{interval: 30s, dns: [\"2001:db8::53\"]}'\n  \
               interface set vm1 cross-connect off\n\n\
               With another value for a key of its driver an interface is made anew.\n\n  \
               interface set c1 role client queues 2\n\n\
               Settings of tunnels and bonds change in place, and so do those of a port of a bridge.\n\n  \
               interface set c1 bridge br0 vlan 10 isolated true\n  \
               interface set p0 trunk '{vlans: [10, 20-30], native: 1}'\n  \
               interface set c1 bridge off\n  \
               interface set vx0 remotes 192.0.2.2,192.0.2.4\n  \
               interface set bond0 primary off",
        run: set,
    },
];

fn show(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListInterfacesRequest { name: args.owned("NAME") };
    let reply = session.call(|mut client| async move { client.show.list_interfaces(request).await })?;
    let output = session.output;
    match (args.get("NAME"), reply.interfaces.first()) {
        (Some(_), Some(interface)) => session.print(interface, |interface| details(&output, interface)),
        _ => session.print(&reply.interfaces[..], |interfaces| table(&output, interfaces)),
    }
}

fn add(session: &mut Session, args: &Args) -> Result<(), Error> {
    let keys = keys::OF_DRIVERS.iter().chain(&keys::OF_ALL).chain(&keys::OF_PORTS).chain([&keys::STATE]);
    let mut settings = settings(args, keys)?;
    settings.retain(|setting| !setting.value.is_empty());
    if let Some(addresses) = args.get("address") {
        let addresses: Vec<String> = addresses.split(',').map(quoted).collect();
        settings.push(Setting { key: "addresses".to_owned(), value: format!("[{}]", addresses.join(", ")) });
    }
    edit(session, Edit::InterfaceAdd(InterfaceAdd { name: args.text("NAME"), driver: args.text("driver"), settings }))
}

fn remove(session: &mut Session, args: &Args) -> Result<(), Error> {
    edit(session, Edit::InterfaceRemove(InterfaceRemove { name: args.text("NAME") }))
}

fn set(session: &mut Session, args: &Args) -> Result<(), Error> {
    let mut settings = settings(args, keys::SETTINGS.iter().filter(|keyword| keyword.value.is_some()))?;
    match (args.has("up"), args.has("down")) {
        (true, true) => return Err(Error::usage("\"up\" and \"down\" exclude each other")),
        (false, false) => {}
        (up, _) => {
            let value = if up { "up" } else { "down" };
            settings.push(Setting { key: "state".to_owned(), value: value.to_owned() });
        }
    }
    edit(session, Edit::InterfaceSet(InterfaceSet { name: args.text("NAME"), settings }))
}

/// The keywords that were given, as they would stand in the configuration file; empty where they are to stand there no more.
pub(super) fn settings<'k>(args: &Args, keys: impl Iterator<Item = &'k Keyword>) -> Result<Vec<Setting>, Error> {
    let given = keys.filter_map(|keyword| Some((keyword.word, args.get(keyword.word)?)));
    given
        .map(|(key, text)| {
            let value = match keys::form(key) {
                _ if keys::is_unset(key, text) => String::new(),
                Form::Yaml => text.to_owned(),
                Form::Path if !text.starts_with('@') => quoted(&absolute(text)?),
                Form::Path | Form::Text => quoted(text),
                Form::List if text == "all" || text.starts_with('[') => text.to_owned(),
                Form::List => format!("[{}]", text.split(',').map(quoted).collect::<Vec<_>>().join(", ")),
            };
            Ok(Setting { key: key.to_owned(), value })
        })
        .collect()
}

/// A YAML string in double quotes, which takes the same escapes as JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_what_the_file_would_hold() {
        assert_eq!(quoted("02:00:00:00:00:01"), r#""02:00:00:00:00:01""#);
        assert_eq!(quoted(r#"a"b"#), r#""a\"b""#);
    }
}
