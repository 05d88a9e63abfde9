//! Those who watch routes change.

use ipnet::IpNet;
use tokio::sync::broadcast;

/// Changes that a watcher may be behind; who is behind further hears of it ([`broadcast::error::RecvError::Lagged`]), and has to look
/// at everything again.
const BACKLOG: usize = 1 << 14;

/// What is known about a prefix, or used, may have changed: ask [`get`](super::Routes::get) what it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The number of the table.
    pub table: u32,
    /// The prefix.
    pub prefix: IpNet,
}

/// See the module. Nothing is kept and nothing done while nobody watches.
#[derive(Debug, Default)]
pub struct Watchers(Option<broadcast::Sender<Changed>>);

impl Watchers {
    /// Another one.
    pub fn add(&mut self) -> broadcast::Receiver<Changed> {
        self.0.get_or_insert_with(|| broadcast::channel(BACKLOG).0).subscribe()
    }

    /// Whether nobody watches, as far as is known.
    pub fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    /// Tells them.
    #[inline]
    pub fn tell(&mut self, table: u32, prefix: impl Into<IpNet>) {
        if let Some(sender) = &self.0
            && sender.send(Changed { table, prefix: prefix.into() }).is_err()
        {
            self.0 = None;
        }
    }
}
