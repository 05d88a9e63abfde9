//! LACP between two routers.

use crate::pair::{Pair, bond, carriers};
use harness::{UdpStream, eventually};

const LACP: &str = "mode: lacp, lacp-rate: fast";

#[test]
fn flows_share_both_cables_and_survive_one_of_them() {
    let net = Pair::start(LACP, LACP);
    net.await_carriers(2);
    net.lan.ping(&net.wan.address);
    // Each knows the other.
    let (left, right) = (net.left.json("show lacp bond0"), net.right.json("show lacp bond0"));
    assert_eq!((&left["partner"]["mac"], &right["partner"]["mac"]), (&right["system"]["mac"], &left["system"]["mac"]));
    for port in left["ports"].as_array().expect("ports") {
        assert_eq!((&port["mux"], &port["receive"]), (&"distributing".into(), &"current".into()));
    }
    // Many flows: both cables have their share, both ways.
    let sent = || ["p0", "p1"].map(|port| net.left.counter(port, "tx_packets"));
    let before = sent();
    let flows = 64;
    net.lan.enter(|| {
        for _ in 0..flows {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a port");
            socket.send_to(b"one of many", (net.wan.address.as_str(), 9)).expect("sent");
        }
    });
    let share = eventually("all are on their way", || {
        let now = sent();
        let share = [now[0] - before[0], now[1] - before[1]];
        (share[0] + share[1] >= flows).then_some(share)
    });
    assert!(share.iter().all(|share| *share > 10), "{share:?}");
    // A cable is pulled at one end while a stream runs: over the other one nothing is lost, over this one what was on its way.
    let rate = 2000;
    let lost_without = |own: bool| {
        let stream = UdpStream::start(&net.lan, &net.wan, rate);
        let before = sent();
        let grown = |now: [u64; 2], port: usize| now[port] - before[port] > 100;
        let has = eventually("the stream's cable", || (0..2).find(|port| grown(sent(), *port)));
        let pulled = ["p0", "p1"][if own { has } else { 1 - has }];
        net.labs[1].router.ip(&format!("link set {pulled} down"));
        eventually("one cable is left", || (carriers(&net.left).len() == 1).then_some(()));
        std::thread::sleep(std::time::Duration::from_millis(300));
        net.labs[1].router.ip(&format!("link set {pulled} up"));
        net.await_carriers(2);
        let (sent, lost) = stream.finish();
        assert!(sent > 500, "{sent}");
        lost.len()
    };
    assert_eq!(lost_without(false), 0, "the other cable's flows don't notice");
    // A busy machine hears of it within some milliseconds.
    let lost = lost_without(true);
    assert!(lost < rate as usize / 4, "lost: {lost}");
    net.lan.ping(&net.wan.address);
}

#[test]
fn without_a_partner_nothing_is_aggregated() {
    // The other side doesn't speak LACP.
    let net = Pair::start(LACP, "mode: active-backup");
    let why = eventually("the bond gives up", || {
        let bond = bond(&net.left);
        let why = bond["members"][0]["reason"].as_str()?.to_owned();
        why.contains("nobody speaks LACP").then_some(why)
    });
    assert_eq!(why, "nobody speaks LACP at its other end");
    let bond = bond(&net.left);
    assert_eq!((&bond["link"], &bond["reason"]), (&"down".into(), &"no member carries frames".into()));
    assert!(carriers(&net.left).is_empty());
    assert_eq!(net.left.json("show lacp bond0")["partner"], serde_json::Value::Null);
}

#[test]
fn min_links_members_or_none() {
    let net = Pair::start(&format!("{LACP}, min-links: 2"), LACP);
    net.await_carriers(2);
    net.lan.ping(&net.wan.address);
    net.labs[1].router.ip("link set p1 down");
    let reason = eventually("the bond is down", || bond(&net.left)["reason"].as_str().map(str::to_owned));
    assert_eq!(reason, "1 of the 2 members that min-links wants carry frames");
    assert!(!net.lan.reaches(&net.wan.address));
    net.labs[1].router.ip("link set p1 up");
    net.await_carriers(2);
    eventually("it is up again", || net.lan.reaches(&net.wan.address).then_some(()));
}

#[test]
fn members_come_and_go_without_a_loss() {
    let net = Pair::start(LACP, LACP);
    net.await_carriers(2);
    net.lan.ping(&net.wan.address);
    let stream = UdpStream::start(&net.lan, &net.wan, 1000);
    let config = std::fs::read_to_string(net.left.config_file()).expect("the configuration");
    let apply = |text: &str| {
        let file = net.left.files().write("next.yaml", text);
        net.left.run(&format!("config apply {}", file.display()));
    };
    apply(&config.replace("members: [p0, p1]", "members: [p1]"));
    eventually("one is left", || (carriers(&net.left) == ["p1"] && carriers(&net.right) == ["p1"]).then_some(()));
    apply(&config);
    net.await_carriers(2);
    apply(&config.replace("members: [p0, p1]", "members: [p0]"));
    eventually("the other is left", || (carriers(&net.left) == ["p0"]).then_some(()));
    apply(&config.replace("lacp-rate: fast", "lacp-rate: slow"));
    net.await_carriers(2);
    let (sent, lost) = stream.finish();
    // What was on its way to a member that was taken away.
    assert!(lost.len() < 100 && sent > 3000, "{} of {sent} lost", lost.len());
    net.lan.ping(&net.wan.address);
}
