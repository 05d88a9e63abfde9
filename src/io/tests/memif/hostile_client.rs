//! Clients that say and write what they must not: each check by its name, and nobody else notices.

use crate::common::{experimental, until};
use crate::peer::*;
use crate::setup::*;
use millrace_io::{Memif, Role};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// A server that takes rings of up to 512 slots.
fn server() -> Port {
    Port::open(&large(Role::Server, false))
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
    let mut port = server();
    for (n, (why, attack)) in wrong.iter().enumerate() {
        let client = RawClient::connected(&port.socket, 0, 5);
        until("the link", || port.up());
        assert_eq!(port.poll(), 0);
        let faults = port.faults();
        attack(&client.memory);
        port.ends(&client.raw, why);
        let now = port.faults();
        assert!(now == faults + 1 || why.contains("shorter"), "{n}: {why}");
    }
    assert_eq!(port.stat("connections"), wrong.len() as u64);
}

#[test]
fn an_endless_chain_of_small_pieces_is_none() {
    let mut port = server();
    let client = RawClient::connected(&port.socket, 0, 9);
    for slot in 0..512 {
        client.memory.descriptor(TO_SERVER, slot, 1, 0, 1, 0);
    }
    client.memory.set_head(TO_SERVER, 300);
    port.ends(&client.raw, "too many descriptors or bytes");
}

/// Good things are taken as they are, wherever they lie.
#[test]
fn a_raw_client_is_served() {
    let mut port = server();
    let client = RawClient::connected(&port.socket, 0, 5);
    let m = &client.memory;
    let frame = experimental(1, 60);
    for turn in 0..5000u16 {
        let at = (1 << 20) - 60;
        m.put(at, &frame);
        m.descriptor(TO_SERVER, turn % 32, 0, 0, 60, at as u32);
        m.set_head(TO_SERVER, turn + 1);
        let mut got = Vec::new();
        until("the frame", || {
            got.extend(port.rx());
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
    assert_eq!(port.tx(&[&frame, &frame, &frame]), 2);
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
    until("the chain", || port.rx().iter().any(|frame| frame.len() == 120));
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
    let port = server();
    let fails = |why: &str, before: Step, say: &dyn Fn(&RawClient) -> bool| {
        let client = RawClient::greeted(&port.socket);
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
    let _client = RawClient::connected(&port.socket, 0, 5);
    assert!(port.up());
    assert_eq!(port.stat("connections"), 2);
}

#[test]
fn nobody_waits_for_a_peer_that_says_nothing() {
    let port = server();
    let start = Instant::now();
    let silent = RawClient::greeted(&port.socket);
    silent.raw.ask(&init(0), &[], ACK);
    let crowd: Vec<_> = (0..100).map(|_| Raw::connect(&port.socket)).collect();
    // All are greeted; the oldest had to go for that.
    assert!(crowd.iter().all(|raw| raw.receive().is_some_and(|(greeting, _)| kind(&greeting) == HELLO)));
    let refused = crowd.iter().filter(|raw| raw.readable(Duration::ZERO));
    let refused = refused.map(Raw::farewell).inspect(|why| assert_eq!(why, "others wait")).count();
    assert_eq!(refused, 36, "64 are waited for");
    // The interface is taken while the first is at it; another one on the socket is served at once.
    let other = Port::open(&Memif { socket: port.socket.clone(), id: 1, ..large(Role::Server, false) });
    let _client = RawClient::connected(&port.socket, 1, 5);
    assert!(other.up() && start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(silent.raw.farewell().contains("took longer than 5 s"));
    assert!(port.notes().contains("took longer than 5 s"), "{}", port.notes());
    let _client = RawClient::connected(&port.socket, 0, 5);
    assert!(port.up());
}

/// An eventfd whose counter is full makes its writer wait, unless it was told not to; the peer can take that back.
#[test]
fn a_worker_does_not_wait_for_a_peer_that_takes_no_interrupts() {
    let mut port = server();
    let client = RawClient::connected(&port.socket, 0, 5);
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
    let mut port = server();
    for _ in 0..300 {
        let client = RawClient::connected(&port.socket, 0, 5);
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
        until("all cells", || port.all_back());
    }
}
