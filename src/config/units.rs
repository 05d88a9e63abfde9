//! Quantities with units: sizes in bytes, spans of time, packet rates, and what to repeat how often.

use crate::decode::{Scalar, Unreadable};
use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

/// A number of bytes: `512`, `512B`, `64KiB`, `2MiB`, `1GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A span of time: `250ms`, `300s`, `5m`, `2h`, `1d`. A number without a unit is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub Duration);

/// How fast packets are sent: `max`, or packets a second as in `1000pps`, `250kpps`, `1.5Mpps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rate {
    /// As fast as the worker polls.
    Max,
    /// So many packets a second; at least 1.
    PerSecond(u64),
}

/// How often something is done: a number from 1, or `forever`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Repeat {
    /// So many times.
    Times(NonZeroU32),
    /// Without end.
    Forever,
}

impl Repeat {
    /// Not again.
    pub const ONCE: Self = Self::Times(NonZeroU32::MIN);
}

impl Time {
    /// No time.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

const SIZES: &[(&str, u64)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1), ("", 1)];
const TIMES_MS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const RATES: &[(&str, u64)] = &[("Gpps", 1_000_000_000), ("Mpps", 1_000_000), ("kpps", 1000), ("pps", 1)];

/// Reads digits, with a decimal fraction if it comes out whole, and one of the units.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let (whole, places) = (whole.parse::<u64>().ok()?, u32::try_from(fraction.len()).ok()?);
    let tenths = 10u64.checked_pow(places)?;
    let part = fraction.parse::<u64>().ok()?.checked_mul(scale)?;
    if part % tenths != 0 {
        return None;
    }
    whole.checked_mul(scale)?.checked_add(part / tenths)
}

/// Writes with the largest unit that divides the value.
fn write_unit(f: &mut fmt::Formatter<'_>, value: u64, largest_first: &[(&str, u64)]) -> fmt::Result {
    match largest_first.iter().find(|(_, scale)| value != 0 && value.is_multiple_of(*scale)) {
        Some((unit, scale)) => write!(f, "{}{unit}", value / scale),
        None => write!(f, "{value}{}", largest_first.last().map_or("", |(unit, _)| unit)),
    }
}

impl FromStr for ByteSize {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        with_unit(text, SIZES).map(Self).ok_or_else(|| Unreadable::wanted(Self::WANTED))
    }
}

impl FromStr for Time {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let ms = with_unit(text, TIMES_MS).ok_or_else(|| Unreadable::wanted(Self::WANTED))?;
        Ok(Self(Duration::from_millis(ms)))
    }
}

impl FromStr for Rate {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        match with_unit(text, RATES) {
            _ if text == "max" => Ok(Self::Max),
            Some(pps) if pps > 0 => Ok(Self::PerSecond(pps)),
            _ => Err(Unreadable::wanted(Self::WANTED)),
        }
    }
}

impl FromStr for Repeat {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        match text {
            "forever" => Ok(Self::Forever),
            _ => text.parse().map(Self::Times).map_err(|_| Unreadable::wanted(Self::WANTED)),
        }
    }
}

macro_rules! scalar {
    ($($name:ident: $wanted:literal),+ $(,)?) => { $(impl Scalar for $name {
        const WANTED: &'static str = $wanted;
        fn read(text: &str) -> Result<Self, Unreadable> { text.parse() }
    })+ };
}
scalar! {
    ByteSize: "a size such as 65536, 64KiB or 2MiB",
    Time: "a time with its unit, such as 300s, 5m or 2h",
    Rate: "`max` or a packet rate with its unit, such as 1000pps or 1.5Mpps",
    Repeat: "a number from 1 or `forever`",
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_unit(f, self.0, &SIZES[..4])
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if ms == 0 {
            return f.write_str("0s");
        }
        let largest_first: Vec<_> = TIMES_MS.iter().rev().copied().collect();
        write_unit(f, ms, &largest_first)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::PerSecond(pps) => write_unit(f, *pps, RATES),
        }
    }
}

impl fmt::Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(n) => n.fmt(f),
            Self::Forever => f.write_str("forever"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("0", 0), ("512", 512), ("512B", 512), ("64KiB", 65536), ("2MiB", 2 << 20), ("1.5GiB", 3 << 29)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)));
        }
        assert_eq!(ByteSize(2 << 20).to_string(), "2MiB");
        assert_eq!(ByteSize(1500).to_string(), "1500B");
        for bad in ["", "MiB", "2mb", "-1", "1.3B", "99999999999GiB", "1.2.3KiB"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn times() {
        for (text, ms) in [("250ms", 250), ("300s", 300_000), ("5m", 300_000), ("1.5h", 5_400_000), ("1d", 86_400_000)]
        {
            assert_eq!(text.parse(), Ok(Time(Duration::from_millis(ms))));
        }
        assert_eq!(Time(Duration::from_secs(300)).to_string(), "5m");
        assert_eq!(Time(Duration::from_millis(1250)).to_string(), "1250ms");
        assert!("300".parse::<Time>().is_err());
    }

    #[test]
    fn rates_and_repeats() {
        for (text, pps) in
            [("1pps", 1), ("1000pps", 1000), ("1kpps", 1000), ("1.5Mpps", 1_500_000), ("2 Mpps", 2_000_000)]
        {
            assert_eq!(text.parse(), Ok(Rate::PerSecond(pps)));
        }
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert_eq!(Rate::PerSecond(1_500_000).to_string(), "1500kpps");
        for bad in ["", "1000", "0pps", "fast", "1.5pps"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad:?} must be refused");
        }
        assert_eq!("forever".parse(), Ok(Repeat::Forever));
        assert_eq!("3".parse::<Repeat>().unwrap().to_string(), "3");
        assert!("0".parse::<Repeat>().is_err());
    }
}
