//! Ethernet MAC addresses (IEEE 802, EUI-48).

use core::fmt;
use core::str::FromStr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A MAC address, in transmission order.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(transparent)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// 00:00:00:00:00:00, as in the target field of an ARP request.
    pub const ZERO: Self = Self([0; 6]);
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether it names a group: multicast, or broadcast, which is one.
    #[inline]
    #[must_use]
    pub const fn is_multicast(&self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether it names every station.
    #[inline]
    #[must_use]
    pub const fn is_broadcast(&self) -> bool {
        let [a, b, c, d, e, f] = self.0;
        a & b & c & d & e & f == 0xff
    }

    /// Whether it can be the address of one station: not a group and not zero.
    #[inline]
    #[must_use]
    pub const fn is_unicast(&self) -> bool {
        let [a, b, c, d, e, f] = self.0;
        !self.is_multicast() && a | b | c | d | e | f != 0
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Text that is not a MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacAddrError;

impl fmt::Display for MacAddrError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a MAC address is six pairs of hexadecimal digits, such as 02:fe:00:00:00:01")
    }
}

impl core::error::Error for MacAddrError {}

impl FromStr for MacAddr {
    type Err = MacAddrError;

    /// Six pairs of hexadecimal digits, all separated by `:` or all by `-`.
    fn from_str(text: &str) -> Result<Self, MacAddrError> {
        let bytes: &[u8; 17] = text.as_bytes().try_into().map_err(|_| MacAddrError)?;
        let digit = |at: usize| match bytes[at] {
            digit @ b'0'..=b'9' => Ok(digit - b'0'),
            digit @ b'a'..=b'f' => Ok(digit - b'a' + 10),
            digit @ b'A'..=b'F' => Ok(digit - b'A' + 10),
            _ => Err(MacAddrError),
        };
        let separator = bytes[2];
        if separator != b':' && separator != b'-' {
            return Err(MacAddrError);
        }
        let mut address = [0; 6];
        for (i, octet) in address.iter_mut().enumerate() {
            if i > 0 && bytes[3 * i - 1] != separator {
                return Err(MacAddrError);
            }
            *octet = digit(3 * i)? << 4 | digit(3 * i + 1)?;
        }
        Ok(Self(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text() {
        let mac = MacAddr([0x02, 0xfe, 0, 0, 0x0a, 0xf1]);
        assert_eq!(mac.to_string(), "02:fe:00:00:0a:f1");
        for text in ["02:fe:00:00:0a:f1", "02:FE:00:00:0A:F1", "02-fe-00-00-0a-f1"] {
            assert_eq!(text.parse(), Ok(mac));
        }
        for text in [
            "",
            "02:fe:00:00:0a",
            "02:fe:00:00:0a:f1:",
            "02:fe:00:00:0a-f1",
            "02.fe.00.00.0a.f1",
            "02:fe:00:00:0a:g1",
            "+2:fe:00:00:0a:f1",
            "02:fe:00:00:0a:é",
        ] {
            assert_eq!(text.parse::<MacAddr>(), Err(MacAddrError), "{text}");
        }
    }

    #[test]
    fn kinds() {
        let kinds = |mac: MacAddr| (mac.is_unicast(), mac.is_multicast(), mac.is_broadcast());
        assert_eq!(kinds(MacAddr::BROADCAST), (false, true, true));
        assert_eq!(kinds(MacAddr::ZERO), (false, false, false));
        assert_eq!(kinds(MacAddr([0x01, 0, 0x5e, 0, 0, 1])), (false, true, false));
        assert_eq!(kinds(MacAddr([0xff, 0xff, 0xff, 0xff, 0xff, 0xfe])), (false, true, false));
        assert_eq!(kinds(MacAddr([0x02, 0, 0, 0, 0, 1])), (true, false, false));
    }
}
