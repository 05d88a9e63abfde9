//! The published API.
#![forbid(unsafe_code)]
