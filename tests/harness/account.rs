//! The books of a router: what came in or was made is what went out, was dropped with a cause, or ended in the router.

use crate::{PATIENCE, Router, within};
use serde_json::Value;

/// Counters (node, reason) of packets that the router made itself.
pub const MADE: &[(&str, &str)] = &[];
/// Counters of packets that ended in the router because they were for it.
pub const TAKEN: &[(&str, &str)] = &[];
/// Counters that say something about packets that go on.
pub const NOTED: &[(&str, &str)] = &[];

/// The sums that must agree.
#[derive(Clone, Copy, Debug, Default)]
pub struct Books {
    /// Packets received on all devices.
    pub received: u64,
    /// Packets that the router made.
    pub made: u64,
    /// Packets sent on all devices.
    pub sent: u64,
    /// Packets that were for the router and ended there.
    pub taken: u64,
    /// Packets dropped, by their causes in `show errors`.
    pub dropped: u64,
    /// Packets that came to the node `error-drop`.
    pub discarded: u64,
    /// Buffers in use.
    pub buffers: u64,
}

impl Books {
    /// Reads them.
    #[track_caller]
    pub fn read(router: &Router) -> Books {
        let mut books = Books { buffers: buffers_in_use(router), ..Books::default() };
        // A sub-interface counts what its parent counts, too.
        for row in router.list("show interfaces").iter().filter(|row| row["parent"].is_null()) {
            books.received += number(row, "rx_packets");
            books.sent += number(row, "tx_packets");
        }
        for row in router.list("show errors") {
            let is =
                |list: &[(&str, &str)]| list.iter().any(|(node, why)| row["node"] == *node && row["reason"] == *why);
            let count = number(&row, "count");
            match () {
                () if is(MADE) => books.made += count,
                () if is(TAKEN) => books.taken += count,
                () if is(NOTED) => {}
                () => books.dropped += count,
            }
        }
        let runtime = router.list("show runtime");
        books.discarded =
            runtime.iter().filter(|row| row["node"] == "error-drop").map(|row| number(row, "packets")).sum();
        books
    }

    /// Whether nothing is missing.
    pub fn balance(&self, baseline: u64) -> bool {
        self.received + self.made == self.sent + self.taken + self.dropped
            && self.dropped == self.discarded
            && self.buffers == baseline
    }
}

/// Waits until the books balance: packets may be on their way, or held for a neighbour, for a little while.
#[track_caller]
pub fn settle(router: &Router) {
    let balanced = within(PATIENCE, || Books::read(router).balance(router.baseline()).then_some(()));
    if balanced.is_none() {
        let (books, baseline) = (Books::read(router), router.baseline());
        let shown = ["show interfaces", "show errors", "show buffers"].map(|command| router.run(command)).join("\n");
        panic!("the books don't balance (buffers when idle: {baseline}): {books:#?}\n{shown}");
    }
}

/// Buffers that are neither free nor in a cache.
pub fn buffers_in_use(router: &Router) -> u64 {
    number(&router.json("show buffers"), "in_use")
}

fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("no number {key} in {row}"))
}
