//! IPv6 end to end, clause by clause: frames made by hand between raw wires, and real hosts in namespaces. Each test names
//! the clause that it holds. With `MILLRACE_TEST_WORKERS=2` all of it runs with two workers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // the helpers of tests are tests, too

mod addresses;
mod advertisements;
mod forwarding;
mod fragments;
mod hosts;
mod icmp_errors;
mod links;
mod listeners;
mod neighbors;
mod path_mtu;
mod policies;
mod routes;
mod slaac;
mod solicitations;
