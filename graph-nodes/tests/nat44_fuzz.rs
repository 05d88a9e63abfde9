//! The body of the fuzz target over its saved inputs, and over some thousands of random ones.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end where the program may not")]

#[path = "../../fuzz/nat44.rs"]
mod nat44;

use proptest::prelude::*;
use std::fs;
use std::path::Path;

/// Those that found something once, and those that reach far.
#[test]
fn saved_inputs() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/nat44");
    let mut files: Vec<_> = fs::read_dir(seeds).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        println!("{}", file.display());
        nat44::run(&fs::read(&file).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, max_shrink_iters: 2000, ..ProptestConfig::default() })]
    #[test]
    fn random_inputs(data in prop::collection::vec(any::<u8>(), 0..600)) {
        nat44::run(&data);
    }
}
