//! `vhost-user`: the network card of a virtual machine, whose rings and packets lie in the machine's own memory.

use crate::Context;
use crate::device::{ANY_MTU, Device, Info, Link, OpenError, QueuePair, derived_mac};
use crate::spec;
use std::io;
use std::ops::RangeInclusive;

/// The control side.
pub(crate) struct VhostUser {
    spec: spec::VhostUser,
    mac: [u8; 6],
}

impl VhostUser {
    pub fn open(spec: &spec::VhostUser, name: &str, _context: &Context) -> Result<VhostUser, OpenError> {
        Ok(VhostUser { spec: spec.clone(), mac: derived_mac(name) })
    }
}

impl Device for VhostUser {
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
        ANY_MTU
    }

    fn set_mtu(&mut self, _mtu: u32) -> io::Result<()> {
        Ok(())
    }

    fn stats(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    fn info(&self) -> Info {
        Info { driver: "vhost-user", device: self.spec.socket.clone(), ..Info::default() }
    }
}
