//! Who listens to which groups in a domain, of one family, as it is published for the packet path.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// The groups of one family, by their IP addresses: several share a MAC address (RFC 4541 section 2.1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// Somebody asks who listens, so that groups of which nothing is known have no listeners.
    filter: bool,
    /// The ports that routers are behind, sorted.
    routers: Vec<u32>,
    /// Groups, sorted, each with its part of `ports`.
    groups: Vec<(u128, Range<usize>)>,
    /// The ports of the groups' listeners and of routers, sorted within each group.
    ports: Vec<u32>,
}

impl Groups {
    /// Those of `listeners`: ports by group. With `filter`, other groups go to routers only, else everything goes to
    /// everyone.
    #[must_use]
    pub fn new<P: IntoIterator<Item = u32>>(
        filter: bool,
        routers: Vec<u32>,
        listeners: impl IntoIterator<Item = (IpAddr, P)>,
    ) -> Groups {
        let mut made = Groups { filter, routers, groups: Vec::new(), ports: Vec::new() };
        made.routers.sort_unstable();
        for (group, of_group) in listeners {
            let mut ports: Vec<u32> = of_group.into_iter().chain(made.routers.iter().copied()).collect();
            ports.sort_unstable();
            ports.dedup();
            let from = made.ports.len();
            made.ports.extend(ports);
            made.groups.push((key(group), from..made.ports.len()));
        }
        made.groups.sort_unstable_by_key(|(group, _)| *group);
        made
    }

    /// The ports that routers are behind, sorted.
    #[must_use]
    pub fn routers(&self) -> &[u32] {
        &self.routers
    }

    /// The ports that packets to an IPv4 group go to, sorted; `None`: all.
    #[inline]
    #[must_use]
    pub fn ports4(&self, group: Ipv4Addr) -> Option<&[u32]> {
        // RFC 4541 section 2.1.2: the protocols of the link are not reported by everyone who speaks them.
        if !self.filter || !group.is_multicast() || millrace_wire::igmp::is_link_local(group) {
            return None;
        }
        Some(self.listeners(group.to_bits().into()).unwrap_or(&self.routers))
    }

    /// The ports that packets to an IPv6 group go to, sorted; `None`: all.
    #[inline]
    #[must_use]
    pub fn ports6(&self, group: Ipv6Addr) -> Option<&[u32]> {
        if !self.filter || !group.is_multicast() || group == millrace_wire::nd::ALL_NODES {
            return None;
        }
        match self.listeners(group.to_bits()) {
            Some(ports) => Some(ports),
            // Hosts report those of the link, too (RFC 3810 section 6), but without neighbour discovery there is nothing at all: where
            // no report was heard, maybe because it was lost, everyone may be meant.
            None if is_of_link(group) => None,
            None => Some(&self.routers),
        }
    }

    fn listeners(&self, group: u128) -> Option<&[u32]> {
        let at = self.groups.binary_search_by_key(&group, |(group, _)| *group).ok()?;
        let (_, range) = self.groups.get(at)?;
        self.ports.get(range.clone())
    }
}

/// Whether packets to a group stay on the link: reserved, interface-local and link-local scope (RFC 4291 section 2.7).
const fn is_of_link(group: Ipv6Addr) -> bool {
    group.octets()[1] & 0xf <= 2
}

const fn key(group: IpAddr) -> u128 {
    match group {
        IpAddr::V4(group) => group.to_bits() as u128,
        IpAddr::V6(group) => group.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(filter: bool, listeners: &[(&str, &[u32])]) -> Groups {
        let listeners = listeners.iter().map(|(group, ports)| (group.parse().unwrap(), ports.iter().copied()));
        Groups::new(filter, vec![9, 1], listeners)
    }

    #[test]
    fn ipv4() {
        let known = [("239.1.1.1", &[4, 2][..]), ("239.129.1.1", &[3, 1]), ("224.0.0.9", &[2])];
        let ports = |filter, group: &str| groups(filter, &known).ports4(group.parse().unwrap()).map(<[u32]>::to_vec);
        assert_eq!(ports(true, "239.1.1.1"), Some(vec![1, 2, 4, 9]));
        // The same MAC address, 01:00:5e:01:01:01.
        assert_eq!(ports(true, "239.129.1.1"), Some(vec![1, 3, 9]));
        assert_eq!(ports(true, "238.1.1.1"), Some(vec![1, 9]), "RFC 4541 section 2.1.2: unknown ones to routers");
        assert_eq!(ports(false, "239.1.1.1"), None, "nobody asks");
        assert_eq!((ports(true, "224.0.0.9"), ports(true, "224.0.0.251")), (None, None), "of the link");
        assert_eq!(ports(true, "10.1.1.1"), None, "no group at all");
    }

    #[test]
    fn ipv6() {
        let known = [("ff15::1", &[4, 2][..]), ("ff02::1:ff00:1", &[3])];
        let ports = |filter, group: &str| groups(filter, &known).ports6(group.parse().unwrap()).map(<[u32]>::to_vec);
        assert_eq!(ports(true, "ff15::1"), Some(vec![1, 2, 4, 9]));
        assert_eq!(ports(true, "ff15::2"), Some(vec![1, 9]));
        assert_eq!(ports(true, "ff02::1"), None);
        assert_eq!(ports(true, "ff02::1:ff00:1"), Some(vec![1, 3, 9]));
        assert_eq!((ports(true, "ff02::1:ff00:2"), ports(true, "ff32::1")), (None, None), "nobody was heard of");
        assert_eq!(ports(false, "ff15::1"), None);
        assert_eq!(ports(true, "fe80::1"), None);
    }
}
