//! A network namespace of the test's own, and what tests do in it.
#![allow(dead_code, reason = "each test uses its part")]

use millrace_engine::device::{RxQueue, TestBurst, TxQueue};
use millrace_engine::memory::HugePages;
use millrace_engine::{Pool, Waker};
use millrace_io::{Context, Device, OpenError, QueuePair, Spec, open};
use std::ffi::CString;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long anything awaited may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `test` in a thread with a network namespace of its own, which goes with it.
pub fn in_namespace<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter_new_namespace();
            ip("link set dev lo up");
            test()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Puts the calling thread into a new network namespace; a descriptor of the namespace.
pub fn enter_new_namespace() -> OwnedFd {
    // SAFETY: concerns this thread only.
    let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(
        result,
        0,
        "this test makes network namespaces and has to run as root: {}",
        std::io::Error::last_os_error()
    );
    namespace()
}

/// The calling thread's network namespace.
pub fn namespace() -> OwnedFd {
    let path = CString::new("/proc/thread-self/ns/net").unwrap();
    // SAFETY: the path ends with NUL; the descriptor is new.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        assert!(fd >= 0);
        OwnedFd::from_raw_fd(fd)
    }
}

/// Puts the calling thread into a namespace.
pub fn enter(namespace: &OwnedFd) {
    // SAFETY: concerns this thread only.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Runs `ip` with these arguments, separated by blanks, in the thread's namespace.
pub fn ip(arguments: &str) {
    run("ip", arguments);
}

/// Runs a program; what it printed.
pub fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split_whitespace()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {arguments}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Two ends of a virtual wire, up, without addresses.
pub fn veth(a: &str, b: &str) {
    ip(&format!("link add name {a} type veth peer name {b}"));
    ip(&format!("link set dev {a} up"));
    ip(&format!("link set dev {b} up"));
}

pub fn af_packet(device: &str, queues: u16) -> Spec {
    Spec::AfPacket { device: device.to_owned(), queues }
}

pub fn tap(device: &str, queues: u16) -> Spec {
    Spec::Tap { device: device.to_owned(), queues }
}

/// A device with its queues for one worker.
pub struct Port {
    pub device: Box<dyn Device>,
    pub rx: Box<dyn RxQueue>,
    pub tx: Box<dyn TxQueue>,
    pub burst: TestBurst,
}

impl Port {
    pub fn open(spec: &Spec) -> Port {
        let context = context();
        Port::new(open(spec, "port", &context).unwrap(), context.pool)
    }

    /// A device with the pool that it was opened with.
    pub fn new(mut device: Box<dyn Device>, pool: &'static Pool) -> Port {
        let QueuePair { rx, tx } = device.queues(1).unwrap().remove(0);
        Port { device, rx: rx.unwrap(), tx: tx.unwrap(), burst: TestBurst::new(pool) }
    }

    pub fn rx(&mut self) -> Vec<Vec<u8>> {
        self.burst.rx(&mut *self.rx).unwrap()
    }

    pub fn tx(&mut self, packets: &[&[u8]]) -> usize {
        self.burst.tx(&mut *self.tx, packets).unwrap()
    }

    /// Receives until there are `n` packets of those that `want` takes.
    pub fn wait_for(&mut self, n: usize, want: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let mut got = Vec::new();
        until("packets", || {
            got.extend(self.rx().into_iter().filter(|p| want(p)));
            got.len() >= n
        });
        got
    }

    pub fn stat(&self, name: &str) -> u64 {
        self.device.stats().into_iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no {name}")).1
    }
}

pub fn pool() -> &'static Pool {
    Pool::new(4096, HugePages::Off).unwrap()
}

/// A pool of its own, and nobody who is rung.
pub fn context() -> Context {
    Context { pool: pool(), changed: Waker::new().unwrap() }
}

/// Waits until `done` says so.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// Whether it is missing, not refused.
pub fn is_missing(result: Result<Box<dyn Device>, OpenError>) -> bool {
    matches!(result, Err(OpenError::Missing { .. }))
}

/// An Ethernet frame of an experimental type (IEEE 802 local experimental ethertype 1), which the kernel leaves alone.
pub fn experimental(from: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, from, 0x88, 0xb5];
    frame.extend((0..len - 14).map(|i| (i % 251) as u8));
    frame
}

pub fn is_experimental(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[0x88, 0xb5])
}

/// Whether everything in the frame that has a checksum has a right one, by another implementation.
pub fn checksums_ok(frame: &[u8]) -> bool {
    use etherparse::{NetHeaders, PacketHeaders, TransportHeader as T};
    let headers = PacketHeaders::from_ethernet_slice(frame).unwrap();
    let payload = headers.payload.slice();
    match (headers.net, headers.transport) {
        (Some(NetHeaders::Ipv4(ip, _)), transport) => {
            let transport_ok = match transport {
                Some(T::Tcp(tcp)) => tcp.calc_checksum_ipv4(&ip, payload).unwrap() == tcp.checksum,
                Some(T::Udp(udp)) => udp.calc_checksum_ipv4(&ip, payload).unwrap() == udp.checksum,
                _ => true,
            };
            ip.calc_header_checksum() == ip.header_checksum && transport_ok
        }
        (Some(NetHeaders::Ipv6(ip, _)), Some(T::Tcp(tcp))) => {
            tcp.calc_checksum_ipv6(&ip, payload).unwrap() == tcp.checksum
        }
        (Some(NetHeaders::Ipv6(ip, _)), Some(T::Udp(udp))) => {
            udp.calc_checksum_ipv6(&ip, payload).unwrap() == udp.checksum
        }
        _ => true,
    }
}

/// Carries 32 MiB by TCP from the host behind the first port to the host behind the second, whose devices (`near`, `far`) are in
/// the calling thread's namespace and have all offloads on; a loop in between carries frames, which are to be no longer than
/// `mtu` allows. `far` moves to a namespace of its own. The ports, for their statistics.
pub fn transfer(mut ports: [Port; 2], [near_device, far_device]: [&str; 2], mtu: usize) -> [Port; 2] {
    let near = namespace();
    ip(&format!("address add 10.9.0.1/24 dev {near_device}"));
    let (ready, is_ready) = std::sync::mpsc::channel();
    let done = AtomicBool::new(false);
    let data: Vec<u8> = (0..32 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let far = enter_new_namespace();
            enter(&near);
            let path = format!("/proc/{}/fd/{}", std::process::id(), far.as_raw_fd());
            ip(&format!("link set dev {far_device} netns {path}"));
            enter(&far);
            ip("link set dev lo up");
            ip(&format!("link set dev {far_device} up"));
            ip(&format!("address add 10.9.0.2/24 dev {far_device}"));
            let listener = TcpListener::bind("10.9.0.2:7000").unwrap();
            ready.send(()).unwrap();
            listener.set_nonblocking(true).unwrap();
            let mut stream = None;
            until("a connection", || {
                stream = listener.accept().ok();
                stream.is_some()
            });
            let (mut stream, mut got) = (stream.unwrap().0, Vec::new());
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.read_to_end(&mut got).unwrap();
            got
        });
        is_ready.recv().unwrap();
        let (data, near, done) = (&data, &near, &done);
        scope.spawn(move || {
            enter(near);
            let mut stream = TcpStream::connect_timeout(&"10.9.0.2:7000".parse().unwrap(), PATIENCE).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(data).unwrap();
        });
        let bridge = &mut ports;
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                for (from, to) in [(0, 1), (1, 0)] {
                    let frames = bridge[from].rx();
                    assert!(frames.iter().all(|f| f.len() <= mtu + 14), "longer than the wire allows");
                    let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
                    bridge[to].tx(&slices);
                }
            }
        });
        let got = server.join();
        done.store(true, Ordering::Relaxed);
        let got = got.unwrap();
        assert!(&got == data, "{} of {} bytes arrived, or others", got.len(), data.len());
    });
    for port in &ports {
        for (name, n) in port.device.stats() {
            let bad = ["rx_bad_offload_header", "rx_truncated", "rx_bad_descriptors", "rx_too_long"].contains(&name);
            assert!(!bad || n == 0, "{name}: {n}");
        }
    }
    ports
}
