//! The two address families, as a table sees them: numbers of 32 and 128 bits in host order.

use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Bits that the direct entries decide about.
pub const DIRECT_BITS: u8 = 24;
/// Bits that each group of entries after them decides about.
pub const GROUP_BITS: u8 = 8;

/// An address in host order: [`u32`] for IPv4, [`u128`] for IPv6.
pub trait Address: Copy + Ord + Hash + Debug + Send + Sync + 'static {
    /// A prefix of the family.
    type Net: Copy + Ord + Hash + Debug + Display + FromStr + Send + Sync + Into<IpNet> + 'static;

    /// The length of an address.
    const BITS: u8;
    /// How many groups a lookup passes through at most.
    const LEVELS: u8 = (Self::BITS - DIRECT_BITS) / GROUP_BITS;

    /// The prefix of `len` bits, or all of them if that is too many, that the address is in. Its host bits are zero.
    fn net(self, len: u8) -> Self::Net;

    /// The prefix's first address.
    fn first(net: Self::Net) -> Self;

    /// The prefix's last address.
    fn last(net: Self::Net) -> Self;

    /// The prefix's length.
    fn len(net: Self::Net) -> u8;

    /// The prefix, if it is of this family.
    fn of_net(net: IpNet) -> Option<Self::Net>;

    /// The address, if it is of this family.
    fn of_ip(ip: IpAddr) -> Option<Self>;

    /// The address as one of either family.
    fn to_ip(self) -> IpAddr;

    /// The first 24 bits.
    fn direct(self) -> usize;

    /// Eight bits: of level 0 those after the first 24, of the next level those after them.
    fn byte(self, level: u8) -> usize;
}

impl Address for u32 {
    type Net = Ipv4Net;
    const BITS: u8 = 32;

    fn net(self, len: u8) -> Ipv4Net {
        Ipv4Net::new(Ipv4Addr::from_bits(self), len).unwrap_or_else(|_| Ipv4Addr::from_bits(self).into()).trunc()
    }

    fn first(net: Ipv4Net) -> u32 {
        net.network().to_bits()
    }

    fn last(net: Ipv4Net) -> u32 {
        net.broadcast().to_bits()
    }

    fn len(net: Ipv4Net) -> u8 {
        net.prefix_len()
    }

    fn of_net(net: IpNet) -> Option<Ipv4Net> {
        match net {
            IpNet::V4(net) => Some(net),
            IpNet::V6(_) => None,
        }
    }

    fn of_ip(ip: IpAddr) -> Option<u32> {
        match ip {
            IpAddr::V4(ip) => Some(ip.to_bits()),
            IpAddr::V6(_) => None,
        }
    }

    fn to_ip(self) -> IpAddr {
        Ipv4Addr::from_bits(self).into()
    }

    #[inline(always)]
    fn direct(self) -> usize {
        (self >> 8) as usize
    }

    #[inline(always)]
    fn byte(self, _level: u8) -> usize {
        (self & 0xff) as usize
    }
}

impl Address for u128 {
    type Net = Ipv6Net;
    const BITS: u8 = 128;

    fn net(self, len: u8) -> Ipv6Net {
        Ipv6Net::new(Ipv6Addr::from_bits(self), len).unwrap_or_else(|_| Ipv6Addr::from_bits(self).into()).trunc()
    }

    fn first(net: Ipv6Net) -> u128 {
        net.network().to_bits()
    }

    fn last(net: Ipv6Net) -> u128 {
        net.broadcast().to_bits()
    }

    fn len(net: Ipv6Net) -> u8 {
        net.prefix_len()
    }

    fn of_net(net: IpNet) -> Option<Ipv6Net> {
        match net {
            IpNet::V6(net) => Some(net),
            IpNet::V4(_) => None,
        }
    }

    fn of_ip(ip: IpAddr) -> Option<u128> {
        match ip {
            IpAddr::V6(ip) => Some(ip.to_bits()),
            IpAddr::V4(_) => None,
        }
    }

    fn to_ip(self) -> IpAddr {
        Ipv6Addr::from_bits(self).into()
    }

    #[inline(always)]
    fn direct(self) -> usize {
        (self >> 104) as usize
    }

    /// By halves: a shift of all 128 bits takes several instructions.
    #[inline(always)]
    fn byte(self, level: u8) -> usize {
        let half = if level < 5 { (self >> 64) as u64 } else { self as u64 };
        (half.wrapping_shr(32_u32.wrapping_sub(8 * u32::from(level))) & 0xff) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_addresses() {
        assert_eq!((0x0102_0304_u32.direct(), 0x0102_0304_u32.byte(0)), (0x01_0203, 4));
        let addr = u128::from_be_bytes(std::array::from_fn(|i| i as u8 + 1));
        assert_eq!(addr.direct(), 0x01_0203);
        assert_eq!((0..13).map(|level| addr.byte(level)).collect::<Vec<_>>(), (4..=16).collect::<Vec<_>>());
        assert_eq!((<u32 as Address>::LEVELS, <u128 as Address>::LEVELS), (1, 13));
    }

    #[test]
    fn prefixes() {
        assert_eq!(0x0a01_02ff_u32.net(24).to_string(), "10.1.2.0/24");
        assert_eq!(0x0a01_02ff_u32.net(77).to_string(), "10.1.2.255/32");
        let addr: Ipv6Addr = "2001:db8::1".parse().unwrap();
        assert_eq!(addr.to_bits().net(32).to_string(), "2001:db8::/32");
        assert_eq!(addr.to_bits().net(200).to_string(), "2001:db8::1/128");
        let all = 0_u128.net(0);
        assert_eq!((u128::first(all), u128::last(all), <u128 as Address>::len(all)), (0, u128::MAX, 0));
    }

    #[test]
    fn families() {
        let (v4, v6): (IpNet, IpNet) = ("10.0.0.0/8".parse().unwrap(), "fc00::/7".parse().unwrap());
        assert_eq!((u32::of_net(v4).map(IpNet::from), u32::of_net(v6)), (Some(v4), None));
        assert_eq!((u128::of_net(v6).map(IpNet::from), u128::of_net(v4)), (Some(v6), None));
        for net in [v4, v6] {
            let ip = net.addr();
            assert_eq!(
                [u32::of_ip(ip).map(Address::to_ip), u128::of_ip(ip).map(Address::to_ip)]
                    .iter()
                    .flatten()
                    .collect::<Vec<_>>(),
                [&ip]
            );
        }
    }
}
