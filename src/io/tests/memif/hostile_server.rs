//! Servers that say and write what they must not.

use crate::common::{experimental, until};
use crate::peer::*;
use crate::setup::*;
use millrace_io::{Memif, Role};
use std::time::{Duration, Instant};

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
        let spec = large(Role::Client, zero_copy);
        let listener = RawListener::bind(&spec.socket);
        for (why, attack) in wrong {
            let Served { mut port, server } = Served::new(&listener, &spec);
            let (memory, to_server) = server.ring(true);
            let (_, to_client) = server.ring(false);
            attack(memory, to_server, to_client);
            port.ends(&server.raw, why);
            assert_eq!(port.faults(), 1, "{why}");
        }
    }
}

/// Where a slot lies is the client's own business: what the server writes there is not believed.
#[test]
fn a_server_cannot_move_buffers() {
    for zero_copy in [false, true] {
        let spec = large(Role::Client, zero_copy);
        let listener = RawListener::bind(&spec.socket);
        let Served { mut port, server } = Served::new(&listener, &spec);
        let frame = experimental(1, 60);
        let (memory, to_client) = server.ring(false);
        let (_, region, len, offset) = memory.read_descriptor(to_client, 0);
        assert_eq!(len, 2048);
        server.regions[usize::from(region)].put(offset as usize, &frame);
        memory.descriptor(to_client, 0, 0, 77, 60, u32::MAX);
        memory.set_tail(to_client, 1);
        until("the frame", || port.rx() == [frame.as_slice()]);
        assert!(port.up());
    }
}

#[test]
fn messages_of_a_server_are_checked() {
    let good = hello(0x200, 255, 1, 5);
    for zero_copy in [false, true] {
        let spec = large(Role::Client, zero_copy);
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
