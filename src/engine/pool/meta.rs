//! What is known of a packet beside its bytes.

use super::{CELL, HEADROOM};
use std::sync::atomic::AtomicU32;

/// A piece of a packet: bytes in one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The cell.
    pub index: u32,
    /// Where they start, from the start of the cell.
    pub offset: u16,
    /// How many they are; `offset + len` is at most [`CELL`].
    pub len: u16,
}

impl Part {
    /// Whether it lies in its cell.
    #[inline(always)]
    pub(crate) const fn fits(&self) -> bool {
        self.offset as usize + self.len as usize <= CELL
    }
}

/// A node on another worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Handoff {
    pub worker: u16,
    /// Position of the node in the graph.
    pub place: u16,
}

/// What the graph knows about a packet: exactly one cache line, without padding, so that a fresh one is written in whole vectors.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
pub struct Meta {
    /// Start of the packet's current header, from the start of the cell. Invariant: `offset + len <= CELL`.
    pub(crate) offset: u16,
    /// Bytes from there in this buffer.
    pub(crate) len: u16,
    pub(crate) flags: u16,
    /// Offset in bytes of the network header from the start of the cell.
    pub(crate) l3: u16,
    /// Features of the current arc that the packet has still to visit, a bit each.
    pub(crate) features: u32,
    /// The interface that it came in by.
    pub rx_interface: u32,
    /// The interface that it leaves by.
    pub tx_interface: u32,
    /// The adjacency that lookup chose.
    pub adjacency: u32,
    /// Hash over what names its flow; 0 until somebody computes it.
    pub flow_hash: u32,
    /// Forwarding table (VRF) that it is looked up in.
    pub table: u32,
    /// Bits that the protocols above define and share.
    pub marks: u32,
    /// Where it goes on, while it is between two workers.
    pub(crate) handoff: Handoff,
    /// Room for one feature's own use between two nodes that it owns; others may overwrite it.
    pub scratch: [u64; 3],
}

/// What only some packets need: chains and trace.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Cold {
    /// Next buffer of the chain, or `NONE`.
    pub next: u32,
    /// Bytes in the buffers that follow.
    pub chain_len: u32,
    /// Number of this packet's trace.
    pub trace: u32,
    /// Of the first cell of a shared tail: how many packets have a share in it. 0 of all other cells.
    pub sharers: AtomicU32,
}

impl Meta {
    /// Of an empty packet that came in by `interface`. Every field by itself: a struct copied from a default costs more.
    #[inline(always)]
    pub(crate) fn fresh(interface: u32) -> Meta {
        Meta {
            offset: HEADROOM as u16,
            len: 0,
            flags: 0,
            l3: 0,
            features: 0,
            rx_interface: interface,
            tx_interface: 0,
            adjacency: 0,
            flow_hash: 0,
            table: 0,
            marks: 0,
            handoff: Handoff { worker: 0, place: 0 },
            scratch: [0; 3],
        }
    }
}

const _: () = assert!(size_of::<Meta>() == 64 && size_of::<Cold>() == 64 && (CELL / 64) % 2 == 1);

/// Flag: more buffers follow.
pub(crate) const CHAINED: u16 = 1;
/// Flag: record what every node does to it.
pub(crate) const TRACED: u16 = 2;
/// Flag: the buffers that follow are other packets', too.
pub(crate) const SHARED: u16 = 4;
