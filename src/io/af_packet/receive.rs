//! The receive queue: from the ring into bursts.

use super::ring::{Layout, Ring, Slot};
use super::socket::Receiving;
use super::{Counts, count};
use crate::segment::{self, Inbound, Offload, VNET_HEADER};
use millrace_engine::device::{RxBurst, RxQueue, Wake};
use std::io;
use std::sync::Arc;

/// Looking at the device's state costs a system call; it is looked at once in so many empty polls.
const CHECK_EVERY: u32 = 256;
/// The longest packet that the kernel's segmentation makes, with headers to spare.
const LARGEST: usize = (64 << 10) + 512;

#[repr(align(128))]
pub(super) struct Receiver {
    ring: Ring,
    socket: Arc<Receiving>,
    counts: Arc<Counts>,
    /// The packet of the current slot, when it took more than one step to take in.
    pending: Option<Pending>,
    /// Where packets lie that are longer than a slot.
    large: Box<[u8]>,
    empty_polls: u32,
    down: bool,
}

struct Pending {
    inbound: Inbound,
    /// Length of the frame in `large`, behind its offload header; `None` when it lies in the slot.
    large: Option<usize>,
}

/// What became of a slot.
enum Step {
    /// All of it is in the burst, or dropped and counted.
    Done,
    /// The burst took no more.
    Full,
}

impl Receiver {
    pub fn new(socket: Arc<Receiving>, layout: &Layout, counts: Arc<Counts>) -> io::Result<Receiver> {
        Ok(Receiver {
            ring: Ring::map(socket.fd(), layout)?,
            socket,
            counts,
            pending: None,
            large: vec![0; VNET_HEADER + LARGEST].into(),
            empty_polls: 0,
            down: false,
        })
    }

    #[inline]
    fn step(&mut self, burst: &mut RxBurst<'_>) -> Step {
        if self.pending.is_some() {
            return self.go_on(burst);
        }
        let Some(slot) = self.ring.slot() else {
            self.counts.add(count::TRUNCATED, 1);
            return Step::Done;
        };
        if slot.outgoing {
            // Older kernels forget in a fanout group that these are not wanted.
            return Step::Done;
        }
        let tag = tag(&slot);
        let whole = slot.frame.len() == slot.len;
        if whole && Offload::read(slot.offload).is_done() {
            return if segment::push(slot.frame, &[], tag, burst) { Step::Done } else { Step::Full };
        }
        if whole { self.offloaded(tag, burst) } else { self.longer(tag, burst) }
    }

    /// A packet that isn't finished.
    fn offloaded(&mut self, tag: Option<[u8; 4]>, burst: &mut RxBurst<'_>) -> Step {
        let Some(slot) = self.ring.slot() else { return Step::Done };
        let prepared = segment::prepare(Offload::read(slot.offload), slot.frame);
        self.begin(prepared, tag, None, burst)
    }

    /// A packet that is longer than the slot: a copy waits in the socket's queue.
    #[cold]
    fn longer(&mut self, tag: Option<[u8; 4]>, burst: &mut RxBurst<'_>) -> Step {
        let copied = self.ring.slot().is_some_and(|slot| slot.status & libc::TP_STATUS_COPY != 0);
        let frame = if copied { self.fetch() } else { None };
        let Some((offload, frame)) = frame else {
            self.counts.add(count::TRUNCATED, 1);
            return Step::Done;
        };
        let len = frame.len();
        let prepared = segment::prepare(offload, frame);
        self.begin(prepared, tag, Some(len), burst)
    }

    fn fetch(&mut self) -> Option<(Offload, &mut [u8])> {
        let mut result = self.socket.large(&mut self.large);
        if matches!(&result, Err(e) if e.raw_os_error() == Some(libc::ENETDOWN)) {
            // Told once when the device goes down; the packets queued before are still there.
            self.down = true;
            result = self.socket.large(&mut self.large);
        }
        let (header, frame) = self.large.get_mut(..result.ok()?)?.split_first_chunk_mut()?;
        Some((Offload::read(header), frame))
    }

    fn begin(
        &mut self,
        prepared: Result<Option<segment::Cutter>, segment::Malformed>,
        tag: Option<[u8; 4]>,
        large: Option<usize>,
        burst: &mut RxBurst<'_>,
    ) -> Step {
        let Ok(cutter) = prepared else {
            self.counts.add(count::MALFORMED, 1);
            return Step::Done;
        };
        if large.is_some() {
            self.counts.add(count::LARGE, 1);
        }
        let inbound = Inbound::new(cutter, tag);
        match inbound.packets() {
            1 => self.counts.add(count::CHECKSUMS, 1),
            n => self.counts.add(count::SEGMENTS, n as u64),
        }
        self.pending = Some(Pending { inbound, large });
        self.go_on(burst)
    }

    fn go_on(&mut self, burst: &mut RxBurst<'_>) -> Step {
        let Some(pending) = &mut self.pending else { return Step::Done };
        let frame = match pending.large {
            Some(len) => self.large.get(VNET_HEADER..VNET_HEADER + len).unwrap_or_default(),
            None => self.ring.slot().map(|slot| &*slot.frame).unwrap_or_default(),
        };
        if !pending.inbound.push(frame, burst) {
            return Step::Full;
        }
        self.pending = None;
        Step::Done
    }

    /// Nothing came: is the device still there?
    #[cold]
    fn look(&mut self) -> io::Result<()> {
        self.empty_polls = 0;
        self.down |= self.socket.check()?;
        // The kernel tells that a device goes down and nothing more when it is removed right after.
        if self.down { self.socket.still_there() } else { Ok(()) }
    }
}

impl RxQueue for Receiver {
    #[inline]
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        if !self.ring.ready() {
            self.empty_polls += 1;
            return if self.empty_polls < CHECK_EVERY { Ok(()) } else { self.look() };
        }
        self.down = false;
        while burst.room() > 0 && self.ring.ready() {
            match self.step(burst) {
                Step::Done => self.ring.release(),
                Step::Full => break,
            }
        }
        Ok(())
    }

    fn wake(&self) -> Wake {
        Wake::Fd(self.socket.fd())
    }
}

/// The tag that the kernel took out of a packet.
#[inline]
fn tag(slot: &Slot<'_>) -> Option<[u8; 4]> {
    if slot.status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let [control, protocol] = slot.tag;
    let protocol = if slot.status & libc::TP_STATUS_VLAN_TPID_VALID != 0 { protocol } else { 0x8100 };
    let ([a, b], [c, d]) = (protocol.to_be_bytes(), control.to_be_bytes());
    Some([a, b, c, d])
}
