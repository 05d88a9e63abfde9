//! GRE and IPIP tunnels: against Linux hosts behind ends made by hand, and against Linux's own IPv6 in IPv6; against frames made by
//! hand; and between two routers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests are tests, too

mod by_hand;
mod linux;
mod mtu;
mod net;
mod routed;
mod two_routers;
