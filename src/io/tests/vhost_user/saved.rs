//! The body of the fuzz target over inputs that are worth being kept, and over random ones.

use crate::fuzz;
use std::fs;
use std::path::Path;

#[test]
fn saved_inputs() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/vhost");
    let mut files: Vec<_> = fs::read_dir(seeds).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        println!("{}", file.display());
        fuzz::run(&fs::read(&file).unwrap());
    }
}

#[test]
fn random_inputs() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    for round in 0..1000usize {
        // Small numbers are what most bytes stand for.
        let data: Vec<u8> = (0..round % 400).map(|_| if next() < 100 { next() } else { next() % 12 }).collect();
        fuzz::run(&data);
    }
}
