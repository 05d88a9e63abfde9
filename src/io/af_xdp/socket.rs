//! AF_XDP sockets: the pool's memory registered, rings mapped, bound to a queue of a device.

use super::program::{CLEARING, PAUSE, Program};
use super::ring::{Held, Mapping, Ring, offsets};
use crate::spec::{AfXdp, ZeroCopy};
use crate::sys;
use millrace_engine::{CELL, Pool};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Bytes that the kernel leaves free at the start of a cell (`XDP_PACKET_HEADROOM`).
pub(super) const FRONT: usize = 256;
/// Bytes of a packet that it puts into one.
pub(super) const ROOM: usize = CELL - FRONT;
/// Memory of packets sent and still on their way in the kernel, in bytes.
const SENDING: i32 = 32 << 20;
/// How many packets one system call sends in copy mode, which is 32 unless told otherwise (`XDP_MAX_TX_SKB_BUDGET`, Linux 6.18).
const MAX_TX_SKB_BUDGET: i32 = 9;
/// How long the driver's own work goes on at a time when the worker polls it, in microseconds, and packets of one such turn.
const BUSY_MICROS: i32 = 20;
const BUSY_BUDGET: i32 = 64;
// `asm-generic/socket.h`.
const SO_PREFER_BUSY_POLL: i32 = 69;
const SO_BUSY_POLL_BUDGET: i32 = 70;
/// How long a socket that is closed waits for packets on their way.
const LAST_PACKETS: Duration = Duration::from_millis(100);

/// What is in force on a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// The device itself reads and writes the router's memory.
    pub zero_copy: bool,
    /// Packets may be of several pieces.
    pub several_pieces: bool,
    /// Why there is no zero copy.
    pub why: String,
}

/// A bound socket with its rings. The last owner closes it and gives back the cells that the kernel had.
pub(super) struct Socket {
    fd: Option<OwnedFd>,
    /// Receive, fill, transmit and completion ring.
    rings: Option<[Mapping; 4]>,
    pub pool: &'static Pool,
    pub queue: u32,
    index: i32,
    pub terms: Terms,
    pub busy_poll: bool,
    /// What the kernel has to fill, and what it has to send.
    pub filling: Held,
    pub sending: Held,
    /// The device is gone; told once by the kernel.
    gone: AtomicBool,
    /// Stays at the device for as long as one of its sockets.
    program: Arc<Program>,
}

impl Socket {
    /// A socket at a queue of the device.
    pub fn open(
        spec: &AfXdp,
        pool: &'static Pool,
        index: i32,
        queue: u32,
        wide: bool,
        program: &Arc<Program>,
    ) -> io::Result<Socket> {
        let mut why = match spec.zero_copy {
            ZeroCopy::Off => "switched off".to_owned(),
            _ if !program.native => "there is none in generic mode".to_owned(),
            _ => String::new(),
        };
        if why.is_empty() {
            // A device whose driver sends no packets in pieces may still spare the copy of packets that fit into one.
            for pieces in [true, false] {
                if (pieces && !program.frags) || (!pieces && wide) {
                    continue;
                }
                match Self::with(spec, pool, index, queue, (libc::XDP_ZEROCOPY, pieces), program) {
                    Err(e) if declined(&e) => why = reason(&e),
                    done => return done,
                }
            }
            if spec.zero_copy == ZeroCopy::Required {
                return Err(io::Error::other(format!("no zero copy, which is required: {why}")));
            }
        }
        let copy = |pieces| Self::with(spec, pool, index, queue, (libc::XDP_COPY, pieces), program);
        let mut socket = match copy(program.frags) {
            // Kernels before 6.6 know no packets of several pieces.
            Err(e) if program.frags && e.raw_os_error() == Some(libc::EINVAL) => copy(false)?,
            done => done?,
        };
        socket.terms.why = why;
        Ok(socket)
    }

    fn with(
        spec: &AfXdp,
        pool: &'static Pool,
        index: i32,
        queue: u32,
        (copying, pieces): (u16, bool),
        program: &Arc<Program>,
    ) -> io::Result<Socket> {
        let owned = sys::socket(libc::AF_XDP, libc::SOCK_RAW, 0)?;
        let fd = owned.as_fd();
        let set = |name, value: u32| sys::set_option(fd, libc::SOL_XDP, name, &value);
        register(fd, pool)?;
        let slots = spec.ring_size;
        set(libc::XDP_UMEM_FILL_RING, slots)?;
        // Whatever waits to be sent and whatever is on its way has room there.
        let completions = slots * 2;
        set(libc::XDP_UMEM_COMPLETION_RING, completions)?;
        set(libc::XDP_RX_RING, slots)?;
        set(libc::XDP_TX_RING, slots)?;
        // Kernels that don't know it send fewer packets a call.
        let _ = set(MAX_TX_SKB_BUDGET, slots);
        let _ = sys::set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &SENDING)
            .or_else(|_| sys::set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &SENDING));
        if spec.busy_poll {
            for (name, value) in
                [(SO_PREFER_BUSY_POLL, 1), (libc::SO_BUSY_POLL, BUSY_MICROS), (SO_BUSY_POLL_BUDGET, BUSY_BUDGET)]
            {
                sys::set_option(fd, libc::SOL_SOCKET, name, &value)?;
            }
        }
        let at = offsets(fd)?;
        let packet = size_of::<libc::xdp_desc>();
        let rings = [
            Mapping::new(fd, libc::XDP_PGOFF_RX_RING, at.rx, slots, packet)?,
            Mapping::new(fd, libc::XDP_UMEM_PGOFF_FILL_RING as i64, at.fr, slots, 8)?,
            Mapping::new(fd, libc::XDP_PGOFF_TX_RING, at.tx, slots, packet)?,
            Mapping::new(fd, libc::XDP_UMEM_PGOFF_COMPLETION_RING as i64, at.cr, completions, 8)?,
        ];
        let pieces_flag = if pieces { libc::XDP_USE_SG } else { 0 };
        bind(fd, index, queue, copying | pieces_flag | libc::XDP_USE_NEED_WAKEUP)?;
        let [options] = sys::option(fd, libc::SOL_XDP, libc::XDP_OPTIONS)?;
        let zero_copy = options & libc::XDP_OPTIONS_ZEROCOPY != 0;
        Ok(Socket {
            fd: Some(owned),
            rings: Some(rings),
            pool,
            queue,
            index,
            terms: Terms { zero_copy, several_pieces: pieces, why: String::new() },
            busy_poll: spec.busy_poll,
            filling: Held::new(pool.count()),
            sending: Held::new(pool.count()),
            gone: AtomicBool::new(false),
            program: program.clone(),
        })
    }

    /// Has packets come to it.
    pub fn connect(&self) -> io::Result<()> {
        self.fd.as_ref().map_or(Ok(()), |fd| self.program.connect(self.queue, fd.as_fd()))
    }

    pub fn fd(&self) -> RawFd {
        self.fd.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    fn ring<T: Copy>(&self, at: usize) -> io::Result<Ring<T>> {
        let mapping = self.rings.as_ref().and_then(|rings| rings.get(at)).ok_or(io::ErrorKind::NotConnected)?;
        // SAFETY: each ring has its slots' type below, and is asked for once, by the queue that keeps this socket.
        Ok(unsafe { mapping.view() })
    }

    /// Receive and fill ring. Once.
    pub fn receiving(&self) -> io::Result<(Ring<libc::xdp_desc>, Ring<u64>)> {
        Ok((self.ring(0)?, self.ring(1)?))
    }

    /// Transmit and completion ring. Once.
    pub fn transmitting(&self) -> io::Result<(Ring<libc::xdp_desc>, Ring<u64>)> {
        Ok((self.ring(2)?, self.ring(3)?))
    }

    /// Has the kernel send what is in the transmit ring.
    #[inline]
    pub fn send(&self) -> io::Result<()> {
        // SAFETY: no bytes and no address are passed.
        let result = unsafe { libc::sendto(self.fd(), std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0) };
        sys::check_len(result).map(drop)
    }

    /// Has the kernel's driver receive.
    #[inline]
    pub fn receive(&self) {
        // SAFETY: no bytes are passed. What an error would say, `check` finds out.
        unsafe { libc::recv(self.fd(), std::ptr::null_mut(), 0, libc::MSG_DONTWAIT) };
    }

    /// # Errors
    /// When the device is gone.
    pub fn check(&self) -> io::Result<()> {
        let gone = self.gone.load(Relaxed) || {
            // The kernel tells here that it has unbound the socket, and of nothing else.
            let error = self.fd.as_ref().map(|fd| sys::option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_ERROR));
            !matches!(error, Some(Ok([0])))
        };
        if gone { Err(self.lost()) } else { Ok(()) }
    }

    /// Notes that the device is gone.
    pub fn lost(&self) -> io::Error {
        self.gone.store(true, Relaxed);
        io::Error::from_raw_os_error(libc::ENODEV)
    }

    /// What the kernel counts.
    pub fn statistics(&self) -> [u64; 6] {
        let words = self.fd.as_ref().and_then(|fd| sys::option(fd.as_fd(), libc::SOL_XDP, libc::XDP_STATISTICS).ok());
        let words: [u32; 12] = words.unwrap_or_default();
        let (numbers, _) = words.as_chunks::<2>();
        std::array::from_fn(|at| numbers.get(at).map_or(0, |[low, high]| u64::from(*low) | u64::from(*high) << 32))
    }

    /// Waits for what was sent to be out of the device's hands: where it reads packets itself, it shall not read others.
    fn let_out(&self) {
        let Ok((_, mut done)) = self.transmitting() else { return };
        // The view begins where the queue's ended.
        done.resume();
        let start = Instant::now();
        while start.elapsed() < LAST_PACKETS {
            while let Some(address) = done.read() {
                self.returned(address);
            }
            if self.gone.load(Relaxed) || self.sending.is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A cell that was sent.
    fn returned(&self, address: u64) {
        if let Some((cell, _)) = self.pool.at(address as usize)
            && self.sending.take(cell)
        {
            // SAFETY: it was the kernel's until now, and nobody else's.
            unsafe { self.pool.put(&[cell]) };
        }
    }

    /// Waits until the device's driver has let go of the memory: another socket can then be bound. Whether it has.
    fn released(&self) -> bool {
        let start = Instant::now();
        while start.elapsed() < CLEARING {
            match probe(self.index, self.queue) {
                Err(e) if e.raw_os_error() == Some(libc::EBUSY) => std::thread::sleep(PAUSE),
                _ => return true,
            }
        }
        false
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.let_out();
        // A mapping keeps the socket open, too. Closing it ends what the kernel does for it ...
        self.rings = None;
        self.fd = None;
        // ... and what a driver does that reads and writes the memory itself ends a little later.
        if self.terms.zero_copy && !self.released() {
            return;
        }
        for held in [&self.filling, &self.sending] {
            // SAFETY: the kernel had them, and has no use for them any more.
            unsafe { self.pool.put(&held.drain()) };
        }
    }
}

/// Registers the pool's memory with a socket. Chunks lie at any address: a cell is no power of two.
fn register(fd: BorrowedFd<'_>, pool: &Pool) -> io::Result<()> {
    let region = pool.region();
    let memory = libc::xdp_umem_reg {
        addr: region.base().as_ptr() as u64,
        len: region.len() as u64,
        chunk_size: CELL as u32,
        headroom: 0,
        flags: libc::XDP_UMEM_UNALIGNED_CHUNK_FLAG,
        tx_metadata_len: 0,
    };
    sys::set_option(fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &memory).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOBUFS) => {
            let mib = region.len() >> 20;
            io::Error::other(format!(
                "{mib} MiB of buffers can't be locked in memory: raise `ulimit -l`, or give CAP_IPC_LOCK"
            ))
        }
        _ => error,
    })
}

/// Binds it, after what another process has left there is gone.
fn bind(fd: BorrowedFd<'_>, index: i32, queue: u32, flags: u16) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match bind_once(fd, index, queue, flags) {
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) && start.elapsed() < CLEARING => std::thread::sleep(PAUSE),
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
                return Err(io::Error::other(format!("its queue {queue} belongs to another AF_XDP socket")));
            }
            done => return done,
        }
    }
}

fn bind_once(fd: BorrowedFd<'_>, index: i32, queue: u32, flags: u16) -> io::Result<()> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: flags,
        sxdp_ifindex: index as u32,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: 0,
    };
    let len = size_of_val(&address) as u32;
    // SAFETY: the address is a `sockaddr_xdp` of that length.
    sys::check(unsafe { libc::bind(fd.as_raw_fd(), std::ptr::from_ref(&address).cast(), len) }).map(drop)
}

/// Tries to bind a socket with a page of its own.
fn probe(index: i32, queue: u32) -> io::Result<()> {
    #[repr(align(4096))]
    struct Page([u8; 4096]);
    let page = Box::new(Page([0; 4096]));
    let owned = sys::socket(libc::AF_XDP, libc::SOCK_RAW, 0)?;
    let memory = libc::xdp_umem_reg {
        addr: page.0.as_ptr() as u64,
        len: 4096,
        chunk_size: 4096,
        headroom: 0,
        flags: 0,
        tx_metadata_len: 0,
    };
    let fd = owned.as_fd();
    sys::set_option(fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &memory)?;
    for ring in [libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING, libc::XDP_TX_RING] {
        sys::set_option(fd, libc::SOL_XDP, ring, &2u32)?;
    }
    bind_once(fd, index, queue, libc::XDP_COPY)
}

/// Whether the device has no zero copy, rather than that something is wrong.
fn declined(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ENOMEM))
}

/// In words.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => "the device has no zero copy".to_owned(),
        _ => format!("the device refuses zero copy ({error})"),
    }
}
