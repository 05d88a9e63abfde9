//! The judge: a slow, obvious bridge, and the same random frames and changes of topology through both; each frame must leave by the
//! same ports, and each station be where the other has it.

use super::testing::{ALL, Bridge, GROUP, frame, mac};
use super::{Bridging, Port};
use millrace_tables::mac::Station;
use proptest::prelude::*;
use std::collections::BTreeMap;

const PORTS: [u32; 6] = [1, 2, 3, 4, 5, 6];
const DOMAINS: [u16; 2] = [1, 2];
const STATIONS: u8 = 12;
/// Stations that one port may have.
const PORT_LIMIT: usize = 5;

/// What of a port changes: the settings that the slow bridge follows.
#[derive(Clone, Copy, Debug)]
struct Settings {
    domain: u16,
    learn: bool,
    forward: bool,
    flood: bool,
    flood_unknown: bool,
    isolated: bool,
    group: u8,
}

impl Settings {
    const PLAIN: Settings =
        Settings { domain: 1, learn: true, forward: true, flood: true, flood_unknown: true, isolated: false, group: 0 };

    fn port(self) -> Port {
        let Settings { domain, learn, forward, flood, flood_unknown, isolated, group } = self;
        Port { learn, forward, flood, flood_unknown, isolated, group, ..Port::new(domain) }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Frame { port: u32, from: [u8; 6], to: [u8; 6], len: usize },
    Set { port: u32, settings: Settings },
    Remove(u32),
    Fix { domain: u16, station: u8, port: u32 },
    Flush(u32),
    Pass(u32),
    Age(u32),
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let mostly = || prop::bool::weighted(0.8);
    (1..3_u16, mostly(), mostly(), mostly(), mostly(), prop::bool::weighted(0.2), 0..3_u8).prop_map(
        |(domain, learn, forward, flood, flood_unknown, isolated, group)| Settings {
            domain,
            learn,
            forward,
            flood,
            flood_unknown,
            isolated,
            group,
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let port = || prop::sample::select(&PORTS[..]);
    let station = || (1..=STATIONS).prop_map(mac);
    let target = prop_oneof![8 => station(), 1 => Just(ALL), 1 => Just(GROUP), 1 => Just([1, 0x80, 0xc2, 0, 0, 2])];
    let source = prop_oneof![30 => station(), 1 => Just(GROUP)];
    let step = prop_oneof![
        30 => (port(), source, target, prop_oneof![Just(0), 1..200_usize, 1500..5000_usize])
            .prop_map(|(port, from, to, len)| Step::Frame { port, from, to, len }),
        3 => (port(), any_settings()).prop_map(|(port, settings)| Step::Set { port, settings }),
        1 => port().prop_map(Step::Remove),
        1 => (1..3_u16, 1..=STATIONS, port()).prop_map(|(domain, station, port)| Step::Fix { domain, station, port }),
        1 => port().prop_map(Step::Flush),
        2 => (1..20_u32).prop_map(Step::Pass),
        1 => (1..40_u32).prop_map(Step::Age),
    ];
    prop::collection::vec(step, 1..200)
}

/// Where a station is, since when, and whether the operator said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    port: u32,
    heard: u32,
    fixed: bool,
}

/// The slow bridge.
#[derive(Default)]
struct Model {
    ports: BTreeMap<u32, Settings>,
    stations: BTreeMap<(u16, [u8; 6]), Place>,
    now: u32,
}

impl Model {
    /// The ports that a frame leaves by.
    fn frame(&mut self, port: u32, from: [u8; 6], to: [u8; 6]) -> Vec<u32> {
        let Some(here) = self.ports.get(&port).copied() else { return Vec::new() };
        let group = to[0] & 1 == 1;
        if from[0] & 1 == 1 || to[..5] == [1, 0x80, 0xc2, 0, 0] && to[5] < 16 || group && !here.flood {
            return Vec::new();
        }
        if here.learn && !self.learn(here.domain, from, port) {
            return Vec::new();
        }
        let known = self.stations.get(&(here.domain, to)).filter(|_| !group).copied();
        let reached = |to: &u32| {
            let there = self.ports.get(to).filter(|there| there.domain == here.domain);
            *to != port
                && there.is_some_and(|there| {
                    !(here.isolated && there.isolated) && (here.group == 0 || here.group != there.group)
                })
        };
        match known {
            Some(place) if here.forward => [place.port].into_iter().filter(reached).collect(),
            Some(_) => Vec::new(),
            None if group || here.flood_unknown => PORTS.into_iter().filter(reached).collect(),
            None => Vec::new(),
        }
    }

    /// Whether the frame may go on.
    fn learn(&mut self, domain: u16, station: [u8; 6], port: u32) -> bool {
        let known = self.stations.get(&(domain, station)).copied();
        if let Some(place) = known.filter(|place| place.fixed) {
            return place.port == port;
        }
        if known.is_some_and(|place| place.port == port) || self.behind(port) < PORT_LIMIT {
            self.stations.insert((domain, station), Place { port, heard: self.now, fixed: false });
        }
        true
    }

    fn behind(&self, port: u32) -> usize {
        self.stations.values().filter(|place| place.port == port).count()
    }

    fn fix(&mut self, domain: u16, station: [u8; 6], port: u32) -> bool {
        let there = self.stations.get(&(domain, station)).is_some_and(|place| place.port == port);
        let fits = there || self.behind(port) < PORT_LIMIT;
        if fits {
            self.stations.insert((domain, station), Place { port, heard: self.now, fixed: true });
        }
        fits
    }
}

/// All stations of the real one, as the slow one has them.
fn stations(bridging: &Bridging) -> BTreeMap<(u16, [u8; 6]), (u32, bool)> {
    let (mut all, table) = (BTreeMap::new(), &bridging.stations);
    table.walk(0..table.buckets(), |station, known| {
        all.insert((station.bridge(), station.mac().0), (known.port.into(), known.fixed)).is_none()
    });
    all
}

fn run(steps: Vec<Step>, workers: usize) -> Result<(), TestCaseError> {
    let mut real = Bridge::with(&PORTS, workers);
    let mut model = Model::default();
    let table = real.bridging.clone();
    let publish = |real: &Bridge, model: &Model| {
        for domain in DOMAINS {
            let of = |(port, settings): (&u32, &Settings)| (settings.domain == domain).then_some(*port);
            real.members(domain, &model.ports.iter().filter_map(of).collect::<Vec<_>>());
        }
    };
    for port in PORTS {
        table.stations.limit_port(port as u16, PORT_LIMIT as u32);
        model.ports.insert(port, Settings::PLAIN);
        real.port(port, Settings::PLAIN.port());
    }
    publish(&real, &model);
    for (n, step) in steps.into_iter().enumerate() {
        match step {
            Step::Frame { port, from, to, len } => {
                let bytes = frame(from, to, &vec![n as u8; len]);
                real.bed.put(n % workers, port, &bytes);
                let sent = real.bed.run();
                prop_assert!(sent.iter().all(|sent| sent.data == bytes));
                let mut left: Vec<u32> = sent.into_iter().map(|sent| sent.interface).collect();
                left.sort_unstable();
                prop_assert_eq!(left, model.frame(port, from, to));
            }
            Step::Set { port, settings } => {
                model.ports.insert(port, settings);
                real.port(port, settings.port());
                publish(&real, &model);
            }
            Step::Remove(port) => {
                model.ports.remove(&port);
                real.bridging.ports.clear(&millrace_engine::epoch::domain(), port);
                publish(&real, &model);
            }
            Step::Fix { domain, station, port } => {
                let fixed = table.stations.fix(Station::new(domain, mac(station)), port as u16).is_ok();
                prop_assert_eq!(fixed, model.fix(domain, mac(station), port));
            }
            Step::Flush(port) => {
                let stays = |at: u32, fixed: bool| fixed || at != port;
                table.stations.walk(0..table.stations.buckets(), |_, known| stays(known.port.into(), known.fixed));
                model.stations.retain(|_, place| stays(place.port, place.fixed));
            }
            Step::Pass(seconds) => {
                model.now += seconds;
                table.stations.tick(model.now);
            }
            Step::Age(age) => {
                let stations = &table.stations;
                stations.walk(0..stations.buckets(), |_, known| known.fixed || stations.age(known) < age);
                model.stations.retain(|_, place| place.fixed || model.now - place.heard < age);
            }
        }
        let expected: BTreeMap<_, _> =
            model.stations.iter().map(|(who, place)| (*who, (place.port, place.fixed))).collect();
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
