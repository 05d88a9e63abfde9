//! Ranges of addresses and of ports, both ends included.

use crate::decode::{Scalar, Unreadable, number};
use ipnet::{Ipv4Net, Ipv6Net};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Addresses from first to last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    /// The lowest.
    pub first: Ipv4Addr,
    /// The highest; at least `first`.
    pub last: Ipv4Addr,
}

/// Addresses of either family from first to last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpRange {
    /// The lowest.
    pub first: IpAddr,
    /// The highest; of the same family, and at least `first`.
    pub last: IpAddr,
}

/// Ports from first to last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest; at least `first`.
    pub last: u16,
}

impl AddressRange {
    /// A single address.
    pub const fn one(address: Ipv4Addr) -> Self {
        Self { first: address, last: address }
    }

    /// How many addresses it has; 1 to 2^32.
    pub fn count(&self) -> u64 {
        u64::from(u32::from(self.last).saturating_sub(self.first.into())) + 1
    }

    /// Whether this address is in it.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// Whether they have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Its addresses, in order.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        (u32::from(self.first)..=u32::from(self.last)).map(Ipv4Addr::from)
    }
}

impl IpRange {
    /// A single address.
    pub const fn one(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }

    /// Whether its addresses are IPv6 ones.
    pub const fn is_ipv6(&self) -> bool {
        self.first.is_ipv6()
    }

    /// How many addresses it has; 2^64 - 1 stands for more.
    pub fn count(&self) -> u64 {
        let span = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => last.to_bits().saturating_sub(first.to_bits()).into(),
            (IpAddr::V6(first), IpAddr::V6(last)) => last.to_bits().saturating_sub(first.to_bits()),
            _ => 0,
        };
        u64::try_from(span).unwrap_or(u64::MAX).saturating_add(1)
    }
}

impl From<AddressRange> for IpRange {
    fn from(range: AddressRange) -> Self {
        Self { first: range.first.into(), last: range.last.into() }
    }
}

impl PortRange {
    /// A single port.
    pub const fn one(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// How many ports it has; 1 to 65536.
    pub fn count(&self) -> u32 {
        u32::from(self.last.saturating_sub(self.first)) + 1
    }

    /// Whether they have a port in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl FromStr for AddressRange {
    type Err = Unreadable;

    /// Reads an address, `first-last`, or a prefix without bits behind its length.
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let address = |text: &str| text.trim().parse::<Ipv4Addr>().ok();
        let range = match text.split_once('-') {
            Some((first, last)) => address(first).zip(address(last)).map(|(first, last)| Self { first, last }),
            None => address(text).map(Self::one).or_else(|| {
                let net = text.parse::<Ipv4Net>().ok()?;
                Some(Self { first: net.addr(), last: net.broadcast() }).filter(|_| net.addr() == net.network())
            }),
        };
        range.filter(|r| r.first <= r.last).ok_or_else(|| Unreadable::wanted(Self::WANTED))
    }
}

impl FromStr for IpRange {
    type Err = Unreadable;

    /// Reads an address, `first-last`, or a prefix without bits behind its length.
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        if let Ok(range) = text.parse::<AddressRange>() {
            return Ok(range.into());
        }
        let address = |text: &str| text.trim().parse::<Ipv6Addr>().ok();
        let range = match text.split_once('-') {
            Some((first, last)) => address(first).zip(address(last)),
            None => address(text).map(|one| (one, one)).or_else(|| {
                let net = text.parse::<Ipv6Net>().ok()?;
                Some((net.addr(), net.broadcast())).filter(|_| net.addr() == net.network())
            }),
        };
        let range = range.filter(|(first, last)| first <= last);
        let range = range.map(|(first, last)| Self { first: first.into(), last: last.into() });
        range.ok_or_else(|| Unreadable::wanted(Self::WANTED))
    }
}

impl FromStr for PortRange {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let (first, last) = pair(text, 0, u16::MAX).ok_or_else(|| Unreadable::wanted(Self::WANTED))?;
        Ok(Self { first, last })
    }
}

/// Reads `first-last`, or one number for both.
pub(crate) fn pair(text: &str, min: u16, max: u16) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let read = |text: &str| number(text.trim(), &(min..=max)).ok();
    read(first).zip(read(last)).filter(|(first, last)| first <= last)
}

impl Scalar for AddressRange {
    const WANTED: &'static str = "an IPv4 address, a range such as 10.0.0.1-10.0.0.9, or a prefix such as 10.0.0.0/24";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl Scalar for IpRange {
    const WANTED: &'static str = "an address, a range such as 10.0.0.1-10.0.0.9, or a prefix such as 2001:db8::/64";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl Scalar for PortRange {
    const WANTED: &'static str = "a port or a range such as 1000-2000";
    fn read(text: &str) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        range(f, self.first, self.last)
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        range(f, self.first, self.last)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        range(f, self.first, self.last)
    }
}

/// Writes `first-last`, or one for both.
pub(crate) fn range<T: fmt::Display + PartialEq>(f: &mut fmt::Formatter<'_>, first: T, last: T) -> fmt::Result {
    if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_addresses() {
        for (text, first, last) in [
            ("10.0.0.1", [10, 0, 0, 1], [10, 0, 0, 1]),
            ("10.0.0.1-10.0.1.9", [10, 0, 0, 1], [10, 0, 1, 9]),
            ("10.0.0.0/30", [10, 0, 0, 0], [10, 0, 0, 3]),
        ] {
            assert_eq!(text.parse(), Ok(AddressRange { first: first.into(), last: last.into() }));
        }
        for bad in ["", "10.0.0.9-10.0.0.1", "10.0.0.1/24", "10.0.0", "2001:db8::1", "10.0.0.1-"] {
            assert!(bad.parse::<AddressRange>().is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn ranges_of_either_family() {
        for (text, written, count) in [
            ("10.0.0.0/30", "10.0.0.0-10.0.0.3", 4),
            ("2001:db8::1", "2001:db8::1", 1),
            ("2001:db8::1-2001:db8::1:0", "2001:db8::1-2001:db8::1:0", 65_536),
            ("2001:db8::/112", "2001:db8::-2001:db8::ffff", 65_536),
            ("2001:db8::/65", "2001:db8::-2001:db8::7fff:ffff:ffff:ffff", 1 << 63),
            ("::/0", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", u64::MAX),
        ] {
            let range: IpRange = text.parse().unwrap();
            assert_eq!((range.to_string(), range.count()), (written.to_owned(), count));
            assert_eq!(range.to_string().parse(), Ok(range));
            assert_eq!(range.is_ipv6(), text.contains(':'));
        }
        for bad in ["", "::2-::1", "2001:db8::1/64", "10.0.0.1-::1", "::1-", "2001:db8"] {
            assert!(bad.parse::<IpRange>().is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn ranges_of_ports() {
        assert_eq!("80".parse(), Ok(PortRange::one(80)));
        assert_eq!("1000-2000".parse(), Ok(PortRange { first: 1000, last: 2000 }));
        for bad in ["", "2000-1000", "65536", "-1", "1-"] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn ranges_have_ends_and_sizes() {
        let range = |text: &str| text.parse::<AddressRange>().unwrap();
        let four = range("10.0.0.4/30");
        assert_eq!((four.count(), four.addresses().count()), (4, 4));
        assert_eq!(range("0.0.0.0/0").count(), 1 << 32);
        for (other, overlaps) in
            [("10.0.0.3", false), ("10.0.0.4", true), ("10.0.0.7-10.0.0.9", true), ("10.0.0.8", false)]
        {
            assert_eq!(four.overlaps(&range(other)), overlaps, "{other}");
            assert_eq!(range(other).overlaps(&four), overlaps, "{other}");
        }
        assert!(four.contains([10, 0, 0, 7].into()) && !four.contains([10, 0, 0, 8].into()));
        let ports = PortRange { first: 1, last: 65535 };
        assert_eq!((ports.count(), PortRange::one(9).count()), (65535, 1));
        assert!(ports.overlaps(&PortRange::one(65535)) && !PortRange::one(9).overlaps(&PortRange::one(10)));
    }
}
