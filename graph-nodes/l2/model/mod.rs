//! The judge: a slow, obvious bridge, and the same random frames and changes of topology through both; each frame must leave by the
//! same ports, to the same remotes, with the same bytes, and each station be where the other has it.

mod lab;
mod slow;

use super::testing::{ALL, Bridge, GROUP, mac};
use super::{Bridging, Domain, Port, PortKind, Rewrite, Tagging, Trunk};
use lab::{BVI, PORTS, REMOTES, ROUTER, TUNNEL};
use millrace_engine::epoch::domain;
use millrace_tables::mac::Station;
use millrace_wire::{EtherType, Tags};
use proptest::prelude::*;
use slow::{CUSTOMER, DOMAINS, SERVICE, Settings, Slow, Vlans, domain_of};
use std::collections::BTreeMap;

const STATIONS: u8 = 12;
/// Stations that one port, or one remote, may have.
const LIMIT: usize = 5;
/// Tags of sub-interfaces.
const TAGS: [Tags; 3] = [
    Tags::single(100),
    Tags { tag_type: EtherType::SERVICE_VLAN, outer: 200, inner: None },
    Tags { tag_type: EtherType::SERVICE_VLAN, outer: 200, inner: Some(7) },
];
/// VLANs of tags that frames have.
const VLANS: [u16; 8] = [0, 7, 10, 20, 30, 100, 200, 300];

impl Settings {
    const PLAIN: Settings = Settings {
        vlans: Vlans::None,
        rewrite: Rewrite::None,
        kind: PortKind::Device,
        learn: true,
        forward: true,
        flood: true,
        flood_unknown: true,
        pass_spanning_tree: false,
        isolated: false,
        group: 0,
        mtu: u16::MAX,
    };

    fn port(&self, interface: u32) -> Port {
        let (tagging, of_untagged) = match &self.vlans {
            Vlans::None => (Tagging::Plain, domain_of(0)),
            Vlans::Access(vlan) => (Tagging::Access, domain_of(*vlan)),
            Vlans::Trunk { vlans, native } => {
                let domains = vlans.iter().filter_map(|vlan| Some((*vlan, domain_of(*vlan)?)));
                (Tagging::Trunk(Box::new(Trunk::new(domains))), native.and_then(domain_of))
            }
        };
        Port {
            tagging,
            rewrite: self.rewrite,
            kind: self.kind,
            tunnel: interface == TUNNEL,
            learn: self.learn,
            forward: self.forward,
            flood: self.flood,
            flood_unknown: self.flood_unknown,
            pass_spanning_tree: self.pass_spanning_tree,
            isolated: self.isolated,
            group: self.group,
            mtu: self.mtu,
            ..Port::new(of_untagged.unwrap_or(0))
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Frame { from: Origin, bytes: Vec<u8> },
    Set { port: u32, settings: Settings },
    Remove(u32),
    Remote { remote: u16, there: bool },
    Fix { vlan: u16, station: u8, behind: u16 },
    Flush(u16),
    Pass(u32),
    Age(u32),
}

/// Where a frame comes from.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Port(u32),
    Remote(u16),
    Router,
}

fn any_vlans() -> impl Strategy<Value = Vlans> {
    let vlan = || prop::sample::select(&[10, 20][..]);
    let native = prop::option::of(vlan());
    let trunk = (prop::collection::btree_set(vlan(), 1..3), native)
        .prop_map(|(vlans, native)| Vlans::Trunk { vlans: vlans.into_iter().collect(), native });
    prop_oneof![4 => Just(Vlans::None), 2 => vlan().prop_map(Vlans::Access), 4 => trunk]
}

fn any_rewrite() -> impl Strategy<Value = Rewrite> {
    let tags = || prop::sample::select(&TAGS[..]);
    prop_oneof![
        6 => Just(Rewrite::None),
        2 => tags().prop_map(Rewrite::Pop),
        1 => tags().prop_map(Rewrite::Keep),
        1 => tags().prop_map(|tags| Rewrite::Push(tags, 300)),
        1 => tags().prop_map(|tags| Rewrite::Translate(tags, 300)),
    ]
}

fn any_settings(port: u32) -> impl Strategy<Value = Settings> {
    let mostly = || prop::bool::weighted(0.8);
    let seldom = || prop::bool::weighted(0.2);
    let kind = if port == BVI { PortKind::Bvi } else { PortKind::Device };
    let mtu = prop_oneof![4 => Just(u16::MAX), 1 => Just(60), 1 => Just(1500)];
    let flags = (mostly(), mostly(), mostly(), mostly(), seldom(), seldom(), 0..3_u8);
    (any_vlans(), any_rewrite(), mtu, flags).prop_map(move |(vlans, rewrite, mtu, flags)| {
        let (learn, forward, flood, flood_unknown, pass_spanning_tree, isolated, group) = flags;
        let rewrite = if kind == PortKind::Bvi { Rewrite::None } else { rewrite };
        Settings {
            vlans,
            rewrite,
            kind,
            learn,
            forward,
            flood,
            flood_unknown,
            pass_spanning_tree,
            isolated,
            group,
            mtu,
        }
    })
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let station = || (1..=STATIONS).prop_map(mac);
    let reserved = (0..17_u8).prop_map(|last| [1, 0x80, 0xc2, 0, 0, last]);
    let target = prop_oneof![
        16 => station(),
        2 => Just(ALL),
        2 => Just(GROUP),
        1 => reserved,
        1 => Just([1, 0x80, 0xc2, 0, 0, 0]),
        1 => Just([1, 0, 0x0c, 0xcc, 0xcc, 0xcd]),
    ];
    let source = prop_oneof![30 => station(), 1 => Just(GROUP), 1 => Just([0; 6])];
    let kind = prop_oneof![4 => Just(CUSTOMER), 1 => Just(SERVICE)];
    let tag = (kind, prop::sample::select(&VLANS[..]), prop_oneof![2 => Just(0), 1 => 0..16_u16])
        .prop_map(|(kind, vlan, priority)| (kind, priority << 12 | vlan));
    // Those of a sub-interface, and some.
    let own = prop::sample::select(&TAGS[..]).prop_map(|tags| {
        let inner = tags.inner.map(|vlan| (CUSTOMER, vlan));
        [(tags.tag_type.0, tags.outer)].into_iter().chain(inner).collect::<Vec<_>>()
    });
    let some = prop::collection::vec(tag, 0..3);
    let tags = prop_oneof![4 => some.clone(), 3 => (own, some).prop_map(|(own, some)| [own, some].concat())];
    let ether_type = prop_oneof![20 => Just(0x88b5), 1 => Just(0x88cc), 1 => Just(0x8809)];
    let len = prop_oneof![4 => 0..64_usize, 1 => 100..200_usize, 1 => 1480..1520_usize, 1 => 4000..5000_usize];
    let cut = prop_oneof![30 => Just(usize::MAX), 1 => 0..24_usize];
    (source, target, tags, ether_type, len, cut).prop_map(|(from, to, tags, ether_type, len, cut)| {
        let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let mut bytes = lab::frame(from, to, &tags, ether_type, &payload);
        bytes.truncate(cut);
        bytes
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let port = || prop::sample::select(&PORTS[..]);
    let remote = || prop::sample::select(&REMOTES[..]);
    let behind = || prop_oneof![5 => port().prop_map(|port| port as u16), 1 => remote()];
    let vlan = prop::sample::select(&DOMAINS[..]).prop_map(|(vlan, _)| vlan);
    let origin = prop_oneof![
        6 => prop::sample::select(&PORTS[..4]).prop_map(Origin::Port),
        2 => remote().prop_map(Origin::Remote),
        1 => Just(Origin::Router),
    ];
    let step = prop_oneof![
        30 => (origin, any_frame()).prop_map(|(from, bytes)| Step::Frame { from, bytes }),
        3 => port().prop_flat_map(|port| any_settings(port).prop_map(move |settings| Step::Set { port, settings })),
        1 => port().prop_map(Step::Remove),
        1 => (remote(), prop::bool::ANY).prop_map(|(remote, there)| Step::Remote { remote, there }),
        1 => (vlan, 1..=STATIONS, behind()).prop_map(|(vlan, station, behind)| Step::Fix { vlan, station, behind }),
        1 => behind().prop_map(Step::Flush),
        2 => (1..20_u32).prop_map(Step::Pass),
        1 => (1..40_u32).prop_map(Step::Age),
    ];
    prop::collection::vec(step, 1..200)
}

/// All stations of the real one, as the slow one has them.
fn stations(bridging: &Bridging) -> BTreeMap<(u16, [u8; 6]), (u16, bool)> {
    let (mut all, table) = (BTreeMap::new(), &bridging.stations);
    table.walk(0..table.buckets(), |station, known| {
        all.insert((station.bridge(), station.mac().0), (known.port, known.fixed)).is_none()
    });
    all
}

/// The domains that the ports make.
fn publish(real: &Bridge, slow: &Slow) {
    for (vlan, number) in DOMAINS {
        let of = |(port, settings): (&u32, &Settings)| settings.carries(vlan).then_some(*port);
        let members = slow.ports.iter().filter_map(of).collect();
        let value = Domain { vlan, members, ..Domain::default() };
        real.bridging.domains.set(&domain(), number.into(), value).unwrap();
    }
}

/// What leaves of a frame: port, remote, bytes.
fn pass(real: &mut Bridge, worker: usize, from: Origin, bytes: &[u8]) -> Vec<slow::Left> {
    match from {
        Origin::Port(port) => real.bed.put(worker, port, bytes),
        Origin::Remote(remote) => real.bed.put(worker, TUNNEL, &[&remote.to_be_bytes()[..], bytes].concat()),
        Origin::Router => real.bed.put(worker, ROUTER, bytes),
    }
    let sent = real.bed.run().into_iter().map(|sent| match sent.interface {
        TUNNEL => (TUNNEL, u16::from_be_bytes([sent.data[0], sent.data[1]]), sent.data[2..].to_vec()),
        other => (other, 0, sent.data),
    });
    let mut sent: Vec<_> = sent.collect();
    sent.sort_unstable();
    sent
}

fn run(steps: Vec<Step>, workers: usize) -> Result<(), TestCaseError> {
    let mut real = lab::bridge(workers);
    let mut slow = Slow { limit: LIMIT, ..Slow::default() };
    let table = real.bridging.clone();
    for port in PORTS {
        let kind = if port == BVI { PortKind::Bvi } else { PortKind::Device };
        let settings = Settings { kind, ..Settings::PLAIN };
        real.port(port, settings.port(port));
        slow.ports.insert(port, settings);
    }
    for behind in PORTS.into_iter().map(|port| port as u16).chain(REMOTES) {
        table.stations.limit_port(behind, LIMIT as u32);
    }
    publish(&real, &slow);
    for (n, step) in steps.into_iter().enumerate() {
        match step {
            Step::Frame { from, bytes } => {
                let left = pass(&mut real, n % workers, from, &bytes);
                let (port, remote) = match from {
                    Origin::Port(port) => (port, None),
                    Origin::Remote(remote) => (TUNNEL, Some(remote)),
                    Origin::Router => (BVI, None),
                };
                prop_assert_eq!(left, slow.frame(port, remote, &bytes));
                while real.link_control.pop().is_some() {}
            }
            Step::Set { port, settings } => {
                real.port(port, settings.port(port));
                slow.ports.insert(port, settings);
                publish(&real, &slow);
            }
            Step::Remove(port) => {
                slow.ports.remove(&port);
                real.bridging.ports.clear(&domain(), port);
                publish(&real, &slow);
            }
            Step::Remote { remote, there } => {
                table.set_behind(remote, there.then_some(TUNNEL));
                slow.remotes.remove(&remote);
                slow.remotes.extend(there.then_some((remote, TUNNEL)));
            }
            Step::Fix { vlan, station, behind } => {
                let domain = domain_of(vlan).unwrap();
                let fixed = table.stations.fix(Station::new(domain, mac(station)), behind).is_ok();
                prop_assert_eq!(fixed, slow.fix(domain, mac(station), behind));
            }
            Step::Flush(behind) => {
                let stays = |at: u16, fixed: bool| fixed || at != behind;
                table.stations.walk(0..table.stations.buckets(), |_, known| stays(known.port, known.fixed));
                slow.stations.retain(|_, place| stays(place.behind, place.fixed));
            }
            Step::Pass(seconds) => {
                slow.now += seconds;
                table.stations.tick(slow.now);
            }
            Step::Age(age) => {
                let stations = &table.stations;
                stations.walk(0..stations.buckets(), |_, known| known.fixed || stations.age(known) < age);
                slow.stations.retain(|_, place| place.fixed || slow.now - place.heard < age);
            }
        }
        let expected: BTreeMap<_, _> =
            slow.stations.iter().map(|(who, place)| (*who, (place.behind, place.fixed))).collect();
        prop_assert_eq!(stations(&table), expected);
        prop_assert_eq!(real.bed.held(), 0);
    }
    let panics = real.counts().into_iter().filter(|(_, reason, _)| *reason == "panic").count();
    prop_assert_eq!(panics, 0);
    let ledger = real.bed.ledger();
    prop_assert_eq!(ledger.received + ledger.made, ledger.sent + ledger.dropped + ledger.consumed);
    Ok(())
}

proptest! {
    #[test]
    fn the_bridge_agrees_with_a_slow_one(steps in steps()) {
        run(steps, 1)?;
    }

    #[test]
    fn so_it_does_with_two_workers(steps in steps()) {
        run(steps, 2)?;
    }
}
