//! `mss-clamp` of an interface: the largest segment that the ends of a TCP connection through it may ask for.

use crate::{
    decode::{Scalar, Unreadable, number},
    diagnostic::Spot,
    name::Name,
    validate::Check,
};
use std::{fmt, ops::RangeInclusive, str::FromStr};

/// How the maximum segment size (RFC 9293 clause 3.7.1) is limited that SYNs ask for which come or leave by an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MssClamp {
    /// Not at all.
    #[default]
    Off,
    /// To what fits the interface's MTU: 40 bytes less for IPv4, 60 for IPv6.
    Auto,
    /// To so many bytes, for both families; of [`MssClamp::RANGE`].
    Max(u16),
}

impl MssClamp {
    /// From what every host must take without being told (RFC 9293 clause 3.7.1) to what fits the longest packet.
    pub const RANGE: RangeInclusive<u16> = 536..=65495;
}

impl FromStr for MssClamp {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        match text {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            _ => number(text, &Self::RANGE).map(Self::Max).map_err(|_| Unreadable::wanted(Self::WANTED)),
        }
    }
}

impl Scalar for MssClamp {
    const WANTED: &'static str = "off, auto, or a whole number from 536 to 65495";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl fmt::Display for MssClamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Auto => f.write_str("auto"),
            Self::Max(bytes) => write!(f, "{bytes}"),
        }
    }
}

/// An edit may carry a number that no file can.
pub(crate) fn check(check: &mut Check<'_>, name: &Name, clamp: MssClamp) {
    if let MssClamp::Max(bytes) = clamp
        && !MssClamp::RANGE.contains(&bytes)
    {
        let message = format!("interface {name}: mss-clamp: {bytes} is out of range");
        check.problem(Spot::new("interfaces", name), message, format!("expected {}", MssClamp::WANTED));
    }
}
