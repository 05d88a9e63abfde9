//! From what NAT is to what it shall be, while packets flow.
//!
//! Features go off before the rules that they follow, and on behind them; routes come before, so that a table without room stops
//! a change before anything has happened. Sessions that the new rules don't carry are looked for afterwards, a few at a time.

use super::Nat;
use super::log::Log;
use super::wanted::{Wanted, wanted};
use crate::control::Router;
use crate::control::routes::{Origin, Path, Source, host};
use millrace_config::Nat44 as Config;
use millrace_engine::{ArcName, NodeName};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The one source of routes of NAT.
const SOURCE: Source = Source(Origin::Nat, 0);
/// Addresses announced in a second.
const ANNOUNCED: usize = 256;
/// How long a change may look through sessions before others have their turn.
const AT_ONCE: Duration = Duration::from_millis(50);
/// How long it goes on whenever it is its turn again.
const LATER: Duration = Duration::from_millis(2);

impl Router {
    /// Translates as a configuration says from now on.
    ///
    /// # Errors
    /// There is no room for its routes, or no socket for its log; all is as it was.
    pub(in crate::control) fn set_nat44(&mut self, config: &Config) -> Result<(), String> {
        let log = match self.nat44.log.is_as(&config.log) {
            true => None,
            false => Some(Log::new(&config.log, Instant::now())?),
        };
        let nat44 = &mut self.nat44;
        let before = (std::mem::replace(&mut nat44.config, config.clone()), nat44.last_words);
        // When all translation ends, the end of its mappings is still told.
        nat44.last_words = config.is_off() && !config.log.mappings && (before.0.log.mappings || before.1);
        if let Err(error) = self.change_nat44() {
            (self.nat44.config, self.nat44.last_words) = before;
            return Err(error);
        }
        // What came before is told as it was asked for then.
        self.collect_nat44_log();
        if let Some(log) = log.filter(|_| !self.nat44.last_words) {
            self.nat44.replace_log(log);
        }
        Ok(())
    }

    /// Takes in what became of addresses, interfaces and VRFs.
    pub(in crate::control) fn follow_nat44(&mut self) {
        if self.nat44.config.is_off() && self.nat44.applied == Wanted::default() {
            return;
        }
        if let Err(error) = self.change_nat44() {
            tracing::warn!(%error, "not all of a change took effect on nat44");
        }
    }

    fn change_nat44(&mut self) -> Result<(), String> {
        let mut wanted = wanted(&self.nat44.config, &self.interfaces, &self.vrfs);
        wanted.spec.log |= self.nat44.last_words;
        if wanted == self.nat44.applied {
            return Ok(());
        }
        let new_rules = wanted.spec != self.nat44.applied.spec;
        self.add_routes(&wanted.routes)?;
        let old = std::mem::replace(&mut self.nat44.applied, wanted.clone());
        self.switch_nat44(old.features.difference(&wanted.features), false);
        for (table, address) in old.routes.difference(&wanted.routes) {
            self.routes.unset(*table, host((*address).into()), SOURCE);
        }
        if new_rules {
            self.nat44.path.publish(&self.nat44.applied.spec);
            self.nat44.look_again();
        }
        self.switch_nat44(wanted.features.difference(&old.features), true);
        self.answer_for(&old, &wanted);
        self.engine.tables_changed();
        self.revalidate_nat44(AT_ONCE);
        Ok(())
    }

    fn add_routes(&mut self, wanted: &BTreeSet<(u32, Ipv4Addr)>) -> Result<(), String> {
        let new: Vec<_> = wanted.difference(&self.nat44.applied.routes).copied().collect();
        for (at, (table, address)) in new.iter().enumerate() {
            if let Err(error) = self.routes.set(*table, host((*address).into()), SOURCE, Path::External) {
                for (table, address) in &new[..at] {
                    self.routes.unset(*table, host((*address).into()), SOURCE);
                }
                return Err(format!("nat44: address {address}: {error}"));
            }
        }
        Ok(())
    }

    fn switch_nat44<'a>(&self, features: impl Iterator<Item = &'a (ArcName, NodeName, u32)>, on: bool) {
        for (arc, node, interface) in features {
            if !self.engine.switch_feature(*arc, *node, *interface, on) {
                tracing::error!(arc = arc.as_str(), %node, "the graph has no such feature");
            }
        }
    }

    /// Lets interfaces answer for other addresses than before, and announce those that are new.
    fn answer_for(&mut self, old: &Wanted, new: &Wanted) {
        let none = BTreeSet::new();
        let indices: BTreeSet<u32> = old.proxied.keys().chain(new.proxied.keys()).copied().collect();
        for index in indices {
            let [before, after] = [old, new].map(|wanted| wanted.proxied.get(&index).unwrap_or(&none));
            if before == after {
                continue;
            }
            if let Some(interface) = self.interfaces.get_mut(index) {
                interface.proxied = after.iter().copied().collect::<Arc<[Ipv4Addr]>>();
                self.publish(index);
                self.nat44.unannounced.extend(after.difference(before).map(|address| (index, *address)));
            }
        }
        self.announce_nat44();
    }

    /// Announces addresses that are answered for since a moment, not too many at once, so that neighbours who remember
    /// another MAC address for them learn better.
    pub(in crate::control) fn announce_nat44(&mut self) {
        let some = self.nat44.unannounced.len().min(ANNOUNCED);
        let announced: Vec<_> = self.nat44.unannounced.drain(..some).collect();
        for (index, address) in announced {
            let proxied = self.interfaces.get(index).is_some_and(|i| i.proxied.binary_search(&address).is_ok());
            if proxied {
                self.announce_address(index, address);
            }
        }
    }

    /// Announces again what an interface answers for: it came up, or its MAC address changed.
    pub(in crate::control) fn announce_again_nat44(&mut self, index: u32) {
        let Some(interface) = self.interfaces.get(index) else { return };
        let proxied = Arc::clone(&interface.proxied);
        let queue = &mut self.nat44.unannounced;
        queue.retain(|(other, _)| *other != index);
        queue.extend(proxied.iter().map(|address| (index, *address)));
        self.announce_nat44();
    }

    /// Goes on looking for sessions that the rules don't carry any more, for some time; rings when there is more to do.
    pub(in crate::control) fn revalidate_nat44(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while self.nat44.is_looking() && Instant::now() < end {
            self.nat44.look_on(&self.engine);
            self.collect_nat44_log();
        }
        if self.nat44.is_looking() {
            self.control.wake();
        } else if std::mem::take(&mut self.nat44.last_words) {
            self.nat44.applied.spec.log = false;
            self.nat44.path.publish(&self.nat44.applied.spec);
            self.nat44.replace_log(Log::off());
        }
    }

    /// What NAT does whenever the packet path has rung.
    pub(in crate::control) fn pump_nat44(&mut self) {
        self.revalidate_nat44(LATER);
        self.collect_nat44_log();
    }

    /// What NAT does once a second.
    pub(in crate::control) fn second_nat44(&mut self) {
        self.collect_nat44_log();
        let Nat { log, path, .. } = &mut self.nat44;
        log.second(path.log().lost(), &mut self.events);
        self.announce_nat44();
    }
}
