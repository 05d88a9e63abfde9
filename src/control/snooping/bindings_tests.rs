use super::*;
use millrace_engine::epoch;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
/// A second as bindings count them.
const AT: u32 = 1000;

fn mac(n: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, n])
}

fn ip(n: u16) -> IpAddr {
    let [high, low] = n.to_be_bytes();
    IpAddr::from([10, 0, high, low])
}

fn seen(interface: u32, address: IpAddr, station: u8) -> Seen {
    Seen { interface, domain: 1, address, mac: mac(station), router: false, override_: true }
}

/// A table in whose domain 1 stations 1 to 9 are known behind ports of the same numbers.
fn table() -> Table {
    let bridging = Bridging::new(4096).unwrap();
    for n in 1..10 {
        let station = Station::new(1, mac(n).0);
        bridging.stations.hear(station, bridging.stations.place(station), n.into());
    }
    Table::new(bridging)
}

/// Who has an address, as the packet path has it, and whether it answers.
fn published(table: &mut Table, address: IpAddr) -> Option<(MacAddr, bool)> {
    table.publish();
    let participant = epoch::domain().register();
    let found = table.bridging.snoop.bindings.find(1, address, &participant.guard());
    found.map(|binding| (binding.mac, !binding.disputed))
}

fn sweep(table: &mut Table, now: Instant, seconds: u32) {
    (0..11).for_each(|_| table.sweep(now, seconds));
}

#[test]
fn a_binding_lives_as_long_as_it_is_seen() {
    let (mut table, now) = (table(), Instant::now());
    assert_eq!(table.seen(&seen(1, ip(1), 1), now, AT), Outcome::Learnt);
    assert_eq!(published(&mut table, ip(1)), Some((mac(1), true)));
    sweep(&mut table, now, AT + AGE - 1);
    assert!(published(&mut table, ip(1)).is_some());
    table.seen(&seen(1, ip(1), 1), now, AT + 100);
    sweep(&mut table, now, AT + AGE);
    assert!(published(&mut table, ip(1)).is_some(), "seen again");
    sweep(&mut table, now, AT + AGE + 100);
    assert_eq!((published(&mut table, ip(1)), table.len, table.ports.len()), (None, 0, 0));
}

#[test]
fn a_binding_goes_with_its_station() {
    let (mut table, now) = (table(), Instant::now());
    assert_eq!(table.seen(&seen(1, ip(1), 77), now, AT), Outcome::NoStation);
    table.seen(&seen(1, ip(1), 1), now, AT);
    assert_eq!(table.interface(&table.iter().next().unwrap().binding), Some(1));
    table.bridging.stations.remove(Station::new(1, mac(1).0));
    sweep(&mut table, now, AT);
    assert_eq!(published(&mut table, ip(1)), None);
}

/// RFC 9161 section 3.7.
#[test]
fn who_comes_last_has_it_until_it_flaps() {
    let (mut table, now) = (table(), Instant::now());
    table.seen(&seen(1, ip(1), 1), now, AT);
    for (n, [station, other]) in [[2, 1], [1, 2], [2, 1], [1, 2]].into_iter().enumerate() {
        let outcome = table.seen(&seen(station.into(), ip(1), station), now + n as u32 * SECOND, AT);
        assert_eq!(outcome, Outcome::Moved(mac(other)));
        assert_eq!(published(&mut table, ip(1)), Some((mac(station), true)));
        assert_eq!((table.ports.get(&station.into()), table.ports.len()), (Some(&1), 1), "counted where it is");
    }
    assert_eq!(table.seen(&seen(2, ip(1), 2), now + 5 * SECOND, AT), Outcome::Disputed(mac(1)));
    assert_eq!(published(&mut table, ip(1)), Some((mac(2), false)), "nobody is answered for");
    assert_eq!(table.seen(&seen(1, ip(1), 1), now + 6 * SECOND, AT), Outcome::Moved(mac(2)), "told once");
    sweep(&mut table, now + WINDOW - SECOND, AT);
    assert_eq!(published(&mut table, ip(1)), Some((mac(1), false)));
    sweep(&mut table, now + WINDOW, AT);
    assert_eq!(published(&mut table, ip(1)), Some((mac(1), true)), "it has come to rest");
    // Slow ones are no flaps.
    for n in 1..20u8 {
        let outcome = table.seen(&seen(1, ip(1), 1 + n % 2), now + u32::from(n) * WINDOW / 4 + WINDOW, AT);
        assert!(matches!(outcome, Outcome::Moved(_)), "{n}: {outcome:?}");
    }
}

#[test]
fn the_routers_own_addresses_are_nobody_elses() {
    let (mut table, now) = (table(), Instant::now());
    let own = |n| BTreeMap::from([((1, ip(n)), (mac(9), 9))]);
    table.seen(&seen(1, ip(1), 1), now, AT);
    table.set_own(own(1), now);
    assert_eq!(published(&mut table, ip(1)), Some((mac(9), true)), "what was learnt gives way");
    assert_eq!((table.len, table.ports.len()), (1, 0), "no port's limit");
    assert_eq!(table.seen(&seen(1, ip(1), 1), now, AT), Outcome::Own);
    assert_eq!(table.seen(&seen(9, ip(1), 9), now, AT), Outcome::Learnt, "the router itself is nobody else");
    sweep(&mut table, now + 9 * WINDOW, AT + 10 * AGE);
    assert_eq!(published(&mut table, ip(1)), Some((mac(9), true)), "it doesn't age");
    table.set_own(own(2), now);
    assert_eq!((published(&mut table, ip(1)), published(&mut table, ip(2))), (None, Some((mac(9), true))));
    table.keep_domains(|domain| domain != 1);
    assert_eq!((published(&mut table, ip(2)), table.len, table.own.len()), (None, 0, 0));
}

#[test]
fn limits() {
    let (mut table, now) = (table(), Instant::now());
    for n in 0..PORT as u16 {
        assert_eq!(table.seen(&seen(1, ip(n), 1), now, AT), Outcome::Learnt);
    }
    assert_eq!(table.seen(&seen(1, ip(60_000), 1), now, AT), Outcome::Refused(Refused::Port));
    assert_eq!(table.seen(&seen(1, ip(5), 1), now, AT), Outcome::Learnt, "known ones go on");
    for (port, n) in (2..=4).flat_map(|port| (0..PORT as u16).map(move |n| (port, n))) {
        let address = IpAddr::from([10, port, (n >> 8) as u8, n as u8]);
        assert_eq!(table.seen(&seen(port.into(), address, port), now, AT), Outcome::Learnt);
    }
    assert_eq!(table.seen(&seen(5, ip(60_000), 5), now, AT), Outcome::Refused(Refused::Domain));
    assert_eq!((table.len, table.refused()), (DOMAIN, 2));
    sweep(&mut table, now, AT + AGE);
    assert_eq!((table.len, table.ports.len(), table.domains.len()), (0, 0, 0));
}

proptest! {
    /// Whoever claims what: counts hold, and one station has each address.
    #[test]
    fn hostile_stations(steps in prop::collection::vec((1..6u32, 0..4u16, 1..12u8, 0..4u32), 1..80)) {
        let (mut table, start) = (table(), Instant::now());
        let (mut now, mut seconds) = (start, AT);
        for (port, address, station, wait) in steps {
            (now, seconds) = (now + wait * 30 * SECOND, seconds + wait * 30);
            table.seen(&seen(port, ip(address), station), now, seconds);
            if wait == 3 {
                sweep(&mut table, now, seconds);
            }
            prop_assert_eq!(table.iter().count(), table.len);
            prop_assert_eq!(table.ports.values().sum::<usize>(), table.len);
            prop_assert_eq!(table.domains.values().sum::<usize>(), table.len);
            let addresses: BTreeSet<IpAddr> = table.iter().map(|entry| entry.binding.address).collect();
            prop_assert_eq!(addresses.len(), table.len);
            let current = table.iter().find(|entry| entry.binding.address == ip(address)).map(|entry| entry.binding.mac);
            prop_assert!(station > 9 || current == Some(mac(station)) || wait == 3);
        }
    }
}
