//! Load-balances, shared by all routes with the same next hops. The only writer of
//! [`Tables::load_balances`](millrace_graph_nodes::forwarding::Tables::load_balances).

use millrace_engine::epoch::domain;
use millrace_graph_nodes::forwarding::{Forwarding, MAX_LOAD_BALANCES};
use millrace_tables::fib::Target;
use millrace_tables::indices::Indices;
use millrace_tables::load_balance::LoadBalance;
use std::collections::HashMap;

/// Adjacencies with their weights.
type Shares = Vec<(u32, u16)>;

/// See the module.
#[derive(Debug)]
pub struct Balances {
    forwarding: Forwarding,
    indices: Indices,
    by_shares: HashMap<Shares, (u32, u32)>,
    shares: HashMap<u32, Shares>,
}

impl Balances {
    /// None yet.
    pub fn new(forwarding: Forwarding) -> Balances {
        let indices = Indices::new(0..MAX_LOAD_BALANCES);
        Balances { forwarding, indices, by_shares: HashMap::new(), shares: HashMap::new() }
    }

    /// Where a route over these adjacencies leads: the only one of them, or a load-balance, to be
    /// [released](Self::release). `None` when there are none, too many, or no index is left.
    pub fn acquire(&mut self, shares: &[(u32, u16)]) -> Option<Target> {
        if let [(only, _)] = shares {
            return Some(Target::Adjacency(*only));
        }
        if let Some((index, users)) = self.by_shares.get_mut(shares) {
            *users += 1;
            return Some(Target::LoadBalance(*index));
        }
        let balance = LoadBalance::from_weights(shares).ok()?;
        let index = self.indices.allocate()?;
        // The index is within the capacity.
        let _ = self.forwarding.load_balances.set(&domain(), index, balance);
        self.by_shares.insert(shares.to_vec(), (index, 1));
        self.shares.insert(index, shares.to_vec());
        Some(Target::LoadBalance(index))
    }

    /// Gives up one use of a target.
    pub fn release(&mut self, target: Target) {
        let Target::LoadBalance(index) = target else { return };
        let Some(shares) = self.shares.get(&index) else { return };
        let Some((_, users)) = self.by_shares.get_mut(shares) else { return };
        *users -= 1;
        if *users == 0 {
            self.by_shares.remove(shares);
            self.shares.remove(&index);
            self.indices.release(index);
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shares.len()
    }
}
