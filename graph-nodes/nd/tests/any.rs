//! Any bytes, and bytes that are nearly right, against a slow opinion.

use super::*;
use proptest::prelude::*;
use std::cell::RefCell;
use std::net::Ipv6Addr;

/// A slow opinion of whether a packet is to be answered, from RFC 4861 section 7 without any of the node's code.
fn deserves_an_answer(packet: &[u8]) -> bool {
    let Some((ip, body)) = packet.split_at_checked(40) else { return false };
    let len = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
    let right_size = len == body.len() && body.len() >= 24;
    let pseudo = [&ip[8..40], &(body.len() as u32).to_be_bytes(), &[0, 0, 0, 58]].concat();
    if !right_size || ip[6] != 58 || ip[7] != 255 || checksum(&[&pseudo[..], body].concat()) != 0 {
        return false;
    }
    let target: [u8; 16] = body[8..24].try_into().unwrap();
    let source: [u8; 16] = ip[8..24].try_into().unwrap();
    let (source, ours) = (Ipv6Addr::from(source), [LAN_IP6, LAN_LL, "2001:db8:1::", "fe80::"].map(ip6));
    let (mut at, mut has_mac) = (24, false);
    while at < body.len() {
        let Some(eights) = body.get(at + 1).filter(|n| **n > 0 && at + usize::from(**n) * 8 <= body.len()) else {
            return false;
        };
        if body[at] <= 2 && body[at] > 0 && *eights == 1 {
            let mac = &body[at + 2..at + 8];
            if mac[0] & 1 == 1 || mac.iter().all(|b| *b == 0) || body[at] == 1 && mac == LAN_MAC.0 {
                return false;
            }
            has_mac |= body[at] == 1;
        }
        at += usize::from(*eights) * 8;
    }
    let (to, group) = (&ip[24..40], [&ip6("ff02::1:ff00:0").octets()[..13], &target[13..]].concat());
    let from_here = source.is_unspecified() && !has_mac && to == group
        || source.segments()[0] & 0xffc0 == 0xfe80 && !ours.contains(&source)
        || source.segments()[..4] == ip6(LAN_IP6).segments()[..4] && !ours.contains(&source);
    body[0] == 135 && body[1] == 0 && ours.contains(&Ipv6Addr::from(target)) && from_here
}

/// A packet that is nearly right: what makes nodes err.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let good = prop::sample::select(vec![
        question(),
        solicitation("::", LAN_GROUP, LAN_IP6, &[]),
        solicitation(HOST_LL, LAN_LL, LAN_LL, &[]),
        solicitation(HOST6, "ff02::1:ff00:0", "2001:db8:1::", &link_layer(1, HOST_MAC)),
        advertisement(HOST6, LAN_IP6, HOST6, 0x60, &link_layer(2, HOST_MAC)),
        router_solicitation(HOST_LL, &link_layer(1, HOST_MAC)),
        router_advertisement(HOST_LL),
        redirect(HOST_LL),
    ]);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (good, changes, prop::collection::vec(any::<u8>(), 0..20), any::<bool>()).prop_map(
        |(mut packet, changes, tail, fix)| {
            packet.extend(tail);
            for (at, byte) in changes {
                let at = at.index(packet.len());
                packet[at] = byte;
            }
            // What is wrong elsewhere is to be found though length and checksum are right.
            if fix {
                let len = packet.len() - 40;
                packet[4..6].copy_from_slice(&(len as u16).to_be_bytes());
                packet[42..44].fill(0);
                let pseudo = [&packet[8..40], &(len as u32).to_be_bytes(), &[0, 0, 0, 58]].concat();
                let sum = checksum(&[&pseudo[..], &packet[40..]].concat());
                packet[42..44].copy_from_slice(&sum.to_be_bytes());
            }
            packet
        },
    )
}

/// Runs one packet on a bench that all share, a second after the last, so that no limit is reached.
fn run(packet: &[u8]) -> Outcome {
    thread_local!(static TEST: RefCell<Test> = RefCell::new(test()));
    TEST.with_borrow_mut(|t| {
        t.bench.now += 1_000_000_000;
        let outcome = t.run(packet);
        t.heard();
        outcome
    })
}

proptest! {
    #[test]
    fn any_bytes(packet in prop::collection::vec(any::<u8>(), 0..200)) {
        let outcome = run(&packet);
        prop_assert_ne!(outcome.packets[0].next, "interface-output");
    }

    /// What is nearly right is answered when it ought to be, and never longer than an answer is.
    #[test]
    fn nearly_right(packet in nearly()) {
        // As ip6-input leaves it: as long as its header says.
        let len = 40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]));
        prop_assume!(len <= packet.len() && packet[6] == 58);
        let packet = &packet[..len];
        let outcome = run(packet);
        let out = &outcome.packets[0];
        prop_assert_eq!(out.next == "interface-output", deserves_an_answer(packet), "{:?}", outcome.counts);
        if out.next == "interface-output" {
            prop_assert_eq!(out.data.len(), 14 + 72);
            let pseudo = [&out.data[22..54], &[0, 0, 0, 32, 0, 0, 0, 58]].concat();
            prop_assert_eq!(checksum(&[&pseudo[..], &out.data[54..]].concat()), 0);
        }
    }
}
