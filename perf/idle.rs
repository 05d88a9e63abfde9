//! What an idle router costs.

use crate::daemon::Daemon;
use crate::report::Measured;
use anyhow::{Context, Result};
use std::time::Duration;

/// Processor time of the whole idle daemon in adaptive mode over some seconds, in percent of one core.
pub fn cpu_percent() -> Result<Option<Measured>> {
    let daemon = Daemon::start(include_str!("idle.yaml"))?;
    // Past start-up and the last of the CLI's calls.
    std::thread::sleep(Duration::from_secs(2));
    let before = ticks(daemon.pid())?;
    let span = Duration::from_secs(5);
    std::thread::sleep(span);
    let used = (ticks(daemon.pid())? - before) as f64 / ticks_per_second();
    Ok(Some(Measured::plain(100.0 * used / span.as_secs_f64())))
}

/// User and system time of a process so far (fields 14 and 15 of /proc/PID/stat).
fn ticks(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let behind_name = text.rsplit(')').next().unwrap_or("");
    let fields: Vec<&str> = behind_name.split_whitespace().collect();
    let field = |n: usize| fields.get(n - 3).and_then(|f| f.parse::<u64>().ok()).context("/proc/PID/stat");
    Ok(field(14)? + field(15)?)
}

fn ticks_per_second() -> f64 {
    // SAFETY: no pointers are passed.
    (unsafe { libc::sysconf(libc::_SC_CLK_TCK) }) as f64
}
