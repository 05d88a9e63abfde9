//! What the targets of the packet path share: an input's bytes, and what is true of a graph when an input is through.

use millrace_engine::testing::Testbed;

/// Bytes to be used up; zeros follow them.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// The Internet checksum (RFC 1071).
pub fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|w| u64::from(w[0]) << 8 | u64::from(*w.get(1).unwrap_or(&0)));
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// No node panicked, and every packet went somewhere: called when all time that anything may take is over.
pub fn assert_settled(bed: &mut Testbed) {
    while !bed.punted().is_empty() {}
    let panics: Vec<_> = bed.counts().into_iter().filter(|(_, what, _)| *what == "panic").collect();
    assert!(panics.is_empty(), "{panics:?}");
    assert_eq!(bed.held(), 0, "buffers that nobody has");
    let ledger = bed.ledger();
    // Those for control ended there.
    assert_eq!(ledger.received + ledger.made, ledger.sent + ledger.dropped + ledger.consumed, "{ledger:?}");
}
