//! The rules of interfaces.

use super::Interface;
use crate::{
    cross_connect,
    decode::suggestion,
    diagnostic::Spot,
    driver::{Driver, Resource},
    generator::Flow,
    mss_clamp,
    name::Name,
    ports, router_advertisements,
    validate::Check,
};
use std::{collections::HashMap, path::Path};

pub(crate) fn check(check: &mut Check<'_>) {
    let config = check.config;
    let mut users: HashMap<(&str, &Path), (&Name, Resource)> = HashMap::new();
    for (name, interface) in &config.interfaces {
        let spot = |key| Spot::new("interfaces", name).key(key);
        let what = format!("interface {name}");
        if !(Interface::MTU_MIN..=Interface::MTU_MAX).contains(&interface.mtu) {
            let hint = format!("expected {} to {}", Interface::MTU_MIN, Interface::MTU_MAX);
            check.problem(spot("mtu"), format!("{what}: mtu: {} is out of range", interface.mtu), hint);
        }
        if let Some(mac) = interface.mac.filter(|mac| !mac.is_unicast()) {
            let hint = "expected one of a single station: the first byte even, not all zeroes";
            check.problem(spot("mac"), format!("{what}: mac: {mac} is no interface's address"), hint);
        }
        check.vrf(spot("vrf"), &what, &interface.vrf);
        mss_clamp::check(check, name, interface.mss_clamp);
        router_advertisements::check(check, name, interface);
        if let Some(parent) = interface.parent() {
            check_sub(check, name, interface, parent);
        }
        cross_connect::check(check, name, interface);
        ports::check(check, name, interface);
        if let Some((resource, path)) = interface.driver.resource() {
            let (key, called) = resource.words();
            match users.insert((key, path), (name, resource)) {
                Some((other, theirs)) if !(theirs == resource && resource == Resource::MemifSocket) => {
                    let message = format!("{what}: {called} {} is interface {other}'s already", path.display());
                    check.problem(spot(key), message, "expected one of its own for each interface");
                }
                _ if key == "socket" && path == config.api.socket => {
                    let message = format!("{what}: socket {} is that of the API", path.display());
                    check.problem(spot(key), message, "expected another one");
                }
                _ => {}
            }
        }
        if let Driver::Generator(generator) = &interface.driver
            && !check.partial.contains(name)
        {
            for (i, stream) in generator.streams.iter().enumerate() {
                if let Some(largest) = stream.mtu_needed().filter(|needed| *needed > interface.mtu) {
                    let message = format!("{what}: streams: stream {}: its packets are up to {largest} bytes", i + 1);
                    let hint = format!("expected frames that fit the mtu of {}, or a larger `mtu`", interface.mtu);
                    check.problem(spot("streams").value(i), message, hint);
                }
                if let Some(all) = stream.too_many_to_shuffle() {
                    let message = format!("{what}: streams: stream {}: {all} combinations to shuffle", i + 1);
                    let hint = format!("expected at most {}, or order: random", Flow::SHUFFLED_MAX);
                    check.problem(spot("streams").value(i), message, hint);
                }
            }
        }
    }
}

fn check_sub(check: &mut Check<'_>, name: &Name, interface: &Interface, parent: &Name) {
    let spot = || Spot::new("interfaces", name);
    if interface.mac.is_some() {
        check.problem(
            spot(),
            format!("interface {name}: mac: a sub-interface has its parent's"),
            format!("set it on {parent}"),
        );
    }
    match check.config.interfaces.get(parent) {
        None => {
            let known: Vec<&str> = check.config.interfaces.keys().map(Name::as_str).collect();
            check.problem(spot(), format!("interface {name}: no interface \"{parent}\""), suggestion(parent, &known));
        }
        Some(other) if other.parent().is_some() => {
            let message = format!("interface {name}: {parent} is a sub-interface itself");
            check.problem(
                spot(),
                message,
                "expected a sub-interface of an interface with a driver; one with two tags is called `wan.200.10`",
            );
        }
        Some(other) if interface.mtu > other.mtu => {
            let message = format!("interface {name}: mtu: {} is more than that of {parent}", interface.mtu);
            check.problem(spot().key("mtu"), message, format!("expected at most {}", other.mtu));
        }
        Some(_) => {}
    }
}
