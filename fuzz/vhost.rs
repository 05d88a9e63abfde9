//! Any bytes at all, taken for what a guest and whoever runs it do: messages at the control socket with all kinds of descriptors, what lies in
//! memory and rings, in any order with packets both ways. Whatever they are, the device lives, says how it is, gives every cell back, and lets
//! go of everything at the end.
//!
//! The fuzz target and an ordinary test over saved and random inputs share this; both have the guest of the tests beside it.

use crate::common::until;
use crate::frontend::{Code, numbers, words};
use crate::guest::{
    EVENT_IDX, GUEST, Guest, INDIRECT, MEMORY, MRG, SIZE, TAIL, USER, VERSION_1, mode, socket_path, spec,
};
use millrace_engine::device::{RxQueue, TestBurst, TxQueue};
use millrace_engine::memory::HugePages;
use millrace_engine::{Pool, Waker};
use millrace_io::{Context, Device, Link, Role, open};
use std::fs::File;
use std::io::PipeWriter;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

/// Bytes to be used up; zeros follow them.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One of these, or any number.
    fn number(&mut self, likely: &[u64]) -> u64 {
        let which = usize::from(self.byte());
        likely.get(which).copied().unwrap_or_else(|| {
            let bytes = self.take(8);
            bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        })
    }
}

/// A device, its guest, and what else may be passed at the socket.
struct Lab {
    device: Box<dyn Device>,
    rx: Box<dyn RxQueue>,
    tx: Box<dyn TxQueue>,
    burst: TestBurst,
    guest: Guest,
    pipe: PipeWriter,
    disk: File,
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<&Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool::new(1024, HugePages::Off).unwrap())
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let setting = input.byte();
    let mut lab = Lab::new(setting);
    while !input.0.is_empty() {
        lab.step(&mut input);
    }
    lab.end();
}

impl Lab {
    fn new(setting: u8) -> Lab {
        let path = socket_path();
        let context = Context { pool: pool(), changed: Waker::new().unwrap() };
        let pairs = 1 + u16::from(setting & 1);
        let mut device = open(&spec(&path, Role::Server, pairs, setting & 2 != 0), "fuzz", &context).unwrap();
        let pair = device.queues(1).unwrap().remove(0);
        let some = [VERSION_1, VERSION_1 | MRG, MRG, 0][usize::from(setting >> 2 & 3)];
        let more = [0, EVENT_IDX, INDIRECT, EVENT_IDX | INDIRECT][usize::from(setting >> 4 & 3)];
        let offloads = if setting & 2 != 0 { 1 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 56 } else { 0 };
        let mut guest = Guest::new(some | more | offloads, pairs.into());
        guest.connect(&path);
        // Otherwise nothing is agreed on yet.
        if setting & 64 == 0 {
            guest.start();
        }
        let burst = TestBurst::new(pool());
        let (rx, tx) = (pair.rx.unwrap(), pair.tx.unwrap());
        let pipe = std::io::pipe().unwrap().1;
        Lab { device, rx, tx, burst, guest, pipe, disk: File::open("/proc/self/exe").unwrap() }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 12 {
            0 => self.any_message(input),
            1 => self.ring_message(input),
            2 => self.memory_message(input),
            3 => {
                let at = input.number(&[0, 0x4000, 0x8000, 0x1_0000, 0x1_4000, 0x1_8000]) % (MEMORY - 64);
                self.guest.write(at, input.take(32));
            }
            4 | 5 => self.descriptor(input),
            6 | 7 => self.offer(input),
            8 => {
                let ring = &self.guest.rings[usize::from(input.byte()) % self.guest.rings.len()];
                self.guest.word(ring.available + 2).store(input.word(), Ordering::SeqCst);
                ring.kick.ring();
            }
            9 => {
                self.burst.rx(&mut *self.rx).unwrap();
                self.rx.wake();
            }
            10 => {
                let frames = [60, 60 + usize::from(input.word() % 9000), 1500].map(|len| vec![input.byte(); len]);
                let frames = [frames[0].as_slice(), &frames[1], &frames[2], &frames[0]];
                self.burst.tx(&mut *self.tx, &frames).unwrap();
            }
            // Rarely, for there is not much to be done afterwards: the guest's own mapping has lost its memory, too.
            _ if input.byte() == 0 => {
                self.guest.file.set_len(input.number(&[0, 0x8000, MEMORY - TAIL]) % MEMORY).unwrap();
                self.burst.rx(&mut *self.rx).unwrap();
                self.burst.tx(&mut *self.tx, &[&[0; 60], &[0; 60]]).unwrap();
                input.0 = &[];
            }
            _ => {
                let frame = input.take(64);
                let (head, rest) = frame.split_at(frame.len().min(self.guest.header()));
                self.guest.send_with(head, rest);
            }
        }
    }

    fn fds(&self, which: u8) -> Vec<RawFd> {
        let event = self.guest.rings[0].call.fd();
        let memory = self.guest.file.as_raw_fd();
        match which % 8 {
            0 => Vec::new(),
            1 => vec![event],
            2 => vec![memory],
            3 => vec![memory, memory],
            4 => vec![self.pipe.as_raw_fd()],
            5 => vec![self.disk.as_raw_fd()],
            6 => vec![event; 8],
            _ => vec![self.guest.rings[1].kick.fd()],
        }
    }

    /// Sends a message and waits until it is dealt with.
    fn say(&mut self, bytes: &[u8], fds: &[RawFd]) {
        let Some(frontend) = &mut self.guest.frontend else { return };
        if frontend.send_raw(bytes, fds).is_err() {
            return;
        }
        // What is left of it is the start of the next: enough follows for it to be complete.
        let done = frontend.send(Code::GetFeatures, 0, &[], &[]).is_ok();
        if done && !answered(&frontend.stream) {
            self.guest.frontend = None;
        }
    }

    fn any_message(&mut self, input: &mut Input<'_>) {
        let code = u32::from(input.byte()) % 45;
        let flags = u32::from(input.byte());
        let len = usize::from(input.byte());
        let fds = self.fds(input.byte());
        let mut bytes = words(&[code, flags ^ 1, len as u32]);
        bytes.extend(input.take(len));
        bytes.resize(12 + len, 0);
        self.say(&bytes, &fds);
    }

    fn ring_message(&mut self, input: &mut Input<'_>) {
        let codes = [8, 9, 10, 11, 12, 13, 14, 18, 2];
        let code = codes[usize::from(input.byte()) % codes.len()];
        let ring = u32::from(input.byte());
        let at = 0x1_0000 * u64::from(ring % 4);
        let likely = [USER + at, USER + at + 0x4000, USER + at + 0x8000, USER + MEMORY - TAIL - 16, 0, GUEST];
        let payload = match code {
            9 => {
                let addresses = [input.number(&likely), input.number(&likely), input.number(&likely), 0];
                [words(&[ring, 0]), numbers(&addresses)].concat()
            }
            12..=14 => numbers(&[u64::from(ring) | u64::from(input.byte() & 1) << 8]),
            2 => numbers(&[self.guest.features ^ input.number(&[0, MRG, EVENT_IDX, INDIRECT, VERSION_1])]),
            _ => words(&[ring, input.number(&[0, 1, 2, 64, 256, 32_768]) as u32]),
        };
        let fds = if let 12..=14 = code { self.fds(input.byte()) } else { Vec::new() };
        let mut bytes = words(&[code, 1, payload.len() as u32]);
        bytes.extend(payload);
        self.say(&bytes, &fds);
    }

    fn memory_message(&mut self, input: &mut Input<'_>) {
        let count = input.byte() % 4;
        let mut regions = Vec::new();
        for at in 0..u64::from(count) {
            let [main, tail] = Guest::regions();
            let [guest, size, user, offset] = if at == 0 { main } else { tail };
            regions.push(input.number(&[guest, GUEST, 0, 1 << 40]));
            regions.push(input.number(&[size, MEMORY, 4096, 1, 0]));
            regions.push(input.number(&[user, USER, 0, 1 << 40]));
            regions.push(input.number(&[offset, 0, 4096, 1]));
        }
        let memory = self.guest.file.as_raw_fd();
        let (code, payload, fds) = match input.byte() % 3 {
            0 => (Code::SetMemTable, [words(&[count.into(), 0]), numbers(&regions)].concat(), count.into()),
            1 => (Code::AddMemReg, numbers(&[&[0], regions.get(..4).unwrap_or(&[0; 4])].concat()), 1),
            _ => (Code::RemMemReg, numbers(&[&[0], regions.get(..4).unwrap_or(&[0; 4])].concat()), 0),
        };
        let mut bytes = words(&[code as u32, 1, payload.len() as u32]);
        bytes.extend(payload);
        self.say(&bytes, &vec![memory; fds]);
    }

    /// Writes a descriptor, of a ring's table or of one that a descriptor points at.
    fn descriptor(&mut self, input: &mut Input<'_>) {
        let tables = [self.guest.rings[0].table, self.guest.rings[1].table, 2 << 20];
        let table = tables[usize::from(input.byte()) % 3];
        let number = u16::from(input.byte()) % SIZE;
        let data = GUEST + (3 << 19);
        let end = GUEST + MEMORY;
        let likely = [data, data + 2048, GUEST + (2 << 20), end - 64, end - TAIL - 10, 0, u64::MAX - 8, GUEST];
        let address = input.number(&likely);
        let len = input.number(&[12, 72, 16, 1500, 64, 0, 10, 70_000, u32::MAX.into(), 11, 13, 2060, 9000]) as u32;
        let (flags, next) = (u16::from(input.byte()) % 8, u16::from(input.byte()) % (SIZE + 2));
        self.guest.describe(table, number, (address, len, flags, next));
    }

    /// Makes chains available: those of the next descriptors, or any.
    fn offer(&mut self, input: &mut Input<'_>) {
        let at = usize::from(input.byte()) % self.guest.rings.len();
        for _ in 0..input.byte() % 8 {
            let head = input.number(&[0, 1, 2, 3, 4, 5, 6, 7, 63]) as u16;
            self.guest.offer(at, head);
        }
        self.guest.publish(at);
    }

    fn end(mut self) {
        for _ in 0..4 {
            self.burst.rx(&mut *self.rx).unwrap();
        }
        // The thread shows a little later what it did.
        until("a link, or a reason why there is none", || {
            self.device.link() == Link::Up || !self.device.info().notes.is_empty()
        });
        let _ = mode(&*self.device, "memory");
        let Lab { device, rx, tx, burst, guest, .. } = self;
        drop((device, rx, tx));
        #[cfg(debug_assertions)]
        assert_eq!(pool().owned(), [0; 0], "every cell is back");
        drop(burst);
        let mapped = format!("memfd:{} ", guest.name);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert_eq!(maps.matches(&mapped).count(), 1, "of the guest's memory only its own mapping is left");
    }
}

/// Whether an answer came, or the rest of a message is waited for; not when the connection was ended. Answers are thrown away.
fn answered(stream: &UnixStream) -> bool {
    let mut poll = libc::pollfd { fd: stream.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one descriptor.
    if unsafe { libc::poll(&mut poll, 1, 20) } == 0 {
        return true;
    }
    let mut bytes = [0u8; 4096];
    // SAFETY: the kernel writes at most as many bytes as there is room for.
    unsafe { libc::recv(stream.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT) > 0 }
}
