//! A port of the driver, as its worker and control have it.

use crate::common::{experimental, until};
use crate::peer::Raw;
use millrace_engine::device::{RxQueue, TestBurst, TxQueue};
use millrace_engine::memory::HugePages;
use millrace_engine::{Pool, Waker};
use millrace_io::{Context, Device, Link, Memif, Role, Spec, open};
use std::sync::atomic::{AtomicU32, Ordering};

/// An abstract name that no other test has.
pub fn abstract_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("@millrace-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn memif(socket: &str, role: Role) -> Memif {
    Memif { socket: socket.to_owned(), id: 0, role, secret: None, queues: 1, ring_size: 64, zero_copy: false }
}

/// With rings of up to 512 slots.
pub fn large(role: Role, zero_copy: bool) -> Memif {
    Memif { ring_size: 512, zero_copy, ..memif(&abstract_name(), role) }
}

/// A device with its queues, and a pool of its own.
pub struct Port {
    pub socket: String,
    pub context: Context,
    pub rx: Vec<Box<dyn RxQueue>>,
    pub tx: Vec<Box<dyn TxQueue>>,
    pub burst: TestBurst,
    pub device: Box<dyn Device>,
}

impl Port {
    pub fn open(spec: &Memif) -> Port {
        Port::with_workers(spec, 1)
    }

    pub fn with_workers(spec: &Memif, workers: usize) -> Port {
        let pool = Pool::new(2048, HugePages::Off).unwrap();
        let context = Context { pool, changed: Waker::new().unwrap() };
        let mut device = open(&Spec::Memif(spec.clone()), "port", &context).unwrap();
        let (mut rx, mut tx) = (Vec::new(), Vec::new());
        for pair in device.queues(workers).unwrap() {
            rx.extend(pair.rx);
            tx.extend(pair.tx);
        }
        Port { socket: spec.socket.clone(), burst: TestBurst::new(pool), context, rx, tx, device }
    }

    pub fn up(&self) -> bool {
        self.device.link() == Link::Up
    }

    pub fn tx(&mut self, packets: &[&[u8]]) -> usize {
        self.burst.tx(&mut *self.tx[0], packets).unwrap()
    }

    pub fn rx(&mut self) -> Vec<Vec<u8>> {
        let burst = &mut self.burst;
        self.rx.iter_mut().flat_map(|rx| burst.rx(&mut **rx).unwrap()).collect()
    }

    pub fn stat(&self, name: &str) -> u64 {
        self.device.stats().into_iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    pub fn notes(&self) -> String {
        self.device.info().notes.join("; ")
    }

    pub fn mode(&self, name: &str) -> String {
        self.device.info().modes.into_iter().find(|(n, _)| *n == name).map(|(_, value)| value).unwrap_or_default()
    }

    /// Polls both ways, as a worker with something to send does.
    pub fn poll(&mut self) -> usize {
        self.tx(&[&experimental(1, 60)]);
        self.burst.reclaim(&mut *self.tx[0]);
        self.rx().len()
    }

    /// Polls until the link is gone for this reason, which is told.
    #[track_caller]
    pub fn ends(&mut self, peer: &Raw, why: &str) {
        until(&format!("the end because of {why}"), || {
            self.poll();
            !self.up()
        });
        assert!(self.notes().contains(why), "{}", self.notes());
        let told = peer.farewell();
        assert!(told.contains(why), "{told}");
        // Everything is as before: the next peer finds it so.
        until("all cells", || self.all_back());
    }

    /// How often a worker found something wrong.
    pub fn faults(&self) -> u64 {
        self.stat("rx_bad_descriptors") + self.stat("tx_bad_descriptors")
    }

    /// Whether all cells are back in the pool.
    pub fn all_back(&mut self) -> bool {
        self.tx.iter_mut().for_each(|tx| {
            self.burst.reclaim(&mut **tx);
        });
        self.context.pool.owned().is_empty()
    }
}

/// Waits for both ends. With zero copy a client's worker has to look once: it posts the cells that packets can come in.
pub fn connected(a: &mut Port, b: &mut Port) {
    until("the link", || a.up() && b.up());
    assert_eq!(a.rx().len() + b.rx().len(), 0);
}

pub fn pair(server: &Memif, client: &Memif) -> [Port; 2] {
    let [mut server, mut client] = [Port::open(server), Port::open(client)];
    connected(&mut server, &mut client);
    [server, client]
}

pub fn both(socket: &str) -> [Memif; 2] {
    [memif(socket, Role::Server), memif(socket, Role::Client)]
}

/// Frames of these sizes from one port to the other.
#[track_caller]
pub fn pass(from: &mut Port, to: &mut Port, sizes: &[usize]) {
    let frames: Vec<_> = sizes.iter().enumerate().map(|(n, len)| experimental(n as u8, *len)).collect();
    let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    assert_eq!(from.tx(&slices), frames.len(), "all are sent");
    let mut got = Vec::new();
    until("the frames", || {
        got.extend(to.rx());
        got.len() >= frames.len()
    });
    assert!(got == frames, "{} frames, or others than were sent", got.len());
}

#[track_caller]
pub fn passes(a: &mut Port, b: &mut Port) {
    for _ in 0..100 {
        pass(a, b, &[60, 64, 1514, 14, 33, 100, 2047, 2048]);
        pass(b, a, &[60, 1514, 257, 256, 255, 63, 65, 2048]);
    }
}

/// A path in a folder of the test's own, which goes with it.
pub struct Folder(std::path::PathBuf);

impl Folder {
    pub fn new() -> Folder {
        let folder = std::env::temp_dir().join(&abstract_name()[1..]);
        std::fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether a descriptor becomes readable within so many milliseconds.
pub fn readable(fd: i32, timeout: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one descriptor, described by `poll`.
    unsafe { libc::poll(&mut poll, 1, timeout) == 1 }
}
