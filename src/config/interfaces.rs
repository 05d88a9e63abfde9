//! `interfaces`: what packets come in by and leave by. Sub-interfaces stand in the same map, as `parent.vlan`.

mod check;
mod file;

use crate::{
    Config, DEFAULT_VRF, driver::Driver, keyword::keywords, mac::Mac, mss_clamp::MssClamp, name::Name, ports::Member,
    router_advertisements::RouterAdvertisements, urpf::Urpf,
};
use ipnet::IpNet;

pub(crate) use check::check;
pub(crate) use file::{decode, encode, insert};

/// One interface; its name is its key in [`Config::interfaces`](crate::Config::interfaces).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// What moves its packets, with the driver's own keys.
    pub driver: Driver,
    /// The largest IP packet it carries, in bytes; [`Interface::MTU_MIN`] to [`Interface::MTU_MAX`].
    /// Default: what the driver leaves of 1500 ([`Driver::mtu`]); a sub-interface has its parent's, and never more.
    pub mtu: u16,
    /// Its Ethernet address; none: the device's own. Always none on a sub-interface, which has its parent's.
    pub mac: Option<Mac>,
    /// Whether the operator wants it up.
    pub state: State,
    /// The VRF it belongs to.
    pub vrf: Name,
    /// Its addresses with the length of their subnet, in the operator's order. The first of each family is its primary address:
    /// the source of what the router sends by itself. At most one is link-local; without one, it makes its own.
    pub addresses: Vec<IpNet>,
    /// What it tells the hosts on its link by router advertisements; none: nothing, and it is no IPv6 router to them.
    pub router_advertisements: Option<RouterAdvertisements>,
    /// From which sources it takes packets.
    pub urpf: Urpf,
    /// The largest segment size of TCP connections through it.
    pub mss_clamp: MssClamp,
    /// The interface that everything it receives leaves by, untouched; none: packets are routed.
    pub cross_connect: Option<Name>,
    /// The bridge that it is a port of, and how; none: packets are routed.
    pub bridge: Option<Member>,
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
    /// The smallest MTU with IPv6 (RFC 8200 clause 5).
    pub const MTU_MIN_IPV6: u16 = 1280;
    /// The largest MTU.
    pub const MTU_MAX: u16 = 9216;
    /// The MTU of an interface that has none in the configuration.
    pub const MTU_DEFAULT: u16 = 1500;

    /// An interface with this driver and nothing else set.
    pub fn new(driver: Driver) -> Self {
        Self {
            mtu: driver.mtu(),
            driver,
            mac: None,
            state: State::Up,
            vrf: Name::default_vrf(),
            addresses: Vec::new(),
            router_advertisements: None,
            urpf: Urpf::Off,
            mss_clamp: MssClamp::Off,
            cross_connect: None,
            bridge: None,
        }
    }

    /// The interface whose frames it takes its own from, if it is a sub-interface.
    pub fn parent(&self) -> Option<&Name> {
        match &self.driver {
            Driver::Vlan(vlan) => Some(&vlan.parent),
            _ => None,
        }
    }

    /// The MTU that it has if nothing is said: its parent's, or what its driver leaves.
    pub fn natural_mtu(&self, config: &Config) -> u16 {
        let parent = self.parent().and_then(|parent| config.interfaces.get(parent));
        parent.map_or_else(|| self.driver.mtu(), |parent| parent.mtu)
    }

    /// What it is used for by itself, as the key that says so: what can be no part of something else has none of them.
    pub(crate) fn uses(&self, name: &Name, config: &Config) -> Option<&'static str> {
        let uses = [
            (!self.addresses.is_empty(), "addresses"),
            (self.vrf != DEFAULT_VRF, "vrf"),
            (self.router_advertisements.is_some(), "router-advertisements"),
            (self.urpf != Urpf::Off, "urpf"),
            (self.mss_clamp != MssClamp::Off, "mss-clamp"),
            (self.cross_connect.is_some(), "cross-connect"),
            (self.bridge.is_some(), "bridge"),
            (config.sub_interfaces(name).next().is_some(), "sub-interfaces"),
        ];
        uses.into_iter().find_map(|(used, key)| used.then_some(key))
    }
}
