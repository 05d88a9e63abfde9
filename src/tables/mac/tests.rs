use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Barrier;

fn station(bridge: u16, n: u32) -> Station {
    let [a, b, c, d] = n.to_be_bytes();
    Station::new(bridge, [2, 0, a, b, c, d])
}

fn hear(table: &MacTable, station: Station, port: u16) -> Heard {
    table.hear(station, table.place(station), port)
}

fn port(table: &MacTable, station: Station) -> Option<u16> {
    table.find(station, table.place(station)).map(|known| known.port)
}

fn all(table: &MacTable) -> BTreeMap<u64, u16> {
    let mut found = BTreeMap::new();
    table.walk(0..table.buckets(), |station, known| found.insert(station.0, known.port).is_none());
    found
}

#[test]
fn a_station_says_whose_it_is() {
    let station = Station::new(7, [2, 1, 3, 4, 5, 6]);
    assert_eq!((station.bridge(), station.mac()), (7, MacAddr([2, 1, 3, 4, 5, 6])));
    assert_ne!(station, Station::new(8, [2, 1, 3, 4, 5, 6]));
}

#[test]
fn stations_are_learnt_move_and_are_forgotten() {
    let table = MacTable::new(100).unwrap();
    let (a, b) = (station(1, 1), station(2, 1));
    assert_eq!(hear(&table, a, 5), Heard::New);
    assert_eq!(hear(&table, a, 5), Heard::Known);
    assert_eq!((port(&table, a), port(&table, b)), (Some(5), None));
    assert_eq!(hear(&table, a, 6), Heard::Moved(5));
    assert_eq!((port(&table, a), table.port_len(5), table.port_len(6), table.bridge_len(1)), (Some(6), 0, 1, 1));
    assert!(table.remove(a) && !table.remove(a));
    assert_eq!((port(&table, a), table.port_len(6), table.bridge_len(1)), (None, 0, 0));
}

#[test]
fn what_the_operator_says_stays() {
    let table = MacTable::new(100).unwrap();
    let a = station(1, 1);
    assert_eq!(hear(&table, a, 5), Heard::New);
    table.fix(a, 9).unwrap();
    assert_eq!((hear(&table, a, 5), hear(&table, a, 9)), (Heard::Fixed, Heard::Known));
    assert_eq!((port(&table, a), table.port_len(5), table.port_len(9)), (Some(9), 0, 1));
    table.tick(1000);
    table.walk(0..table.buckets(), |_, known| known.fixed);
    assert_eq!(port(&table, a), Some(9));
}

#[test]
fn being_heard_keeps_a_station_young() {
    let table = MacTable::new(100).unwrap();
    let (a, b) = (station(1, 1), station(1, 2));
    for start in [0, 1 << 22, u32::MAX - 5] {
        table.tick(start);
        hear(&table, a, 1);
        hear(&table, b, 1);
        table.tick(start.wrapping_add(10));
        hear(&table, a, 1);
        table.tick(start.wrapping_add(15));
        let age = |station| table.age(&table.find(station, table.place(station)).unwrap());
        assert_eq!((age(a), age(b)), (5, 15));
        let gone = table.walk(0..table.buckets(), |_, known| table.age(known) < 10);
        assert_eq!((gone, port(&table, a), port(&table, b)), (1, Some(1), None));
    }
}

#[test]
fn a_flood_on_one_port_uses_up_that_port_alone() {
    let table = MacTable::new(4096).unwrap();
    (1..4).for_each(|port| table.limit_port(port, 1000));
    table.limit_bridge(1, 2500);
    for n in 0..1000 {
        assert_eq!(hear(&table, station(1, n), 1), Heard::New);
    }
    let came: Vec<Heard> = (0..1_000_000).map(|n| hear(&table, station(1, 10_000 + n), 2)).collect();
    assert!(came[..1000].iter().all(|heard| *heard == Heard::New));
    assert!(came[1000..].iter().all(|heard| *heard == Heard::PortFull));
    assert!((0..1000).all(|n| port(&table, station(1, n)) == Some(1)), "nobody is evicted");
    let third: Vec<Heard> = (0..1000).map(|n| hear(&table, station(1, 5_000_000 + n), 3)).collect();
    assert!(third[..500].iter().all(|heard| *heard == Heard::New), "others still learn");
    assert!(third[500..].iter().all(|heard| *heard == Heard::BridgeFull));
    assert_eq!(hear(&table, station(1, 0), 2), Heard::PortFull, "nor may a full port draw a station to itself");
    assert_eq!(port(&table, station(1, 0)), Some(1));
}

#[test]
fn a_full_table_says_so_and_loses_nobody() {
    let table = MacTable::new(64).unwrap();
    let room = (table.buckets() * entry::SLOTS) as u32;
    let came: Vec<Heard> = (0..room * 8).map(|n| hear(&table, station(1, n), 1)).collect();
    let new = came.iter().filter(|heard| **heard == Heard::New).count();
    assert_eq!(came.len() - new, came.iter().filter(|heard| **heard == Heard::TableFull).count());
    assert_eq!((all(&table).len(), table.bridge_len(1), table.port_len(1)), (new, new as u32, new as u32));
    for (n, heard) in came.iter().enumerate() {
        assert_eq!(port(&table, station(1, n as u32)).is_some(), *heard == Heard::New);
    }
}

#[test]
fn as_many_as_were_asked_for_find_room() {
    let table = MacTable::new(65_536).unwrap();
    assert!((0..65_536).all(|n| hear(&table, station(1 + (n % 3) as u16, n), (n % 64) as u16) == Heard::New));
}

/// Threads learn, move, forget and look up the same few stations: no answer is ever one that nobody gave, and in the end the books balance.
#[test]
fn threads_may_all_write() {
    let table = MacTable::new(64).unwrap();
    let start = Barrier::new(4);
    // A station is only ever heard on ports that its number gives.
    let owner = |n: u32, turn: u32| ((n % 8) * 8 + turn % 8) as u16;
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (table, start) = (&table, &start);
            scope.spawn(move || {
                start.wait();
                for turn in 0..200_000_u32 {
                    let n = turn.wrapping_mul(2_654_435_761).wrapping_add(thread) >> 7 & 255;
                    let station = station(1, n);
                    match turn % 16 {
                        15 if thread == 0 => drop(table.remove(station)),
                        14 if thread == 1 => drop(table.walk(0..8, |station, _| station.0 & 1 == 0)),
                        13 => table.tick(turn / 1000),
                        _ => drop(hear(table, station, owner(n, turn))),
                    }
                    if let Some(port) = port(table, station) {
                        assert_eq!(u32::from(port) / 8, n % 8, "station {n}");
                    }
                }
            });
        }
    });
    let left = all(&table);
    assert!(!left.is_empty());
    assert_eq!(table.bridge_len(1) as usize, left.len());
    for port in 0..64 {
        assert_eq!(table.port_len(port) as usize, left.values().filter(|p| **p == port).count());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Hear { bridge: u16, n: u32, port: u16 },
    Fix { bridge: u16, n: u32, port: u16 },
    Remove { bridge: u16, n: u32 },
    Pass(u32),
    Age { bridge: u16, seconds: u32 },
    FlushPort(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = || (1..3_u16, 0..40_u32);
    let step = prop_oneof![
        8 => (who(), 1..5_u16).prop_map(|((bridge, n), port)| Step::Hear { bridge, n, port }),
        1 => (who(), 1..5_u16).prop_map(|((bridge, n), port)| Step::Fix { bridge, n, port }),
        1 => who().prop_map(|(bridge, n)| Step::Remove { bridge, n }),
        1 => (0..20_u32).prop_map(Step::Pass),
        1 => (1..3_u16, 1..30_u32).prop_map(|(bridge, seconds)| Step::Age { bridge, seconds }),
        1 => (1..5_u16).prop_map(Step::FlushPort),
    ];
    proptest::collection::vec(step, 1..300)
}

const PORT_LIMIT: usize = 12;
const BRIDGE_LIMIT: usize = 25;

/// Port, time and whether it is fixed, by bridge and number: the slow, obvious table.
#[derive(Default)]
struct Model(BTreeMap<(u16, u32), (u16, u32, bool)>);

impl Model {
    fn full(&self, bridge: u16, port: u16, new: bool) -> Option<Heard> {
        let on = |at: &dyn Fn(&(u16, u32), u16) -> bool| self.0.iter().filter(|(who, v)| at(who, v.0)).count();
        if on(&|_, p| p == port) >= PORT_LIMIT {
            return Some(Heard::PortFull);
        }
        (new && on(&|who, _| who.0 == bridge) >= BRIDGE_LIMIT).then_some(Heard::BridgeFull)
    }

    fn hear(&mut self, who: (u16, u32), port: u16, now: u32) -> Heard {
        match self.0.get(&who).copied() {
            Some((at, _, fixed)) if at == port => {
                if !fixed {
                    self.0.insert(who, (port, now, false));
                }
                Heard::Known
            }
            Some((_, _, true)) => Heard::Fixed,
            known => self.full(who.0, port, known.is_none()).unwrap_or_else(|| {
                self.0.insert(who, (port, now, false));
                known.map_or(Heard::New, |(from, ..)| Heard::Moved(from))
            }),
        }
    }

    fn fix(&mut self, who: (u16, u32), port: u16, now: u32) -> Result<(), Heard> {
        let known = self.0.get(&who).copied();
        let full =
            if known.is_some_and(|(at, ..)| at == port) { None } else { self.full(who.0, port, known.is_none()) };
        if full.is_none() {
            self.0.insert(who, (port, now, true));
        }
        full.map_or(Ok(()), Err)
    }
}

proptest! {
    #[test]
    fn it_agrees_with_a_slow_table(steps in steps()) {
        let table = MacTable::new(4096).unwrap();
        (1..5).for_each(|port| table.limit_port(port, PORT_LIMIT as u32));
        (1..3).for_each(|bridge| table.limit_bridge(bridge, BRIDGE_LIMIT as u32));
        let (mut model, mut now) = (Model::default(), 0);
        for step in steps {
            match step {
                Step::Hear { bridge, n, port } => {
                    prop_assert_eq!(hear(&table, station(bridge, n), port), model.hear((bridge, n), port, now));
                }
                Step::Fix { bridge, n, port } => {
                    prop_assert_eq!(table.fix(station(bridge, n), port), model.fix((bridge, n), port, now));
                }
                Step::Remove { bridge, n } => {
                    prop_assert_eq!(table.remove(station(bridge, n)), model.0.remove(&(bridge, n)).is_some());
                }
                Step::Pass(seconds) => {
                    now += seconds;
                    table.tick(now);
                }
                Step::Age { bridge, seconds } => {
                    let old = |in_bridge: u16, heard: u32, fixed: bool| in_bridge == bridge && !fixed && now - heard >= seconds;
                    table.walk(0..table.buckets(), |s, known| !old(s.bridge(), now - table.age(known), known.fixed));
                    model.0.retain(|who, (_, heard, fixed)| !old(who.0, *heard, *fixed));
                }
                Step::FlushPort(port) => {
                    table.walk(0..table.buckets(), |_, known| known.fixed || known.port != port);
                    model.0.retain(|_, (at, _, fixed)| *fixed || *at != port);
                }
            }
            let expected: BTreeMap<u64, u16> = model.0.iter().map(|((b, n), v)| (station(*b, *n).0, v.0)).collect();
            prop_assert_eq!(all(&table), expected);
        }
    }
}
