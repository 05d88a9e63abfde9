//! The packets that control sends by itself: neighbour solicitations and advertisements, and reports of multicast groups. From the
//! IPv6 header on.

use super::listener::Record;
use millrace_wire::nd::{self, LinkLayerOption, NeighborAdvertisement, NeighborFlags, NeighborSolicitation};
use millrace_wire::{FromBytes, Icmp6, Icmp6Type, IntoBytes, IpProtocol, Ipv6, MacAddr, checksum};
use std::net::Ipv6Addr;

/// Records in one report: it fits into the smallest MTU.
pub const RECORDS: usize = 56;

/// An ICMPv6 message with its checksum, behind a header.
pub fn icmp6(src: Ipv6Addr, dst: Ipv6Addr, hop_limit: u8, mut message: Vec<u8>) -> Vec<u8> {
    let sum = checksum::icmp6(src, dst, &message);
    if let Ok((icmp, _)) = Icmp6::mut_from_prefix(&mut message) {
        icmp.set_checksum(sum);
    }
    let header = Ipv6::new(src, dst, IpProtocol::ICMP6, hop_limit, message.len() as u16);
    [header.as_bytes(), &message].concat()
}

/// Asks for a neighbour (RFC 4861 section 7.2.2): its group, or `to` alone when that is given.
pub fn solicitation((mac, src): (MacAddr, Ipv6Addr), target: Ipv6Addr, to: Option<MacAddr>) -> (MacAddr, Vec<u8>) {
    let group = nd::solicited_node(target);
    let (mac_to, dst) = to.map_or((nd::multicast_mac(group), group), |mac| (mac, target));
    let message = [NeighborSolicitation::new(target).as_bytes(), LinkLayerOption::source(mac).as_bytes()].concat();
    (mac_to, icmp6(src, dst, nd::HOP_LIMIT, message))
}

/// Asks whether anybody has an address that is to become ours (RFC 4862 section 5.4.2): from nobody, without a MAC address.
pub fn probe(target: Ipv6Addr) -> (MacAddr, Vec<u8>) {
    let group = nd::solicited_node(target);
    let message = NeighborSolicitation::new(target).as_bytes().to_vec();
    (nd::multicast_mac(group), icmp6(Ipv6Addr::UNSPECIFIED, group, nd::HOP_LIMIT, message))
}

/// Tells all nodes of an address of ours (RFC 4861 section 7.2.6).
pub fn announcement(mac: MacAddr, address: Ipv6Addr) -> (MacAddr, Vec<u8>) {
    let flags = NeighborFlags { router: true, solicited: false, override_: true };
    let message =
        [NeighborAdvertisement::new(flags, address).as_bytes(), LinkLayerOption::target(mac).as_bytes()].concat();
    (nd::multicast_mac(nd::ALL_NODES), icmp6(address, nd::ALL_NODES, nd::HOP_LIMIT, message))
}

/// Reports of groups (RFC 3810 section 5.2), with the router alert that makes routers look at them (RFC 2711).
pub fn reports(src: Ipv6Addr, records: &[Record]) -> Vec<(MacAddr, Vec<u8>)> {
    /// A hop-by-hop header with a router alert for MLD and two bytes of padding.
    const ALERT: [u8; 8] = [IpProtocol::ICMP6.0, 0, 5, 2, 0, 0, 1, 0];
    let dst = nd::ALL_MLD2_ROUTERS;
    let report = |records: &[Record]| {
        let head = Icmp6::new(Icmp6Type::LISTENER_REPORT_V2, 0).with_rest(records.len() as u32);
        let mut message = head.as_bytes().to_vec();
        for (kind, group) in records {
            message.extend([*kind as u8, 0, 0, 0]);
            message.extend(group.octets());
        }
        let sum = checksum::icmp6(src, dst, &message);
        if let Ok((icmp, _)) = Icmp6::mut_from_prefix(&mut message) {
            icmp.set_checksum(sum);
        }
        let header = Ipv6::new(src, dst, IpProtocol::HOP_BY_HOP, 1, (ALERT.len() + message.len()) as u16);
        (nd::multicast_mac(dst), [header.as_bytes(), &ALERT, &message].concat())
    };
    records.chunks(RECORDS).map(report).collect()
}

#[cfg(test)]
mod tests {
    use super::super::listener::Kind;
    use super::*;

    const MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 1]);
    const THEIRS: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 9]);
    const US: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const THEM: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);

    fn header(packet: &[u8]) -> (Ipv6, &[u8]) {
        let (header, rest) = Ipv6::read_from_prefix(packet).unwrap();
        assert_eq!(usize::from(header.payload_len()), rest.len());
        (header, rest)
    }

    fn checked(header: &Ipv6, message: &[u8]) -> bool {
        let pseudo = [&header.src().octets()[..], &header.dst().octets(), &(message.len() as u32).to_be_bytes()];
        checksum::Sum::of(&[pseudo.concat(), vec![0, 0, 0, 58], message.to_vec()].concat()).is_ok()
    }

    #[test]
    fn solicitations_go_to_the_group_or_to_one() {
        for (to, mac, dst) in
            [(None, "33:33:ff:00:00:09", "ff02::1:ff00:9"), (Some(THEIRS), "02:00:00:00:00:09", "2001:db8::9")]
        {
            let (to, packet) = solicitation((MAC, US), THEM, to);
            let (header, message) = header(&packet);
            assert_eq!((to.to_string().as_str(), header.dst().to_string().as_str()), (mac, dst));
            assert_eq!((header.src(), header.hop_limit(), message.len()), (US, 255, 32));
            assert!(checked(&header, message));
            assert_eq!(&message[8..24], THEM.octets());
            assert_eq!(&message[24..], [1, 1, 2, 0, 0, 0, 0, 1], "the source link-layer address");
        }
    }

    #[test]
    fn probes_tell_nothing_of_us() {
        let (to, packet) = probe(THEM);
        let (header, message) = header(&packet);
        assert_eq!((header.src(), header.dst()), (Ipv6Addr::UNSPECIFIED, nd::solicited_node(THEM)));
        assert_eq!((to.to_string().as_str(), message.len(), header.hop_limit()), ("33:33:ff:00:00:09", 24, 255));
        assert!(checked(&header, message));
    }

    #[test]
    fn announcements_are_unasked_and_override() {
        let (to, packet) = announcement(MAC, US);
        let (header, message) = header(&packet);
        assert_eq!((header.src(), header.dst(), to.to_string().as_str()), (US, nd::ALL_NODES, "33:33:00:00:00:01"));
        assert_eq!((message[0], message[4], &message[24..]), (136, 0xa0, &[2, 1, 2, 0, 0, 0, 0, 1][..]));
        assert!(checked(&header, message));
    }

    #[test]
    fn reports_carry_an_alert_and_fit_into_every_link() {
        let groups = (0..100).map(|n| (Kind::Joins, nd::solicited_node(Ipv6Addr::from_bits(n)))).collect::<Vec<_>>();
        let reports = reports(nd::link_local(MAC), &groups);
        assert_eq!(reports.len(), 2);
        let mut records = 0;
        for (to, packet) in reports {
            assert!(packet.len() <= 1280 && to.to_string() == "33:33:00:00:00:16");
            let (header, rest) = header(&packet);
            assert_eq!(
                (header.hop_limit(), header.next_header(), &rest[..8]),
                (1, IpProtocol::HOP_BY_HOP, &[58, 0, 5, 2, 0, 0, 1, 0][..])
            );
            let message = &rest[8..];
            assert!(checked(&header, message));
            assert_eq!((message[0], message[8], message.len()), (143, 4, 8 + 20 * usize::from(message[7])));
            records += usize::from(message[7]);
        }
        assert_eq!(records, 100);
    }
}
