//! The MAC table of all bridges: which port a station was last heard on. Shared by all workers, each of which learns by itself.
//!
//! A bucket is a cache line of four entries, each two words: whose it is (bridge and address), and what is known (port, when it was
//! last heard). An address may lie in two buckets; it goes to the first unless that is full. Reading takes no lock and never waits:
//! the second word carries a few bits of the hash of the first, so that an entry which changes hands under a reader's eyes is
//! taken for a miss, which floods one packet. A station that is heard where it is known writes nothing but the time, and that once a
//! second. When both buckets are full, a station in one of them goes to its own other one. Only what changes the table, a new station or one that moved, takes a lock, one of many by the hash of the address; a worker
//! that finds it taken doesn't wait but learns from the next packet.
//!
//! What the table holds is limited by port and by bridge: a flood of made-up addresses on one port uses up that port's share and
//! evicts nobody. Nothing is evicted at all: entries go when they were not heard for the bridge's age, which control looks after
//! ([`MacTable::walk`]), never a worker.

mod entry;
mod limits;
mod locks;
#[cfg(test)]
mod tests;

use crate::flow::Seed;
use crate::region::{Region, Zeroed};
use entry::{Bucket, Slot, Value};
use limits::Share;
use locks::Locks;
use millrace_wire::MacAddr;
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// What stations are behind is numbered below: interfaces, and remote ends of tunnels.
pub const PORTS: usize = 4096;
/// Bridges, each VLAN of one for itself, are numbered below; 0 is none.
pub const BRIDGES: usize = 16_384;

/// A station of a bridge, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Station(u64);

impl Station {
    /// The station with this address, which is a single one's, in a bridge from 1 on, below [`BRIDGES`].
    #[inline(always)]
    #[must_use]
    pub const fn new(bridge: u16, mac: [u8; 6]) -> Station {
        let [a, b, c, d, e, f] = mac;
        Station::from_word(bridge, u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    /// The station whose address is the first six bytes of a little-endian word, as a frame's header has it; others may follow.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(bridge: u16, word: u64) -> Station {
        Station(word & 0xffff_ffff_ffff | (bridge as u64) << 48)
    }

    /// As a number, for [`from_bits`](Station::from_bits), to be carried with a packet.
    #[inline(always)]
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Of a number that [`to_bits`](Station::to_bits) gave.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Station {
        Station(bits)
    }

    /// Its bridge.
    #[inline(always)]
    #[must_use]
    pub const fn bridge(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// Its address.
    #[inline(always)]
    #[must_use]
    pub const fn mac(self) -> MacAddr {
        let [a, b, c, d, e, f, ..] = self.0.to_le_bytes();
        MacAddr([a, b, c, d, e, f])
    }

    /// Whether the address is a group's, which is no station.
    #[inline(always)]
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.0 & 1 != 0
    }
}

/// Where a station is to be looked for: the hash of it, computed once a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place(u32);

impl Place {
    /// As a number, for [`from_bits`](Place::from_bits), to be carried with a packet.
    #[inline(always)]
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// Of a number that [`to_bits`](Place::to_bits) gave for the same table and station; of any other a lookup finds nothing.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u32) -> Place {
        Place(bits)
    }

    /// The number of the second bucket, far from the first.
    #[inline(always)]
    const fn second(self) -> u64 {
        (self.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
    }
}

/// What is known of a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The port that it is behind.
    pub port: u16,
    /// Whether the operator said so; such an entry neither moves nor ages.
    pub fixed: bool,
    /// When it was last heard, in the table's seconds.
    pub heard: u32,
}

/// What came of hearing a station on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is known there.
    Known,
    /// It is there from now on.
    New,
    /// It was behind this other port until now.
    Moved(u16),
    /// It is fixed to another port; the packet comes from somebody else.
    Fixed,
    /// The port has as many stations as it may have.
    PortFull,
    /// The bridge has as many stations as it may have.
    BridgeFull,
    /// Both its buckets are full.
    TableFull,
    /// Another thread is changing one like it just now; the next packet will do.
    Busy,
}

/// The table; see the module.
#[derive(Debug)]
pub struct MacTable {
    buckets: Region<Bucket>,
    mask: u64,
    seed: Seed,
    /// Seconds, as control tells them.
    now: AtomicU32,
    ports: Box<[Share]>,
    bridges: Box<[Share]>,
    locks: Locks,
}

impl MacTable {
    /// A table that holds `stations` and has as much room again, so that buckets are seldom full.
    ///
    /// # Errors
    /// The system refuses memory or random numbers.
    pub fn new(stations: usize) -> io::Result<MacTable> {
        let count = (stations.max(64) * 2 / entry::SLOTS).next_power_of_two();
        Ok(MacTable {
            buckets: Region::new(count)?,
            mask: count as u64 - 1,
            seed: Seed::random()?,
            now: AtomicU32::new(0),
            ports: (0..PORTS).map(|_| Share::default()).collect(),
            bridges: (0..BRIDGES).map(|_| Share::default()).collect(),
            locks: Locks::new(),
        })
    }

    /// Where to look for a station.
    #[inline(always)]
    pub const fn place(&self, station: Station) -> Place {
        Place(self.seed.hash64(station.0) as u32)
    }

    /// Has the processor fetch what a lookup reads first.
    #[inline(always)]
    pub fn prefetch(&self, place: Place) {
        let bucket: *const Bucket = self.bucket(place.0.into());
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bucket.cast()) };
    }

    /// What is known of a station.
    #[inline(always)]
    pub fn find(&self, station: Station, place: Place) -> Option<Known> {
        self.look(station, place).map(|(_, value)| value.known())
    }

    /// A packet of `station` came in by `port`, below [`PORTS`].
    #[inline(always)]
    pub fn hear(&self, station: Station, place: Place, port: u16) -> Heard {
        let now = self.now.load(Ordering::Relaxed);
        match self.look(station, place) {
            Some((slot, value)) if value.port() == port => {
                if value.heard() != entry::stamp(now) && !value.is_fixed() {
                    // It may be removed, or move, at the same time: then that counts.
                    slot.exchange(value, value.heard_at(now));
                }
                Heard::Known
            }
            Some((_, value)) if value.is_fixed() => Heard::Fixed,
            _ => self.learn(station, place, port, now),
        }
    }

    /// The operator's word: `station` is behind `port`. Replaces what was learnt.
    ///
    /// # Errors
    /// [`Heard::PortFull`], [`Heard::BridgeFull`] or [`Heard::TableFull`]; nothing is changed then.
    pub fn fix(&self, station: Station, port: u16) -> Result<(), Heard> {
        let place = self.place(station);
        let _lock = self.locks.lock(place);
        let value = Value::new(port, self.now.load(Ordering::Relaxed), place.0).fixed();
        match self.look(station, place) {
            Some((slot, old)) => self.replace(station, slot, old, value),
            None => self.insert(station, place, value),
        }
    }

    /// Forgets a station; whether it was known.
    pub fn remove(&self, station: Station) -> bool {
        let place = self.place(station);
        let _lock = self.locks.lock(place);
        self.look(station, place).is_some_and(|(slot, _)| self.clear(slot))
    }

    /// Limits the stations behind a port from now on; those that are there stay.
    pub fn limit_port(&self, port: u16, stations: u32) {
        self.port(port).limit(stations);
    }

    /// Limits the stations of a bridge from now on; those that are there stay.
    pub fn limit_bridge(&self, bridge: u16, stations: u32) {
        self.bridge(bridge).limit(stations);
    }

    /// How many stations are behind a port.
    pub fn port_len(&self, port: u16) -> u32 {
        self.port(port).used()
    }

    /// How many stations a bridge has.
    pub fn bridge_len(&self, bridge: u16) -> u32 {
        self.bridge(bridge).used()
    }

    /// Tells the table the time, in seconds since any moment; at least once a second.
    pub fn tick(&self, seconds: u32) {
        self.now.store(seconds, Ordering::Relaxed);
    }

    /// Seconds since a station was heard, as of the last [`tick`](MacTable::tick).
    pub fn age(&self, known: &Known) -> u32 {
        entry::stamp(self.now.load(Ordering::Relaxed).wrapping_sub(known.heard))
    }

    /// The buckets that there are, to [`walk`](MacTable::walk) over in pieces.
    pub fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// Goes over the stations of some buckets; those for which `keep` says no are forgotten. How many were.
    pub fn walk(&self, buckets: Range<usize>, mut keep: impl FnMut(Station, &Known) -> bool) -> usize {
        let mut gone = 0;
        for bucket in buckets {
            for slot in self.bucket(bucket as u64).slots() {
                let Some((station, value)) = slot.read() else { continue };
                if keep(station, &value.known()) {
                    continue;
                }
                let _lock = self.locks.lock(self.place(station));
                // It may have changed until the lock was there.
                if slot.read().is_some_and(|(now, value)| now == station && !keep(station, &value.known())) {
                    gone += usize::from(self.clear(slot));
                }
            }
        }
        gone
    }

    #[inline(always)]
    fn bucket(&self, number: u64) -> &Bucket {
        // SAFETY: the mask keeps it below the number of buckets, which live as long as the table.
        unsafe { self.buckets.base().add((number & self.mask) as usize).as_ref() }
    }

    /// Both buckets of a place.
    #[inline(always)]
    fn both(&self, place: Place) -> [&Bucket; 2] {
        [self.bucket(place.0.into()), self.bucket(place.second())]
    }

    #[inline(always)]
    fn look(&self, station: Station, place: Place) -> Option<(&Slot, Value)> {
        let first = self.bucket(place.0.into()).find(station, place.0);
        first.or_else(|| self.bucket(place.second()).find(station, place.0))
    }

    #[cold]
    fn learn(&self, station: Station, place: Place, port: u16, now: u32) -> Heard {
        let Some(_lock) = self.locks.try_lock(place) else { return Heard::Busy };
        let value = Value::new(port, now, place.0);
        // Another worker may have been faster.
        match self.look(station, place) {
            Some((_, old)) if old.is_fixed() => Heard::Fixed,
            Some((_, old)) if old.port() == port => Heard::Known,
            Some((slot, old)) => {
                self.replace(station, slot, old, value).map_or_else(|full| full, |()| Heard::Moved(old.port()))
            }
            None => self.insert(station, place, value).map_or_else(|full| full, |()| Heard::New),
        }
    }

    /// Gives a station of which the lock is held another value.
    fn replace(&self, station: Station, slot: &Slot, old: Value, value: Value) -> Result<(), Heard> {
        if old.port() != value.port() {
            self.port(value.port()).take().ok_or(Heard::PortFull)?;
            self.port(old.port()).give_back();
        }
        debug_assert!(slot.read().is_some_and(|(there, _)| there == station));
        slot.set(value);
        Ok(())
    }

    /// Adds a station of which the lock is held.
    fn insert(&self, station: Station, place: Place, value: Value) -> Result<(), Heard> {
        let (port, bridge) = (self.port(value.port()), self.bridge(station.bridge()));
        port.take().ok_or(Heard::PortFull)?;
        let taken = bridge.take().ok_or(Heard::BridgeFull).and_then(|()| {
            let added = self.put(place, station, value) || (self.make_room(place) && self.put(place, station, value));
            added.then_some(()).ok_or_else(|| {
                bridge.give_back();
                Heard::TableFull
            })
        });
        taken.inspect_err(|_| port.give_back())
    }

    fn put(&self, place: Place, station: Station, value: Value) -> bool {
        self.both(place).into_iter().any(|bucket| bucket.insert(station, value))
    }

    /// Moves a station from a full bucket of `place`, of which the lock is held, to its other one; whether one could. For a moment it is
    /// in both.
    fn make_room(&self, place: Place) -> bool {
        self.both(place).into_iter().flat_map(Bucket::slots).any(|slot| {
            let Some((station, _)) = slot.read() else { return false };
            let its = self.place(station);
            let locked = Locks::are_one(its, place);
            let lock = if locked { None } else { self.locks.try_lock(its) };
            // It may have gone, or moved, until the lock was there.
            let Some((_, value)) = slot.read().filter(|(now, _)| *now == station && (locked || lock.is_some())) else {
                return false;
            };
            let moved = self.both(its).into_iter().any(|bucket| !bucket.has(slot) && bucket.insert(station, value));
            moved && slot.clear().is_some()
        })
    }

    /// Empties a slot of whose station the lock is held; whether there was one.
    fn clear(&self, slot: &Slot) -> bool {
        let Some((station, value)) = slot.clear() else { return false };
        self.port(value.port()).give_back();
        self.bridge(station.bridge()).give_back();
        true
    }

    fn port(&self, port: u16) -> &Share {
        &self.ports[usize::from(port) % PORTS]
    }

    fn bridge(&self, bridge: u16) -> &Share {
        &self.bridges[usize::from(bridge) % BRIDGES]
    }
}

// SAFETY: words of zero are empty slots.
unsafe impl Zeroed for Bucket {}
