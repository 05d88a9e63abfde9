//! bpf(2): a map of sockets, a program that sends packets to them, and the link that holds it at a device.

use crate::sys::check;
use std::ffi::c_long;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

// `linux/bpf.h`.
const MAP_CREATE: c_long = 0;
const MAP_UPDATE_ELEM: c_long = 2;
const PROG_LOAD: c_long = 5;
const PROG_GET_FD_BY_ID: c_long = 13;
const OBJ_GET_INFO_BY_FD: c_long = 15;
const LINK_CREATE: c_long = 28;
const MAP_TYPE_XSKMAP: u32 = 17;
const PROG_TYPE_XDP: u32 = 6;
/// The attach type `BPF_XDP`.
const ATTACH_XDP: u32 = 37;
/// The program takes packets of several pieces (`BPF_F_XDP_HAS_FRAGS`).
const HAS_FRAGS: u32 = 1 << 5;

/// What the program is called, so that one that a router left behind is known.
pub(super) const NAME: &str = "millrace_xsk";

/// As the kernel takes it.
fn name() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(NAME.bytes()).for_each(|(to, from)| *to = from);
    bytes
}

/// The fields of `union bpf_attr` that a command has, as it has them.
fn bpf<T>(command: c_long, attributes: &T) -> io::Result<i32> {
    // SAFETY: the kernel reads `size_of::<T>` bytes of the attributes, whose pointers are good for the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    check(result as i32)
}

fn made(fd: i32) -> OwnedFd {
    // SAFETY: the kernel just gave us this descriptor.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The sockets of a device, by the number of their queue.
#[derive(Debug)]
pub(super) struct SocketMap(OwnedFd);

#[repr(C)]
#[derive(Default)]
struct MapAttributes {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    node: u32,
    name: [u8; 16],
}

#[repr(C)]
struct ElementAttributes {
    map: u32,
    _gap: u32,
    key: *const u32,
    value: *const u32,
    flags: u64,
}

impl SocketMap {
    /// An empty one for `queues` queues.
    pub fn new(queues: u32) -> io::Result<SocketMap> {
        let attributes = MapAttributes {
            kind: MAP_TYPE_XSKMAP,
            key_size: 4,
            value_size: 4,
            entries: queues,
            name: name(),
            ..MapAttributes::default()
        };
        bpf(MAP_CREATE, &attributes).map(|fd| SocketMap(made(fd)))
    }

    /// Has packets of this queue go to the socket. A socket that is closed leaves by itself.
    pub fn insert(&self, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        let (key, value) = (queue, socket.as_raw_fd() as u32);
        let attributes =
            ElementAttributes { map: self.0.as_raw_fd() as u32, _gap: 0, key: &key, value: &value, flags: 0 };
        bpf(MAP_UPDATE_ELEM, &attributes).map(drop)
    }
}

/// `struct bpf_insn`: operation, destination and source register, offset, number.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    number: i32,
}

const fn instruction(code: u8, to: u8, from: u8, offset: i16, number: i32) -> Instruction {
    Instruction { code, registers: to | from << 4, offset, number }
}

/// `return bpf_redirect_map(&map, ctx->rx_queue_index, XDP_PASS)`: to the queue's socket; without one, to the kernel.
fn instructions(map: &SocketMap) -> [Instruction; 6] {
    const LOAD_WORD: u8 = 0x61;
    const LOAD_NUMBER_64: u8 = 0x18;
    const SET: u8 = 0xb7;
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    /// The number that is loaded is a map's descriptor.
    const MAP_DESCRIPTOR: u8 = 1;
    /// Where `struct xdp_md` has `rx_queue_index`.
    const RX_QUEUE_INDEX: i16 = 16;
    const REDIRECT_MAP: i32 = 51;
    const XDP_PASS: i32 = 2;
    [
        instruction(LOAD_WORD, 2, 1, RX_QUEUE_INDEX, 0),
        instruction(LOAD_NUMBER_64, 1, MAP_DESCRIPTOR, 0, map.0.as_raw_fd()),
        instruction(0, 0, 0, 0, 0),
        instruction(SET, 3, 0, 0, XDP_PASS),
        instruction(CALL, 0, 0, 0, REDIRECT_MAP),
        instruction(EXIT, 0, 0, 0, 0),
    ]
}

/// A loaded program.
#[derive(Debug)]
pub(super) struct Loaded(OwnedFd);

#[repr(C)]
struct LoadAttributes {
    kind: u32,
    count: u32,
    instructions: *const Instruction,
    license: *const u8,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    device: u32,
    attach: u32,
}

impl Loaded {
    /// The program of this map; whether it can take packets of several pieces, which kernels before 5.18 don't know.
    pub fn new(map: &SocketMap) -> io::Result<(Loaded, bool)> {
        match Self::load(map, HAS_FRAGS) {
            Ok(program) => Ok((program, true)),
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => Self::load(map, 0).map(|program| (program, false)),
            Err(e) => Err(e),
        }
    }

    fn load(map: &SocketMap, flags: u32) -> io::Result<Loaded> {
        let instructions = instructions(map);
        let attributes = LoadAttributes {
            kind: PROG_TYPE_XDP,
            count: instructions.len() as u32,
            instructions: instructions.as_ptr(),
            license: c"Apache-2.0".as_ptr().cast(),
            log_level: 0,
            log_size: 0,
            log: 0,
            kernel_version: 0,
            flags,
            name: name(),
            device: 0,
            attach: ATTACH_XDP,
        };
        bpf(PROG_LOAD, &attributes).map(|fd| Loaded(made(fd)))
    }

    /// Puts it at a device. It stays for as long as the link does, and so never longer than the process.
    pub fn attach(&self, index: i32, native: bool) -> io::Result<Link> {
        // `XDP_FLAGS_DRV_MODE`, `XDP_FLAGS_SKB_MODE`.
        let flags = if native { 1 << 2 } else { 1 << 1 };
        let attributes = [self.0.as_raw_fd() as u32, index as u32, ATTACH_XDP, flags];
        bpf(LINK_CREATE, &attributes).map(|fd| Link(made(fd)))
    }
}

/// A program at a device. Dropping it takes the program away.
#[derive(Debug)]
pub(super) struct Link(#[expect(dead_code, reason = "holds the program where it is")] OwnedFd);

/// What a program of the system is called; empty when that may not be known.
pub(super) fn name_of(program: u32) -> String {
    #[repr(C)]
    struct InfoAttributes {
        descriptor: u32,
        len: u32,
        info: *mut u8,
    }
    /// Where `struct bpf_prog_info` has the name, and its bytes up to there.
    const NAME_AT: usize = 64;
    let mut info = [0u8; NAME_AT + 16];
    let mut by_id = || {
        let program = made(bpf(PROG_GET_FD_BY_ID, &[program, 0, 0])?);
        let len = info.len() as u32;
        let descriptor = program.as_fd().as_raw_fd() as u32;
        bpf(OBJ_GET_INFO_BY_FD, &InfoAttributes { descriptor, len, info: info.as_mut_ptr() })
    };
    match by_id() {
        Ok(_) => String::from_utf8_lossy(&info[NAME_AT..]).trim_end_matches('\0').to_owned(),
        Err(_) => String::new(),
    }
}
