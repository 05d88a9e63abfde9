//! A daemon of our own build to measure, and its CLI.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running daemon; ended when dropped.
pub struct Daemon {
    child: Child,
    folder: PathBuf,
}

impl Daemon {
    /// Starts one with the configuration given, and waits until it answers.
    pub fn start(config: &str) -> Result<Daemon> {
        let folder = std::env::temp_dir().join(format!("millrace-perf-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let file = folder.join("millrace.yaml");
        std::fs::write(&file, config)?;
        let child = Command::new(sibling("millrace")?)
            .arg("--config")
            .arg(&file)
            .arg("--socket")
            .arg(folder.join("api.sock"))
            .stderr(std::fs::File::create(folder.join("log"))?)
            .stdout(Stdio::null())
            .spawn()
            .context("starting millrace")?;
        let mut daemon = Daemon { child, folder };
        let start = Instant::now();
        while daemon.json(&["show", "version"]).is_err() {
            if let Some(status) = daemon.child.try_wait()? {
                bail!("millrace ended with {status}: {}", std::fs::read_to_string(daemon.folder.join("log"))?);
            }
            ensure!(start.elapsed() < Duration::from_secs(20), "millrace does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    /// The answer to a command, as JSON.
    pub fn json(&self, words: &[&str]) -> Result<Value> {
        let output = Command::new(sibling("millctl")?)
            .arg("-s")
            .arg(self.socket())
            .args(["-o", "json"])
            .args(words)
            .output()
            .context("starting millctl")?;
        ensure!(output.status.success(), "millctl {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
        if output.stdout.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&output.stdout).with_context(|| words.join(" "))
    }

    /// Where its API listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("api.sock")
    }

    /// Bytes of memory that it has, huge pages included.
    pub fn resident(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let kilobytes = |key: &str| {
            let line = status.lines().find(|l| l.starts_with(key)).with_context(|| key.to_owned())?;
            line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok()).with_context(|| line.to_owned())
        };
        Ok((kilobytes("VmRSS:")? + kilobytes("HugetlbPages:")?) * 1024.0)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A program that was built beside this one.
fn sibling(name: &str) -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    let path = me.parent().unwrap_or(Path::new(".")).join(name);
    ensure!(path.exists(), "{} is not built; `make bench` builds it", path.display());
    Ok(path)
}
