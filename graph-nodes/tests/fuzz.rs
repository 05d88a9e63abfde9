//! The bodies of the fuzz targets of the packet path: over inputs that found something once or reach far, and over some thousands of
//! random ones.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end where the program may not")]

#[path = "../../fuzz/ip6.rs"]
mod ip6;
#[path = "../../fuzz/lab.rs"]
mod lab;
#[path = "../../fuzz/nat44.rs"]
mod nat44;
#[path = "../../fuzz/vxlan.rs"]
mod vxlan;

use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn saved(target: &str, run: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(seeds).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        println!("{}", file.display());
        run(&fs::read(&file).unwrap());
    }
}

#[test]
fn ip6_saved() {
    saved("ip6", ip6::run);
}

#[test]
fn nat44_saved() {
    saved("nat44", nat44::run);
}

#[test]
fn vxlan_saved() {
    saved("vxlan", vxlan::run);
}

fn bytes(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..longest)
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 2000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(100_000))]
    #[test]
    fn ip6_random(data in bytes(300)) {
        ip6::run(&data);
    }
}

proptest! {
    #![proptest_config(cases(10_000))]
    #[test]
    fn nat44_random(data in bytes(600)) {
        nat44::run(&data);
    }
}

proptest! {
    #![proptest_config(cases(50_000))]
    #[test]
    fn vxlan_random(data in bytes(300)) {
        vxlan::run(&data);
    }
}
