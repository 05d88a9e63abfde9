//! Entries of the MAC table: two atomic words, of which the second tells whether it belongs to the first.

use super::{Known, PORTS, Station};
use std::sync::atomic::{AtomicU64, Ordering};

/// Entries of a bucket.
pub const SLOTS: usize = 4;
/// The station of a slot that is being filled: in no bridge.
const CLAIMED: u64 = 1;
/// Bits of the stamp: 48 days of seconds.
const STAMP: u32 = (1 << 22) - 1;

/// A time, as an entry remembers it.
pub const fn stamp(seconds: u32) -> u32 {
    seconds & STAMP
}

/// What is known of a station: from bit 0 on 12 bits of port, 22 of time, 29 of the station's hash, 1 that says whether it is fixed.
/// Never zero, which is an empty slot's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(u64);

impl Value {
    const FIXED: u64 = 1 << 63;
    const PORT: u64 = PORTS as u64 - 1;
    const TIME: u32 = 12;
    const HASH: u64 = 0x1fff_ffff << 34;

    /// Of a station behind `port`, heard at `now`.
    #[inline(always)]
    pub const fn new(port: u16, now: u32, hash: u32) -> Value {
        Value(port as u64 & Value::PORT | (stamp(now) as u64) << Value::TIME | Value::tag(hash))
    }

    /// Bits of the hash that are in the value; one is always set.
    #[inline(always)]
    const fn tag(hash: u32) -> u64 {
        ((hash as u64) << 31 | 1 << 34) & Value::HASH
    }

    #[inline(always)]
    const fn belongs(self, hash: u32) -> bool {
        self.0 & Value::HASH == Value::tag(hash)
    }

    /// The same, as the operator's word.
    pub const fn fixed(self) -> Value {
        Value(self.0 | Value::FIXED)
    }

    #[inline(always)]
    pub const fn is_fixed(self) -> bool {
        self.0 & Value::FIXED != 0
    }

    #[inline(always)]
    pub const fn port(self) -> u16 {
        (self.0 & Value::PORT) as u16
    }

    #[inline(always)]
    pub const fn heard(self) -> u32 {
        (self.0 >> Value::TIME) as u32 & STAMP
    }

    /// The same, heard now.
    #[inline(always)]
    pub const fn heard_at(self, now: u32) -> Value {
        Value(self.0 & !((STAMP as u64) << Value::TIME) | (stamp(now) as u64) << Value::TIME)
    }

    #[inline(always)]
    pub const fn known(self) -> Known {
        Known { port: self.port(), fixed: self.is_fixed(), heard: self.heard() }
    }
}

/// Room for one station.
#[derive(Debug)]
#[repr(C)]
pub struct Slot {
    station: AtomicU64,
    value: AtomicU64,
}

impl Slot {
    /// Who is there, if anybody is.
    pub fn read(&self) -> Option<(Station, Value)> {
        let station = self.station.load(Ordering::Acquire);
        let value = self.value.load(Ordering::Acquire);
        (station > CLAIMED && value != 0).then_some((Station(station), Value(value)))
    }

    /// Replaces the value, unless it has changed.
    #[inline(always)]
    pub fn exchange(&self, from: Value, to: Value) {
        let _ = self.value.compare_exchange(from.0, to.0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Replaces the value; the station's lock is held.
    pub fn set(&self, value: Value) {
        self.value.store(value.0, Ordering::Release);
    }

    /// Empties it; who was there. The station's lock is held.
    pub fn clear(&self) -> Option<(Station, Value)> {
        let station = self.station.load(Ordering::Acquire);
        // The value goes first, so that nobody who finds the station takes the next one's value for its own, and a worker that
        // writes the time of what it saw fails.
        let value = self.value.swap(0, Ordering::AcqRel);
        (value != 0).then(|| {
            self.station.store(0, Ordering::Release);
            (Station(station), Value(value))
        })
    }
}

/// A cache line of entries.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Bucket([Slot; SLOTS]);

const _: () = assert!(size_of::<Bucket>() == 64 && PORTS == 1 << Value::TIME);

impl Bucket {
    pub fn slots(&self) -> &[Slot; SLOTS] {
        &self.0
    }

    /// Whether this slot is one of them.
    pub fn has(&self, slot: &Slot) -> bool {
        self.0.as_ptr_range().contains(&std::ptr::from_ref(slot))
    }

    #[inline(always)]
    pub fn find(&self, station: Station, hash: u32) -> Option<(&Slot, Value)> {
        for slot in &self.0 {
            if slot.station.load(Ordering::Acquire) == station.0 {
                let value = Value(slot.value.load(Ordering::Acquire));
                if value.belongs(hash) {
                    return Some((slot, value));
                }
            }
        }
        None
    }

    /// Puts a station into a free slot; whether there was one. The station's lock is held; others, of other stations, may do the
    /// same here at the same time.
    pub fn insert(&self, station: Station, value: Value) -> bool {
        let claim = |slot: &&Slot| {
            let free = slot.station.load(Ordering::Relaxed) == 0;
            free && slot.station.compare_exchange(0, CLAIMED, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let slot = self.0.iter().find(claim);
        if let Some(slot) = slot {
            slot.value.store(value.0, Ordering::Release);
            slot.station.store(station.0, Ordering::Release);
        }
        slot.is_some()
    }
}
