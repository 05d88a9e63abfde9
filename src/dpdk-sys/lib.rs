//! DPDK, as far as the router needs it: what `shim/` has, declared, and nothing else. The shim's types are our own, so that no bindings
//! to DPDK's headers are needed, many of whose functions are inline and exist only for C.
//!
//! Without the feature `dpdk` there is nothing here, and nothing of DPDK is needed to build it. With it DPDK is linked statically,
//! with the drivers that `build.rs` names. All functions are to be called after [`mr_start`] has succeeded, except itself.
//! Those that answer `c_int` give 0 (or what they count), or minus an `errno`.
#![cfg(feature = "dpdk")]

use std::ffi::{c_char, c_int, c_void};

/// Set in a part's index: the packet goes on in the next part.
pub const MORE: u32 = 1 << 31;
/// The most packets of one burst.
pub const BURST: usize = 256;
/// The parts that a receive burst has room for.
pub const PARTS: usize = 1024;

/// Verifies checksums of what it receives, and marks those that are wrong.
pub const RX_CHECKSUMS: u32 = 1;
/// Receives packets into several cells.
pub const RX_SCATTER: u32 = 2;
/// Sends packets from several cells.
pub const TX_SEGMENTS: u32 = 4;
/// Frees what it has sent without a look, as all of it is of one pool.
pub const TX_FAST_FREE: u32 = 8;
/// Spreads flows over queues by a hash.
pub const RSS: u32 = 16;
/// Tells of changes of the link.
pub const LINK_EVENTS: u32 = 32;
/// Tells of packets by an interrupt.
pub const RX_INTERRUPTS: u32 = 64;

/// A piece of a packet in one cell.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The cell, and perhaps [`MORE`].
    pub index: u32,
    /// From the cell's start, in bytes.
    pub offset: u16,
    /// Bytes.
    pub len: u16,
}

/// Gives at most `n` free cells; how many.
pub type Take = unsafe extern "C" fn(from: *mut c_void, to: *mut u32, n: u32) -> u32;
/// Takes `n` cells back.
pub type Put = unsafe extern "C" fn(to: *mut c_void, cells: *const u32, n: u32);

/// A pool of ours, as DPDK sees it. Whoever makes it fills in all but `mbufs` and `mempool`, which are [`mr_pool_create`]'s.
#[repr(C)]
#[derive(Debug)]
pub struct Pool {
    /// The first mbuf.
    pub mbufs: *mut u8,
    /// The first cell.
    pub cells: *mut u8,
    /// Bytes of a cell.
    pub cell: u32,
    /// How many there are.
    pub count: u32,
    /// What threads that are not in a burst pass to the two `depot` functions.
    pub depot: *mut c_void,
    /// Outside of a burst.
    pub depot_take: Take,
    /// In a burst, with its `cache`.
    pub cache_take: Take,
    /// Outside of a burst.
    pub depot_put: Put,
    /// In a burst, with its `cache`.
    pub cache_put: Put,
    /// DPDK's.
    pub mempool: *mut c_void,
}

/// What a port is.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Info {
    /// DPDK's name of it.
    pub name: [c_char; 64],
    /// Its driver's.
    pub driver: [c_char; 64],
    /// What it can do: the flags above, but for [`RX_INTERRUPTS`], which shows when it is tried.
    pub can: u32,
    /// Receive queues at most.
    pub max_rx_queues: u16,
    /// Transmit queues at most.
    pub max_tx_queues: u16,
    /// The smallest MTU.
    pub min_mtu: u16,
    /// The largest MTU.
    pub max_mtu: u16,
    /// Receive descriptors: at least.
    pub rx_ring_min: u16,
    /// Receive descriptors: at most; 0 says nothing.
    pub rx_ring_max: u16,
    /// Receive descriptors: a multiple of; 0 says nothing.
    pub rx_ring_align: u16,
    /// Transmit descriptors: at least.
    pub tx_ring_min: u16,
    /// Transmit descriptors: at most; 0 says nothing.
    pub tx_ring_max: u16,
    /// Transmit descriptors: a multiple of; 0 says nothing.
    pub tx_ring_align: u16,
    /// Its address.
    pub mac: [u8; 6],
    /// 1 for a device of the PCI bus.
    pub pci: u8,
    /// Nothing.
    pub reserved: u8,
}

/// What a port is to be.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Config {
    /// Flags as above.
    pub want: u32,
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Descriptors of each receive queue.
    pub rx_ring: u16,
    /// Descriptors of each transmit queue.
    pub tx_ring: u16,
    /// The largest IP packet.
    pub mtu: u16,
    /// Nothing.
    pub reserved: u16,
}

/// The state of a link.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    /// Speed in megabits a second, where `known`.
    pub mbps: u32,
    /// 1: frames can pass.
    pub up: u8,
    /// 1: both ways at a time.
    pub full_duplex: u8,
    /// 1: the two ends agreed on it by themselves.
    pub autoneg: u8,
    /// 1: the speed says something.
    pub known: u8,
}

/// What a receive burst came to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Packets that came.
    pub packets: u32,
    /// Parts written.
    pub parts: u32,
    /// Packets whose IP checksum is wrong, says the device.
    pub bad_ip: u32,
    /// Packets whose TCP or UDP checksum is wrong, says the device.
    pub bad_l4: u32,
    /// Packets of more pieces than there was room for.
    pub dropped: u32,
    /// Times that the driver found no free cell.
    pub starved: u32,
}

/// Takes text of DPDK's log: a line, or part of one. Level 1 (emergency) to 8 (debug).
pub type Log = unsafe extern "C" fn(level: u32, text: *const c_char, len: usize);
/// Hears of a port whose link changed, or (`gone` is not 0) whose device went.
pub type Changed = unsafe extern "C" fn(port: u16, gone: c_int);

unsafe extern "C" {
    /// Starts DPDK's environment, once a process; the thread is bound to a processor. `argv` is for DPDK to keep and change.
    pub fn mr_start(argc: c_int, argv: *mut *mut c_char, log: Log) -> c_int;
    /// The folder that it made for its files.
    pub fn mr_runtime_dir() -> *const c_char;
    /// The text of an error number, of DPDK's own ones, too.
    pub fn mr_error(code: c_int) -> *const c_char;
    /// Makes the calling thread known to the environment.
    pub fn mr_thread_register() -> c_int;

    /// Bytes that the mbufs of so many cells take.
    pub fn mr_pool_bytes(count: u32) -> usize;
    /// Makes the mempool; `pool` and `memory`, aligned to 64 bytes, stay for ever.
    pub fn mr_pool_create(pool: *mut Pool, name: *const c_char, memory: *mut c_void, len: usize) -> c_int;
    /// Tells the environment of the cells' memory, `len` bytes in pages of `page` bytes. `-ENOTSUP`: with physical
    /// I/O addresses that can't be.
    pub fn mr_pool_register(pool: *const Pool, len: usize, page: usize) -> c_int;

    /// Has `changed` called by a thread of DPDK's. Once.
    pub fn mr_watch(changed: Changed) -> c_int;
    /// Finds or makes a device, and its first port. `-EEXIST`: it is there already. One call of this and [`mr_remove`] at a time.
    pub fn mr_probe(device: *const c_char, port: *mut u16) -> c_int;
    /// Closes a stopped port and removes its device.
    pub fn mr_remove(port: u16) -> c_int;
    /// Lets the device reach the cells. `-ENOTSUP`: it needs no leave.
    pub fn mr_dma_map(port: u16, pool: *const Pool, len: usize) -> c_int;
    /// What it is.
    pub fn mr_info(port: u16, info: *mut Info) -> c_int;
    /// Sets up a stopped port and its queues.
    pub fn mr_configure(port: u16, pool: *const Pool, config: *const Config) -> c_int;
    /// Starts it.
    pub fn mr_port_start(port: u16) -> c_int;
    /// Stops it; no thread is to be in a burst of it.
    pub fn mr_port_stop(port: u16) -> c_int;
    /// The state of its link.
    pub fn mr_link(port: u16, link: *mut Link) -> c_int;
    /// Gives it another address.
    pub fn mr_set_mac(port: u16, mac: *const u8) -> c_int;
    /// The largest IP packet.
    pub fn mr_mtu(port: u16, mtu: *mut u16) -> c_int;
    /// Sets it.
    pub fn mr_set_mtu(port: u16, mtu: u16) -> c_int;
    /// Has it take frames for any address.
    pub fn mr_set_promiscuous(port: u16, on: c_int) -> c_int;
    /// Whether it does: 1 or 0.
    pub fn mr_is_promiscuous(port: u16) -> c_int;
    /// Names of what it counts, NUL-terminated; how many there are. With too little room nothing is written.
    pub fn mr_xstats_names(port: u16, names: *mut [c_char; 64], room: u32) -> c_int;
    /// The numbers, in the order of the names; how many there are.
    pub fn mr_xstats(port: u16, values: *mut u64, room: u32) -> c_int;
    /// Sets them to 0.
    pub fn mr_xstats_reset(port: u16) -> c_int;
    /// Which of its functions the driver has chosen for receiving, or (`tx` is not 0) sending.
    pub fn mr_burst_mode(port: u16, tx: c_int, text: *mut c_char, room: usize) -> c_int;

    /// Receives at most `most` packets into `parts`, of which there are [`PARTS`]. `received` is added to, but for `packets` and `parts`.
    pub fn mr_rx(
        pool: *const Pool,
        cache: *mut c_void,
        port: u16,
        queue: u16,
        most: u16,
        parts: *mut Part,
        received: *mut Received,
    );
    /// Sends the packets that `n` parts make, at most [`BURST`]; how many packets the device has taken.
    pub fn mr_tx(pool: *const Pool, cache: *mut c_void, port: u16, queue: u16, parts: *const Part, n: u32) -> u32;
    /// Has a queue give back what it has sent; how many packets, or `-ENOTSUP` when it does so only while it sends.
    pub fn mr_tx_reclaim(pool: *const Pool, cache: *mut c_void, port: u16, queue: u16) -> c_int;
    /// Throws away at most `most` packets that wait in a queue which nobody else polls.
    pub fn mr_drain(port: u16, queue: u16, most: u32);
    /// How many packets wait in a queue, or minus an `errno`.
    pub fn mr_rx_waiting(port: u16, queue: u16) -> c_int;
    /// Has the queue's interrupt make `epoll` readable.
    pub fn mr_interrupt_open(port: u16, queue: u16, epoll: c_int) -> c_int;
    /// Has the next packet interrupt.
    pub fn mr_interrupt_arm(port: u16, queue: u16) -> c_int;
    /// No interrupts any more; what they wrote is read.
    pub fn mr_interrupt_disarm(port: u16, queue: u16, epoll: c_int);
}
