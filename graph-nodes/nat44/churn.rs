//! Two million sessions come and go at the limit, on two workers, while rules change and operators clear: nothing is left behind, memory
//! stays what it was, and the limit can be reached again.

use super::rules::{Backend, Filtering, Outside, Pool, Spec, StaticMapping};
use super::state::{Filter, Opening, Refusal};
use super::{Nat44, Rules};
use millrace_engine::Waker;
use millrace_engine::epoch::{Participant, domain};
use millrace_tables::flow::tcp::TcpSegment;
use millrace_tables::flow::{Key, Side, State as FlowState, Ticks, View};
use millrace_wire::TcpFlags;
use std::net::Ipv4Addr;

const WORKERS: usize = 2;
const LIMIT: u32 = 40_000;
const SESSIONS: u32 = 2_000_000;
const WAN: u32 = 2;
const SYN: TcpSegment = TcpSegment { flags: TcpFlags::SYN, sequence: 1, acknowledgment: 0, window: 1000, scale: None };

fn pool(first: u8, last: u8) -> Vec<Ipv4Addr> {
    (first..=last).map(|n| Ipv4Addr::new(203, 0, 113, n)).collect()
}

/// Rules that end sessions of each other.
fn spec(which: u32) -> Spec {
    let external = Ipv4Addr::new(203, 0, 113, 2);
    let server = Backend { address: Ipv4Addr::new(10, 0, 0, 1), port: Some(80), weight: 1 };
    let mapping = StaticMapping {
        protocol: Some(6),
        external,
        external_ports: Some((1024, 40_000)),
        internal: vec![server],
        table: 0,
        affinity: true,
        twice_nat: false,
    };
    let usual = Spec {
        inside: vec![1],
        outside: vec![Outside { interface: WAN, table: 0, addresses: pool(1, 1) }],
        pool: Pool::Addresses(pool(2, 5)),
        max_sessions: LIMIT,
        max_sessions_per_host: 200,
        ..Spec::default()
    };
    match which % 5 {
        0 => usual,
        1 => Spec { pool: Pool::Addresses(pool(4, 6)), ..usual },
        2 => Spec { mappings: vec![mapping], filtering: Filtering::EndpointIndependent, ..usual },
        3 => Spec { max_sessions: LIMIT / 4, max_sessions_per_host: 20, ..usual },
        _ => Spec { pool: Pool::Interface, ..usual },
    }
}

struct Churn {
    nat: Nat44,
    me: Participant,
    now: u64,
    random: u64,
    full: u64,
}

impl Churn {
    fn below(&mut self, bound: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (((self.random >> 32) * u64::from(bound)) >> 32) as u32
    }

    fn ticks(&self) -> Ticks {
        Ticks::from_nanos(self.now)
    }

    /// Does something on each worker, with the rules in force, until there is no more to do.
    fn everywhere(&mut self, mut step: impl FnMut(&mut super::State, &Rules, u32) -> Option<u32>) {
        for worker in 0..WORKERS {
            let mut cursor = Some(0);
            while let Some(from) = cursor {
                let rules = self.nat.rules(&self.me.guard());
                cursor = step(&mut self.nat.state(worker).get().unwrap(), rules, from);
            }
        }
        self.me.quiescent();
        let _ = domain().collect();
    }

    /// A first packet, from inside or back; whether there is a session for it now.
    fn open(&mut self) -> bool {
        let host = Ipv4Addr::from_bits(0x0a00_0000 + self.below(3000));
        let remote = Ipv4Addr::from_bits(0xc000_0200 + self.below(64));
        let protocol = [6, 17, 1][self.below(3) as usize];
        let (port, to) = (self.below(65_536) as u16, if protocol == 1 { 0 } else { 443 });
        let (established, now) = (self.below(3) == 0, self.ticks());
        let rules = self.nat.rules(&self.me.guard());
        let mut state = self.nat.state(rules.host_worker(host)).get().unwrap();
        let key = Key { view: View::new(host, port, remote, to), protocol, table: 0 };
        let opening = Opening { key, tx_interface: WAN, tcp: (protocol == 6).then_some(SYN) };
        let found = state.flows.find(Side::Inside, &key, state.flows.hash(&key));
        let opened = found.map_or_else(|| state.outbound(rules, &opening, now), Ok);
        match opened {
            Ok(id) if established => {
                let grown = if protocol == 6 { FlowState::TcpEstablished } else { FlowState::Replied };
                state.flows.set_state(id, grown, now);
            }
            Ok(_) => {}
            Err(refusal) => {
                assert!(matches!(refusal, Refusal::SessionLimit | Refusal::HostLimit | Refusal::NoPort), "{refusal:?}");
                self.full += u64::from(refusal == Refusal::SessionLimit);
                return false;
            }
        }
        true
    }

    fn expire(&mut self) {
        let now = self.ticks();
        self.everywhere(|state, rules, _| (state.expire(rules, now, 4096) > 0).then_some(0));
    }

    fn sessions(&self) -> u32 {
        (0..WORKERS).map(|worker| self.nat.state(worker).get().unwrap().flows.len()).sum()
    }

    fn memory(&self) -> usize {
        (0..WORKERS).map(|worker| self.nat.state(worker).get().unwrap().memory()).sum()
    }
}

#[test]
fn nothing_is_left_of_millions() {
    let nat = Nat44::new(WORKERS, Waker::new().unwrap()).unwrap();
    let (random, me) = (0x9e37_79b9_7f4a_7c15, domain().register());
    let mut churn = Churn { nat, me, now: 0, random, full: 0 };
    churn.nat.publish(&spec(0));
    let (mut opened, mut attempts, mut memory) = (0, 0_u32, 0);
    while opened < SESSIONS {
        attempts += 1;
        opened += u32::from(churn.open());
        if attempts.is_multiple_of(500) {
            churn.now += u64::from(churn.below(2000)) * 1_000_000;
            churn.expire();
            assert!(churn.sessions() <= LIMIT, "{} sessions", churn.sessions());
        }
        if attempts.is_multiple_of(40_000) {
            let inside = Some(Ipv4Addr::from_bits(0x0a00_0000 + churn.below(3000)));
            let all = Filter { protocol: Some(17), ..Filter::default() };
            let filter = if churn.below(4) == 0 { all } else { Filter { inside, ..Filter::default() } };
            let now = churn.ticks();
            churn.everywhere(|state, rules, from| state.clear(rules, from, 300, &filter, now).1);
        }
        if attempts.is_multiple_of(150_000) {
            let which = churn.below(5);
            churn.nat.publish(&spec(which));
            let now = churn.ticks();
            churn.everywhere(|state, rules, from| state.revalidate(rules, from, 300, now));
        }
        if opened == SESSIONS / 4 {
            memory = memory.max(churn.memory());
        }
    }
    assert!(churn.full > 0, "the limit was never reached");
    let after = churn.memory();
    assert!(after < memory * 3 / 2, "{memory} bytes of memory became {after}");
    // All time that anything may take.
    churn.nat.publish(&spec(0));
    for _ in 0..9000 {
        churn.now += 1_000_000_000;
        churn.expire();
    }
    churn.everywhere(|state, _, _| {
        let left = state.summary();
        assert_eq!((left.sessions, left.mappings, left.hosts), (0, 0, 0));
        assert!(state.is_idle(), "ports in quarantine");
        None
    });
    let rules = churn.nat.rules(&churn.me.guard());
    assert!(rules.all_ports().all(|ports| ports.is_unused() && ports.waiting() == [0; 3]));
    // No right to a session got lost: as many fit as ever.
    while churn.sessions() < LIMIT - 256 {
        attempts += 1;
        let before = churn.sessions();
        churn.open();
        assert!(churn.sessions() >= before && attempts < 100_000_000, "{before} sessions are all that fit");
    }
}
