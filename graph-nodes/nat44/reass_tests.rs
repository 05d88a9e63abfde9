use super::*;
use crate::nat44::parse::ASKS_FOR_ECHO;
use crate::testing::sent::{Sent, view};
use crate::testing::*;
use etherparse::{IpFragOffset, IpNumber, Ipv4Header};
use millrace_engine::testing::{Bench, Out, Outcome};
use millrace_tables::flow::View;
use proptest::prelude::*;

type Outside = Bench<Out2inReass>;

fn bench() -> Outside {
    Bench::new(Out2inReass::default())
}

/// The ports of [`piece`]'s datagrams, as a packet carries them.
const PORTS: u64 = u32::from_le_bytes([0x9c, 0x40, 0, 7]) as u64;

/// A part of a UDP datagram from port 40000 to port 7.
fn piece(id: u16, start: usize, bytes: usize, more: bool) -> Vec<u8> {
    piece_with(start, bytes, more, |h| h.identification = id)
}

fn piece_with(start: usize, bytes: usize, more: bool, change: impl FnOnce(&mut Ipv4Header)) -> Vec<u8> {
    let mut header = header(PEER, WAN_IP);
    header.more_fragments = more;
    header.fragment_offset = IpFragOffset::try_new((start / 8) as u16).unwrap();
    change(&mut header);
    let ports_length_and_checksum = [0x9c, 0x40, 0, 7, 0xff, 0xff, 0x12, 0x34];
    let datagram = ports_length_and_checksum.into_iter().chain((0..=255).cycle());
    packet(&header, &datagram.skip(start).take(bytes).collect::<Vec<u8>>())
}

fn run(bench: &mut Outside, pieces: &[Vec<u8>]) -> Outcome {
    let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    bench.run(&pieces, |meta| (meta.rx_interface, meta.table) = (WAN, 0))
}

/// What went on, in order, all of it with these ports.
#[track_caller]
fn passed(outcome: &Outcome, ports: u64) -> Vec<&[u8]> {
    let good = |out: &&Out| out.next != "drop";
    let known = |out: &Out| {
        (out.next, out.marks & marks::PORTS_KNOWN, out.scratch1) == ("nat44-out2in", marks::PORTS_KNOWN, ports)
    };
    assert!(outcome.sent.iter().filter(good).all(known), "{:?}", outcome.sent);
    outcome.sent.iter().filter(good).map(|out| &out.data[..]).collect()
}

/// RFC 4787 REQ-14: in any order. What comes before the first fragment follows it.
#[test]
fn fragments_go_on_with_their_ports_in_any_order() {
    let three = [piece(7, 0, 1480, true), piece(7, 1480, 1480, true), piece(7, 2960, 41, false)];
    for (order, held, sent) in [
        ([0, 1, 2], 0, [0, 1, 2]),
        ([0, 2, 1], 0, [0, 2, 1]),
        ([1, 0, 2], 1, [0, 1, 2]),
        ([1, 2, 0], 2, [0, 1, 2]),
        ([2, 0, 1], 1, [0, 2, 1]),
        ([2, 1, 0], 2, [0, 2, 1]),
    ] {
        let mut bench = bench();
        let outcome = run(&mut bench, &order.map(|at| three[at].clone()));
        assert_eq!(passed(&outcome, PORTS), sent.map(|at| &three[at][..]), "{order:?}");
        let held = (held > 0).then_some(("later fragments that wait for the first", held));
        let counts = [("first fragments", 1), ("later fragments whose ports are known", 2)];
        assert_eq!(outcome.counts, counts.into_iter().chain(held).collect::<Vec<_>>(), "{order:?}");
        assert_eq!((bench.held(), bench.wants_tick()), (0, false), "{order:?}: the datagram is forgotten");
    }
}

/// The ports are those of the view, as nat44-out2in and nat44-in2out want them.
#[test]
fn of_every_protocol_and_from_both_sides() {
    let flows = |protocol, side| match (protocol, side) {
        (1, Side::Inside) => view(HOST, 77, PEER, 0),
        (1, Side::Outside) => view(PEER, 0, WAN_IP, 77),
        (_, Side::Inside) => view(HOST, 40_000, PEER, 80),
        (_, Side::Outside) => view(PEER, 80, WAN_IP, 40_000),
    };
    let of = |protocol, view: &View| {
        let whole = Sent { protocol, icmp: 8, data: vec![9; 200], ..Sent::default() };
        let part = |from, to| Sent { piece: Some((from, to)), ..whole.clone() }.bytes(view);
        [part(96, 9999), part(0, 96)]
    };
    let check = |outcome: &Outcome, next: &str, known: u64, name: &str| {
        let all = outcome.sent.iter().chain(outcome.packets.iter().filter(|out| out.next != "held"));
        let all: Vec<_> = all.map(|out| (out.next, out.marks, out.scratch1)).collect();
        assert_eq!(all, [(next, marks::PORTS_KNOWN, known); 2], "{name}");
    };
    for protocol in [1, 6, 17, 47] {
        let (inside, outside) = (flows(protocol, Side::Inside), flows(protocol, Side::Outside));
        let ports = |view: &View| match protocol {
            47 => 0,
            1 => known_ports(view) | ASKS_FOR_ECHO,
            _ => known_ports(view),
        };
        let [later, first] = of(protocol, &inside);
        let outcome = Bench::new(In2outReass::default()).run(&[&later, &first], |_| {});
        check(&outcome, "nat44-in2out", ports(&inside), &format!("protocol {protocol} from inside"));
        let [later, first] = of(protocol, &outside);
        let outcome = Bench::new(Out2inReass::default()).run(&[&later, &first], |_| {});
        check(&outcome, "nat44-out2in", ports(&outside), &format!("protocol {protocol} from outside"));
    }
}

/// RFC 791 section 3.2: source, destination, protocol and identification, all four.
#[test]
fn fragments_of_others_stay_apart() {
    let mut bench = bench();
    let of = |change: fn(&mut Ipv4Header)| piece_with(80, 16, false, change);
    let others = [
        of(|h| h.identification = 8),
        of(|h| h.source = HOST),
        of(|h| h.destination = LAN_IP),
        of(|h| h.protocol = IpNumber::ICMP),
    ];
    let first = piece(0x4711, 0, 80, true);
    assert_eq!(passed(&run(&mut bench, &[&[first.clone()][..], &others].concat()), PORTS), [&first]);
    let elsewhere = bench.run(&[&of(|_| {})], |meta| meta.table = 7);
    assert_eq!(passed(&elsewhere, PORTS), [&[]; 0], "in another VRF");
    assert_eq!(bench.held(), 5);
    assert_eq!(passed(&run(&mut bench, &[of(|_| {})]), PORTS), [of(|_| {})]);
    assert_eq!(bench.held(), 5);
}

#[test]
fn what_can_not_be_is_dropped() {
    let poisoned = "rest of a datagram whose fragments overlap or make no sense";
    let first = ("first fragments", 1);
    let waits = |n| ("later fragments that wait for the first", n);
    let tcp = |start, bytes, more| {
        let flags = |h: &mut Ipv4Header| h.protocol = IpNumber::TCP;
        let mut piece = piece_with(start, bytes, more, flags);
        if start == 0 && bytes > 13 {
            (piece[32], piece[33]) = (0x50, 0x10);
        }
        piece
    };
    let error = piece_with(0, 80, true, |h| h.protocol = IpNumber::ICMP);
    let error = broken(error, |p| p[20] = 3);
    for (name, pieces, counts, held) in [
        ("no data", vec![piece(1, 8, 0, false)], vec![("fragment without data", 1)], 0),
        (
            "a middle of 9 bytes",
            vec![piece(1, 8, 9, true)],
            vec![("fragment before the last is no multiple of 8 bytes long", 1)],
            0,
        ),
        // The ping of death.
        (
            "the end beyond the largest packet",
            vec![piece(1, 65_512, 8, false)],
            vec![("fragment reaches beyond 65535 bytes", 1)],
            0,
        ),
        ("twice the first", vec![piece(1, 0, 80, true); 2], vec![first, ("duplicate fragment", 1)], 0),
        ("twice a later one", vec![piece(1, 80, 8, true); 2], vec![waits(1), ("duplicate fragment", 1)], 1),
        // RFC 8200 section 4.5 has all of such a datagram dropped, and for IPv4 it is as little to be trusted.
        (
            "overlap before",
            vec![piece(1, 0, 80, true), piece(1, 72, 8, true)],
            vec![first, ("fragments overlap", 1)],
            0,
        ),
        (
            "overlap behind",
            vec![piece(1, 72, 8, true), piece(1, 0, 80, true)],
            vec![waits(1), ("fragments overlap", 2)],
            0,
        ),
        ("teardrop", vec![piece(1, 0, 40, true), piece(1, 24, 4, false)], vec![first, ("fragments overlap", 1)], 0),
        (
            "a second first fragment",
            vec![piece(1, 0, 80, true), piece(1, 0, 88, true)],
            vec![first, ("fragments overlap", 1)],
            0,
        ),
        (
            "behind the last",
            vec![piece(1, 80, 8, false), piece(1, 88, 8, true)],
            vec![waits(1), ("fragments overlap", 2)],
            0,
        ),
        (
            "a last before others",
            vec![piece(1, 88, 8, true), piece(1, 80, 8, false)],
            vec![waits(1), ("fragments overlap", 2)],
            0,
        ),
        (
            "the last isn't",
            vec![piece(1, 80, 8, false), piece(1, 80, 8, true)],
            vec![waits(1), ("fragments overlap", 2)],
            0,
        ),
        (
            "the last is longer",
            vec![piece(1, 80, 8, false), piece(1, 80, 9, false)],
            vec![waits(1), ("fragments overlap", 2)],
            0,
        ),
        (
            "the rest of those",
            vec![piece(1, 80, 8, true), piece(1, 80, 16, true), piece(1, 0, 80, true), piece(1, 96, 8, false)],
            vec![waits(1), ("fragments overlap", 2), (poisoned, 2)],
            0,
        ),
        // RFC 1858 section 3: tiny fragments.
        ("8 bytes of TCP", vec![tcp(0, 8, true)], vec![("first fragment too short for its transport header", 1)], 0),
        ("16 bytes of TCP", vec![tcp(0, 16, true)], vec![("first fragment too short for its transport header", 1)], 0),
        (
            "TCP's flags in a second one",
            vec![tcp(8, 16, true), tcp(24, 8, false), tcp(0, 24, true)],
            vec![(poisoned, 2), ("first fragment too short for its transport header", 1)],
            0,
        ),
        (
            "TCP that waits for a tiny one",
            vec![tcp(24, 8, true), tcp(0, 8, true), tcp(32, 8, false)],
            vec![waits(1), (poisoned, 2), ("first fragment too short for its transport header", 1)],
            0,
        ),
        (
            "24 bytes of TCP",
            vec![tcp(0, 24, true), tcp(24, 9, false)],
            vec![first, ("later fragments whose ports are known", 1)],
            0,
        ),
        ("an ICMP error", vec![error], vec![("first fragment can not be translated", 1)], 0),
        ("less than it says", vec![piece(1, 0, 80, true)[..60].to_vec()], vec![("no IPv4 fragment", 1)], 0),
        ("less than a header", vec![vec![0x45; 19]], vec![("no IPv4 fragment", 1)], 0),
        ("all of a packet", vec![udp(PEER, WAN_IP)], vec![("no IPv4 fragment", 1)], 0),
    ] {
        let mut bench = bench();
        assert_eq!(run(&mut bench, &pieces).counts, counts, "{name}");
        assert_eq!(bench.held(), held, "{name}");
    }
}

/// RFC 4787 REQ-14 b: for a limited time.
#[test]
fn the_first_fragment_is_not_waited_for_long() {
    let mut bench = bench();
    run(&mut bench, &[piece(1, 80, 8, true)]);
    // One that is complete leaves those before and behind it as they are.
    run(&mut bench, &[piece(5, 0, 80, true), piece(2, 0, 80, true), piece(5, 80, 8, false)]);
    run(&mut bench, &[piece(3, 0, 80, true), piece(3, 72, 8, true)]);
    bench.now = 1;
    run(&mut bench, &[piece(1, 160, 8, false), piece(4, 80, 8, true)]);
    bench.now = PATIENCE - 1;
    assert_eq!(bench.tick(), Outcome::default());
    assert_eq!(bench.held(), 3);
    bench.now = PATIENCE;
    let outcome = bench.tick();
    assert_eq!(outcome.counts, [("first fragment did not come", 2)]);
    assert!(outcome.sent.iter().all(|out| out.next == "drop"));
    assert_eq!((bench.held(), bench.wants_tick()), (1, true));
    // The ports of the second are forgotten, and the third isn't suspect any more.
    let outcome = run(&mut bench, &[piece(2, 80, 8, false), piece(3, 80, 8, true)]);
    assert_eq!(outcome.counts, [("later fragments that wait for the first", 2)]);
    bench.now = 2 * PATIENCE;
    assert_eq!(bench.tick().counts, [("first fragment did not come", 3)]);
    assert_eq!((bench.held(), bench.wants_tick()), (0, false));
    let (_, text) = self::bench().traced(&piece(9, 16, 8, true), |_| {});
    assert_eq!(text, "from 203.0.113.10 id 9 bytes 16..24");
}

/// RFC 4787 REQ-14 c: and not too many. The oldest make room.
#[test]
fn what_waits_is_bounded() {
    let (waits, evicted) = ("later fragments that wait for the first", "fragment made room for a newer one");
    let mut bench = bench();
    let many: Vec<_> = (0..=PER_DATAGRAM).map(|at| piece(1, 16 + at * 16, 8, true)).collect();
    let outcome = run(&mut bench, &many);
    let all = PER_DATAGRAM as u64;
    assert_eq!(outcome.counts, [(waits, all), ("datagram in too many fragments", all + 1)]);
    assert_eq!(bench.held(), 0);
    // As many fragments as can be, then one more, of a new datagram and of one that is there.
    let datagrams = (HELD / PER_DATAGRAM) as u16;
    for id in 0..datagrams {
        run(&mut bench, &(0..PER_DATAGRAM).map(|at| piece(100 + id, 16 + at * 16, 8, true)).collect::<Vec<_>>());
    }
    assert_eq!(bench.held(), HELD);
    // The first that is evicted is the one that was poisoned above; it holds nothing.
    assert_eq!(run(&mut bench, &[piece(9, 16, 8, true)]).counts, [(waits, 1), (evicted, all)]);
    assert_eq!(bench.held(), HELD - PER_DATAGRAM + 1);
    // A datagram that comes while those wait is none the worse for it.
    let whole = [piece(10, 0, 80, true), piece(10, 80, 8, false)];
    assert_eq!(passed(&run(&mut bench, &whole), PORTS), [&whole[0], &whole[1]]);
}

/// As many datagrams as can be, and more of them: each of the newest is put through, and the memory is the same.
#[test]
fn a_flood_of_datagrams_leaves_the_newest() {
    let mut bench = bench();
    let flood = |bench: &mut Outside, ids: std::ops::Range<u16>| {
        let mut lost = 0;
        for id in ids {
            let outcome = run(bench, &[piece(id, 80, 8, true)]);
            lost += outcome.counts.iter().find(|(name, _)| name.contains("made room")).map_or(0, |(_, n)| *n);
        }
        lost
    };
    assert_eq!(flood(&mut bench, 0..DATAGRAMS as u16), 0);
    assert_eq!(bench.held(), DATAGRAMS.min(HELD));
    assert_eq!(flood(&mut bench, 5000..5100), 100);
    assert_eq!(bench.held(), DATAGRAMS.min(HELD));
    // The oldest hundred are forgotten, the next is not.
    let outcome = run(&mut bench, &[piece(100, 0, 80, true)]);
    assert_eq!(passed(&outcome, PORTS).len(), 2);
    let outcome = run(&mut bench, &[piece(99, 0, 80, true)]);
    assert_eq!(passed(&outcome, PORTS).len(), 1);
    bench.now = PATIENCE;
    bench.tick();
    assert_eq!((bench.held(), bench.wants_tick()), (0, false));
}

/// Datagrams whose ports are known are forgotten like the others.
#[test]
fn as_many_datagrams_are_known() {
    let mut bench = bench();
    for id in 0..DATAGRAMS as u16 {
        run(&mut bench, &[piece(id, 0, 80, true)]);
    }
    assert_eq!(passed(&run(&mut bench, &[piece(0, 80, 8, true)]), PORTS).len(), 1);
    run(&mut bench, &[piece(9999, 0, 80, true)]);
    assert_eq!(passed(&run(&mut bench, &[piece(1, 80, 8, true)]), PORTS).len(), 1);
    assert_eq!(passed(&run(&mut bench, &[piece(0, 88, 8, true)]), PORTS).len(), 0);
}

/// The one whose fragment finds no room is the oldest itself.
#[test]
fn the_oldest_makes_room_for_others_only() {
    let mut bench = bench();
    run(&mut bench, &[piece(1, 16, 8, true)]);
    for id in 2..=9 {
        let last = if id == 9 { PER_DATAGRAM - 1 } else { PER_DATAGRAM };
        run(&mut bench, &(0..last).map(|at| piece(id, 16 + at * 16, 8, true)).collect::<Vec<_>>());
    }
    assert_eq!(bench.held(), HELD);
    let outcome = run(&mut bench, &[piece(1, 64, 8, true)]);
    let counts = [("later fragments that wait for the first", 1), ("fragment made room for a newer one", 2)];
    assert_eq!((&outcome.counts[..], bench.held()), (&counts[..], HELD - 1));
}

proptest! {
    /// Any datagram cut anywhere and shuffled among others: all of it goes on, and with its ports.
    #[test]
    fn whatever_the_cuts(length in 17usize..20_000, cuts in prop::collection::btree_set(1usize..2500, 1..20), seed: u64) {
        let mut ends: Vec<usize> = cuts.into_iter().map(|cut| cut * 8).filter(|cut| *cut < length).collect();
        ends.push(length);
        let starts: Vec<usize> = std::iter::once(0).chain(ends.iter().copied()).collect();
        prop_assume!(ends.len() > 1);
        let cut = |id| starts.iter().zip(&ends).map(move |(start, end)| piece(id, *start, end - start, *end < length));
        let mut pieces: Vec<Vec<u8>> = cut(1).chain(cut(2)).collect();
        let mut state = seed | 1;
        for at in (1..pieces.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            pieces.swap(at, (state >> 33) as usize % (at + 1));
        }
        let mut bench = bench();
        let outcome = run(&mut bench, &pieces);
        let mut went: Vec<_> = passed(&outcome, PORTS).into_iter().map(<[u8]>::to_vec).collect();
        went.sort();
        pieces.sort();
        prop_assert!(went == pieces);
        prop_assert_eq!((bench.held(), bench.wants_tick()), (0, false));
    }

    /// Whatever comes: no panic, no two fragments that go on overlap, and nothing stays.
    #[test]
    fn an_attack(fragments in prop::collection::vec((0u16..4, 0usize..12, 1usize..40, any::<bool>()), 0..200)) {
        let mut bench = bench();
        let pieces: Vec<_> = fragments.into_iter().map(|(id, start, len, more)| piece(id, start * 8, len, more)).collect();
        let mut went = std::collections::BTreeMap::<u16, Vec<std::ops::Range<usize>>>::new();
        for some in pieces.chunks(50) {
            let outcome = run(&mut bench, some);
            for packet in passed(&outcome, PORTS) {
                let (ip, data) = parsed(packet);
                let start = ip.fragment_offset.byte_offset() as usize;
                let ranges = went.entry(ip.identification).or_default();
                let new = start..start + data.len();
                // When all of a datagram has come, the same identification stands for another one.
                let whole: usize = ranges.iter().map(|range| range.len()).sum();
                let again = start == 0 && whole > 0;
                if again {
                    ranges.clear();
                }
                prop_assert!(ranges.iter().all(|old| new.end <= old.start || old.end <= new.start));
                ranges.push(new);
            }
        }
        bench.now = PATIENCE;
        bench.tick();
        prop_assert_eq!((bench.held(), bench.wants_tick()), (0, false));
    }
}
