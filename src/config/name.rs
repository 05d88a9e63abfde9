//! Names that the operator gives: of interfaces and of VRFs.

use crate::decode::{Scalar, Unreadable};
use std::{borrow::Borrow, fmt, ops::Deref, str::FromStr, sync::Arc};

/// The VRF that everything is in unless the configuration says otherwise. It always exists.
pub const DEFAULT_VRF: &str = "default";

/// A name of 1 to 32 letters, digits, `.`, `_` or `-`. Cheap to clone.
///
/// Compares, sorts and hashes like its text, so that a map keyed by `Name` is searched with a `&str`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The longest name, in characters.
    pub const MAX: usize = 32;

    /// Checks the text and makes it a name.
    ///
    /// # Errors
    /// The text is empty, longer than [`Name::MAX`] or has another character than a name may have.
    pub fn new(text: &str) -> Result<Self, Unreadable> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if text.is_empty() || text.len() > Self::MAX || !text.chars().all(allowed) {
            return Err(Unreadable::wanted(Self::WANTED));
        }
        Ok(Self(text.into()))
    }

    /// The name `default`, of the VRF that always exists.
    pub fn default_vrf() -> Self {
        Self(DEFAULT_VRF.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Scalar for Name {
    const WANTED: &'static str = "a name of 1 to 32 letters, digits, `.`, `_` or `-`";
    fn read(text: &str) -> Result<Self, Unreadable> {
        Self::new(text)
    }
}

impl FromStr for Name {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        Self::new(text)
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_digits_dot_underscore_dash_up_to_32() {
        for good in ["a", "wan.100", "A_b-9", &"x".repeat(32)] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a/b", "ä", "a:b", &"x".repeat(33)] {
            assert!(Name::new(bad).is_err(), "{bad:?} must be refused");
        }
    }
}
