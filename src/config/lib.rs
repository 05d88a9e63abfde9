//! The typed configuration.
#![forbid(unsafe_code)]
