//! The daemon under test: started, asked, changed, and held to account when it goes.

use crate::account::{self, Baseline};
use crate::{Lab, Namespace, Output, PATIENCE, Process, TempDir, kernel, program};
use serde_json::Value;
use std::cell::Cell;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A router that runs. When it is dropped, its books must balance and SIGTERM must end it with code 0.
pub struct Router {
    runs: Runs,
    namespace: Arc<Namespace>,
    files: TempDir,
    baseline: Cell<Baseline>,
}

/// What does the work.
enum Runs {
    Daemon(Process),
    Kernel,
    Nothing,
}

/// `millrace` with these arguments, to its end: for what it does without running.
pub fn millrace(words: &[&str]) -> Output {
    Output::of(Command::new("timeout").arg("30").arg(program("millrace")).args(words))
}

/// `millctl` with these arguments, to its end.
pub fn millctl(socket: &Path, words: &[&str]) -> Output {
    Output::of(Command::new("timeout").arg("30").arg(program("millctl")).arg("-s").arg(socket).args(words))
}

impl Router {
    /// Starts it in the lab's namespace, and waits until it says that it is ready.
    #[track_caller]
    pub fn start(lab: &Lab, config: &str) -> Router {
        let namespace = Arc::clone(&lab.router);
        let mut router = Router { runs: Runs::Nothing, namespace, files: TempDir::new(), baseline: Cell::default() };
        router.write_config(config);
        if std::env::var("MILLRACE_TEST_ROUTER").is_ok_and(|router| router == "kernel") {
            router.become_kernel(config);
        } else {
            router.launch();
        }
        router
    }

    /// Lets the Linux kernel route in its place, as far as it understands the configuration.
    pub fn start_kernel(lab: &Lab, config: &str) -> Router {
        let namespace = Arc::clone(&lab.router);
        let mut router = Router { runs: Runs::Nothing, namespace, files: TempDir::new(), baseline: Cell::default() };
        router.become_kernel(config);
        router
    }

    fn become_kernel(&mut self, config: &str) {
        kernel::configure(&self.namespace, config);
        self.runs = Runs::Kernel;
    }

    #[track_caller]
    fn launch(&mut self) {
        let (config, socket) = (self.config_file(), self.socket());
        let notify = self.files.file("notify");
        let _ = std::fs::remove_file(&notify);
        let ready = UnixDatagram::bind(&notify).expect("a notification socket");
        ready.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        let mut command = self.namespace.command("");
        command.arg(program("millrace")).arg("--config").arg(config).arg("--socket").arg(socket);
        command.env("NOTIFY_SOCKET", &notify).env("XDG_STATE_HOME", &*self.files);
        let mut daemon = Process::spawn(&mut command);
        let end = Instant::now() + PATIENCE;
        let mut message = [0; 512];
        loop {
            let length = ready.recv(&mut message).unwrap_or(0);
            if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                break;
            }
            let state = daemon.ended();
            assert!(state.is_none() && Instant::now() < end, "not ready, {state:?}:\n{}", daemon.stderr());
        }
        self.runs = Runs::Daemon(daemon);
        self.rebase();
    }

    /// Whether it is Millrace, and not the kernel in its place.
    pub fn is_daemon(&self) -> bool {
        matches!(self.runs, Runs::Daemon(_))
    }

    /// Where the API is served.
    pub fn socket(&self) -> PathBuf {
        self.files.file("api.sock")
    }

    /// The configuration file that it was started with.
    pub fn config_file(&self) -> PathBuf {
        self.files.file("config.yaml")
    }

    /// Replaces the text of the configuration file.
    pub fn write_config(&self, text: &str) {
        self.files.write("config.yaml", text);
    }

    /// A folder of its own, for captures and the like.
    pub fn files(&self) -> &TempDir {
        &self.files
    }

    /// The process.
    #[track_caller]
    pub fn process(&mut self) -> &mut Process {
        match &mut self.runs {
            Runs::Daemon(daemon) => daemon,
            _ => panic!("no daemon runs"),
        }
    }

    /// What it logged.
    pub fn log(&self) -> String {
        if let Runs::Daemon(daemon) = &self.runs { daemon.stderr() } else { String::new() }
    }

    /// Runs one command of `millctl`, given as on a command line (without quotes).
    pub fn ctl(&self, command: &str) -> Output {
        millctl(&self.socket(), &command.split_whitespace().collect::<Vec<_>>())
    }

    /// The same, which must be done, and its output.
    #[track_caller]
    pub fn run(&self, command: &str) -> String {
        self.ctl(command).ok()
    }

    /// What a command prints with `-o json`.
    #[track_caller]
    pub fn json(&self, command: &str) -> Value {
        let text = self.run(&format!("-o json {command}"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{command}: {e} in {text}"))
    }

    /// A listing as JSON.
    #[track_caller]
    pub fn list(&self, command: &str) -> Vec<Value> {
        match self.json(command) {
            Value::Array(rows) => rows,
            other => panic!("{command}: not a listing: {other}"),
        }
    }

    /// One interface as JSON, when it is there.
    pub fn interface(&self, name: &str) -> Option<Value> {
        self.list("show interfaces").into_iter().find(|row| row["name"] == name)
    }

    /// What it thinks of a neighbour: reachable, stale, ...
    pub fn neighbor_state(&self, address: &str) -> Option<String> {
        if !self.is_daemon() {
            return kernel::neighbor_state(&self.namespace, address);
        }
        let row = self.list("show neighbors").into_iter().find(|row| row["address"] == address)?;
        row["state"].as_str().map(str::to_owned)
    }

    /// One number of an interface; 0 when it is not there.
    pub fn counter(&self, interface: &str, key: &str) -> u64 {
        self.interface(interface).and_then(|row| row[key].as_u64()).unwrap_or(0)
    }

    /// How often a node counted a reason that holds `reason`.
    pub fn errors(&self, node: &str, reason: &str) -> u64 {
        let hit =
            |row: &&Value| row["node"] == node && row["reason"].as_str().is_some_and(|text| text.contains(reason));
        self.list("show errors").iter().filter(hit).filter_map(|row| row["count"].as_u64()).sum()
    }

    /// All drops that `show errors` knows of.
    #[track_caller]
    pub fn drops(&self) -> u64 {
        if !self.is_daemon() {
            return 0;
        }
        self.list("show errors").iter().filter_map(|row| row["drops"].as_u64()).sum()
    }

    /// Takes the router as it is for the baseline: after interfaces came or went for good.
    #[track_caller]
    pub fn rebase(&self) {
        self.baseline.set(Baseline::take(self));
    }

    /// What it is compared with when at rest.
    pub fn baseline(&self) -> Baseline {
        self.baseline.get()
    }

    /// Checks the books: every packet accounted for, buffers at their baseline. Dropping it does this, too.
    #[track_caller]
    pub fn settle(&self) {
        if self.is_daemon() {
            account::settle(self);
        }
    }

    /// Ends it with a signal and returns how it ended.
    #[track_caller]
    pub fn end(&mut self, signal: i32) -> Output {
        let daemon = self.process();
        daemon.signal(signal);
        let output = daemon.wait();
        self.runs = Runs::Nothing;
        output
    }

    /// Stops it as a service manager does, and starts it again with the configuration file as it is now.
    #[track_caller]
    pub fn restart(&mut self) {
        self.settle();
        self.stop();
        self.launch();
    }

    /// Stops it as a service manager does. A debug build names the buffers that nobody gave back.
    #[track_caller]
    pub fn stop(&mut self) {
        let end = self.end(libc::SIGTERM).code(0);
        assert!(!end.stderr.contains("buffers leaked"), "{}", end.stderr);
    }

    /// Starts it again after [`Router::end`].
    #[track_caller]
    pub fn start_again(&mut self) {
        self.launch();
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the daemon's log:\n{}", self.log());
            return;
        }
        if self.is_daemon() {
            account::settle(self);
            self.stop();
        }
    }
}
