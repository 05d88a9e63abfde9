//! Interfaces of all drivers as their operator has them: added and removed while others work, refused with reasons, connected with
//! each other. What a driver does with its peer is tested beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // as in any test: a failed expectation is the result

mod cross_connect;
mod plug;
mod refused;
