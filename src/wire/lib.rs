//! Header views over bytes and checksums.
#![forbid(unsafe_code)]
