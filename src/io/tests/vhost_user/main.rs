//! vhost-user against a guest that is made by hand: what a driver may do, and what it may not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may end where the program may not")]

#[path = "../common/mod.rs"]
mod common;
mod connect;
mod frontend;
#[path = "../../../../fuzz/vhost.rs"]
mod fuzz;
mod guest;
mod hostile;
mod offload;
mod packets;
mod rings;
mod saved;
mod setup;
