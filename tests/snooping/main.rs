//! What bridges find out by looking at frames, end to end: multicast goes to hosts that joined and to routers, ARP and neighbour
//! discovery are answered for stations that are known.
#![allow(clippy::expect_used, clippy::panic)] // the helpers of tests are tests, too

mod groups;
mod net;
mod suppression;
mod vlans;
