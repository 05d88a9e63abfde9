//! VXLAN under bytes that libFuzzer makes up.
#![no_main]

#[path = "../lab.rs"]
mod lab;
#[path = "../vxlan.rs"]
mod vxlan;

libfuzzer_sys::fuzz_target!(|data: &[u8]| vxlan::run(data));
