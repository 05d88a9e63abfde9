//! What a mirror is to the packet path.

use crate::capture::Captures;
use crossbeam::utils::CachePadded;
use millrace_engine::counters::Counter;
use millrace_wire::{EtherType, Tags};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// A mirror.
pub struct Mirror {
    target: Target,
    /// Bytes of each frame that are copied at most.
    pub(super) snap_length: usize,
    /// Whether the target takes copies at the moment.
    up: AtomicBool,
    /// Copies that it may still make; none: as many as there are.
    left: Option<AtomicU64>,
    /// By worker.
    pub(super) counts: Box<[CachePadded<Counts>]>,
}

/// Where a mirror's copies go.
#[derive(Clone, Debug)]
pub enum Target {
    /// Out by this interface, behind these tags if it is a sub-interface.
    Interface(u32, Option<Tags>),
    /// To control, which writes them to a file.
    File(Captures),
}

#[derive(Default)]
pub(super) struct Counts {
    pub copied: Counter,
    pub down: Counter,
    pub no_buffer: Counter,
    pub queue_full: Counter,
}

/// What a mirror has done, over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames copied.
    pub copied: u64,
    /// Frames not copied as the target is down.
    pub down: u64,
    /// Frames not copied as there was no free buffer.
    pub no_buffer: u64,
    /// Frames not copied as the file's queue was full.
    pub queue_full: u64,
}

impl std::ops::Add for Totals {
    type Output = Totals;

    fn add(self, other: Totals) -> Totals {
        Totals {
            copied: self.copied + other.copied,
            down: self.down + other.down,
            no_buffer: self.no_buffer + other.no_buffer,
            queue_full: self.queue_full + other.queue_full,
        }
    }
}

impl Mirror {
    /// Counts for so many workers; at most `snap_length` bytes of each frame, and `limit` copies in all.
    pub fn new(workers: usize, target: Target, snap_length: usize, limit: Option<u64>) -> Mirror {
        if let Target::File(captures) = &target {
            captures.set_filter(None, snap_length);
        }
        let counts = (0..workers).map(|_| CachePadded::new(Counts::default())).collect();
        Mirror { target, snap_length, up: AtomicBool::new(true), left: limit.map(AtomicU64::new), counts }
    }

    /// Where its copies go.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Says whether the target is up: copies that would get nowhere are not made.
    pub fn set_up(&self, up: bool) {
        self.up.store(up, Relaxed);
    }

    /// Whether the target is up.
    pub fn is_up(&self) -> bool {
        self.up.load(Relaxed)
    }

    /// Whether it has made all the copies that it may.
    pub fn is_done(&self) -> bool {
        self.left.as_ref().is_some_and(|left| left.load(Relaxed) == 0)
    }

    /// What it has done so far.
    pub fn totals(&self) -> Totals {
        let sum = |count: fn(&Counts) -> &Counter| self.counts.iter().map(|counts| count(counts).get()).sum();
        Totals {
            copied: sum(|c| &c.copied),
            down: sum(|c| &c.down),
            no_buffer: sum(|c| &c.no_buffer),
            queue_full: sum(|c| &c.queue_full),
        }
    }

    /// Takes one of the copies that it may make.
    pub(super) fn take(&self) -> bool {
        let Some(left) = &self.left else { return true };
        left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    /// Gives back one that was not made after all.
    pub(super) fn untake(&self) {
        if let Some(left) = &self.left {
            left.fetch_add(1, Relaxed);
        }
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror").field("target", &self.target).field("totals", &self.totals()).finish_non_exhaustive()
    }
}

/// A mirror at an interface.
#[derive(Clone, Debug)]
pub struct Tap {
    /// The mirror.
    pub mirror: Arc<Mirror>,
    /// The sub-interface that it is for, and not the whole interface.
    pub only: Option<Tagged>,
}

/// The frames of a sub-interface among its parent's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The tags that they have.
    pub tags: Tags,
    /// Inner tags that make a frame another sub-interface's, where one tag is asked for.
    pub not: Vec<u16>,
}

impl Tagged {
    /// Whether a frame is one of them. An inner tag is always a customer's.
    pub(super) fn match_frame(&self, frame: &[u8]) -> bool {
        let tag = |at: usize| {
            let [t0, t1, c0, c1] = *frame.get(at..)?.first_chunk()?;
            Some((EtherType(u16::from_be_bytes([t0, t1])), u16::from_be_bytes([c0, c1]) & 0xfff))
        };
        let inner = || tag(16).filter(|(kind, _)| *kind == EtherType::VLAN).map(|(_, vlan)| vlan);
        tag(12) == Some((self.tags.tag_type, self.tags.outer))
            && match self.tags.inner {
                Some(_) => inner() == self.tags.inner,
                None => self.not.is_empty() || inner().is_none_or(|inner| !self.not.contains(&inner)),
            }
    }
}

impl PartialEq for Tap {
    fn eq(&self, other: &Tap) -> bool {
        Arc::ptr_eq(&self.mirror, &other.mirror) && self.only == other.only
    }
}
