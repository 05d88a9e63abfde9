//! Bridges, their ports and stations, interfaces without a device, mirrors and LLDP.

use super::{file, mac, name};
use millrace_config::*;
use proptest::{collection::vec, option, prelude::*, sample::select};
use std::net::IpAddr;

/// Bridges, and their own interfaces.
pub const BRIDGES: &[&str] = &["br0", "br1"];
/// What may be a port, a member, copied from, copied to.
const PORTS: &[&str] = &["a", "b", "d", "e", "f", "g", "g", "h", "h", "a.1", "b.1", "b.1.2", "e.1", "br0"];
/// Ends of tunnels.
const ENDS: &[&str] = &["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"];

/// A thing of layer 2.
#[derive(Clone, Debug)]
pub enum Part {
    Bridge(Name, Bridge),
    Bvi(Name),
    Port(Name, Member),
    Station(Name, StationKey, Station),
    Mirror(Name, Mirror),
    Lldp(Lldp),
}

impl Part {
    /// What it needs must be there before it.
    pub fn rank(&self) -> usize {
        match self {
            Part::Bridge(..) => 0,
            Part::Bvi(..) => 1,
            Part::Port(..) => 3,
            Part::Station(..) | Part::Mirror(..) | Part::Lldp(..) => 4,
        }
    }

    pub fn put(self, config: &mut Config) {
        match &self {
            Part::Port(name, _) => free(config, name),
            Part::Mirror(_, Mirror { to: MirrorTarget::Interface(name), .. }) => free(config, name),
            _ => {}
        }
        match self {
            Part::Bridge(name, bridge) => drop(config.bridges.insert(name, bridge)),
            Part::Bvi(name) => drop(config.interfaces.insert(name, Interface::new(Driver::Bvi))),
            Part::Port(name, mut port) => {
                let Some(interface) = config.interfaces.get_mut(&name) else { return };
                // What others can't have, or would be written otherwise.
                let is_sub = interface.parent().is_some();
                if matches!((&port.tagging, is_sub), (Tagging::Rewrite(_), false) | (Tagging::Plain, true)) {
                    port.tagging = Tagging::for_port(is_sub);
                }
                interface.bridge = Some(port);
            }
            Part::Station(bridge, mut key, station) => {
                // Few chance upon the bridge and VLAN of their port.
                let port = config.interfaces.get(&station.interface).and_then(|interface| interface.bridge.clone());
                let bridge = port.as_ref().map_or(bridge, |port| port.bridge.clone());
                if port.is_some_and(|port| port.tagging.carries(None)) {
                    key.vlan = None;
                }
                drop(config.bridges.get_mut(&bridge).map(|bridge| bridge.static_macs.insert(key, station)));
            }
            Part::Mirror(name, mirror) => drop(config.mirrors.insert(name, mirror)),
            Part::Lldp(lldp) => config.lldp = lldp,
        }
    }
}

/// Takes from an interface what it is used for otherwise, so that many can be part of something else.
pub fn free(config: &mut Config, name: &Name) {
    let kept = ["a", "b"].iter().any(|kept| name.starts_with(kept));
    if let Some(interface) = config.interfaces.get_mut(name).filter(|_| !kept) {
        let Interface { driver, mtu, mac, state, .. } = interface.clone();
        *interface = Interface { mtu, mac, state, ..Interface::new(driver) };
    }
}

pub fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        4 => (name(BRIDGES), bridge()).prop_map(|(name, bridge)| Part::Bridge(name, bridge)),
        3 => name(BRIDGES).prop_map(Part::Bvi),
        8 => (name(PORTS), port()).prop_map(|(name, port)| Part::Port(name, port)),
        6 => station(),
        4 => mirror(),
        1 => lldp().prop_map(Part::Lldp),
    ]
}

fn on_or_off() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.8)
}

fn bridge() -> impl Strategy<Value = Bridge> {
    let ages = prop_oneof![Just(Time::ZERO), (10..1_000_001u64).prop_map(Time::seconds)];
    let switches = (on_or_off(), on_or_off(), on_or_off(), select(UnknownUnicast::ALL), select(Stp::ALL));
    let looks = (any::<bool>(), any::<bool>(), any::<bool>());
    (ages, 1..70_000u32, switches, looks).prop_map(
        |(mac_age, mac_limit, (learn, forward, flood, unknown_unicast, stp), (arp, igmp, mld))| Bridge {
            mac_age,
            mac_limit,
            learn,
            forward,
            flood,
            unknown_unicast,
            stp,
            arp_suppression: arp,
            igmp_snooping: igmp,
            mld_snooping: mld,
            ..Bridge::default()
        },
    )
}

fn vlans() -> impl Strategy<Value = Vlans> {
    select(&["1", "all", "1,3", "2-4,9", "1-4093"][..]).prop_map(|text| text.parse().unwrap())
}

fn tagging() -> impl Strategy<Value = Tagging> {
    let trunk = (vlans(), option::of(1..4u16)).prop_map(|(vlans, native)| Tagging::Trunk(Trunk { vlans, native }));
    let rewrite = prop_oneof![
        Just(TagRewrite::Keep),
        (1..4095u16).prop_map(TagRewrite::Push),
        (1..4095u16).prop_map(TagRewrite::Translate)
    ];
    prop_oneof![
        3 => Just(Tagging::Plain),
        1 => (1..4u16).prop_map(Tagging::Access),
        1 => trunk,
        1 => rewrite.prop_map(Tagging::Rewrite)
    ]
}

fn port() -> impl Strategy<Value = Member> {
    let limit = || option::weighted(0.3, 1..100_000u32);
    let storm = (limit(), limit(), limit());
    let storm = storm.prop_map(|(broadcast, multicast, unknown)| StormControl { broadcast, multicast, unknown });
    let switches = (on_or_off(), on_or_off(), select(UnknownUnicast::ALL), any::<bool>());
    (name(BRIDGES), switches, 0..3u8, limit(), storm, tagging()).prop_map(
        |(
            bridge,
            (learn, flood, unknown_unicast, isolated),
            split_horizon_group,
            mac_limit,
            storm_control,
            tagging,
        )| {
            Member {
                learn,
                flood,
                unknown_unicast,
                isolated,
                split_horizon_group,
                mac_limit,
                storm_control,
                tagging,
                ..Member::new(bridge, false)
            }
        },
    )
}

fn station() -> impl Strategy<Value = Part> {
    let vlan = option::weighted(0.4, 1..4u16);
    (name(BRIDGES), mac(), vlan, name(PORTS), option::weighted(0.3, end())).prop_map(
        |(bridge, mac, vlan, interface, remote)| {
            Part::Station(bridge, StationKey { vlan, mac }, Station { interface, remote })
        },
    )
}

fn end() -> impl Strategy<Value = IpAddr> {
    select(ENDS).prop_map(|text| text.parse().unwrap())
}

fn mirror() -> impl Strategy<Value = Part> {
    let to = prop_oneof![
        3 => name(PORTS).prop_map(MirrorTarget::Interface),
        1 => file().prop_map(|path| MirrorTarget::File(path.into())),
    ];
    let limits = (option::of(1..u64::MAX), option::of(64..65_536u32));
    (name(&["m1", "m2"]), vec(name(PORTS), 1..3), select(MirrorDirection::ALL), to, limits).prop_map(
        |(name, from, direction, to, (limit, snap_length))| {
            Part::Mirror(name, Mirror { from, direction, to, limit, snap_length })
        },
    )
}

fn lldp() -> impl Strategy<Value = Lldp> {
    let texts = (option::of("[ -~]{1,20}"), option::of("\\PC{1,20}"));
    (any::<bool>(), option::of(vec(name(&["a", "b", "c"]), 0..3)), 1..3601u64, 2..11u8, texts).prop_map(
        |(enabled, interfaces, interval, hold, (system_name, system_description))| Lldp {
            enabled,
            interfaces,
            interval: Time::seconds(interval),
            hold,
            system_name,
            system_description,
        },
    )
}

/// A tunnel of frames.
pub fn vxlan() -> impl Strategy<Value = Driver> {
    let vrf = || name(super::VRFS);
    let vxlan = ((1..4u32, end(), vec(end(), 0..3)), (4789..4791u16, on_or_off(), select(UdpChecksum::ALL)), vrf());
    (vxlan, 1..3u8, select(Df::ALL)).prop_map(
        |(((vni, local, remotes), (port, learn_remotes, udp_checksum), underlay_vrf), ttl, df)| {
            Driver::Vxlan(Vxlan { vni, local, remotes, port, learn_remotes, udp_checksum, ttl, df, underlay_vrf })
        },
    )
}

/// A tunnel of packets.
pub fn tunnel() -> impl Strategy<Value = Driver> {
    let vrf = || name(super::VRFS);
    let tos = prop_oneof![Just(Tos::Inherit), any::<u8>().prop_map(Tos::Value)];
    let ends = (end(), end(), 63..66u8, tos, select(Df::ALL), vrf());
    let ends =
        ends.prop_map(|(local, remote, ttl, tos, df, underlay_vrf)| Ends { local, remote, ttl, tos, df, underlay_vrf });
    (ends, option::of(0..3u32), any::<bool>(), any::<bool>()).prop_map(|(ends, key, checksum, gre)| {
        if gre { Driver::Gre(Gre { ends, key, checksum }) } else { Driver::Ipip(Ipip { ends }) }
    })
}

/// A bond of some of few interfaces.
pub fn bond() -> impl Strategy<Value = Driver> {
    let settings =
        (select(BondMode::ALL), select(BondHash::ALL), select(LacpRate::ALL), option::of(0..2usize), 1..3u16);
    (vec(name(&["d", "g", "h"]), 1..3), settings).prop_map(|(members, (mode, hash, lacp_rate, primary, min_links))| {
        let primary = primary.filter(|_| mode == BondMode::ActiveBackup).and_then(|at| members.get(at).cloned());
        Driver::Bond(Bond { members, mode, hash, lacp_rate, primary, min_links })
    })
}
