//! What the fast tables must agree with: a list, scanned from end to end.

use crate::lpm::Address;

/// Longest-prefix match over a list.
pub struct Reference<A: Address>(Vec<(A::Net, u32)>);

impl<A: Address> Reference<A> {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub fn insert(&mut self, prefix: A::Net, value: u32) -> Option<u32> {
        let old = self.remove(prefix);
        self.0.push((truncated::<A>(prefix), value));
        old
    }

    pub fn remove(&mut self, prefix: A::Net) -> Option<u32> {
        let at = self.0.iter().position(|&(other, _)| other == truncated::<A>(prefix))?;
        Some(self.0.swap_remove(at).1)
    }

    pub fn longest_match(&self, addr: A) -> Option<(A::Net, u32)> {
        self.0
            .iter()
            .filter(|&&(prefix, _)| A::first(prefix) <= addr && addr <= A::last(prefix))
            .max_by_key(|&&(prefix, _)| A::len(prefix))
            .copied()
    }

    pub fn routes(&self) -> &[(A::Net, u32)] {
        &self.0
    }
}

/// Without host bits.
fn truncated<A: Address>(prefix: A::Net) -> A::Net {
    A::first(prefix).net(A::len(prefix))
}
