//! Which configured mapping an endpoint belongs to: ranges of ports of one address, and what is configured for the whole address.

use std::cmp::Reverse;

/// The ranges of one address.
#[derive(Clone, Debug, Default)]
pub struct PortMap {
    /// By protocol, then by first port.
    ranges: Vec<Range>,
    /// For all ports: of a protocol, or of any.
    whole: Vec<(Option<u8>, u32)>,
}

/// The ports from `first` to `last` belong to `value`.
#[derive(Clone, Copy, Debug)]
struct Range {
    protocol: u8,
    first: u16,
    last: u16,
    value: u32,
    /// The highest `last` of this protocol's ranges up to here: how far back it is worth looking.
    reach: u16,
}

impl PortMap {
    /// Adds ports of a protocol. Call [`finish`](Self::finish) behind the last.
    pub fn add_range(&mut self, protocol: u8, (first, last): (u16, u16), value: u32) {
        self.ranges.push(Range { protocol, first, last, value, reach: last });
    }

    /// Adds all ports of a protocol, or of all protocols.
    pub fn add_whole(&mut self, protocol: Option<u8>, value: u32) {
        self.whole.push((protocol, value));
    }

    /// Makes it ready for lookups. Where ranges begin at the same port the one added first comes first.
    pub fn finish(&mut self) {
        // The one to be found first stands last.
        self.ranges.sort_by_key(|range| (range.protocol, range.first, Reverse(range.value)));
        let mut before: Option<Range> = None;
        for range in &mut self.ranges {
            if let Some(before) = before.filter(|before| before.protocol == range.protocol) {
                range.reach = range.last.max(before.reach);
            }
            before = Some(*range);
        }
        // A protocol's own mapping comes before one for all.
        self.whole.sort_by_key(|(protocol, value)| (protocol.is_none(), *value));
    }

    /// The value of the range that contains a port, and the range's first port; otherwise the value for the whole address, and 0.
    /// Of ranges that overlap it is the one that begins last.
    pub fn find(&self, protocol: u8, port: u16) -> Option<(u32, u16)> {
        let behind = self.ranges.partition_point(|range| (range.protocol, range.first) <= (protocol, port));
        self.ranges[..behind]
            .iter()
            .rev()
            .take_while(|range| range.protocol == protocol && range.reach >= port)
            .find(|range| range.last >= port)
            .map(|range| (range.value, range.first))
            .or_else(|| self.find_whole(protocol).map(|value| (value, 0)))
    }

    /// The value for all ports of a protocol.
    pub fn find_whole(&self, protocol: u8) -> Option<u32> {
        self.whole.iter().find(|(of, _)| of.is_none_or(|of| of == protocol)).map(|&(_, value)| value)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.whole.is_empty()
    }

    /// Whether nothing is left of the address for others, whatever the protocol.
    pub fn takes_all(&self) -> bool {
        self.whole.iter().any(|(of, _)| of.is_none())
    }

    /// The ranges of a protocol.
    pub fn ranges(&self, protocol: u8) -> impl Iterator<Item = (u16, u16)> {
        self.ranges.iter().filter(move |range| range.protocol == protocol).map(|range| (range.first, range.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_whole_address_behind_its_ranges() {
        let mut map = PortMap::default();
        map.add_whole(None, 1);
        map.add_whole(Some(6), 2);
        map.add_range(6, (80, 80), 3);
        map.finish();
        assert_eq!([map.find(6, 80), map.find(6, 81), map.find(17, 80)], [Some((3, 80)), Some((2, 0)), Some((1, 0))]);
        assert!(map.takes_all());
    }

    proptest! {
        /// The same as looking at all ranges: the one that begins last, and of those the one that was given first.
        #[test]
        fn as_a_linear_search(ranges in prop::collection::vec((6u8..8, 0u16..40, 0u16..12), 0..20), port in 0u16..60) {
            let mut map = PortMap::default();
            for (value, (protocol, first, len)) in ranges.iter().enumerate() {
                map.add_range(*protocol, (*first, first + len), value as u32);
            }
            map.finish();
            let wanted = ranges.iter().enumerate()
                .filter(|(_, (protocol, first, len))| *protocol == 6 && (*first..=first + len).contains(&port))
                .max_by_key(|(value, (_, first, _))| (*first, Reverse(*value)))
                .map(|(value, (_, first, _))| (value as u32, *first));
            prop_assert_eq!(map.find(6, port), wanted);
        }
    }
}
