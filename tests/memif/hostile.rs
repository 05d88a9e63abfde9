//! Peers that mean harm. Whatever they write into the memory that is shared, their link ends with a reason, and all else goes
//! on.

use crate::net::{await_link, link, socket};
use harness::frames::{self, Arp};
use harness::memif::{
    self, ACK, ADD_REGION, ADD_RING, CONNECT, CONNECTED, Control, HELLO, INIT, Listener, Memory, Message, NEXT, Ring,
    Seal, Slot,
};
use harness::testpmd::Setup;
use harness::{Host, Lab, Router, eventually};
use std::os::fd::OwnedFd;
use std::path::Path;

const SLOTS: usize = 32;
const BUFFER: usize = 2048;
const RING: usize = memif::RING_HEADER + 16 * SLOTS;
const BUFFERS: usize = 4096;
const SIZE: usize = BUFFERS + 2 * SLOTS * BUFFER;
const MAC: frames::Mac = [2, 0, 0, 0, 9, 2];

/// A router with two hosts that talk on, and a memif for the test.
struct Target {
    router: Router,
    lan: Host,
    _wan: Host,
    lab: Lab,
}

impl Target {
    fn start(memif: &str) -> Target {
        let lab = Lab::new();
        let lan = lab.host("lan", "192.168.1.10/24", "192.168.1.1");
        let wan = lab.host("wan", "203.0.113.10/24", "203.0.113.1");
        let router = lab.start(&format!(
            "
interfaces:
  lan: {{driver: af-packet, device: lan, addresses: [192.168.1.1/24]}}
  wan: {{driver: af-packet, device: wan, addresses: [203.0.113.1/24]}}
  c0: {{driver: memif, socket: {}, {memif}addresses: [10.9.0.1/24]}}
",
            socket(&lab).display()
        ));
        lan.ping("203.0.113.10");
        Target { router, lan, _wan: wan, lab }
    }

    /// The link is down, a reason for it is shown, and the router does its work.
    #[track_caller]
    fn survived(&mut self, what: &str) {
        await_link(&self.router, "c0", "down");
        assert!(self.router.process().ended().is_none(), "{what} ended the router");
        assert!(self.lan.reaches("203.0.113.10"), "{what}: the others don't talk any more");
        let log = self.router.log();
        assert!(!log.contains("panicked"), "{what}: {log}");
    }
}

/// A client by hand, with one queue each way.
struct Client {
    control: Control,
    memory: Memory,
    out: Ring,
    back: Ring,
    bell: OwnedFd,
    _bell_back: OwnedFd,
}

impl Client {
    /// Connects as an honest client does, up to `CONNECT`.
    #[track_caller]
    fn attach(path: &Path, memory: Memory) -> Client {
        let control = Control::connect(path);
        control.expect(HELLO);
        let (out, back) = (Ring { at: 0, slots: SLOTS }, Ring { at: RING.next_multiple_of(64), slots: SLOTS });
        out.begin(&memory);
        back.begin(&memory);
        let (bell, bell_back) = (memif::eventfd(), memif::eventfd());
        let say = |message: Message, descriptor: Option<&OwnedFd>| {
            assert!(control.send(&message.0, descriptor));
            control.expect(ACK);
        };
        say(Message::init(0, ""), None);
        say(Message::region(0, memory.size() as u64), Some(&memory.descriptor));
        say(Message::ring(true, 0, 0, out.at as u32, 5), Some(&bell));
        say(Message::ring(false, 0, 0, back.at as u32, 5), Some(&bell_back));
        assert!(control.send(&Message::new(CONNECT).put(2, b"hostile").0, None));
        control.expect(CONNECTED);
        Client { control, memory, out, back, bell, _bell_back: bell_back }
    }

    fn new(path: &Path) -> Client {
        Client::attach(path, Memory::new(SIZE, Seal::NoShrink))
    }

    /// Where a buffer is.
    fn buffer(&self, number: usize) -> usize {
        BUFFERS + number * BUFFER
    }

    /// Gives the router empty buffers to write to.
    fn give_buffers(&self) {
        for slot in 0..SLOTS {
            let offset = self.buffer(SLOTS + slot) as u32;
            self.back.put(&self.memory, slot, Slot { length: BUFFER as u32, offset, ..Slot::default() });
        }
        self.memory.write_u16(self.back.head(), SLOTS as u16);
    }

    /// Puts descriptors on the ring to the router.
    fn put(&self, slots: &[Slot]) {
        let head = self.memory.read_u16(self.out.head());
        for (n, slot) in slots.iter().enumerate() {
            self.out.put(&self.memory, usize::from(head) + n, *slot);
        }
        self.memory.write_u16(self.out.head(), head.wrapping_add(slots.len() as u16));
        self.ring();
    }

    /// Wakes the router.
    fn ring(&self) {
        memif::ring(&self.bell);
    }

    /// A question for the router's address, which it answers on the ring back.
    fn ask(&self) {
        let arp = Arp { operation: 1, sender: (MAC, [10, 9, 0, 2]), target: ([0; 6], [10, 9, 0, 1]) };
        let frame = arp.frame(frames::BROADCAST);
        self.memory.write(self.buffer(0), &frame);
        self.put(&[Slot { length: frame.len() as u32, offset: self.buffer(0) as u32, ..Slot::default() }]);
    }

    fn answered(&self) -> bool {
        self.memory.read_u16(self.back.tail()) > 0
    }
}

/// What is bad below must be bad by what it says, and not by how it is said.
#[test]
fn the_client_by_hand_is_understood_by_testpmd() {
    let lab = Lab::new();
    let device = format!("net_memif0,role=server,id=0,socket={},socket-abstract=no", socket(&lab).display());
    let mut peer = Setup::device(&device).start();
    let client = Client::new(&socket(&lab));
    peer.link_is(0, true);
    peer.forward("icmpecho");
    client.give_buffers();
    client.ask();
    eventually("testpmd answers", || client.answered().then_some(()));
}

#[test]
fn bad_descriptors_end_the_link() {
    let mut target = Target::start("");
    let path = socket(&target.lab);
    let good = Slot { length: 64, offset: BUFFERS as u32, ..Slot::default() };
    let more = Slot { flags: NEXT, ..good };
    let cases: [(&str, Vec<Slot>); 9] = [
        ("no bytes", vec![Slot { length: 0, ..good }]),
        ("a region that isn't there", vec![Slot { region: 1, ..good }]),
        ("a region far away", vec![Slot { region: u16::MAX, ..good }]),
        ("behind the region", vec![Slot { offset: SIZE as u32, ..good }]),
        ("over the end", vec![Slot { offset: SIZE as u32 - 63, ..good }]),
        ("an offset that wraps", vec![Slot { offset: u32::MAX, length: 2, ..good }]),
        ("a length that wraps", vec![Slot { length: u32::MAX, ..good }]),
        ("a good one and a bad one", vec![more, Slot { region: 9, ..good }]),
        ("a chain without end", vec![more; SLOTS]),
    ];
    for (what, slots) in cases {
        let client = Client::new(&path);
        await_link(&target.router, "c0", "up");
        client.give_buffers();
        client.ask();
        eventually("an honest question is answered", || client.answered().then_some(()));
        client.put(&slots);
        let reason = client.control.ends();
        assert!(reason.is_some_and(|reason| !reason.is_empty()), "{what}: no reason was given");
        target.survived(what);
    }
    let events = target.router.run("show events");
    assert!(events.contains("descriptor"), "{events}");
}

#[test]
fn bad_indices_end_the_link() {
    let mut target = Target::start("");
    let path = socket(&target.lab);
    for (what, head) in [("more than the ring holds", SLOTS as u16 + 2), ("far ahead", 0x8000), ("backwards", 0xffff)] {
        let client = Client::new(&path);
        await_link(&target.router, "c0", "up");
        client.give_buffers();
        client.ask();
        eventually("an honest question is answered", || client.answered().then_some(()));
        client.memory.write_u16(client.out.head(), head);
        client.ring();
        client.control.ends();
        target.survived(what);
    }
    // The same on the ring back, which the router looks at when it has something to send.
    for (what, head) in [("more than the ring holds", SLOTS as u16 + 2), ("far ahead", 0x8000), ("backwards", 0xffff)] {
        let client = Client::new(&path);
        await_link(&target.router, "c0", "up");
        client.memory.write_u16(client.back.head(), head);
        client.ask();
        client.control.ends();
        target.survived(what);
    }
}

#[test]
fn bad_places_to_write_to_end_the_link() {
    let mut target = Target::start("");
    let path = socket(&target.lab);
    let good = Slot { length: BUFFER as u32, offset: BUFFERS as u32, ..Slot::default() };
    for (what, slot) in [
        ("a region that isn't there", Slot { region: 3, ..good }),
        ("behind the region", Slot { offset: SIZE as u32, ..good }),
        ("over the end", Slot { offset: SIZE as u32 - 10, ..good }),
        ("an offset that wraps", Slot { offset: u32::MAX - 1, ..good }),
        ("a length that wraps", Slot { length: u32::MAX, ..good }),
    ] {
        let client = Client::new(&path);
        await_link(&target.router, "c0", "up");
        client.back.put(&client.memory, 0, slot);
        client.memory.write_u16(client.back.head(), 1);
        client.ask();
        client.control.ends();
        target.survived(what);
    }
}

/// Memory that the other end takes away again is a bus error for who reads it, unless he is prepared. DPDK shares memory that
/// could shrink, so it can't be refused.
#[test]
fn memory_that_shrinks() {
    let mut target = Target::start("");
    for seal in [Seal::None, Seal::NoShrink] {
        let client = Client::attach(&socket(&target.lab), Memory::new(SIZE, seal));
        await_link(&target.router, "c0", "up");
        client.give_buffers();
        client.ask();
        eventually("an honest question is answered", || client.answered().then_some(()));
        client.memory.shrink();
        client.ring();
        if seal == Seal::None {
            client.control.ends();
        }
        // What is to be sent goes there, too.
        assert!(!target.lan.reaches("10.9.0.2"));
        drop(client);
        target.survived("memory that shrank");
    }
}

#[test]
fn bad_messages_end_the_connection() {
    let mut target = Target::start("");
    let path = socket(&target.lab);
    let memory = Memory::new(SIZE, Seal::NoShrink);
    let bell = memif::eventfd();
    let init = || (Message::init(0, ""), None);
    let region = || (Message::region(0, SIZE as u64), Some(&memory.descriptor));
    let ring = |offset, log2| (Message::ring(true, 0, 0, offset, log2), Some(&bell));
    let connect = || (Message::new(CONNECT), None);
    type Step<'a> = (Message, Option<&'a OwnedFd>);
    let cases: Vec<(&str, Vec<Step>)> = vec![
        ("another version", vec![(Message::init(0, "").put(2, &0x0300_u16.to_ne_bytes()), None)]),
        ("another mode", vec![(Message::init(0, "").put(8, &[1]), None)]),
        ("a greeting by the client", vec![(Message::hello(), None)]),
        ("two beginnings", vec![init(), init()]),
        ("a region before the beginning", vec![region()]),
        ("a region without memory", vec![init(), (Message::region(0, SIZE as u64), None)]),
        ("a region of nothing", vec![init(), (Message::region(0, 0), Some(&memory.descriptor))]),
        ("more than the memory", vec![init(), (Message::region(0, 2 * SIZE as u64), Some(&memory.descriptor))]),
        ("far more than any memory", vec![init(), (Message::region(0, u64::MAX), Some(&memory.descriptor))]),
        ("no memory at all", vec![init(), (Message::region(0, SIZE as u64), Some(&bell))]),
        ("the second region first", vec![init(), (Message::region(1, SIZE as u64), Some(&memory.descriptor))]),
        ("the first region twice", vec![init(), region(), region()]),
        ("a ring before the region", vec![init(), ring(0, 5)]),
        ("a ring behind the region", vec![init(), region(), ring(SIZE as u32, 5)]),
        ("a ring over the end", vec![init(), region(), ring(SIZE as u32 - 64, 5)]),
        ("a ring off the grid", vec![init(), region(), ring(3, 5)]),
        ("a ring that is too large", vec![init(), region(), ring(0, 15)]),
        ("a ring beyond all measure", vec![init(), region(), ring(0, 255)]),
        ("a ring without a bell", vec![init(), region(), (Message::ring(true, 0, 0, 0, 5), None)]),
        ("the second ring first", vec![init(), region(), (Message::ring(true, 1, 0, 0, 5), Some(&bell))]),
        ("no rings", vec![init(), region(), connect()]),
        ("one ring", vec![init(), region(), ring(0, 5), connect()]),
    ];
    for (what, steps) in cases {
        let control = Control::connect(&path);
        control.expect(HELLO);
        let (last, before) = steps.split_last().expect("a step");
        for (message, descriptor) in before {
            control.send(&message.0, *descriptor);
            control.expect(ACK);
        }
        control.send(&last.0.0, last.1);
        let reason = control.ends();
        assert!(reason.is_some_and(|reason| !reason.is_empty()), "{what}: no reason was given");
    }
    assert_eq!(link(&target.router, "c0"), "down");
    target.survived("bad messages");
    let client = Client::new(&path);
    client.give_buffers();
    client.ask();
    eventually("an honest question is answered", || client.answered().then_some(()));
}

/// A server by hand: what the router's client asks is granted, and then the server does harm.
struct Server {
    control: Control,
    memory: Vec<Memory>,
    /// The ring by which the router gets packets.
    to_router: Ring,
    /// The ring by which the router sends packets.
    from_router: Ring,
    bells: Vec<OwnedFd>,
}

impl Server {
    #[track_caller]
    fn accept(listener: &Listener) -> Server {
        let control = listener.accept();
        control.send(&Message::hello().0, None);
        let ack = || control.send(&Message::new(ACK).0, None);
        control.expect(INIT);
        ack();
        let (mut memory, mut rings, mut bells) = (Vec::new(), [None, None], Vec::new());
        loop {
            let (message, descriptor) = control.receive().expect("a message");
            let number = |at: usize| u16::from_ne_bytes([message.0[at], message.0[at + 1]]);
            match message.kind() {
                ADD_REGION => {
                    let size = u64::from_ne_bytes(message.0[4..12].try_into().expect("eight bytes"));
                    memory.push(Memory::map(descriptor.expect("memory"), size as usize));
                }
                ADD_RING => {
                    let offset = u32::from_ne_bytes(message.0[8..12].try_into().expect("four bytes"));
                    assert_eq!((number(4), number(6)), (0, 0), "one ring each way, in the first region");
                    let ring = Ring { at: offset as usize, slots: 1 << message.0[12] };
                    rings[usize::from(number(2) & 1)] = Some(ring);
                    bells.push(descriptor.expect("a bell"));
                }
                CONNECT => break,
                kind => panic!("message {kind}"),
            }
            ack();
        }
        control.send(&Message::new(CONNECTED).put(2, b"hostile").0, None);
        let [to_router, from_router] = rings.map(|ring| ring.expect("a ring each way"));
        Server { control, memory, to_router, from_router, bells }
    }

    fn ring(&self) {
        self.bells.iter().for_each(memif::ring);
    }
}

#[test]
fn a_server_that_means_harm() {
    for zero_copy in [false, true] {
        let lab_socket = |target: &Target| socket(&target.lab);
        let mut target = Target::start(&format!("role: client, zero-copy: {zero_copy}, "));
        let listener = Listener::bind(&lab_socket(&target));
        // It hangs up, greets with nonsense, or speaks another version.
        drop(listener.accept());
        for hello in [
            Message::new(99),
            Message::hello().put(34, &[0, 1, 0, 1]),
            Message::hello().put(34, &[0, 3, 0, 3]),
            Message::hello().put(44, &[0]),
        ] {
            let control = listener.accept();
            control.send(&hello.0, None);
            control.ends();
        }
        for what in
            ["a packet longer than its buffer", "packets in no buffer", "far ahead", "backwards", "too many taken"]
        {
            let server = Server::accept(&listener);
            await_link(&target.router, "c0", "up");
            let (memory, ring) = (&server.memory[0], server.to_router);
            let given = || Some(memory.read_u16(ring.head())).filter(|head| *head > 0);
            let given = eventually("the client gives buffers", given);
            match what {
                "a packet longer than its buffer" => {
                    ring.put(memory, 0, Slot { length: 1 << 20, ..Slot::default() });
                    memory.write_u16(ring.tail(), 1);
                }
                "packets in no buffer" => memory.write_u16(ring.tail(), given.wrapping_add(1)),
                "far ahead" => memory.write_u16(ring.tail(), given.wrapping_add(0x4000)),
                "backwards" => memory.write_u16(ring.tail(), u16::MAX),
                _ => memory.write_u16(server.from_router.tail(), 1000),
            }
            server.ring();
            // The ring to the server is looked at when there is something to send.
            let _ = target.lan.reaches("10.9.0.2");
            server.control.ends();
            target.survived(what);
        }
        target.router.rebase();
    }
}
