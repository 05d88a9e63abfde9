//! Two systems with each other, over links that lose PDUs, go down and come up, while systems start anew: whatever happens, nobody sends
//! frames that the other end doesn't take for long, and once it is quiet all links carry frames.

use super::*;
use millrace_wire::lacp::{LacpPort, LacpState};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

/// Milliseconds that a PDU is on its way.
const WAY: u64 = 3;
/// How long it may take until all links work again: a timeout of the slow kind, of the fast kind, and what comes after.
const QUIET: u64 = 130_000;

/// What happens to a link or a system.
#[derive(Clone, Debug)]
enum Event {
    Down(u16),
    Up(u16),
    /// The next PDUs of a side on a link are lost.
    Lose(usize, u16, u8),
    /// A side forgets everything.
    Restart(usize),
    /// A side takes a member away and, with the next of these, back.
    Member(usize, u16),
    /// A side asks for the other rate.
    Rate(usize),
    Wait(u64),
}

fn event(links: u16) -> impl Strategy<Value = Event> {
    let (side, link) = (0..2_usize, 1..=links);
    prop_oneof![
        2 => link.clone().prop_map(Event::Down),
        2 => link.clone().prop_map(Event::Up),
        3 => (side.clone(), link.clone(), 1..40_u8).prop_map(|(side, link, n)| Event::Lose(side, link, n)),
        1 => side.clone().prop_map(Event::Restart),
        1 => (side.clone(), link).prop_map(|(side, link)| Event::Member(side, link)),
        1 => side.prop_map(Event::Rate),
        6 => (1..20_000_u64).prop_map(Event::Wait),
    ]
}

/// Two bonds and the links between them.
struct Wire {
    start: Instant,
    now: u64,
    sides: [Aggregator; 2],
    links: BTreeMap<u16, bool>,
    lose: BTreeMap<(usize, u16), u8>,
    /// What is on its way: when it arrives, at which side, on which link.
    flying: VecDeque<(u64, usize, u16, Lacpdu)>,
    /// When PDUs were sent by a port lately.
    sent: BTreeMap<(usize, u16), VecDeque<u64>>,
    /// Since when a port sends frames that the other end drops.
    astray: BTreeMap<(usize, u16), u64>,
}

fn settings(side: usize) -> Settings {
    Settings { system: MacAddr([2, 0, 0, 0, 0, side as u8 + 1]), key: 1 + side as u16, fast: false, min_links: 1 }
}

impl Wire {
    fn new(links: u16, fast: [bool; 2]) -> Wire {
        let side = |side| Aggregator::new(Settings { fast: fast[side], ..settings(side) });
        let mut wire = Wire {
            start: Instant::now(),
            now: 0,
            sides: [side(0), side(1)],
            links: (1..=links).map(|link| (link, true)).collect(),
            lose: BTreeMap::new(),
            flying: VecDeque::new(),
            sent: BTreeMap::new(),
            astray: BTreeMap::new(),
        };
        (0..2).for_each(|side| (1..=links).for_each(|link| wire.join(side, link)));
        wire
    }

    fn at(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }

    fn join(&mut self, side: usize, link: u16) {
        let now = self.at();
        self.sent.remove(&(side, link));
        let mut sends = self.sides[side].add(link, now);
        sends.extend(self.sides[side].set_enabled(link, self.links[&link], now));
        self.send(side, sends);
    }

    fn send(&mut self, side: usize, sends: Vec<Send>) {
        for Send { port, pdu } in sends {
            let lately = self.sent.entry((side, port)).or_default();
            lately.retain(|then| then + 1000 > self.now);
            lately.push_back(self.now);
            // The last word of a port that leaves comes besides.
            assert!(lately.len() <= MOST_SENT + 1, "side {side} floods link {port}");
            let lost = self.lose.get_mut(&(side, port)).filter(|left| **left > 0);
            match lost {
                Some(left) => *left -= 1,
                None if self.links[&port] => self.flying.push_back((self.now + WAY, 1 - side, port, pdu)),
                None => {}
            }
        }
    }

    fn set_link(&mut self, link: u16, up: bool) {
        self.links.insert(link, up);
        if !up {
            self.flying.retain(|(_, _, port, _)| *port != link);
        }
        for side in 0..2 {
            let now = self.at();
            let sends = self.sides[side].set_enabled(link, up, now);
            self.send(side, sends);
        }
    }

    fn happen(&mut self, event: &Event) {
        let now = self.at();
        match *event {
            Event::Down(link) => self.set_link(link, false),
            Event::Up(link) => self.set_link(link, true),
            Event::Lose(side, link, n) => drop(self.lose.insert((side, link), n)),
            Event::Restart(side) => {
                self.sides[side] = Aggregator::new(self.sides[side].settings());
                (1..=self.links.len() as u16).for_each(|link| self.join(side, link));
            }
            Event::Member(side, link) => match self.sides[side].port(link).is_some() {
                true => {
                    let sends = self.sides[side].remove(link, now);
                    self.send(side, sends);
                }
                false => self.join(side, link),
            },
            Event::Rate(side) => {
                let settings = self.sides[side].settings();
                let sends = self.sides[side].set(Settings { fast: !settings.fast, ..settings }, now);
                self.send(side, sends);
            }
            Event::Wait(time) => self.pass(time),
        }
        self.check();
    }

    /// Time passes.
    fn pass(&mut self, time: u64) {
        let end = self.now + time;
        loop {
            let due = |side: &Aggregator| Some(side.next()?.saturating_duration_since(self.start).as_millis() as u64);
            let timers = self.sides.iter().filter_map(due);
            let Some(next) = timers.chain(self.flying.front().map(|pdu| pdu.0)).min().filter(|next| *next <= end)
            else {
                break;
            };
            // Nothing is due in the past: that would be a loop without an end.
            assert!(next >= self.now, "what was due is done");
            self.now = next;
            let now = self.at();
            while let Some((_, side, link, pdu)) = self.flying.pop_front_if(|pdu| pdu.0 <= next) {
                let sends = self.sides[side].received(link, &pdu, now);
                self.send(side, sends);
            }
            for side in 0..2 {
                let sends = self.sides[side].run(now);
                self.send(side, sends);
                let again = self.sides[side].next();
                assert!(again.is_none_or(|again| again > now), "side {side} has nothing more to do now");
            }
            self.check();
        }
        self.now = end;
    }

    /// What holds at any moment.
    fn check(&mut self) {
        for side in 0..2 {
            for port in self.sides[side].ports() {
                let state = port.actor().state;
                let has = |bit| state.has(bit);
                assert!(!port.is_distributing() || port.is_collecting(), "who sends also takes");
                assert!(!port.is_collecting() || has(LacpState::SYNCHRONIZATION) && port.is_selected());
                assert!(!port.is_collecting() || self.links[&port.number()], "a link that is down carries nothing");
                let other = self.sides[1 - side].port(port.number());
                let taken = other.is_some_and(Port::is_collecting);
                let key = (side, port.number());
                if port.is_distributing() && !taken {
                    self.astray.entry(key).or_insert(self.now);
                } else {
                    self.astray.remove(&key);
                }
            }
        }
        let sides = &self.sides;
        self.astray.retain(|(side, port), _| sides[*side].port(*port).is_some());
        // Bounded by the timeout: slow, and then what was on its way.
        for (key, since) in &self.astray {
            assert!(self.now - since <= 90_000 + WAY, "{key:?} sends to nobody since {since}");
        }
    }

    /// Links that carry frames both ways.
    fn working(&self) -> Vec<u16> {
        let works = |link: &u16| self.sides.iter().all(|side| side.port(*link).is_some_and(Port::is_distributing));
        self.links.keys().copied().filter(works).collect()
    }
}

#[test]
fn two_systems_agree_within_seconds() {
    for fast in [[false, false], [true, false], [false, true], [true, true]] {
        let mut wire = Wire::new(4, fast);
        // Two seconds of waiting, and then each has at most three things to say in a second.
        wire.pass(3_100);
        assert_eq!(wire.working(), [1, 2, 3, 4], "{fast:?}");
        // Each knows the other, and what it wants.
        for side in 0..2 {
            for port in wire.sides[side].ports() {
                let LacpPort { system, key, port: number, state, .. } = *port.partner();
                let other = settings(1 - side);
                assert_eq!((system, key, number), (other.system, other.key, port.number()));
                assert_eq!(state.has(LacpState::TIMEOUT), fast[1 - side]);
            }
        }
        // In a minute of peace, each tells as often as the other wants.
        wire.pass(10_000);
        let mut told = [0; 2];
        for _ in 0..60 {
            wire.sent.clear();
            wire.pass(1_000);
            (0..2).for_each(|side| told[side] += wire.sent.get(&(side, 1)).map_or(0, VecDeque::len));
        }
        assert_eq!(told, [0, 1].map(|side: usize| if fast[1 - side] { 60 } else { 2 }), "{fast:?}");
    }
}

#[test]
fn one_that_starts_anew_is_back_within_seconds() {
    let mut wire = Wire::new(2, [false, false]);
    wire.pass(5_000);
    wire.happen(&Event::Restart(1));
    wire.pass(50);
    assert_eq!(wire.working(), [0; 0], "its first words end what was agreed on");
    assert!(wire.astray.is_empty(), "for both");
    wire.pass(2_100);
    assert_eq!(wire.working(), [1, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn whatever_happens_all_links_work_in_the_end(
        links in 1..=3_u16,
        fast: [bool; 2],
        events in prop::collection::vec(event(3), 0..40)
    ) {
        let mut wire = Wire::new(links, fast);
        let on_links = |event: &&Event| !matches!(event, Event::Down(l) | Event::Up(l) | Event::Lose(_, l, _)
            | Event::Member(_, l) if *l > links);
        events.iter().filter(on_links).for_each(|event| wire.happen(event));
        // It is quiet.
        wire.lose.clear();
        for link in 1..=links {
            if !wire.links[&link] {
                wire.set_link(link, true);
            }
            (0..2).for_each(|side| if wire.sides[side].port(link).is_none() { wire.join(side, link) });
        }
        wire.pass(QUIET);
        prop_assert_eq!(wire.working(), (1..=links).collect::<Vec<_>>());
        prop_assert!(wire.astray.is_empty());
        // And stays so, without a word more than the partners want.
        wire.sent.clear();
        wire.pass(1_000);
        prop_assert!(wire.sent.values().all(|sent| sent.len() <= 1));
        wire.pass(300_000);
        prop_assert_eq!(wire.working(), (1..=links).collect::<Vec<_>>());
    }
}
