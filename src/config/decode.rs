//! From text and trees to typed values. Decoding notes every error and goes on, so that all of them are reported at once.

use crate::{
    diagnostic::{Position, Reader},
    later,
    yaml::{Entry, Node, Value},
};
use ipnet::{IpNet, Ipv6Net};
use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
};

/// A single value of the configuration that is read from text.
pub trait Scalar: Sized {
    /// What the text must be, in words that follow "expected".
    const WANTED: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// The text is not what [`Scalar::WANTED`] says.
    fn read(text: &str) -> Result<Self, Unreadable>;
}

/// Why a text could not be read as a value: what would have been right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(String);

impl Unreadable {
    /// The text is not `wanted` ("a number from 1 to 9").
    pub fn wanted(wanted: impl fmt::Display) -> Self {
        Self(format!("expected {wanted}"))
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

impl Scalar for bool {
    const WANTED: &'static str = "true or false";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse().map_err(|_| Unreadable::wanted(Self::WANTED))
    }
}

impl Scalar for PathBuf {
    const WANTED: &'static str = "the path of a file";
    fn read(text: &str) -> Result<Self, Unreadable> {
        if text.is_empty() || text.contains('\0') { Err(Unreadable::wanted(Self::WANTED)) } else { Ok(text.into()) }
    }
}

impl Scalar for IpAddr {
    const WANTED: &'static str = "an address such as 192.0.2.1 or 2001:db8::1";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse().map_err(|_| Unreadable::wanted(Self::WANTED))
    }
}

impl Scalar for IpNet {
    const WANTED: &'static str = "an address with its prefix length, such as 192.0.2.0/24 or 2001:db8::/64";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse().map_err(|_| Unreadable::wanted(Self::WANTED))
    }
}

impl Scalar for Ipv6Addr {
    const WANTED: &'static str = "an IPv6 address such as 2001:db8::1";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse().map_err(|_| Unreadable::wanted(Self::WANTED))
    }
}

impl Scalar for Ipv6Net {
    const WANTED: &'static str = "an IPv6 prefix such as 2001:db8::/64";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse().map_err(|_| Unreadable::wanted(Self::WANTED))
    }
}

/// Reads a whole number within a range.
pub(crate) fn number<T: FromStr + PartialOrd + fmt::Display>(
    text: &str,
    range: &RangeInclusive<T>,
) -> Result<T, Unreadable> {
    let wanted = || Unreadable::wanted(format_args!("a whole number from {} to {}", range.start(), range.end()));
    // A sign is no part of a number here, though FromStr takes it.
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| digits && range.contains(n)).ok_or_else(wanted)
}

/// The keys of one mapping. Each is asked for by name; what nobody asked for is an unknown key.
pub(crate) struct Fields<'n> {
    /// What the mapping describes ("interface wan"); empty for the whole file.
    what: String,
    /// What kind of thing that is, to name features that aren't there yet.
    place: &'static str,
    at: Position,
    entries: &'n [Entry],
    asked: Vec<&'static str>,
    tolerant: bool,
}

impl<'n> Fields<'n> {
    /// Opens a mapping; one that says nothing is empty.
    pub fn open(node: &'n Node, what: impl fmt::Display, place: &'static str, reader: &mut Reader) -> Option<Self> {
        let what = what.to_string();
        let entries: &[Entry] = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                let subject = if what.is_empty() { "the configuration" } else { &what };
                reader.error(node.at, format!("{subject}: found {}", node.kind()), "expected a mapping: `key: value`");
                return None;
            }
        };
        Some(Self { what, place, at: node.at, entries, asked: Vec::new(), tolerant: false })
    }

    /// Gives what is described a better name, once it is known.
    pub fn rename(&mut self, what: impl fmt::Display) {
        self.what = what.to_string();
    }

    /// What is described, to begin a message with.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The entry of a key.
    pub fn entry(&mut self, key: &'static str) -> Option<&'n Entry> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.entries.iter().find(|e| e.key == key)
    }

    /// Whether the key stands there.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|e| e.key == key)
    }

    /// Where a key's value stands; where the mapping stands if it isn't there.
    pub fn at(&self, key: &str) -> Position {
        self.entries.iter().find(|e| e.key == key).map_or(self.at, |e| e.value.at)
    }

    /// `what: key`, to begin a message with.
    pub fn name(&self, key: &str) -> String {
        if self.what.is_empty() { key.to_owned() } else { format!("{}: {key}", self.what) }
    }

    /// The value of a key, read by a function.
    pub fn read<T>(
        &mut self,
        key: &'static str,
        reader: &mut Reader,
        read: impl Fn(&str) -> Result<T, Unreadable>,
    ) -> Option<T> {
        let node = &self.entry(key)?.value;
        one(node, &|| self.name(key), reader, &read)
    }

    /// The value of a key.
    pub fn scalar<T: Scalar>(&mut self, key: &'static str, reader: &mut Reader) -> Option<T> {
        self.read(key, reader, T::read)
    }

    /// The number of a key, within a range.
    pub fn number<T>(&mut self, key: &'static str, range: RangeInclusive<T>, reader: &mut Reader) -> Option<T>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        self.read(key, reader, |text| number(text, &range))
    }

    /// The value of a key that must be there.
    pub fn required<T: Scalar>(&mut self, key: &'static str, reader: &mut Reader) -> Option<T> {
        self.required_by(key, reader, T::read)
    }

    /// The value of a key that must be there, read by a function.
    pub fn required_by<T>(
        &mut self,
        key: &'static str,
        reader: &mut Reader,
        read: impl Fn(&str) -> Result<T, Unreadable>,
    ) -> Option<T> {
        if !self.has(key) {
            // `read` says of the empty text what it would have wanted.
            let hint = read("").err().map_or_else(String::new, |wanted| wanted.to_string());
            reader.error(self.at, format!("{} is missing", self.name(key)), hint);
        }
        self.read(key, reader, read)
    }

    /// What a function makes of the tree under a key.
    pub fn section(&mut self, key: &'static str, read: impl FnOnce(&'n Node)) {
        if let Some(entry) = self.entry(key) {
            read(&entry.value);
        }
    }

    /// The values of a key that is a list of single values; one value stands for a list of it.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        reader: &mut Reader,
        read: impl Fn(&str) -> Result<T, Unreadable>,
    ) -> Option<Vec<(T, Position)>> {
        let entry = self.entry(key)?;
        let items = entry.value.items();
        Some(items.iter().filter_map(|n| Some((one(n, &|| self.name(key), reader, &read)?, n.at))).collect())
    }

    /// Takes keys that nobody asks for: which ones belong here isn't known.
    pub fn tolerate(&mut self) {
        self.tolerant = true;
    }

    /// Ends it: every key that nobody asked for is an error.
    pub fn close(self, reader: &mut Reader) {
        for entry in self.entries.iter().filter(|e| !self.asked.contains(&e.key.as_str())) {
            let name = self.name(&entry.key);
            match later::feature(self.place, &entry.key) {
                Some(feature) => {
                    let message = format!("{name}: this version of millrace has no {feature}");
                    reader.error(entry.key_at, message, "remove the key");
                }
                None if self.tolerant => {}
                None => reader.error(entry.key_at, format!("{name}: unknown key"), suggestion(&entry.key, &self.asked)),
            }
        }
    }
}

impl Node {
    /// The items of a list; a single value or mapping stands for a list of it.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Null => &[],
            Value::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }
}

/// Reads a single value.
fn one<T>(
    node: &Node,
    name: &dyn Fn() -> String,
    reader: &mut Reader,
    read: impl Fn(&str) -> Result<T, Unreadable>,
) -> Option<T> {
    let Value::Text(text) = &node.value else {
        // `read` says of the empty text what it would have wanted.
        let hint = read("").err().map_or("expected a value".to_owned(), |wanted| wanted.to_string());
        reader.error(node.at, format!("{}: found {}", name(), node.kind()), hint);
        return None;
    };
    let refused =
        |wanted: Unreadable| reader.error(node.at, format!("{}: cannot take \"{text}\"", name()), wanted.to_string());
    read(text).map_err(refused).ok()
}

/// "did you mean" the nearest of the known words, or the words that there are.
pub(crate) fn suggestion(word: &str, known: &[&str]) -> String {
    /// So many are listed; an operator with more interfaces looks them up.
    const LISTED: usize = 16;
    let longest = |k: &str| word.len().max(k.len());
    let close = |(d, k): &(usize, &str)| *d <= longest(k) / 3 || (word.len() > 1 && k.starts_with(word));
    // No key is as long as some text that stands in its place by mistake.
    let near = known.iter().filter(|_| word.len() <= 64).map(|k| (distance(word, k), *k)).filter(close).min();
    match near {
        Some((_, key)) => format!("did you mean `{key}`?"),
        None if known.is_empty() => "nothing is expected here".to_owned(),
        None if known.len() > LISTED => format!("expected one of: {}, ...", known[..LISTED].join(", ")),
        None => format!("expected one of: {}", known.join(", ")),
    }
}

/// How many letters must be put in, taken out, exchanged, or swapped with their neighbour to make one word of the other
/// (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let above = &rows[i - 1];
            let mut cost = (above[j - 1] + usize::from(a[i - 1] != b[j - 1])).min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(rows[i - 2][j - 2] + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested() {
        let known = ["mtu", "mac", "state", "addresses"];
        assert_eq!(suggestion("mut", &known), "did you mean `mtu`?");
        assert_eq!(suggestion("addr", &known), "did you mean `addresses`?");
        assert_eq!(suggestion("adresses", &known), "did you mean `addresses`?");
        assert_eq!(suggestion("colour", &known), "expected one of: mtu, mac, state, addresses");
    }

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("mut", "mtu"), 1);
        assert_eq!(distance("abc", "abc"), 0);
    }

    #[test]
    fn numbers_have_no_sign_and_keep_to_their_range() {
        assert_eq!(number("68", &(68..=9216)), Ok(68));
        for bad in ["67", "9217", "99999999999999", "-1", "+70", "7e1", "", "0x80"] {
            assert_eq!(number(bad, &(68u16..=9216)), Err(Unreadable::wanted("a whole number from 68 to 9216")));
        }
    }
}
