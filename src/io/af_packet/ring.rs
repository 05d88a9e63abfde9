//! The receive ring that the kernel and we share: slots that change hands by their status word.

use crate::segment::VNET_HEADER;
use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Memory of a ring, in bytes, whatever its slots.
const SIZE: usize = 8 << 20;
/// The smallest and the largest slot, in bytes. Longer packets come by the socket's queue.
const SLOTS: std::ops::RangeInclusive<usize> = 2048..=16 << 10;
/// Bytes before a packet in its slot: the slot's header, an address, the offload header, alignment.
const FRONT: usize = 128;

/// How a ring is laid out. Slots are a power of two, so that they fill blocks, and blocks the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    slot: usize,
}

impl Layout {
    /// For packets of at most `mtu` bytes with their Ethernet header and a tag.
    pub fn for_mtu(mtu: u32) -> Layout {
        let want = (mtu as usize + 18 + FRONT).next_power_of_two();
        Layout { slot: want.clamp(*SLOTS.start(), *SLOTS.end()) }
    }

    pub fn slot(&self) -> usize {
        self.slot
    }

    pub fn slots(&self) -> usize {
        SIZE / self.slot
    }

    /// What the kernel is asked for: blocks of the largest slot's size, which it finds even in fragmented memory.
    pub fn request(&self) -> libc::tpacket_req {
        libc::tpacket_req {
            tp_block_size: *SLOTS.end() as u32,
            tp_block_nr: (SIZE / SLOTS.end()) as u32,
            tp_frame_size: self.slot as u32,
            tp_frame_nr: self.slots() as u32,
        }
    }
}

/// A mapped ring.
pub(super) struct Ring {
    base: NonNull<u8>,
    layout: Layout,
    /// The slot that the kernel fills next, or filled first of those not given back.
    at: usize,
}

// SAFETY: the mapping is reached through the ring only, which has one owner at a time.
unsafe impl Send for Ring {}

/// A slot that is ours.
pub(super) struct Slot<'a> {
    /// `TP_STATUS_*`.
    pub status: u32,
    /// The offload header.
    pub offload: &'a mut [u8; VNET_HEADER],
    /// As much of the packet as fitted, from its Ethernet header on.
    pub frame: &'a mut [u8],
    /// The packet's length.
    pub len: usize,
    /// The tag that the kernel took out: control information and protocol.
    pub tag: [u16; 2],
    /// Whether somebody on this host sent it, rather than received it.
    pub outgoing: bool,
}

impl Ring {
    pub fn map(fd: RawFd, layout: &Layout) -> io::Result<Ring> {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
        // SAFETY: a fresh mapping at an address of the kernel's choice, of the ring that was made with this layout.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, access, flags, fd, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mmap returned address 0"))?;
        Ok(Ring { base, layout: *layout, at: 0 })
    }

    #[inline(always)]
    fn header(&self) -> NonNull<libc::tpacket2_hdr> {
        // SAFETY: `at` is below the number of slots, so that the slot lies in the mapping.
        unsafe { self.base.add(self.at * self.layout.slot) }.cast()
    }

    #[inline(always)]
    fn status(&self) -> &AtomicU32 {
        // SAFETY: the status word is aligned and mapped as long as `self`; the kernel changes it, too, hence the atomic.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.header().as_ptr()).tp_status) }
    }

    /// Whether there is a packet.
    #[inline(always)]
    pub fn ready(&self) -> bool {
        self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// The packet. `None` when there is none, or what the kernel wrote makes no sense.
    #[inline]
    pub fn slot(&mut self) -> Option<Slot<'_>> {
        let status = self.status().load(Ordering::Acquire);
        if status & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let slot = self.header();
        // SAFETY: the slot is ours since the status word said so, with acquire ordering; the kernel leaves it alone.
        let header = unsafe { slot.as_ptr().read() };
        // SAFETY: an address follows the header at this distance (packet_mmap), within the slot.
        let address = unsafe {
            &*slot
                .as_ptr()
                .cast::<u8>()
                .add(libc::TPACKET2_HDRLEN - size_of::<libc::sockaddr_ll>())
                .cast::<libc::sockaddr_ll>()
        };
        let outgoing = address.sll_pkttype == libc::PACKET_OUTGOING;
        let (start, len) = (usize::from(header.tp_mac), header.tp_snaplen as usize);
        let offload = start.checked_sub(VNET_HEADER).filter(|at| *at >= libc::TPACKET2_HDRLEN)?;
        if start + len > self.layout.slot {
            return None;
        }
        // SAFETY: `TPACKET2_HDRLEN <= offload`, `offload + VNET_HEADER == start` and `start + len <= slot`: two pieces of this
        // slot that neither overlap each other nor its header, and are ours until `release`, which needs `&mut self`.
        let (offload, frame) = unsafe {
            let base = slot.as_ptr().cast::<u8>();
            (&mut *base.add(offload).cast(), std::slice::from_raw_parts_mut(base.add(start), len))
        };
        let tag = [header.tp_vlan_tci, header.tp_vlan_tpid];
        Some(Slot { status, offload, frame, len: header.tp_len as usize, tag, outgoing })
    }

    /// Gives the slot back and goes to the next.
    #[inline]
    pub fn release(&mut self) {
        self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.at += 1;
        if self.at == self.layout.slots() {
            self.at = 0;
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` mapped; slots borrow from `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), SIZE) };
    }
}
