//! The memif driver under a peer that libFuzzer makes up.
#![no_main]

#[path = "../memif.rs"]
mod memif;
#[path = "../../src/io/tests/memif/peer.rs"]
mod peer;

libfuzzer_sys::fuzz_target!(|data: &[u8]| memif::run(data));
