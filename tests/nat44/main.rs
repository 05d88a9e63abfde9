//! NAT44 end to end, clause by clause: crafted packets between raw wires, and real hosts in namespaces. Each test names
//! the clause that it holds. With `MILLRACE_TEST_WORKERS=2` all of it runs with two workers, and not only what `workers.rs` has.
#![allow(clippy::expect_used, clippy::unwrap_used)] // the helpers of tests are tests, too

mod connection;

mod changes;
mod checksums;
mod churn;
mod filtering;
mod forwards;
mod fragments;
mod hairpin;
mod hosts;
mod icmp;
mod icmp_inside;
mod limits;
mod logging;
mod mapping;
mod path_mtu;
mod pools;
mod router_itself;
mod show;
mod static_mappings;
mod tcp;
mod timeouts;
mod vrfs;
mod workers;
