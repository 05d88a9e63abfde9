//! The rules of mirrors.

use super::MirrorTarget;
use crate::{Config, Driver, Name, diagnostic::Spot, validate::Check};

pub(crate) fn check(check: &mut Check<'_>) {
    let config = check.config;
    for (name, mirror) in &config.mirrors {
        let spot = |key| Spot::new("mirrors", name).key(key);
        let what = format!("mirror {name}");
        if mirror.from.is_empty() {
            let hint = "expected the interfaces whose frames are copied";
            check.problem(spot("from"), format!("{what}: from: there is none"), hint);
        }
        for (i, from) in mirror.from.iter().enumerate() {
            let spot = || spot("from").value(i);
            if mirror.from[..i].contains(from) {
                check.problem(spot(), format!("{what}: from: {from} stands here twice"), "keep one of them");
            } else if check.interface(spot(), &format!("{what}: from"), from) {
                no_frames(check, spot(), &format!("{what}: from"), from);
            }
        }
        match &mirror.to {
            MirrorTarget::Interface(to) => check_target(check, name, to),
            MirrorTarget::File(path) => {
                let mirrors = config.mirrors.iter().take_while(|(other, _)| *other != name);
                let other =
                    mirrors.filter(|(_, other)| other.to == mirror.to).map(|(other, _)| format!("mirror {other}"));
                let written = config
                    .interfaces
                    .iter()
                    .filter(|(_, i)| matches!(&i.driver, Driver::Pcap(pcap) if pcap.write.as_ref() == Some(path)));
                let written = written.map(|(interface, _)| format!("interface {interface}"));
                if let Some(other) = other.chain(written).next() {
                    let message = format!("{what}: file {} is that of {other} already", path.display());
                    check.problem(spot("file"), message, "expected one of its own");
                }
            }
        }
    }
}

/// A target has no other use, and nothing that is copied to it leaves by what is mirrored.
fn check_target(check: &mut Check<'_>, name: &Name, to: &Name) {
    let config = check.config;
    let spot = || Spot::new("mirrors", name).key("to");
    let what = format!("mirror {name}: to");
    if !check.interface(spot(), &what, to) || check.partial.contains(to) {
        return;
    }
    let Some(interface) = config.interfaces.get(to) else { return };
    no_frames(check, spot(), &what, to);
    if let Some(key) = interface.uses(to, config) {
        let message = format!("{what}: {to} has {key}");
        check.problem(spot(), message, "expected an interface without another use: nothing else leaves by it");
    }
    if let Some(user) = config.takers(to).into_iter().find(|user| !user.starts_with("mirror ")) {
        check.problem(spot(), format!("{what}: {to} is used by {user}"), "expected an interface without another use");
    }
    let carriers = carriers(config, to);
    let copied = |said: &'_ super::Mirror| said.from.iter().find(|from| carriers.contains(from)).cloned();
    if let Some((other, from)) = config.mirrors.iter().find_map(|(other, said)| Some((other, copied(said)?))) {
        let message = match other == name {
            true => format!("{what}: what leaves by {to} is copied from {from}: a loop"),
            false => format!("{what}: what leaves by {to} is copied from {from} by mirror {other}"),
        };
        check.problem(spot(), message, "expected an interface that no mirror copies from");
    }
}

/// The interfaces by which frames to an interface leave: itself, its parent, the members of a bond.
fn carriers<'c>(config: &'c Config, name: &'c Name) -> Vec<&'c Name> {
    let mut all = vec![name];
    let mut at = 0;
    while let Some(name) = all.get(at).copied() {
        at += 1;
        let Some(interface) = config.interfaces.get(name) else { continue };
        all.extend(interface.driver.needs());
    }
    all
}

/// Refuses interfaces whose packets have no Ethernet header, or that have no packets.
fn no_frames(check: &mut Check<'_>, spot: Spot, what: &str, name: &Name) {
    let Some(interface) = check.config.interfaces.get(name).filter(|_| !check.partial.contains(name)) else { return };
    let why = match &interface.driver {
        Driver::Loopback => "a loopback",
        Driver::Gre(_) => "a gre tunnel",
        Driver::Ipip(_) => "an ipip tunnel",
        _ => return,
    };
    check.problem(spot, format!("{what}: {name} is {why} and has no frames"), "expected an interface with frames");
}
