//! An attacker's million addresses on a port, and more broadcasts than there may be.

use crate::net::{Hosted, Wired, await_event, behind, frame, port, station};
use harness::capture_file::capture;
use harness::{PATIENCE, UdpStream, frames, within};
use std::time::Duration;

const ADDRESSES: u32 = 1_000_000;
/// A million frames, on a machine that has other things to do.
const LONG: Duration = Duration::from_secs(60);

/// A frame from each of a million stations, to one that is known, and that did not ask for it.
fn flood(to: frames::Mac) -> Vec<u8> {
    let source = |number: u32| {
        let [_, a, b, c] = number.to_be_bytes();
        [6, 0xbb, 0, a, b, c]
    };
    let all: Vec<_> = (0..ADDRESSES).map(|number| frames::ethernet(source(number), to, 0x88b5, &[0; 46])).collect();
    capture(&all)
}

/// A router with two hosts that talk, a port that floods with these keys, and what the two of them lost.
fn attack(bridge: &str, keys: &str) -> Hosted {
    let net = Hosted::start(2, bridge, "", "");
    let [a, b] = &net.hosts[..] else { panic!("two hosts") };
    a.ping("192.168.2.12");
    let file = net.router.files().write("flood.pcap", flood(station(1)));
    let streams = [UdpStream::start(a, b, 2000), UdpStream::start(b, a, 2000)];
    let add = format!("interface add px driver pcap read {} bridge br0 unknown-unicast drop {keys}", file.display());
    net.router.run(&add);
    let done = within(LONG, || (net.router.counter("px", "rx_packets") >= u64::from(ADDRESSES)).then_some(()));
    assert!(done.is_some(), "{}", net.router.run("show interfaces"));
    // A fast machine is through with it in no time.
    let said = |port| net.router.counter(port, "rx_packets") > 200;
    within(PATIENCE, || (said("pa") && said("pb")).then_some(())).expect("both speak");
    for stream in streams {
        let (sent, lost) = stream.finish();
        assert!(sent > 100 && lost.is_empty(), "{} of {sent} lost", lost.len());
    }
    assert_eq!([a, b].map(|host| behind(&net.router, &host.mac())), ["pa", "pb"]);
    // A stranger is no more than an address: nothing was flooded to the others.
    assert!(net.router.counter("pa", "tx_packets") < 100_000);
    net
}

#[test]
fn a_million_addresses_on_a_limited_port_are_its_own_trouble() {
    let net = attack("", "mac-limit 1000");
    let shown = port(&net.router, "px");
    assert_eq!(shown["stations"], 1000);
    let refused = shown["port_full"].as_u64().expect("a count");
    assert_eq!(refused, u64::from(ADDRESSES) - 1000, "{shown}");
    await_event(&net.router, PATIENCE, "px: mac-limit reached: stations are not learnt");
    assert!(net.router.errors("l2-learn", "port") >= refused, "{}", net.router.run("show errors"));
    // New hosts are learnt.
    net.hosts[0].ip("link set eth0 address 02:00:00:00:00:31");
    net.hosts[0].ip("route replace default via 192.168.2.1");
    net.hosts[0].ping("192.168.2.12");
    assert_eq!(behind(&net.router, "02:00:00:00:00:31"), "pa");
    assert_eq!(net.router.run("clear mac-table interface px"), "1000 stations forgotten\n");
}

#[test]
fn a_million_addresses_fill_the_bridge_and_evict_nobody() {
    let net = attack("mac-limit: 5000", "");
    assert_eq!(net.router.json("show bridges br0")["stations"], 5000);
    assert!(port(&net.router, "px")["bridge_full"].as_u64() > Some(990_000));
    await_event(&net.router, PATIENCE, "mac-limit of the bridge reached");
    // Who goes takes its stations along.
    net.router.run("interface remove px");
    net.router.rebase();
    let left = || net.router.json("show bridges br0")["stations"].as_u64();
    assert!(within(PATIENCE, || (left() == Some(2)).then_some(())).is_some(), "{:?} are left", left());
}

#[test]
fn a_table_of_several_hundred_thousand_is_listed_and_forgotten() {
    let net = attack("mac-limit: 1000000", "mac-limit 600000");
    let rows = net.router.run("show mac-table interface px").lines().count();
    // Where two of a kind meet, some find no place.
    let stations = port(&net.router, "px")["stations"].as_u64().expect("a count");
    assert!(stations > 590_000 && rows as u64 == stations + 1, "{rows} rows of {stations} stations");
    assert_eq!(net.router.list("show mac-table interface px limit 2500").len(), 2500);
    // The router answers others while it lists.
    assert_eq!(net.router.run("clear mac-table interface px"), format!("{stations} stations forgotten\n"));
    assert_eq!(net.router.json("show bridges br0")["stations"], 2);
}

#[test]
fn storms_are_cut_short() {
    let limits = "storm-control: {broadcast: 50, multicast: 50, unknown: 50}";
    let net = Wired::start("", [limits, ""]);
    net.introduce();
    let kinds = [("broadcast", frames::BROADCAST), ("multicast", [1, 0, 0x5e, 1, 2, 3]), ("unknown", station(99))];
    for (kind, to) in kinds {
        let storm: Vec<_> = (0..2000).map(|_| frame(station(1), to)).collect();
        let got = net.send_all(0, &storm);
        let passed = got[1].1.len() as u64;
        let dropped = port(&net.router, "pa")["storm_drops"][kind].as_u64().expect("a count");
        assert_eq!(passed + dropped, 2000, "{kind}");
        assert!((5..1000).contains(&passed), "{passed} of 2000 {kind} frames passed");
    }
    assert!(
        net.router.errors("l2-input", "storm control") > 1000 && net.router.errors("l2-fwd", "storm control") > 500
    );
    for what in ["broadcasts", "multicasts", "frames to unknown stations"] {
        await_event(&net.router, PATIENCE, &format!("pa: storm control drops {what}"));
    }
    // What is known passes whatever else happens.
    assert_eq!(net.pass(0, station(1), station(2)), crate::net::only([1]));
    let dropped = port(&net.router, "pa")["storm_drops"]["broadcast"].as_u64().expect("a count");
    await_event(&net.router, 3 * PATIENCE, &format!("pa: storm of broadcasts is over; {dropped} were dropped"));
}
