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

/// A number from the environment, or another.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Plays events on both sides; panics at the first that differs.
#[track_caller]
fn compare(millrace: &mut Side, linux: &mut Side, events: impl IntoIterator<Item = Event>) {
    for (number, event) in events.into_iter().enumerate() {
        let (ours, theirs) = (millrace.play(&event), linux.play(&event));
        if ours != theirs {
            let lines = |lines: &[String]| lines.iter().map(|line| format!("\n    {line}")).collect::<String>();
            let (ours, theirs) = (lines(&ours), lines(&theirs));
            panic!("event {number}: {event:?}\n  Millrace:{ours}\n  Linux:{theirs}");
        }
    }
}

/// The main one. `MILLRACE_ORACLE_SEED` and `MILLRACE_ORACLE_EVENTS` change what is played.
#[test]
fn the_same_traffic() {
    let (seed, events) = (setting("MILLRACE_ORACLE_SEED", 4787), setting("MILLRACE_ORACLE_EVENTS", 1500));
    eprintln!("seed {seed}, {events} events");
    let traffic = traffic::Traffic::new(seed);
    compare(&mut Side::millrace(), &mut Side::linux(), traffic.take(events as usize));
}

/// Broken packets of every kind, out and in.
#[test]
fn malformed_packets() {
    let (mut millrace, mut linux) = (Side::millrace(), Side::linux());
    compare(&mut millrace, &mut linux, traffic::opening());
    compare(&mut millrace, &mut linux, malformed::events());
}
