//! Stations are forgotten when they are silent, and at once when their port is gone.

use crate::net::{Hosted, Wired, behind, station, text};
use harness::{PATIENCE, frames, within};
use std::time::{Duration, Instant};

#[test]
fn silent_stations_are_forgotten_after_the_bridges_age() {
    let net = Wired::start("mac-age: 10s", ["", ""]);
    let begin = Instant::now();
    net.pass(0, station(1), frames::BROADCAST);
    net.pass(1, station(2), frames::BROADCAST);
    let known = |number| !behind(&net.router, &text(station(number))).is_empty();
    assert!(known(1) && known(2));
    let mut last = Instant::now();
    let gone = within(Duration::from_secs(30), || {
        // The other one goes on to be heard.
        if last.elapsed() > Duration::from_secs(1) {
            net.wires[1].send(&crate::net::frame(station(2), station(3)));
            last = Instant::now();
        }
        (!known(1)).then(|| begin.elapsed())
    });
    let gone = gone.unwrap_or_else(|| panic!("still there:\n{}", net.router.run("show mac-table")));
    assert!(gone >= Duration::from_secs(9) && gone < Duration::from_secs(18), "gone after {gone:?}");
    assert!(known(2));
    net.router.run("bridge set br0 mac-age 0s");
    assert_eq!(net.router.json("show bridges br0")["mac_age"], 0);
}

#[test]
fn a_cable_that_is_pulled_takes_its_stations_along() {
    let net = Hosted::start(3, "", "", "");
    let [a, b, c] = &net.hosts[..] else { panic!("three hosts") };
    a.ping("192.168.2.12");
    c.ping("192.168.2.12");
    let mac = b.mac();
    assert_eq!(behind(&net.router, &mac), "pb");
    b.ip("link set eth0 down");
    let gone = within(PATIENCE, || behind(&net.router, &mac).is_empty().then_some(()));
    assert!(gone.is_some(), "{}", net.router.run("show mac-table"));
    assert_eq!(behind(&net.router, &a.mac()), "pa", "others stay");
    assert_eq!(net.router.json("show bridges br0")["ports"][1]["link"], "down");
    a.ping("192.168.2.13");
    b.ip("link set eth0 up");
    let back = within(PATIENCE, || b.reaches("192.168.2.11").then_some(()));
    assert!(back.is_some() && behind(&net.router, &mac) == "pb");
}

#[test]
fn a_port_that_leaves_the_bridge_takes_its_stations_along() {
    let net = Wired::start("", ["", "", ""]);
    net.introduce();
    // Station 3 is behind it, too, for a while.
    net.pass(1, station(3), frames::BROADCAST);
    assert_eq!(crate::net::port(&net.router, "pb")["moves"], 1);
    net.router.run("interface set pb bridge off");
    let gone = within(PATIENCE, || behind(&net.router, &text(station(2))).is_empty().then_some(()));
    assert!(gone.is_some(), "{}", net.router.run("show mac-table"));
    assert_eq!(net.pass(0, station(1), frames::BROADCAST), crate::net::only([2]));
    net.router.run("interface set pb bridge br0");
    assert_eq!(net.pass(0, station(1), frames::BROADCAST), crate::net::only([1, 2]));
    let shown = crate::net::port(&net.router, "pb");
    assert_eq!((&shown["stations"], &shown["moves"]), (&0.into(), &0.into()), "it is a new one");
}
