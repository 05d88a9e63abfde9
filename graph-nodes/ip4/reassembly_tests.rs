use super::*;
use crate::ip::reassembly::{IN_ALL, IpReassembly, PER_DATAGRAM};
use crate::testing::*;
use millrace_engine::testing::{Bench, Outcome};
use proptest::prelude::*;

fn bench() -> Bench<IpReassembly<V4>> {
    Bench::new(IpReassembly::default())
}

/// A fragment with some bytes of data from an offset on; the data is numbered through the datagram.
fn piece(id: u16, start: usize, bytes: usize, more: bool) -> Vec<u8> {
    let mut header = header(HOST, LAN_IP);
    (header.identification, header.more_fragments) = (id, more);
    header.fragment_offset = ((start / 8) as u16).try_into().unwrap();
    packet(&header, &data(start, start + bytes))
}

fn data(start: usize, end: usize) -> Vec<u8> {
    (start..end).map(|at| (at % 251) as u8).collect()
}

fn run(bench: &mut Bench<IpReassembly<V4>>, pieces: &[Vec<u8>]) -> Outcome {
    let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    bench.run(&pieces, |meta| (meta.rx_interface, meta.table) = (LAN, 0))
}

#[test]
fn a_datagram_is_put_together_in_any_order() {
    let three = [piece(7, 0, 1480, true), piece(7, 1480, 1480, true), piece(7, 2960, 41, false)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut bench = bench();
        let outcome = run(&mut bench, &order.map(|at| three[at].clone()));
        assert_eq!(outcome.counts, [("datagrams put together", 1), ("fragments joined to a datagram", 2)], "{order:?}");
        let [whole] = &outcome.sent[..] else { panic!("{order:?}: {} packets", outcome.sent.len()) };
        let mut wanted = header(HOST, LAN_IP);
        wanted.identification = 7;
        assert_eq!((whole.next, whole.rx_interface), ("ip4-local", LAN), "{order:?}");
        assert!(whole.data == packet(&wanted, &data(0, 3001)), "{order:?}");
        assert_eq!((bench.held(), bench.wants_tick()), (0, false), "{order:?}");
    }
}

/// RFC 791 section 3.2: source, destination, protocol and identification, all four.
#[test]
fn fragments_of_others_stay_apart() {
    let mut bench = bench();
    let first = piece(7, 0, 80, true);
    let other = |change: fn(&mut etherparse::Ipv4Header)| {
        let mut header = header(HOST, LAN_IP);
        (header.identification, header.fragment_offset) = (7, 10.try_into().unwrap());
        change(&mut header);
        packet(&header, &data(80, 90))
    };
    let others = [
        other(|h| h.identification = 8),
        other(|h| h.source = PEER),
        other(|h| h.destination = WAN_IP),
        other(|h| h.protocol = etherparse::IpNumber::ICMP),
    ];
    assert!(run(&mut bench, &[&[first][..], &others].concat()).sent.is_empty());
    let elsewhere = bench.run(&[&other(|_| {})], |meta| meta.table = 7);
    assert!(elsewhere.sent.is_empty(), "in another VRF");
    assert_eq!(bench.held(), 6);
    assert_eq!(run(&mut bench, &[other(|_| {})]).sent.len(), 1);
    assert_eq!(bench.held(), 5);
}

#[test]
fn what_can_not_be_is_dropped() {
    for (name, pieces, counts) in [
        ("no data", vec![piece(1, 8, 0, false)], vec![("fragment without data", 1)]),
        (
            "a middle of 9 bytes",
            vec![piece(1, 8, 9, true)],
            vec![("fragment before the last is no multiple of 8 bytes long", 1)],
        ),
        (
            "the end beyond the largest packet",
            vec![piece(1, 65_512, 8, false)],
            vec![("fragment reaches beyond 65535 bytes", 1)],
        ),
        ("twice the same", vec![piece(1, 0, 80, true), piece(1, 0, 80, true)], vec![("duplicate fragment", 1)]),
        ("overlap before", vec![piece(1, 0, 80, true), piece(1, 72, 8, true)], vec![("fragments overlap", 2)]),
        ("overlap behind", vec![piece(1, 72, 8, true), piece(1, 0, 80, true)], vec![("fragments overlap", 2)]),
        (
            "same place, another length",
            vec![piece(1, 0, 80, true), piece(1, 0, 88, true)],
            vec![("fragments overlap", 2)],
        ),
        ("behind the last", vec![piece(1, 80, 8, false), piece(1, 88, 8, true)], vec![("fragments overlap", 2)]),
        ("a last before others", vec![piece(1, 88, 8, true), piece(1, 80, 8, false)], vec![("fragments overlap", 2)]),
        ("less than it says", vec![piece(1, 0, 80, true)[..60].to_vec()], vec![("no IP fragment", 1)]),
        ("less than a header", vec![vec![0x45; 19]], vec![("no IP fragment", 1)]),
    ] {
        let mut bench = bench();
        assert_eq!(run(&mut bench, &pieces).counts, counts, "{name}");
        assert_eq!(bench.held(), usize::from(name == "twice the same"), "{name}");
    }
}

/// RFC 791 section 3.1: 65,535 bytes with the header, which the first fragment may have more of than the last.
#[test]
fn a_datagram_that_is_too_long_with_its_options() {
    let with_options = |options: usize| {
        let mut first = header(HOST, LAN_IP);
        (first.identification, first.more_fragments) = (1, true);
        first.options = [1; 40][..options].try_into().unwrap();
        let pieces = [packet(&first, &data(0, 32_000)), piece(1, 32_000, 33_504, true), piece(1, 65_504, 11, false)];
        run(&mut bench(), &pieces)
    };
    assert_eq!(with_options(0).sent[0].data.len(), 65_535);
    let outcome = with_options(4);
    assert_eq!(outcome.counts, [("fragments joined to a datagram", 2), ("fragment reaches beyond 65535 bytes", 1)]);
    assert!(outcome.sent.iter().all(|out| out.next == "drop"));
}

/// RFC 1122 section 3.3.2: its sender hears of it when the first fragment came.
#[test]
fn the_rest_is_not_waited_for_long() {
    let mut bench = bench();
    run(&mut bench, &[piece(1, 0, 80, true), piece(1, 160, 8, false), piece(2, 80, 8, true)]);
    bench.now = V4::PATIENCE - 1;
    assert_eq!(bench.tick(), Outcome::default());
    bench.now = V4::PATIENCE;
    let outcome = bench.tick();
    assert_eq!(outcome.counts, [("rest of the datagram did not come", 3)]);
    let mut nexts: Vec<_> = outcome.sent.iter().map(|out| out.next).collect();
    nexts.sort_unstable();
    assert_eq!(nexts, ["drop", "drop", "icmp4-error"]);
    let error = outcome.sent.iter().find(|out| out.next == "icmp4-error").unwrap();
    assert_eq!((Reason::of(error), &error.data), (Some(Reason::ReassemblyTimeExceeded), &piece(1, 0, 80, true)));
    assert_eq!((bench.held(), bench.wants_tick()), (0, false));
}

#[test]
fn what_waits_is_bounded() {
    let mut bench = bench();
    let many: Vec<_> = (0..=PER_DATAGRAM).map(|at| piece(1, at * 16, 8, true)).collect();
    let outcome = run(&mut bench, &many);
    assert_eq!(outcome.counts, [("datagram in too many fragments", PER_DATAGRAM as u64 + 1)]);
    for id in 0..(IN_ALL / 128) as u16 {
        run(&mut bench, &(0..128).map(|at| piece(100 + id, at * 16, 8, true)).collect::<Vec<_>>());
    }
    assert_eq!(bench.held(), IN_ALL);
    let outcome = run(&mut bench, &[piece(9, 0, 8, true)]);
    assert_eq!(fate(&outcome), ("drop", &[("too many fragments wait in all", 1)][..]));
    let (_, text) = self::bench().traced(&piece(9, 16, 8, true), |_| {});
    assert_eq!(text, "from 192.168.1.10 id 9 bytes 16..24");
}

proptest! {
    /// Any datagram cut anywhere and shuffled is what it was, options and all.
    #[test]
    fn whatever_the_cuts(length in 17usize..20_000, cuts in prop::collection::btree_set(1usize..2500, 1..20), seed: u64) {
        let mut ends: Vec<usize> = cuts.into_iter().map(|cut| cut * 8).filter(|cut| *cut < length).collect();
        ends.push(length);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let mut with_options = header(HOST, LAN_IP);
        with_options.options = [1, 1, 1, 0].into();
        let mut pieces: Vec<Vec<u8>> = starts.zip(&ends).map(|(start, end)| {
            let mut header = if start == 0 { with_options.clone() } else { header(HOST, LAN_IP) };
            header.more_fragments = *end < length;
            header.fragment_offset = ((start / 8) as u16).try_into().unwrap();
            packet(&header, &data(start, *end))
        }).collect();
        prop_assume!(pieces.len() > 1);
        let mut state = seed | 1;
        for at in (1..pieces.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            pieces.swap(at, (state >> 33) as usize % (at + 1));
        }
        let outcome = run(&mut bench(), &pieces);
        prop_assert_eq!(outcome.sent.len(), 1);
        prop_assert!(outcome.sent[0].data == packet(&with_options, &data(0, length)));
    }
}
