use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::super::record::Owner;
use super::super::state::{ICMP, TCP, UDP};
use super::super::view::View;
use super::*;

const SIDES: [Side; 2] = [Side::Inside, Side::Outside];
/// Ticks of a slot of the wheel.
const SLOT: u32 = 16;

fn view(source: u32, destination: u32, port: u16) -> View {
    View::new(Ipv4Addr::from_bits(source), port, Ipv4Addr::from_bits(destination), 53)
}

/// A flow that no other number has a key of.
fn flow(number: u32) -> NewFlow {
    let (protocol, state) = match number % 4 {
        0 => (TCP, State::TcpOpening),
        1 => (UDP, State::Unreplied),
        2 => (ICMP, State::Replied),
        _ => (UDP, State::Replied),
    };
    let views = [view(number, 1, 1), view(1, number ^ 0x8000_0000, 2)];
    NewFlow { views, protocol, table: 3, owner: Owner::Nat44, opener: Side::Inside, state }
}

/// The slow one: all flows, looked at one by one.
#[derive(Default)]
struct Reference {
    flows: BTreeMap<FlowId, Entry>,
    timeouts: Timeouts,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    new: NewFlow,
    state: State,
    last: Ticks,
}

impl Reference {
    fn left(&self, id: FlowId, now: Ticks) -> Ticks {
        let entry = self.flows[&id];
        Ticks::from_secs(self.timeouts.of(entry.new.protocol, entry.state)).less(now.since(entry.last))
    }

    /// How long a flow's time has been over. None if it isn't.
    fn over(&self, id: FlowId, now: Ticks) -> Option<u32> {
        let entry = self.flows[&id];
        let span = Ticks::from_secs(self.timeouts.of(entry.new.protocol, entry.state));
        now.since(entry.last).0.checked_sub(span.0)
    }

    fn agrees(&self, table: &FlowTable, now: Ticks) {
        assert_eq!(table.len() as usize, self.flows.len());
        assert_eq!(table.is_empty(), self.flows.is_empty());
        for (&id, entry) in &self.flows {
            for side in SIDES {
                let table_number = if side == Side::Inside { entry.new.table } else { 0 };
                let view = entry.new.views[side as usize];
                let key = Key { view, protocol: entry.new.protocol, table: table_number };
                assert_eq!(table.find(side, &key, table.hash(&key)), Some(id));
                assert_eq!(table.candidate(table.hash(&key)), id);
                assert_eq!(table.find(side, &Key { table: 9, ..key }, table.hash(&key)), None);
                assert_eq!(table.find(side.other(), &key, table.hash(&key)), None);
            }
            let flow = table.get(id).unwrap();
            assert_eq!((flow.state(), flow.last()), (entry.state, entry.last));
            assert_eq!(table.expires_in(id, now), self.left(id, now));
        }
        for (state, count) in table.count_by_state() {
            assert_eq!(count as usize, self.flows.values().filter(|entry| entry.state == state).count());
        }
        for protocol in [TCP, UDP, ICMP, 47] {
            let wanted = self.flows.values().filter(|entry| entry.new.protocol == protocol).count();
            assert_eq!(table.count_by_protocol(protocol) as usize, wanted);
        }
        let (all, next) = table.scan(0, usize::MAX);
        assert!(next.is_none() && all.map(|(id, _)| id).eq(self.flows.keys().copied()));
    }

    /// That of all that may go, none is due a slot earlier.
    fn oldest_agrees(&self, oldest: Option<FlowId>, now: Ticks) {
        let transitory = |(_, entry): &(&FlowId, &Entry)| entry.state.is_transitory(entry.new.protocol);
        let least = self.flows.iter().filter(transitory).map(|(&id, _)| self.left(id, now)).min_by_key(|left| left.0);
        assert_eq!(oldest.is_some(), least.is_some());
        if let (Some(oldest), Some(least)) = (oldest, least) {
            assert!(transitory(&(&oldest, &self.flows[&oldest])));
            assert!(self.left(oldest, now).0 < least.0 + SLOT);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u32),
    Remove(usize),
    Touch(usize),
    SetState(usize, usize),
    Wait(u32),
    Expire(usize),
    Timeouts(Timeouts),
    Oldest,
}

fn steps() -> impl Strategy<Value = Step> {
    let timeouts = (1..600_u32, 1..20_000_u32, 1..600_u32, 1..600_u32);
    let timeouts = timeouts.prop_map(|(udp, tcp_established, tcp_transitory, icmp)| Timeouts {
        udp,
        tcp_established,
        tcp_transitory,
        icmp,
    });
    prop_oneof![
        12 => (0..60_u32).prop_map(Step::Insert),
        2 => any::<usize>().prop_map(Step::Remove),
        6 => any::<usize>().prop_map(Step::Touch),
        6 => (any::<usize>(), 0..7_usize).prop_map(|(which, state)| Step::SetState(which, state)),
        6 => (0..2000_u32).prop_map(Step::Wait),
        1 => (0..200_000_u32).prop_map(Step::Wait),
        4 => (0..8_usize).prop_map(Step::Expire),
        4 => Just(Step::Expire(usize::MAX)),
        1 => timeouts.prop_map(Step::Timeouts),
        4 => Just(Step::Oldest),
    ]
}

fn pick(flows: &BTreeMap<FlowId, Entry>, which: usize) -> Option<FlowId> {
    flows.keys().nth(which % flows.len().max(1)).copied()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_with_the_reference(
        steps in prop::collection::vec(steps(), 0..300),
        start in prop_oneof![Just(0_u32), u32::MAX - 20_000..=u32::MAX, any::<u32>()],
    ) {
        const MAX: u32 = 40;
        let (mut table, mut reference) = (FlowTable::new(MAX).unwrap(), Reference::default());
        let mut now = Ticks(start);
        for step in steps {
            match step {
                Step::Insert(number) => {
                    let new = flow(number);
                    let exists = reference.flows.iter().find(|(_, entry)| entry.new == new).map(|(&id, _)| id);
                    match table.insert(&new, now) {
                        Ok(id) => {
                            prop_assert!(exists.is_none() && (1..=MAX).contains(&id));
                            let entry = Entry { new, state: new.state, last: now };
                            prop_assert!(reference.flows.insert(id, entry).is_none());
                        }
                        Err(InsertError::Full) => prop_assert_eq!(reference.flows.len() as u32, MAX),
                        Err(InsertError::Exists(id)) => prop_assert_eq!(Some(id), exists),
                    }
                }
                Step::Remove(which) => {
                    if let Some(id) = pick(&reference.flows, which) {
                        let (gone, entry) = (table.remove(id).unwrap(), reference.flows.remove(&id).unwrap());
                        prop_assert_eq!([gone.view(Side::Inside), gone.view(Side::Outside)], entry.new.views);
                        prop_assert!(table.remove(id).is_none() && table.get(id).is_none());
                    }
                }
                Step::Touch(which) => {
                    if let Some(id) = pick(&reference.flows, which) {
                        table.get_mut(id).unwrap().touch(now);
                        reference.flows.get_mut(&id).unwrap().last = now;
                    }
                }
                Step::SetState(which, state) => {
                    if let Some(id) = pick(&reference.flows, which) {
                        table.set_state(id, State::ALL[state], now);
                        reference.flows.get_mut(&id).unwrap().state = State::ALL[state];
                    }
                }
                Step::Wait(ticks) => now = now + Ticks(ticks),
                Step::Expire(budget) => {
                    let mut gone = BTreeSet::new();
                    let looked = table.expire(now, budget, |id, _| assert!(gone.insert(id)));
                    prop_assert!(looked <= budget && gone.len() <= looked);
                    for id in gone {
                        prop_assert!(reference.over(id, now).is_some());
                        reference.flows.remove(&id);
                    }
                    if looked < budget {
                        // A slot ends no later than a slot after the deadline.
                        prop_assert!(reference.flows.keys().all(|&id| reference.over(id, now).is_none_or(|over| over < SLOT)));
                    }
                }
                Step::Timeouts(timeouts) => {
                    table.set_timeouts(&timeouts);
                    reference.timeouts = timeouts;
                    // All filed anew.
                    let mut gone = Vec::new();
                    while table.expire(now, 1000, |id, _| gone.push(id)) == 1000 {}
                    for id in gone {
                        prop_assert!(reference.over(id, now).is_some());
                        reference.flows.remove(&id);
                    }
                }
                Step::Oldest => {
                    let oldest = table.oldest_transitory(now);
                    reference.oldest_agrees(oldest, now);
                }
            }
            reference.agrees(&table, now);
        }
    }
}

#[test]
fn deadlines_beyond_the_wheel() {
    let mut table = FlowTable::new(10).unwrap();
    table.set_timeouts(&Timeouts { udp: u32::MAX, tcp_established: 100_000, tcp_transitory: 20_000, icmp: 1 });
    let start = Ticks(u32::MAX - 77);
    let long = table.insert(&NewFlow { state: State::TcpEstablished, ..flow(4) }, start).unwrap();
    let longer = table.insert(&NewFlow { state: State::TcpOpening, ..flow(8) }, start).unwrap();
    let longest = table.insert(&flow(1), start).unwrap();
    let mut gone = Vec::new();
    for tick in (0..Ticks::from_secs(110_000).0).step_by(7) {
        let now = start + Ticks(tick);
        table.expire(now, 100, |id, _| gone.push((id, now.since(start))));
    }
    let [(first, at), (second, later)] = gone[..] else { panic!("{gone:?}") };
    assert_eq!((first, second), (longer, long));
    for (at, secs) in [(at, 20_000), (later, 100_000)] {
        let due = Ticks::from_secs(secs).0;
        assert!((due..due + SLOT + 7).contains(&at.0), "{} for {due}", at.0);
    }
    assert!(table.get(longest).is_some());
    assert_eq!(table.oldest_transitory(start), Some(longest));
}

#[test]
fn a_pause_longer_than_the_wheel_turns() {
    let mut table = FlowTable::new(100).unwrap();
    for number in 0..100 {
        table.insert(&flow(number), Ticks(number)).unwrap();
    }
    let now = Ticks(10_000_000);
    let mut gone = 0;
    while table.expire(now, 7, |_, _| gone += 1) == 7 {}
    assert_eq!((gone, table.len()), (100, 0));
    let id = table.insert(&flow(1), now).unwrap();
    assert_eq!(table.expire(now + Ticks::from_secs(299), 7, |_, _| ()), 0);
    assert_eq!(table.oldest_transitory(now), Some(id));
    assert_eq!(table.expire(now + Ticks::from_secs(302), 7, |_, _| ()), 1);
}

#[test]
fn either_key_counts() {
    let mut table = FlowTable::new(10).unwrap();
    let first = table.insert(&flow(1), Ticks(0)).unwrap();
    let inside = NewFlow { views: [flow(1).views[0], flow(2).views[1]], ..flow(1) };
    let outside = NewFlow { views: [flow(2).views[0], flow(1).views[1]], ..flow(1) };
    assert_eq!(table.insert(&inside, Ticks(0)), Err(InsertError::Exists(first)));
    assert_eq!(table.insert(&outside, Ticks(0)), Err(InsertError::Exists(first)));
    // Another table or protocol has other keys; from outside, only another protocol.
    assert_eq!(table.insert(&NewFlow { table: 4, ..flow(1) }, Ticks(0)), Err(InsertError::Exists(first)));
    assert!(table.insert(&NewFlow { table: 4, ..inside }, Ticks(0)).is_ok());
    assert!(table.insert(&NewFlow { protocol: 47, ..flow(1) }, Ticks(0)).is_ok());
    // One key of both sides is two flows' if they are from different sides.
    let identity = view(7, 8, 9);
    let new = NewFlow { views: [identity, identity.swapped()], protocol: UDP, table: 0, ..flow(1) };
    let there = table.insert(&new, Ticks(0)).unwrap();
    let back = table.insert(&NewFlow { views: [identity.swapped(), identity], ..new }, Ticks(0)).unwrap();
    let key = Key { view: identity, protocol: UDP, table: 0 };
    let hash = table.hash(&key);
    assert_eq!(
        (table.find(Side::Inside, &key, hash), table.find(Side::Outside, &key, hash)),
        (Some(there), Some(back))
    );
    assert!(table.get(there).unwrap().identity());
    table.remove(there);
    assert_eq!((table.find(Side::Inside, &key, hash), table.find(Side::Outside, &key, hash)), (None, Some(back)));
}

#[test]
fn half_a_flow_is_none() {
    let mut table = FlowTable::new(10).unwrap();
    let new = flow(1);
    let keys = SIDES.map(|side| Flow::new(&new, Ticks(0)).key(side));
    let [inside, outside] = keys.map(|key| table.hash(&key));
    while table.index.insert(outside, 9).is_ok() {}
    assert_eq!(table.insert(&new, Ticks(0)), Err(InsertError::Full));
    assert_eq!(table.index.first(inside), 0);
    while table.index.remove(outside, 9) {}
    assert_eq!(table.insert(&new, Ticks(0)), Ok(1));
}

#[test]
fn full_and_dense() {
    const MAX: u32 = 1000;
    let mut table = FlowTable::new(MAX).unwrap();
    assert_eq!(table.max(), MAX);
    let ids: Vec<_> = (0..MAX).map(|number| table.insert(&flow(number), Ticks(0)).unwrap()).collect();
    assert_eq!(table.insert(&flow(MAX), Ticks(0)), Err(InsertError::Full));
    let memory = table.memory();
    // For long enough, each in the room of another.
    for number in MAX..20 * MAX {
        let id = ids[number as usize * 7 % ids.len()];
        assert!(table.remove(id).is_some());
        assert_eq!(table.insert(&flow(number), Ticks(number)), Ok(id));
    }
    assert_eq!((table.len(), table.memory()), (MAX, memory));
    assert_eq!((table.get(0).is_none(), table.get(MAX + 1).is_none()), (true, true));
    assert!(table.remove(0).is_none() && table.get_mut(u32::MAX).is_none());
    assert_eq!(table.candidate(Hash::from_u32(1)), 0);
    table.prefetch_flow(u32::MAX);
}

#[test]
fn scanned_in_pieces() {
    let mut table = FlowTable::new(100).unwrap();
    let mut live: BTreeSet<_> = (0..50).map(|number| table.insert(&flow(number), Ticks(0)).unwrap()).collect();
    for id in [1, 7, 8, 50] {
        assert!(live.remove(&id) && table.remove(id).is_some());
    }
    for piece in [1, 3, 7, 49, 50, 1000] {
        let (mut seen, mut from) = (Vec::new(), Some(0));
        while let Some(at) = from {
            let (flows, next) = table.scan(at, piece);
            seen.extend(flows.map(|(id, _)| id));
            from = next;
        }
        assert!(seen.iter().eq(&live), "by {piece}");
    }
    assert_eq!(FlowTable::new(5).unwrap().scan(0, 10).1, None);
}

#[test]
fn two_hours_of_many_flows() {
    // Each lives until its deadline passes, to the slot, whatever was in use meanwhile.
    let mut table = FlowTable::new(5000).unwrap();
    let mut due: BTreeMap<FlowId, u32> = BTreeMap::new();
    let mut random = 1_u64;
    let mut number = 0;
    for tick in (0..Ticks::from_secs(7200).0).step_by(3) {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let now = Ticks(tick) + Ticks(u32::MAX - 50_000);
        if random >> 62 == 0
            && let Ok(id) = table.insert(&flow(number), now)
        {
            number += 1;
            due.insert(id, tick + table.expires_in(id, now).0);
        }
        if let Some(id) = pick_any(&due, random >> 20) {
            table.get_mut(id).unwrap().touch(now);
            due.insert(id, tick + table.expires_in(id, now).0);
        }
        table.expire(now, 64, |id, _| {
            let deadline = due.remove(&id).unwrap();
            assert!((deadline..deadline + SLOT + 3).contains(&tick), "{tick} for {deadline}");
        });
        assert!(tick % 300 != 0 || due.values().all(|&deadline| tick < deadline + SLOT + 3));
    }
    assert_eq!(table.len() as usize, due.len());
    assert!(number > 8000, "{number}");
}

fn pick_any(due: &BTreeMap<FlowId, u32>, random: u64) -> Option<FlowId> {
    let last = *due.last_key_value()?.0;
    due.range(1 + random as u32 % last..).next().map(|(&id, _)| id)
}
