//! Panics on worker threads are caught by the dispatcher; the hook keeps their message instead of printing each.

use std::cell::{Cell, RefCell};
use std::sync::Once;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Says that this thread's panics are caught and reported by somebody.
pub(crate) fn contain() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if CONTAINED.get() {
                MESSAGE.set(Some(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
    CONTAINED.set(true);
}

/// The same as an error.
pub(crate) fn as_error() -> std::io::Error {
    std::io::Error::other(take().unwrap_or_else(|| "panic".to_owned()))
}

/// The message of this thread's last panic.
pub(crate) fn take() -> Option<String> {
    MESSAGE.take()
}
