//! The commands that change the `nat44` section.

use super::{Exempt, Mapping, MappingKey, Nat44, Pool};
use crate::{
    AddressRange, Name,
    decode::{Scalar, Unreadable, suggestion},
    diagnostic::{Diagnostic, Reader},
    edit::EditError,
    keyword::keywords,
    yaml::{self, Node},
};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// A change of the `nat44` section by command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nat44Edit {
    /// `nat44 inside|outside add NAME`.
    InterfaceAdd {
        /// Inside or outside.
        side: Side,
        /// The interface.
        name: Name,
    },
    /// `nat44 inside|outside remove NAME`.
    InterfaceRemove {
        /// Inside or outside.
        side: Side,
        /// The interface.
        name: Name,
    },
    /// `nat44 pool add RANGE|interface`: the first range takes the place of `interface`.
    PoolAdd(PoolItem),
    /// `nat44 pool remove RANGE|interface`: also a part of a range.
    PoolRemove(PoolItem),
    /// `nat44 twice-nat-pool add RANGE`.
    TwiceNatAdd(AddressRange),
    /// `nat44 twice-nat-pool remove RANGE`: also a part of a range.
    TwiceNatRemove(AddressRange),
    /// `nat44 mapping add ...`.
    MappingAdd {
        /// What is seen of it outside.
        key: MappingKey,
        /// Whom it leads to.
        mapping: Mapping,
    },
    /// `nat44 mapping remove [tcp|udp] EXTERNAL`.
    MappingRemove(MappingKey),
    /// `nat44 exempt add ...`.
    ExemptAdd(Exempt),
    /// `nat44 exempt remove ...`.
    ExemptRemove(Exempt),
    /// `nat44 set KEY VALUE`: one of [`Nat44Edit::KEYS`] and its value, both as in a file.
    Set {
        /// The key; one below another is written with a blank: `timeouts udp`.
        key: String,
        /// The value.
        value: String,
    },
}

keywords! {
    /// A side of a translation.
    Side, "inside or outside" {
        /// Where the hosts are whose addresses are hidden.
        Inside = "inside",
        /// Where their external addresses are seen.
        Outside = "outside",
    }
}

/// What a pool can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PoolItem {
    /// Each outside interface's own address.
    Interface,
    /// Addresses.
    Range(AddressRange),
}

impl FromStr for PoolItem {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        if text == "interface" {
            return Ok(Self::Interface);
        }
        text.parse().map(Self::Range).map_err(|_| Unreadable::wanted(Self::WANTED))
    }
}

impl Scalar for PoolItem {
    const WANTED: &'static str =
        "`interface`, or an IPv4 address, a range such as 203.0.113.4-203.0.113.9, or a prefix such as 203.0.113.16/30";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl fmt::Display for PoolItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface => f.write_str("interface"),
            Self::Range(range) => range.fmt(f),
        }
    }
}

impl Nat44Edit {
    /// The keys that `nat44 set` sets.
    pub const KEYS: &[&str] = &[
        "filtering",
        "mss-clamp",
        "max-sessions",
        "max-sessions-per-host",
        "timeouts udp",
        "timeouts tcp-established",
        "timeouts tcp-transitory",
        "timeouts icmp",
        "log mappings",
        "log syslog",
        "log rate",
    ];
}

impl Nat44 {
    /// Makes a change.
    pub(crate) fn edit(&mut self, edit: Nat44Edit) -> Result<(), EditError> {
        match edit {
            Nat44Edit::InterfaceAdd { side, name } => add(self.side(side), name, side.as_str()),
            Nat44Edit::InterfaceRemove { side, name } => remove(self.side(side), &name, side.as_str()),
            Nat44Edit::PoolAdd(item) => self.add_to_pool(item),
            Nat44Edit::PoolRemove(item) => self.remove_from_pool(item),
            Nat44Edit::TwiceNatAdd(range) => add(&mut self.twice_nat_pool, range, "twice-nat-pool"),
            Nat44Edit::TwiceNatRemove(range) => cut(&mut self.twice_nat_pool, range, "twice-nat-pool"),
            Nat44Edit::MappingAdd { key, mapping } => {
                if let Some(other) = self.mappings.get(&key) {
                    let message =
                        format!("nat44 mapping {key} is there already ({other}); use `nat44 mapping remove` first");
                    return Err(EditError::Exists(message));
                }
                self.mappings.insert(key, mapping);
                Ok(())
            }
            Nat44Edit::MappingRemove(key) => match self.mappings.remove(&key) {
                Some(_) => Ok(()),
                None => {
                    let message = format!("there is no nat44 mapping {key}; `show nat44 mappings` lists them");
                    Err(EditError::NotFound(message))
                }
            },
            Nat44Edit::ExemptAdd(pair) => add(&mut self.exempt, pair, "exempt"),
            Nat44Edit::ExemptRemove(pair) => remove(&mut self.exempt, &pair, "exempt"),
            Nat44Edit::Set { key, value } => self.set(&key, &value),
        }
    }

    fn side(&mut self, side: Side) -> &mut BTreeSet<Name> {
        match side {
            Side::Inside => &mut self.inside,
            Side::Outside => &mut self.outside,
        }
    }

    fn add_to_pool(&mut self, item: PoolItem) -> Result<(), EditError> {
        match (&mut self.pool, item) {
            (Pool::Addresses(ranges), PoolItem::Range(range)) => return add(ranges, range, "pool"),
            (Pool::Interface, PoolItem::Range(range)) => self.pool = Pool::Addresses([range].into()),
            (Pool::Addresses(ranges), PoolItem::Interface) if ranges.is_empty() => self.pool = Pool::Interface,
            (pool, PoolItem::Interface) => {
                let hint = if *pool == Pool::Interface { "nothing to add" } else { "remove these addresses first" };
                return Err(EditError::Exists(format!("nat44 pool is {pool}; {hint}")));
            }
        }
        Ok(())
    }

    fn remove_from_pool(&mut self, item: PoolItem) -> Result<(), EditError> {
        match (&mut self.pool, item) {
            (Pool::Addresses(ranges), PoolItem::Range(range)) => cut(ranges, range, "pool"),
            (Pool::Interface, PoolItem::Interface) => {
                self.pool = Pool::Addresses(BTreeSet::new());
                Ok(())
            }
            (pool, item) => Err(EditError::NotFound(format!("nat44 pool has no {item}; it is {pool}"))),
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), EditError> {
        let unreadable = |text: String| Err(EditError::Unreadable(vec![text]));
        if !Nat44Edit::KEYS.contains(&key) {
            return unreadable(format!("nat44: can't set \"{key}\"; {}", suggestion(key, Nat44Edit::KEYS)));
        }
        let mut reader = Reader::default();
        let Some(value) = yaml::value(value, &mut reader) else {
            return unreadable(format!("nat44: {key}: cannot take \"{value}\"; expected a single value"));
        };
        let node = key.rsplit(' ').fold(value, |node, key| Node::map().with(key, node));
        let mut next = self.clone();
        next.decode(&node, &mut reader);
        let errors = reader.finish();
        if !errors.is_empty() {
            let text = |Diagnostic { message, hint, .. }: Diagnostic| format!("{message}; {hint}");
            return Err(EditError::Unreadable(errors.into_iter().map(text).collect()));
        }
        *self = next;
        Ok(())
    }
}

fn add<T: Ord + fmt::Display>(all: &mut BTreeSet<T>, one: T, what: &str) -> Result<(), EditError> {
    if all.contains(&one) {
        return Err(EditError::Exists(format!("nat44 {what} has {one} already; nothing to add")));
    }
    all.insert(one);
    Ok(())
}

fn remove<T: Ord + fmt::Display>(all: &mut BTreeSet<T>, one: &T, what: &str) -> Result<(), EditError> {
    if all.remove(one) { Ok(()) } else { Err(missing(all, one, what)) }
}

fn missing<T: fmt::Display>(all: &BTreeSet<T>, one: &T, what: &str) -> EditError {
    let has: Vec<_> = all.iter().take(16).map(T::to_string).collect();
    let more = if all.len() > has.len() { ", ..." } else { "" };
    let has = if has.is_empty() { "nothing".to_owned() } else { has.join(", ") + more };
    EditError::NotFound(format!("nat44 {what} doesn't have {one}; it has {has}"))
}

/// Takes a range, or a part of one, out of ranges that don't overlap.
fn cut(all: &mut BTreeSet<AddressRange>, part: AddressRange, what: &str) -> Result<(), EditError> {
    let whole = all.iter().find(|range| range.contains(part.first) && range.contains(part.last)).copied();
    let Some(whole) = whole else { return Err(missing(all, &part, what)) };
    all.remove(&whole);
    if whole.first < part.first {
        all.insert(AddressRange { first: whole.first, last: (u32::from(part.first) - 1).into() });
    }
    if part.last < whole.last {
        all.insert(AddressRange { first: (u32::from(part.last) + 1).into(), last: whole.last });
    }
    Ok(())
}
