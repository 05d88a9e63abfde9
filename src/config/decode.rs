//! From text and trees to typed values.

use std::fmt;

/// A single value of the configuration that is read from text.
pub trait Scalar: Sized {
    /// What the text must be, in words that follow "expected".
    const WANTED: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// The text is not what [`Scalar::WANTED`] says.
    fn read(text: &str) -> Result<Self, Unreadable>;
}

/// Why a text could not be read as a value: what would have been right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(String);

impl Unreadable {
    /// The text is not `wanted` ("a number from 1 to 9").
    pub fn wanted(wanted: impl fmt::Display) -> Self {
        Self(format!("expected {wanted}"))
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}
