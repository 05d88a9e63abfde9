//! bond-output: sends frames of a bond and its sub-interfaces out by one of its members; a feature of the interface-output arc.
//! Reads: tx interface. Writes: tx interface.

use super::Bonds;
use crate::interface;
use crate::interface::sending::Sender;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("bond-output");

edges! {
    /// Out by the member.
    pub enum Next { Output => interface::output::NAME }
}

counters! {
    /// Why frames end here.
    pub enum Count {
        Down => "interface is down",
        NoMember => "no member carries frames",
    }
}

/// What `show trace` tells.
pub struct Trace {
    hash: u32,
    member: Option<u32>,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.member {
            Some(member) => write!(f, "hash {:08x} member {member}", self.hash),
            None => f.write_str("no member"),
        }
    }
}

/// The node.
pub struct BondOutput {
    /// Reads: which members carry frames.
    pub bonds: Bonds,
}

impl Node for BondOutput {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let sender = Sender::new(packet.meta.tx_interface, cx);
        if !sender.is_up(cx) {
            return sender.refuse(Count::Down, cx);
        }
        let is = self.bonds.0.bonds.get(sender.hardware, &cx.guard());
        let Some((hash, members)) = is.and_then(|is| Some((is.hash, is.members.as_ref()?))) else {
            cx.trace(packet, || Trace { hash: 0, member: None });
            return sender.refuse(Count::NoMember, cx);
        };
        // Where there is no choice, there is nothing to look at.
        let hash = if members.buckets().len() > 1 { hash.of(packet.data()) } else { 0 };
        let member = members.pick(hash);
        cx.trace(packet, || Trace { hash, member: Some(member) });
        sender.count(packet.total_len(), cx);
        packet.meta.tx_interface = member;
        Next::Output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bond::{Bond, Hash, OUTPUT};
    use crate::interface::output::ARC;
    use crate::testing::{HOST, PEER, fate, udp_with};
    use millrace_engine::Feature;
    use millrace_engine::testing::Bench;
    use millrace_tables::load_balance::LoadBalance;
    use std::collections::BTreeSet;

    const BOND: u32 = 10;
    /// A sub-interface of it.
    const SUB: u32 = 11;

    fn bench(members: &[(u32, u16, bool)]) -> (Bonds, Bench<BondOutput>) {
        let bonds = Bonds::new();
        let members = LoadBalance::resilient(members).ok();
        bonds.set_bond(BOND, Some(Bond { hash: Hash::Layer3And4, members }));
        let mut bench = Bench::new(BondOutput { bonds: bonds.clone() });
        bench.arc(&ARC, &[Feature { after: &[], ..OUTPUT }], &[]);
        bench.set_hardware(SUB, BOND);
        (bonds, bench)
    }

    fn frame(host: u8, bytes: usize) -> Vec<u8> {
        let [a, b, c, _] = HOST;
        let header = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        [&header[..], &udp_with([a, b, c, host], PEER, bytes, |_| {})].concat()
    }

    #[test]
    fn flows_share_the_members_and_stay_with_them() {
        let (bonds, mut bench) = bench(&[(1, 1, true), (2, 1, true), (3, 1, true)]);
        let member = |bench: &mut Bench<BondOutput>, host: u8, bytes: usize| {
            let outcome = bench.run(&[&frame(host, bytes)], |meta| meta.tx_interface = BOND);
            assert_eq!(fate(&outcome), ("interface-output", &[][..]));
            assert_eq!(outcome.packets[0].data, frame(host, bytes));
            outcome.packets[0].tx_interface
        };
        let before: Vec<u32> = (0..=255).map(|host| member(&mut bench, host, 10)).collect();
        let again: Vec<u32> = (0..=255).map(|host| member(&mut bench, host, 700)).collect();
        assert_eq!(before, again);
        for of in 1..=3 {
            let share = before.iter().filter(|member| **member == of).count();
            assert!((50..120).contains(&share), "member {of} has {share} of 256 flows");
        }
        // One goes: the flows of the others stay where they are.
        let members = LoadBalance::resilient(&[(1, 1, true), (2, 1, false), (3, 1, true)]).ok();
        bonds.set_bond(BOND, Some(Bond { hash: Hash::Layer3And4, members }));
        for host in 0..=255 {
            let (was, is) = (before[usize::from(host)], member(&mut bench, host, 10));
            assert!(is == was || was == 2 && is != 2, "host {host}: from {was} to {is}");
        }
    }

    #[test]
    fn counted_for_the_bond_and_its_sub_interface() {
        let (_, mut bench) = bench(&[(1, 1, true), (2, 1, false)]);
        let (short, long) = (frame(1, 10), frame(1, 5000));
        bench.run(&[&short, &long], |meta| meta.tx_interface = BOND);
        let outcome = bench.run(&[&short], |meta| meta.tx_interface = SUB);
        assert_eq!(outcome.packets[0].tx_interface, 1);
        let counted = |interface| (bench.interface(interface).tx_packets, bench.interface(interface).tx_bytes);
        let (short, long) = (short.len() as u64, long.len() as u64);
        assert_eq!((counted(BOND), counted(SUB)), ((3, 2 * short + long), (1, short)));
        assert_eq!(counted(1), (0, 0), "the member's are interface-tx's");
    }

    #[test]
    fn whatever_is_not_there_drops() {
        let none = [("no member carries frames", 1)];
        let (bonds, mut bench) = bench(&[(1, 1, false), (2, 1, false)]);
        let fates = |bench: &mut Bench<BondOutput>, interface: u32, counts: &[(&'static str, u64)]| {
            let outcome = bench.run(&[&frame(1, 10)], |meta| meta.tx_interface = interface);
            assert_eq!(fate(&outcome), ("drop", counts), "interface {interface}");
            let counters = bench.interface(interface);
            assert_eq!((counters.tx_packets, counters.tx_drops > 0), (0, true), "interface {interface}");
        };
        fates(&mut bench, BOND, &none);
        fates(&mut bench, 77, &none);
        bonds.set_bond(BOND, None);
        fates(&mut bench, BOND, &none);
        let members = LoadBalance::resilient(&[(1, 1, true)]).ok();
        bonds.set_bond(BOND, Some(Bond { hash: Hash::Layer2, members }));
        let down = [("interface is down", 1)];
        bench.set_up(SUB, false);
        fates(&mut bench, SUB, &down);
        bench.set_up(SUB, true);
        bench.set_up(BOND, false);
        fates(&mut bench, SUB, &down);
        fates(&mut bench, BOND, &down);
    }

    #[test]
    fn traces() {
        let (bonds, mut bench) = bench(&[(1, 1, true), (2, 1, true)]);
        let mut trace = || bench.traced(&frame(1, 10), |meta| meta.tx_interface = BOND).1;
        let member = BTreeSet::from([1, 2]).into_iter().find(|member| trace().ends_with(&format!("member {member}")));
        assert!(trace().starts_with("hash ") && member.is_some(), "{}", trace());
        bonds.set_bond(BOND, None);
        assert_eq!(trace(), "no member");
    }
}
