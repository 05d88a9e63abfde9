//! Every configuration that ran lately, as the steps that led to it, and the one that waits to be confirmed.

use millrace_config::{Config, Plan};
use std::collections::VecDeque;
use std::time::{Instant, SystemTime};

/// Revisions kept; older ones give way.
const KEPT: usize = 100;

/// A configuration that ran, or runs.
#[derive(Clone, Debug)]
pub struct Revision {
    /// Its number, from 1.
    pub number: u64,
    /// When it began to run.
    pub time: SystemTime,
    /// What made it.
    pub source: &'static str,
    /// The steps from the one before.
    pub plan: Plan,
}

/// The longest text of several changes that is told in full, in bytes.
const SHORT: usize = 160;

impl Revision {
    /// What it changed, in a line.
    pub fn summary(&self) -> String {
        let text = self.plan.to_string();
        match text.lines().count() {
            0 => "no changes".to_owned(),
            1 => text.trim_end().to_owned(),
            2..=3 if text.len() <= SHORT => text.trim_end().replace('\n', ", "),
            changes => format!("{changes} changes"),
        }
    }
}

/// A configuration that is undone unless it is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The revision to return to.
    pub back_to: u64,
    /// When.
    pub deadline: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub struct History {
    revisions: VecDeque<Revision>,
    /// What waits to be confirmed.
    pub pending: Option<Pending>,
}

impl History {
    /// Notes what runs now; its number.
    pub fn add(&mut self, source: &'static str, plan: Plan) -> u64 {
        if self.revisions.len() >= KEPT {
            self.revisions.pop_front();
        }
        let number = self.running() + 1;
        self.revisions.push_back(Revision { number, time: SystemTime::now(), source, plan });
        number
    }

    /// The number of what runs; 0 before the first.
    pub fn running(&self) -> u64 {
        self.revisions.back().map_or(0, |revision| revision.number)
    }

    /// All that are kept, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Revision> {
        self.revisions.iter().rev()
    }

    /// The configuration of a revision, from the one that runs. `None` when it isn't kept.
    pub fn config(&self, number: u64, running: &Config) -> Option<Config> {
        self.revisions.iter().find(|revision| revision.number == number)?;
        let mut config = running.clone();
        for revision in self.newest_first().take_while(|revision| revision.number > number) {
            revision.plan.inverse().apply(&mut config);
        }
        Some(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_config::{parse, plan};

    #[test]
    fn earlier_configurations_come_back() {
        let configs: Vec<Config> = (0..KEPT + 20)
            .map(|n| {
                let text = format!("interfaces: {{lo{}: {{driver: loopback, mtu: {}}}}}", n % 3, 1000 + n);
                parse(&text, "test").unwrap()
            })
            .collect();
        let (mut history, mut running) = (History::default(), Config::default());
        for config in &configs {
            let steps = plan(&running, config);
            steps.apply(&mut running);
            history.add("apply", steps);
        }
        assert_eq!(&running, configs.last().unwrap());
        assert_eq!((history.running(), history.newest_first().count()), (120, KEPT));
        for number in 21..=120 {
            assert_eq!(history.config(number, &running).as_ref(), configs.get(number as usize - 1), "{number}");
        }
        assert_eq!(history.config(20, &running), None, "no longer kept");
        assert_eq!(history.config(121, &running), None, "not yet there");
    }

    #[test]
    fn a_summary_is_a_line() {
        let mut history = History::default();
        let one = parse("interfaces: {lo0: {driver: loopback}}", "test").unwrap();
        let two =
            parse("interfaces: {lo0: {driver: loopback, addresses: [10.0.0.1/32, 10.0.0.2/32]}}", "test").unwrap();
        let many = (3..9).map(|n| format!("10.0.0.{n}/32")).collect::<Vec<_>>().join(", ");
        let many = parse(&format!("interfaces: {{lo0: {{driver: loopback, addresses: [{many}]}}}}"), "test").unwrap();
        history.add("start", plan(&Config::default(), &one));
        history.add("apply", plan(&one, &two));
        history.add("apply", plan(&two, &many));
        history.add("apply", Plan::default());
        let summaries: Vec<_> = history.newest_first().map(Revision::summary).collect();
        let both = "+ address 10.0.0.1/32 interface lo0, + address 10.0.0.2/32 interface lo0";
        assert_eq!(summaries, ["no changes", "8 changes", both, "+ interface lo0: loopback"]);
    }
}
