//! The translation: mappings and sessions as RFC 4787, 5382, 5508 and 7857 describe them, in plain lists that are searched from end to
//! end. What is left to a NAT's choice (which port, which server) it is told, and says whether that was a choice it may make.

use super::packet::{End, ICMP, Ip, TCP, UDP};
use super::session::{Session, State};
use super::statics::Static;
use super::tcp::{self, Connection};
use std::net::Ipv4Addr;

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;
/// RFC 6888 REQ-8: how long a port is not used again. TCP has its own times (RFC 7857 section 2).
pub const QUARANTINE: u64 = 120 * SECOND;

/// From where a mapping may be reached (RFC 4787 section 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filtering {
    EndpointIndependent,
    AddressDependent,
    AddressAndPortDependent,
}

/// What the NAT was told.
#[derive(Clone, Debug)]
pub struct Config {
    pub pool: Vec<Ipv4Addr>,
    pub filtering: Filtering,
    pub statics: Vec<Static>,
    /// Sources and destinations between which nothing is translated: whole addresses.
    pub exempt: Vec<(Ipv4Addr, Ipv4Addr)>,
    pub max_sessions: usize,
    pub max_per_host: usize,
    pub workers: usize,
    pub mss: Option<u16>,
}

/// Why a session is not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Not translated, but not stopped.
    Exempt,
    /// The sender is told (RFC 5508 REQ-8).
    Limit,
    /// Nobody is told.
    Silently,
}

/// An external port that is not to be used again yet.
#[derive(Clone, Debug)]
pub struct Resting {
    protocol: u8,
    port: End,
    pub until: u64,
}

/// What the real NAT chose, if one asks: the external end of an inside end; the server for a client; which of about equally old
/// sessions made room.
pub trait Oracle {
    fn external_of(&mut self, protocol: u8, table: u32, inside: End) -> Option<End>;
    fn server_of(&mut self, protocol: u8, outside: (End, End)) -> Option<End>;
    fn is_there(&mut self, session: &Session) -> bool;
}

/// The NAT.
pub struct Nat {
    pub config: Config,
    pub sessions: Vec<Session>,
    pub resting: Vec<Resting>,
    pub now: u64,
}

impl Nat {
    pub fn new(config: Config) -> Nat {
        Nat { config, sessions: Vec::new(), resting: Vec::new(), now: 0 }
    }

    /// Whether packets for an address from outside are the NAT's business.
    pub fn is_external(&self, address: Ipv4Addr) -> bool {
        self.config.pool.contains(&address) || self.config.statics.iter().any(|s| s.external == address)
    }

    fn static_behind(&self, protocol: u8, external: End) -> Option<(Vec<End>, u32)> {
        // A port's mapping before that of the whole address.
        let all = self.config.statics.iter().filter(|s| s.ports.is_some());
        let all = all.chain(self.config.statics.iter().filter(|s| s.ports.is_none()));
        all.map(|s| (s.behind(protocol, external), s.table)).find(|(servers, _)| !servers.is_empty())
    }

    fn static_before(&self, protocol: u8, table: u32, inside: End) -> Option<End> {
        let all = self.config.statics.iter().filter(|s| s.ports.is_some());
        let mut all = all.chain(self.config.statics.iter().filter(|s| s.ports.is_none()));
        all.find_map(|s| s.before(protocol, table, inside))
    }

    /// Whether an external end is somebody's by configuration.
    pub fn is_static(&self, protocol: u8, external: End) -> bool {
        self.static_behind(protocol, external).is_some()
    }

    /// Whether somebody inside is behind an external end.
    pub fn in_use(&self, protocol: u8, external: End) -> bool {
        self.static_behind(protocol, external).is_some() || self.dynamic_behind(protocol, external).is_some()
    }

    fn dynamic_behind(&self, protocol: u8, external: End) -> Option<(u32, End)> {
        let mut all = self.sessions.iter();
        let found = all.find(|s| s.dynamic && s.protocol == protocol && s.outside.0 == external)?;
        Some((found.table, found.inside.0))
    }

    fn dynamic_before(&self, protocol: u8, table: u32, inside: End) -> Option<End> {
        let mut all = self.sessions.iter();
        all.find(|s| s.dynamic && (s.protocol, s.table, s.inside.0) == (protocol, table, inside)).map(|s| s.outside.0)
    }

    pub fn external_of(&self, protocol: u8, table: u32, inside: End) -> Option<End> {
        let known = self.dynamic_before(protocol, table, inside);
        self.static_before(protocol, table, inside).or(known)
    }

    pub fn inside_of(&self, protocol: u8, external: End) -> Option<(u32, End)> {
        let (servers, table) = self.static_behind(protocol, external).unwrap_or_default();
        match servers.first() {
            Some(server) if servers.len() == 1 => Some((table, *server)),
            Some(_) => None,
            None => self.dynamic_behind(protocol, external),
        }
    }

    /// The session of a packet from inside.
    pub fn find_inside(&self, protocol: u8, table: u32, from: End, to: End) -> Option<usize> {
        let is = |s: &Session| (s.protocol, s.table, s.inside) == (protocol, table, (from, to));
        self.sessions.iter().position(is)
    }

    /// The session of a packet from outside.
    pub fn find_outside(&self, protocol: u8, from: End, to: End) -> Option<usize> {
        self.sessions.iter().position(|s| s.protocol == protocol && s.outside == (to, from))
    }

    /// A packet from inside, to outside: who it is from then, and to whom.
    pub fn out(
        &mut self,
        ip: &Ip,
        table: u32,
        ends: (End, End),
        oracle: &mut dyn Oracle,
    ) -> Result<(End, End), Refused> {
        let (protocol, (from, to)) = (ip.protocol(), ends);
        let at = match self.find_inside(protocol, table, from, to) {
            Some(at) => at,
            None => {
                let (external, dynamic) = self.external_for(protocol, table, from, to, oracle)?;
                self.room_for(table, from.0, oracle)?;
                let outside = (external, to);
                self.open(ip, table, (from, to), outside, dynamic, 0)
            }
        };
        let now = self.now;
        let session = &mut self.sessions[at];
        session.seen(0, ip, now);
        Ok(session.outside)
    }

    /// A packet from outside: to whom inside it goes, and from whom it seems to be.
    pub fn come(&mut self, ip: &Ip, ends: (End, End), oracle: &mut dyn Oracle) -> Result<(u32, End, End), Refused> {
        let (protocol, (from, to)) = (ip.protocol(), ends);
        let at = match self.find_outside(protocol, from, to) {
            Some(at) => at,
            // From outside only a SYN begins a connection (RFC 5382 REQ-2 has both ends send one, at most).
            None if protocol == TCP && !tcp::is_first(ip) => return Err(Refused::Silently),
            None => {
                let (table, inside, dynamic) = self.inside_for(protocol, from, to, oracle)?;
                self.room_for(table, inside.0, oracle)?;
                self.open(ip, table, (inside, from), (to, from), dynamic, 1)
            }
        };
        let now = self.now;
        let session = &mut self.sessions[at];
        session.seen(1, ip, now);
        Ok((session.table, session.inside.0, session.inside.1))
    }

    fn open(
        &mut self,
        ip: &Ip,
        table: u32,
        inside: (End, End),
        outside: (End, End),
        dynamic: bool,
        by: usize,
    ) -> usize {
        let state = match ip.protocol() {
            TCP => State::Tcp(Connection::new()),
            _ => State::Other { replied: false },
        };
        let (protocol, last) = (ip.protocol(), self.now);
        self.sessions.push(Session { protocol, table, inside, outside, dynamic, opened_by: by, state, last });
        self.sessions.len() - 1
    }

    /// How outside shall see an inside end that it does not know yet.
    fn external_for(
        &mut self,
        protocol: u8,
        table: u32,
        from: End,
        to: End,
        oracle: &mut dyn Oracle,
    ) -> Result<(End, bool), Refused> {
        if self.config.exempt.contains(&(from.0, to.0)) {
            return Err(Refused::Exempt);
        }
        if let Some(external) = self.static_before(protocol, table, from) {
            return Ok((external, false));
        }
        if ![TCP, UDP, ICMP].contains(&protocol) {
            return Err(Refused::Silently);
        }
        // RFC 4787 REQ-1, RFC 5382 REQ-1, RFC 5508 REQ-1: the same for all destinations.
        if let Some(external) = self.dynamic_before(protocol, table, from) {
            return Ok((external, true));
        }
        if self.is_full(table, from.0) {
            return Err(Refused::Limit);
        }
        let chosen = oracle.external_of(protocol, table, from);
        let chosen = chosen.unwrap_or_else(|| panic!("no external port for {from:?} of protocol {protocol}"));
        self.judge(protocol, table, from, chosen);
        Ok((chosen, true))
    }

    /// Whether an external port may be given to an inside end.
    fn judge(&self, protocol: u8, table: u32, inside: End, chosen: End) {
        assert!(self.config.pool.contains(&chosen.0), "{} is not in the pool", chosen.0);
        // RFC 4787 REQ-2: one external address for all that a host has.
        let of_host = |s: &&Session| s.dynamic && s.table == table && s.inside.0.0 == inside.0;
        if let Some(other) = self.sessions.iter().find(of_host) {
            assert_eq!(other.outside.0.0, chosen.0, "RFC 4787 REQ-2: {} has another address", inside.0);
        }
        // RFC 4787 REQ-3, RFC 5382 REQ-7: nobody else has it.
        assert!(self.is_free(protocol, chosen), "RFC 4787 REQ-3: {chosen:?} is in use");
        let wanted = (chosen.0, inside.1);
        // Port 0 is none, and the router's own queries have the lower identifiers.
        let may_keep = inside.1 >= if protocol == ICMP { 1024 } else { 1 };
        let rests =
            |port: End| self.resting.iter().any(|r| (r.protocol, r.port) == (protocol, port) && r.until > self.now);
        assert!(!rests(chosen), "RFC 6888 REQ-8: {chosen:?} rests");
        if chosen == wanted {
            return;
        }
        // With several workers the port may be another's to give.
        let free = self.is_free(protocol, wanted) && !rests(wanted);
        assert!(!may_keep || !free || self.config.workers > 1, "{wanted:?} was free, and {chosen:?} was taken");
        match protocol {
            ICMP => assert!(chosen.1 >= 1024, "identifier {}", chosen.1),
            _ if inside.1 == 0 => {}
            _ => assert_eq!(chosen.1 < 1024, inside.1 < 1024, "RFC 4787 REQ-3 a: {} for {}", chosen.1, inside.1),
        }
        if protocol == UDP {
            assert_eq!(chosen.1 % 2, inside.1 % 2, "RFC 4787 REQ-4: {} for {}", chosen.1, inside.1);
        }
    }

    fn is_free(&self, protocol: u8, port: End) -> bool {
        let taken = self.sessions.iter().any(|s| s.protocol == protocol && s.outside.0 == port);
        !taken && self.static_behind(protocol, port).is_none()
    }

    /// To whom inside a packet of no session goes.
    fn inside_for(
        &self,
        protocol: u8,
        from: End,
        to: End,
        oracle: &mut dyn Oracle,
    ) -> Result<(u32, End, bool), Refused> {
        if let Some((servers, table)) = self.static_behind(protocol, to) {
            let server = match servers.as_slice() {
                [server] => *server,
                _ => match oracle.server_of(protocol, (to, from)) {
                    Some(chosen) => {
                        assert!(servers.contains(&chosen), "{chosen:?} is none of {servers:?}");
                        chosen
                    }
                    None => {
                        let full = |server: &End| self.is_full(table, server.0);
                        assert!(servers.iter().any(full), "nobody serves {from:?}");
                        return Err(Refused::Limit);
                    }
                },
            };
            return Ok((table, server, false));
        }
        let (table, inside) = self.dynamic_behind(protocol, to).ok_or(Refused::Silently)?;
        let mut sessions = self.sessions.iter().filter(|s| s.protocol == protocol && s.outside.0 == to);
        let admitted = match self.config.filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => sessions.any(|s| s.outside.1.0 == from.0),
            Filtering::AddressAndPortDependent => false,
        };
        if admitted { Ok((table, inside, true)) } else { Err(Refused::Silently) }
    }

    /// Whether a host may have no more sessions, whatever happens to others.
    fn is_full(&self, table: u32, host: Ipv4Addr) -> bool {
        let of_host = self.sessions.iter().filter(|s| s.table == table && s.inside.0.0 == host).count();
        let all = self.sessions.len() >= self.config.max_sessions && !self.sessions.iter().any(Session::is_transitory);
        of_host >= self.config.max_per_host || all
    }

    /// Room for one more session of a host, made if need be.
    fn room_for(&mut self, table: u32, host: Ipv4Addr, oracle: &mut dyn Oracle) -> Result<(), Refused> {
        if self.is_full(table, host) {
            return Err(Refused::Limit);
        }
        if self.sessions.len() >= self.config.max_sessions {
            let transitory = self.sessions.iter().filter(|s| s.is_transitory());
            let first = transitory.map(Session::ends_at).min().ok_or(Refused::Limit)?;
            let may_go = |s: &Session| s.is_transitory() && s.ends_at() < first + 2 * SECOND;
            let gone = self.sessions.iter().enumerate().filter(|(_, s)| may_go(s) && !oracle.is_there(s));
            let gone = gone.min_by_key(|(_, s)| s.ends_at()).map(|(at, _)| at);
            self.close(gone.expect("the session that ends first made room"));
        }
        Ok(())
    }

    /// Ends a session; with the last one of a mapping its port is free again, later.
    pub fn close(&mut self, at: usize) {
        let gone = self.sessions.remove(at);
        let last = !self.sessions.iter().any(|s| s.protocol == gone.protocol && s.outside.0 == gone.outside.0);
        if gone.dynamic && last && gone.protocol != TCP {
            let until = self.now + QUARANTINE;
            self.resting.push(Resting { protocol: gone.protocol, port: gone.outside.0, until });
        }
    }

    /// Time passes.
    pub fn expire(&mut self, now: u64) {
        let first = |sessions: &[Session]| {
            let over = sessions.iter().enumerate().filter(|(_, s)| s.ends_at() <= now);
            over.min_by_key(|(_, s)| s.ends_at()).map(|(at, s)| (at, s.ends_at()))
        };
        while let Some((at, when)) = first(&self.sessions) {
            self.now = when;
            self.close(at);
        }
        self.now = now;
        self.resting.retain(|r| r.until > now);
    }

    /// The static mappings are others now: sessions that they contradict end.
    pub fn reconfigure(&mut self, statics: Vec<Static>) {
        self.config.statics = statics;
        while let Some(at) = self.sessions.iter().position(|s| !self.is_valid(s)) {
            self.close(at);
        }
    }

    fn is_valid(&self, s: &Session) -> bool {
        let behind = self.static_behind(s.protocol, s.outside.0);
        let before = self.static_before(s.protocol, s.table, s.inside.0);
        if s.dynamic {
            // A new static mapping beats it.
            behind.is_none() && before.is_none()
        } else {
            behind.is_some_and(|(servers, table)| table == s.table && servers.contains(&s.inside.0))
        }
    }
}
