//! The bridge answers ARP and neighbour discovery for stations that it knows (RFC 9161).

use crate::net::Net;
use harness::frames::{self, Arp, BROADCAST, Ip, Mac};
use harness::nd::{NS, Nd};
use harness::{Host, eventually, frames6, within};
use serde_json::Value;
use std::time::Duration;

const ON: &str = "arp-suppression: true";
/// A station behind the wire `s0`.
const STATION: (Mac, Ip) = ([2, 0, 0, 0, 0xdd, 7], [192, 168, 2, 50]);

/// What the bridge knows of an address.
fn known(net: &Net, address: &str) -> Option<Value> {
    net.router.list("show arp-suppression br0").into_iter().find(|row| row["address"] == address)
}

#[track_caller]
fn await_known(net: &Net, address: &str, mac: &str) -> Value {
    eventually(&format!("{address} is known"), || known(net, address).filter(|row| row["mac"] == mac))
}

fn announce(station: (Mac, Ip)) -> Vec<u8> {
    Arp { operation: 1, sender: station, target: ([0; 6], station.1) }.frame(BROADCAST)
}

/// The neighbour's MAC address, as a host found it.
fn resolved(host: &Host, address: &str) -> Option<String> {
    let shown = host.ip(&format!("neigh show {address} dev eth0"));
    let mut words = shown.split_whitespace();
    words.find(|word| *word == "lladdr")?;
    words.next().map(str::to_owned)
}

/// Has a host ask for an address: by sending it something.
fn ask(host: &Host, address: &str) {
    host.run(&format!("ping -c 1 -W 1 {address}"));
}

#[test]
fn a_question_for_a_known_station_is_answered_and_goes_no_further() {
    let net = Net::start(2, ON);
    let [a, b] = &net.hosts[..] else { panic!("two hosts") };
    net.s.send(&announce(STATION));
    let row = await_known(&net, "192.168.2.50", "02:00:00:00:dd:07");
    assert_eq!((row["interface"].as_str(), row["state"].as_str()), (Some("s0"), Some("learnt")));
    net.s.drain();
    ask(a, "192.168.2.50");
    assert_eq!(resolved(a, "192.168.2.50").as_deref(), Some("02:00:00:00:dd:07"));
    let came = net.s.drain();
    assert!(came.iter().any(|frame| frames::ether_type(frame) == frames::IP4), "the packet itself comes");
    assert!(came.iter().all(|frame| Arp::of(frame).is_none()), "the question does not");
    assert!(net.router.errors("l2-arp-term", "requests answered for stations") >= 1);
    // Hosts know each other the same way, after the first question.
    a.ping("192.168.2.12");
    for address in ["192.168.2.11", "192.168.2.12"] {
        eventually(address, || known(&net, address));
    }
    b.ip("neigh flush dev eth0");
    a.ip("neigh flush dev eth0");
    net.s.drain();
    b.ping("192.168.2.11");
    assert!(net.s.drain().iter().all(|frame| Arp::of(frame).is_none()));
}

#[test]
fn neighbour_discovery_is_answered_too() {
    let net = Net::start(2, ON);
    let [a, b] = &net.hosts[..] else { panic!("two hosts") };
    let mac = STATION.0;
    let address = frames6::ip6("2001:db8:2::50");
    net.s.send(&Nd::announcement((mac, address), 0x20).frame());
    await_known(&net, "2001:db8:2::50", "02:00:00:00:dd:07");
    net.s.drain();
    ask(a, "2001:db8:2::50");
    assert_eq!(resolved(a, "2001:db8:2::50").as_deref(), Some("02:00:00:00:dd:07"));
    assert!(net.s.drain().iter().all(|frame| Nd::of_kind(NS, frame).is_none_or(|nd| nd.target() != address)));
    assert!(net.router.errors("l2-nd-term", "solicitations answered for stations") >= 1);
    a.ping("2001:db8:2::12");
    b.ping("2001:db8:2::11");
}

/// Two hosts may not have the same address, and find that out.
#[test]
fn probes_for_duplicates_get_through() {
    let net = Net::start(2, ON);
    let a = &net.hosts[0];
    a.ping("2001:db8:2::12");
    a.ping("192.168.2.12");
    eventually("the address is known", || known(&net, "2001:db8:2::12"));
    a.sysctl("net.ipv6.conf.eth0.accept_dad=1");
    a.ip("addr add 2001:db8:2::12/64 dev eth0");
    eventually("the duplicate is found", || a.ip("-6 addr show dev eth0").contains("dadfailed").then_some(()));
    // RFC 5227 section 2.1: a probe of ARP is heard by who has the address, who answers for itself.
    let probe = Arp { operation: 1, sender: ([2, 0, 0, 0, 0xdd, 9], [0; 4]), target: ([0; 6], [192, 168, 2, 12]) };
    net.s.send(&probe.frame(BROADCAST));
    net.s.expect("the owner's answer", |frame| Arp::of(frame).filter(|arp| arp.operation == 2));
    net.r.expect("the probe", |frame| Arp::of(frame).filter(|arp| arp.sender.1 == [0; 4]));
    assert_eq!(net.router.errors("l2-arp-term", "requests answered for stations"), 0, "not by the bridge");
}

#[test]
fn an_address_that_is_claimed_by_turns_is_not_answered_for() {
    let net = Net::start(1, ON);
    let other: (Mac, Ip) = ([2, 0, 0, 0, 0xdd, 8], STATION.1);
    net.s.send(&announce(STATION));
    await_known(&net, "192.168.2.50", "02:00:00:00:dd:07");
    for (claim, mac) in [(other, "02:00:00:00:dd:08"), (STATION, "02:00:00:00:dd:07")].repeat(3) {
        let wire = if claim == STATION { &net.s } else { &net.r };
        wire.send(&announce(claim));
        await_known(&net, "192.168.2.50", mac);
    }
    assert_eq!(known(&net, "192.168.2.50").expect("it is known")["state"], "disputed");
    let says = |row: &Value| row["text"].as_str().is_some_and(|text| text.contains("192.168.2.50 is claimed by"));
    eventually("an event tells it", || net.router.list("show events").iter().any(says).then_some(()));
    net.r.drain();
    ask(&net.hosts[0], "192.168.2.50");
    net.r.expect("the question", |frame| Arp::of(frame).filter(|arp| arp.target.1 == STATION.1 && arp.operation == 1));
}

#[test]
fn a_station_that_is_gone_is_not_answered_for() {
    let net = Net::start(1, ON);
    net.s.send(&announce(STATION));
    await_known(&net, "192.168.2.50", "02:00:00:00:dd:07");
    net.router.run("clear mac-table br0");
    net.s.drain();
    ask(&net.hosts[0], "192.168.2.50");
    net.s.expect("the question", |frame| Arp::of(frame).filter(|arp| arp.target.1 == STATION.1));
    let gone = within(Duration::from_secs(15), || known(&net, "192.168.2.50").is_none().then_some(()));
    assert!(gone.is_some(), "a binding goes with its station");
}

#[test]
fn the_routers_own_addresses_are_answered_for() {
    let net = Net::start(1, &format!("{ON}, bvi: {{addresses: [192.168.2.1/24, \"2001:db8:2::1/64\"]}}"));
    let a = &net.hosts[0];
    for address in ["192.168.2.1", "2001:db8:2::1"] {
        // Its announcement may be heard before.
        let own = eventually(address, || known(&net, address).filter(|own| own["state"] == "own"));
        assert_eq!(own["interface"], "br0");
    }
    net.s.drain();
    a.ping("192.168.2.1");
    a.ping("2001:db8:2::1");
    let asks = |frame: &[u8]| {
        Arp::of(frame).is_some_and(|arp| arp.target.1 == [192, 168, 2, 1] && arp.sender.1 == [192, 168, 2, 11])
    };
    assert!(!net.s.drain().iter().any(|frame| asks(frame)), "nobody else is asked");
    let says = |row: &Value| row["text"].as_str().is_some_and(|text| text.contains("claims the router's own address"));
    // Its own announcements and questions are nobody's claim.
    net.router.run("clear neighbors");
    net.router.run("ping 192.168.2.11 count 1");
    assert!(!net.router.list("show events").iter().any(says), "{}", net.router.run("show events"));
    let claim = Arp { operation: 1, sender: (STATION.0, [192, 168, 2, 1]), target: ([0; 6], [192, 168, 2, 1]) };
    net.s.send(&claim.frame(BROADCAST));
    eventually("an event tells it", || net.router.list("show events").iter().any(says).then_some(()));
    assert_eq!(known(&net, "192.168.2.1").expect("it is known")["state"], "own");
}
