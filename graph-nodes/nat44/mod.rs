//! NAT44: source translation of what leaves by outside interfaces, destination translation of what comes by them (RFC 3022, RFC 4787,
//! RFC 5382, RFC 5508, RFC 7857, RFC 6888).

pub mod icmp;
pub mod log;
pub mod mss;
pub mod parse;
pub mod ports;
pub mod rewrite;
pub mod rules;
