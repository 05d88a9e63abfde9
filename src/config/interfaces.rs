//! `interfaces`: what packets come in by and leave by. Sub-interfaces stand in the same map, as `parent.vlan`.

use crate::{driver::Driver, keyword::keywords, mac::Mac, name::Name};
use ipnet::IpNet;

/// One interface; its name is its key in [`Config::interfaces`](crate::Config::interfaces).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// What moves its packets, with the driver's own keys.
    pub driver: Driver,
    /// The largest IP packet it carries, in bytes; [`Interface::MTU_MIN`] to [`Interface::MTU_MAX`].
    /// Default 1500; a sub-interface has its parent's, and never more.
    pub mtu: u16,
    /// Its Ethernet address; none: the device's own. Always none on a sub-interface, which has its parent's.
    pub mac: Option<Mac>,
    /// Whether the operator wants it up.
    pub state: State,
    /// The VRF it belongs to.
    pub vrf: Name,
    /// Its addresses with the length of their subnet, in the operator's order. The first is its primary address: the source of
    /// what the router sends by itself.
    pub addresses: Vec<IpNet>,
}

keywords! {
    /// Whether the operator wants an interface to carry packets.
    State, "up or down" {
        /// It carries packets (default).
        Up = "up",
        /// It is switched off.
        Down = "down",
    }
}

impl Interface {
    /// The smallest MTU: every IPv4 module must forward a datagram of 68 bytes (RFC 791 clause 3.2).
    pub const MTU_MIN: u16 = 68;
    /// The largest MTU.
    pub const MTU_MAX: u16 = 9216;
    /// The MTU of an interface that has none in the configuration.
    pub const MTU_DEFAULT: u16 = 1500;

    /// An interface with this driver and nothing else set.
    pub fn new(driver: Driver) -> Self {
        Self {
            driver,
            mtu: Self::MTU_DEFAULT,
            mac: None,
            state: State::Up,
            vrf: Name::default_vrf(),
            addresses: Vec::new(),
        }
    }

    /// The interface whose frames it takes its own from, if it is a sub-interface.
    pub fn parent(&self) -> Option<&Name> {
        match &self.driver {
            Driver::Vlan(vlan) => Some(&vlan.parent),
            _ => None,
        }
    }
}
