//! The memif driver: against itself in both roles, against peers of raw sockets and memory that say anything, and over the fuzz
//! target's inputs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod fuzz;
mod hostile_client;
mod hostile_server;
mod links;
mod packets;
mod peer;
mod setup;
