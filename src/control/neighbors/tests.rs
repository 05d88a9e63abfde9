use super::*;
use Action::{Ask, Known, Stale, Unknown};
use std::net::{Ipv4Addr, Ipv6Addr};

const KEY: Key = (1, IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9)));
const KEY4: Key = (1, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)));
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 10]);
const SECOND: Duration = Duration::from_secs(1);
const ANSWER: HeardKind = HeardKind::Reply { solicited: true, override_: true, router: false };

/// An advertisement with or without the flags "solicited" and "override".
fn na(solicited: bool, override_: bool) -> HeardKind {
    HeardKind::Reply { solicited, override_, router: false }
}

fn state(table: &Neighbors, key: Key) -> Option<State> {
    table.get(key).map(|n| n.state)
}

/// Runs the timers until a time; what they wanted, with the second in which they did.
fn run(table: &mut Neighbors, start: Instant, until: Duration, in_use: bool) -> Vec<(u64, Action)> {
    let mut actions = Vec::new();
    while let Some(due) = table.next()
        && due <= start + until
    {
        let second = (due - start).as_secs();
        actions.extend(table.run(due, |_| in_use).into_iter().map(|action| (second, action)));
    }
    actions
}

/// A neighbour in a state, of these two addresses.
fn in_state(wanted: State, now: Instant) -> Neighbors {
    let mut table = Neighbors::default();
    table.wanted(KEY, now);
    let ends = match wanted {
        State::Incomplete => return table,
        State::Failed => 3 * SECOND,
        _ => {
            table.heard(KEY, MAC, ANSWER, now);
            if wanted == State::Reachable { SECOND } else { REACHABLE }
        }
    };
    run(&mut table, now, ends, true);
    if matches!(wanted, State::Delay | State::Probe) {
        table.used(KEY, now + REACHABLE);
    }
    if wanted == State::Probe {
        run(&mut table, now, REACHABLE + DELAY, true);
    }
    assert_eq!(state(&table, KEY), Some(wanted));
    table
}

#[test]
fn three_questions_and_then_no_more() {
    for key in [KEY, KEY4] {
        let (mut table, now) = (Neighbors::default(), Instant::now());
        assert_eq!(table.wanted(key, now), [Ask(key, None)]);
        assert_eq!(table.wanted(key, now + SECOND / 2), [], "it is being asked");
        let actions = run(&mut table, now, 3 * SECOND, false);
        assert_eq!(actions, [(1, Ask(key, None)), (2, Ask(key, None)), (3, Action::Failed(key))]);
        assert_eq!(state(&table, key), Some(State::Failed));
        assert_eq!(table.wanted(key, now + 3 * SECOND + HOLD_DOWN / 2), [], "held down");
        assert_eq!(table.wanted(key, now + 3 * SECOND + HOLD_DOWN), [Ask(key, None)]);
        run(&mut table, now, 6 * SECOND + FAILED + SECOND, false);
        assert_eq!(state(&table, key), None, "forgotten at last");
        assert_eq!(table.next(), None);
    }
}

/// RFC 4861 section 7.3.2 and 7.3.3: stale until used, then a delay, then asked directly.
#[test]
fn silence_makes_it_stale_and_use_has_it_asked() {
    for key in [KEY, KEY4] {
        let (mut table, now) = (Neighbors::default(), Instant::now());
        table.wanted(key, now);
        assert_eq!(table.used(key, now), []);
        assert_eq!(table.heard(key, MAC, ANSWER, now), [Known(key, MAC)]);
        assert_eq!(table.used(key, now), [], "nobody doubts it");
        assert_eq!(run(&mut table, now, REACHABLE, false), [(30, Stale(key, true))]);
        assert_eq!(run(&mut table, now, 10 * REACHABLE, false), [], "nobody uses it");
        let used = now + 10 * REACHABLE;
        assert_eq!(table.used(key, used), [Stale(key, false)]);
        assert_eq!((state(&table, key), table.used(key, used)), (Some(State::Delay), vec![]));
        let ask = Ask(key, Some(MAC));
        assert_eq!(run(&mut table, used, DELAY + SECOND, false), [(5, ask), (6, ask)]);
        assert_eq!(state(&table, key), Some(State::Probe));
        assert_eq!(table.heard(key, MAC, ANSWER, used + DELAY + SECOND), [], "all is as before");
        assert_eq!(state(&table, key), Some(State::Reachable));
    }
}

#[test]
fn the_dead_are_forgotten_but_next_hops_stay() {
    for in_use in [false, true] {
        let now = Instant::now();
        let mut table = in_state(State::Delay, now);
        let ask = Ask(KEY, Some(MAC));
        let mut expected = vec![(35, ask), (36, ask), (37, ask), (38, Unknown(KEY))];
        if in_use {
            expected.push((38, Action::Failed(KEY)));
        }
        assert_eq!(run(&mut table, now, 38 * SECOND, in_use), expected);
        assert_eq!(state(&table, KEY), in_use.then_some(State::Failed));
        let asked = (68..=500).step_by(30).map(|second| (second, Ask(KEY, None))).filter(|_| in_use);
        assert_eq!(run(&mut table, now, 500 * SECOND, in_use), asked.collect::<Vec<_>>());
        assert_eq!(state(&table, KEY), in_use.then_some(State::Failed));
    }
}

#[test]
fn who_is_not_used_is_forgotten_unless_routes_lead_there() {
    for (in_use, left) in [(true, Some(State::Stale)), (false, None)] {
        let now = Instant::now();
        let mut table = in_state(State::Stale, now);
        let gone = run(&mut table, now, REACHABLE + UNUSED, in_use);
        assert_eq!((gone.len(), state(&table, KEY)), (usize::from(!in_use), left));
    }
}

/// RFC 4861 section 7.2.5, for every state: an advertisement with each flag and with the same or another address.
#[test]
fn advertisements_by_their_flags() {
    use State::{Failed, Incomplete, Probe, Reachable, Stale as Old};
    let (same, other) = (MAC, OTHER);
    for (before, mac, kind, after, mac_after) in [
        (Incomplete, other, na(true, true), Reachable, other),
        (Incomplete, other, na(true, false), Reachable, other),
        (Incomplete, other, na(false, false), Old, other),
        (Failed, other, na(true, false), Reachable, other),
        (Failed, other, na(false, true), Old, other),
        // I.a: the address stays, but is doubted.
        (Reachable, other, na(true, false), Old, same),
        (Reachable, other, na(false, false), Old, same),
        // I.b: nothing at all.
        (Old, other, na(true, false), Old, same),
        (State::Delay, other, na(true, false), State::Delay, same),
        (Probe, other, na(false, false), Probe, same),
        // II with another address.
        (Reachable, other, na(true, true), Reachable, other),
        (Reachable, other, na(false, true), Old, other),
        (Old, other, na(true, true), Reachable, other),
        (Probe, other, na(false, true), Old, other),
        // II with the same address: only an answer says that both ways work.
        (Old, same, na(true, false), Reachable, same),
        (State::Delay, same, na(true, true), Reachable, same),
        (Probe, same, na(true, false), Reachable, same),
        (Old, same, na(false, true), Old, same),
        (Probe, same, na(false, true), Probe, same),
        (Reachable, same, na(false, false), Reachable, same),
        // Section 7.2.3, and ARP: a question or an announcement.
        (Incomplete, other, HeardKind::Request, Old, other),
        (Reachable, same, HeardKind::Request, Reachable, same),
        (Probe, same, HeardKind::Request, Probe, same),
        (Reachable, other, HeardKind::Request, Old, other),
        (Reachable, other, HeardKind::Gratuitous, Old, other),
        (Old, other, HeardKind::Gratuitous, Old, other),
    ] {
        let now = Instant::now();
        let mut table = in_state(before, now);
        let old = *table.get(KEY).unwrap();
        let actions = table.heard(KEY, mac, kind, now + 36 * SECOND);
        let new = *table.get(KEY).unwrap();
        let case = format!("{before:?} {kind:?} {mac}");
        assert_eq!((new.state, new.mac), (after, Some(mac_after)), "{case}");
        // What forwarding was told is what is known now.
        let known = actions.contains(&Known(KEY, mac_after));
        assert_eq!(known, old.mac != new.mac, "{case}");
        let (was, is) = (old.state == Old, new.state == Old);
        assert_eq!(actions.contains(&Stale(KEY, is)), was != is || (is && known), "{case}: {actions:?}");
        assert!(!actions.contains(&Stale(KEY, !is)), "{case}");
    }
}

#[test]
fn only_who_asks_for_us_is_learnt_uncalled() {
    for key in [KEY, KEY4] {
        let (mut table, now) = (Neighbors::default(), Instant::now());
        assert_eq!(table.heard(key, MAC, HeardKind::Gratuitous, now), []);
        assert_eq!(table.heard(key, MAC, ANSWER, now), []);
        assert_eq!(state(&table, key), None);
        let learnt = [Known(key, MAC), Stale(key, true)];
        assert_eq!(table.heard(key, MAC, HeardKind::Request, now), learnt, "and asked when it is used");
        let moved = [Known(key, OTHER), Stale(key, true)];
        assert_eq!(table.heard(key, OTHER, HeardKind::Gratuitous, now), moved);
        assert_eq!(table.get(key).unwrap().mac, Some(OTHER));
    }
}

#[test]
fn static_ones_change_by_configuration_only() {
    let (mut table, now) = (Neighbors::default(), Instant::now());
    table.heard(KEY, OTHER, HeardKind::Request, now);
    assert_eq!(table.set_static(KEY, MAC, now), [Known(KEY, MAC), Stale(KEY, false)]);
    assert_eq!(table.heard(KEY, OTHER, HeardKind::Request, now), []);
    assert_eq!(table.heard(KEY, OTHER, ANSWER, now), []);
    assert_eq!((table.next(), table.clear(None)), (None, vec![]));
    assert_eq!((state(&table, KEY), table.get(KEY).unwrap().mac), (Some(State::Static), Some(MAC)));
    assert_eq!(table.remove(KEY), Some(Unknown(KEY)));
    assert_eq!(table.remove(KEY), None);
}

#[test]
fn clearing_is_by_interface() {
    let (mut table, now) = (Neighbors::default(), Instant::now());
    let other = (2, KEY.1);
    table.heard(KEY, MAC, HeardKind::Request, now);
    table.heard(other, MAC, HeardKind::Request, now);
    table.wanted((1, KEY4.1), now);
    assert_eq!(table.of(1).map(|(key, _)| key.1).collect::<Vec<_>>(), [KEY4.1, KEY.1]);
    assert_eq!(table.clear(Some(1)), [Unknown(KEY)]);
    assert_eq!(table.list().map(|(key, _)| *key).collect::<Vec<_>>(), [other]);
}

fn nth(n: u32) -> Key {
    (1, Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(n)).into())
}

#[test]
fn an_interface_has_room_for_so_many() {
    let (mut table, now) = (Neighbors::default(), Instant::now());
    for n in 0..MAX_KNOWN as u32 {
        let at = now + Duration::from_millis(n.into());
        table.wanted(nth(n), at);
        table.heard(nth(n), MAC, ANSWER, at);
    }
    let (new, now) = (nth(100_000), now + 10 * SECOND);
    assert_eq!(table.heard(new, MAC, HeardKind::Request, now), [], "all are fresh");
    assert_eq!((table.refused, table.evicted), (1, 0));
    assert!(!table.heard((2, new.1), MAC, HeardKind::Request, now).is_empty(), "another interface has room");
    let now = now + REACHABLE;
    table.run(now, |_| false);
    let actions = table.heard(new, MAC, HeardKind::Request, now);
    assert_eq!(actions, [Unknown(nth(0)), Known(new, MAC), Stale(new, true)], "the longest unheard gives way");
    assert_eq!((table.refused, table.evicted), (1, 1));
}

/// RFC 6583: who asks for all addresses of a subnet drives out neither who is there nor who is just being found.
#[test]
fn a_scan_drives_out_nobody_who_is_there() {
    let (mut table, now) = (Neighbors::default(), Instant::now());
    table.heard(KEY, MAC, HeardKind::Request, now);
    let mut asked = 0;
    for n in 0..10 * MAX_PENDING as u32 {
        let at = now + Duration::from_micros(n.into());
        asked += table.wanted(nth(n), at).len();
        assert!(table.list().count() <= MAX_PENDING + 1);
    }
    assert_eq!((asked, table.evicted), (10 * MAX_PENDING, 9 * MAX_PENDING as u64));
    assert_eq!(state(&table, KEY), Some(State::Stale));
    // One more that is there answers at once.
    let new = nth(1 << 20);
    table.wanted(new, now + SECOND / 2);
    assert_eq!(table.heard(new, MAC, ANSWER, now + SECOND / 2), [Known(new, MAC)]);
    // Those that failed go before those that are asked.
    run(&mut table, now, 6 * SECOND, false);
    let later = now + 7 * SECOND;
    table.wanted(nth(1 << 21), later);
    table.wanted(nth(1 << 22), later);
    table.wanted(nth(1 << 23), later);
    assert_eq!(state(&table, nth(1 << 21)), Some(State::Incomplete));
}
