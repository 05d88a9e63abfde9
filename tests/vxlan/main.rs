//! VXLAN against Linux's own, over IPv4 and IPv6; against frames made by hand; and between two routers.
#![allow(clippy::unwrap_used)] // as in any test: a failed expectation is the result

mod frames_by_hand;
mod linux;
mod net;
mod remotes;
mod routed;
mod two_routers;
