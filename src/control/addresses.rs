//! Addresses of interfaces, and the routes that come with them.

use super::Router;
use super::routes::{Origin, Path, RouteError, Source, host};
use ipnet::{IpNet, Ipv4Net};
use millrace_config::{Op, Plan};
use std::net::IpAddr;
use std::time::Instant;

impl Router {
    /// Gives an interface an address at a place among its others.
    ///
    /// # Errors
    /// There is no room for its routes.
    pub(super) fn add_address(&mut self, index: u32, address: IpNet, at: usize) -> Result<(), String> {
        let Some(interface) = self.interfaces.get_mut(index) else { return Err("no such interface".to_owned()) };
        let table = interface.vrf.1;
        let at = at.min(interface.addresses.len());
        interface.addresses.insert(at, address);
        self.publish(index);
        if let Err(error) = self.connect(table, index, address) {
            self.remove_address(index, address);
            return Err(format!("address {address}: {error}"));
        }
        self.engine.tables_changed();
        if let IpNet::V6(address) = address {
            self.add_address6(index, address);
            self.follow_ip6(index);
            // RFC 4861 section 6.2.4: what hosts are told may be another now.
            self.start_advertising(index, Instant::now());
        }
        Ok(())
    }

    /// Announces the IPv4 addresses that a change gave. It comes last: only with its features an interface sends.
    pub(super) fn announce_added(&mut self, plan: &Plan) {
        for op in &plan.ops {
            if let Op::AddressAdd(added) = op
                && let IpNet::V4(address) = added.address
                && let Ok(index) = self.interface_index(&added.interface)
            {
                self.announce_address(index, address.addr());
            }
        }
    }

    /// Takes an address away.
    pub(super) fn remove_address(&mut self, index: u32, address: IpNet) {
        let Some(interface) = self.interfaces.get_mut(index) else { return };
        let table = interface.vrf.1;
        if let IpNet::V6(address) = address {
            self.remove_address6(index, address);
        }
        let Some(interface) = self.interfaces.get_mut(index) else { return };
        interface.addresses.retain(|other| *other != address);
        for (prefix, _) in connected(index, address) {
            self.routes.unset(table, prefix, source(address));
        }
        self.follow_ip6(index);
        if matches!(address, IpNet::V6(_)) {
            self.start_advertising(index, Instant::now());
        }
        self.forget_astray(index);
        self.engine.tables_changed();
    }

    /// Forgets neighbours that are on none of an interface's subnets any more.
    fn forget_astray(&mut self, index: u32) {
        let Some(interface) = self.interfaces.get(index) else { return };
        let speaks6 = interface.addresses6().next().is_some();
        let astray = |neighbor: &IpAddr| match neighbor {
            IpAddr::V6(neighbor) if neighbor.is_unicast_link_local() => !speaks6,
            _ => !interface.addresses.iter().any(|net| net.contains(neighbor)),
        };
        let gone: Vec<_> = self.neighbors.of(index).map(|(key, _)| *key).filter(|(_, to)| astray(to)).collect();
        let actions = gone.into_iter().filter_map(|key| self.neighbors.remove(key)).collect();
        self.act(actions);
    }

    fn connect(&mut self, table: u32, index: u32, address: IpNet) -> Result<(), RouteError> {
        for (prefix, path) in connected(index, address) {
            self.routes.set(table, prefix, source(address), path)?;
        }
        Ok(())
    }
}

fn source(address: IpNet) -> Source {
    Source(
        Origin::Connected,
        match address.addr() {
            IpAddr::V4(address) => address.to_bits().into(),
            IpAddr::V6(address) => address.to_bits(),
        },
    )
}

/// The routes of an address that come and go with it. An IPv6 address leads to the router only when it is known to be nobody else's,
/// and what is link-local is no matter of routes.
fn connected(index: u32, address: IpNet) -> Vec<(IpNet, Path)> {
    match address {
        IpNet::V4(address) => connected4(index, address),
        IpNet::V6(address) if address.addr().is_unicast_link_local() || address.prefix_len() == 128 => Vec::new(),
        IpNet::V6(address) => vec![(address.trunc().into(), Path::Glean(index))],
    }
}

/// An address itself, the ends of its subnet (which a prefix of 31 or 32 bits doesn't have, RFC 3021), and the subnet, last, so that
/// nothing is sent to an end meanwhile.
fn connected4(index: u32, address: Ipv4Net) -> Vec<(IpNet, Path)> {
    let mut routes = vec![(host(address.addr().into()), Path::Local(index))];
    if address.prefix_len() < 31 {
        // Directed broadcasts are not forwarded (RFC 2644), and nothing here listens to them.
        routes.push((host(address.broadcast().into()), Path::Broadcast(index)));
        routes.push((host(address.network().into()), Path::Broadcast(index)));
    }
    if address.prefix_len() < 32 {
        routes.push((address.trunc().into(), Path::Glean(index)));
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_subnets_have_no_ends() {
        let routes = |net: &str| {
            let all = connected(1, net.parse().unwrap());
            all.iter().map(|(prefix, _)| prefix.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(routes("10.0.0.1/32"), ["10.0.0.1/32"]);
        assert_eq!(routes("10.0.0.1/31"), ["10.0.0.1/32", "10.0.0.0/31"]);
        assert_eq!(routes("10.0.0.1/30"), ["10.0.0.1/32", "10.0.0.3/32", "10.0.0.0/32", "10.0.0.0/30"]);
        assert_eq!(routes("2001:db8::1/64"), ["2001:db8::/64"], "itself when nobody else has it");
        assert_eq!(routes("2001:db8::1/128"), [""; 0]);
        assert_eq!(routes("fe80::1/64"), [""; 0]);
    }
}
