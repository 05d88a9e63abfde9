//! Valid configurations by chance, made of so few names, addresses and prefixes that any two of them have much in common.
#![allow(clippy::unwrap_used, reason = "what is unwrapped is written right here")]

mod devices;
mod layer2;
mod nat44;

use millrace_config::generator::{Flow, FlowProtocol, FrameSize, Frames, IpRange, Order, PortRange, Stream};
use millrace_config::*;
use proptest::{collection::vec, option, prelude::*, sample::select};

/// One thing that a configuration may have.
#[derive(Clone, Debug)]
enum Piece {
    Workers(Workers),
    Buffers(Buffers),
    Api(Api),
    Vrf(Name),
    Interface(Name, Box<Interface>),
    Address(Name, usize, &'static str),
    Route(RouteKey, Route),
    Neighbor(NeighborKey, Mac),
    Urpf(Name, Urpf),
    MssClamp(Name, MssClamp),
    CrossConnect(Name, Name),
    Dpdk(Eal),
    PolicyRoute(PolicyRoute, usize),
    Nat44(nat44::Part),
    Layer2(layer2::Part),
}

const INTERFACES: &[&str] = &["a", "b", "c", "d", "g", "h"];
const ALL_INTERFACES: &[&str] =
    &["a", "b", "c", "d", "a", "b", "c", "e", "f", "i", "br0", "a.1", "a.2", "b.1", "br0.1"];
const VRFS: &[&str] = &["default", "default", "red", "blue"];
const ADDRESSES: &[&str] = &[
    "10.0.0.1/24",
    "10.0.0.2/24",
    "10.0.1.1/24",
    "10.0.2.1/25",
    "10.0.3.0/31",
    "10.9.9.9/32",
    "10.0.4.1/24",
    "10.0.0.3/16",
    "2001:db8:1::1/64",
    "2001:db8:1::2/64",
    "2001:db8:2::/127",
    "fe80::1/64",
];
const PREFIXES: &[&str] =
    &["0.0.0.0/0", "192.0.2.0/24", "192.0.2.128/25", "198.51.100.7/32", "10.0.0.0/8", "::/0", "2001:db8:3::/48"];
const GATEWAYS: &[&str] = &["10.0.0.9", "10.0.1.9", "10.0.2.9", "10.0.3.1", "192.0.2.200"];
const GATEWAYS_IPV6: &[&str] = &["2001:db8:1::9", "2001:db8:2::1", "fe80::9", "2001:db8:9::9"];

fn name(from: &'static [&'static str]) -> impl Strategy<Value = Name> {
    select(from).prop_map(|text| Name::new(text).unwrap())
}

fn mac() -> impl Strategy<Value = Mac> {
    (1..4u8).prop_map(|last| Mac([2, 0, 0, 0, 0, last]))
}

fn stream() -> impl Strategy<Value = Stream> {
    let size = prop_oneof![
        Just(FrameSize::Imix),
        (64..200u16).prop_map(FrameSize::Fixed),
        (64..100u16, 101..1400u16).prop_map(|(a, b)| FrameSize::Range(a, b)),
    ];
    let made =
        (option::of(mac()), option::of(1..4095u16), select(FlowProtocol::ALL), any::<u8>(), size, select(Order::ALL));
    let made = made.prop_map(|(mac, vlan, protocol, n, size, order)| {
        let from = |last: u8| match n % 2 {
            0 => IpRange { first: [10, 0, 0, 0].into(), last: [10, 0, 0, last].into() },
            _ => IpRange {
                first: [0xfc00, 0, 0, 0, 0, 0, 0, 0].into(),
                last: [0xfc00, 0, 0, 0, 0, 0, 0, last.into()].into(),
            },
        };
        let ports = if protocol == FlowProtocol::Icmp {
            PortRange::one(9)
        } else {
            PortRange { first: 9, last: 9 + u16::from(n) }
        };
        // More combinations than can be shuffled are refused.
        let size = if order == Order::Shuffled { FrameSize::Imix } else { size };
        let flow = Flow {
            destination_mac: mac,
            vlan,
            protocol,
            size,
            order,
            destination_ports: ports,
            ..Flow::new(from(n), from(0))
        };
        Frames::Made(Box::new(flow))
    });
    let frames = prop_oneof![3 => made, 1 => file().prop_map(|path| Frames::Template(path.into()))];
    (frames, rate(), option::of(1..u64::MAX)).prop_map(|(frames, rate, count)| Stream { frames, rate, count })
}

fn rate() -> impl Strategy<Value = Rate> {
    prop_oneof![Just(Rate::Max), (1..5_000_000u64).prop_map(Rate::PerSecond)]
}

/// Paths that a file must quote, or must not.
pub fn file() -> impl Strategy<Value = String> {
    let odd = vec(any::<char>(), 1..9).prop_map(String::from_iter);
    prop_oneof!["[a-z]{1,8}\\.pcap", "\\PC{1,12}", odd]
        .prop_filter("no path has a zero in it", |path| !path.contains('\0'))
}

fn router_advertisements() -> impl Strategy<Value = RouterAdvertisements> {
    let lifetime = || prop_oneof![(0..9999u32).prop_map(Lifetime), Just(Lifetime::FOREVER)];
    let prefix = (0..3u8, 63..65u8, lifetime(), lifetime(), any::<bool>(), any::<bool>());
    let prefix = prefix.prop_map(|(n, length, a, b, on_link, autonomous)| AdvertisedPrefix {
        valid_lifetime: a.max(b),
        preferred_lifetime: a.min(b),
        on_link,
        autonomous: autonomous && length == 64,
        ..AdvertisedPrefix::new(format!("2001:db8:{n}::/{length}").parse().unwrap())
    });
    let times = (4..1801u64, 0..4u64, 0..3_600_000u64, 0..9u64);
    let numbers = (option::of(select(&[1280, 1400][..])), select(&[0, 32, 64, 255][..]), select(Preference::ALL));
    let lists = (
        option::of(vec(prefix, 0..3)),
        vec(select(&["fe80::1", "2001:db8::53"][..]), 0..2),
        vec("[a-z]{1,9}(\\.[a-z]{1,9})?", 0..2),
    );
    (times, any::<(bool, bool)>(), numbers, lists).prop_map(
        |(
            (interval, times, reachable, retransmit),
            (managed, other_config),
            (mtu, hop_limit, preference),
            (prefixes, dns, search),
        )| {
            let ms = |ms| Time(std::time::Duration::from_millis(ms));
            RouterAdvertisements {
                interval: Time::seconds(interval),
                lifetime: Time::seconds(interval * times),
                managed,
                other_config,
                mtu,
                hop_limit,
                reachable_time: ms(reachable),
                retransmit_timer: ms(retransmit * 500),
                preference,
                prefixes,
                dns: dns.iter().map(|text| text.parse().unwrap()).collect(),
                search: search.iter().map(|text| text.parse().unwrap()).collect(),
            }
        },
    )
}

fn interface() -> impl Strategy<Value = Piece> {
    let mtu = || select(&[1400, 1500, 9000][..]);
    let common = || (mtu(), select(State::ALL), name(VRFS), option::of(router_advertisements()));
    // Most have the driver that goes with their name, so that the same interface stands in two configurations.
    let driver = prop_oneof![2 => Just(None), 1 => devices::driver().prop_map(Some)];
    let whole = (name(INTERFACES), driver, option::of(mac()), common());
    let whole = whole.prop_map(|(name, driver, mac, (mtu, state, vrf, router_advertisements))| {
        let driver = driver.unwrap_or_else(|| devices::own(&name));
        Piece::Interface(
            name,
            Box::new(Interface { mtu, mac, state, vrf, router_advertisements, ..Interface::new(driver) }),
        )
    });
    let tags = (1..3u16, option::weighted(0.5, 1..3u16), option::weighted(0.2, select(TagType::ALL)));
    let sub = (name(&["a", "b", "e", "br0"]), tags, common()).prop_map(
        |(parent, (outer, inner, tag_type), (mtu, state, vrf, router_advertisements))| {
            let tag_type = tag_type.unwrap_or(Vlan::tag_type_for(inner));
            let vlan = Vlan { parent, outer, inner, tag_type };
            let name = Name::new(&format!("{}.{}", vlan.parent, vlan.key())).unwrap();
            let driver = Driver::Vlan(vlan);
            Piece::Interface(
                name,
                Box::new(Interface { mtu, state, vrf, router_advertisements, ..Interface::new(driver) }),
            )
        },
    );
    // Those without a device: `e` is always a bond, `f` a VXLAN, `i` another tunnel.
    let bond = layer2::bond().prop_map(|bond| ("e", bond));
    let (vxlan, tunnel) =
        (layer2::vxlan().prop_map(|vxlan| ("f", vxlan)), layer2::tunnel().prop_map(|tunnel| ("i", tunnel)));
    let driver = prop_oneof![2 => bond, 2 => vxlan, 1 => tunnel];
    let mtu = option::of(select(&[1300, 1400][..]));
    let without = (driver, mtu, select(State::ALL), name(VRFS)).prop_map(|((name, driver), mtu, state, vrf)| {
        let mut interface = Interface { state, vrf, ..Interface::new(driver) };
        interface.mtu = mtu.unwrap_or(interface.mtu);
        Piece::Interface(Name::new(name).unwrap(), Box::new(interface))
    });
    prop_oneof![4 => whole, 2 => sub, 3 => without]
}

fn route() -> impl Strategy<Value = Piece> {
    let hop = (0..GATEWAYS.len(), option::of(name(ALL_INTERFACES)), 1..3u16);
    let drops = select(vec![Route::Blackhole, Route::Unreachable, Route::Prohibit]);
    let (hops, leak) = (vec(hop, 1..3), option::weighted(0.2, name(VRFS)));
    (name(VRFS), select(PREFIXES), hops, leak, option::weighted(0.15, drops)).prop_map(
        |(vrf, prefix, hops, leak, drops)| {
            let prefix: ipnet::IpNet = prefix.parse().unwrap();
            // A gateway of the other family would be refused, and so few routes would be there.
            let gateways = if prefix.addr().is_ipv4() { GATEWAYS } else { GATEWAYS_IPV6 };
            let via = |(n, interface, weight): (usize, Option<Name>, _)| NextHop {
                // By a tunnel of packets there may be none.
                gateway: match interface.as_ref().is_some_and(|name| *name == "i" && n % 2 == 0) {
                    true => NextHop::no_gateway(prefix),
                    false => gateways[n % gateways.len()].parse().unwrap(),
                },
                interface,
                weight,
            };
            let via = || Route::via(hops.into_iter().map(via).collect());
            let route = drops.or(leak.map(Route::NextVrf)).unwrap_or_else(via);
            Piece::Route(RouteKey { vrf, prefix }, route)
        },
    )
}

fn policy_route() -> impl Strategy<Value = Piece> {
    let packets = (option::of(select(PREFIXES)), option::weighted(0.7, name(ALL_INTERFACES)));
    (packets, name(VRFS), 0..4usize).prop_map(|((source, interface), vrf, at)| {
        let source = source.map(|source| source.parse().unwrap());
        Piece::PolicyRoute(PolicyRoute { packets: PolicyMatch { source, interface }, vrf }, at)
    })
}

fn piece() -> impl Strategy<Value = Piece> {
    let cpus = vec(0..1024u16, 0..3);
    prop_oneof![
        1 => (cpus, 1..4u16, select(WorkerMode::ALL)).prop_map(|(cpus, count, mode)| Piece::Workers(Workers { count, cpus, mode })),
        1 => (4096..99999u32, select(HugePages::ALL)).prop_map(|(count, huge_pages)| Piece::Buffers(Buffers { count, huge_pages })),
        1 => "/[a-z ]{1,9}".prop_map(|socket| Piece::Api(Api { socket: socket.into() })),
        3 => name(VRFS).prop_map(Piece::Vrf),
        17 => interface(),
        9 => (name(ALL_INTERFACES), 0..3usize, select(ADDRESSES)).prop_map(|(name, at, address)| Piece::Address(name, at, address)),
        9 => route(),
        14 => (name(ALL_INTERFACES), select([GATEWAYS, GATEWAYS_IPV6].concat()), mac())
            .prop_map(|(interface, address, mac)| Piece::Neighbor(NeighborKey { interface, address: address.parse().unwrap() }, mac)),
        6 => (name(ALL_INTERFACES), select(Urpf::ALL)).prop_map(|(name, urpf)| Piece::Urpf(name, urpf)),
        6 => (name(ALL_INTERFACES), prop_oneof![Just(MssClamp::Auto), MssClamp::RANGE.prop_map(MssClamp::Max)])
            .prop_map(|(name, clamp)| Piece::MssClamp(name, clamp)),
        6 => (name(INTERFACES), name(ALL_INTERFACES)).prop_map(|(name, target)| Piece::CrossConnect(name, target)),
        1 => devices::eal().prop_map(Piece::Dpdk),
        6 => policy_route(),
        9 => nat44::part().prop_map(Piece::Nat44),
        24 => layer2::part().prop_map(Piece::Layer2),
    ]
}

/// What a piece needs must be there before it.
fn rank(piece: &Piece) -> usize {
    match piece {
        Piece::Workers(_) | Piece::Buffers(_) | Piece::Api(_) | Piece::Dpdk(_) | Piece::Vrf(_) => 0,
        Piece::Interface(_, interface) => match interface.driver {
            Driver::Vlan(_) => 3,
            Driver::Bond(_) => 2,
            _ => 1,
        },
        Piece::Layer2(part) => part.rank(),
        Piece::Address(..) | Piece::Urpf(..) | Piece::MssClamp(..) | Piece::CrossConnect(..) => 4,
        Piece::Route(..) | Piece::Neighbor(..) | Piece::PolicyRoute(..) => 5,
        Piece::Nat44(part) => 6 + part.rank(),
    }
}

fn put(config: &mut Config, piece: Piece) {
    match piece {
        Piece::Workers(workers) => config.workers = workers,
        Piece::Buffers(buffers) => config.buffers = buffers,
        Piece::Api(api) => config.api = api,
        Piece::Vrf(name) => {
            if name != DEFAULT_VRF {
                config.vrfs.insert(name, Vrf::default());
            }
        }
        Piece::Interface(name, interface) => {
            if let Driver::Bond(bond) = &interface.driver {
                bond.members.iter().for_each(|member| layer2::free(config, member));
            }
            config.interfaces.insert(name, *interface);
        }
        Piece::Address(name, at, address) => {
            if let Some(interface) = config.interfaces.get_mut(&name) {
                interface.addresses.insert(at.min(interface.addresses.len()), address.parse().unwrap());
            }
        }
        Piece::Route(key, route) => drop(config.routes.insert(key, route)),
        Piece::Neighbor(key, mac) => drop(config.neighbors.insert(key, mac)),
        Piece::Urpf(name, urpf) => drop(config.interfaces.get_mut(&name).map(|interface| interface.urpf = urpf)),
        Piece::MssClamp(name, clamp) => drop(config.interfaces.get_mut(&name).map(|i| i.mss_clamp = clamp)),
        Piece::CrossConnect(name, target) => {
            drop(config.interfaces.get_mut(&name).map(|i| i.cross_connect.replace(target)));
        }
        Piece::Dpdk(eal) => config.dpdk = eal,
        Piece::PolicyRoute(rule, at) => {
            let at = at.min(config.policy_routes.len());
            config.policy_routes.insert(at, rule);
        }
        Piece::Nat44(part) => part.put(&mut config.nat44),
        Piece::Layer2(part) => part.put(config),
    }
}

/// A valid configuration: pieces are put in one by one, and those that would break a rule are left out.
pub fn config() -> impl Strategy<Value = Config> {
    vec(piece(), 0..140).prop_map(|mut pieces| {
        pieces.sort_by_key(rank);
        pieces.into_iter().fold(Config::default(), |config, piece| {
            let mut next = config.clone();
            put(&mut next, piece);
            if next.problems().is_empty() { next } else { config }
        })
    })
}
