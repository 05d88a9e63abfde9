//! What happened and an operator may want to know: the last thousand of it.

use std::collections::VecDeque;
use std::time::SystemTime;

/// Events kept; older ones give way.
const KEPT: usize = 1000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Info,
    /// Something is missing or doesn't answer.
    Warning,
    /// Something doesn't work.
    Error,
}

impl Severity {
    /// The word for it in listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub time: SystemTime,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub source: String,
    /// What happened.
    pub text: String,
}

/// The events that are kept, oldest first.
#[derive(Debug, Default)]
pub struct Events(VecDeque<Event>);

impl Events {
    /// Keeps one more.
    pub fn add(&mut self, severity: Severity, source: String, text: String) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Event { time: SystemTime::now(), severity, source, text });
    }

    /// The newest `limit`, or all when it is 0; oldest first.
    pub fn newest(&self, limit: usize) -> impl Iterator<Item = &Event> {
        let skip = if limit == 0 { 0 } else { self.0.len().saturating_sub(limit) };
        self.0.iter().skip(skip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_give_way() {
        let mut events = Events::default();
        for n in 0..KEPT + 5 {
            events.add(Severity::Info, "test".into(), n.to_string());
        }
        let texts = |limit| events.newest(limit).map(|e| e.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts(2), ["1003", "1004"]);
        assert_eq!((texts(0).len(), texts(0)[0].as_str()), (KEPT, "5"));
    }
}
