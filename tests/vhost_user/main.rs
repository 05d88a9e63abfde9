//! vhost-user against those who made it what it is: DPDK's `virtio-user` and QEMU with a Linux guest.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // the helpers of tests are tests, too

mod bridge;
mod guest;
mod peer;
mod restarts;
mod two_guests;
