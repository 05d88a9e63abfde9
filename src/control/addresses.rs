//! Addresses of interfaces, and the routes that come with them.

use super::Router;
use super::routes::{Origin, Path, RouteError, Source, host};
use ipnet::{IpNet, Ipv4Net};
use std::net::Ipv4Addr;

impl Router {
    /// Gives an interface an address at a place among its others.
    ///
    /// # Errors
    /// It is no IPv4 address, or there is no room for its routes.
    pub(super) fn add_address(&mut self, index: u32, address: IpNet, at: usize) -> Result<(), String> {
        let address = ipv4(address)?;
        let Some(interface) = self.interfaces.get_mut(index) else { return Err("no such interface".to_owned()) };
        let table = interface.vrf.1;
        let at = at.min(interface.addresses.len());
        interface.addresses.insert(at, address);
        self.publish(index);
        if let Err(error) = self.connect(table, index, address) {
            self.remove_address(index, address.into())?;
            return Err(format!("address {address}: {error}"));
        }
        self.engine.tables_changed();
        self.announce_address(index, address.addr());
        Ok(())
    }

    /// Takes an address away.
    ///
    /// # Errors
    /// It is no IPv4 address.
    pub(super) fn remove_address(&mut self, index: u32, address: IpNet) -> Result<(), String> {
        let address = ipv4(address)?;
        let Some(interface) = self.interfaces.get_mut(index) else { return Ok(()) };
        let table = interface.vrf.1;
        interface.addresses.retain(|other| *other != address);
        let left = interface.addresses.clone();
        self.publish(index);
        for (prefix, _) in connected(index, address) {
            self.routes.unset(table, prefix, source(address));
        }
        // Neighbours that are on none of the interface's subnets any more.
        let astray = |neighbor: &Ipv4Addr| !left.iter().any(|net| net.contains(neighbor));
        let of_interface = self.neighbors.list().filter(|((i, _), _)| *i == index).map(|(key, _)| *key);
        let gone: Vec<_> = of_interface.filter(|(_, neighbor)| astray(neighbor)).collect();
        let actions = gone.into_iter().filter_map(|key| self.neighbors.remove(key)).collect();
        self.act(actions);
        self.engine.tables_changed();
        Ok(())
    }

    fn connect(&mut self, table: u32, index: u32, address: Ipv4Net) -> Result<(), RouteError> {
        for (prefix, path) in connected(index, address) {
            self.routes.set(table, prefix, source(address), path)?;
        }
        Ok(())
    }
}

/// The address of an interface, as IPv4.
fn ipv4(address: IpNet) -> Result<Ipv4Net, String> {
    match address {
        IpNet::V4(address) => Ok(address),
        IpNet::V6(address) => Err(format!("address {address}: IPv6 is not routed yet")),
    }
}

fn source(address: Ipv4Net) -> Source {
    Source(Origin::Connected, address.addr().to_bits())
}

/// The routes of an address: itself, the ends of its subnet (which a prefix of 31 or 32 bits doesn't have, RFC 3021), and
/// the subnet, last, so that nothing is sent to an end meanwhile.
fn connected(index: u32, address: Ipv4Net) -> Vec<(Ipv4Net, Path)> {
    let mut routes = vec![(host(address.addr()), Path::Local(index))];
    if address.prefix_len() < 31 {
        // Directed broadcasts are not forwarded (RFC 2644), and nothing here listens to them.
        routes.push((host(address.broadcast()), Path::Broadcast(index)));
        routes.push((host(address.network()), Path::Broadcast(index)));
    }
    if address.prefix_len() < 32 {
        routes.push((address.trunc(), Path::Glean(index)));
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
    }
}
