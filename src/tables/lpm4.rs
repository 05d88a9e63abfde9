//! [`lpm`](crate::lpm) for IPv4.

use std::io;

use crate::lpm::Lpm;
pub use crate::lpm::{NO_ROUTE, TableFull};

/// A table's readers.
pub type Reader = crate::lpm::Reader<u32>;
/// A table's writer.
pub type Writer = crate::lpm::Writer<u32>;

/// Makes tables.
#[derive(Debug)]
pub struct Lpm4;

impl Lpm4 {
    /// See [`Lpm::new`].
    ///
    /// # Errors
    /// The system refuses to map it.
    #[expect(clippy::new_ret_no_self, reason = "a table is its writer and its readers")]
    pub fn new() -> io::Result<(Writer, Reader)> {
        Lpm::new()
    }

    /// See [`Lpm::with_groups`].
    ///
    /// # Errors
    /// The system refuses to map it.
    pub fn with_groups(groups: u32) -> io::Result<(Writer, Reader)> {
        Lpm::with_groups(groups)
    }
}
