//! A daemon for tests: serves the API on a socket of its own with answers that never change, and keeps what it was
//! asked to do.
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use millrace_api::v1::config_server::ConfigServer;
use millrace_api::v1::operate_server::OperateServer;
use millrace_api::v1::show_server::ShowServer;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;

use answers::Answers;

mod answers;

/// A folder that is removed at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("millctl-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The daemon. It ends when it is dropped.
pub struct Daemon {
    pub folder: Folder,
    asked: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Daemon {
    pub fn start() -> Daemon {
        let folder = Folder::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers = Answers::new(asked.clone());
        // Bound before anyone is told of it, so that nobody comes too early.
        let listener = runtime.block_on(async { UnixListener::bind(folder.0.join("api.sock")).unwrap() });
        runtime.spawn(
            tonic::transport::Server::builder()
                .add_service(ShowServer::new(answers.clone()))
                .add_service(ConfigServer::new(answers.clone()))
                .add_service(OperateServer::new(answers))
                .serve_with_incoming(UnixListenerStream::new(listener)),
        );
        Daemon { folder, asked, _runtime: runtime }
    }

    /// What it was asked to do so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.0.join("api.sock")
    }

    /// Runs millctl against it.
    pub fn millctl(&self, arguments: &[&str]) -> Ran {
        self.millctl_with(arguments, "")
    }

    /// Runs millctl against it with something on standard input.
    pub fn millctl_with(&self, arguments: &[&str], input: &str) -> Ran {
        let socket = self.socket();
        let all: Vec<&str> = ["-s", socket.to_str().unwrap()].into_iter().chain(arguments.iter().copied()).collect();
        millctl(&all, input)
    }
}

/// How millctl ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs millctl.
pub fn millctl(arguments: &[&str], input: &str) -> Ran {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_millctl"))
        .args(arguments)
        .env_remove("MILLRACE_SOCKET")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A child that ends before it has read everything is no error here.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}
