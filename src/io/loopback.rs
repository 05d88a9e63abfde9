//! `loopback`: an interface without a wire. Its link is always up; what is sent to it counts as sent and ends there, and
//! nothing is ever received from it (RFC 1122 section 3.2.1.3(g) has loopback traffic stay in the host).

use crate::device::{Device, Info, Link, QueuePair, derived_mac};
use millrace_engine::device::{TxBurst, TxQueue};
use std::io;

pub(crate) struct Loopback {
    mac: [u8; 6],
}

impl Loopback {
    pub fn open(name: &str) -> Loopback {
        Loopback { mac: derived_mac(name) }
    }
}

struct Swallow;

impl TxQueue for Swallow {
    fn takes_shared(&self) -> bool {
        true
    }

    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        Ok(burst.len())
    }
}

impl Device for Loopback {
    fn queues(&mut self, count: usize) -> io::Result<Vec<QueuePair>> {
        Ok((0..count).map(|_| QueuePair { rx: None, tx: Some(Box::new(Swallow)) }).collect())
    }

    fn link(&self) -> Link {
        Link::Up
    }

    fn mac(&self) -> Option<[u8; 6]> {
        Some(self.mac)
    }

    fn set_mac(&mut self, mac: [u8; 6]) -> io::Result<()> {
        self.mac = mac;
        Ok(())
    }

    fn stats(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    fn info(&self) -> Info {
        Info { driver: "loopback", ..Info::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_engine::Pool;
    use millrace_engine::device::TestBurst;
    use millrace_engine::memory::HugePages;

    #[test]
    fn what_is_sent_ends_there() {
        let mut device = Loopback::open("lo0");
        let mut pairs = device.queues(2).unwrap();
        assert!(pairs.len() == 2 && pairs.iter().all(|p| p.rx.is_none()));
        let mut burst = TestBurst::new(Pool::new(256, HugePages::Off).unwrap());
        assert_eq!(burst.tx(&mut **pairs[1].tx.as_mut().unwrap(), &[&[1; 60], &[2; 60]]).unwrap(), 2);
        assert_eq!((device.link(), device.mac()), (Link::Up, Some(derived_mac("lo0"))));
        device.set_mac([2; 6]).unwrap();
        assert_eq!(device.mac(), Some([2; 6]));
    }
}
