//! memif against peers that say what they must not say: each check by its name, and nobody else notices.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

#[path = "common/memif.rs"]
mod memif;

use common::{experimental, until};
use memif::*;
use millrace_engine::Pool;
use millrace_engine::Waker;
use millrace_engine::device::{RxQueue, TestBurst, TxQueue};
use millrace_engine::memory::HugePages;
use millrace_io::{Context, Device, Link, Memif, QueuePair, Role, Spec, open};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

fn abstract_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("@millrace-hostile-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

struct Port {
    name: String,
    pool: &'static Pool,
    rx: Box<dyn RxQueue>,
    tx: Box<dyn TxQueue>,
    burst: TestBurst,
    device: Box<dyn Device>,
}

impl Port {
    fn open(spec: &Memif) -> Port {
        let pool = Pool::new(2048, HugePages::Off).unwrap();
        let context = Context { pool, changed: Waker::new().unwrap() };
        let mut device = open(&Spec::Memif(spec.clone()), "port", &context).unwrap();
        let QueuePair { rx, tx } = device.queues(1).unwrap().remove(0);
        let (rx, tx) = (rx.unwrap(), tx.unwrap());
        Port { name: spec.socket.clone(), pool, rx, tx, burst: TestBurst::new(pool), device }
    }

    fn server() -> Port {
        Port::open(&spec(Role::Server, false))
    }

    /// Polls both ways, as a worker with something to send does.
    fn poll(&mut self) -> usize {
        let frame = experimental(1, 60);
        self.burst.tx(&mut *self.tx, &[&frame]).unwrap();
        self.burst.reclaim(&mut *self.tx);
        self.burst.rx(&mut *self.rx).unwrap().len()
    }

    fn up(&self) -> bool {
        self.device.link() == Link::Up
    }

    fn stat(&self, name: &str) -> u64 {
        self.device.stats().into_iter().find(|(n, _)| *n == name).unwrap().1
    }

    fn notes(&self) -> String {
        self.device.info().notes.join("; ")
    }

    /// Polls until the link is gone for this reason, which is told.
    #[track_caller]
    fn ends(&mut self, peer: &Raw, why: &str) {
        until(&format!("the end because of {why}"), || {
            self.poll();
            !self.up()
        });
        assert!(self.notes().contains(why), "{}", self.notes());
        let told = peer.farewell();
        assert!(told.contains(why), "{told}");
        // Everything is as before: the next peer finds it so.
        until("all cells", || self.pool.owned().is_empty());
    }
}

fn spec(role: Role, zero_copy: bool) -> Memif {
    Memif { socket: abstract_name(), id: 0, role, secret: None, queues: 1, ring_size: 512, zero_copy }
}

/// What a client does wrong once packets pass, and what it is told.
type Wrong = (&'static str, fn(&Shared));

#[test]
fn descriptors_of_a_client_are_checked() {
    let wrong: &[Wrong] = &[
        ("index moved beyond", |m| m.set_head(TO_SERVER, 33)),
        ("index moved beyond", |m| m.set_head(TO_SERVER, 0xffff)),
        ("unknown region", |m| {
            m.descriptor(TO_SERVER, 0, 0, 1, 60, 0);
            m.set_head(TO_SERVER, 1);
        }),
        ("out of its region", |m| {
            m.descriptor(TO_SERVER, 0, 0, 0, 61, (1 << 20) - 60);
            m.set_head(TO_SERVER, 1);
        }),
        ("out of its region", |m| {
            m.descriptor(TO_SERVER, 0, 0, 0, u32::MAX, u32::MAX);
            m.set_head(TO_SERVER, 1);
        }),
        ("a descriptor of no bytes", |m| {
            m.descriptor(TO_SERVER, 0, 0, 0, 0, 0);
            m.set_head(TO_SERVER, 1);
        }),
        ("says that more follow", |m| {
            for slot in 0..5 {
                m.descriptor(TO_SERVER, slot, 1, 0, 60, 0);
            }
            m.set_head(TO_SERVER, 5);
        }),
        // A chain that bites its tail: the whole ring.
        ("says that more follow", |m| {
            for slot in 0..32 {
                m.descriptor(TO_SERVER, slot, 1, 0, 60, 0);
            }
            m.set_head(TO_SERVER, 32);
        }),
        ("too many descriptors or bytes", |m| {
            for slot in 0..20 {
                m.descriptor(TO_SERVER, slot, u16::from(slot < 19), 0, 4000, 0);
            }
            m.set_head(TO_SERVER, 20);
        }),
        // The second of a chain.
        ("unknown region", |m| {
            m.descriptor(TO_SERVER, 0, 1, 0, 3000, 0);
            m.descriptor(TO_SERVER, 1, 0, 9, 60, 0);
            m.set_head(TO_SERVER, 2);
        }),
        ("index moved beyond", |m| m.set_head(TO_CLIENT, 33)),
        ("unknown region", |m| {
            m.descriptor(TO_CLIENT, 0, 0, 7, 2048, 0);
            m.set_head(TO_CLIENT, 1);
        }),
        ("out of its region", |m| {
            m.descriptor(TO_CLIENT, 0, 0, 0, 2048, (1 << 20) - 2047);
            m.set_head(TO_CLIENT, 1);
        }),
        ("a descriptor of no bytes", |m| {
            m.descriptor(TO_CLIENT, 0, 0, 0, 0, 0);
            m.set_head(TO_CLIENT, 1);
        }),
        ("made shorter", |m| {
            m.descriptor(TO_SERVER, 0, 0, 0, 60, 900_000);
            m.set_head(TO_SERVER, 1);
            m.truncate(800_000);
        }),
        ("made shorter", |m| m.truncate(0)),
        ("made shorter", |m| {
            m.descriptor(TO_CLIENT, 0, 0, 0, 2048, 900_000);
            m.set_head(TO_CLIENT, 1);
            m.truncate(800_000);
        }),
    ];
    let mut port = Port::server();
    for (n, (why, attack)) in wrong.iter().enumerate() {
        let client = RawClient::connected(&port.name, 0, 5);
        until("the link", || port.up());
        assert_eq!(port.poll(), 0);
        let faults = port.stat("rx_bad_descriptors") + port.stat("tx_bad_descriptors");
        attack(&client.memory);
        port.ends(&client.raw, why);
        let now = port.stat("rx_bad_descriptors") + port.stat("tx_bad_descriptors");
        assert!(now == faults + 1 || why.contains("shorter"), "{n}: {why}");
    }
    assert_eq!(port.stat("connections"), wrong.len() as u64);
}

#[test]
fn an_endless_chain_of_small_pieces_is_none() {
    let mut port = Port::server();
    let client = RawClient::connected(&port.name, 0, 9);
    for slot in 0..512 {
        client.memory.descriptor(TO_SERVER, slot, 1, 0, 1, 0);
    }
    client.memory.set_head(TO_SERVER, 300);
    port.ends(&client.raw, "too many descriptors or bytes");
}

/// Good things are taken as they are, wherever they lie.
#[test]
fn a_raw_client_is_served() {
    let mut port = Port::server();
    let client = RawClient::connected(&port.name, 0, 5);
    let m = &client.memory;
    let frame = experimental(1, 60);
    for turn in 0..5000u16 {
        let at = (1 << 20) - 60;
        m.put(at, &frame);
        m.descriptor(TO_SERVER, turn % 32, 0, 0, 60, at as u32);
        m.set_head(TO_SERVER, turn + 1);
        let mut got = Vec::new();
        until("the frame", || {
            got.extend(port.burst.rx(&mut *port.rx).unwrap());
            !got.is_empty()
        });
        assert_eq!(got, [frame.as_slice()]);
        assert_eq!(m.tail(TO_SERVER), turn + 1);
    }
    // Slots of any size are filled, and none further than it is.
    m.put(BUFFERS, &[0xee; 4096]);
    for slot in 0..16 {
        m.descriptor(TO_CLIENT, slot, 0, 0, 10, BUFFERS as u32 + 20 * u32::from(slot));
    }
    m.set_head(TO_CLIENT, 16);
    assert_eq!(port.burst.tx(&mut *port.tx, &[&frame, &frame, &frame]).unwrap(), 2);
    assert_eq!(m.tail(TO_CLIENT), 12);
    for slot in 0..16u16 {
        let piece: [u8; 20] = m.get(BUFFERS + 20 * usize::from(slot));
        let (flags, region, len, offset) = m.read_descriptor(TO_CLIENT, slot);
        assert_eq!((region, len, offset), (0, 10, BUFFERS as u32 + 20 * u32::from(slot)));
        if slot < 12 {
            let from = usize::from(slot % 6) * 10;
            assert_eq!(piece[..10], frame[from..from + 10]);
            assert_eq!(flags, u16::from(slot % 6 != 5));
        } else if slot > 15 {
            assert_eq!(flags, 0);
        }
        assert_eq!(piece[10..], [0xee; 10]);
    }
    // A client that leaves the flag in a slot from the chain before (DPDK's does) is understood.
    let head = m.head(TO_SERVER);
    let slots = [(head % 32, 1), ((head + 1) % 32, 0)];
    for (slot, flags) in slots {
        m.descriptor(TO_SERVER, slot, flags, 0, 60, BUFFERS as u32);
    }
    m.set_head(TO_SERVER, head + 2);
    until("the chain", || port.burst.rx(&mut *port.rx).unwrap().iter().any(|frame| frame.len() == 120));
    assert_eq!(m.read_descriptor(TO_SERVER, slots[0].0).0, 0);
}

/// What a client says wrong in the handshake, and what it is told.
#[test]
fn messages_of_a_client_are_checked() {
    type Step = fn(&RawClient);
    let ring = |to_server| RawClient::ring_message(to_server, 5);
    let good_ring = ring(true);
    let with = |c: &RawClient, ring: RingMessage| c.raw.send(&ring.bytes(), &[c.interrupt(ring.to_server)]);
    fn initiated(c: &RawClient) {
        c.raw.ask(&init(0), &[], ACK);
    }
    fn with_memory(c: &RawClient) {
        initiated(c);
        c.raw.ask(&add_region(0, 1 << 20), &[c.region()], ACK);
    }
    fn nothing(_: &RawClient) {}
    let connect = message(CONNECT, &[b"raw0"]);
    let port = Port::server();
    let fails = |why: &str, before: Step, say: &dyn Fn(&RawClient) -> bool| {
        let client = RawClient::greeted(&port.name);
        before(&client);
        say(&client);
        let told = client.raw.farewell();
        assert!(told.contains(why), "{told} instead of {why}");
    };
    fails("not of 128 bytes", nothing, &|c| c.raw.send(&[3; 127], &[]));
    fails("not of 128 bytes", nothing, &|c| c.raw.send(&[3; 129], &[]));
    fails("unknown type", nothing, &|c| c.raw.send(&[9; 128], &[]));
    fails("more than one descriptor", nothing, &|c| c.raw.send(&init(0), &[c.region(), c.region()]));
    fails("more than one descriptor", nothing, &|c| c.raw.send(&init(0), &[c.region(); 10]));
    fails("not expected", nothing, &|c| c.raw.send(&message(ACK, &[]), &[]));
    fails("not expected", nothing, &|c| c.raw.send(&add_region(0, 4096), &[c.region()]));
    fails("not expected", nothing, &|c| with(c, good_ring));
    fails("not expected", nothing, &|c| c.raw.send(&connect, &[]));
    fails("not expected", initiated, &|c| c.raw.send(&init(0), &[]));
    fails("not expected", initiated, &|c| c.raw.send(&hello(0x200, 0, 1, 5), &[]));
    fails("no interface of id 7", nothing, &|c| c.raw.send(&init(7), &[]));
    let changed = |at: usize, byte: u8| {
        let mut bytes = init(0);
        bytes[at] = byte;
        bytes
    };
    fails("only version 2.0", nothing, &|c| c.raw.send(&changed(3, 3), &[]));
    fails("only Ethernet", nothing, &|c| c.raw.send(&changed(8, 1), &[]));
    fails("region without a descriptor", initiated, &|c| c.raw.send(&add_region(0, 4096), &[]));
    fails("regions out of order", initiated, &|c| c.raw.send(&add_region(1, 4096), &[c.region()]));
    fails("regions out of order", with_memory, &|c| c.raw.send(&add_region(0, 4096), &[c.region()]));
    fails("shorter than it is said", initiated, &|c| c.raw.send(&add_region(0, (1 << 20) + 1), &[c.region()]));
    fails("shorter than it is said", initiated, &|c| c.raw.send(&add_region(0, u64::MAX), &[c.region()]));
    fails("shorter than it is said", initiated, &|c| c.raw.send(&add_region(0, 0), &[c.region()]));
    fails("no shared memory", initiated, &|c| c.raw.send(&add_region(0, 4096), &[c.interrupt(true)]));
    fails("ring without a descriptor", with_memory, &|c| c.raw.send(&good_ring.bytes(), &[]));
    fails("no eventfd", with_memory, &|c| c.raw.send(&good_ring.bytes(), &[c.region()]));
    let (reader, writer) = std::io::pipe().unwrap();
    let pipe = OwnedFd::from(writer);
    fails("no eventfd", with_memory, &|c| c.raw.send(&good_ring.bytes(), &[pipe.as_raw_fd()]));
    drop(reader);
    fails("rings out of order", with_memory, &|c| with(c, RingMessage { index: 1, ..good_ring }));
    fails("more rings than were allowed", with_memory, &|c| {
        c.raw.ask(&good_ring.bytes(), &[c.interrupt(true)], ACK);
        with(c, RingMessage { index: 1, ..good_ring })
    });
    fails("larger than was allowed", with_memory, &|c| with(c, RingMessage { log2_size: 10, ..good_ring }));
    fails("larger than was allowed", with_memory, &|c| with(c, RingMessage { log2_size: 0, ..good_ring }));
    fails("private headers", with_memory, &|c| with(c, RingMessage { private_header: 4, ..good_ring }));
    fails("a ring in each direction", with_memory, &|c| c.raw.send(&connect, &[]));
    let connects = |c: &RawClient, rings: [RingMessage; 2]| {
        for ring in rings {
            c.raw.ask(&ring.bytes(), &[c.interrupt(ring.to_server)], ACK);
        }
        c.raw.send(&connect, &[])
    };
    fails("a ring in each direction", with_memory, &|c| {
        c.raw.ask(&good_ring.bytes(), &[c.interrupt(true)], ACK);
        c.raw.send(&connect, &[])
    });
    fails("unknown region", with_memory, &|c| connects(c, [RingMessage { region: 1, ..good_ring }, ring(false)]));
    fails("not aligned", with_memory, &|c| connects(c, [good_ring, RingMessage { offset: 8, ..ring(false) }]));
    let end = (1 << 20) - 512;
    fails("out of its region", with_memory, &|c| connects(c, [good_ring, RingMessage { offset: end, ..ring(false) }]));
    let far = u32::MAX - 15;
    fails("out of its region", with_memory, &|c| connects(c, [RingMessage { offset: far, ..good_ring }, ring(false)]));
    fails("without the cookie", with_memory, &|c| {
        connects(c, [RingMessage { offset: 4096, ..good_ring }, ring(false)])
    });
    fails("not expected", nothing, &|c| {
        with_memory(c);
        connects(c, [good_ring, ring(false)]);
        assert_eq!(kind(&c.raw.receive().unwrap().0), CONNECTED);
        c.raw.send(&add_region(1, 4096), &[c.region()])
    });
    // None of them is in the way of a good one.
    let _client = RawClient::connected(&port.name, 0, 5);
    assert!(port.up());
    assert_eq!(port.stat("connections"), 2);
}

#[test]
fn nobody_waits_for_a_peer_that_says_nothing() {
    let port = Port::server();
    let start = Instant::now();
    let silent = RawClient::greeted(&port.name);
    silent.raw.ask(&init(0), &[], ACK);
    let crowd: Vec<_> = (0..100).map(|_| Raw::connect(&port.name)).collect();
    // All are greeted; the oldest had to go for that.
    assert!(crowd.iter().all(|raw| raw.receive().is_some_and(|(greeting, _)| kind(&greeting) == HELLO)));
    let refused = crowd.iter().filter(|raw| raw.readable(Duration::ZERO));
    let refused = refused.map(Raw::farewell).inspect(|why| assert_eq!(why, "others wait")).count();
    assert_eq!(refused, 36, "64 are waited for");
    // The interface is taken while the first is at it; another one on the socket is served at once.
    let other = Port::open(&Memif { socket: port.name.clone(), id: 1, ..spec(Role::Server, false) });
    let _client = RawClient::connected(&port.name, 1, 5);
    assert!(other.up() && start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(silent.raw.farewell().contains("took longer than 5 s"));
    assert!(port.notes().contains("took longer than 5 s"), "{}", port.notes());
    let _client = RawClient::connected(&port.name, 0, 5);
    assert!(port.up());
}

/// The rings of our client, as its server sees them.
struct Served {
    port: Port,
    server: RawServer,
}

impl Served {
    fn new(listener: &RawListener, spec: &Memif) -> Served {
        let mut port = Port::open(spec);
        let server = RawServer::connected(listener, &hello(0x200, 255, 4, 5));
        until("the link", || port.up());
        assert_eq!(port.poll(), 0);
        Served { port, server }
    }
}

#[test]
fn descriptors_of_a_server_are_checked() {
    type Attack = fn(&Shared, usize, usize);
    let wrong: &[(&str, Attack)] = &[
        ("index moved beyond", |m, _, to_client| m.set_tail(to_client, 33)),
        ("index moved beyond", |m, _, to_client| m.set_tail(to_client, 0xffff)),
        ("a descriptor of no bytes", |m, _, to_client| {
            m.descriptor(to_client, 0, 0, 0, 0, 0);
            m.set_tail(to_client, 1);
        }),
        ("more bytes than its slot", |m, _, to_client| {
            m.descriptor(to_client, 0, 0, 0, 2049, 0);
            m.set_tail(to_client, 1);
        }),
        ("says that more follow", |m, _, to_client| {
            for slot in 0..32 {
                m.descriptor(to_client, slot, 1, 0, 60, 0);
            }
            m.set_tail(to_client, 32);
        }),
        ("index moved beyond", |m, to_server, _| m.set_tail(to_server, 20)),
        ("index moved beyond", |m, to_server, _| m.set_tail(to_server, 0xffff)),
    ];
    for zero_copy in [false, true] {
        let spec = spec(Role::Client, zero_copy);
        let listener = RawListener::bind(&spec.socket);
        for (why, attack) in wrong {
            let Served { mut port, server } = Served::new(&listener, &spec);
            let (memory, to_server) = server.ring(true);
            let (_, to_client) = server.ring(false);
            attack(memory, to_server, to_client);
            port.ends(&server.raw, why);
            assert_eq!(port.stat("rx_bad_descriptors") + port.stat("tx_bad_descriptors"), 1, "{why}");
        }
    }
}

/// Where a slot lies is the client's own business: what the server writes there is not believed.
#[test]
fn a_server_cannot_move_buffers() {
    for zero_copy in [false, true] {
        let spec = spec(Role::Client, zero_copy);
        let listener = RawListener::bind(&spec.socket);
        let Served { mut port, server } = Served::new(&listener, &spec);
        let frame = experimental(1, 60);
        let (memory, to_client) = server.ring(false);
        let (_, region, len, offset) = memory.read_descriptor(to_client, 0);
        assert_eq!(len, 2048);
        server.regions[usize::from(region)].put(offset as usize, &frame);
        memory.descriptor(to_client, 0, 0, 77, 60, u32::MAX);
        memory.set_tail(to_client, 1);
        until("the frame", || port.burst.rx(&mut *port.rx).unwrap() == [frame.as_slice()]);
        assert!(port.up());
    }
}

#[test]
fn messages_of_a_server_are_checked() {
    let good = hello(0x200, 255, 1, 5);
    for zero_copy in [false, true] {
        let spec = spec(Role::Client, zero_copy);
        let listener = RawListener::bind(&spec.socket);
        let port = Port::open(&spec);
        let fails = |why: &str, messages: &[[u8; 128]]| {
            let raw = listener.accept();
            for message in messages {
                assert!(raw.send(message, &[]));
            }
            let told = loop {
                let (message, _) = raw.receive().expect("a reason");
                if kind(&message) == DISCONNECT {
                    break reason(&message);
                }
            };
            assert!(told.contains(why), "{told} instead of {why}");
            until("the note", || port.notes().contains(why));
            assert!(!port.up());
        };
        fails("only version 2.0", &[hello(0x300, 255, 1, 5)]);
        fails("only version 2.0", &[hello(0x100, 255, 1, 5)]);
        fails("rings of one slot", &[hello(0x200, 255, 1, 0)]);
        fails("not expected", &[message(ACK, &[])]);
        fails("not expected", &[message(CONNECTED, &[])]);
        fails("not expected", &[init(0)]);
        fails("unknown type", &[[0; 128]]);
        fails("not expected", &[good, good]);
        fails("not expected", &[good, message(CONNECTED, &[])]);
        let acks = [message(ACK, &[]); 10];
        fails("not expected", &[&[good][..], &acks].concat());
        if zero_copy {
            fails("one region only", &[hello(0x200, 0, 1, 5)]);
        }
        // What it says of itself is shown.
        let raw = listener.accept();
        assert!(raw.send(&message(DISCONNECT, &[&[0; 4], b"no \x1b[31mroom"]), &[]));
        until("the note", || port.notes().contains("no ?[31mroom"));
        // One that listens and says nothing, and one that only listens.
        let silent = listener.accept();
        assert!(silent.farewell().contains("took longer than 5 s"));
        let server = RawServer::connected(&listener, &good);
        until("the link", || port.up());
        assert_eq!(server.regions.len(), 1 + usize::from(zero_copy));
        let start = Instant::now();
        drop(port);
        assert!(start.elapsed() < Duration::from_secs(1));
        assert_eq!(server.raw.farewell(), "the interface was removed");
    }
}

/// An eventfd whose counter is full makes its writer wait, unless it was told not to; the peer can take that back.
#[test]
fn a_worker_does_not_wait_for_a_peer_that_takes_no_interrupts() {
    let mut port = Port::server();
    let client = RawClient::connected(&port.name, 0, 5);
    let eventfd = client.interrupt(false);
    // SAFETY: numbers, and eight bytes to read.
    unsafe {
        assert_eq!(libc::fcntl(eventfd, libc::F_SETFL, 0), 0);
        let full = u64::MAX - 1;
        assert_eq!(libc::write(eventfd, (&raw const full).cast(), 8), 8);
    }
    client.memory.descriptor(TO_CLIENT, 0, 0, 0, 2048, BUFFERS as u32);
    client.memory.set_head(TO_CLIENT, 1);
    let start = Instant::now();
    port.ends(&client.raw, "makes its writers wait");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

/// Indices and descriptors at random, while packets are sent and received: nobody crashes, and every cell comes back.
#[test]
fn random_rings_do_no_harm() {
    let mut seed = 1u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut port = Port::server();
    for _ in 0..300 {
        let client = RawClient::connected(&port.name, 0, 5);
        for ring in [TO_SERVER, TO_CLIENT] {
            for slot in 0..32 {
                let r = random();
                let (len, offset) = (r as u32 % 3000, (r >> 32) as u32 % ((1 << 20) - 2000));
                client.memory.descriptor(ring, slot, u16::from(r >> 62 == 0), 0, len, offset);
            }
        }
        for _ in 0..10 {
            let r = random();
            client.memory.set_head(TO_SERVER, client.memory.tail(TO_SERVER).wrapping_add(r as u16 % 34));
            client.memory.set_head(TO_CLIENT, client.memory.tail(TO_CLIENT).wrapping_add((r >> 16) as u16 % 34));
            port.poll();
        }
        drop(client);
        until("the end", || !port.up());
        until("all cells", || port.pool.owned().is_empty());
    }
}
