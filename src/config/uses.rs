//! Who names an interface: what is named can't be removed.

use crate::{Config, Driver, MirrorTarget, Name, Route};

impl Config {
    /// What names an interface, in words: `route 10.0.0.0/8`, `mirror m1`, ...
    pub fn users_of(&self, name: &Name) -> Vec<String> {
        let mut users: Vec<String> = self.sub_interfaces(name).map(|(sub, _)| format!("interface {sub}")).collect();
        users.extend(self.takers(name));
        for (mirror, said) in &self.mirrors {
            if said.from.contains(name) {
                users.push(format!("mirror {mirror}"));
            }
        }
        if self.lldp.interfaces.iter().flatten().any(|listed| listed == name) {
            users.push("lldp".to_owned());
        }
        for (bridge, said) in &self.bridges {
            let stations = said.static_macs.iter().filter(|(_, station)| station.interface == *name);
            users.extend(stations.map(|(key, _)| format!("static mac {key} of bridge {bridge}")));
        }
        let neighbors = self.neighbors.keys().filter(|key| key.interface == *name);
        users.extend(neighbors.map(|key| format!("neighbor {}", key.address)));
        let named = |route: &Route| route.hops().iter().any(|hop| hop.interface.as_ref() == Some(name));
        users.extend(self.routes.iter().filter(|(_, route)| named(route)).map(|(key, _)| format!("route {key}")));
        let packets = self.policy_routes.iter().map(|rule| &rule.packets);
        let packets = packets.filter(|packets| packets.interface.as_ref() == Some(name));
        users.extend(packets.map(|packets| format!("policy-route {packets}")));
        users.extend(self.nat44.users_of(name));
        users
    }

    /// What sends frames of its own by an interface: cross-connects, bonds, mirrors.
    pub(crate) fn takers(&self, name: &Name) -> Vec<String> {
        let mut takers = Vec::new();
        for (other, interface) in &self.interfaces {
            if interface.cross_connect.as_ref() == Some(name) {
                takers.push(format!("cross-connect of {other}"));
            }
            if let Driver::Bond(bond) = &interface.driver
                && bond.members.contains(name)
            {
                takers.push(format!("bond {other}"));
            }
        }
        let to = MirrorTarget::Interface(name.clone());
        takers.extend(
            self.mirrors.iter().filter(|(_, said)| said.to == to).map(|(mirror, _)| format!("mirror {mirror}")),
        );
        takers
    }
}
