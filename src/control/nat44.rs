//! NAT44 as control has it: the rules made of the configuration and the interfaces, what comes with them, the sessions that
//! the workers keep, and the log of mappings.
//!
//! Workers keep their sessions to themselves. Whoever wants to see or end some sends jobs to them, a few hundred sessions each,
//! so that no worker and no caller of control ever waits long.

mod apply;
mod limiter;
pub mod log;
pub mod sessions;
mod syslog;
#[cfg(test)]
pub mod tests;
mod wanted;

use super::Router;
use log::Log;
use millrace_config::{Name, Nat44 as Config};
use millrace_engine::clock;
use millrace_graph_nodes::nat44::Nat44;
use millrace_graph_nodes::nat44::log::LogEvent;
use millrace_tables::flow::Ticks;
use sessions::Walk;
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant, SystemTime};
use syslog::Mapped;
use wanted::Wanted;

/// Events taken in at once, so that others have their turn.
const EVENTS_AT_ONCE: usize = 1024;

/// See the module.
#[derive(Debug)]
pub struct Nat {
    /// What the packet path shares.
    path: Nat44,
    /// What of the configuration is in force.
    config: Config,
    /// What was made of it.
    applied: Wanted,
    log: Log,
    /// All translation ends, and the log with it as soon as it has told of that.
    last_words: bool,
    /// Addresses that interfaces answer for, still to be announced.
    unannounced: VecDeque<(u32, Ipv4Addr)>,
    /// How far the search for sessions that the rules don't carry has come.
    looking: Option<Walk>,
}

impl Nat {
    /// Translates nothing yet.
    pub fn new(path: Nat44) -> Nat {
        Nat {
            path,
            config: Config::default(),
            applied: Wanted::default(),
            log: Log::off(),
            last_words: false,
            unannounced: VecDeque::new(),
            looking: None,
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Puts another log in place, which goes on counting.
    fn replace_log(&mut self, mut log: Log) {
        log.follow(&self.log);
        self.log = log;
    }

    /// What became of the news of mappings; none while nobody wants them.
    pub fn log_counts(&self) -> Option<log::Counts> {
        self.config.log.mappings.then_some(self.log.counts())
    }
}

impl Router {
    /// Takes in what the workers say of mappings.
    fn collect_nat44_log(&mut self) {
        let Router { nat44: Nat { path, log, .. }, events, vrfs, control, .. } = self;
        let now = (Instant::now(), SystemTime::now(), Ticks::from_nanos(clock::now()));
        for _ in 0..EVENTS_AT_ONCE {
            let Some(event) = path.log().pop() else { return };
            log.tell(|| mapped(&event, (now.1, now.2), vrfs), events, now.0);
        }
        control.wake();
    }
}

fn mapped(event: &LogEvent, (time, now): (SystemTime, Ticks), vrfs: &BTreeMap<Name, u32>) -> Mapped {
    Mapped {
        // Events are taken in at once unless there are too many.
        time: time - Duration::from_secs(now.since(event.at).as_secs().into()),
        added: event.added,
        protocol: event.protocol,
        vrf: vrf_name(vrfs, event.table),
        inside: SocketAddrV4::new(event.inside, event.inside_port),
        outside: SocketAddrV4::new(event.outside, event.outside_port),
    }
}

/// The name of the VRF with this table.
pub fn vrf_name(vrfs: &BTreeMap<Name, u32>, table: u16) -> String {
    vrfs.iter().find(|(_, of)| **of == u32::from(table)).map(|(name, _)| name.to_string()).unwrap_or_default()
}
