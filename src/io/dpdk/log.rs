//! DPDK's log: its lines become the router's, and those of a call that failed say why.

use std::ffi::{c_char, c_int};
use std::mem::take;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The level of warnings in DPDK's count, in which 1 is worst.
const WARNING: u32 = 5;
/// The level of what an operator may want to know.
const INFO: u32 = 7;
/// The level of what only developers want to know.
const DEBUG: u32 = 8;
/// Lines of a failed call that are told.
const MOST: usize = 6;

struct Log {
    /// A line that is not at its end.
    line: String,
    /// What came since [`explain`] began.
    kept: Option<Vec<(u32, String)>>,
}

static LOG: Mutex<Log> = Mutex::new(Log { line: String::new(), kept: None });
/// One call is explained at a time.
static ONE: Mutex<()> = Mutex::new(());

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What DPDK writes to.
///
/// # Safety
/// `text` points to `len` bytes.
pub(super) unsafe extern "C" fn write(level: u32, text: *const c_char, len: usize) {
    if text.is_null() {
        return;
    }
    // SAFETY: as the caller says.
    let text = String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) });
    let mut log = lock(&LOG);
    for piece in text.split_inclusive('\n') {
        log.line.push_str(piece.trim_end_matches('\n'));
        if !piece.ends_with('\n') {
            continue;
        }
        let line = take(&mut log.line).trim_end().to_owned();
        match &mut log.kept {
            _ if line.is_empty() => {}
            Some(kept) => kept.push((level, line)),
            None => tell(level, &line),
        }
    }
}

fn tell(level: u32, line: &str) {
    match level {
        _ if level < WARNING => tracing::error!("DPDK: {line}"),
        WARNING => tracing::warn!("DPDK: {line}"),
        _ if level <= INFO => tracing::info!("DPDK: {line}"),
        _ => tracing::debug!("DPDK: {line}"),
    }
}

/// Calls a function of the shim. When it fails, the answer has what DPDK wrote meanwhile, or the error's own text; whether that is
/// worth the operator's attention is for the caller to say, who may just have tried.
pub(super) fn explain(call: impl FnOnce() -> c_int) -> Result<c_int, (c_int, String)> {
    let _one = lock(&ONE);
    lock(&LOG).kept = Some(Vec::new());
    let code = call();
    let kept = lock(&LOG).kept.take().unwrap_or_default();
    for (level, line) in &kept {
        tell(if code < 0 { DEBUG } else { *level }, line);
    }
    if code >= 0 {
        return Ok(code);
    }
    let worst: Vec<&str> = kept.iter().filter(|(level, _)| *level <= WARNING).map(|(_, line)| line.as_str()).collect();
    let lines = if worst.is_empty() { kept.iter().map(|(_, line)| line.as_str()).collect() } else { worst };
    let told = &lines[lines.len().saturating_sub(MOST)..];
    let error = super::port::error_text(code);
    let text = if told.is_empty() { error } else { format!("{error} ({})", told.join("; ")) };
    Err((code, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(level: u32, text: &str) {
        // SAFETY: a string of its own length.
        unsafe { write(level, text.as_ptr().cast(), text.len()) }
    }

    #[test]
    fn a_failed_call_is_explained_by_the_worst_that_was_said() {
        let failed = explain(|| {
            say(7, "EAL: chatter\n");
            say(4, "EAL: no ");
            say(4, "luck\n");
            -libc::ENODEV
        });
        let (code, text) = failed.unwrap_err();
        assert_eq!((code, text.as_str()), (-libc::ENODEV, "No such device (EAL: no luck)"));
        assert_eq!(explain(|| -libc::EEXIST).unwrap_err().1, "File exists");
        assert_eq!(explain(|| 3), Ok(3));
    }
}
