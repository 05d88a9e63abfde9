//! Network namespaces, and the cables between them.

use crate::{Output, Process};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A network namespace with a name of its own, removed on drop.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one; `role` is only there to be recognised in `ip netns list`.
    pub fn new(role: &str) -> Namespace {
        static SWEEP: Once = Once::new();
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        SWEEP.call_once(remove_orphans);
        let name = format!("mr-{}-{}-{role}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        ip(&format!("netns add {name}"));
        let namespace = Namespace { name };
        // Each cable has two ends, and who is at them is known: no host need wait a second to find that an address is free.
        namespace.sysctl("net.ipv6.conf.default.accept_dad=0");
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name, as `ip netns exec` takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` with these words in it; panics when it fails.
    #[track_caller]
    pub fn ip(&self, words: &str) -> String {
        ip(&format!("-n {} {words}", self.name))
    }

    /// Sets a kernel parameter of this namespace.
    #[track_caller]
    pub fn sysctl(&self, setting: &str) {
        self.run(&format!("sysctl -q -w {setting}")).ok();
    }

    /// A command of these words, to run in it. `ip` replaces itself with the program, so its pid is the program's.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).args(words.split_whitespace());
        command
    }

    /// Runs a command of these words in it to its end, for a minute at most.
    pub fn run(&self, words: &str) -> Output {
        Output::of(&mut self.command(&format!("timeout 60 {words}")))
    }

    /// Starts a command of these words in it.
    pub fn spawn(&self, words: &str) -> Process {
        Process::spawn(&mut self.command(words))
    }

    /// Runs a closure inside it. A socket that the closure opens stays in the namespace wherever it is used.
    pub fn enter<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        let handle = File::open(format!("/run/netns/{}", self.name)).expect("the namespace's handle");
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                // SAFETY: setns() takes a descriptor and a number; it moves this short-lived thread only.
                let moved = unsafe { libc::setns(handle.as_raw_fd(), libc::CLONE_NEWNET) };
                assert_eq!(moved, 0, "setns: {}", std::io::Error::last_os_error());
                inside()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Lays a cable: a veth pair with `device` here and `peer_device` in `peer`, both up, offloads as they come.
    pub fn cable(&self, device: &str, peer: &Namespace, peer_device: &str) {
        let (here, there) = (&self.name, &peer.name);
        ip(&format!("link add name {device} netns {here} type veth peer name {peer_device} netns {there}"));
        self.ip(&format!("link set {device} up"));
        peer.ip(&format!("link set {peer_device} up"));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// Runs `ip` with these words; panics when it fails.
#[track_caller]
fn ip(words: &str) -> String {
    Output::of(Command::new("ip").args(words.split_whitespace())).ok()
}

/// Removes what a killed run of the tests may have left: our namespaces whose process is gone.
fn remove_orphans() {
    for line in ip("netns list").lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let pid =
            name.strip_prefix("mr-").and_then(|rest| rest.split('-').next()).and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}
