//! A guest: memory, rings from the driver's side, and a connection. Whatever a driver may do, and may not do, can be done.

use crate::common::{self, Port, until};
use crate::frontend::{Code, Event, Frontend, numbers, words};
use millrace_engine::Waker;
use millrace_engine::device::TestBurst;
use millrace_io::{Context, Device, Link, QueuePair, Role, Spec, VhostUser, open};
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

pub const CSUM: u64 = 1;
pub const TSO4: u64 = 1 << 11;
pub const MRG: u64 = 1 << 15;
pub const MQ: u64 = 1 << 22;
pub const INDIRECT: u64 = 1 << 28;
pub const EVENT_IDX: u64 = 1 << 29;
pub const PROTOCOL: u64 = 1 << 30;
pub const VERSION_1: u64 = 1 << 32;

pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const TABLE: u16 = 4;

/// Where memory is in the guest's eyes, and in those of its process. They have nothing to do with each other.
pub const GUEST: u64 = 0x4000_0000;
pub const USER: u64 = 0x7f00_0000_0000;
/// All of it. The last [`TAIL`] bytes are a region of their own.
pub const MEMORY: u64 = 4 << 20;
pub const TAIL: u64 = 1 << 20;
/// Descriptors of a ring, unless said otherwise.
pub const SIZE: u16 = 64;
/// Where buffers start; below are rings.
pub const BUFFERS: u64 = 1 << 20;

/// A path of the test's own for a socket.
pub fn socket_path() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("millrace-vhost-{}-{number}.sock", std::process::id()))
}

pub fn spec(path: &Path, role: Role, queues: u16, offloads: bool) -> Spec {
    Spec::VhostUser(VhostUser { socket: path.to_str().unwrap().to_owned(), role, queues, offloads })
}

/// A device for one worker.
pub fn server(path: &Path) -> Port {
    Port::open(&spec(path, Role::Server, 1, true))
}

/// A device for several workers.
pub struct Workers {
    pub device: Box<dyn Device>,
    pub pairs: Vec<QueuePair>,
    pub burst: TestBurst,
    pub changed: Waker,
}

impl Workers {
    pub fn open(spec: &Spec, workers: usize) -> Workers {
        let context = Context { pool: common::pool(), changed: Waker::new().unwrap() };
        let mut device = open(spec, "port", &context).unwrap();
        let pairs = device.queues(workers).unwrap();
        Workers { device, pairs, burst: TestBurst::new(context.pool), changed: context.changed }
    }

    pub fn rx(&mut self, worker: usize) -> Vec<Vec<u8>> {
        self.burst.rx(&mut **self.pairs[worker].rx.as_mut().unwrap()).unwrap()
    }

    pub fn tx(&mut self, worker: usize, packets: &[&[u8]]) -> usize {
        self.burst.tx(&mut **self.pairs[worker].tx.as_mut().unwrap(), packets).unwrap()
    }
}

pub fn mode(device: &dyn Device, name: &str) -> String {
    device.info().modes.into_iter().find(|(n, _)| *n == name).map_or_else(String::new, |(_, value)| value)
}

pub fn wait_link(device: &dyn Device, link: Link) {
    until(&format!("link {link:?}, with {:?}", device.info()), || device.link() == link);
}

/// Waits for a note that contains this.
pub fn wait_note(device: &dyn Device, what: &str) {
    until(&format!("a note on {what}, not {:?}", device.info().notes), || {
        device.info().notes.iter().any(|note| note.contains(what))
    });
}

/// A ring from the driver's side.
pub struct Ring {
    pub index: u32,
    pub size: u16,
    /// Offsets in memory.
    pub table: u64,
    pub available: u64,
    pub used: u64,
    /// The next free descriptor, the next place in the available ring, the next in the used ring.
    pub free: u16,
    pub next: u16,
    pub seen: u16,
    pub kick: Event,
    pub call: Event,
    pub error: Event,
}

impl Ring {
    fn new(index: u32, size: u16) -> Ring {
        let at = u64::from(index) * 0x1_0000;
        Ring {
            index,
            size,
            table: at,
            available: at + 0x4000,
            used: at + 0x8000,
            free: 0,
            next: 0,
            seen: 0,
            kick: Event::new(),
            call: Event::new(),
            error: Event::new(),
        }
    }
}

/// A guest that has memory and, perhaps, a connection.
pub struct Guest {
    /// What its memory is called where mappings are listed.
    pub name: String,
    pub file: File,
    base: *mut u8,
    pub frontend: Option<Frontend>,
    pub features: u64,
    pub rings: Vec<Ring>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped.
        unsafe { libc::munmap(self.base.cast(), MEMORY as usize) };
    }
}

impl Guest {
    /// With `pairs` queue pairs.
    pub fn new(features: u64, pairs: u32) -> Guest {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("guest-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let c_name = CString::new(name.as_str()).unwrap();
        // SAFETY: the name ends with NUL, the descriptor is new, and the mapping is at an address of the kernel's choice.
        let (file, base) = unsafe {
            let file = File::from_raw_fd(libc::memfd_create(c_name.as_ptr(), libc::MFD_CLOEXEC));
            file.set_len(MEMORY).unwrap();
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let base = libc::mmap(std::ptr::null_mut(), MEMORY as usize, access, libc::MAP_SHARED, file.as_raw_fd(), 0);
            assert_ne!(base, libc::MAP_FAILED);
            (file, base.cast())
        };
        let rings = (0..2 * pairs).map(|index| Ring::new(index, SIZE)).collect();
        Guest { name, file, base, frontend: None, features: features | PROTOCOL, rings }
    }

    /// A guest that is connected to the server on `path` and has its rings running, and `device` says that the link is up.
    pub fn on(path: &Path, features: u64, device: &dyn Device) -> Guest {
        let mut guest = Guest::new(features, 1);
        guest.connect(path);
        guest.start();
        wait_link(device, Link::Up);
        guest
    }

    pub fn connect(&mut self, path: &Path) {
        self.frontend = Some(Frontend::new(UnixStream::connect(path).unwrap()));
    }

    pub fn accept(&mut self, listener: &UnixListener) {
        self.frontend = Some(Frontend::new(listener.accept().unwrap().0));
    }

    pub fn frontend(&mut self) -> &mut Frontend {
        self.frontend.as_mut().unwrap()
    }

    /// Agrees on features.
    pub fn negotiate(&mut self) {
        let features = self.features;
        let frontend = self.frontend();
        assert!(frontend.send(Code::SetOwner, 0, &[], &[]).is_ok());
        let offered = frontend.get(Code::GetFeatures);
        assert_eq!(features & !offered, 0, "{features:#x} of {offered:#x}");
        let protocol = frontend.get(Code::GetProtocolFeatures);
        assert_eq!(protocol, 1 | 1 << 3 | 1 << 15, "mq, reply-ack, configure-mem-slots");
        frontend.send(Code::SetProtocolFeatures, 0, &numbers(&[protocol]), &[]).unwrap();
        assert!(frontend.tell(Code::SetFeatures, &numbers(&[features]), &[]));
    }

    /// The regions: guest address, size, address in its process, offset in the file.
    pub fn regions() -> [[u64; 4]; 2] {
        let main = MEMORY - TAIL;
        // In the guest's eyes the two lie side by side, in the file, too; but they are two.
        [[GUEST, main, USER, 0], [GUEST + main, TAIL, USER + (1 << 30), main]]
    }

    pub fn share_memory(&mut self) -> bool {
        let mut payload = words(&[2, 0]);
        payload.extend(numbers(Guest::regions().as_flattened()));
        let fd = self.file.as_raw_fd();
        self.frontend().tell(Code::SetMemTable, &payload, &[fd, fd])
    }

    /// Describes a ring and starts it, not yet enabled.
    pub fn start_ring(&mut self, at: usize, base: u16) {
        let Ring { index, size, table, available, used, ref kick, ref call, ref error, .. } = self.rings[at];
        let fds = [kick.fd(), call.fd(), error.fd()];
        let frontend = self.frontend.as_mut().unwrap();
        assert!(frontend.tell(Code::SetVringCall, &numbers(&[index.into()]), &[fds[1]]));
        assert!(frontend.tell(Code::SetVringErr, &numbers(&[index.into()]), &[fds[2]]));
        assert!(frontend.tell_ring(Code::SetVringNum, index, size.into()));
        assert!(frontend.tell_ring(Code::SetVringBase, index, base.into()));
        let mut addresses = words(&[index, 0]);
        addresses.extend(numbers(&[USER + table, USER + used, USER + available, 0]));
        assert!(frontend.tell(Code::SetVringAddr, &addresses, &[]));
        assert!(frontend.tell(Code::SetVringKick, &numbers(&[index.into()]), &[fds[0]]));
    }

    pub fn enable(&mut self, at: usize, on: bool) {
        let index = self.rings[at].index;
        assert!(self.frontend().tell_ring(Code::SetVringEnable, index, on.into()));
    }

    /// Does all that it takes: packets pass afterwards.
    pub fn start(&mut self) {
        self.negotiate();
        assert!(self.share_memory());
        for at in 0..self.rings.len() {
            let base = self.rings[at].next;
            self.start_ring(at, base);
            self.enable(at, true);
        }
    }

    /// Stops a ring; where it was.
    pub fn stop_ring(&mut self, at: usize) -> u16 {
        let index = self.rings[at].index;
        let frontend = self.frontend();
        frontend.send(Code::GetVringBase, 0, &words(&[index, 0]), &[]).unwrap();
        let answer = frontend.reply(Code::GetVringBase).unwrap();
        assert_eq!(answer[..4], index.to_le_bytes());
        u32::from_le_bytes(answer[4..].try_into().unwrap()) as u16
    }

    /// Empties the rings, as a driver that starts anew does.
    pub fn clear_rings(&mut self) {
        for at in 0..self.rings.len() {
            let offset = self.rings[at].table;
            self.write(offset, &[0; 0x1_0000]);
            (self.rings[at].free, self.rings[at].next, self.rings[at].seen) = (0, 0, 0);
        }
    }

    pub fn write(&self, offset: u64, bytes: &[u8]) {
        assert!(offset + bytes.len() as u64 <= MEMORY);
        // SAFETY: inside of the mapping.
        unsafe { self.base.add(offset as usize).copy_from(bytes.as_ptr(), bytes.len()) };
    }

    pub fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        assert!(offset + len as u64 <= MEMORY);
        let mut bytes = vec![0; len];
        // SAFETY: inside of the mapping.
        unsafe { self.base.add(offset as usize).copy_to(bytes.as_mut_ptr(), len) };
        bytes
    }

    /// A 16-bit word that the device sees.
    pub fn word(&self, offset: u64) -> &AtomicU16 {
        // SAFETY: inside of the mapping, aligned.
        unsafe { AtomicU16::from_ptr(self.base.add(offset as usize).cast()) }
    }

    /// Writes a descriptor of a table at `table`.
    pub fn describe(&self, table: u64, number: u16, (address, len, flags, next): (u64, u32, u16, u16)) {
        let mut bytes = numbers(&[address]);
        bytes.extend(words(&[len]));
        bytes.extend(flags.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        self.write(table + 16 * u64::from(number), &bytes);
    }

    /// Makes a chain of buffers (guest address, bytes) available, which the device is told with [`publish`](Guest::publish); its number.
    pub fn add(&mut self, at: usize, buffers: &[(u64, u32)], flags: u16) -> u16 {
        let (table, size, head) = (self.rings[at].table, self.rings[at].size, self.rings[at].free);
        for (position, (address, len)) in buffers.iter().enumerate() {
            let last = position + 1 == buffers.len();
            let number = (head + position as u16) % size;
            let flags = flags | if last { 0 } else { NEXT };
            self.describe(table, number, (*address, *len, flags, (number + 1) % size));
        }
        self.rings[at].free = (head + buffers.len() as u16) % size;
        self.offer(at, head);
        head
    }

    /// Makes the chain from this descriptor available.
    pub fn offer(&mut self, at: usize, head: u16) {
        let ring = &mut self.rings[at];
        let place = ring.available + 4 + 2 * u64::from(ring.next % ring.size);
        ring.next = ring.next.wrapping_add(1);
        self.word(place).store(head, Ordering::Relaxed);
    }

    /// Lets the device see what is available.
    pub fn publish(&self, at: usize) {
        let ring = &self.rings[at];
        self.word(ring.available + 2).store(ring.next, Ordering::SeqCst);
    }

    /// What was given back since this was asked last: chain and bytes.
    pub fn used(&mut self, at: usize) -> Vec<(u32, u32)> {
        let (used, size, mut seen) = (self.rings[at].used, self.rings[at].size, self.rings[at].seen);
        let now = self.word(used + 2).load(Ordering::SeqCst);
        let mut all = Vec::new();
        while seen != now {
            let element = self.read(used + 4 + 8 * u64::from(seen % size), 8);
            let word = |at: usize| u32::from_le_bytes(element[at..at + 4].try_into().unwrap());
            all.push((word(0), word(4)));
            seen = seen.wrapping_add(1);
        }
        self.rings[at].seen = now;
        all
    }

    /// Bytes of the header in front of each packet.
    pub fn header(&self) -> usize {
        if self.features & (MRG | VERSION_1) != 0 { 12 } else { 10 }
    }

    /// Where the `n`th buffer of a ring is: offset in memory. Each has 2 KiB.
    pub fn buffer(&self, at: usize, n: u16) -> u64 {
        BUFFERS + at as u64 * (64 << 11) + (u64::from(n) << 11)
    }

    /// Sends a frame, in one buffer.
    pub fn send(&mut self, frame: &[u8]) {
        self.send_with(&vec![0; self.header()], frame);
    }

    /// Sends a frame behind a header, in one buffer.
    pub fn send_with(&mut self, header: &[u8], frame: &[u8]) {
        let free = self.rings[1].free;
        let offset = self.buffer(1, free);
        self.write(offset, &[header, frame].concat());
        self.add(1, &[(GUEST + offset, (header.len() + frame.len()) as u32)], 0);
        self.publish(1);
    }

    /// Makes `n` buffers of so many bytes available to receive in.
    pub fn make_room(&mut self, n: u16, len: u32) {
        for _ in 0..n {
            let offset = self.buffer(0, self.rings[0].free);
            self.add(0, &[(GUEST + offset, len)], WRITE);
        }
        self.publish(0);
    }

    /// Frames that came in buffers of [`make_room`](Guest::make_room): header and frame.
    pub fn receive(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let used = self.used(0);
        let take = |(id, len): (u32, u32)| {
            let bytes = self.read(self.buffer(0, id as u16), len as usize);
            let (header, frame) = bytes.split_at(self.header());
            (header.to_vec(), frame.to_vec())
        };
        used.into_iter().map(take).collect()
    }
}

/// Listens where a client is going to connect.
pub fn listen(path: &Path) -> UnixListener {
    match UnixListener::bind(path) {
        Ok(listener) => listener,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            std::fs::remove_file(path).unwrap();
            UnixListener::bind(path).unwrap()
        }
        Err(error) => panic!("{}: {error}", path.display()),
    }
}
