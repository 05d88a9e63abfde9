//! Packets that share their bytes, in random order of making, changing and freeing, on several threads.

use super::share::{OWN, short};
use super::{Buffer, Cache, Copies, DATA, Pool};
use crate::memory::HugePages;
use proptest::prelude::*;
use std::sync::mpsc;

fn bytes(len: usize, from: u8) -> Vec<u8> {
    (0..len).map(|i| from.wrapping_add((i % 251) as u8)).collect()
}

fn packet(cache: &mut Cache, bytes: &[u8]) -> Buffer {
    let mut buffer = cache.alloc().unwrap();
    assert!(buffer.append(bytes, || cache.alloc()));
    buffer
}

fn read(buffer: &mut Buffer) -> Vec<u8> {
    let packet = buffer.packet();
    let all: Vec<u8> = packet.segments().flatten().copied().collect();
    assert_eq!(packet.total_len(), all.len());
    assert_eq!(packet.parts().map(|part| usize::from(part.len)).sum::<usize>(), all.len());
    all
}

fn take_all(mut copies: Copies, cache: &mut Cache) -> Vec<Buffer> {
    std::iter::from_fn(|| copies.take(cache)).collect()
}

fn in_use(pool: &'static Pool, cache: &Cache) -> usize {
    cache.publish();
    pool.usage().in_use
}

#[test]
fn long_packets_share_what_is_behind_their_headers() {
    let pool = Pool::new(64, HugePages::Off).unwrap();
    let mut cache = pool.cache();
    for (len, copies, cells) in [
        (60, 8, 8),
        (short(8), 8, 8),
        (short(8) + 1, 8, 8 + 1),
        (short(2), 2, 2),
        (short(2) + 1, 2, 2 + 2),
        (1514, 8, 8 + 1),
        (1514, 1, 1),
        (1514, 0, 1),
        (9000, 8, 8 + 9000usize.div_ceil(DATA)),
    ] {
        let whole = bytes(len, 7);
        let mut buffer = packet(&mut cache, &whole);
        buffer.packet().meta.tx_interface = 9;
        let mut all = take_all(Copies::new(buffer, copies), &mut cache);
        assert_eq!((all.len(), in_use(pool, &cache)), (copies.max(1), cells), "{len} bytes");
        for (n, copy) in all.iter_mut().enumerate() {
            assert_eq!((read(copy), copy.packet().meta.tx_interface), (whole.clone(), 9), "{len} bytes, {n}");
            // Each may change what is its own, and put something in front.
            let mut packet = copy.packet();
            packet.data_mut()[..OWN.min(len)].fill(n as u8);
            assert!(packet.retreat(50));
            packet.data_mut()[..50].fill(n as u8);
        }
        for (n, mut copy) in all.into_iter().enumerate() {
            let got = read(&mut copy);
            let own = 50 + OWN.min(len);
            assert!(got[..own].iter().all(|byte| *byte == n as u8) && got[own..] == whole[OWN.min(len)..]);
            cache.free(copy);
        }
        assert_eq!(in_use(pool, &cache), 0, "{len} bytes");
    }
}

#[test]
fn an_empty_pool_leaves_at_least_the_packet_itself() {
    for (len, cells, got) in [(1514, 1, 1), (1514, 2, 1), (1514, 4, 3), (60, 1, 1), (60, 3, 3), (9000, 5, 1)] {
        let pool = Pool::new(cells, HugePages::Off).unwrap();
        let mut cache = pool.cache();
        let mut buffer = packet(&mut cache, &bytes(len, 1));
        buffer.packet().set_trace_id(77);
        let mut all = take_all(Copies::new(buffer, 8), &mut cache);
        assert_eq!(all.len(), got, "{len} bytes, {cells} cells");
        assert!(all.iter_mut().all(|copy| read(copy) == bytes(len, 1)));
        let traces = all.iter_mut().map(|copy| copy.packet().traced().then(|| copy.packet().trace_id()));
        assert!(traces.eq((0..got).map(|n| (n == 0).then_some(77))), "the first goes on with the trace");
        all.into_iter().for_each(|copy| cache.free(copy));
        assert_eq!(in_use(pool, &cache), 0);
    }
}

#[test]
fn what_nobody_took_is_freed() {
    for taken in 0..3 {
        let pool = Pool::new(16, HugePages::Off).unwrap();
        let mut cache = pool.cache();
        let mut copies = Copies::new(packet(&mut cache, &bytes(3000, 1)), 5);
        let kept: Vec<Buffer> = (0..taken).filter_map(|_| copies.take(&mut cache)).collect();
        drop(copies);
        assert_eq!(in_use(pool, &cache), if taken == 0 { 0 } else { 2 + taken });
        drop(kept);
        assert_eq!(in_use(pool, &cache), 0);
    }
}

#[test]
fn only_the_last_gets_the_bytes_without_a_copy() {
    let pool = Pool::new(8, HugePages::Off).unwrap();
    let mut cache = pool.cache();
    let mut all = take_all(Copies::new(packet(&mut cache, &bytes(4000, 1)), 3), &mut cache);
    let (mut third, mut second, mut first) = (all.pop().unwrap(), all.pop().unwrap(), all.pop().unwrap());
    // 4000 bytes: 1984 fit behind the head's own, the rest needs a cell more; without one nothing changes.
    second.packet().truncate(3000);
    assert!(!second.unshare(|| None) && second.packet().shared());
    assert_eq!(read(&mut second), bytes(4000, 1)[..3000]);
    assert!(second.unshare(|| cache.alloc()) && !second.packet().shared());
    assert_eq!((read(&mut second), in_use(pool, &cache)), (bytes(4000, 1)[..3000].to_vec(), 6));
    third.packet().truncate(2500);
    cache.free(first);
    assert!(third.unshare(|| None), "it has the cells alone");
    assert_eq!((read(&mut third), in_use(pool, &cache)), (bytes(4000, 1)[..2500].to_vec(), 5));
    assert!(third.append(&[9; 10], || cache.alloc()));
    assert_eq!(read(&mut third), [&bytes(4000, 1)[..2500], &[9; 10]].concat());
    first = packet(&mut cache, &[1]);
    [first, second, third].into_iter().for_each(|copy| cache.free(copy));
    assert_eq!(in_use(pool, &cache), 0);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "is given back while others share it")]
fn debug_builds_find_a_shared_cell_that_is_given_back_alone() {
    let pool = Pool::new(8, HugePages::Off).unwrap();
    let mut cache = pool.cache();
    let mut all = take_all(Copies::new(packet(&mut cache, &bytes(1500, 1)), 3), &mut cache);
    let cells: Vec<u32> = all[0].packet().parts().map(|part| part.index).collect();
    std::mem::forget(all);
    // SAFETY: none; the second cell is not only this packet's, which is the bug that the check is there to find.
    unsafe { cache.put(&cells) };
}

/// Something done to the packets in hand: what it may be to, and how.
#[derive(Clone, Debug)]
enum Step {
    New { len: usize },
    Share { copies: usize, taken: usize },
    Copy,
    Free,
    Drop,
    Unshare,
    Truncate { len: usize },
    Append { len: usize },
    Advance { n: usize },
    Retreat { n: usize },
    Write,
}

fn steps() -> impl Strategy<Value = Vec<(Step, usize)>> {
    let step = prop_oneof![
        3 => (1usize..6000).prop_map(|len| Step::New { len }),
        3 => (1usize..9, 0usize..9).prop_map(|(copies, taken)| Step::Share { copies, taken }),
        2 => Just(Step::Copy),
        4 => Just(Step::Free),
        1 => Just(Step::Drop),
        2 => Just(Step::Unshare),
        2 => (0usize..5000).prop_map(|len| Step::Truncate { len }),
        1 => (1usize..3000).prop_map(|len| Step::Append { len }),
        1 => (1usize..300).prop_map(|n| Step::Advance { n }),
        1 => (1usize..200).prop_map(|n| Step::Retreat { n }),
        2 => Just(Step::Write),
    ];
    prop::collection::vec((step, any::<prop::sample::Index>().prop_map(|at| at.index(1 << 16))), 1..80)
}

/// Packets in hand, each with the bytes that it must have.
struct Hand {
    cache: Cache,
    held: Vec<(Buffer, Vec<u8>)>,
}

impl Hand {
    fn step(&mut self, step: &Step, at: usize) {
        let cache = &mut self.cache;
        if let Step::New { len } = step {
            let bytes = bytes(*len, at as u8);
            if let Some(mut buffer) = cache.alloc() {
                match buffer.append(&bytes, || cache.alloc()) {
                    true => self.held.push((buffer, bytes)),
                    false => cache.free(buffer),
                }
            }
            return;
        }
        if self.held.is_empty() {
            return;
        }
        let at = at % self.held.len();
        let (mut buffer, mut bytes) = self.held.swap_remove(at);
        match *step {
            Step::New { .. } => {}
            Step::Share { copies, taken } => {
                let mut copies = Copies::new(buffer, copies);
                for _ in 0..taken.max(1) {
                    let Some(copy) = copies.take(cache) else { break };
                    self.held.push((copy, bytes.clone()));
                }
                return;
            }
            Step::Copy => {
                if let Some(copy) = cache.copy(&buffer.packet()) {
                    self.held.push((copy, bytes.clone()));
                }
            }
            Step::Free => return cache.free(buffer),
            Step::Drop => return drop(buffer),
            Step::Unshare => {
                let done = buffer.unshare(|| cache.alloc());
                assert_eq!(buffer.packet().shared(), !done);
            }
            Step::Truncate { len } => {
                buffer.packet().truncate(len);
                bytes.truncate(len);
            }
            Step::Append { len } => {
                let more = self::bytes(len, 99);
                let before = bytes.len();
                bytes.extend(more);
                if !buffer.append(&bytes[before..], || cache.alloc()) {
                    bytes.truncate(buffer.packet().total_len());
                }
            }
            Step::Advance { n } => {
                if buffer.packet().advance(n) {
                    bytes.drain(..n);
                }
            }
            Step::Retreat { n } => {
                if buffer.packet().retreat(n) {
                    buffer.packet().data_mut()[..n].fill(0xaa);
                    bytes.splice(0..0, vec![0xaa; n]);
                }
            }
            Step::Write => {
                let mut packet = buffer.packet();
                let own = packet.len();
                packet.data_mut().fill(0x55);
                bytes[..own].fill(0x55);
            }
        }
        self.held.push((buffer, bytes));
    }

    fn check(&mut self) {
        for (buffer, bytes) in &mut self.held {
            assert_eq!(read(buffer), *bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn bytes_stay_and_cells_come_back(steps in steps(), cells in 4usize..200) {
        let pool = Pool::new(cells, HugePages::Off).unwrap();
        let mut hand = Hand { cache: pool.cache(), held: Vec::new() };
        for (step, at) in &steps {
            hand.step(step, *at);
            hand.check();
        }
        hand.held.clear();
        drop(hand);
        prop_assert_eq!(pool.usage().in_use, 0);
        #[cfg(debug_assertions)]
        prop_assert_eq!(pool.owned(), Vec::<u32>::new());
    }
}

/// Threads do random things to packets, and pass some on, so that sharers of one tail are everywhere.
#[test]
fn sharers_on_several_threads() {
    const THREADS: usize = 4;
    let pool = Pool::new(4096, HugePages::Off).unwrap();
    let (to, from): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::sync_channel::<(Buffer, Vec<u8>)>(64)).unzip();
    std::thread::scope(|scope| {
        for (thread, from) in from.into_iter().enumerate() {
            let to = to.clone();
            scope.spawn(move || {
                let mut hand = Hand { cache: pool.cache(), held: Vec::new() };
                let mut state = thread as u64 + 1;
                let mut random = |below: usize| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 33) as usize % below
                };
                for _ in 0..20_000 {
                    let step = match random(12) {
                        0 | 1 => Step::New { len: 1 + random(6000) },
                        2 | 3 => Step::Share { copies: 1 + random(8), taken: random(9) },
                        4 => Step::Copy,
                        5 => Step::Unshare,
                        6 => Step::Truncate { len: random(5000) },
                        7 => Step::Append { len: 1 + random(3000) },
                        8 => Step::Write,
                        9 => Step::Drop,
                        _ => Step::Free,
                    };
                    hand.step(&step, random(1 << 16));
                    if !hand.held.is_empty() && random(3) == 0 {
                        let (mut buffer, bytes) = hand.held.swap_remove(random(hand.held.len()));
                        assert_eq!(read(&mut buffer), bytes);
                        let _ = to[random(THREADS)].try_send((buffer, bytes));
                    }
                    hand.held.extend(from.try_iter());
                    while hand.held.len() > 64 {
                        hand.step(&Step::Free, random(64));
                    }
                }
                hand.check();
            });
        }
        drop(to);
    });
    assert_eq!(pool.usage().in_use, 0);
}
