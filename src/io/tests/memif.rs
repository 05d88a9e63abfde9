//! memif with itself: both roles in one process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{PATIENCE, experimental, until};
use millrace_engine::device::{RxQueue, TestBurst, TxQueue, Wake};
use millrace_engine::memory::HugePages;
use millrace_engine::{Pool, Waker};
use millrace_io::{Context, Device, Link, Memif, OpenError, Role, Spec, open};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// An abstract name that no other test has.
fn abstract_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("@millrace-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A path in a folder of the test's own, which goes with it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Folder {
        let folder = std::env::temp_dir().join(&abstract_name()[1..]);
        std::fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn memif(socket: &str, role: Role) -> Memif {
    Memif { socket: socket.to_owned(), id: 0, role, secret: None, queues: 1, ring_size: 64, zero_copy: false }
}

/// A device with its queues, and a pool of its own.
struct Port {
    context: Context,
    rx: Vec<Box<dyn RxQueue>>,
    tx: Vec<Box<dyn TxQueue>>,
    burst: TestBurst,
    device: Box<dyn Device>,
}

impl Port {
    fn open(spec: &Memif) -> Port {
        Port::with_workers(spec, 1)
    }

    fn with_workers(spec: &Memif, workers: usize) -> Port {
        let pool = Pool::new(2048, HugePages::Off).unwrap();
        let context = Context { pool, changed: Waker::new().unwrap() };
        let mut device = open(&Spec::Memif(spec.clone()), "port", &context).unwrap();
        let (mut rx, mut tx) = (Vec::new(), Vec::new());
        for pair in device.queues(workers).unwrap() {
            rx.extend(pair.rx);
            tx.extend(pair.tx);
        }
        Port { burst: TestBurst::new(pool), context, rx, tx, device }
    }

    fn up(&self) -> bool {
        self.device.link() == Link::Up
    }

    fn tx(&mut self, packets: &[&[u8]]) -> usize {
        self.burst.tx(&mut *self.tx[0], packets).unwrap()
    }

    fn rx(&mut self) -> Vec<Vec<u8>> {
        let burst = &mut self.burst;
        self.rx.iter_mut().flat_map(|rx| burst.rx(&mut **rx).unwrap()).collect()
    }

    fn stat(&self, name: &str) -> u64 {
        self.device.stats().into_iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    fn notes(&self) -> String {
        self.device.info().notes.join("; ")
    }

    fn mode(&self, name: &str) -> String {
        self.device.info().modes.into_iter().find(|(n, _)| *n == name).map(|(_, value)| value).unwrap_or_default()
    }

    /// Whether all cells are back in the pool.
    fn all_back(&mut self) -> bool {
        self.tx.iter_mut().for_each(|tx| {
            self.burst.reclaim(&mut **tx);
        });
        self.context.pool.owned().is_empty()
    }
}

/// Waits for both ends. With zero copy a client's worker has to look once: it posts the cells that packets can come in.
fn connected(a: &mut Port, b: &mut Port) {
    until("the link", || a.up() && b.up());
    assert_eq!(a.rx().len() + b.rx().len(), 0);
}

fn pair(server: &Memif, client: &Memif) -> [Port; 2] {
    let [mut server, mut client] = [Port::open(server), Port::open(client)];
    connected(&mut server, &mut client);
    [server, client]
}

fn both(socket: &str) -> [Memif; 2] {
    [memif(socket, Role::Server), memif(socket, Role::Client)]
}

/// Frames of these sizes from one port to the other.
#[track_caller]
fn pass(from: &mut Port, to: &mut Port, sizes: &[usize]) {
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
fn passes(a: &mut Port, b: &mut Port) {
    for _ in 0..100 {
        pass(a, b, &[60, 64, 1514, 14, 33, 100, 2047, 2048]);
        pass(b, a, &[60, 1514, 257, 256, 255, 63, 65, 2048]);
    }
}

#[test]
fn frames_pass_both_ways() {
    let folder = Folder::new();
    for socket in [abstract_name(), folder.path("memif.sock")] {
        let [server, client] = both(&socket);
        let [mut server, mut client] = pair(&server, &client);
        passes(&mut server, &mut client);
        assert!(client.mode("peer").contains("millrace") && client.mode("peer").contains("port"));
        assert!(server.mode("rings").contains("of 64 slots"), "{}", server.mode("rings"));
        assert_eq!(server.stat("connections") + client.stat("connections"), 2);
        drop((server, client));
        assert!(!std::path::Path::new(&socket).exists(), "the socket goes with its last interface");
    }
}

#[test]
fn jumbo_frames_are_chains_of_slots() {
    let [server, client] = both(&abstract_name());
    for zero_copy in [false, true] {
        let client = Memif { zero_copy, ..client.clone() };
        let [mut server, mut client] = pair(&server, &client);
        for _ in 0..50 {
            pass(&mut server, &mut client, &[9216, 60, 2049, 4096, 4097, 9000]);
            pass(&mut client, &mut server, &[9216, 60, 2049, 4096, 4097, 9000]);
        }
        // More than the ring takes; then again, as slots that were looked at in vain are as they were.
        let long = experimental(1, 9216);
        let burst = vec![long.as_slice(); 20];
        for (from, to) in [(true, false), (false, true)] {
            for _ in 0..20 {
                let (a, b) = if from { (&mut server, &mut client) } else { (&mut client, &mut server) };
                assert_eq!(a.tx(&burst), 64 / 5, "{from} {to}");
                let mut got = Vec::new();
                until("the frames", || {
                    got.extend(b.rx());
                    got.len() == 64 / 5
                });
                assert!(got.iter().all(|frame| *frame == long));
                a.all_back();
            }
        }
        // No ring of 64 slots takes more than 64 slots.
        let endless = vec![7; 140_000];
        assert_eq!(client.tx(&[&endless, &long]), 1);
        assert_eq!(client.stat("tx_too_long"), 1);
        until("the frame behind it", || server.rx() == [long.clone()]);
        until("all cells", || server.all_back());
    }
}

#[test]
fn a_full_ring_takes_no_more_and_goes_on() {
    let [server, client] = both(&abstract_name());
    for zero_copy in [false, true] {
        let client = Memif { zero_copy, ..client.clone() };
        let [mut server, mut client] = pair(&server, &client);
        let frame = experimental(1, 60);
        for (a, b) in [(&mut server, &mut client)] {
            for _ in 0..5 {
                assert_eq!(a.tx(&[frame.as_slice(); 100]), 64);
                let full = a.stat("tx_ring_full");
                assert!(full > 0 && a.tx(&[&frame]) == 0 && a.stat("tx_ring_full") == full + 1);
                let mut got = 0;
                until("the frames", || {
                    got += b.rx().len();
                    got == 64
                });
            }
        }
        for _ in 0..5 {
            assert_eq!(client.tx(&[frame.as_slice(); 100]), 64);
            assert_eq!(client.tx(&[&frame]), 0);
            let mut got = 0;
            until("the frames", || {
                got += server.rx().len();
                got == 64
            });
        }
    }
}

#[test]
fn with_zero_copy_all_cells_come_back() {
    let [server, client] = both(&abstract_name());
    let client = Memif { zero_copy: true, ..client };
    let [mut server, mut port] = pair(&server, &client);
    passes(&mut server, &mut port);
    assert!(port.mode("copied").contains("the server reaches all packets"));
    // Some are posted, some sent and not read.
    let frame = experimental(1, 3000);
    assert_eq!(port.tx(&[frame.as_slice(); 5]), 5);
    assert!(!port.all_back(), "the ring holds cells");
    assert!(port.burst.reclaim(&mut *port.tx[0]), "what was sent is out");
    assert_eq!(server.rx().len(), 5);
    assert!(!port.burst.reclaim(&mut *port.tx[0]));
    assert_eq!(port.tx(&[frame.as_slice(); 5]), 5);
    drop(server);
    until("the link to go", || !port.up());
    until("all cells", || port.all_back());
    assert_eq!(port.tx(&[frame.as_slice(); 5]), 0);
    assert_eq!(port.stat("tx_no_peer"), 5);
}

#[test]
fn several_queues_each_way() {
    let [server, client] = both(&abstract_name());
    // As many as each end has, and fewer or more than the other has.
    for (server_queues, server_workers, client_queues, client_workers) in
        [(3, 3, 3, 3), (1, 1, 4, 4), (4, 4, 1, 1), (4, 2, 4, 4), (4, 4, 4, 2)]
    {
        let server = Memif { queues: server_queues, ..server.clone() };
        let client = Memif { queues: client_queues, ..client.clone() };
        let mut server = Port::with_workers(&server, server_workers);
        let mut client = Port::with_workers(&client, client_workers);
        connected(&mut server, &mut client);
        let rings = server_queues.min(client_queues).min(client_workers as u16);
        assert!(client.mode("rings").starts_with(&format!("{rings} in, {rings} out")), "{}", client.mode("rings"));
        let frame = experimental(1, 60);
        for (from, to) in [(0, 1), (1, 0)] {
            let ports = [&mut server, &mut client];
            let queues = ports[from].tx.len();
            for queue in 0..queues {
                let Port { burst, tx, .. } = ports[from];
                assert_eq!(burst.tx(&mut *tx[queue], &[&frame, &frame]).unwrap(), 2);
            }
            let mut got = 0;
            let [a, b] = ports;
            let to = if to == 0 { a } else { b };
            until("the frames", || {
                got += to.rx().len();
                got == 2 * queues
            });
        }
    }
}

#[test]
fn either_side_comes_back_in_any_order() {
    let [server_spec, client_spec] = both(&abstract_name());
    for zero_copy in [false, true] {
        let client_spec = Memif { zero_copy, ..client_spec.clone() };
        // The client first: no server is no error.
        let mut client = Port::open(&client_spec);
        until("a try", || client.notes().contains("no server"));
        assert_eq!(client.tx(&[&experimental(1, 60)]), 0);
        let mut server = Port::open(&server_spec);
        for round in 0..20 {
            connected(&mut server, &mut client);
            assert_eq!(client.notes(), "");
            passes(&mut server, &mut client);
            client.context.changed.clear();
            server.context.changed.clear();
            if round % 2 == 0 {
                drop(server);
                until("the end", || !client.up());
                assert!(client.notes().contains("the interface was removed"), "{}", client.notes());
                assert!(rung(&client.context.changed), "control is told");
                server = Port::open(&server_spec);
            } else {
                drop(client);
                until("the end", || !server.up());
                assert!(server.notes().contains("the interface was removed"), "{}", server.notes());
                assert!(rung(&server.context.changed), "control is told");
                client = Port::open(&client_spec);
            }
        }
    }
}

fn rung(waker: &Waker) -> bool {
    readable(waker.fd(), 1000)
}

fn readable(fd: i32, timeout: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one descriptor, described by `poll`.
    unsafe { libc::poll(&mut poll, 1, timeout) == 1 }
}

#[test]
fn two_interfaces_share_a_socket() {
    let [server, client] = both(&abstract_name());
    let of = |spec: &Memif, id| Memif { id, ..spec.clone() };
    let mut one = Port::open(&of(&server, 1));
    let mut two = Port::open(&of(&server, 2));
    let mut to_two = Port::open(&of(&client, 2));
    let mut to_one = Port::open(&of(&client, 1));
    connected(&mut one, &mut to_one);
    connected(&mut two, &mut to_two);
    pass(&mut one, &mut to_one, &[60, 61]);
    pass(&mut two, &mut to_two, &[62, 63]);
    drop(one);
    until("the first to go", || !to_one.up());
    pass(&mut to_two, &mut two, &[60]);
    // The socket is still there, without the first.
    until("the refusal", || to_one.notes().contains("there is no interface of id 1"));
    let mut one = Port::open(&of(&server, 1));
    connected(&mut one, &mut to_one);
    pass(&mut to_one, &mut one, &[60]);
    let same = open(&Spec::Memif(of(&server, 2)), "third", &two.context).map(drop).unwrap_err().to_string();
    assert!(same.contains("interface port has this id on this socket"), "{same}");
}

#[test]
fn secrets_have_to_match() {
    let [server, client] = both(&abstract_name());
    let with = |spec: &Memif, secret: Option<&str>| Memif { secret: secret.map(str::to_owned), ..spec.clone() };
    let mut port = Port::open(&with(&server, Some("a word of 24 characters!")));
    for (wrong, why) in [(None, "a secret is required"), (Some("a word of 24 characters?"), "the secret is wrong")] {
        let client = Port::open(&with(&client, wrong));
        until("the refusal", || client.notes().contains(why));
        assert!(!client.up() && port.notes().contains(why), "{}", port.notes());
    }
    let mut client = Port::open(&with(&client, Some("a word of 24 characters!")));
    connected(&mut port, &mut client);
    assert_eq!(port.mode("secret"), "required");
}

#[test]
fn an_interface_has_one_peer() {
    let [server, client] = both(&abstract_name());
    let [mut port, mut first] = pair(&server, &client);
    let mut second = Port::open(&client);
    until("the refusal", || second.notes().contains("connected already"));
    passes(&mut port, &mut first);
    drop(first);
    connected(&mut port, &mut second);
}

#[test]
fn a_client_may_come_before_the_queues() {
    let [server, client] = both(&abstract_name());
    let pool = Pool::new(1024, HugePages::Off).unwrap();
    let context = Context { pool, changed: Waker::new().unwrap() };
    let mut device = open(&Spec::Memif(server), "port", &context).unwrap();
    let client = Port::open(&client);
    until("the client to ask", || client.notes().contains("has not taken the connection yet"));
    assert_eq!((device.link(), client.up()), (Link::Down, false));
    let queues = device.queues(1).unwrap();
    until("the link", || device.link() == Link::Up && client.up());
    drop(queues);
}

#[test]
fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let folder = Folder::new();
    let path = folder.path("memif.sock");
    let [server, client] = both(&path);
    let refused = |spec: &Memif| {
        let context = common::context();
        match open(&Spec::Memif(spec.clone()), "port", &context).map(drop) {
            Err(OpenError::Refused { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    // Another process, as far as the socket knows.
    let other = UnixListener::bind(&path).unwrap();
    assert!(refused(&server).contains("another process listens"), "{}", refused(&server));
    drop(other);
    assert!(std::path::Path::new(&path).exists(), "std leaves it");
    let [mut server, mut client] = pair(&server, &client);
    passes(&mut server, &mut client);
    drop((server, client));
    std::fs::write(&path, "a file").unwrap();
    assert!(refused(&memif(&path, Role::Server)).contains("is no socket"));
    let nowhere = folder.path("folder/memif.sock");
    assert!(refused(&memif(&nowhere, Role::Server)).contains("the folder of"));
    let client = Port::open(&memif(&nowhere, Role::Client));
    until("a try", || client.notes().contains("no server"));
}

#[test]
fn what_cannot_work_is_refused() {
    let good = memif(&abstract_name(), Role::Client);
    let wrong = [
        (Memif { ring_size: 100, ..good.clone() }, "a power of two"),
        (Memif { ring_size: 16, ..good.clone() }, "a power of two"),
        (Memif { ring_size: 32_768, ..good.clone() }, "a power of two"),
        (Memif { queues: 0, ..good.clone() }, "1 to 256"),
        (Memif { queues: 257, ..good.clone() }, "1 to 256"),
        (Memif { queues: 256, ring_size: 16_384, ..good.clone() }, "GiB"),
        (Memif { secret: Some("x".repeat(25)), ..good.clone() }, "at most 24 bytes"),
        (Memif { role: Role::Server, zero_copy: true, ..good.clone() }, "zero-copy is a client's"),
        (Memif { socket: "@".to_owned(), ..good.clone() }, "the name of a socket"),
        (Memif { socket: "/".repeat(108), ..good }, "the name of a socket"),
    ];
    for (spec, why) in wrong {
        let error = open(&Spec::Memif(spec), "port", &common::context()).map(drop).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_worker_that_sleeps_is_woken() {
    let [server, client] = both(&abstract_name());
    for zero_copy in [false, true] {
        let client = Memif { zero_copy, ..client.clone() };
        let [mut server, mut client] = pair(&server, &client);
        let frame = experimental(1, 60);
        for turn in 0..20 {
            let (from, to) = if turn % 2 == 0 { (&mut server, &mut client) } else { (&mut client, &mut server) };
            // Polling: nobody interrupts.
            assert_eq!(to.rx().len(), 0);
            let before = from.stat("interrupts_sent");
            assert_eq!(from.tx(&[&frame]), 1);
            assert_eq!(from.stat("interrupts_sent"), before);
            assert_eq!(to.rx[0].wake(), Wake::Poll, "something came before it slept");
            assert_eq!(to.rx().len(), 1);
            let Wake::Fd(fd) = to.rx[0].wake() else { panic!("nothing is there") };
            // What rang for the connection is heard once.
            if readable(fd, 0) {
                assert_eq!(to.rx().len(), 0);
                assert_eq!(to.rx[0].wake(), Wake::Fd(fd));
            }
            assert!(!readable(fd, 0));
            assert_eq!(from.tx(&[&frame]), 1);
            assert_eq!(from.stat("interrupts_sent"), before + 1);
            assert!(readable(fd, 1000));
            assert_eq!(to.rx().len(), 1);
            assert!(!readable(fd, 0));
        }
    }
}

#[test]
fn a_worker_that_sleeps_while_the_peer_comes_is_woken() {
    let [server, client] = both(&abstract_name());
    let mut client = Port::open(&Memif { zero_copy: true, ..client });
    let Wake::Fd(fd) = client.rx[0].wake() else { panic!("there is no peer") };
    let mut server = Port::open(&server);
    until("the link", || server.up() && client.up());
    // It has to post cells before anything can come.
    assert_eq!(server.tx(&[&experimental(1, 60)]), 0);
    assert!(readable(fd, 1000));
    client.rx();
    assert_eq!(server.tx(&[&experimental(1, 60)]), 1);
    assert_eq!(client.rx().len(), 1);
}

#[test]
fn an_empty_pool_leaves_packets_in_the_ring() {
    let [server, client] = both(&abstract_name());
    for zero_copy in [false, true] {
        let client = Memif { zero_copy, ..client.clone() };
        let [mut server, mut client] = pair(&server, &client);
        let frame = experimental(1, 5000);
        for _ in 0..5 {
            assert_eq!(client.tx(&[&frame, &frame[..60]]), 2);
            let mut taken = vec![0; 2048];
            let pool = server.context.pool;
            let mut cells = 0;
            until("all of the pool", || {
                cells += pool.take(&mut taken[cells..]);
                // The burst's own stock is given back with it.
                server.burst = TestBurst::new(pool);
                cells == 2048
            });
            assert_eq!(server.rx(), Vec::<Vec<u8>>::new());
            // SAFETY: taken above. Two are too few for the first packet.
            unsafe { pool.put(&taken[..2]) };
            assert_eq!(server.rx(), Vec::<Vec<u8>>::new());
            // SAFETY: as above.
            unsafe { pool.put(&taken[2..]) };
            assert_eq!(server.rx(), [frame.clone(), frame[..60].to_vec()]);
        }
    }
}

#[test]
fn removing_takes_no_time() {
    let [server, client] = both(&abstract_name());
    let start = Instant::now();
    for _ in 0..20 {
        let _ports = pair(&server, &client);
    }
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}
