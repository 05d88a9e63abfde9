//! What is known of the way to a tunnel's other end: the longest packet that it takes (RFC 1191, RFC 8201; for tunnels RFC 2003 section
//! 5.1 and RFC 2473 section 7), and how often packets didn't get there.

use super::report::{Report, What};
use millrace_graph_nodes::tunnel::{Df, Tunnel};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long a path MTU is believed in (RFC 1191 section 6.3).
pub const AGE: Duration = Duration::from_secs(600);
/// The shortest IPv4 path MTU that is taken over, so that nobody can have packets cut to nothing; shorter packets may be cut by the
/// network, if it must be. Linux has the same.
const LEAST4: u16 = 552;
/// The shortest for IPv6 (RFC 8200 section 5); others are ignored (RFC 8201 section 4).
const LEAST6: u16 = 1280;

/// What was heard about the packets of a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// How often one was too long.
    pub too_big: u64,
    /// How often there was no way.
    pub unreachable: u64,
    /// How often the time to live ran out.
    pub time_exceeded: u64,
    /// How often something else was wrong.
    pub other: u64,
    /// What was heard last, from whom and when.
    pub last: Option<(What, IpAddr, Instant)>,
}

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// The errors.
    pub heard: Heard,
    limit: Option<Limit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    mtu: u16,
    /// The network takes even less, and is left to cut.
    less: bool,
    until: Instant,
}

impl Path {
    /// The longest outer packet, in bytes, if anybody complained of late.
    pub fn mtu(&self) -> Option<u16> {
        self.limit.map(|limit| limit.mtu)
    }

    /// Until when that is believed in.
    pub fn until(&self) -> Option<Instant> {
        self.limit.map(|limit| limit.until)
    }

    /// Takes in an error about a packet of a tunnel. Whether shorter ones are to be sent from now on.
    pub fn hear(&mut self, tunnel: &Tunnel, report: &Report, now: Instant) -> bool {
        self.heard.last = Some((report.what, report.from, now));
        let mtu = match report.what {
            What::TooBig(mtu) => {
                self.heard.too_big += 1;
                mtu
            }
            What::Unreachable => {
                self.heard.unreachable += 1;
                return false;
            }
            What::TimeExceeded => {
                self.heard.time_exceeded += 1;
                return false;
            }
            What::BadHeader => {
                self.heard.other += 1;
                return false;
            }
        };
        let is_ip4 = tunnel.remote.is_ipv4();
        // A packet that fits was none of those that were refused, and one that may be cut was not refused.
        let possible = usize::from(mtu) < report.len && !(is_ip4 && tunnel.df == Df::Clear && self.limit.is_none());
        let (least, lowest) = if is_ip4 { (LEAST4, 68) } else { (LEAST6, LEAST6) };
        if !possible || mtu < lowest {
            return false;
        }
        let new = Limit { mtu: mtu.max(least), less: mtu < least, until: now + AGE };
        // A way never gets wider by what anybody says.
        let narrower = self.limit.is_none_or(|old| new.mtu < old.mtu || new.less && !old.less);
        if narrower {
            self.limit = Some(new);
        }
        narrower
    }

    /// Forgets what is too old. Whether anything was.
    pub fn run(&mut self, now: Instant) -> bool {
        self.limit.take_if(|limit| limit.until <= now).is_some()
    }

    /// When [`run`](Self::run) has something to do.
    pub fn next(&self) -> Option<Instant> {
        self.until()
    }

    /// A tunnel with what is known of its way.
    pub fn applied(&self, tunnel: Tunnel) -> Tunnel {
        match self.limit {
            Some(Limit { less: true, .. }) => Tunnel { df: Df::Clear, ..tunnel },
            Some(Limit { mtu, .. }) => Tunnel { path_mtu: mtu, ..tunnel },
            None => tunnel,
        }
    }
}
