//! Listing and forgetting stations.

use crate::net::{NAMES, Wired, behind, station, text};
use harness::frames;

#[test]
fn stations_are_listed_by_what_is_asked_for() {
    let net = Wired::start("static-macs: [{mac: '02:00:00:00:aa:07', interface: pb}]", ["", "", ""]);
    net.introduce();
    let macs = |command: &str| -> Vec<String> {
        let rows = net.router.list(&format!("show mac-table {command}"));
        rows.iter().filter_map(|row| row["mac"].as_str().map(str::to_owned)).collect()
    };
    let all = [1, 2, 3, 7].map(|number| text(station(number)));
    assert_eq!(macs(""), all, "in order");
    assert_eq!(macs("br0"), all);
    assert_eq!(macs("interface pb"), [all[1].clone(), all[3].clone()]);
    assert_eq!(macs(&format!("mac {}", all[2])), [all[2].clone()]);
    assert_eq!(macs("static"), [all[3].clone()]);
    assert_eq!(macs("br0 interface pb static"), [all[3].clone()]);
    assert_eq!(macs("limit 2").len(), 2);
    assert_eq!(macs("mac 02:00:00:00:aa:99"), [] as [String; 0]);
    for (command, message) in
        [("show mac-table br9", "no bridge \"br9\""), ("show mac-table interface px", "no interface \"px\"")]
    {
        let refused = net.router.ctl(command);
        assert!(refused.code != 0 && refused.stderr.contains(message), "{refused:?}");
    }
    let row = &net.router.list(&format!("show mac-table mac {}", all[0]))[0];
    assert_eq!((&row["bridge"], &row["interface"], &row["static"]), (&"br0".into(), &"pa".into(), &false.into()));
    assert!(row["age"].as_u64().is_some_and(|age| age < 60), "{row}");
}

#[test]
fn stations_are_forgotten_when_asked() {
    let net = Wired::start("static-macs: [{mac: '02:00:00:00:aa:07', interface: pb}]", ["", "", ""]);
    net.introduce();
    let where_they_are = || [1, 2, 3, 7].map(|number| behind(&net.router, &text(station(number))));
    assert_eq!(net.router.run("clear mac-table interface pa"), "1 station forgotten\n");
    assert_eq!(where_they_are(), ["", "pb", "pc", "pb"]);
    net.pass(0, station(1), frames::BROADCAST);
    assert_eq!(net.router.run("clear mac-table br0 interface pb"), "1 station forgotten\n");
    assert_eq!(where_they_are(), ["pa", "", "pc", "pb"]);
    assert_eq!(net.router.run("clear mac-table br0"), "2 stations forgotten\n");
    assert_eq!(where_they_are(), ["", "", "", "pb"]);
    assert_eq!(net.router.run("clear mac-table"), "0 stations forgotten\n");
}

#[test]
fn a_thousand_stations_behind_each_port() {
    let net = Wired::start("", ["", "", ""]);
    for (number, name) in NAMES[..3].iter().enumerate() {
        let mac = |station: u16| [2, 0, 0, number as u8, (station >> 8) as u8, station as u8];
        let all: Vec<_> = (0..1000).map(|station| crate::net::frame(mac(station), mac(0))).collect();
        net.send_all(number, &all);
        assert_eq!(crate::net::port(&net.router, name)["stations"], 1000);
    }
    assert_eq!(net.router.list("show mac-table").len(), 3000);
    assert_eq!(net.router.list("show mac-table interface pb").len(), 1000);
    assert_eq!(net.router.json("show bridges br0")["stations"], 3000);
    assert_eq!(net.router.run("clear mac-table interface pc"), "1000 stations forgotten\n");
    assert_eq!(net.router.list("show mac-table").len(), 2000);
}
