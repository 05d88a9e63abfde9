//! Linux's conntrack as the oracle: the same seeded traffic through Millrace and through a namespace with nftables
//! masquerade, and what comes out compared packet by packet, but for the external ports and identifiers that each chose and
//! the IP identification.
//!
//! Where Linux is free to do otherwise it is told to do as the RFCs ask (see [`Side::linux`]); where it can't, the
//! difference is stated in `differences.rs`, and asserted.
#![allow(clippy::expect_used, clippy::unwrap_used)] // the helpers of tests are tests, too

mod describe;
mod differences;
mod event;
mod malformed;
mod side;
mod traffic;

use event::Event;
use side::Side;
use std::collections::BTreeSet;

/// A number from the environment, or another.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Plays events on both sides; returns what came of those where the sides differ, for a person to read.
#[track_caller]
fn compare(millrace: &mut Side, linux: &mut Side, events: impl IntoIterator<Item = Event>) -> Vec<Difference> {
    let mut differences = Vec::new();
    for event in events {
        let (ours, theirs) = (millrace.play(&event), linux.play(&event));
        if ours != theirs {
            differences.push(Difference { event, ours, theirs });
        }
    }
    differences
}

/// What came of an event on each side.
struct Difference {
    event: Event,
    ours: Vec<String>,
    theirs: Vec<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = |lines: &[String]| lines.iter().map(|line| format!("\n    {line}")).collect::<String>();
        write!(f, "{:?}\n  Millrace:{}\n  Linux:{}", self.event, lines(&self.ours), lines(&self.theirs))
    }
}

/// The main one. `MILLRACE_ORACLE_SEED` and `MILLRACE_ORACLE_EVENTS` change what is played.
#[test]
fn the_same_traffic() {
    let (seed, events) = (setting("MILLRACE_ORACLE_SEED", 4787), setting("MILLRACE_ORACLE_EVENTS", 1500));
    eprintln!("seed {seed}, {events} events");
    let traffic = traffic::Traffic::new(seed);
    let differences = compare(&mut Side::millrace(), &mut Side::linux(), traffic.take(events as usize));
    let shown: Vec<String> = differences.iter().take(5).map(Difference::to_string).collect();
    assert!(shown.is_empty(), "{} of {events} events differ\n{}", differences.len(), shown.join("\n"));
}

/// Broken packets of every kind, out and in.
#[test]
fn malformed_packets() {
    let (mut millrace, mut linux) = (Side::millrace(), Side::linux());
    assert!(compare(&mut millrace, &mut linux, traffic::opening()).is_empty());
    let differences = compare(&mut millrace, &mut linux, malformed::events());
    let shown: Vec<String> = differences.iter().map(Difference::to_string).collect();
    // By name, and how many packets come out on either side.
    let broken: BTreeSet<_> =
        differences.iter().map(|one| (one.event.name, one.ours.len(), one.theirs.len())).collect();
    let left = differences::LEFT_TO_THE_RECEIVER.map(|one| (one, 1, 0));
    let told = differences::TOLD_BY_LINUX.map(|one| (one, 0, 1));
    assert_eq!(broken, left.into_iter().chain(told).collect(), "{}", shown.join("\n"));
}
