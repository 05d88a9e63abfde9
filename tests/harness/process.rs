//! Programs that a test runs: their output kept, their end certain.

use crate::{PATIENCE, TempDir, eventually, within};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// What a program left.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Output {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Output {
        let shown = format!("{command:?}");
        let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{shown}: {e}"));
        Output {
            command: shown,
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its standard output; panics unless it ended with 0.
    #[track_caller]
    pub fn ok(self) -> String {
        self.code(0).stdout
    }

    /// Itself; panics unless it ended with this code.
    #[track_caller]
    pub fn code(self, code: i32) -> Output {
        assert_eq!(self.code, code, "exit code of {}\n{}{}", self.command, self.stdout, self.stderr);
        self
    }
}

/// A program that runs beside the test; killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    files: TempDir,
}

impl Process {
    /// Starts it with its output going to files.
    pub fn spawn(command: &mut Command) -> Process {
        let files = TempDir::new();
        let create = |name| File::create(files.file(name)).expect("a file for the output");
        command.stdin(Stdio::null()).stdout(create("stdout")).stderr(create("stderr"));
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Process { name: format!("{command:?}"), child, files }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output until now.
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// What it wrote to standard error until now.
    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.files.file(name)).unwrap_or_default()).into_owned()
    }

    /// Waits until it wrote this to standard output or standard error.
    #[track_caller]
    pub fn wrote(&self, text: &str) {
        let what = format!("{:?} in the output of {}", text, self.name);
        eventually(&what, || (self.stdout().contains(text) || self.stderr().contains(text)).then_some(()));
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait for a child")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: kill() takes numbers only; the child is not reaped before `self.child` says so.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    /// Waits for its end; panics when it takes longer than `time`.
    #[track_caller]
    pub fn wait_for(&mut self, time: Duration) -> Output {
        let status = within(time, || self.ended());
        let status = status.unwrap_or_else(|| panic!("{} still runs\n{}{}", self.name, self.stdout(), self.stderr()));
        let code = status.code().unwrap_or(-1);
        Output { command: self.name.clone(), code, stdout: self.stdout(), stderr: self.stderr() }
    }

    /// Waits for its end, which should be soon.
    #[track_caller]
    pub fn wait(&mut self) -> Output {
        self.wait_for(PATIENCE)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The path of one of the workspace's programs, built beside the test that runs.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test");
    let path = test.parent().and_then(|deps| deps.parent()).expect("a target folder").join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace` first", path.display());
    path
}
