//! The end: what others are told of it, and that it leaves.

use super::Router;
use millrace_engine::LedgerTotals;
use std::time::{Duration, Instant};

/// How long what is said at the end may take to leave.
const LAST_WORDS: Duration = Duration::from_millis(50);

impl Router {
    /// The daemon ends: others are told, while that can be sent.
    pub fn farewell(&mut self) {
        self.end_advertising();
        self.end_bonds();
        self.end_lldp();
        // Workers have taken it, and before long it has left.
        let _ = self.engine.run_on(0, || ());
        let until = Instant::now() + LAST_WORDS;
        while self.is_on_its_way() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether workers have packets that have not left yet.
    fn is_on_its_way(&self) -> bool {
        let ledgers = (0..self.engine.workers()).map(|worker| self.engine.ledger(worker));
        let left =
            |ledger: LedgerTotals| (ledger.received + ledger.made, ledger.sent + ledger.dropped + ledger.consumed);
        let (came, went) = ledgers.map(left).fold((0, 0), |(came, went), one| (came + one.0, went + one.1));
        came > went
    }
}
