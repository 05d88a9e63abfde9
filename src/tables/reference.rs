//! What the fast tables must agree with: a list, scanned from end to end.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Longest-prefix match over a list.
#[derive(Default)]
pub struct Reference(Vec<(Ipv4Net, u32)>);

impl Reference {
    pub fn insert(&mut self, prefix: Ipv4Net, value: u32) -> Option<u32> {
        let old = self.remove(prefix);
        self.0.push((prefix.trunc(), value));
        old
    }

    pub fn remove(&mut self, prefix: Ipv4Net) -> Option<u32> {
        let at = self.0.iter().position(|&(other, _)| other == prefix.trunc())?;
        Some(self.0.swap_remove(at).1)
    }

    pub fn longest_match(&self, addr: u32) -> Option<(Ipv4Net, u32)> {
        let addr = Ipv4Addr::from_bits(addr);
        self.0
            .iter()
            .filter(|(prefix, _)| prefix.contains(&addr))
            .max_by_key(|(prefix, _)| prefix.prefix_len())
            .copied()
    }

    pub fn routes(&self) -> &[(Ipv4Net, u32)] {
        &self.0
    }
}
