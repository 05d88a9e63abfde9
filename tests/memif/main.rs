//! memif end to end: against `dpdk-testpmd`'s `net_memif` in both roles, against Millrace itself, and against peers that
//! mean harm.
#![allow(clippy::expect_used, clippy::panic)] // the helpers of tests are tests, too

mod net;

mod counters;
mod forwarding;
mod handshake;
mod hostile;
mod pair;
mod restarts;
mod waiting;
