//! How a change of the `nat44` section reads: a line for each thing that comes, goes or changes.

use super::{Nat44, Pool};
use crate::op::Change;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display},
};

/// The lines of a change, none when there is none.
struct Lines(Vec<String>);

impl Lines {
    fn members<T: Ord + Display>(&mut self, what: &str, from: &BTreeSet<T>, to: &BTreeSet<T>) {
        self.0.extend(from.difference(to).map(|gone| format!("- nat44 {what} {gone}")));
        self.0.extend(to.difference(from).map(|new| format!("+ nat44 {what} {new}")));
    }

    fn entries<K: Ord + Display, V: PartialEq + Display>(
        &mut self,
        what: &str,
        from: &BTreeMap<K, V>,
        to: &BTreeMap<K, V>,
    ) {
        let gone = from.iter().filter(|(key, _)| !to.contains_key(*key));
        self.0.extend(gone.map(|(key, value)| format!("- nat44 {what} {key} {value}")));
        for (key, value) in to {
            match from.get(key) {
                None => self.0.push(format!("+ nat44 {what} {key} {value}")),
                Some(old) if old != value => self.0.push(format!("~ nat44 {what} {key}: {old} -> {value}")),
                Some(_) => {}
            }
        }
    }

    fn value<T: PartialEq>(&mut self, what: &str, from: &T, to: &T, show: impl Fn(&T) -> String) {
        if from != to {
            self.0.push(format!("~ nat44 {what}: {} -> {}", show(from), show(to)));
        }
    }
}

fn or_off<T: Display>(value: &Option<T>) -> String {
    value.as_ref().map_or("off".to_owned(), T::to_string)
}

impl Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface => f.write_str("interface"),
            Self::Addresses(ranges) if ranges.is_empty() => f.write_str("none"),
            Self::Addresses(ranges) => {
                f.write_str(&ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// Lines without an end after the last one; nothing for what stays.
impl Display for Change<Nat44> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        let mut lines = Lines(Vec::new());
        lines.members("inside", &from.inside, &to.inside);
        lines.members("outside", &from.outside, &to.outside);
        match (&from.pool, &to.pool) {
            (Pool::Addresses(from), Pool::Addresses(to)) => lines.members("pool", from, to),
            (from, to) => lines.value("pool", from, to, Pool::to_string),
        }
        lines.value("filtering", &from.filtering, &to.filtering, ToString::to_string);
        lines.entries("mapping", &from.mappings, &to.mappings);
        lines.members("twice-nat-pool", &from.twice_nat_pool, &to.twice_nat_pool);
        lines.members("exempt", &from.exempt, &to.exempt);
        lines.value("mss-clamp", &from.mss_clamp, &to.mss_clamp, or_off);
        for ((key, from), (_, to)) in from.timeouts.all().into_iter().zip(to.timeouts.all()) {
            lines.value(&format!("timeouts {key}"), from, to, ToString::to_string);
        }
        lines.value("max-sessions", &from.max_sessions, &to.max_sessions, u32::to_string);
        lines.value("max-sessions-per-host", &from.max_sessions_per_host, &to.max_sessions_per_host, u32::to_string);
        lines.value("log mappings", &from.log.mappings, &to.log.mappings, bool::to_string);
        lines.value("log syslog", &from.log.syslog, &to.log.syslog, or_off);
        lines.value("log rate", &from.log.rate, &to.log.rate, u32::to_string);
        f.write_str(&lines.0.join("\n"))
    }
}
