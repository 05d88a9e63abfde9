//! GRE and IPIP tunnels: against Linux hosts behind ends made by hand, and against Linux's own IPv6 in IPv6; against frames made by
//! hand; and between two routers.
#![allow(clippy::unwrap_used)] // as in any test: a failed expectation is the result

mod by_hand;
mod linux;
mod mtu;
mod net;
mod routed;
mod two_routers;
