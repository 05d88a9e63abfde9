//! What operators read.

use crate::net::{EXPERIMENT, Wired, station, text};
use harness::frames;

#[test]
fn a_bridge_shows_what_it_is_and_what_happened() {
    let net = Wired::start(
        "mac-age: 60s, mac-limit: 100, stp: pass, bvi: {addresses: [192.168.2.1/24]}",
        ["isolated: true", "vlan: 10", "trunk: {vlans: '10,20-22', native: 5}", "state: down"],
    );
    net.pass(0, station(1), frames::BROADCAST);
    net.pass(1, station(2), frames::BROADCAST);
    let listed = net.router.run("show bridges");
    let words: Vec<_> = listed.lines().nth(1).expect("a line").split_whitespace().collect();
    // The router itself is a station.
    assert_eq!(words, ["br0", "3", "100", "1m00s", "0", "5", "192.168.2.1/24", "pa", "pb", "pc", "pd"], "{listed}");
    let shown = net.router.run("show bridges br0");
    let line = |begin: &str| -> Vec<String> {
        let line = shown
            .lines()
            .find(|line| line.trim_start().starts_with(begin))
            .unwrap_or_else(|| panic!("{begin}: {shown}"));
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(line("pa "), ["pa", "up", "1", "0", "0", "0", "0", "-", "isolated"]);
    assert_eq!(line("pb "), ["pb", "up", "1", "0", "0", "0", "0", "access", "10"]);
    assert_eq!(line("pc "), ["pc", "up", "0", "0", "0", "0", "0", "trunk", "10,20-22", "native", "5"]);
    assert_eq!(line("pd ")[..2], ["pd", "down"]);
    assert_eq!(line("10 ")[..], ["10", "1", "-", "pb", "pc"]);
    let frames = shown.lines().find(|line| line.trim_start().starts_with("frames")).expect("a line");
    assert!(frames.contains("unknown-unicast flood, stp pass"), "{shown}");
    let refused = net.router.ctl("show bridges br9");
    assert!(refused.code != 0 && refused.stderr.contains("no bridge \"br9\""), "{refused:?}");
    let json = net.router.json("show bridges br0");
    assert_eq!((&json["bridge"], &json["mac_age"], &json["stations"]), (&"br0".into(), &60.into(), &3.into()));
    let table = net.router.run("show mac-table vlan 10");
    let row: Vec<_> = table.lines().nth(1).expect("a row").split_whitespace().take(4).collect();
    assert_eq!(row, ["br0", "10", "02:00:00:00:aa:02", "pb"], "{table}");
    let details = net.router.run("show interfaces pa");
    assert!(details.contains("br0") && details.contains("device-input: l2-input"), "{details}");
    for (from, place) in [(0, "bridge br0"), (1, "bridge br0 VLAN 10")] {
        let station = station(from as u8 + 1);
        net.router.run(&format!("trace add l2-input 1 filter ether src {}", text(station)));
        net.pass(from, station, frames::BROADCAST);
        let traces = net.router.list("show trace");
        let told = traces[0]["hops"][0]["text"].as_str().expect("what l2-input saw");
        assert!(told.ends_with(&format!("ff:ff:ff:ff:ff:ff {place}")), "{told}");
        net.router.run("clear trace");
    }
}

#[test]
fn filters_of_traces_look_at_frames_wherever_they_are_in_the_bridge() {
    let net = Wired::start("", [""; 3]);
    net.introduce();
    let mine = text(station(1));
    for node in ["l2-input", "l2-learn", "l2-fwd", "l2-output", "interface-output", "interface-tx"] {
        net.router.run(&format!("trace add {node} 10 filter ether src {mine} and ether proto {EXPERIMENT:#x}"));
        net.pass(1, station(2), station(1));
        net.pass(0, station(1), station(2));
        let traces = net.router.list("show trace");
        assert_eq!((traces.len(), &traces[0]["hops"][0]["node"]), (1, &node.into()), "{node}: {traces:#?}");
        net.router.run("clear trace");
    }
    // Whom a frame is for is behind the port that it came from.
    net.router.run(&format!("trace add error-drop 10 filter ether dst {mine}"));
    net.pass(0, station(9), station(1));
    assert_eq!(net.router.list("show trace").len(), 1);
}
