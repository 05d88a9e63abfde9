//! PIM hellos (RFC 7761 section 4.9.2): all that a bridge wants to know of it is where routers are.

use crate::checksum::{self, Sum};
use crate::{FromBytes, IpProtocol, Ipv4, Ipv6, Ipv6Extensions};
use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;

/// PIM.
pub const PROTOCOL: IpProtocol = IpProtocol(103);
/// 224.0.0.13, every PIM router of the link.
pub const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 13);
/// ff02::d, every PIM router of the link.
pub const ALL_ROUTERS6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xd);

/// Version 2, type 0.
const HELLO: u8 = 0x20;
const HOLD_TIME: u16 = 1;
/// Without the option (section 4.11: `Default_Hello_Holdtime`).
const DEFAULT: Duration = Duration::from_secs(105);

/// How long the router that sent a packet is to be believed to be there: no time at all when it goes. `None` unless the packet, which
/// begins with its IP header of either family, is a good hello.
#[must_use]
pub fn hello(packet: &[u8]) -> Option<Duration> {
    let message = match packet.first()? >> 4 {
        4 => {
            let (ip, _) = Ipv4::ref_from_prefix(packet).ok()?;
            let (header, message) = packet.get(..ip.total_len().into())?.split_at_checked(ip.header_len())?;
            let is_pim = ip.protocol() == PROTOCOL && ip.dst() == ALL_ROUTERS && !ip.is_fragment();
            (is_pim && Sum::of(header).is_ok() && Sum::of(message).is_ok()).then_some(message)?
        }
        6 => {
            let (ip, _) = Ipv6::ref_from_prefix(packet).ok()?;
            let mut headers = Ipv6Extensions::of(packet.get(..Ipv6::LEN + usize::from(ip.payload_len()))?);
            headers.by_ref().try_for_each(|header| header.map(drop)).ok()?;
            let message = packet.get(headers.offset()..Ipv6::LEN + usize::from(ip.payload_len()))?;
            let (src, dst) = (ip.src().octets(), ip.dst().octets());
            let sum = checksum::pseudo_header6(&src, &dst, PROTOCOL, message.len() as u32).bytes(message);
            (headers.protocol() == PROTOCOL && ip.dst() == ALL_ROUTERS6 && sum.is_ok()).then_some(message)?
        }
        _ => return None,
    };
    let [HELLO, _, _, _, options @ ..] = message else { return None };
    let mut options = options;
    loop {
        let [a, b, c, d, rest @ ..] = options else { return Some(DEFAULT) };
        let (value, rest) = rest.split_at_checked(u16::from_be_bytes([*c, *d]).into())?;
        if let (HOLD_TIME, [high, low]) = (u16::from_be_bytes([*a, *b]), value) {
            return Some(Duration::from_secs(u16::from_be_bytes([*high, *low]).into()));
        }
        options = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IntoBytes;

    fn packet4(message: &[u8]) -> Vec<u8> {
        let mut message = message.to_vec();
        let sum = Sum::of(&message).checksum();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut ip = Ipv4::new(Ipv4Addr::new(10, 0, 0, 1), ALL_ROUTERS, PROTOCOL, 1, message.len() as u16);
        ip.fill_checksum(&[]);
        [ip.as_bytes(), &message].concat()
    }

    #[test]
    fn hold_times() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(hello(&packet4(&[0x20, 0, 0, 0])), seconds(105));
        assert_eq!(hello(&packet4(&[0x20, 0, 0, 0, 0, 1, 0, 2, 0, 7])), seconds(7));
        assert_eq!(hello(&packet4(&[0x20, 0, 0, 0, 0, 9, 0, 1, 1, 0, 1, 0, 2, 1, 0])), seconds(256), "second option");
        assert_eq!(hello(&packet4(&[0x20, 0, 0, 0, 0, 1, 0, 2, 0, 0])), seconds(0), "it goes");
        assert_eq!(hello(&packet4(&[0x20, 0, 0, 0, 0, 1, 0, 9, 0])), None, "option beyond the end");
        assert_eq!(hello(&packet4(&[0x23, 0, 0, 0])), None, "a join");
        let mut bad = packet4(&[0x20, 0, 0, 0]);
        bad[21] ^= 1;
        assert_eq!(hello(&bad), None, "checksum");
        for len in 0..23 {
            assert_eq!(hello(&packet4(&[0x20, 0, 0, 0])[..len]), None);
        }
    }

    #[test]
    fn hellos_are_whole_and_for_all_routers() {
        let changed = |change: fn(&mut Ipv4)| {
            let mut packet = packet4(&[0x20, 0, 0, 0]);
            let (ip, _) = Ipv4::mut_from_prefix(&mut packet).unwrap();
            change(ip);
            ip.fill_checksum(&[]);
            hello(&packet)
        };
        assert!(changed(|_| {}).is_some());
        assert_eq!(changed(|ip| ip.as_mut_bytes()[19] = 1), None, "to 224.0.0.1");
        assert_eq!(changed(|ip| ip.as_mut_bytes()[6] = 0x20), None, "a first fragment");
        assert_eq!(changed(|ip| ip.as_mut_bytes()[9] = 17), None, "UDP");
    }

    #[test]
    fn both_families() {
        let source: Ipv6Addr = "fe80::1".parse().unwrap();
        let to = |destination: Ipv6Addr| {
            let mut message = [0x20, 0, 0, 0, 0, 1, 0, 2, 0, 9];
            let sum = checksum::pseudo_header6(&source.octets(), &destination.octets(), PROTOCOL, 10).bytes(&message);
            message[2..4].copy_from_slice(&sum.checksum().to_be_bytes());
            [Ipv6::new(source, destination, PROTOCOL, 1, 10).as_bytes(), &message].concat()
        };
        let packet = to(ALL_ROUTERS6);
        assert_eq!(hello(&packet), Some(Duration::from_secs(9)));
        assert_eq!(hello(&to("ff02::1".parse().unwrap())), None, "to all nodes");
        let mut bad = packet.clone();
        bad[41] = 1;
        assert_eq!(hello(&bad), None);
    }
}
