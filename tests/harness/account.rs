//! The books of a router: what came in or was made is what went out, was dropped with a cause, or ended in the router.

use crate::{PATIENCE, Router, eventually, within};
use serde_json::Value;

/// Drivers of interfaces without a device of their own.
const VIRTUAL: [&str; 5] = ["bvi", "vxlan", "gre", "ipip", "bond"];

/// The sums that must agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Packets that the devices received, by `show interfaces`.
    pub rx_packets: u64,
    /// Packets that the devices sent, by `show interfaces`.
    pub tx_packets: u64,
    /// Packets from devices, by the workers.
    pub received: u64,
    /// Packets that the router made.
    pub made: u64,
    /// Packets that devices took, by the workers.
    pub sent: u64,
    /// Packets dropped, by the workers.
    pub dropped: u64,
    /// Packets that ended in the router: answered, cut in pieces, handed to control.
    pub consumed: u64,
    /// The causes of drops in `show errors`, added up.
    pub causes: u64,
    /// Buffers in use.
    pub buffers: u64,
}

impl Books {
    /// Reads them.
    #[track_caller]
    pub fn read(router: &Router) -> Books {
        let mut books = Books { buffers: buffers_in_use(router), ..Books::default() };
        // A sub-interface counts what its parent counts, too, and one without a device what another one does.
        let has_device = |row: &&Value| row["parent"].is_null() && !VIRTUAL.iter().any(|name| row["driver"] == *name);
        for row in router.list("show interfaces").iter().filter(has_device) {
            books.rx_packets += number(row, "rx_packets");
            books.tx_packets += number(row, "tx_packets");
        }
        for row in &router.list("show workers") {
            books.received += number(row, "received");
            books.made += number(row, "made");
            books.sent += number(row, "sent");
            books.dropped += number(row, "dropped");
            books.consumed += number(row, "consumed");
        }
        books.causes = router.list("show errors").iter().map(|row| number(row, "drops")).sum();
        books
    }

    /// Whether nothing is missing.
    pub fn balance(&self, baseline: &Baseline) -> bool {
        self.received + self.made == self.sent + self.dropped + self.consumed
            && self.rx_packets + baseline.rx_gone == self.received
            && self.tx_packets + baseline.tx_gone == self.sent
            && self.causes == self.dropped
            && self.buffers == baseline.buffers
    }
}

/// What a router at rest is compared with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Baseline {
    /// Buffers that stand ready in the devices' rings.
    pub buffers: u64,
    /// Packets received by interfaces that are gone, and their counters with them.
    pub rx_gone: u64,
    /// Packets sent by interfaces that are gone.
    pub tx_gone: u64,
}

impl Baseline {
    /// Takes the router as it is, once its books stand still.
    #[track_caller]
    pub fn take(router: &Router) -> Baseline {
        let still = || {
            let (one, two) = (Books::read(router), Books::read(router));
            (one == two).then_some(one)
        };
        let books = eventually("the router is at rest", still);
        let gone = |all: u64, there: u64| all.saturating_sub(there);
        let (rx_gone, tx_gone) = (gone(books.received, books.rx_packets), gone(books.sent, books.tx_packets));
        Baseline { buffers: books.buffers, rx_gone, tx_gone }
    }
}

/// Waits until the books balance: packets may be on their way, or held for a neighbour, for a little while.
#[track_caller]
pub fn settle(router: &Router) {
    let balanced = within(PATIENCE, || Books::read(router).balance(&router.baseline()).then_some(()));
    if balanced.is_none() {
        let (books, baseline) = (Books::read(router), router.baseline());
        let shown = ["show interfaces", "show errors", "show buffers"].map(|command| router.run(command)).join("\n");
        panic!("the books don't balance ({baseline:?}): {books:#?}\n{shown}");
    }
}

/// Buffers that are neither free nor in a cache.
fn buffers_in_use(router: &Router) -> u64 {
    number(&router.json("show buffers"), "in_use")
}

fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("no number {key} in {row}"))
}
