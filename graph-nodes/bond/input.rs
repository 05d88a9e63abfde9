//! bond-input: makes frames of a member the bond's; a feature of the device-input arc. Members that don't carry frames now drop them.
//! Reads: rx interface. Writes: rx interface.

use super::{Bonds, Membership};
use crate::{interface, link_control};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::Ethernet;
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("bond-input");

edges! {
    /// To the bond, or to the control plane.
    pub enum Next { Input => interface::input::NAME, LinkControl => link_control::NAME }
}

counters! {
    /// Why frames end here.
    pub enum Count {
        Short => "shorter than its Ethernet header",
        Inactive => "member doesn't carry frames now",
    }
}

/// What `show trace` tells.
pub struct Trace {
    membership: Option<Membership>,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.membership {
            Some(Membership { bond, collects: true }) => write!(f, "bond {bond}"),
            Some(Membership { bond, collects: false }) => write!(f, "bond {bond}, not now"),
            None => f.write_str("off"),
        }
    }
}

/// The node.
pub struct BondInput {
    /// Reads: members.
    pub bonds: Bonds,
}

impl Node for BondInput {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let membership = self.bonds.membership(packet.meta.rx_interface);
        cx.trace(packet, || Trace { membership });
        // It was switched off a moment ago.
        let Some(Membership { bond, collects }) = membership else { return cx.next_feature(packet) };
        let Some(header) = packet.header::<Ethernet>() else { return cx.drop(Count::Short) };
        if link_control::is_link_control(header.ether_type()) {
            return Next::LinkControl;
        }
        if !collects {
            return cx.drop(Count::Inactive);
        }
        packet.meta.rx_interface = bond;
        Next::Input
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bond::INPUT;
    use crate::testing::{LAN, WAN, fate};
    use millrace_engine::builtin::DEVICE_INPUT_ARC;
    use millrace_engine::testing::Bench;
    use millrace_engine::{ArcPoint, Feature};

    const BOND: u32 = 1023;

    fn bench(bonds: &Bonds) -> Bench<BondInput> {
        let mut bench = Bench::new(BondInput { bonds: bonds.clone() });
        let point = ArcPoint { end: crate::ethernet::input::NAME, ..DEVICE_INPUT_ARC };
        bench.arc(&point, &[Feature { after: &[], before: &[], ..INPUT }], &[(NAME, LAN), (NAME, WAN)]);
        bench
    }

    fn frame(ether_type: [u8; 2], len: usize) -> Vec<u8> {
        let mut frame = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &ether_type].concat();
        frame.resize(len, 7);
        frame
    }

    #[test]
    fn frames_become_the_bonds_where_they_are_taken() {
        let bonds = Bonds::new();
        bonds.set_member(LAN, Some(Membership { bond: BOND, collects: true }));
        bonds.set_member(WAN, Some(Membership { bond: BOND, collects: false }));
        let mut bench = bench(&bonds);
        let (ip, long) = (frame([8, 0], 60), frame([8, 0], 5000));
        let (lacp, lldp) = (frame([0x88, 0x09], 124), frame([0x88, 0xcc], 100));
        let inactive = [("member doesn't carry frames now", 1)];
        for (name, member, frame, next, interface, counts) in [
            ("IPv4", LAN, &ip, "interface-input", BOND, &[][..]),
            ("several buffers", LAN, &long, "interface-input", BOND, &[]),
            ("LACP", LAN, &lacp, "link-control", LAN, &[]),
            ("LLDP", LAN, &lldp, "link-control", LAN, &[]),
            ("IPv4, not now", WAN, &ip, "drop", WAN, &inactive),
            ("LACP, not now", WAN, &lacp, "link-control", WAN, &[]),
            ("LLDP, not now", WAN, &lldp, "link-control", WAN, &[]),
            ("a runt", LAN, &ip[..13].to_vec(), "drop", LAN, &[("shorter than its Ethernet header", 1)]),
        ] {
            let outcome = bench.run(&[frame], |meta| meta.rx_interface = member);
            assert_eq!(fate(&outcome), (next, counts), "{name}");
            let out = &outcome.packets[0];
            assert_eq!((out.rx_interface, &out.data), (interface, frame), "{name}");
        }
    }

    #[test]
    fn changes_are_seen_at_once() {
        let bonds = Bonds::default();
        let mut bench = bench(&bonds);
        let frame = frame([8, 0], 60);
        let mut next = || bench.run(&[&frame], |meta| meta.rx_interface = LAN).packets[0].next;
        assert_eq!(next(), "ethernet-input", "no member any more");
        for (collects, expected) in [(false, "drop"), (true, "interface-input")] {
            bonds.set_member(LAN, Some(Membership { bond: BOND, collects }));
            assert_eq!(next(), expected);
        }
        bonds.set_member(LAN, None);
        assert_eq!(next(), "ethernet-input");
    }

    #[test]
    fn traces() {
        let bonds = Bonds::new();
        let mut bench = bench(&bonds);
        let mut trace = || bench.traced(&frame([8, 0], 60), |meta| meta.rx_interface = LAN).1;
        assert_eq!(trace(), "off");
        bonds.set_member(LAN, Some(Membership { bond: 9, collects: true }));
        assert_eq!(trace(), "bond 9");
        bonds.set_member(LAN, Some(Membership { bond: 9, collects: false }));
        assert_eq!(trace(), "bond 9, not now");
    }
}
