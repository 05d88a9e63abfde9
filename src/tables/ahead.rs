//! Memory made ready before a worker needs it: backing two megabytes takes longer than a worker may stop. One thread of the process
//! does it, at the priority of any other.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;

use crate::region::{Region, Zeroed};

type Job = Box<dyn FnOnce() + Send>;

static JOBS: OnceLock<Option<Sender<Job>>> = OnceLock::new();

fn jobs() -> Option<&'static Sender<Job>> {
    let jobs = JOBS.get_or_init(|| {
        let (sender, receiver) = channel::<Job>();
        let run = move || receiver.into_iter().for_each(|job| job());
        thread::Builder::new().name("millrace-memory".into()).spawn(run).ok().map(|_| sender)
    });
    jobs.as_ref()
}

/// Starts the thread, if it doesn't run: from the thread that makes a table, lest it inherit what is special to a worker's.
pub fn start() {
    jobs();
}

/// Runs a job there, soon; at worst not at all.
pub fn submit(job: impl FnOnce() + Send + 'static) {
    if let Some(jobs) = jobs() {
        // It fails when the thread is gone, and then nobody needs it.
        let _ = jobs.send(Box::new(job));
    }
}

/// A region that is being made.
#[derive(Debug)]
pub struct Pending<T>(Receiver<io::Result<Region<T>>>);

impl<T: Zeroed + Send + 'static> Pending<T> {
    /// Orders `len` zeros, the first `backed` of them backed.
    pub fn order(len: usize, backed: usize) -> Self {
        let (sender, receiver) = channel();
        submit(move || {
            let region = Region::new(len).inspect(|region: &Region<T>| region.back(0..backed));
            // It fails when who ordered is gone; then so is the region.
            let _ = sender.send(region);
        });
        Self(receiver)
    }

    /// The region, if it is ready.
    ///
    /// # Errors
    /// There will be none.
    pub fn take(&self) -> io::Result<Option<Region<T>>> {
        match self.0.try_recv() {
            Ok(region) => region.map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}
