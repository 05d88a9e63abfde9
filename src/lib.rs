//! Millrace: a software router. The daemon's parts; `main.rs` starts them.
//!
//! | module | what |
//! |---|---|
//! | `wiring` | the one list of features that the graph is made of |
//! | `control` | everything that is not the packet path: configuration, interfaces, routes, neighbours, API |
#![deny(unsafe_code)]

pub mod control;
pub mod wiring;
