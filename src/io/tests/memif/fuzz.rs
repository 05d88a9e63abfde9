//! The body of the fuzz target over its saved inputs, and over some random ones.

#[path = "../../../../fuzz/memif.rs"]
mod target;

use std::fs;
use std::path::Path;

/// Those that found something once, and those that reach far.
#[test]
fn saved_inputs() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/memif");
    let mut files: Vec<_> = fs::read_dir(seeds).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        println!("{}", file.display());
        target::run(&fs::read(&file).unwrap());
    }
}

#[test]
fn random_inputs() {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..2000 {
        let len = random() as usize % 300;
        let data: Vec<u8> = (0..len).map(|_| (random() >> 24) as u8).collect();
        target::run(&data);
    }
}
