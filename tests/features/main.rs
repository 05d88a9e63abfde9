//! Features of interfaces between real hosts of both families: the reverse-path filter, policy routes, the MSS clamp.
#![allow(clippy::expect_used, clippy::unwrap_used)] // the helpers of tests are tests, too

mod mss_clamp;
mod policy_routes;
mod urpf;
