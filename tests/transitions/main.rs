//! What runs depends on the configuration alone, not on the way that led there.
//!
//! A router walks at random from one valid configuration to another while traffic runs: by files, edits of which many are refused,
//! rollbacks, changes that nobody confirms, and SIGHUP. After some steps it must show of itself what one shows that was
//! started with the same configuration; a refusal changes nothing; and at the end nothing is left. `MILLRACE_TEST_WALKS=N` walks
//! N walks in place of a few, from the seed `MILLRACE_TEST_SEED` on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests are tests, too

mod configs;
mod edits;
mod pieces;
mod random;
mod traffic;
mod views;
mod walk;

use walk::Walk;

/// Steps of a walk.
const STEPS: usize = 20;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn what_runs_depends_on_the_configuration_alone() {
    let first = number("MILLRACE_TEST_SEED", 1);
    for seed in first..first + number("MILLRACE_TEST_WALKS", 2) {
        eprintln!("seed {seed}");
        let mut walk = Walk::start(seed);
        for _ in 0..STEPS {
            walk.step();
        }
        walk.end();
    }
}
