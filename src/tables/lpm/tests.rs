//! Against the reference; and readers against a writer.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use ipnet::Ipv4Net;
use millrace_engine::epoch;
use proptest::prelude::*;

use super::*;
use crate::reference::Reference;

fn net(text: &str) -> Ipv4Net {
    text.parse().unwrap()
}

fn addr(text: &str) -> u32 {
    text.parse::<std::net::Ipv4Addr>().unwrap().to_bits()
}

/// A table, a reader of it and the reference, kept the same.
struct Both {
    writer: Writer<u32>,
    reader: Reader<u32>,
    reference: Reference,
    me: epoch::Participant,
}

impl Both {
    fn new() -> Self {
        let (writer, reader) = Lpm::new::<u32>().unwrap();
        Self { writer, reader, reference: Reference::default(), me: epoch::domain().register() }
    }

    fn insert(&mut self, prefix: Ipv4Net, value: u32) {
        assert_eq!(self.writer.insert(prefix, value), Ok(self.reference.insert(prefix, value)), "{prefix}");
    }

    fn remove(&mut self, prefix: Ipv4Net) {
        assert_eq!(self.writer.remove(prefix), self.reference.remove(prefix), "{prefix}");
    }

    fn check(&self, addr: u32) {
        let expected = self.reference.longest_match(addr);
        let value = expected.map_or(NO_ROUTE, |(_, value)| value);
        self.reader.prefetch(addr);
        assert_eq!(self.reader.lookup(&self.me.guard(), addr), value, "{addr:#010x}");
        assert_eq!(self.writer.longest_match(addr), expected, "{addr:#010x}");
    }

    /// At both ends of all prefixes ever used, and just outside.
    fn check_around(&self, prefixes: impl IntoIterator<Item = Ipv4Net>) {
        for prefix in prefixes {
            let (first, last) = (prefix.network().to_bits(), prefix.broadcast().to_bits());
            for addr in [first.wrapping_sub(1), first, first + (last - first) / 2, last, last.wrapping_add(1)] {
                self.check(addr);
            }
            assert_eq!(
                self.writer.get(prefix),
                self.reference.routes().iter().find(|r| r.0 == prefix.trunc()).map(|r| r.1)
            );
        }
        let routes: HashMap<_, _> = self.writer.iter().collect();
        assert_eq!(routes, self.reference.routes().iter().copied().collect());
        assert_eq!(self.writer.len(), routes.len());
        assert_eq!(self.writer.is_empty(), routes.is_empty());
    }
}

#[test]
fn every_length_nested() {
    let mut both = Both::new();
    let prefixes: Vec<_> = (0..=32).map(|len| Ipv4Net::new("170.85.170.85".parse().unwrap(), len).unwrap()).collect();
    both.check_around(prefixes.clone());
    for (value, &prefix) in (1..).zip(&prefixes) {
        both.insert(prefix, value);
    }
    both.check_around(prefixes.clone());
    // From the middle out, so that each removal uncovers something else.
    for at in (0..33).map(|i| (i * 7 + 16) % 33) {
        both.remove(prefixes[at]);
        both.check_around(prefixes.clone());
    }
}

#[test]
fn shorter_prefixes_arrive_later() {
    let mut both = Both::new();
    let prefixes = ["10.1.2.128/25", "10.1.2.3/32", "10.1.2.0/24", "10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"].map(net);
    for (value, prefix) in (100..).zip(prefixes) {
        both.insert(prefix, value);
        both.check_around(prefixes);
    }
    for (value, prefix) in (200..).zip(prefixes) {
        both.insert(prefix, value);
        both.check_around(prefixes);
    }
    for prefix in prefixes {
        both.remove(prefix);
        both.remove(prefix);
        both.check_around(prefixes);
    }
}

#[test]
fn ends_of_the_address_space() {
    let mut both = Both::new();
    let prefixes = ["0.0.0.0/32", "255.255.255.255/32", "0.0.0.0/1", "128.0.0.0/1", "255.255.255.0/24"].map(net);
    for (value, prefix) in (1..).zip(prefixes) {
        both.insert(prefix, value);
    }
    both.check_around(prefixes);
    for prefix in prefixes {
        both.remove(prefix);
        both.check_around(prefixes);
    }
}

#[test]
fn values_are_opaque() {
    let mut both = Both::new();
    both.insert(net("0.0.0.0/0"), 9);
    both.insert(net("10.0.0.0/8"), 1);
    both.insert(net("10.1.1.1/32"), 0xff_ffff);
    both.check_around([net("10.0.0.0/8"), net("10.1.1.1/32")]);
    // Only 24 bits count, and host bits don't.
    assert_eq!(both.writer.insert(net("10.9.9.9/8"), 0xab00_0002), Ok(Some(1)));
    assert_eq!(both.writer.get(net("10.0.0.0/8")), Some(2));
    assert_eq!(both.reader.lookup(&both.me.guard(), addr("10.0.0.0")), 2);
}

#[test]
fn groups_come_back_after_the_grace_period() {
    let (mut writer, reader) = Lpm::with_groups::<u32>(1).unwrap();
    let mut me = epoch::domain().register();
    writer.insert(net("10.0.0.0/24"), 1).unwrap();
    writer.insert(net("10.0.0.1/32"), 2).unwrap();
    writer.insert(net("10.0.0.2/32"), 3).unwrap();
    assert_eq!(writer.insert(net("10.0.1.1/32"), 4), Err(TableFull));
    assert_eq!((writer.len(), writer.get(net("10.0.1.1/32"))), (3, None));
    assert_eq!(reader.lookup(&me.guard(), addr("10.0.1.1")), NO_ROUTE);
    // Still needed for 10.0.0.2.
    writer.remove(net("10.0.0.1/32"));
    assert_eq!(writer.insert(net("10.0.1.1/32"), 4), Err(TableFull));
    writer.remove(net("10.0.0.2/32"));
    assert_eq!(writer.insert(net("10.0.1.1/32"), 4), Err(TableFull), "a reader may be in it");
    assert_eq!(reader.lookup(&me.guard(), addr("10.0.0.2")), 1);
    me.quiescent();
    // Readers of other tests may hold it back for a while.
    while writer.insert(net("10.0.1.1/32"), 4).is_err() {
        thread::yield_now();
    }
    let lookup = |text| reader.lookup(&me.guard(), addr(text));
    assert_eq!([lookup("10.0.1.0"), lookup("10.0.1.1"), lookup("10.0.0.1")], [NO_ROUTE, 4, 1]);
}

#[test]
fn halves_with_one_value_keep_their_group() {
    let mut both = Both::new();
    let prefixes = ["10.0.0.0/25", "10.0.0.128/25", "10.0.0.0/26", "10.0.0.0/24"].map(net);
    for prefix in &prefixes[..3] {
        both.insert(*prefix, 7);
    }
    // Now all of the group is the same, but not by a route for all of it.
    both.remove(prefixes[2]);
    both.insert(prefixes[3], 8);
    both.check_around(prefixes);
    both.remove(prefixes[0]);
    both.check_around(prefixes);
}

#[test]
fn memory_is_what_routes_touch() {
    let (mut writer, _) = Lpm::new::<u32>().unwrap();
    assert_eq!(writer.memory_bytes(), 0);
    writer.insert(net("0.0.0.0/0"), 1).unwrap();
    let default_only = writer.memory_bytes();
    assert!(default_only < 1024, "{default_only}");
    writer.insert(net("10.0.0.0/24"), 1).unwrap();
    assert!((2 << 20..3 << 20).contains(&writer.memory_bytes()));
    writer.insert(net("128.0.0.0/1"), 1).unwrap();
    assert!((34 << 20..35 << 20).contains(&writer.memory_bytes()));
}

/// Prefixes that overlap much: few networks, lengths of all kinds (the shortest only rarely, they take long).
fn prefixes() -> impl Strategy<Value = Ipv4Net> {
    let len = prop_oneof![1 => Just(0_u8), 1 => 6_u8..16, 3 => 16_u8..24, 8 => 24_u8..=32, 2 => Just(32_u8)];
    let low = prop_oneof![any::<u32>(), (0_u32..4).prop_map(|bits| bits << 7), 0_u32..4];
    (len, low, 0_u32..3).prop_map(|(len, low, high)| {
        let address = 0x0aff_0000 + (high << 14) + (low & 0x3fff);
        Ipv4Net::new(std::net::Ipv4Addr::from_bits(address), len).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn agrees_with_the_reference(
        ops in prop::collection::vec((prefixes(), prop::option::weighted(0.65, prop_oneof![1_u32..4, 1_u32..1 << 24])), 1..120),
        probes in prop::collection::vec(any::<u32>(), 32),
    ) {
        let mut both = Both::new();
        let mut used = Vec::new();
        for (i, &(prefix, insert)) in ops.iter().enumerate() {
            used.push(prefix);
            match insert {
                Some(value) => both.insert(prefix, value),
                // Mostly one that exists.
                None => both.remove(used[i * 7 % used.len()]),
            }
            both.me.quiescent();
            both.check(prefix.network().to_bits());
            both.check(prefix.broadcast().to_bits());
        }
        both.check_around(used);
        for probe in probes {
            both.check(probe);
            both.check(0x0aff_0000 + (probe & 0xffff));
        }
        for (prefix, _) in both.reference.routes().to_vec() {
            both.remove(prefix);
        }
        both.check_around(ops.iter().map(|op| op.0));
    }
}

/// While one update runs, a reader gets the answer before it or the answer after it.
#[test]
fn lookups_during_an_update_are_old_or_new() {
    /// Groups few enough that they are reused all the time.
    const GROUPS: u32 = 64;
    let steps: Vec<(Ipv4Net, Option<u32>)> = {
        // A cycle that fills and collapses groups, covers and uncovers, at every level.
        let nets =
            ["10.0.0.0/22", "10.0.0.0/24", "10.0.0.0/25", "10.0.0.1/32", "10.0.1.128/26", "0.0.0.0/0", "10.0.2.2/31"];
        let mut value = 0;
        let mut steps = Vec::new();
        for round in 0..6 {
            for i in 0..nets.len() {
                value += 1;
                steps.push((net(nets[(i * (round + 1)) % nets.len()]), Some(value)));
            }
            steps.extend((0..nets.len()).map(|i| (net(nets[(i * 3 + round) % nets.len()]), None)));
        }
        steps
    };
    let probes =
        ["10.0.0.0", "10.0.0.1", "10.0.0.200", "10.0.1.130", "10.0.1.1", "10.0.2.2", "10.0.3.9", "10.0.4.1"].map(addr);

    // answers[i] holds before step i, and answers[i + 1] after it. The cycle ends empty, as it began.
    let mut reference = Reference::default();
    let mut answers = Vec::new();
    let mut record = |reference: &Reference| {
        answers.push(probes.map(|probe| reference.longest_match(probe).map_or(NO_ROUTE, |(_, value)| value)));
    };
    record(&reference);
    for &(prefix, value) in &steps {
        match value {
            Some(value) => reference.insert(prefix, value),
            None => reference.remove(prefix),
        };
        record(&reference);
    }
    assert!(reference.routes().is_empty());

    let (mut writer, reader) = Lpm::with_groups::<u32>(GROUPS).unwrap();
    let now = AtomicUsize::new(0);
    let during = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut me = epoch::domain().register();
            while done.load(SeqCst) == 0 {
                for (i, &probe) in probes.iter().enumerate() {
                    let step = now.load(SeqCst);
                    let answer = reader.lookup(&me.guard(), probe);
                    if now.load(SeqCst) == step {
                        let at = step % (answers.len() - 1);
                        let allowed = [answers[at][i], answers[at + 1][i]];
                        assert!(allowed.contains(&answer), "step {at}, probe {i}: {answer}, not in {allowed:?}");
                        during.fetch_add(1, SeqCst);
                    }
                }
                me.quiescent();
            }
        });
        scope.spawn(|| {
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
            while (now.load(SeqCst) < 500_000 || during.load(SeqCst) < 500_000) && std::time::Instant::now() < deadline
            {
                let (prefix, value) = steps[now.load(SeqCst) % steps.len()];
                match value {
                    // Full until the reader has left a group.
                    Some(value) => {
                        while writer.insert(prefix, value).is_err() {
                            thread::yield_now();
                        }
                    }
                    None => drop(writer.remove(prefix)),
                }
                now.fetch_add(1, SeqCst);
            }
            done.store(1, SeqCst);
        });
    });
    assert!(during.load(SeqCst) >= 1000, "the reader hardly ran");
}
