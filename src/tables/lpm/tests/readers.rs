//! While one update runs, a reader gets the answer before it or the answer after it.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Groups few enough that they are reused all the time.
const GROUPS: u32 = 64;

fn old_or_new<A: Address>(nets: &[&str], probes: &[&str]) {
    let steps: Vec<(A::Net, Option<u32>)> = {
        // A cycle that fills and collapses groups, covers and uncovers, at every level.
        let nets: Vec<_> = nets.iter().map(|text| net::<A>(text)).collect();
        let mut value = 0;
        let mut steps = Vec::new();
        for round in 0..6 {
            for i in 0..nets.len() {
                value += 1;
                steps.push((nets[(i * (round + 1)) % nets.len()], Some(value)));
            }
            steps.extend((0..nets.len()).map(|i| (nets[(i * 3 + round) % nets.len()], None)));
        }
        steps
    };
    // Each for both ways to look it up.
    let probes: Vec<A> = probes.iter().flat_map(|text| [addr(text); 2]).collect();

    // answers[i] holds before step i, and answers[i + 1] after it. The cycle ends empty, as it began.
    let mut reference = Reference::new();
    let mut answers = Vec::new();
    let mut record = |reference: &Reference<A>| {
        let answer = |&probe: &A| reference.longest_match(probe).map_or(NO_ROUTE, |(_, value)| value);
        answers.push(probes.iter().map(answer).collect::<Vec<_>>());
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

    let (mut writer, reader) = Lpm::with_groups::<A>(GROUPS).unwrap();
    let now = AtomicUsize::new(0);
    let during = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut me = epoch::domain().register();
            while done.load(SeqCst) == 0 {
                for (i, &probe) in probes.iter().enumerate() {
                    let step = now.load(SeqCst);
                    let answer = match i % 2 {
                        0 => reader.lookup(&me.guard(), probe),
                        _ => walk(&reader, &me.guard(), probe, 3),
                    };
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
            let deadline = Instant::now() + Duration::from_secs(20);
            while (now.load(SeqCst) < 500_000 || during.load(SeqCst) < 500_000) && Instant::now() < deadline {
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

#[test]
fn ip4_lookups_during_an_update_are_old_or_new() {
    old_or_new::<u32>(
        &["10.0.0.0/22", "10.0.0.0/24", "10.0.0.0/25", "10.0.0.1/32", "10.0.1.128/26", "0.0.0.0/0", "10.0.2.2/31"],
        &["10.0.0.0", "10.0.0.1", "10.0.0.200", "10.0.1.130", "10.0.1.1", "10.0.2.2", "10.0.3.9", "10.0.4.1"],
    );
}

#[test]
fn ip6_lookups_during_an_update_are_old_or_new() {
    old_or_new::<u128>(
        &[
            "2001:db8::/32",
            "2001:db8::/48",
            "2001:db8::/64",
            "2001:db8::1/128",
            "2001:db8:0:8000::/49",
            "::/0",
            "2001:da0::/27",
            "2001:db8:0:0:8000::/66",
            "2001:d00::/22",
            "2001:db8:0:1::/64",
            "2001:db8::2/127",
        ],
        &[
            "2001:db8::",
            "2001:db8::1",
            "2001:db8::3",
            "2001:db8::4",
            "2001:db8:0:1::7",
            "2001:db8:0:8000::7",
            "2001:db8:0:0:8000::1",
            "2001:db8:1::",
            "2001:da1::",
            "2001:e00::",
            "2002::",
        ],
    );
}
