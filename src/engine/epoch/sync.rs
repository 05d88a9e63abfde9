//! What the domain is built on, apart so that the model test can put its own in the place.

pub use std::sync::atomic::{AtomicU64, fence};
pub use std::sync::{Arc, Mutex, MutexGuard};

/// A static, of a type that its expression gives.
macro_rules! global {
    ($name:ident: $type:ty = $value:expr) => {
        static $name: $type = $value;
    };
}
pub(super) use global;
