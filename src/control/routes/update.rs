//! Routes that routing daemons tell the router: in bulk, by an origin of their own, and all of an origin replaced at once.
//!
//! An [`Update`] is one bounded piece of work; what hangs on the changed routes is looked at again when it ends. To replace
//! all routes, an origin's generation goes on by one: routes that are named get the new one, and in the end [`Routes::sweep`]
//! takes out those that still have an old one.

use super::groups::Groups;
use super::rib::{Lead, Learned, Slot};
use super::table::{Parts, Path, Table};
use super::{Origin, Routes};
use ipnet::Ipv4Net;
use std::collections::btree_map::Entry;
use std::ops::Bound;

/// Most origins of a table.
const MAX_ORIGINS: usize = 16;
/// Distances that origins may have: behind the configuration's 1, before the 255 of what is never used elsewhere.
const DISTANCES: std::ops::RangeInclusive<u32> = 2..=254;
/// The longest name.
const MAX_NAME: usize = 15;

/// The right to change an origin's routes; ended by [`Routes::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    table: u32,
    number: u64,
}

/// Why an origin can't be opened, or a session not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Not as names are.
    #[error("\"{0}\" is no name for an origin: expected a lower-case letter, then up to 14 of a-z, 0-9 and -")]
    Name(String),
    /// The router has such routes itself.
    #[error("the origin {0} is the router's own")]
    Reserved(String),
    /// Out of range.
    #[error("distance {0}: expected 2 to 254")]
    Distance(u32),
    /// Two sessions with one origin.
    #[error("another caller has the origin {0} open")]
    Busy(String),
    /// The routes that are there have another one.
    #[error("the origin {0} has routes of distance {1} here; they have to go before it can have another")]
    OtherDistance(String, u8),
    /// A limit.
    #[error("there are 16 origins already")]
    TooMany,
    /// The table went with its VRF.
    #[error("the VRF is gone, and the routes with it")]
    Gone,
    /// Begun twice.
    #[error("the routes are being replaced already")]
    Begun,
    /// Ended without having begun.
    #[error("no replacement was begun")]
    NotBegun,
}

/// Why a route is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// To be added, but there.
    #[error("there is a route already")]
    Exists,
    /// To be removed, but not there.
    #[error("there is no such route")]
    Missing,
    /// See [`super::RouteError::Full`].
    #[error("the forwarding table is full: too many /24 networks have longer prefixes inside")]
    Full,
}

/// One piece of the work of taking out what was not named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Routes that went.
    pub swept: usize,
    /// Where the next piece begins; `None` when all is done.
    pub next: Option<Ipv4Net>,
}

impl Routes {
    /// Takes an origin of a table into use. What an earlier session left of its routes is still there.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub fn open(&mut self, table: u32, name: &str, distance: u32) -> Result<Session, SessionError> {
        let own = [Origin::Connected, Origin::Nat, Origin::Static, Origin::Neighbor];
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.len() > MAX_NAME || !name.chars().all(plain) {
            return Err(SessionError::Name(name.to_owned()));
        }
        if own.iter().any(|origin| origin.as_str() == name) {
            return Err(SessionError::Reserved(name.to_owned()));
        }
        let distance = u8::try_from(distance)
            .ok()
            .filter(|_| DISTANCES.contains(&distance))
            .ok_or(SessionError::Distance(distance))?;
        let learned = &mut self.tables.get_mut(&table).ok_or(SessionError::Gone)?.rib.learned;
        let old = match learned.iter().position(|l| *l.name == *name) {
            None if learned.len() == MAX_ORIGINS => return Err(SessionError::TooMany),
            None => None,
            Some(at) => match &learned[at] {
                l if l.session.is_some() => return Err(SessionError::Busy(name.to_owned())),
                l if l.distance != distance => {
                    return Err(SessionError::OtherDistance(name.to_owned(), l.distance));
                }
                _ => Some(at),
            },
        };
        self.sessions += 1;
        let session = Session { table, number: self.sessions };
        match old {
            Some(at) => learned[at].session = Some(session.number),
            None => {
                let at = learned.partition_point(|l| (l.distance, &*l.name) < (distance, name));
                learned.insert(at, Learned::new(name, distance, session.number));
            }
        }
        Ok(session)
    }

    /// Ends a session. Its routes stay; a replacement that did not end takes out none of the old ones.
    pub fn close(&mut self, session: Session) {
        let Some(table) = self.tables.get_mut(&session.table) else { return };
        let Some(at) = position(table, session) else { return };
        let learned = &mut table.rib.learned;
        learned[at].session = None;
        learned[at].replacing = false;
        if learned[at].routes.is_empty() {
            learned.remove(at);
        }
    }

    /// Begins to replace all routes of the session's origin.
    ///
    /// # Errors
    /// Begun already; or the table is gone.
    pub fn begin(&mut self, session: Session) -> Result<(), SessionError> {
        let learned = self.learned(session)?;
        if learned.replacing {
            return Err(SessionError::Begun);
        }
        learned.generation = learned.generation.wrapping_add(1);
        learned.replacing = true;
        Ok(())
    }

    /// How many routes the session's origin has.
    ///
    /// # Errors
    /// The table is gone.
    pub fn told(&mut self, session: Session) -> Result<usize, SessionError> {
        Ok(self.learned(session)?.routes.len())
    }

    /// Takes out, among `most` routes from `from` on, those that were not named since [`Routes::begin`]. With the last piece the
    /// replacement ends.
    ///
    /// # Errors
    /// Not begun; or the table is gone.
    pub fn sweep(&mut self, session: Session, from: Option<Ipv4Net>, most: usize) -> Result<Sweep, SessionError> {
        let mut update = self.update(session)?;
        let learned = &mut update.table.rib.learned[update.at];
        if !learned.replacing {
            return Err(SessionError::NotBegun);
        }
        let from = from.map_or(Bound::Unbounded, Bound::Included);
        let mut routes = learned.routes.range((from, Bound::Unbounded));
        let old = |(prefix, slot): (&Ipv4Net, &Slot)| (slot.generation != learned.generation).then_some(*prefix);
        let gone: Vec<Ipv4Net> = routes.by_ref().take(most).filter_map(old).collect();
        let next = routes.next().map(|(prefix, _)| *prefix);
        learned.replacing = next.is_some();
        let swept = gone.into_iter().filter(|prefix| update.unset(*prefix).is_ok()).count();
        Ok(Sweep { swept, next })
    }

    /// Begins a piece of work on the session's routes.
    ///
    /// # Errors
    /// The table is gone.
    pub fn update(&mut self, session: Session) -> Result<Update<'_>, SessionError> {
        let Routes { tables, adjacencies, balances, .. } = self;
        let table = tables.get_mut(&session.table).ok_or(SessionError::Gone)?;
        let at = position(table, session).ok_or(SessionError::Gone)?;
        Ok(Update { table, at, parts: Parts { adjacencies, balances }, stale: false })
    }

    fn learned(&mut self, session: Session) -> Result<&mut Learned, SessionError> {
        let table = self.tables.get_mut(&session.table).ok_or(SessionError::Gone)?;
        let at = position(table, session).ok_or(SessionError::Gone)?;
        Ok(&mut table.rib.learned[at])
    }
}

/// Which of a table's origins a session has; `None` also when the table is another of the same number.
fn position(table: &Table, session: Session) -> Option<usize> {
    table.rib.learned.iter().position(|learned| learned.session == Some(session.number))
}

/// A piece of work; when it is dropped, what hangs on the changed routes follows them.
#[derive(Debug)]
pub struct Update<'a> {
    table: &'a mut Table,
    at: usize,
    parts: Parts<'a>,
    /// A route changed that may be the way to a gateway.
    stale: bool,
}

impl Update<'_> {
    /// Where routes are to lead; to be [released](Self::release). `None` for a path that only the router's own routes have.
    pub fn lead(&mut self, path: &Path) -> Option<Lead> {
        Some(match path {
            Path::Via(hops) => Lead::over(self.table.join(hops, &mut self.parts)),
            Path::Blackhole => Lead::BLACKHOLE,
            Path::Unreachable => Lead::UNREACHABLE,
            Path::Prohibit => Lead::PROHIBIT,
            _ => return None,
        })
    }

    /// Gives up what [`lead`](Self::lead) took; routes that lead there keep it.
    pub fn release(&mut self, lead: Lead) {
        leave(&mut self.table.groups, lead, &mut self.parts);
    }

    /// Adds a route, or replaces the one there is without a gap; if it must be new, only one that was not named since the
    /// replacement of all began.
    ///
    /// # Errors
    /// [`Refusal::Exists`] and [`Refusal::Full`]; all is as it was.
    pub fn set(&mut self, prefix: Ipv4Net, lead: Lead, must_be_new: bool) -> Result<(), Refusal> {
        let learned = &mut self.table.rib.learned[self.at];
        let new = Slot { lead, generation: learned.generation };
        let old = match learned.routes.entry(prefix) {
            Entry::Vacant(vacant) => {
                vacant.insert(new);
                None
            }
            Entry::Occupied(mut occupied) => {
                let named = !learned.replacing || occupied.get().generation == learned.generation;
                if must_be_new && named {
                    return Err(Refusal::Exists);
                }
                Some(occupied.insert(new))
            }
        };
        if old.is_some_and(|old| old.lead == lead) {
            return Ok(());
        }
        if self.table.install_told(prefix, (self.at, lead), &self.parts).is_err() {
            // What was there before needs no room.
            match old {
                Some(old) => self.table.rib.learned[self.at].routes.insert(prefix, old),
                None => self.table.rib.learned[self.at].routes.remove(&prefix),
            };
            let _ = self.table.install(prefix, &self.parts);
            return Err(Refusal::Full);
        }
        if let Some(group) = lead.group() {
            self.table.groups.join(group);
        }
        if let Some(old) = old {
            self.release(old.lead);
        }
        self.stale |= self.table.groups.look_up_in(prefix);
        Ok(())
    }

    /// Takes a route out.
    ///
    /// # Errors
    /// [`Refusal::Missing`].
    pub fn unset(&mut self, prefix: Ipv4Net) -> Result<(), Refusal> {
        let old = self.table.rib.learned[self.at].routes.remove(&prefix).ok_or(Refusal::Missing)?;
        // Never needs room: what may replace it has the same prefix.
        let _ = self.table.install(prefix, &self.parts);
        self.release(old.lead);
        self.stale |= self.table.groups.look_up_in(prefix);
        Ok(())
    }
}

impl Drop for Update<'_> {
    fn drop(&mut self) {
        if self.stale {
            self.table.resolve_again(&mut self.parts);
        }
    }
}

fn leave(groups: &mut Groups, lead: Lead, parts: &mut Parts<'_>) {
    if let Some(group) = lead.group() {
        groups.leave(group, parts);
    }
}
