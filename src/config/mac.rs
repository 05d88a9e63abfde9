//! Ethernet addresses as the configuration writes them.

use crate::decode::{Scalar, Unreadable};
use std::{fmt, str::FromStr};

/// An Ethernet address of 48 bits, in the order of the wire (IEEE 802-2014 clause 8.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Whether one station owns it: the group bit is clear and it is not all zeroes.
    pub const fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && !matches!(self.0, [0, 0, 0, 0, 0, 0])
    }
}

impl FromStr for Mac {
    type Err = Unreadable;

    /// Reads six pairs of hexadecimal digits between colons, or between dashes.
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let wrong = || Unreadable::wanted(Self::WANTED);
        let separator = if text.contains(':') { ':' } else { '-' };
        let mut octets = [0; 6];
        let mut parts = text.split(separator);
        for octet in &mut octets {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *octet = u8::from_str_radix(part.ok_or_else(wrong)?, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(Self(octets)) }
    }
}

impl Scalar for Mac {
    const WANTED: &'static str = "an Ethernet address such as \"02:fe:00:00:00:01\"";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        let mac = Mac([0x02, 0xfe, 0, 0, 0xab, 1]);
        assert_eq!("02:fe:00:00:ab:01".parse(), Ok(mac));
        assert_eq!("02-FE-00-00-AB-01".parse(), Ok(mac));
        assert_eq!(mac.to_string(), "02:fe:00:00:ab:01");
        for bad in
            ["", "02:fe:00:00:ab", "02:fe:00:00:ab:01:02", "2:fe:00:00:ab:01", "02:fe:00:00:ab:0g", "+2:fe:00:00:ab:01"]
        {
            assert!(bad.parse::<Mac>().is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn unicast_is_neither_group_nor_zero() {
        assert!(Mac([2, 0, 0, 0, 0, 1]).is_unicast());
        assert!(!Mac([1, 0, 0x5e, 0, 0, 1]).is_unicast());
        assert!(!Mac([0; 6]).is_unicast());
        assert!(!Mac([0xff; 6]).is_unicast());
    }
}
