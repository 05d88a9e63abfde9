//! The packet path of NAT44 under bytes that libFuzzer makes up.
#![no_main]

#[path = "../lab.rs"]
mod lab;
#[path = "../nat44.rs"]
mod nat44;

libfuzzer_sys::fuzz_target!(|data: &[u8]| nat44::run(data));
