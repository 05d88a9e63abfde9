//! `memif`: shared memory with another process, by the memif protocol 2.0 (libmemif and VPP's memif plugin).

use crate::device::{Device, Info, Link, OpenError, QueuePair, derived_mac};
use crate::{Context, Memif as Spec};
use std::io;
use std::ops::RangeInclusive;

/// The control side.
pub(crate) struct Memif {
    spec: Spec,
    mac: [u8; 6],
}

impl Memif {
    pub fn open(spec: &Spec, name: &str, _context: &Context) -> Result<Memif, OpenError> {
        Ok(Memif { spec: spec.clone(), mac: derived_mac(name) })
    }
}

impl Device for Memif {
    fn queues(&mut self, _count: usize) -> io::Result<Vec<QueuePair>> {
        Ok(Vec::new())
    }

    fn link(&self) -> Link {
        Link::Down
    }

    fn mac(&self) -> Option<[u8; 6]> {
        Some(self.mac)
    }

    fn set_mac(&mut self, mac: [u8; 6]) -> io::Result<()> {
        self.mac = mac;
        Ok(())
    }

    fn mtu_range(&self) -> RangeInclusive<u32> {
        crate::device::ANY_MTU
    }

    fn set_mtu(&mut self, _mtu: u32) -> io::Result<()> {
        Ok(())
    }

    fn stats(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    fn info(&self) -> Info {
        Info { driver: "memif", device: self.spec.socket.clone(), ..Info::default() }
    }
}
