use super::*;

const KEY: Key = (1, Ipv4Addr::new(10, 0, 0, 9));
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 10]);
const SECOND: Duration = Duration::from_secs(1);

fn state(table: &Neighbors) -> Option<State> {
    table.get(KEY).map(|n| n.state)
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

#[test]
fn three_questions_and_then_no_more() {
    let (mut table, now) = (Neighbors::default(), Instant::now());
    assert_eq!(table.wanted(KEY, now), [Action::Ask(KEY, None)]);
    assert_eq!(table.wanted(KEY, now + SECOND / 2), [], "it is being asked");
    let actions = run(&mut table, now, 3 * SECOND, false);
    assert_eq!(actions, [(1, Action::Ask(KEY, None)), (2, Action::Ask(KEY, None)), (3, Action::Failed(KEY))]);
    assert_eq!(state(&table), Some(State::Failed));
    assert_eq!(table.wanted(KEY, now + 3 * SECOND + HOLD_DOWN / 2), [], "held down");
    assert_eq!(table.wanted(KEY, now + 3 * SECOND + HOLD_DOWN), [Action::Ask(KEY, None)]);
    run(&mut table, now, 6 * SECOND + FAILED + SECOND, false);
    assert_eq!(state(&table), None, "forgotten at last");
    assert_eq!(table.next(), None);
}

#[test]
fn an_answer_makes_it_known_and_silence_makes_it_stale() {
    let (mut table, now) = (Neighbors::default(), Instant::now());
    table.wanted(KEY, now);
    assert_eq!(table.heard(KEY, MAC, HeardKind::Reply, now), [Action::Known(KEY, MAC)]);
    assert_eq!(state(&table), Some(State::Reachable));
    assert_eq!(run(&mut table, now, REACHABLE, false), []);
    assert_eq!(state(&table), Some(State::Stale));
    // Asked directly, it answers: all as before, and nothing for forwarding to do.
    assert_eq!(run(&mut table, now, REACHABLE + STALE, false), [(60, Action::Ask(KEY, Some(MAC)))]);
    assert_eq!(state(&table), Some(State::Probe));
    assert_eq!(table.heard(KEY, MAC, HeardKind::Reply, now + REACHABLE + STALE), []);
    assert_eq!(state(&table), Some(State::Reachable));
}

#[test]
fn the_dead_are_forgotten_but_next_hops_stay() {
    for in_use in [false, true] {
        let (mut table, now) = (Neighbors::default(), Instant::now());
        table.heard(KEY, MAC, HeardKind::Request, now);
        let ask = Action::Ask(KEY, Some(MAC));
        let mut expected = vec![(60, ask), (61, ask), (62, ask), (63, Action::Unknown(KEY))];
        if in_use {
            expected.push((63, Action::Failed(KEY)));
        }
        assert_eq!(run(&mut table, now, 63 * SECOND, in_use), expected);
        assert_eq!(state(&table), in_use.then_some(State::Failed));
        assert_eq!(run(&mut table, now, 500 * SECOND, in_use), []);
        assert_eq!(state(&table), in_use.then_some(State::Failed));
    }
}

#[test]
fn only_who_asks_for_us_is_learnt_uncalled() {
    let (mut table, now) = (Neighbors::default(), Instant::now());
    assert_eq!(table.heard(KEY, MAC, HeardKind::Gratuitous, now), []);
    assert_eq!(table.heard(KEY, MAC, HeardKind::Reply, now), []);
    assert_eq!(state(&table), None);
    assert_eq!(table.heard(KEY, MAC, HeardKind::Request, now), [Action::Known(KEY, MAC)]);
    assert_eq!(table.heard(KEY, OTHER, HeardKind::Gratuitous, now), [Action::Known(KEY, OTHER)], "it moved");
    assert_eq!(table.get(KEY).unwrap().mac, Some(OTHER));
}

#[test]
fn static_ones_change_by_configuration_only() {
    let (mut table, now) = (Neighbors::default(), Instant::now());
    table.heard(KEY, OTHER, HeardKind::Request, now);
    assert_eq!(table.set_static(KEY, MAC, now), Action::Known(KEY, MAC));
    assert_eq!(table.heard(KEY, OTHER, HeardKind::Request, now), []);
    assert_eq!((table.next(), table.clear(None)), (None, vec![]));
    assert_eq!((state(&table), table.get(KEY).unwrap().mac), (Some(State::Static), Some(MAC)));
    assert_eq!(table.remove(KEY), Some(Action::Unknown(KEY)));
    assert_eq!(table.remove(KEY), None);
}

#[test]
fn clearing_is_by_interface() {
    let (mut table, now) = (Neighbors::default(), Instant::now());
    let other = (2, KEY.1);
    table.heard(KEY, MAC, HeardKind::Request, now);
    table.heard(other, MAC, HeardKind::Request, now);
    table.wanted((1, Ipv4Addr::new(10, 0, 0, 77)), now);
    assert_eq!(table.clear(Some(1)), [Action::Unknown(KEY)]);
    assert_eq!(table.list().map(|(key, _)| *key).collect::<Vec<_>>(), [other]);
}

#[test]
fn an_interface_has_room_for_so_many() {
    let (mut table, now) = (Neighbors::default(), Instant::now());
    let nth = |n: u32| (1, Ipv4Addr::from_bits(0x0a00_0000 + n));
    for n in 0..MAX_PER_INTERFACE as u32 {
        table.heard(nth(n), MAC, HeardKind::Request, now + Duration::from_millis(n.into()));
    }
    assert_eq!(table.wanted(nth(100_000), now), [], "all are fresh");
    assert_eq!((table.refused, table.evicted), (1, 0));
    assert_eq!(table.wanted((2, nth(100_000).1), now), [Action::Ask((2, nth(100_000).1), None)]);
    table.run(now + REACHABLE + SECOND, |_| false);
    let actions = table.wanted(nth(100_000), now + REACHABLE + SECOND);
    assert_eq!(actions, [Action::Unknown(nth(0)), Action::Ask(nth(100_000), None)]);
    assert_eq!((table.refused, table.evicted), (1, 1));
}
