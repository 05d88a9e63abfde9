//! The log: structured lines to stderr, and the last of them kept for `show log`.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// Lines kept; older ones give way.
const KEPT: usize = 1000;

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it was written.
    pub time: SystemTime,
    /// `error` to `trace`.
    pub level: String,
    /// The module that wrote it.
    pub target: String,
    /// The message with its fields.
    pub text: String,
}

static LINES: Mutex<VecDeque<Line>> = Mutex::new(VecDeque::new());

fn lines() -> MutexGuard<'static, VecDeque<Line>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the log. `MILLRACE_LOG` chooses levels by module as `RUST_LOG` does elsewhere; `info` unless it is set.
pub fn start() {
    let filter = EnvFilter::try_from_env("MILLRACE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let stderr =
        fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // A second start, in a test, leaves the first in place.
    let _ = tracing_subscriber::registry().with(filter).with(stderr).with(Keep).try_init();
}

/// The newest `limit` lines, or all when it is 0; oldest first.
pub fn newest(limit: usize) -> Vec<Line> {
    let lines = lines();
    let skip = if limit == 0 { 0 } else { lines.len().saturating_sub(limit) };
    lines.iter().skip(skip).cloned().collect()
}

/// Keeps the last lines.
struct Keep;

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let metadata = event.metadata();
        let line = Line {
            time: SystemTime::now(),
            level: metadata.level().as_str().to_ascii_lowercase(),
            target: metadata.target().to_owned(),
            text: text.0,
        };
        let mut lines = lines();
        if lines.len() >= KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// The message, then the other fields as `name=value`.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = match field.name() {
            "message" => {
                let rest = std::mem::take(&mut self.0);
                write!(self.0, "{value:?}{rest}")
            }
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
