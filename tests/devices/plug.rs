//! Interfaces of every driver come and go, by command and by file, and nothing is lost between two others meanwhile.

use harness::{Hosts, UdpStream, eventually};
use serde_json::Value;
use std::path::Path;

/// How often each comes and goes.
const ROUNDS: usize = 3;

/// What of two others is to pass while `work` is done.
fn undisturbed(net: &Hosts, work: impl FnOnce()) {
    net.lan.ping(&net.wan.address);
    let stream = UdpStream::start(&net.lan, &net.wan, 2000);
    work();
    let (sent, missing) = stream.finish();
    assert!(missing.is_empty(), "{} of {sent} packets were lost: {missing:?}", missing.len());
    assert_eq!(net.router.list("show interfaces").len(), 2, "an interface was left");
    net.router.rebase();
}

fn is_so(net: &Hosts, interface: &str, key: &str, value: &str) {
    let last = std::cell::Cell::new(None);
    let so = || {
        let row = net.router.interface(interface);
        let there = row.as_ref().is_some_and(|row| row[key] == value);
        last.set(row);
        there.then_some(())
    };
    if harness::within(harness::PATIENCE, so).is_none() {
        panic!("{key} of {interface} is not {value}: {:?}\n{}", last.take(), net.router.run("show events"));
    }
}

/// Adds it and lets it forward for a host, and removes it, by commands and by files.
fn a_card_comes_and_goes(driver: &str, keys: &str) {
    let net = Hosts::start("");
    let dmz = net.lab.host("dmz", "10.5.0.10/24", "10.5.0.1");
    let words = keys.replace(": ", " ").replace(", ", " ").replace('\'', "");
    let file = |name: &str, more: &str| {
        let path = net.router.files().write(name, format!("{}{more}", Hosts::INTERFACES));
        format!("config apply {}", path.display())
    };
    let with = file("with.yaml", &format!("  dmz: {{driver: {driver}, {keys}, addresses: [10.5.0.1/24]}}\n"));
    let without = file("without.yaml", "");
    undisturbed(&net, || {
        for round in 0..ROUNDS {
            if round == ROUNDS - 1 {
                net.router.run(&with);
            } else {
                net.router.run(&format!("interface add dmz driver {driver} {words} address 10.5.0.1/24"));
            }
            is_so(&net, "dmz", "driver", driver);
            is_so(&net, "dmz", "link", "up");
            eventually("the new interface forwards", || net.lan.reaches(&dmz.address).then_some(()));
            dmz.ping(&net.wan.address);
            let row = net.router.interface("dmz").expect("dmz");
            for key in ["rx_packets", "tx_packets"] {
                assert!(row[key].as_u64() >= Some(3), "{key}: {row}");
            }
            net.router.run(if round == 0 { "interface remove dmz" } else { &without });
            assert!(!dmz.reaches("10.5.0.1"), "the interface is gone");
        }
    });
}

#[test]
fn af_packet() {
    a_card_comes_and_goes("af-packet", "device: dmz");
}

#[test]
fn af_xdp() {
    a_card_comes_and_goes("af-xdp", "device: dmz, ring-size: 1024");
}

#[cfg(feature = "dpdk")]
#[test]
fn dpdk() {
    a_card_comes_and_goes("dpdk", "device: 'net_af_packet0,iface=dmz', ring-size: 512");
}

/// The kernel's end of the tap goes to a host.
#[test]
fn tap() {
    let net = Hosts::start("");
    undisturbed(&net, || {
        for _ in 0..ROUNDS {
            net.router.run("interface add dmz driver tap device mr-dmz address 10.5.0.1/24");
            let host = harness::Host::unplugged("dmz", "10.5.0.10/24");
            net.lab.router.ip(&format!("link set mr-dmz netns {} name eth0", host.name()));
            host.configure("10.5.0.10/24", "10.5.0.1");
            eventually("the new interface forwards", || net.lan.reaches(&host.address).then_some(()));
            net.router.run("interface remove dmz");
            assert!(!host.reaches("10.5.0.1"));
        }
    });
}

/// Both ends of a connection in one router: a packet goes out by the one and comes back by the other, which is in a VRF of its own.
#[test]
fn memif_server_and_client() {
    let net = Hosts::start("vrfs: {far: {}}\n");
    let folder = net.lab.files.file("sockets");
    std::fs::create_dir(&folder).expect("a folder");
    // A socket has one role in a router; by another name it is another one.
    let other = net.lab.files.file("the-same");
    std::os::unix::fs::symlink(&folder, &other).expect("a link");
    let add = |name: &str, role: &str, folder: &Path, rest: &str| {
        let socket = folder.join("m.sock");
        let command = format!("interface add {name} driver memif socket {} id 7 role {role} {rest}", socket.display());
        net.router.run(&command);
    };
    undisturbed(&net, || {
        for round in 0..ROUNDS {
            let server = || add("server", "server", &folder, "address 10.7.0.1/30");
            let client = || add("client", "client", &other, "address 10.7.0.2/30 vrf far queues 2 ring-size 256");
            // In any order.
            if round % 2 == 0 {
                (server(), client())
            } else {
                (client(), server())
            };
            is_so(&net, "server", "link", "up");
            is_so(&net, "client", "link", "up");
            eventually("it reaches itself", || (net.router.ctl("ping 10.7.0.2 count 1").code == 0).then_some(()));
            // Either goes first; the other waits and says so.
            let (first, second) = if round % 2 == 0 { ("client", "server") } else { ("server", "client") };
            net.router.run(&format!("interface remove {first}"));
            is_so(&net, second, "link", "down");
            let told = net.router.json(&format!("show interfaces {second}"));
            assert!(told["link_reason"].as_str().is_some_and(|reason| reason.contains("m.sock")), "{told}");
            net.router.run(&format!("interface remove {second}"));
        }
    });
    assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 0, "a socket was left");
}

/// What waits for a peer is no trouble to others, says what it waits for, and goes.
#[test]
fn vhost_user_without_a_guest() {
    let net = Hosts::start("");
    let (server, client) = (net.lab.files.file("vm1.sock"), net.lab.files.file("vm2.sock"));
    undisturbed(&net, || {
        for _ in 0..ROUNDS {
            net.router.run(&format!("interface add vm1 driver vhost-user socket {} queues 2", server.display()));
            net.router.run(&format!("interface add vm2 driver vhost-user role client socket {}", client.display()));
            for (name, socket) in [("vm1", &server), ("vm2", &client)] {
                is_so(&net, name, "link", "down");
                let waits = || {
                    let told = net.router.json(&format!("show interfaces {name}"));
                    let reason = told["link_reason"].as_str()?.to_owned();
                    reason.contains(&*socket.display().to_string()).then_some(reason)
                };
                let reason = eventually("it says what it waits for", waits);
                let shown = net.router.run(&format!("show interfaces {name}"));
                assert!(shown.contains(&format!("state         up, link down: {reason}\n")), "{shown}");
            }
            assert!(server.exists());
            net.router.run("interface remove vm1");
            net.router.run("interface remove vm2");
            assert!(!server.exists(), "the socket was left");
        }
    });
}

/// A key of the driver makes the interface anew, with its addresses and the routes by it.
#[test]
fn a_key_of_the_driver_is_set() {
    let net = Hosts::start("");
    let dmz = net.lab.host("dmz", "10.5.0.10/24", "10.5.0.1");
    net.router.run("interface add dmz driver af-xdp device dmz address 10.5.0.1/24");
    net.router.run("route add 10.6.0.0/16 via 10.5.0.10 interface dmz");
    dmz.ip("addr add 10.6.0.1/32 dev lo");
    let stream = UdpStream::start(&net.lan, &net.wan, 2000);
    for (key, value) in [("mode", "generic"), ("ring-size", "512"), ("busy-poll", "true"), ("mode", "auto")] {
        net.router.run(&format!("interface set dmz {key} {value}"));
        eventually("it forwards again", || net.lan.reaches("10.6.0.1").then_some(()));
    }
    let (sent, missing) = stream.finish();
    assert!(missing.is_empty(), "{} of {sent} packets were lost: {missing:?}", missing.len());
    let config = net.router.json("show configuration");
    let wanted = serde_json::json!(
        {"driver": "af-xdp", "device": "dmz", "ring-size": 512, "busy-poll": true, "addresses": ["10.5.0.1/24"]}
    );
    assert_eq!(plain(&config["interfaces"]["dmz"]), plain(&wanted));
    // The host goes before the router, and with it the device and what stands in its rings.
    net.router.run("route remove 10.6.0.0/16");
    net.router.run("interface remove dmz");
    net.router.rebase();
}

/// Numbers and truth values as texts.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::String(_) => value.clone(),
        other => Value::String(other.to_string()),
    }
}
