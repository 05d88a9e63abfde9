//! What is known of datagrams that come in fragments, and the fragments that wait. All memory is there from the start.

use super::{DATAGRAMS, HELD, PATIENCE, PER_DATAGRAM};
use millrace_engine::Buffer;
use millrace_wire::IpProtocol;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

/// What fragments of one datagram have in common (RFC 791 section 3.2), and the table that their addresses are of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    pub source: u32,
    pub destination: u32,
    pub id: u16,
    pub protocol: IpProtocol,
    pub table: u32,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.source) << 32 | u64::from(self.destination));
        state.write_u64(u64::from(self.table) << 32 | u64::from(self.id) << 16 | u64::from(self.protocol.0));
    }
}

/// Where a fragment's data lies in the datagram's, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    pub start: usize,
    pub end: usize,
    pub last: bool,
}

/// Why a fragment can't be one of its datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unfit {
    Duplicate,
    Overlap,
    TooMany,
    Poisoned,
}

/// No place in a list.
const NONE: u32 = u32::MAX;

struct Datagram {
    key: Key,
    /// When the first of its fragments came, in nanoseconds.
    since: u64,
    ports: Option<u64>,
    poisoned: bool,
    /// Bytes that came, and in all once the last fragment came.
    bytes: usize,
    total: Option<usize>,
    /// Where fragments that came begin and end, in order.
    pieces: [(u16, u16); PER_DATAGRAM],
    len: usize,
    /// Fragments that wait, in the order in which they came.
    first: u32,
    last: u32,
    /// The datagrams before and after it, by age; `newer` is the next one of the free ones, too.
    older: u32,
    newer: u32,
}

/// A fragment that waits, or nothing; and the next.
struct Held {
    buffer: Option<Buffer>,
    next: u32,
}

/// The store of one node.
pub struct Store {
    index: HashMap<Key, u32>,
    datagrams: Vec<Datagram>,
    free: u32,
    oldest: u32,
    newest: u32,
    held: Vec<Held>,
    free_held: u32,
}

impl Store {
    pub fn new() -> Store {
        Store {
            // With room for twice as many, a map that forgets as much as it learns never has to grow.
            index: HashMap::with_capacity(2 * DATAGRAMS),
            datagrams: Vec::with_capacity(DATAGRAMS),
            free: NONE,
            oldest: NONE,
            newest: NONE,
            held: Vec::with_capacity(HELD),
            free_held: NONE,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The datagram of this key, made if there is none; `lost` gets what waits for the oldest one if that has to go.
    pub fn datagram(&mut self, key: Key, now: u64, lost: impl FnMut(Buffer)) -> u32 {
        if let Some(at) = self.index.get(&key) {
            return *at;
        }
        if self.index.len() >= DATAGRAMS {
            self.remove(self.oldest, lost);
        }
        let (older, newer) = (self.newest, NONE);
        let (since, pieces) = (now, [(0, 0); PER_DATAGRAM]);
        let new = Datagram {
            key,
            since,
            ports: None,
            poisoned: false,
            bytes: 0,
            total: None,
            pieces,
            len: 0,
            first: NONE,
            last: NONE,
            older,
            newer,
        };
        let at = self.free;
        let at = if let Some(place) = self.datagrams.get_mut(at as usize) {
            self.free = std::mem::replace(place, new).newer;
            at
        } else {
            self.datagrams.push(new);
            self.datagrams.len() as u32 - 1
        };
        match self.datagrams.get_mut(older as usize) {
            Some(before) => before.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
        self.index.insert(key, at);
        at
    }

    /// Notes that a fragment came, if it can be one.
    pub fn note(&mut self, at: u32, range: Range) -> Result<(), Unfit> {
        self.datagrams.get_mut(at as usize).map_or(Ok(()), |datagram| datagram.note(range))
    }

    /// The ports, as soon as the first fragment came.
    pub fn ports(&self, at: u32) -> Option<u64> {
        self.datagrams.get(at as usize)?.ports
    }

    /// The first fragment came.
    pub fn learn(&mut self, at: u32, ports: u64) -> u64 {
        if let Some(datagram) = self.datagrams.get_mut(at as usize) {
            datagram.ports = Some(ports);
        }
        ports
    }

    /// Has a fragment wait. For want of room the oldest datagrams go, `lost` gets what waits for them; and if this is the oldest, its
    /// fragment comes back.
    #[must_use]
    pub fn hold(&mut self, at: u32, buffer: Buffer, mut lost: impl FnMut(Buffer)) -> Option<Buffer> {
        while self.free_held == NONE && self.held.len() >= HELD {
            let oldest = self.oldest;
            self.remove(oldest, &mut lost);
            if oldest == at || oldest == NONE {
                return Some(buffer);
            }
        }
        let Some(datagram) = self.datagrams.get_mut(at as usize) else { return Some(buffer) };
        let new = Held { buffer: Some(buffer), next: NONE };
        let place = self.free_held;
        let place = if let Some(free) = self.held.get_mut(place as usize) {
            self.free_held = std::mem::replace(free, new).next;
            place
        } else {
            self.held.push(new);
            self.held.len() as u32 - 1
        };
        let last = std::mem::replace(&mut datagram.last, place);
        match self.held.get_mut(last as usize) {
            Some(last) => last.next = place,
            None => datagram.first = place,
        }
        None
    }

    /// Lets go what waits, in the order in which it came.
    pub fn release(&mut self, at: u32, mut to: impl FnMut(Buffer)) {
        let Some(datagram) = self.datagrams.get_mut(at as usize) else { return };
        let mut place = std::mem::replace(&mut datagram.first, NONE);
        datagram.last = NONE;
        while let Some(held) = self.held.get_mut(place as usize) {
            let next = std::mem::replace(&mut held.next, self.free_held);
            self.free_held = place;
            if let Some(buffer) = held.buffer.take() {
                to(buffer);
            }
            place = next;
        }
    }

    /// Nothing of the datagram goes on any more, unless what came was a mere duplicate; `lost` gets what waits.
    pub fn poison(&mut self, at: u32, unfit: Unfit, lost: impl FnMut(Buffer)) {
        if matches!(unfit, Unfit::Duplicate) {
            return;
        }
        if let Some(datagram) = self.datagrams.get_mut(at as usize) {
            datagram.poisoned = true;
        }
        self.release(at, lost);
    }

    /// Forgets a datagram of which everything came.
    pub fn forget_if_complete(&mut self, at: u32) {
        if self.datagrams.get(at as usize).is_some_and(|datagram| datagram.total == Some(datagram.bytes)) {
            self.remove(at, drop);
        }
    }

    /// Forgets the datagrams whose time is over; `lost` gets what waits for them.
    pub fn expire(&mut self, now: u64, mut lost: impl FnMut(Buffer)) {
        let over = |oldest: &Datagram| now.saturating_sub(oldest.since) >= PATIENCE;
        while self.datagrams.get(self.oldest as usize).is_some_and(over) {
            self.remove(self.oldest, &mut lost);
        }
    }

    fn remove(&mut self, at: u32, lost: impl FnMut(Buffer)) {
        self.release(at, lost);
        let Some(datagram) = self.datagrams.get_mut(at as usize) else { return };
        let (key, older, newer) = (datagram.key, datagram.older, datagram.newer);
        datagram.newer = std::mem::replace(&mut self.free, at);
        match self.datagrams.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match self.datagrams.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        self.index.remove(&key);
    }
}

impl Datagram {
    fn note(&mut self, range: Range) -> Result<(), Unfit> {
        let Range { start, end, last } = range;
        let pieces = self.pieces.get(..self.len).unwrap_or(&[]);
        let place = pieces.partition_point(|piece| usize::from(piece.0) < start);
        let before = place.checked_sub(1).and_then(|before| pieces.get(before));
        let behind = pieces.get(place).map(|piece| (usize::from(piece.0), usize::from(piece.1)));
        let furthest = pieces.last().map_or(0, |piece| usize::from(piece.1));
        if self.poisoned {
            return Err(Unfit::Poisoned);
        }
        if behind == Some((start, end)) && last == (self.total == Some(end)) {
            return Err(Unfit::Duplicate);
        }
        if before.is_some_and(|before| usize::from(before.1) > start)
            || behind.is_some_and(|behind| behind.0 < end)
            || self.total.is_some_and(|total| end > total)
            || last && furthest > end
        {
            return Err(Unfit::Overlap);
        }
        if self.len >= PER_DATAGRAM {
            return Err(Unfit::TooMany);
        }
        self.pieces.copy_within(place..self.len, place + 1);
        if let Some(piece) = self.pieces.get_mut(place) {
            *piece = (start as u16, end as u16);
        }
        self.len += 1;
        self.bytes += end - start;
        if last {
            self.total = Some(end);
        }
        Ok(())
    }
}
