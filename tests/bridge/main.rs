//! Bridges end to end: real hosts, a Linux bridge at the other end, frames by hand; storms, floods of addresses, loops.
#![allow(clippy::expect_used, clippy::panic)] // the helpers of tests are tests, too

mod ageing;
mod bvi;
mod changes;
mod floods;
mod hosts;
mod linux;
mod net;
mod ports;
mod show;
mod stations;
