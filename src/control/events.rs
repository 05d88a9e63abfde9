//! What happened and an operator may want to know: the last thousand of it, and beside it the last thousand of what happens
//! all the time, so that this never crowds out the rest.

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
pub struct Events {
    rare: VecDeque<(u64, Event)>,
    frequent: VecDeque<(u64, Event)>,
    /// Events ever.
    count: u64,
}

impl Events {
    /// Keeps one more.
    pub fn add(&mut self, severity: Severity, source: String, text: String) {
        self.count += 1;
        keep(&mut self.rare, self.count, Event { time: SystemTime::now(), severity, source, text });
    }

    /// Keeps one more of what happens all the time.
    pub fn add_frequent(&mut self, time: SystemTime, severity: Severity, source: String, text: String) {
        self.count += 1;
        keep(&mut self.frequent, self.count, Event { time, severity, source, text });
    }

    /// The newest `limit`, or all when it is 0; oldest first.
    pub fn newest(&self, limit: usize) -> impl Iterator<Item = &Event> {
        let mut all: Vec<_> = self.rare.iter().chain(&self.frequent).collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        let skip = if limit == 0 { 0 } else { all.len().saturating_sub(limit) };
        all.into_iter().skip(skip).map(|(_, event)| event)
    }
}

fn keep(events: &mut VecDeque<(u64, Event)>, number: u64, event: Event) {
    if events.len() >= KEPT {
        events.pop_front();
    }
    events.push_back((number, event));
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

    #[test]
    fn the_frequent_leave_the_rare_alone() {
        let mut events = Events::default();
        let frequent = |events: &mut Events, text: &str| {
            events.add_frequent(SystemTime::now(), Severity::Info, "test".into(), text.into());
        };
        events.add(Severity::Info, "test".into(), "rare".into());
        (0..2 * KEPT).for_each(|n| frequent(&mut events, &n.to_string()));
        events.add(Severity::Info, "test".into(), "rare again".into());
        frequent(&mut events, "last");
        let texts: Vec<_> = events.newest(0).map(|e| e.text.as_str()).collect();
        assert_eq!((texts.len(), texts[0], texts[1]), (KEPT + 2, "rare", "1001"));
        assert_eq!(texts[KEPT..], ["rare again", "last"]);
        assert_eq!(events.newest(2).map(|e| e.text.as_str()).collect::<Vec<_>>(), ["rare again", "last"]);
    }
}
