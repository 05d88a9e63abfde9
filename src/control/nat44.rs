//! NAT44.

mod limiter;
pub mod log;
mod syslog;
