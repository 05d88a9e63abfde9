#![doc = include_str!("README.md")]
#![forbid(unsafe_code)]

mod client;
#[cfg(test)]
mod tests;

pub use client::{Client, ConnectError, connect};

/// The messages and services of `millrace.proto`, generated. Each message implements [`serde::Serialize`] with the
/// field names as keys.
#[allow(unused_qualifications, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("millrace.v1");
}

/// The contract as an encoded `FileDescriptorSet`: what server reflection serves.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("millrace.v1");

/// Where the daemon listens unless it is told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/millrace/api.sock";

/// Largest message that either side accepts, in bytes: a configuration file with some hundred thousand routes.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;
