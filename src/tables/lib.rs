//! Forwarding tables. Each has one writer and wait-free readers: a reader holds a guard of [`millrace_engine::epoch`], and what a
//! writer takes out is reused or freed only after every reader passed a quiescent point.
//!
//! From an address to the wire, for both families: [`lpm`] gives 24 bits that are a [`fib::Target`], which names an adjacency or a
//! [`load_balance`] over several; an [`adjacency`] has the interface and the Ethernet header to put in front.
//!
//! Of other kinds are the tables of [`flow`], each of which belongs to one worker, who reads and writes it, and the one of [`mac`], which all workers
//! read and write.

pub mod adjacency;
mod ahead;
pub mod fib;
pub mod flow;
pub mod indices;
pub mod load_balance;
pub mod lpm;
pub mod mac;
#[cfg(test)]
mod reference;
mod region;
pub mod sample;
pub mod slab;
