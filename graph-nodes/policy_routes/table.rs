//! Policy routes made ready to be asked: for each interface, which rule a source falls under.

use ipnet::IpNet;
use millrace_engine::counters::MAX_INTERFACES;
use millrace_tables::lpm::Address;
use std::collections::BTreeSet;

/// A rule as control says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// The prefix of the sources that it is about; none: all of both families.
    pub source: Option<IpNet>,
    /// The interface that its packets come by; none: any.
    pub interface: Option<u32>,
    /// The table to look up in.
    pub table: u32,
    /// Which counter it counts on; less than [`MAX`](super::MAX).
    pub counter: u16,
}

/// What the first rule that matches says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// The table to look up in.
    pub table: u32,
    /// Which counter to count on.
    pub counter: u16,
}

/// The rules of one family.
#[derive(Debug)]
pub struct Rules {
    /// By interface: which of the lists is its own. The first one is of those that no rule names.
    list_of: Box<[u16]>,
    lists: Vec<Sources>,
}

/// All addresses, as consecutive ranges that fall under one rule each.
#[derive(Debug)]
struct Sources {
    /// The first address of each range; that of the first one is 0.
    starts: Vec<u128>,
    /// What is said of each range.
    found: Vec<Option<Found>>,
}

impl Rules {
    /// Those of `rules` that are about a family, the first that matches first.
    pub fn of<A: Address + Into<u128>>(rules: &[Rule]) -> Rules {
        let list = |interface: Option<u32>| {
            let mine = rules.iter().filter(|rule| rule.interface.is_none() || rule.interface == interface);
            let ranges = mine.filter_map(|rule| {
                let (first, last) = range::<A>(rule.source)?;
                Some((first, last, Found { table: rule.table, counter: rule.counter }))
            });
            Sources::new(&ranges.collect::<Vec<_>>())
        };
        let mut all = Rules { list_of: vec![0; MAX_INTERFACES].into(), lists: vec![list(None)] };
        let named: BTreeSet<u32> = rules.iter().filter_map(|rule| rule.interface).collect();
        for interface in named {
            if let Some(place) = all.list_of.get_mut(interface as usize) {
                // At most one for each interface.
                *place = all.lists.len() as u16;
                all.lists.push(list(Some(interface)));
            }
        }
        all
    }

    /// What is said of packets from `source` by `interface`.
    #[inline(always)]
    pub fn find(&self, interface: u32, source: u128) -> Option<Found> {
        let list = self.list_of.get(interface as usize)?;
        self.lists.get(usize::from(*list))?.find(source)
    }
}

/// The first and the last address of a prefix, or of the whole family; none for one of the other family.
fn range<A: Address + Into<u128>>(source: Option<IpNet>) -> Option<(u128, u128)> {
    match source {
        Some(source) => A::of_net(source).map(|net| (A::first(net).into(), A::last(net).into())),
        None => Some((0, u128::MAX >> (128 - u32::from(A::BITS)))),
    }
}

impl Sources {
    /// Of ranges that may overlap: where they do, the first one counts.
    fn new(ranges: &[(u128, u128, Found)]) -> Sources {
        let ends = ranges.iter().flat_map(|(first, last, _)| [Some(*first), last.checked_add(1)]);
        let starts: BTreeSet<u128> = ends.flatten().chain([0]).collect();
        let rule = |at: u128| ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&at));
        let found = starts.iter().map(|at| rule(*at).map(|(_, _, found)| *found)).collect();
        Sources { starts: starts.into_iter().collect(), found }
    }

    #[inline(always)]
    fn find(&self, source: u128) -> Option<Found> {
        let behind = self.starts.partition_point(|start| *start <= source);
        self.found.get(behind.checked_sub(1)?).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::IpAddr;

    fn rule(source: &str, interface: u32, table: u32) -> Rule {
        let source = (!source.is_empty()).then(|| source.parse().unwrap());
        Rule { source, interface: (interface > 0).then_some(interface), table, counter: table as u16 }
    }

    /// The table of the first rule that matches, found plainly.
    fn slowly(rules: &[Rule], interface: u32, source: IpAddr) -> Option<u32> {
        let from = |rule: &&Rule| match rule.source {
            None => true,
            Some(net) => net.contains(&source),
        };
        rules.iter().filter(|r| r.interface.is_none_or(|i| i == interface)).find(from).map(|rule| rule.table)
    }

    fn quickly(rules: &[Rule], interface: u32, source: IpAddr) -> Option<u32> {
        let found = match source {
            IpAddr::V4(source) => Rules::of::<u32>(rules).find(interface, source.to_bits().into()),
            IpAddr::V6(source) => Rules::of::<u128>(rules).find(interface, source.to_bits()),
        };
        found.map(|found| found.table)
    }

    #[test]
    fn the_first_that_matches_wins() {
        let rules = [
            rule("10.1.2.0/24", 0, 1),
            rule("10.1.0.0/16", 7, 2),
            rule("10.0.0.0/8", 0, 3),
            rule("2001:db8::/32", 0, 4),
            rule("", 7, 5),
            rule("10.1.2.3/32", 0, 6),
        ];
        for (source, interface, table) in [
            ("10.1.2.3", 7, Some(1)),
            ("10.1.2.3", 8, Some(1)),
            ("10.1.3.0", 7, Some(2)),
            ("10.1.3.0", 8, Some(3)),
            ("10.0.0.0", 8, Some(3)),
            ("10.255.255.255", 8, Some(3)),
            ("11.0.0.0", 8, None),
            ("9.255.255.255", 8, None),
            ("11.0.0.0", 7, Some(5)),
            ("0.0.0.0", 7, Some(5)),
            ("255.255.255.255", 7, Some(5)),
            ("2001:db8::1", 8, Some(4)),
            ("2001:db9::", 8, None),
            ("2001:db9::", 7, Some(5)),
            ("::", 7, Some(5)),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 7, Some(5)),
            // Its number is that of 10.1.2.3.
            ("::a01:203", 8, None),
        ] {
            let source = source.parse().unwrap();
            assert_eq!(quickly(&rules, interface, source), table, "{source} by {interface}");
            assert_eq!(slowly(&rules, interface, source), table, "{source} by {interface}, slowly");
        }
        assert_eq!(Rules::of::<u32>(&rules).find(u32::MAX, 0x0a01_0203), None, "no such interface");
        assert_eq!(Rules::of::<u32>(&[]).find(7, 0), None);
    }

    proptest! {
        #[test]
        fn as_found_slowly(
            rules in prop::collection::vec((any::<bool>(), 0..4u8, 24..=32u8, 0..3u32), 0..12),
            sources in prop::collection::vec((any::<bool>(), 0..4u8, 1..3u32), 40),
        ) {
            let address = |six: bool, low: u8| match six {
                true => IpAddr::from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, low]),
                false => IpAddr::from([10, 0, 0, low]),
            };
            let rules: Vec<Rule> = rules.iter().enumerate().map(|(at, (six, low, len, interface))| {
                let len = if *six { len + 96 } else { *len };
                let net = IpNet::new(address(*six, *low), len).unwrap().trunc();
                rule(&net.to_string(), *interface, at as u32)
            }).collect();
            for (six, low, interface) in sources {
                let source = address(six, low);
                prop_assert_eq!(quickly(&rules, interface, source), slowly(&rules, interface, source));
            }
        }
    }
}
