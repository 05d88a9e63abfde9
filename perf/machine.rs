//! What a measurement needs of the machine: processors, priority, a network of its own.

use anyhow::{Context, Result, ensure};

/// The processors of a router's worker and of the load's: the last ones, as the quietest. One and the same where there is no other.
pub fn processors() -> Result<(usize, usize)> {
    let all = std::thread::available_parallelism()?.get();
    Ok((all.saturating_sub(1), all.saturating_sub(2)))
}

/// Lets nothing else of the machine push a process's workers (ours, or DPDK's) aside for long: what is measured is the router, not who
/// else wanted its processor. Without the right to it (root's) they stay as they are.
pub fn favour_workers(pid: u32) -> Result<()> {
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}"))? {
        let task = task?.path();
        // A thread that has ended meanwhile is none of ours.
        let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        let id = task.file_name().and_then(|id| id.to_str()?.parse::<u32>().ok());
        if let (true, Some(id)) = (name.contains("worker-"), id) {
            // SAFETY: no pointers are passed.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, id, -20) };
        }
    }
    Ok(())
}

/// Moves this thread, and all that it starts from here on, into a network of its own, which goes with them.
pub fn own_network() -> Result<()> {
    // SAFETY: concerns this thread, and the threads and programs that it starts.
    let moved = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    ensure!(moved == 0, "no network of its own, which takes root: {}", std::io::Error::last_os_error());
    // What the kernel says on its own account is in nobody's trial.
    std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").context("switching IPv6 off")?;
    ip("link set lo up")
}

/// Runs `ip` with these words.
pub fn ip(words: &str) -> Result<()> {
    let output = std::process::Command::new("ip").args(words.split_whitespace()).output().context("starting ip")?;
    ensure!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
