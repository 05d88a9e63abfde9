//! Several next hops on links of their own, for both families: shares by weight, and what happens when one goes and comes back.

use harness::frames6::{self, ip6};
use harness::{LAN, LAN6, Lab, Wire, Wires, eventually, frames};
use std::collections::BTreeMap;

/// Two ways out: by `wan` and by `wan2`, each with a station that is known.
struct Net {
    net: Wires,
    wan2: Wire,
}

fn start(weights: (u16, u16)) -> Net {
    let lab = Lab::new();
    let (lan, wan, wan2) = (lab.wire("lan"), lab.wire("wan"), lab.wire("wan2"));
    let interface = "  wan2: {driver: af-packet, device: wan2, mac: '02:fe:00:00:00:03', addresses: [198.51.100.1/24, '2001:db8:3::1/64']}";
    let dual = Wires::DUAL.replace("neighbors:", &format!("{interface}\nneighbors:"));
    let via = |one: &str, two: &str| {
        format!("[{{gateway: '{one}', weight: {}}}, {{gateway: '{two}', weight: {}}}]", weights.0, weights.1)
    };
    let router = lab.start(&format!(
        "{dual}  - {{interface: wan2, address: 198.51.100.10, mac: '02:00:00:00:03:0a'}}
  - {{interface: wan2, address: '2001:db8:3::10', mac: '02:00:00:00:03:0a'}}
routes:
  - {{to: 10.77.0.0/16, via: {}}}
  - {{to: '2001:db8:77::/48', via: {}}}
",
        via("203.0.113.10", "198.51.100.10"),
        via("2001:db8:2::10", "2001:db8:3::10"),
    ));
    let net = Wires { router, lan, wan, lab };
    net.await_addresses();
    Net { net, wan2 }
}

/// The first of a packet's bytes of data say which flow it is.
fn packet(six: bool, flow: u16) -> Vec<u8> {
    let ([high, low], port) = (flow.to_be_bytes(), 10_000 + flow);
    let data = [b"flow".as_slice(), &[high, low]].concat();
    if six {
        let header = frames6::header(LAN6.ip, ip6("2001:db8:77::1"));
        LAN6.frame(&frames6::packet(&header, &frames6::udp(&header, port, 7, &data)))
    } else {
        let header = frames::header(LAN.ip, [10, 77, 0, 1]);
        LAN.frame(&frames::packet(&header, &frames::udp(&header, port, 7, &data)))
    }
}

impl Net {
    /// By which way each flow goes: true by `wan`. A flow that is lost is not there.
    fn ways(&self, six: bool, flows: u16) -> BTreeMap<u16, bool> {
        let mut ways = BTreeMap::new();
        let flow = |frame: &[u8]| {
            let data = frame.len().checked_sub(6).map(|at| &frame[at..])?;
            data.starts_with(b"flow").then(|| u16::from_be_bytes([data[4], data[5]]))
        };
        for chunk in (0..flows).collect::<Vec<_>>().chunks(1000) {
            let seen = self.net.pass(&chunk.iter().map(|flow| packet(six, *flow)).collect::<Vec<_>>());
            ways.extend(seen.wan.iter().filter_map(|frame| Some((flow(frame)?, true))));
            ways.extend(self.wan2.drain().iter().filter_map(|frame| Some((flow(frame)?, false))));
        }
        ways
    }
}

/// Shares within 2 % of the weights over 10,000 flows.
#[test]
fn shares_follow_the_weights() {
    for weights in [(1, 1), (3, 1)] {
        let net = start(weights);
        for six in [false, true] {
            let ways = net.ways(six, 10_000);
            assert_eq!(ways.len(), 10_000, "none is lost");
            let first = ways.values().filter(|by_wan| **by_wan).count() as f64 / 10_000.0;
            let wanted = f64::from(weights.0) / f64::from(weights.0 + weights.1);
            assert!((first - wanted).abs() < 0.02, "{first} instead of {wanted} for {weights:?}, IPv6: {six}");
        }
    }
}

/// A link goes: its flows take the other way, and all others stay where they were. It comes back: all is as it was.
#[test]
fn a_way_leaves_and_comes_back() {
    const FLOWS: u16 = 2000;
    let net = start((1, 1));
    let before = [false, true].map(|six| net.ways(six, FLOWS));
    net.wan2.end.ip("link set end0 down");
    let link = |state: &str| {
        let row = || net.net.router.interface("wan2").filter(|row| row["link"] == state);
        eventually(&format!("the link is {state}"), row);
    };
    link("down");
    for (six, before) in [false, true].into_iter().zip(&before) {
        let ways = || Some(net.ways(six, FLOWS)).filter(|ways| ways.len() == usize::from(FLOWS));
        let ways = eventually("every flow has a way", ways);
        assert!(ways.values().all(|by_wan| *by_wan));
        assert!(before.values().any(|by_wan| !by_wan), "some were there");
    }
    net.wan2.end.ip("link set end0 up");
    link("up");
    for (six, before) in [false, true].into_iter().zip(&before) {
        // An IPv6 address is tried again when its link comes up (RFC 4862 5.4).
        eventually("all is as it was", || (net.ways(six, FLOWS) == *before).then_some(()));
    }
    // A next hop that is taken out of the route leaves the others' flows alone, too.
    net.net.router.run("interface set wan2 down");
    eventually("every flow has a way", || (net.ways(true, FLOWS).len() == usize::from(FLOWS)).then_some(()));
}
