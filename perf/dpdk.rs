//! DPDK's devices: the router beside DPDK's own forwarder.

use crate::daemon::Daemon;
use crate::machine;
use crate::report::Measured;
use anyhow::{Context, Result, ensure};
use std::arch::x86_64::_rdtsc;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long one measurement takes, and how many of each are made, in turns; the best counts.
const SPAN: Duration = Duration::from_millis(500);
const ROUNDS: usize = 3;
const SPANS: usize = 3;
/// Huge pages that one of the two needs.
const HUGE_PAGES: u32 = 128;
/// DPDK's forwarder, and the word that it waits with for a command.
const TESTPMD: &str = "dpdk-testpmd";
const PROMPT: &str = "testpmd>";

/// Clocks a packet that the router's cross-connect takes between two `net_null` devices, above what `dpdk-testpmd` takes between the
/// same two. Both ways at a time, 64-byte frames, one processor.
pub fn null_io() -> Result<Option<Measured>> {
    let (cpu, other) = machine::processors()?;
    // `make DPDK=off` builds routers without the driver.
    let left_out = std::env::var_os("DPDK").is_some_and(|dpdk| dpdk == "off");
    if left_out || cpu == other || Command::new(TESTPMD).arg("--version").output().is_err() {
        return Ok(None);
    }
    let (mut routers, mut testpmds, mut nodes) = (f64::MAX, f64::MAX, BTreeMap::new());
    for _ in 0..ROUNDS {
        testpmds = testpmds.min(best(&mut Testpmd::start(cpu, other)?)?);
        let mut router = router(cpu)?;
        let clocks = best(&mut router)?;
        if clocks < routers {
            routers = clocks;
            nodes = by_node(&router)?;
        }
    }
    nodes.insert("testpmd io".to_owned(), testpmds);
    nodes.insert("all of the router".to_owned(), routers);
    Ok(Some(Measured { value: routers - testpmds, mpps: None, nodes }))
}

/// What forwards by one thread, and counts what it has sent.
trait Forwarder {
    fn sent(&mut self) -> Result<f64>;
    fn pid(&self) -> u32;
    /// What the name of the thread begins with.
    const THREAD: &str;
}

/// The fewest clocks a packet in several spans. They are the thread's own: who else wanted the processor doesn't count.
fn best<F: Forwarder>(forwarder: &mut F) -> Result<f64> {
    forwarder.sent()?;
    let thread = thread(forwarder.pid(), F::THREAD)?;
    let mut best = f64::MAX;
    for _ in 0..SPANS {
        let (begin, clocks) = (Instant::now(), clocks());
        let (sent, busy) = (forwarder.sent()?, busy(&thread)?);
        std::thread::sleep(SPAN);
        let packets = forwarder.sent()? - sent;
        let nanos = self::busy(&thread)? - busy;
        let pace = (self::clocks() - clocks) as f64 / begin.elapsed().as_nanos() as f64;
        ensure!(packets > 0.0, "nothing is forwarded");
        best = best.min(nanos * pace / packets);
    }
    Ok(best)
}

fn clocks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { _rdtsc() }
}

/// The place in /proc of a process's thread whose name begins so.
fn thread(pid: u32, name: &str) -> Result<PathBuf> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))?;
    let named = |task: &PathBuf| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.starts_with(name));
    tasks.flatten().map(|task| task.path()).find(named).with_context(|| format!("process {pid} has no thread {name}"))
}

/// For how many nanoseconds a thread has run.
fn busy(thread: &Path) -> Result<f64> {
    let text = std::fs::read_to_string(thread.join("schedstat"))?;
    text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).context("no times of the scheduler")
}

fn router(cpu: usize) -> Result<Daemon> {
    Daemon::start(&format!(
        "workers: {{count: 1, cpus: [{cpu}], mode: polling}}
interfaces:
  a: {{driver: dpdk, device: net_null0, cross-connect: b}}
  b: {{driver: dpdk, device: net_null1, cross-connect: a}}
"
    ))
}

impl Forwarder for Daemon {
    fn sent(&mut self) -> Result<f64> {
        let interfaces = self.json(&["show", "interfaces"])?;
        let all = interfaces.as_array().cloned().unwrap_or_default();
        Ok(all.iter().filter_map(|i| i["tx_packets"].as_f64()).sum())
    }

    fn pid(&self) -> u32 {
        Daemon::pid(self)
    }

    const THREAD: &str = "worker-";
}

/// The clocks a packet of each node.
fn by_node(daemon: &Daemon) -> Result<BTreeMap<String, f64>> {
    let runtime = daemon.json(&["show", "runtime"])?;
    let rows = runtime.as_array().or_else(|| runtime["nodes"].as_array()).cloned().unwrap_or_default();
    let figure = |row: &serde_json::Value| Some((row["node"].as_str()?.to_owned(), row["clocks_per_packet"].as_f64()?));
    Ok(rows.iter().filter_map(figure).filter(|(_, clocks)| *clocks > 0.0).collect())
}

/// Whether there are huge pages for either. Those of a program that has just ended come back a little later.
fn huge_pages() -> bool {
    let pages = |what: &str| {
        let number = std::fs::read_to_string(format!("/sys/kernel/mm/hugepages/hugepages-2048kB/{what}_hugepages"));
        number.ok().and_then(|number| number.trim().parse::<u32>().ok()).unwrap_or(0)
    };
    let begin = Instant::now();
    while pages("nr") >= HUGE_PAGES && begin.elapsed() < Duration::from_secs(5) {
        if pages("free").saturating_sub(pages("resv")) >= HUGE_PAGES {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

/// DPDK's forwarder at work; ended when dropped.
struct Testpmd {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Testpmd {
    fn start(cpu: usize, other: usize) -> Result<Testpmd> {
        // The same memory that the router gets.
        let memory: &[&str] = if huge_pages() { &["--in-memory"] } else { &["--no-huge", "--no-shconf"] };
        // What it prints is to come at once, and not when a buffer is full.
        let mut child = Command::new("stdbuf")
            .args(["-oL", TESTPMD, "-l", &format!("{other},{cpu}"), &format!("--main-lcore={other}"), "-m", "128"])
            .args(memory)
            .args(["--no-pci", "--no-telemetry", &format!("--file-prefix=millrace-perf-{}", std::process::id())])
            .args(["--vdev=net_null0", "--vdev=net_null1", "--", "-i", "--auto-start", "--forward-mode=io"])
            .args(["--nb-cores=1", "--total-num-mbufs=8192"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting dpdk-testpmd")?;
        let (stdin, stdout) = child.stdin.take().zip(child.stdout.take()).context("pipes to dpdk-testpmd")?;
        Ok(Testpmd { child, stdin, stdout: BufReader::new(stdout) })
    }
}

impl Forwarder for Testpmd {
    fn sent(&mut self) -> Result<f64> {
        writeln!(self.stdin, "show port stats all")?;
        let (mut sent, mut ports, mut line) = (0.0, 0, String::new());
        while ports < 2 {
            line.clear();
            ensure!(self.stdout.read_line(&mut line)? > 0, "dpdk-testpmd ended");
            let words: Vec<&str> = line.trim_start_matches(PROMPT).split_whitespace().collect();
            if let ["TX-packets:", packets, ..] = words[..] {
                sent += packets.parse::<f64>().with_context(|| line.clone())?;
                ports += 1;
            }
        }
        Ok(sent)
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    const THREAD: &str = "rte-worker-";
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
