//! DPDK's `dpdk-testpmd` as the peer that nobody here wrote: virtual devices of its own, driven by its command line.
//!
//! Debian's build is enough, without huge pages and without a NIC. Its runtime files go to a folder that goes with the
//! test; it ends when it is dropped, and by itself when the test is killed. While it forwards it takes all of a CPU.

use crate::{Namespace, PATIENCE, TempDir, eventually};
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PROMPT: &str = "testpmd> ";

/// How much of what it wrote is kept: it goes on for ever about a vhost-user peer that is gone.
const KEPT: usize = 1 << 20;

/// What `dpdk-testpmd` is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    devices: Vec<String>,
    memory: String,
    options: String,
    namespace: Option<String>,
}

impl Setup {
    /// With one virtual device, which becomes port 0; for example `net_memif0,role=client,id=1,socket=S,socket-abstract=no`.
    pub fn device(device: &str) -> Setup {
        let memory = "--no-huge -m 128".to_owned();
        Setup { devices: vec![device.to_owned()], memory, options: String::new(), namespace: None }
    }

    /// With one more virtual device.
    pub fn and_device(mut self, device: &str) -> Setup {
        self.devices.push(device.to_owned());
        self
    }

    /// With other options of the EAL's about memory than `--no-huge -m 128`. memif needs the files of a primary process,
    /// so neither `--no-shconf` nor `--in-memory` goes with it.
    pub fn memory(mut self, options: &str) -> Setup {
        self.memory = options.to_owned();
        self
    }

    /// With more options of testpmd itself (`--rxq=2 --txq=2`, `--eth-peer=0,MAC`, ...).
    pub fn options(mut self, options: &str) -> Setup {
        self.options = format!("{} {options}", self.options);
        self
    }

    /// In a network namespace: for abstract sockets and kernel devices.
    pub fn within(mut self, namespace: &Namespace) -> Setup {
        self.namespace = Some(namespace.name().to_owned());
        self
    }

    /// Starts it, and waits for its prompt. Nothing is forwarded yet.
    #[track_caller]
    pub fn start(self) -> Testpmd {
        let files = TempDir::new();
        let (child, keyboard, log) = launch(&self, &files);
        let reader = Some(log.1);
        let testpmd = Testpmd { setup: self, files, child, keyboard: Some(keyboard), log: log.0, reader };
        testpmd.prompt(0, "start");
        testpmd
    }
}

/// A `dpdk-testpmd` that runs; killed when dropped.
pub struct Testpmd {
    setup: Setup,
    files: TempDir,
    child: Child,
    keyboard: Option<ChildStdin>,
    log: Arc<Log>,
    reader: Option<JoinHandle<()>>,
}

/// What it wrote, standard output and error in one.
#[derive(Default)]
struct Log {
    written: Mutex<Written>,
    more: Condvar,
}

#[derive(Default)]
struct Written {
    /// The end of it.
    text: Vec<u8>,
    /// How many bytes before that were forgotten.
    forgotten: usize,
    closed: bool,
}

impl Written {
    fn end(&self) -> usize {
        self.forgotten + self.text.len()
    }

    fn since(&self, mark: usize) -> String {
        let from = mark.saturating_sub(self.forgotten).min(self.text.len());
        String::from_utf8_lossy(&self.text[from..]).replace('\r', "")
    }
}

/// What a port counted, by `show port stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Packets received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets that came and found no room.
    pub rx_missed: u64,
    /// Packets that came broken.
    pub rx_errors: u64,
    /// Times that there was no free mbuf.
    pub rx_nombuf: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
}

impl Testpmd {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote, or the last of it.
    pub fn log(&self) -> String {
        self.log.written.lock().expect("the log").since(0)
    }

    /// Types a command and returns what it wrote up to the next prompt.
    #[track_caller]
    pub fn run(&mut self, command: &str) -> String {
        let mark = self.log.written.lock().expect("the log").end();
        let keyboard = self.keyboard.as_mut().expect("testpmd runs");
        let typed = keyboard.write_all(format!("{command}\n").as_bytes());
        typed.unwrap_or_else(|e| panic!("{command}: {e}\n{}", self.log()));
        self.prompt(mark, command)
    }

    /// Forwards in this mode (`io`, `mac`, `macswap`, `txonly`, `rxonly`, `icmpecho`, `csum`, ...).
    #[track_caller]
    pub fn forward(&mut self, mode: &str) {
        let answer = self.run(&format!("set fwd {mode}"));
        assert!(answer.contains(&format!("Set {mode} packet forwarding mode")), "{answer}");
        let answer = self.run("start");
        assert!(answer.contains("packet forwarding"), "{answer}");
    }

    /// Stops forwarding; returns what it says about it.
    #[track_caller]
    pub fn stop(&mut self) -> String {
        self.run("stop")
    }

    /// What a port counted since it was cleared.
    #[track_caller]
    pub fn stats(&mut self, port: u16) -> PortStats {
        let text = self.run(&format!("show port stats {port}"));
        let number = |key: &str| {
            let after = text.split_once(key).map(|(_, after)| after.trim_start());
            let digits = after.map(|after| after.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
            let number = digits.and_then(|digits| digits.parse().ok());
            number.unwrap_or_else(|| panic!("no {key} in {text}"))
        };
        PortStats {
            rx_packets: number("RX-packets:"),
            rx_bytes: number("RX-bytes:"),
            rx_missed: number("RX-missed:"),
            rx_errors: number("RX-errors:"),
            rx_nombuf: number("RX-nombuf:"),
            tx_packets: number("TX-packets:"),
            tx_bytes: number("TX-bytes:"),
            tx_errors: number("TX-errors:"),
        }
    }

    /// Sets all that the ports counted to 0.
    #[track_caller]
    pub fn clear_stats(&mut self) {
        self.run("clear port stats all");
    }

    /// Whether a port's link is up.
    #[track_caller]
    pub fn link(&mut self, port: u16) -> bool {
        self.run(&format!("show port info {port}")).contains("Link status: up")
    }

    /// Waits until a port's link is up or down.
    #[track_caller]
    pub fn link_is(&mut self, port: u16, up: bool) {
        let end = Instant::now() + PATIENCE;
        while self.link(port) != up {
            assert!(Instant::now() < end, "port {port} is not {}: {}", if up { "up" } else { "down" }, self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops and starts a port: `net_memif` as a client connects then, and never again by itself.
    #[track_caller]
    pub fn restart_port(&mut self, port: u16) {
        self.run(&format!("port stop {port}"));
        self.run(&format!("port start {port}"));
    }

    /// One of a port's extended statistics.
    #[track_caller]
    pub fn xstat(&mut self, port: u16, name: &str) -> u64 {
        let text = self.run(&format!("show port xstats {port}"));
        let number = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.trim().parse().ok());
        number.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// A port's hardware address.
    #[track_caller]
    pub fn mac(&mut self, port: u16) -> String {
        let info = self.run(&format!("show port info {port}"));
        let mac = info.split_once("MAC address: ").and_then(|(_, rest)| rest.split_whitespace().next());
        mac.unwrap_or_else(|| panic!("no MAC address: {info}")).to_lowercase()
    }

    /// Ends it as a crash does: SIGKILL.
    pub fn crash(&mut self) {
        let _ = self.child.kill();
        self.reap();
    }

    /// Ends it as a person does.
    #[track_caller]
    pub fn quit(&mut self) {
        if let Some(mut keyboard) = self.keyboard.take() {
            let _ = keyboard.write_all(b"quit\n");
        }
        eventually("testpmd quits", || self.child.try_wait().expect("wait for a child"));
        self.reap();
    }

    fn reap(&mut self) {
        let _ = self.child.wait();
        self.keyboard = None;
        let _ = self.reader.take().map(JoinHandle::join);
    }

    /// Starts it as it was, after [`Testpmd::crash`] or [`Testpmd::quit`].
    #[track_caller]
    pub fn start_again(&mut self) {
        let (child, keyboard, (log, reader)) = launch(&self.setup, &self.files);
        (self.child, self.keyboard, self.log, self.reader) = (child, Some(keyboard), log, Some(reader));
        self.prompt(0, "start again");
    }

    /// Waits for the prompt after `mark` and returns what stands before it.
    #[track_caller]
    fn prompt(&self, mark: usize, command: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut written = self.log.written.lock().expect("the log");
        loop {
            let text = written.since(mark);
            if let Some((text, _)) = text.split_once(PROMPT) {
                return text.to_owned();
            }
            let left = end.saturating_duration_since(Instant::now());
            if written.closed || left.is_zero() {
                drop(written);
                panic!("testpmd ({:?}) says no more after {command:?}:\n{}", self.setup, self.log());
            }
            written = self.log.more.wait_timeout(written, left).expect("the log").0;
        }
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- the end of testpmd's output:\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
        self.crash();
    }
}

fn launch(setup: &Setup, files: &TempDir) -> (Child, ChildStdin, (Arc<Log>, JoinHandle<()>)) {
    // The end of its input makes it quit. Both of its cores float over the CPUs that there are.
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut words: Vec<&str> = Vec::new();
    if let Some(namespace) = &setup.namespace {
        words.extend(["ip", "netns", "exec", namespace]);
    }
    let (all, prefix) = (format!("(0-{})", cpus - 1), format!("millrace-{}", std::process::id()));
    let (lcores, prefix) = (format!("0@{all},1@{all}"), format!("--file-prefix={prefix}"));
    // Its own lines go out one by one, although its output is a pipe.
    words.extend(["stdbuf", "-oL", "dpdk-testpmd", "--no-pci", "--no-telemetry", &prefix, "--lcores", &lcores]);
    words.extend(setup.memory.split_whitespace());
    words.extend(setup.devices.iter().flat_map(|device| ["--vdev", device]));
    words.extend(["--", "--interactive", "--no-mlockall", "--total-num-mbufs=16384"]);
    words.extend(setup.options.split_whitespace());
    let (mut output, theirs) = std::io::pipe().expect("a pipe");
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env("RUNTIME_DIRECTORY", &**files);
    command.stdin(Stdio::piped()).stderr(theirs.try_clone().expect("a descriptor")).stdout(theirs);
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    drop(command);
    let keyboard = child.stdin.take().expect("its input");
    let log = Arc::new(Log::default());
    let kept = Arc::clone(&log);
    let reader = std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        loop {
            let length = output.read(&mut bytes).unwrap_or(0);
            let mut written = kept.written.lock().expect("the log");
            written.text.extend_from_slice(&bytes[..length]);
            written.closed = length == 0;
            if written.text.len() > 2 * KEPT {
                let over = written.text.len() - KEPT;
                written.text.drain(..over);
                written.forgotten += over;
            }
            kept.more.notify_all();
            if length == 0 {
                return;
            }
        }
    });
    (child, keyboard, (log, reader))
}

#[cfg(test)]
mod tests {
    use super::Setup;
    use crate::eventually;

    #[test]
    fn it_forwards_is_asked_crashes_and_starts_again() {
        let mut peer = Setup::device("net_ring0").start();
        assert!(peer.link(0));
        assert_eq!(peer.mac(0).len(), 17);
        // What goes into a ring device comes out of it again: a burst circles.
        peer.run("set fwd io");
        peer.run("start tx_first");
        let some = eventually("packets circle", || Some(peer.stats(0)).filter(|stats| stats.rx_packets > 1000));
        assert!(some.tx_packets > 0 && some.tx_errors == 0, "{some:?}");
        peer.stop();
        let before = peer.stats(0);
        assert_eq!(before, peer.stats(0), "it forwards although it was stopped");
        peer.clear_stats();
        assert_eq!(peer.stats(0).tx_packets, 0);
        let pid = peer.pid();
        peer.crash();
        peer.start_again();
        assert_ne!(peer.pid(), pid);
        peer.forward("rxonly");
        peer.quit();
        assert!(peer.log().contains("Bye..."), "{}", peer.log());
    }

    #[test]
    #[should_panic(expected = "net_nonsense")]
    fn what_it_says_when_it_does_not_start_is_in_the_failure() {
        Setup::device("net_nonsense0").start();
    }
}
