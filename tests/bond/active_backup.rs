//! Active-backup: one member at a time.

use harness::frames::{self, Arp, Icmp, Mac};
use harness::{Lab, Router, Wire, eventually};
use std::time::Duration;

const MAC: Mac = [2, 0xfe, 0, 0, 0, 1];
const STATION: Mac = [2, 0, 0, 0, 1, 10];

struct Net {
    router: Router,
    wires: [Wire; 3],
    lab: Lab,
}

fn start(more: &str) -> Net {
    let lab = Lab::new();
    let wires = ["p0", "p1", "p2"].map(|device| lab.wire(device));
    let router = lab.start(&format!(
        "
interfaces:
  p0: {{driver: af-packet, device: p0}}
  p1: {{driver: af-packet, device: p1}}
  p2: {{driver: af-packet, device: p2}}
  bond0: {{driver: bond, members: [p0, p1, p2], mac: '02:fe:00:00:00:01', {more} addresses: [10.9.0.1/24, '2001:db8:9::1/64'],
          sub-interfaces: {{7: {{addresses: [10.7.0.1/24]}}}}}}
neighbors: [{{interface: bond0, address: 10.9.0.2, mac: '02:00:00:00:01:0a'}}, {{interface: bond0.7, address: 10.7.0.2, mac: '02:00:00:00:01:0a'}}]
"
    ));
    Net { router, wires, lab }
}

impl Net {
    fn active(&self) -> Option<String> {
        self.router.json("show bonds bond0")["active"].as_str().map(str::to_owned)
    }

    #[track_caller]
    fn await_active(&self, name: &str) {
        eventually(&format!("{name} is active"), || (self.active().as_deref() == Some(name)).then_some(()));
    }

    /// The cables by which an answer to an echo comes that is sent into one of them.
    fn echo(&self, into: usize, vlan: Option<u16>) -> Vec<usize> {
        let net = if vlan.is_some() { 7 } else { 9 };
        let echo = frames::echo_request([10, net, 0, 2], [10, net, 0, 1], 1, 1, b"anybody?");
        let frame = frames::ethernet(STATION, MAC, frames::IP4, &echo);
        self.wires.iter().for_each(|wire| drop(wire.drain()));
        self.wires[into].send(&vlan.map_or(frame.clone(), |vlan| frames::tagged(vlan, &frame)));
        let reply = |frame: &[u8]| {
            let untagged = frames::untagged(frame);
            let (tag, inner) = untagged.map_or((None, frame.to_vec()), |(tag, inner)| (Some(tag), inner));
            Icmp::of(&inner).filter(|icmp| icmp.kind == 0 && tag == vlan).map(drop)
        };
        let short = Duration::from_millis(300);
        let comes = |at: &usize| self.wires[*at].find(short, &mut Vec::new(), reply).is_some();
        (0..3).filter(comes).collect()
    }

    fn link(&self, wire: usize, up: bool) {
        // The other end: this one sees its carrier go.
        let state = if up { "up" } else { "down" };
        self.wires[wire].end.ip(&format!("link set end0 {state}"));
    }
}

#[test]
fn another_member_takes_over_and_switches_are_told() {
    let net = start("");
    net.await_active("p0");
    assert_eq!(net.echo(0, None), [0]);
    // What comes by those that stand by is dropped and counted.
    let before = net.router.errors("bond-input", "doesn't carry frames now");
    assert_eq!(net.echo(1, None), [0; 0]);
    assert!(net.router.errors("bond-input", "doesn't carry frames now") > before);
    // The cable of the active one is pulled: the next one takes over, and says so to the switch behind it.
    net.wires[1].drain();
    net.link(0, false);
    let mut awaited = vec![(None, [10, 9, 0, 1]), (Some(7), [10, 7, 0, 1])];
    net.wires[1].expect("both addresses are announced", |frame| {
        let (tag, inner) = frames::untagged(frame).map_or((None, frame.to_vec()), |(tag, inner)| (Some(tag), inner));
        if let Some(arp) = Arp::of(&inner).filter(|arp| arp.sender == (MAC, arp.target.1)) {
            awaited.retain(|address| *address != (tag, arp.sender.1));
        }
        awaited.is_empty().then_some(())
    });
    net.await_active("p1");
    assert_eq!(net.echo(1, None), [1]);
    assert_eq!(net.echo(1, Some(7)), [1], "and its sub-interface");
    // The first one is back, and stands by.
    net.link(0, true);
    let state = |at: usize| net.router.json("show bonds bond0")["members"][at].clone();
    eventually("it stands by", || (state(0)["reason"] == "it stands by").then_some(()));
    assert_eq!((net.active().as_deref(), net.echo(1, None)), (Some("p1"), vec![1]));
    // All cables: the bond has no link.
    (0..3).for_each(|wire| net.link(wire, false));
    let row = || net.router.interface("bond0").expect("bond0");
    eventually("the bond has no link", || (row()["link"] == "down").then_some(()));
    net.link(2, true);
    net.await_active("p2");
    eventually("it has one again", || (row()["link"] == "up").then_some(()));
    assert_eq!(net.echo(2, None), [2]);
}

#[test]
fn it_is_up_while_as_many_members_work_as_min_links_says() {
    let net = start("min-links: 2,");
    let link = |up: &str| {
        let row = || net.router.interface("bond0").expect("bond0");
        eventually(&format!("the bond's link is {up}"), || (row()["link"] == up).then(row))
    };
    link("up");
    net.await_active("p0");
    assert_eq!(net.echo(0, None), [0], "one carries frames, the others could");
    net.link(1, false);
    net.link(2, false);
    let why = link("down")["link_reason"].to_string();
    assert!(why.contains("1 of the 2 members that min-links wants work"), "{why}");
    assert_eq!(net.echo(0, None), [0; 0]);
    net.link(2, true);
    link("up");
    eventually("it answers again", || (net.echo(0, None) == [0]).then_some(()));
}

#[test]
fn a_primary_member_is_used_whenever_it_can_be() {
    let net = start("primary: p1,");
    net.await_active("p1");
    net.link(1, false);
    net.await_active("p0");
    net.link(1, true);
    net.await_active("p1");
    assert_eq!(net.echo(1, None), [1]);
    // Switched off by the operator is as good as no cable.
    net.router.run("interface set p1 down");
    net.await_active("p0");
    let reason = net.router.json("show bonds bond0")["members"][1]["reason"].clone();
    assert_eq!(reason, "it is switched off");
    net.router.run("interface set bond0 down");
    assert_eq!(net.echo(0, None), [0; 0]);
    net.router.run("interface set bond0 up");
    eventually("it answers again", || (net.echo(0, None) == [0]).then_some(()));
}

#[test]
fn members_have_what_is_the_bonds_and_get_back_what_is_theirs() {
    let net = start("mtu: 1400,");
    let of = |name: &str| net.router.interface(name).expect("the interface");
    let own = |device: &str| {
        let shown = net.lab.router.ip(&format!("-br link show {device}"));
        shown.split_whitespace().nth(2).expect("ip shows a MAC address").to_owned()
    };
    for name in ["bond0", "p0", "p1", "p2"] {
        assert_eq!((&of(name)["mac"], &of(name)["mtu"]), (&"02:fe:00:00:00:01".into(), &1400.into()), "{name}");
    }
    let config = std::fs::read_to_string(net.router.config_file()).expect("the configuration");
    let apply = |text: &str| {
        let file = net.router.files().write("next.yaml", text);
        net.router.run(&format!("config apply {}", file.display()));
    };
    apply(&config.replace("members: [p0, p1, p2], mac: '02:fe:00:00:00:01',", "members: [p1, p0],"));
    // The first member's, as the operator wants none.
    assert_eq!((&of("p2")["mtu"], of("p2")["mac"].as_str()), (&1500.into(), Some(own("p2").as_str())));
    for name in ["bond0", "p0", "p1"] {
        assert_eq!(of(name)["mac"].as_str(), Some(own("p0").as_str()), "{name}: it stays with who lent it first");
    }
    // It goes, and takes its address with it.
    apply(&config.replace("members: [p0, p1, p2], mac: '02:fe:00:00:00:01',", "members: [p1],"));
    for (name, device) in [("bond0", "p1"), ("p1", "p1"), ("p0", "p0")] {
        assert_eq!(of(name)["mac"].as_str(), Some(own(device).as_str()), "{name}");
    }
    net.await_active("p1");
}
