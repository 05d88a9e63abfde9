//! The packet path of IPv6 under bytes that libFuzzer makes up.
#![no_main]

#[path = "../ip6.rs"]
mod ip6;
#[path = "../lab.rs"]
mod lab;

libfuzzer_sys::fuzz_target!(|data: &[u8]| ip6::run(data));
