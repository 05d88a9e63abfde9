//! What is known of one who asks, and of a port in a group.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Who asks who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Querier {
    /// Its address; unspecified when it is a switch that is no router.
    pub address: IpAddr,
    /// The port that it is behind.
    pub port: u32,
    /// The version that it speaks.
    pub version: u8,
    /// Answers that may be lost.
    pub robustness: u8,
    /// Time between its general queries.
    pub interval: Duration,
    /// Time to answer them.
    pub max_response: Duration,
    /// Without another query it is gone then.
    pub until: Instant,
}

impl Querier {
    /// How long a membership lasts without a report (RFC 3376 section 8.4, RFC 3810 section 9.4).
    pub(super) fn membership_interval(&self) -> Duration {
        self.interval * u32::from(self.robustness) + self.max_response
    }
}

/// A port's membership in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Up to when somebody listens to all sources, maybe but for some (EXCLUDE mode).
    pub any: Option<Instant>,
    /// Up to when somebody listens to a source.
    pub sources: BTreeMap<IpAddr, Instant>,
    /// Up to when a host of version 1 may be there, which says nothing when it leaves.
    pub(super) version1: Option<Instant>,
}

impl Membership {
    /// When it ends, as far as is known.
    pub fn until(&self) -> Option<Instant> {
        self.sources.values().copied().chain(self.any).max()
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.sources.values().copied().chain(self.any).min()
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.any = self.any.filter(|until| *until > now);
        self.sources.retain(|_, until| *until > now);
    }
}
