//! The body of the fuzz target of VXLAN over some thousands of random inputs, and over those that found something once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end where the program may not")]

#[path = "../../fuzz/vxlan.rs"]
mod vxlan;

use proptest::prelude::*;
use std::fs;
use std::path::Path;

#[test]
fn saved_inputs() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/vxlan");
    let mut files: Vec<_> = fs::read_dir(seeds).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        println!("{}", file.display());
        vxlan::run(&fs::read(&file).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50_000, max_shrink_iters: 2000, ..ProptestConfig::default() })]
    #[test]
    fn random_inputs(data in prop::collection::vec(any::<u8>(), 0..300)) {
        vxlan::run(&data);
    }
}
