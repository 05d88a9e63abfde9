//! Sets of VLANs: `10,20-30`, or `all`.

use crate::{
    Vlan,
    decode::{Scalar, Unreadable},
    ranges,
};
use std::{fmt, str::FromStr};

/// A set of VLANs; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlans(
    /// From first to last, sorted, with a gap between each and the next.
    Vec<(u16, u16)>,
);

impl Vlans {
    /// All that there are.
    pub fn all() -> Self {
        Self(vec![(Vlan::MIN, Vlan::MAX)])
    }

    /// Those of several sets.
    pub(crate) fn union(sets: impl IntoIterator<Item = Self>) -> Self {
        let mut all: Vec<_> = sets.into_iter().flat_map(|set| set.0).collect();
        all.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::new();
        for (first, last) in all {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// Whether this one is among them.
    pub fn contains(&self, vlan: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&vlan))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }
}

impl FromStr for Vlans {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        if text == "all" {
            return Ok(Self::all());
        }
        let range = |text: &str| ranges::pair(text.trim(), Vlan::MIN, Vlan::MAX);
        let read: Option<Vec<_>> = text.split(',').map(range).collect();
        let read = read.ok_or_else(|| Unreadable::wanted(Self::WANTED))?;
        Ok(Self::union(read.into_iter().map(|range| Self(vec![range]))))
    }
}

impl Scalar for Vlans {
    const WANTED: &'static str = "VLANs from 1 to 4094 such as 10,20-30, or `all`";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl fmt::Display for Vlans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::all() {
            return f.write_str("all");
        }
        self.0.iter().enumerate().try_for_each(|(i, (first, last))| {
            f.write_str(if i == 0 { "" } else { "," })?;
            ranges::range(f, *first, *last)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_written_in_one_way() {
        for (text, written) in
            [("10", "10"), ("30-40, 10,20-29", "10,20-40"), ("5,5-7,6", "5-7"), ("all", "all"), ("1-4094", "all")]
        {
            let set: Vlans = text.parse().unwrap();
            assert_eq!(set.to_string(), written);
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        for bad in ["", "0", "4095", "10-5", "10,", "10;20", "any", "-1"] {
            assert!(bad.parse::<Vlans>().is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn sets_know_what_they_have() {
        let set: Vlans = "10,20-22".parse().unwrap();
        assert_eq!(set.iter().collect::<Vec<_>>(), [10, 20, 21, 22]);
        assert!(set.contains(20) && !set.contains(19) && !set.contains(23));
        assert_eq!(Vlans::all().iter().count(), 4094);
    }
}
