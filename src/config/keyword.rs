//! Enumerations that are written as one word: the word, the variant and its documentation stand in one list.

/// Declares an enumeration whose variants are words of the configuration, with `as_str`, `Display` and [`Scalar`].
///
/// [`Scalar`]: crate::decode::Scalar
macro_rules! keywords {
    ($(#[$meta:meta])* $name:ident, $wanted:literal { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// All of them, in the order of the documentation: what a CLI offers for completion.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// The word that stands for it in the configuration and in the CLI.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::decode::Unreadable;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().find(|one| one.as_str() == text);
                found.copied().ok_or_else(|| crate::decode::Unreadable::wanted($wanted))
            }
        }

        impl crate::decode::Scalar for $name {
            const WANTED: &'static str = $wanted;
            fn read(text: &str) -> Result<Self, crate::decode::Unreadable> { text.parse() }
        }
    };
}
pub(crate) use keywords;
