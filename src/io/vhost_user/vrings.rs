//! The rings as the other end describes them, message by message, and their start and stop.

use super::chain::Violation;
use super::features::Features;
use super::memory::{Memory, Region};
use super::ring::{Addresses, LARGEST, Parts, Ring};
use super::shared::Shared;
use super::signal::Signal;
use super::{Counts, count};
use crate::seat::Seat;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// How the guest says that it made something available.
#[derive(Debug, Default)]
enum Kick {
    /// Not agreed on yet: the ring doesn't run.
    #[default]
    Unknown,
    /// It doesn't: the ring is polled.
    Never,
    By(Signal),
}

/// A ring, running or not.
#[derive(Debug, Default)]
struct Vring {
    size: Option<u16>,
    addresses: Option<Addresses>,
    /// What `SET_VRING_BASE` said, or where it stopped.
    base: u16,
    kick: Kick,
    call: Option<Arc<Signal>>,
    error: Option<Signal>,
    enabled: bool,
    runs: bool,
    /// Why it doesn't run though it should.
    problem: Option<String>,
    /// Whether the guest broke its rules: it stays stopped until it is set up anew.
    ended: bool,
}

/// All rings of a connection. Dropping it stops them.
pub(super) struct Vrings {
    shared: Arc<Shared>,
    counts: Arc<Counts>,
    features: Features,
    memory: Arc<Memory>,
    rings: Vec<Vring>,
}

/// What is wrong with a message.
fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.into())
}

impl Vrings {
    pub fn new(shared: Arc<Shared>, counts: Arc<Counts>) -> Vrings {
        let rings = (0..2 * shared.pairs()).map(|_| Vring::default()).collect();
        Vrings { shared, counts, features: Features::default(), memory: Arc::default(), rings }
    }

    fn ring(&mut self, index: usize) -> io::Result<&mut Vring> {
        let rings = self.rings.len();
        self.rings.get_mut(index).ok_or_else(|| wrong(format!("there is no ring {index}, there are {rings}")))
    }

    /// Where a ring sits while it runs. Even ones are what the guest receives by.
    fn seat(&self, index: usize) -> Option<&Seat<Ring>> {
        let seats = if index.is_multiple_of(2) { &self.shared.to_guest } else { &self.shared.from_guest };
        seats.get(index / 2)
    }

    pub fn set_size(&mut self, index: u32, size: u32) -> io::Result<()> {
        if !size.is_power_of_two() || size > LARGEST {
            return Err(wrong(format!("a ring of {size} descriptors; it is a power of two, at most {LARGEST}")));
        }
        self.ring(index as usize)?.size = Some(size as u16);
        Ok(())
    }

    pub fn set_addresses(&mut self, index: u32, addresses: Addresses) -> io::Result<()> {
        let ring = self.ring(index as usize)?;
        let runs = ring.runs && ring.addresses != Some(addresses);
        ring.addresses = Some(addresses);
        if runs {
            self.restart(index as usize);
        }
        Ok(())
    }

    pub fn set_base(&mut self, index: u32, base: u32) -> io::Result<()> {
        self.ring(index as usize)?.base = base as u16;
        Ok(())
    }

    /// Stops a ring; where it is. No worker is in it any more when this returns.
    pub fn take_base(&mut self, index: u32) -> io::Result<u16> {
        self.ring(index as usize)?;
        self.stop(index as usize);
        let ring = self.ring(index as usize)?;
        (ring.kick, ring.problem, ring.ended) = (Kick::Unknown, None, false);
        Ok(ring.base)
    }

    /// How the guest says that it made something available; with this the ring starts.
    pub fn set_kick(&mut self, index: u8, file: Option<File>) -> io::Result<()> {
        let index = usize::from(index);
        self.ring(index)?;
        let kick = file.map(Signal::new).transpose()?.map_or(Kick::Never, Kick::By);
        self.stop(index);
        let ring = self.ring(index)?;
        (ring.kick, ring.ended) = (kick, false);
        self.start(index);
        Ok(())
    }

    /// How the guest wants to hear that something was given back.
    pub fn set_call(&mut self, index: u8, file: Option<File>) -> io::Result<()> {
        let index = usize::from(index);
        let call = file.map(Signal::new).transpose()?.map(Arc::new);
        self.ring(index)?.call = call.clone();
        if let Some(seat) = self.seat(index) {
            seat.look(|ring| ring.set_call(call));
        }
        Ok(())
    }

    /// How the guest wants to hear that a ring has ended.
    pub fn set_error(&mut self, index: u8, file: Option<File>) -> io::Result<()> {
        self.ring(index.into())?.error = file.map(Signal::new).transpose()?;
        Ok(())
    }

    pub fn set_enabled(&mut self, index: u32, enabled: bool) -> io::Result<()> {
        let index = index as usize;
        self.ring(index)?.enabled = enabled;
        let enabled = self.is_enabled(index);
        if !enabled {
            self.set_receiving(index, false);
        }
        if let Some(seat) = self.seat(index) {
            seat.look(|ring| ring.enabled = enabled);
        }
        self.set_receiving(index, enabled);
        Ok(())
    }

    /// Without the protocol's own features nobody enables rings: they are when they run.
    fn is_enabled(&self, index: usize) -> bool {
        self.rings.get(index).is_some_and(|ring| ring.enabled || !self.features.protocol())
    }

    pub fn features(&self) -> Features {
        self.features
    }

    pub fn set_features(&mut self, features: Features) {
        if self.features != features {
            self.while_stopped(|rings| rings.features = features);
        }
    }

    /// Gives the rings other memory; those that run go on in it if they are there.
    pub fn set_memory(&mut self, regions: Vec<Region>) -> io::Result<()> {
        let memory = Arc::new(Memory::new(regions)?);
        self.while_stopped(|rings| rings.memory = memory);
        Ok(())
    }

    fn while_stopped(&mut self, change: impl FnOnce(&mut Vrings)) {
        let all = 0..self.rings.len();
        all.clone().for_each(|index| self.stop(index));
        change(self);
        all.for_each(|index| self.start(index));
    }

    /// Stops all rings until they are set up anew.
    pub fn reset(&mut self) {
        for index in 0..self.rings.len() {
            self.stop(index);
        }
        self.rings.iter_mut().for_each(|ring| *ring = Vring::default());
    }

    fn restart(&mut self, index: usize) {
        self.stop(index);
        self.start(index);
    }

    fn stop(&mut self, index: usize) {
        self.set_receiving(index, false);
        let ended = self.seat(index).and_then(Seat::remove);
        let Some(ring) = self.rings.get_mut(index) else { return };
        if let (Kick::By(kick), Some((bell, _)), true) = (&ring.kick, self.shared.bell(index / 2), ring.runs) {
            bell.remove(kick.fd());
        }
        ring.runs = false;
        if let Some(ended) = ended {
            ring.base = ended.position();
            if let Some(violation) = ended.violation {
                ring.end(violation, &self.counts);
            }
        }
    }

    /// Starts a ring if all that it takes is known.
    fn start(&mut self, index: usize) {
        let enabled = self.is_enabled(index);
        let Some(ring) = self.rings.get_mut(index) else { return };
        let (Some(size), Some(addresses), false) = (ring.size, ring.addresses, ring.ended) else { return };
        let kick = match &ring.kick {
            Kick::Unknown => return,
            Kick::Never => None,
            Kick::By(kick) => Some(kick),
        };
        let (call, kicked) = (ring.call.clone(), kick.is_some());
        let parts = Parts { memory: &self.memory, addresses, size, features: self.features, call, kicked, enabled };
        let from_guest = !index.is_multiple_of(2);
        let bell = self.shared.bell(index / 2).filter(|_| from_guest);
        let made = Ring::new(parts).and_then(|ring| {
            let heard = kick.zip(bell).map_or(Ok(()), |(kick, (bell, _))| bell.add(kick.fd()));
            heard.map(|()| ring).map_err(|error| format!("its signals can't be waited for: {error}"))
        });
        match made {
            Err(problem) => ring.problem = Some(problem),
            Ok(mut made) => {
                made.listen();
                (ring.runs, ring.problem) = (true, None);
                if let Some(seat) = self.seat(index) {
                    seat.put(made);
                }
                // What the guest made available before is not signalled again.
                if let Some((_, waker)) = self.shared.bell(index / 2).filter(|_| from_guest) {
                    waker.wake();
                }
                self.set_receiving(index, enabled);
            }
        }
    }

    /// Lets workers send by a pair, or stops them from choosing it.
    fn set_receiving(&self, index: usize, on: bool) {
        let runs = self.rings.get(index).is_some_and(|ring| ring.runs);
        let bit = 1u64.checked_shl(index as u32 / 2).unwrap_or(0);
        if index.is_multiple_of(2) {
            let others = self.shared.receiving() & !bit;
            self.shared.set_receiving(if on && runs { others | bit } else { others });
        }
    }

    /// Looks for rings that workers have ended.
    ///
    /// # Errors
    /// When the memory is gone, and with it everything.
    pub fn check(&mut self) -> io::Result<()> {
        for index in 0..self.rings.len() {
            let ended = self.seat(index).and_then(|seat| seat.look(|ring| ring.violation)).flatten();
            if let Some(violation) = ended {
                self.stop(index);
                if violation == Violation::Lost {
                    return Err(wrong(violation.to_string()));
                }
            }
        }
        Ok(())
    }

    /// Whether packets can pass: by some pair in both directions, and no ring has ended.
    pub fn is_up(&self) -> bool {
        let passes = |(index, ring): (usize, &Vring)| ring.runs && self.is_enabled(index) && !index.is_multiple_of(2);
        self.shared.receiving() != 0
            && self.rings.iter().enumerate().any(passes)
            && !self.rings.iter().any(|ring| ring.ended)
    }

    /// What is wrong with rings, one by one.
    pub fn problems(&self) -> Vec<String> {
        let problem = |(index, ring): (usize, &Vring)| {
            let what = if ring.ended { "was stopped" } else { "doesn't run" };
            ring.problem.as_ref().map(|problem| format!("ring {index} {what}: {problem}"))
        };
        self.rings.iter().enumerate().filter_map(problem).collect()
    }

    /// How many rings run, and the sizes of those.
    pub fn running(&self) -> Vec<u16> {
        self.rings.iter().filter(|ring| ring.runs).filter_map(|ring| ring.size).collect()
    }
}

impl Vring {
    fn end(&mut self, violation: Violation, counts: &Counts) {
        self.ended = true;
        self.problem = Some(violation.to_string());
        counts.add(count::VIOLATIONS, 1);
        if let Some(error) = &self.error {
            error.ring();
        }
    }
}

impl Drop for Vrings {
    fn drop(&mut self) {
        self.reset();
    }
}
