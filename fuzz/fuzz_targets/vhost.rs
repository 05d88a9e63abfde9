//! vhost-user under bytes that libFuzzer makes up.
#![no_main]
#![allow(dead_code, reason = "the tests use all of it")]

#[path = "../../src/io/tests/common/mod.rs"]
mod common;
#[path = "../../src/io/tests/vhost_user/frontend.rs"]
mod frontend;
#[path = "../../src/io/tests/vhost_user/guest.rs"]
mod guest;
#[path = "../vhost.rs"]
mod vhost;

libfuzzer_sys::fuzz_target!(|data: &[u8]| vhost::run(data));
