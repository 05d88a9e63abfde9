//! VLANs of a bridge, and sub-interfaces in bridges: what tags frames have when they leave.

use harness::frames::{self, Mac};
use harness::{Lab, PATIENCE, Router, Wire, within};

/// The EtherTypes of tags: a customer's, a provider's.
const Q: u16 = 0x8100;
const AD: u16 = 0x88a8;
/// An EtherType for experiments (IEEE 802 clause 9.2.3).
const EXPERIMENT: u16 = 0x88b5;
const NAMES: [&str; 4] = ["pa", "pb", "pc", "pd"];
const PA: usize = 0;
const PB: usize = 1;
const PC: usize = 2;
const PD: usize = 3;
/// A frame's tags: EtherType and control information of each.
type Tags<'a> = &'a [(u16, u16)];

struct Net {
    router: Router,
    wires: Vec<Wire>,
    _lab: Lab,
}

impl Net {
    fn start(config: &str) -> Net {
        let lab = Lab::new();
        let wires = NAMES.iter().map(|name| lab.wire(name)).collect();
        let router = lab.start(config);
        Net { router, wires, _lab: lab }
    }

    /// Where a frame with these tags comes out, and with which.
    #[track_caller]
    fn pass(&self, from: usize, tags: Tags<'_>) -> Vec<(usize, Vec<u8>)> {
        let payload = [0x5a; 46];
        let count = || self.router.counter(NAMES[from], "rx_packets");
        let before = count();
        self.wires[from].send(&tagged(tags, &payload));
        let came = within(PATIENCE, || (count() > before).then_some(()));
        assert!(came.is_some(), "the router did not receive it");
        self.router.settle();
        let got =
            self.wires.iter().enumerate().flat_map(|(at, wire)| wire.drain().into_iter().map(move |got| (at, got)));
        got.filter(|(_, got)| got.ends_with(&payload)).collect()
    }

    /// It comes out by one wire only, with these tags.
    #[track_caller]
    fn expect(&self, from: usize, tags: Tags<'_>, to: usize, then: Tags<'_>) {
        let got = self.pass(from, tags);
        assert_eq!(got, [(to, tagged(then, &[0x5a; 46]))], "{tags:x?}: {}", self.router.run("show errors"));
    }

    /// It goes nowhere, for a reason.
    #[track_caller]
    fn refuse(&self, from: usize, tags: Tags<'_>, node: &str, reason: &str) {
        let before = self.router.errors(node, reason);
        assert_eq!(self.pass(from, tags), [], "{tags:x?}");
        assert_eq!(self.router.errors(node, reason), before + 1, "{tags:x?}: {}", self.router.run("show errors"));
    }
}

/// A frame to everyone.
fn tagged(tags: Tags<'_>, payload: &[u8]) -> Vec<u8> {
    const STATION: Mac = [2, 0, 0, 0, 0xaa, 1];
    let plain = frames::ethernet(STATION, frames::BROADCAST, EXPERIMENT, payload);
    let tags = tags.iter().flat_map(|(kind, control)| [kind.to_be_bytes(), control.to_be_bytes()]).flatten();
    plain[..12].iter().copied().chain(tags).chain(plain[12..].iter().copied()).collect()
}

#[test]
fn access_and_trunk_ports() {
    let net = Net::start(
        "interfaces:
  pa: {driver: af-packet, device: pa, bridge: br0, vlan: 10}
  pb: {driver: af-packet, device: pb, bridge: br0, trunk: {vlans: '10,20', native: 20}}
  pc: {driver: af-packet, device: pc, bridge: br0, vlan: 20}
bridges:
  br0: {}
",
    );
    net.expect(PA, &[], PB, &[(Q, 10)]);
    // A tag with a priority only is as good as none, but for the priority (IEEE 802.1Q 6.9.1).
    net.expect(PA, &[(Q, 5 << 13)], PB, &[(Q, 5 << 13 | 10)]);
    net.expect(PB, &[(Q, 3 << 13 | 10)], PA, &[]);
    // The native VLAN.
    net.expect(PB, &[], PC, &[]);
    net.expect(PC, &[], PB, &[]);
    net.expect(PB, &[(Q, 20)], PC, &[]);
    // What a provider's tag hides is not the bridge's business.
    net.expect(PA, &[(AD, 77)], PB, &[(Q, 10), (AD, 77)]);
    net.refuse(PA, &[(Q, 10)], "l2-input", "tagged frame on an access port");
    net.refuse(PB, &[(Q, 30)], "l2-input", "VLAN is not one of the trunk's");
    // An attacker in the native VLAN can't get into another by two tags.
    net.expect(PC, &[(AD, 1)], PB, &[(AD, 1)]);
    net.expect(PB, &[(Q, 20), (Q, 10)], PC, &[(Q, 10)]);
}

#[test]
fn bridged_sub_interfaces() {
    let net = Net::start(
        "interfaces:
  pa: {driver: af-packet, device: pa, bridge: br0}
  pb: {driver: af-packet, device: pb, bridge: br1}
  pc:
    driver: af-packet
    device: pc
    sub-interfaces:
      100: {bridge: br0}
      200.7: {bridge: br1}
      300: {bridge: br2, tag-rewrite: {translate: 30}}
      400: {bridge: br3, tag-rewrite: {push: 40}}
      500: {bridge: br4}
  pd:
    driver: af-packet
    device: pd
    sub-interfaces:
      30: {bridge: br2, tag-rewrite: keep}
      40: {tag-type: 802.1ad, bridge: br3, tag-rewrite: keep}
      500.1: {tag-type: 802.1q, bridge: br4}
bridges:
  br0: {}
  br1: {}
  br2: {}
  br3: {}
  br4: {}
",
    );
    // Popped, and pushed on the way out: one tag, two tags.
    net.expect(PC, &[(Q, 100)], PA, &[]);
    net.expect(PA, &[], PC, &[(Q, 100)]);
    net.expect(PC, &[(AD, 200), (Q, 7)], PB, &[]);
    net.expect(PB, &[], PC, &[(AD, 200), (Q, 7)]);
    net.expect(PC, &[(Q, 100), (Q, 9)], PA, &[(Q, 9)]);
    // Another VLAN's number, and the same priority.
    net.expect(PC, &[(Q, 6 << 13 | 300)], PD, &[(Q, 6 << 13 | 30)]);
    net.expect(PD, &[(Q, 1 << 13 | 30)], PC, &[(Q, 1 << 13 | 300)]);
    // One more in front.
    net.expect(PC, &[(Q, 4 << 13 | 400)], PD, &[(AD, 4 << 13 | 40), (Q, 4 << 13 | 400)]);
    net.expect(PD, &[(AD, 40), (Q, 400)], PC, &[(Q, 400)]);
    // From one tag to two, and back.
    net.expect(PC, &[(Q, 2 << 13 | 500)], PD, &[(Q, 2 << 13 | 500), (Q, 2 << 13 | 1)]);
    net.expect(PD, &[(Q, 500), (Q, 1)], PC, &[(Q, 500)]);
    net.refuse(PC, &[(Q, 600)], "ethernet-input", "no sub-interface for the VLAN");
    net.refuse(PC, &[(Q, 200), (Q, 7)], "ethernet-input", "no sub-interface for the VLAN");
    net.refuse(PD, &[(AD, 40), (Q, 401)], "l2-output", "frame doesn't have the tags that the port's frames have");
    let counters = ["pc.100", "pc.200.7", "pd.30"].map(|name| net.router.counter(name, "rx_packets"));
    assert_eq!(counters, [2, 1, 1], "received by each");
    net.router.run("interface set pc.100 down");
    net.refuse(PC, &[(Q, 100)], "ethernet-input", "no sub-interface for the VLAN");
}
