use std::net::Ipv4Addr;

use millrace_wire::TcpFlags;
use millrace_wire::checksum::Sum;

use super::*;

fn nat(protocol: u8) -> Flow {
    let inside = View::new(Ipv4Addr::new(192, 168, 1, 2), 5000, Ipv4Addr::new(198, 51, 100, 7), 53);
    let outside = View::new(Ipv4Addr::new(198, 51, 100, 7), 53, Ipv4Addr::new(203, 0, 113, 1), 1024);
    let views = [inside, outside];
    Flow::new(
        &NewFlow { views, protocol, table: 7, owner: Owner::Nat44, opener: Side::Inside, state: State::Unreplied },
        Ticks(9),
    )
}

/// The checksum of some words, computed from scratch.
fn checksum(words: &[u16]) -> u16 {
    words.iter().fold(Sum::default(), |sum, &word| sum.u16(word)).checksum()
}

fn words(view: View, ports: bool) -> Vec<u16> {
    let (words, _) = view.as_bytes().as_chunks::<2>();
    words.iter().map(|&word| u16::from_be_bytes(word)).take(if ports { 6 } else { 4 }).collect()
}

#[test]
fn deltas_do_what_translating_does() {
    let flow = nat(UDP);
    for side in [Side::Inside, Side::Outside] {
        let (from, to) = (flow.view(side), flow.translated(side));
        let around = [0x4500, 0x0123, 0xfffe];
        let sum = |view, ports| checksum(&[&around[..], &words(view, ports)].concat());
        assert_eq!(flow.l3_delta(side).apply(sum(from, false)), sum(to, false));
        assert_eq!(flow.l4_delta(side).apply(sum(from, true)), sum(to, true));
        let ports = |view| checksum(&[0x0800, words(view, true)[4], words(view, true)[5]]);
        assert_eq!(nat(ICMP).l4_delta(side).apply(ports(from)), ports(to));
        assert_eq!(flow.l3_delta(side), flow.l3_delta(side.other()).inverse());
    }
}

#[test]
fn it_matches_its_own_keys_only() {
    let flow = nat(UDP);
    for side in [Side::Inside, Side::Outside] {
        let key = flow.key(side);
        assert!(flow.matches(side, &key));
        assert!(!flow.matches(side.other(), &key));
        assert!(!flow.matches(side, &Key { protocol: TCP, ..key }));
        assert!(!flow.matches(side, &Key { table: 1, ..key }));
        for at in 0..12 {
            let mut bytes = *key.view.as_bytes();
            bytes[at] ^= 0x40;
            assert!(!flow.matches(side, &Key { view: View::from_bytes(bytes), ..key }));
        }
    }
    assert_eq!((flow.key(Side::Inside).table, flow.key(Side::Outside).table), (7, 0));
}

#[test]
fn what_a_byte_and_a_word_share() {
    let all = [(Owner::Nat44, State::TcpOpening, Side::Outside), (Owner::Acl, State::Replied, Side::Inside)];
    for (owner, state, opener) in all {
        let view = nat(TCP).view(Side::Inside);
        for (outside, identity) in [(view.swapped(), true), (view, false)] {
            let new = NewFlow { views: [view, outside], protocol: TCP, table: 0, owner, opener, state };
            let mut flow = Flow::new(&new, Ticks(0));
            assert_eq!((flow.owner(), flow.opener(), flow.state(), flow.identity()), (owner, opener, state, identity));
            flow.set_state(State::TcpClosing);
            assert_eq!(
                (flow.owner(), flow.opener(), flow.state(), flow.identity()),
                (owner, opener, State::TcpClosing, identity)
            );
            assert!(!flow.is_free());
        }
    }
    assert!(Flow::free(5).is_free());
    assert_eq!(Flow::free(5).next_free(), 5);
}

#[test]
fn counters_and_tracking_keep_out_of_each_other() {
    let mut flow = nat(TCP);
    assert_eq!(flow.tracking(), Tracking::default());
    flow.count(1500);
    flow.count(40);
    let tracking = Tracking { edges: [1, u32::MAX], windows: [u16::MAX, 2], scales: 0xa5, bits: 0x5a };
    flow.set_tracking(&tracking);
    assert_eq!((flow.packets(), flow.bytes(), flow.tracking()), (2, 1540, tracking));
    flow.packets |= u64::MAX << PACKETS;
    flow.count(1);
    assert_eq!((flow.packets(), flow.bytes(), flow.tracking()), (0, 1541, tracking));
}

#[test]
fn acknowledgments_go_forward() {
    let mut flow = nat(TCP);
    let (side, before) = (Side::Outside, Tracking { edges: [7, u32::MAX - 10], windows: [8, 100], scales: 0, bits: 0 });
    flow.set_tracking(&before);
    flow.note_ack(side, u32::MAX - 11, 1);
    flow.note_ack(side, (1 << 30) - 11, 1);
    assert_eq!(flow.tracking(), before);
    flow.note_ack(side, 5, 200);
    assert_eq!(flow.tracking(), Tracking { edges: [7, 5], windows: [8, 200], ..before });
    flow.note_ack(side, 5, 300);
    assert_eq!(flow.tracking(), Tracking { edges: [7, 5], windows: [8, 300], ..before });
}

#[test]
fn a_segment_is_tracked_and_the_state_left_to_the_table() {
    let mut flow = nat(TCP);
    flow.set_state(State::TcpOpening);
    let syn = TcpSegment { flags: TcpFlags::SYN, sequence: 99, acknowledgment: 0, window: 1, scale: Some(3) };
    let mut tracking = flow.tracking();
    assert_eq!(flow.track(Side::Inside, &syn), tracking.track(State::TcpOpening, Side::Inside, &syn));
    assert_eq!(flow.tracking(), tracking);
    assert_ne!(tracking, Tracking::default());
}

#[test]
fn touching_moves_the_time() {
    let mut flow = nat(TCP);
    assert_eq!((flow.last(), flow.protocol(), flow.table()), (Ticks(9), TCP, 7));
    flow.touch(Ticks(10));
    assert_eq!(flow.last(), Ticks(10));
}
