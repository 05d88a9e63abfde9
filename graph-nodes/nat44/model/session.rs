//! A session: two ends, as either side sees them, what it is doing, and how long it may do nothing.

use super::nat::SECOND;
use super::packet::{End, ICMP, Ip};
use super::tcp::{Connection, Name};

/// A session's idea of its end.
#[derive(Clone, Debug)]
pub enum State {
    Tcp(Connection),
    /// Whether both sides have been heard.
    Other {
        replied: bool,
    },
}

#[derive(Clone, Debug)]
pub struct Session {
    pub protocol: u8,
    pub table: u32,
    /// The inside host and the other end, as inside sees them.
    pub inside: (End, End),
    /// The same as outside sees them.
    pub outside: (End, End),
    /// The external port was given to the host for as long as it has sessions with it.
    pub dynamic: bool,
    /// Which side sent the first packet.
    pub opened_by: usize,
    pub state: State,
    pub last: u64,
}

impl Session {
    /// Seconds without a packet after which it is over (RFC 4787 REQ-5, RFC 5382 REQ-5, RFC 5508 REQ-2).
    fn timeout(&self) -> u64 {
        match &self.state {
            State::Tcp(c) if matches!(c.name, Name::Established | Name::FinWait) => 7440,
            State::Tcp(_) => 240,
            State::Other { .. } if self.protocol == ICMP => 60,
            State::Other { .. } => 300,
        }
    }

    pub fn ends_at(&self) -> u64 {
        self.last + self.timeout() * SECOND
    }

    /// Whether it may make room for another: not what is established (RFC 6888's limits shall not harm those).
    pub fn is_transitory(&self) -> bool {
        match &self.state {
            State::Tcp(c) => !matches!(c.name, Name::Established | Name::FinWait),
            State::Other { replied } => !replied || self.protocol == ICMP,
        }
    }

    pub fn state_text(&self) -> &'static str {
        match &self.state {
            State::Tcp(c) => c.name.text(),
            State::Other { replied: true } => "established",
            State::Other { replied: false } => "unreplied",
        }
    }

    /// A packet of it, from an end.
    pub fn seen(&mut self, from: usize, ip: &Ip, now: u64) {
        self.last = now;
        match &mut self.state {
            State::Tcp(connection) if ip.range().0 == 0 => connection.segment(from, ip),
            State::Tcp(_) => {}
            State::Other { replied } => *replied |= from != self.opened_by,
        }
    }
}
