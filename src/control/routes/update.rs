//! Routes that routing daemons tell the router: in bulk, by an origin of their own, and all of an origin replaced at once. An
//! origin has routes of both address families.
//!
//! An [`Update`] is one bounded piece of work; what hangs on the changed routes is looked at again when it ends. To replace
//! all routes, an origin's generation goes on by one: routes that are named get the new one, and in the end [`Routes::sweep`]
//! takes out those that still have an old one.

use super::rib::{Lead, Slot};
use super::table::{Parts, Table};
use super::vrf::{Learned, Split, Vrf};
use super::{Origin, Path, RouteError, Routes};
use ipnet::IpNet;
use millrace_tables::lpm::Address;
use std::collections::BTreeSet;
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
    #[error("the forwarding table is full: too many networks have longer prefixes inside")]
    Full,
    /// See [`RouteError::Family`].
    #[error("a prefix and its gateways have to be of one address family")]
    Family,
}

/// One piece of the work of taking out what was not named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Routes that went.
    pub swept: usize,
    /// Where the next piece begins; `None` when all is done.
    pub next: Option<IpNet>,
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
        let vrf = self.vrfs.get_mut(&table).ok_or(SessionError::Gone)?;
        let learned = &mut vrf.learned;
        let old = match learned.iter().position(|l| *l.name == *name) {
            None if learned.len() == MAX_ORIGINS => return Err(SessionError::TooMany),
            None => None,
            Some(at) => match &mut learned[at] {
                l if l.session.is_some() => return Err(SessionError::Busy(name.to_owned())),
                l if l.distance != distance => {
                    return Err(SessionError::OtherDistance(name.to_owned(), l.distance));
                }
                l => Some(l),
            },
        };
        self.sessions += 1;
        let session = Session { table, number: self.sessions };
        match old {
            Some(learned) => learned.session = Some(session.number),
            None => {
                let at = learned.partition_point(|l| (l.distance, &*l.name) < (distance, name));
                let (name, session) = (name.into(), Some(session.number));
                vrf.insert_origin(at, Learned { name, distance, session, generation: 0, replacing: false });
            }
        }
        Ok(session)
    }

    /// Ends a session. Its routes stay; a replacement that did not end takes out none of the old ones.
    pub fn close(&mut self, session: Session) {
        let Some(vrf) = self.vrfs.get_mut(&session.table) else { return };
        let Some(at) = position(&vrf.learned, session) else { return };
        if vrf.told(at) == 0 {
            vrf.remove_origin(at);
        } else if let Some(learned) = vrf.learned.get_mut(at) {
            learned.session = None;
            learned.replacing = false;
        }
    }

    /// Begins to replace all routes of the session's origin.
    ///
    /// # Errors
    /// Begun already; or the table is gone.
    pub fn begin(&mut self, session: Session) -> Result<(), SessionError> {
        let (vrf, at) = self.of_session(session)?;
        let learned = &mut vrf.learned[at];
        if learned.replacing {
            return Err(SessionError::Begun);
        }
        learned.generation = learned.generation.wrapping_add(1);
        learned.replacing = true;
        Ok(())
    }

    /// How many routes the session's origin has. O(1).
    ///
    /// # Errors
    /// The table is gone.
    pub fn told(&mut self, session: Session) -> Result<usize, SessionError> {
        let (vrf, at) = self.of_session(session)?;
        Ok(vrf.told(at))
    }

    /// Takes out, among `most` routes from `from` on, IPv4 before IPv6, those that were not named since [`Routes::begin`]. With
    /// the last piece the replacement ends.
    ///
    /// # Errors
    /// Not begun; or the table is gone.
    pub fn sweep(&mut self, session: Session, from: Option<IpNet>, most: usize) -> Result<Sweep, SessionError> {
        let mut update = self.update(session)?;
        if !update.learned.replacing {
            return Err(SessionError::NotBegun);
        }
        let (at, generation) = (update.at, update.learned.generation);
        let (mut gone, mut left, mut next) = (Vec::new(), most, None);
        if !matches!(from, Some(IpNet::V6(_))) {
            next = old::<u32>(update.four, at, generation, from, &mut left, &mut gone);
        }
        if next.is_none() {
            next = old::<u128>(update.six, at, generation, from, &mut left, &mut gone);
        }
        update.learned.replacing = next.is_some();
        let swept = gone.into_iter().filter(|prefix| update.unset(*prefix).is_ok()).count();
        Ok(Sweep { swept, next })
    }

    /// Begins a piece of work on the session's routes.
    ///
    /// # Errors
    /// The table is gone.
    pub fn update(&mut self, session: Session) -> Result<Update<'_>, SessionError> {
        let (_, at) = self.of_session(session)?;
        let Split { four, six, learned, parts } = self.split(session.table).ok_or(SessionError::Gone)?;
        let learned = learned.get_mut(at).ok_or(SessionError::Gone)?;
        Ok(Update { four, six, learned, parts, at, hanging: BTreeSet::new() })
    }

    /// The VRF of a session, and the place of its origin.
    fn of_session(&mut self, session: Session) -> Result<(&mut Vrf, usize), SessionError> {
        let vrf = self.vrfs.get_mut(&session.table).ok_or(SessionError::Gone)?;
        let at = position(&vrf.learned, session).ok_or(SessionError::Gone)?;
        Ok((vrf, at))
    }
}

/// Which of a table's origins a session has; `None` also when the table is another of the same number.
fn position(learned: &[Learned], session: Session) -> Option<usize> {
    learned.iter().position(|learned| learned.session == Some(session.number))
}

/// Gathers the prefixes of an origin's routes of older generations, among the next ones from there on; where it stopped.
fn old<A: Address>(
    table: &Table<A>,
    at: usize,
    generation: u32,
    from: Option<IpNet>,
    left: &mut usize,
    gone: &mut Vec<IpNet>,
) -> Option<IpNet> {
    let from = from.and_then(A::of_net).map_or(Bound::Unbounded, Bound::Included);
    let mut routes = table.rib.learned.get(at)?.range((from, Bound::Unbounded));
    for (prefix, slot) in routes.by_ref().take(*left) {
        *left -= 1;
        gone.extend((slot.generation != generation).then_some((*prefix).into()));
    }
    routes.next().map(|(prefix, _)| (*prefix).into())
}

/// A piece of work; when it is dropped, what hangs on the changed routes follows them.
#[derive(Debug)]
pub struct Update<'a> {
    four: &'a mut Table<u32>,
    six: &'a mut Table<u128>,
    learned: &'a mut Learned,
    parts: Parts<'a>,
    at: usize,
    /// Groups whose gateways a changed route may lead to.
    hanging: BTreeSet<u32>,
}

impl Update<'_> {
    /// Where routes are to lead; to be [released](Self::release).
    ///
    /// # Errors
    /// Only the router's own routes lead there, or there is no room.
    pub fn lead(&mut self, path: &Path) -> Result<Lead, String> {
        Ok(match path {
            Path::Blackhole => Lead::BLACKHOLE,
            Path::Unreachable => Lead::UNREACHABLE,
            Path::Prohibit => Lead::PROHIBIT,
            path => {
                let six = matches!(path, Path::Via(hops) if hops.iter().any(|hop| hop.gateway.is_ipv6()));
                let joined =
                    if six { self.six.join(path, &mut self.parts) } else { self.four.join(path, &mut self.parts) };
                let none = || "only the router's own routes lead there".to_owned();
                Lead::over(joined.map_err(|error: RouteError| error.to_string())?.ok_or_else(none)?)
            }
        })
    }

    /// Gives up what [`lead`](Self::lead) took; routes that lead there keep it.
    pub fn release(&mut self, lead: Lead) {
        leave(lead, &mut self.parts);
    }

    /// Adds a route, or replaces the one there is without a gap; if it must be new, only one that was not named since the
    /// replacement of all began.
    ///
    /// # Errors
    /// See [`Refusal`]; all is as it was.
    pub fn set(&mut self, prefix: IpNet, lead: Lead, must_be_new: bool) -> Result<(), Refusal> {
        let Update { four, six, learned, parts, at, hanging } = self;
        let mut told = Told { learned, parts, at: *at, hanging };
        match prefix {
            IpNet::V4(prefix) => told.set(four, prefix, lead, must_be_new),
            IpNet::V6(prefix) => told.set(six, prefix, lead, must_be_new),
        }
    }

    /// Takes a route out.
    ///
    /// # Errors
    /// [`Refusal::Missing`].
    pub fn unset(&mut self, prefix: IpNet) -> Result<(), Refusal> {
        let Update { four, six, learned, parts, at, hanging } = self;
        let mut told = Told { learned, parts, at: *at, hanging };
        match prefix {
            IpNet::V4(prefix) => told.unset(four, prefix),
            IpNet::V6(prefix) => told.unset(six, prefix),
        }
    }
}

/// An update, but for the table of the family that a route is of.
struct Told<'u, 'a> {
    learned: &'u Learned,
    parts: &'u mut Parts<'a>,
    at: usize,
    hanging: &'u mut BTreeSet<u32>,
}

impl Told<'_, '_> {
    fn set<A: Address>(
        &mut self,
        table: &mut Table<A>,
        prefix: A::Net,
        lead: Lead,
        must_be_new: bool,
    ) -> Result<(), Refusal> {
        let group = lead.group();
        if group.is_some_and(|number| !self.parts.groups.get(number).is_some_and(|group| group.suits::<A>())) {
            return Err(Refusal::Family);
        }
        let new = Slot { lead, generation: self.learned.generation };
        let routes = &mut table.rib.learned[self.at];
        let old = match routes.entry(prefix) {
            Entry::Vacant(vacant) => {
                vacant.insert(new);
                None
            }
            Entry::Occupied(mut occupied) => {
                let named = !self.learned.replacing || occupied.get().generation == self.learned.generation;
                if must_be_new && named {
                    return Err(Refusal::Exists);
                }
                Some(occupied.insert(new))
            }
        };
        if old.is_some_and(|old| old.lead == lead) {
            return Ok(());
        }
        if table.install_told(prefix, (self.at, lead), self.parts).is_err() {
            // What was there before needs no room.
            match old {
                Some(old) => table.rib.learned[self.at].insert(prefix, old),
                None => table.rib.learned[self.at].remove(&prefix),
            };
            let _ = table.install(prefix, self.parts);
            return Err(Refusal::Full);
        }
        if let Some(group) = group {
            self.parts.groups.join(group);
        }
        match old {
            Some(old) => leave(old.lead, self.parts),
            None => table.tally_told(prefix, self.at, true),
        }
        self.changed::<A>(prefix);
        Ok(())
    }

    fn unset<A: Address>(&mut self, table: &mut Table<A>, prefix: A::Net) -> Result<(), Refusal> {
        let old = table.rib.learned[self.at].remove(&prefix).ok_or(Refusal::Missing)?;
        // Never needs room: what may replace it has the same prefix.
        let _ = table.install(prefix, self.parts);
        leave(old.lead, self.parts);
        table.tally_told(prefix, self.at, false);
        self.changed::<A>(prefix);
        Ok(())
    }

    fn changed<A: Address>(&mut self, prefix: A::Net) {
        self.parts.watchers.tell(self.parts.table, prefix);
        self.hanging.extend(self.parts.groups.hanging_on::<A>(prefix));
    }
}

impl Drop for Update<'_> {
    fn drop(&mut self) {
        let hanging = std::mem::take(&mut self.hanging);
        self.four.resolve_again(&hanging, &mut self.parts);
        self.six.resolve_again(&hanging, &mut self.parts);
        self.four.work(&mut self.parts);
        self.six.work(&mut self.parts);
    }
}

fn leave(lead: Lead, parts: &mut Parts<'_>) {
    if let Some(group) = lead.group() {
        parts.groups.leave(group, &mut parts.plane);
    }
}
