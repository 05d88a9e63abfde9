//! Load-balances, one for each set of next hops with several ways. The only writer of
//! [`Tables::load_balances`](millrace_graph_nodes::forwarding::Tables::load_balances).

use millrace_engine::epoch::domain;
use millrace_graph_nodes::forwarding::{Forwarding, MAX_LOAD_BALANCES};
use millrace_tables::indices::Indices;
use millrace_tables::load_balance::LoadBalance;

/// An adjacency, its weight, and whether packets can go there now.
pub type Share = (u32, u16, bool);

/// See the module.
#[derive(Debug)]
pub struct Balances {
    forwarding: Forwarding,
    indices: Indices,
    count: usize,
}

impl Balances {
    /// None yet.
    pub fn new(forwarding: Forwarding) -> Balances {
        Balances { forwarding, indices: Indices::new(0..MAX_LOAD_BALANCES), count: 0 }
    }

    /// A new one, that leads nowhere at first. `None` when no index is left.
    pub fn add(&mut self) -> Option<u32> {
        let index = self.indices.allocate()?;
        self.count += 1;
        self.set(index, &[]);
        Some(index)
    }

    /// Shares flows out anew. Those of shares that are up before and after stay where they are, if the weights are the same.
    pub fn set(&self, index: u32, shares: &[Share]) {
        let nowhere = || LoadBalance::from_weights(&[(0, 1)]);
        let up = shares.iter().any(|(.., up)| *up);
        let balance = if up { LoadBalance::resilient(shares).or_else(|_| nowhere()) } else { nowhere() };
        // One always can be made, and the index is within the capacity.
        if let Ok(balance) = balance {
            let _ = self.forwarding.load_balances.set(&domain(), index, balance);
        }
    }

    /// Gives one up.
    pub fn remove(&mut self, index: u32) {
        self.count -= 1;
        self.indices.release(index);
    }

    /// How many there are. O(1).
    pub fn count(&self) -> usize {
        self.count
    }
}
