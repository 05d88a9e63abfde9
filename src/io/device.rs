//! The control side of a device.

use millrace_engine::device::{RxQueue, TxQueue};
use std::io;
use std::ops::RangeInclusive;

/// Whether frames can pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// They can.
    Up,
    /// The device is there but is switched off or has no carrier. It recovers by itself; its queues stay good.
    Down,
    /// The device is gone, or another one has taken its name. Open it again when it is back.
    Missing,
}

/// The queues of one worker.
pub struct QueuePair {
    /// To poll; `None` when the device has fewer receive queues than were asked for.
    pub rx: Option<Box<dyn RxQueue>>,
    /// To send by; `None` when the device has fewer transmit queues than were asked for.
    pub tx: Option<Box<dyn TxQueue>>,
}

/// What `show interfaces NAME` tells about a device beside its counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// The driver's word in the configuration.
    pub driver: &'static str,
    /// What it drives: a device of the kernel, a file; empty when there is nothing.
    pub device: String,
    /// Receive queues.
    pub queues: usize,
    /// How it works: keys with their values, such as the ring's size.
    pub modes: Vec<(&'static str, String)>,
    /// What the operator should know.
    pub notes: Vec<String>,
}

/// Why a device could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It isn't there. The interface starts down; try again when [`link_watch`](crate::link_watch) says that devices changed.
    #[error("there is no device {device}")]
    Missing {
        /// Its name.
        device: String,
    },
    /// It is there and can't be used as specified.
    #[error("{device}: {reason}")]
    Refused {
        /// Its name.
        device: String,
        /// What was wrong and what would be right.
        reason: String,
    },
}

impl OpenError {
    pub(crate) fn refused(device: impl Into<String>, reason: impl ToString) -> OpenError {
        OpenError::Refused { device: device.into(), reason: reason.to_string() }
    }
}

/// A device, as control has it. Dropping it closes what its queues don't hold open.
pub trait Device: Send {
    /// Makes the queues for `count` workers: at most `count` pairs, each with what the device can give. Call it once. Set
    /// the address before, so that the first packet finds it.
    ///
    /// # Errors
    /// When the device went away or the system refuses descriptors or memory.
    fn queues(&mut self, count: usize) -> io::Result<Vec<QueuePair>>;

    /// The state of the link, asked anew at each call (a system call; not for every packet).
    fn link(&self) -> Link;

    /// The address that the router uses on it unless told otherwise.
    fn mac(&self) -> Option<[u8; 6]>;

    /// Gives the router another address on it. The kernel's own end of the device keeps its address.
    ///
    /// # Errors
    /// When the device can't receive for another address.
    fn set_mac(&mut self, mac: [u8; 6]) -> io::Result<()>;

    /// The IP packet sizes in bytes that [`set_mtu`](Device::set_mtu) takes.
    ///
    /// Without a kernel or card behind it, a device takes any.
    fn mtu_range(&self) -> RangeInclusive<u32> {
        ANY_MTU
    }

    /// Sets the largest IP packet that is sent, in bytes; on the kernel's end of the device, too, where there is one.
    ///
    /// # Errors
    /// When the device doesn't take this size or is gone.
    ///
    /// Without a kernel or card behind it, there is nothing to set.
    fn set_mtu(&mut self, _mtu: u32) -> io::Result<()> {
        Ok(())
    }

    /// What it counted since it was opened, summed over its queues; same names in the same order at every call.
    fn stats(&self) -> Vec<(&'static str, u64)>;

    /// What an operator sees of it.
    fn info(&self) -> Info;
}

/// IP packet sizes that a device without a kernel behind it takes: from what every host must take (RFC 791 section 3.2) to
/// jumbo frames.
pub(crate) const ANY_MTU: RangeInclusive<u32> = 68..=9216;

/// A locally administered unicast address that is always the same for a name and most likely differs between names.
#[must_use]
pub fn derived_mac(name: &str) -> [u8; 6] {
    // FNV-1a, then spread so that short names differ in every byte.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let [a, b, c, d, ..] = crate::spec::mix(hash).to_le_bytes();
    [0x02, 0xfe, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_addresses_are_stable_and_differ() {
        let of = |n: u32| derived_mac(&format!("gen{n}"));
        assert_eq!(of(0), of(0));
        let all: std::collections::HashSet<_> = (0..10_000).map(of).collect();
        assert!(all.len() > 9_990, "{}", all.len());
        assert!(all.iter().all(|m| m[0] & 3 == 2), "locally administered, not a group");
    }
}
