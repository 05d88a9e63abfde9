//! What the end-to-end tests stand on.
//!
//! A [`Lab`] is one router in a network namespace of its own, with [`Host`]s (namespaces with real Linux programs) and
//! [`Wire`]s (raw ends of a cable, for frames made by hand) around it. A [`Router`] is the daemon in that namespace with
//! a configuration; when it is dropped, every packet must be accounted for and the buffers back at their baseline.
//!
//! Nothing here leaves the namespaces that a test makes, and all of them go when the test ends, also by a panic. With
//! `MILLRACE_TEST_ROUTER=kernel` the Linux kernel takes the daemon's place, which tells whether a test of plain IPv4
//! behaviour asks for the right thing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // as in any test: a failed expectation is the result

pub mod account;
pub mod capture_file;
mod dual;
pub mod frames;
pub mod frames6;
pub mod golden;
mod guest;
mod kernel;
pub mod l4;
mod lab;
pub mod memif;
mod namespace;
mod nat;
pub mod nd;
mod process;
mod router;
mod temp;
mod terminal;
pub mod testpmd;
mod traffic;
mod tunnel_end;
mod two;
mod wire;

pub use dual::{DualHosts, LAN6, WAN6};
pub use guest::{Guest, Machine};
pub use lab::{Host, Lab};
pub use libc::{SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM};
pub use namespace::Namespace;
pub use nat::{Nat, errors, remote};
pub use process::{Output, Process, program};
pub use router::{Router, millctl, millrace};
pub use temp::TempDir;
pub use terminal::Terminal;
pub use testpmd::Testpmd;
pub use traffic::{Download, HttpServer, Iperf, UdpStream, fetch_sum, path_mtu};
pub use tunnel_end::{Between, TunnelEnd};
pub use two::{End, Hosts, LAN, Seen, WAN, Wires};
pub use wire::Wire;

use std::time::{Duration, Instant};

/// How long anything that should happen at once may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Polls `look` until it finds something; panics with `what` after [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, look).unwrap_or_else(|| panic!("still not so after {PATIENCE:?}: {what}"))
}

/// Polls `look` until it finds something or the time is over.
pub fn within<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + time;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
