//! A memif peer that says and writes anything at all: control messages to either end, and rings that change while packets are
//! sent and received. Whatever it does, nobody panics or hangs, what must not be ends the link, and every cell comes back.
//!
//! The fuzz target and an ordinary test over saved and random inputs share this.

use crate::peer::*;
use millrace_engine::device::{RxQueue, TestBurst, TxQueue};
use millrace_engine::memory::HugePages;
use millrace_engine::{Pool, Waker};
use millrace_io::{Context, Device, Link, Memif, QueuePair, Role, Spec, open};
use std::cell::RefCell;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// Slots of the rings, as a power of two.
const LOG2_SIZE: u8 = 5;

/// Bytes that become decisions; zeros when there are no more.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut to = [0; N];
        let n = N.min(self.0.len());
        let (now, later) = self.0.split_at(n);
        to[..n].copy_from_slice(now);
        self.0 = later;
        to
    }

    fn byte(&mut self) -> u8 {
        self.bytes::<1>()[0]
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }
}

/// What stays from one input to the next.
struct Lab {
    context: Context,
    burst: TestBurst,
    frames: [Vec<u8>; 3],
}

thread_local! {
    static LAB: RefCell<Option<Lab>> = const { RefCell::new(None) };
}

impl Lab {
    fn new() -> Lab {
        let pool = Pool::new(512, HugePages::Off).expect("memory");
        let changed = Waker::new().expect("a descriptor");
        let frames = [60, 2048, 9000].map(|len| (0..len).map(|n| n as u8).collect());
        Lab { context: Context { pool, changed }, burst: TestBurst::new(pool), frames }
    }
}

/// The driver, in one of its roles.
struct Port<'a> {
    lab: &'a mut Lab,
    rx: Box<dyn RxQueue>,
    tx: Box<dyn TxQueue>,
    device: Box<dyn Device>,
}

impl Port<'_> {
    fn open<'a>(lab: &'a mut Lab, socket: &str, role: Role, zero_copy: bool) -> Port<'a> {
        let ring_size = 1 << LOG2_SIZE;
        let memif = Memif { socket: socket.to_owned(), id: 0, role, secret: None, queues: 2, ring_size, zero_copy };
        let mut device = open(&Spec::Memif(memif), "fuzz", &lab.context).expect("the device");
        let QueuePair { rx, tx } = device.queues(1).expect("queues").remove(0);
        Port { lab, rx: rx.expect("a queue"), tx: tx.expect("a queue"), device }
    }

    fn up(&self) -> bool {
        self.device.link() == Link::Up
    }

    /// What a worker does.
    fn poll(&mut self, what: u8) {
        let Lab { burst, frames, .. } = &mut *self.lab;
        let frame = frames[usize::from(what) % frames.len()].as_slice();
        let count = usize::from(what >> 4);
        burst.tx(&mut *self.tx, &vec![frame; count]).expect("a link that is down is no error");
        burst.reclaim(&mut *self.tx);
        for frame in burst.rx(&mut *self.rx).expect("a link that is down is no error") {
            assert!((1..=65_535).contains(&frame.len()), "{} bytes", frame.len());
        }
        if what & 8 != 0 {
            let _ = self.rx.wake();
        }
    }

    fn faults(&self) -> u64 {
        let bad = self.device.stats().into_iter().filter(|(name, _)| name.ends_with("bad_descriptors"));
        bad.map(|(_, n)| n).sum()
    }

    /// After the peer went, or did something wrong.
    fn end(self) {
        until("the link to go", || !self.up());
        let Port { lab, rx, tx, device } = self;
        drop((device, rx, tx));
        assert!(lab.context.pool.owned().is_empty(), "cells that nobody has");
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// Runs one input.
pub fn run(data: &[u8]) {
    LAB.with_borrow_mut(|lab| {
        let lab = lab.get_or_insert_with(Lab::new);
        let mut input = Input(data);
        match input.byte() % 8 {
            0 => messages_to_server(lab, &mut input),
            1 => messages_to_client(lab, &mut input),
            2..=4 => rings_of_client(lab, &mut input),
            5 | 6 => rings_of_server(lab, &mut input, false),
            _ => rings_of_server(lab, &mut input, true),
        }
    });
}

/// An abstract name that no other thread has.
fn socket() -> String {
    format!("@millrace-fuzz-{}-{:?}", std::process::id(), std::thread::current().id())
}

/// One of what the protocol knows, with some of its bytes changed; or any bytes.
fn any_message(input: &mut Input<'_>) -> ([u8; 128], usize) {
    let kind = input.byte();
    let ring = |to_server, index| RingMessage { index, ..RawClient::ring_message(to_server, LOG2_SIZE) };
    let mut bytes = match kind % 12 {
        0 => init(0),
        1 => add_region(0, 1 << 20),
        2 => add_region(1, 4096),
        3 => ring(true, 0).bytes(),
        4 => ring(false, 0).bytes(),
        5 => ring(false, 1).bytes(),
        6 => message(CONNECT, &[b"fuzz"]),
        7 => message(ACK, &[]),
        8 => hello(0x200, 255, 2, LOG2_SIZE),
        9 => message(CONNECTED, &[b"fuzz"]),
        10 => message(DISCONNECT, &[&[0; 4], b"enough"]),
        _ => {
            let mut bytes = [input.byte(); 128];
            bytes[..16].copy_from_slice(&input.bytes::<16>());
            bytes
        }
    };
    for _ in 0..kind >> 6 {
        bytes[usize::from(input.byte()) % 128] = input.byte();
    }
    let len = if kind == 0xff { usize::from(input.byte()) } else { 128 };
    (bytes, len.clamp(1, 128))
}

fn messages_to_server(lab: &mut Lab, input: &mut Input<'_>) {
    let name = socket();
    let mut port = Port::open(lab, &name, Role::Server, false);
    let client = RawClient::greeted(&name);
    let files = [client.region(), client.interrupt(true), client.interrupt(false)];
    while !input.0.is_empty() {
        let (message, len) = any_message(input);
        let with = input.byte();
        let usual = match kind(&message) {
            ADD_REGION => &files[..1],
            ADD_RING => &files[1..2],
            _ => &[],
        };
        let others: Vec<RawFd> = files.iter().copied().cycle().skip(1).take(usize::from(with % 4)).collect();
        let descriptors = if with < 0x80 { usual } else { &others };
        if !client.raw.send(&message[..len], descriptors) {
            break;
        }
        // Everything is answered, or is the end.
        let Some((answer, _)) = client.raw.receive() else { break };
        match kind(&answer) {
            ACK => {}
            CONNECTED => change(&mut port, &client.memory, [TO_SERVER, TO_CLIENT], true, input),
            DISCONNECT => assert!(!reason(&answer).is_empty()),
            other => panic!("an answer of type {other}"),
        }
        port.poll(with);
    }
    drop(client);
    port.end();
}

fn messages_to_client(lab: &mut Lab, input: &mut Input<'_>) {
    let name = socket();
    let listener = RawListener::bind(&name);
    let mut port = Port::open(lab, &name, Role::Client, input.byte() & 1 != 0);
    let server = listener.accept();
    let mut messages = Vec::new();
    if input.byte() < 0x80 {
        // As far as a good server would go, and then on.
        let acks = usize::from(input.byte()) % 10;
        messages.push((hello(0x200, 255, 1, LOG2_SIZE), 128));
        messages.extend(std::iter::repeat_n((message(ACK, &[]), 128), acks));
    }
    while !input.0.is_empty() && messages.len() < 32 {
        messages.push(any_message(input));
    }
    for (message, len) in messages {
        // A descriptor where none is expected.
        let descriptors = &[std::io::stderr().as_raw_fd()][..usize::from(message[127] > 0x80)];
        if !server.send(&message[..len], descriptors) {
            break;
        }
        port.poll(message[2]);
    }
    drop((server, listener));
    port.end();
}

fn rings_of_client(lab: &mut Lab, input: &mut Input<'_>) {
    let name = socket();
    let mut port = Port::open(lab, &name, Role::Server, false);
    let client = RawClient::connected(&name, 0, LOG2_SIZE);
    change(&mut port, &client.memory, [TO_SERVER, TO_CLIENT], true, input);
    drop(client);
    port.end();
}

fn rings_of_server(lab: &mut Lab, input: &mut Input<'_>, zero_copy: bool) {
    let name = socket();
    let listener = RawListener::bind(&name);
    let mut port = Port::open(lab, &name, Role::Client, zero_copy);
    let server = RawServer::connected(&listener, &hello(0x200, 255, 1, LOG2_SIZE));
    until("the link", || port.up());
    port.poll(0);
    let (memory, to_server) = server.ring(true);
    let (_, to_client) = server.ring(false);
    change(&mut port, memory, [to_server, to_client], false, input);
    drop((server, listener));
    port.end();
}

/// Changes rings while packets are sent and received. The client moves heads, the server tails.
fn change(port: &mut Port<'_>, memory: &Shared, rings: [usize; 2], is_client: bool, input: &mut Input<'_>) {
    while !input.0.is_empty() {
        let step = input.byte();
        let ring = rings[usize::from(step >> 7)];
        let index = if is_client { memory.head(ring) } else { memory.tail(ring) };
        let set = |index: u16| if is_client { memory.set_head(ring, index) } else { memory.set_tail(ring, index) };
        match step % 8 {
            0 | 1 => {
                // Good ones mostly, so that some packets pass.
                let (slot, flags) = (u16::from(input.byte() % 32), input.byte());
                let region = if flags & 0xf0 == 0xf0 { input.u16() } else { 0 };
                let len = if flags & 8 != 0 { input.u32() } else { u32::from(input.u16() % 4096) };
                let offset = if flags & 4 != 0 { input.u32() } else { BUFFERS as u32 + u32::from(input.u16()) };
                memory.descriptor(ring, slot, u16::from(flags & 1), region, len, offset);
            }
            2 | 3 => set(index.wrapping_add(u16::from(input.byte() % 40))),
            4 => set(input.u16()),
            5 => {
                let at = if step & 0x40 != 0 { ring + usize::from(input.byte()) } else { input.u32() as usize };
                let bytes = input.bytes::<8>();
                memory.put(at % (memory.len - 8), &bytes);
            }
            6 if step == 0x7e && is_client => {
                memory.truncate(i64::from(input.u32() % (1 << 20)));
                // What is gone is gone for this test, too.
                (0..4).for_each(|_| port.poll(0x1c));
                return;
            }
            _ => port.poll(input.byte()),
        }
    }
    port.poll(0x10);
    port.poll(0x12);
    if port.faults() > 0 {
        until("the end", || !port.up());
    }
}
