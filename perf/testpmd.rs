//! DPDK's `dpdk-testpmd` as the load, at the other end of both interfaces: frames that nobody here made, taken by a driver that nobody
//! here wrote. It sends what goes and counts what comes; it can't keep to a rate, nor measure latency.

use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// Its flows: destinations from this address on, one after the other, from both ports.
pub const FLOWS: &str = "10.253.0.0/23 10.253.2.0/23";
/// To whom it sends all frames: nothing changes that.
pub const MAC: &str = "00:01:02:03:04:01";
/// As many as the prefixes of [`FLOWS`] have.
const FLOW_COUNT: usize = 1024;
/// How long it may take to start, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// One that runs; killed when dropped.
pub struct Testpmd {
    child: Child,
    keyboard: ChildStdin,
    folder: PathBuf,
}

/// Packets that both ports sent and received.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub sent: f64,
    pub received: f64,
}

impl Testpmd {
    /// Starts it with two devices on a processor, for frames of this size (with their check sequence).
    pub fn start(cpu: usize, devices: [&str; 2], size: u16) -> Result<Testpmd> {
        let folder = std::env::temp_dir().join(format!("millrace-perf-testpmd-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "dpdk-testpmd", "--no-pci", "--no-telemetry", "--no-huge", "-m", "192"]);
        command.arg(format!("--lcores=0@{cpu},1@{cpu}")).arg(format!("--file-prefix=perf-{}", std::process::id()));
        command.args(devices.iter().flat_map(|device| ["--vdev", device]));
        command.args(["--", "--interactive", "--no-mlockall", "--total-num-mbufs=32768", "--rxd=2048", "--txd=2048"]);
        command.arg(format!("--txpkts={}", size - 4)).arg(format!("--flowgen-flows={FLOW_COUNT}"));
        command.env("RUNTIME_DIRECTORY", &folder).stdin(Stdio::piped()).stderr(log.try_clone()?).stdout(log);
        let mut child = command.spawn().context("starting dpdk-testpmd")?;
        let keyboard = child.stdin.take().context("its input")?;
        Ok(Testpmd { child, keyboard, folder })
    }

    /// Lets it send until it is dropped.
    pub fn send(&mut self) -> Result<()> {
        self.type_line("set fwd flowgen")?;
        self.type_line("start")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has counted.
    pub fn counts(&mut self) -> Result<Counts> {
        let before = self.numbers("RX-packets:")?.len();
        self.type_line("show port stats all")?;
        let start = Instant::now();
        loop {
            let (received, sent) = (self.numbers("RX-packets:")?, self.numbers("TX-packets:")?);
            if sent.len() >= before + 2 {
                let sum = |numbers: &[f64]| numbers.iter().skip(before).sum();
                return Ok(Counts { sent: sum(&sent), received: sum(&received) });
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("dpdk-testpmd ended with {status}: {}", self.log()?);
            }
            ensure!(start.elapsed() < PATIENCE, "dpdk-testpmd does not answer: {}", self.log()?);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn type_line(&mut self, line: &str) -> Result<()> {
        writeln!(self.keyboard, "{line}").with_context(|| format!("dpdk-testpmd: {line}"))
    }

    fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.folder.join("log"))?).into_owned())
    }

    /// The numbers behind a word, in the order in which they were written.
    fn numbers(&self, word: &str) -> Result<Vec<f64>> {
        let log = self.log()?;
        let after = log.split(word).skip(1);
        Ok(after.filter_map(|text| text.split_whitespace().next()?.parse().ok()).collect())
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
