//! What is told of mappings that come and go: events, and messages to a syslog collector; so many a second, the rest counted.

use super::limiter::Limiter;
use super::syslog::{Mapped, Syslog};
use crate::control::events::{Events, Severity};
use millrace_config::NatLog;
use std::time::{Instant, SystemTime};

/// What events of NAT are about.
const SOURCE: &str = "nat44";

/// What became of the news of mappings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Told.
    pub told: u64,
    /// Left out: more than the rate allows, or than were taken in in time.
    pub suppressed: u64,
    /// Messages that the system did not take.
    pub unsent: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Log {
    settings: NatLog,
    limiter: Limiter,
    syslog: Option<Syslog>,
    counts: Counts,
    /// Of those left out: workers found no place to leave them.
    lost: u64,
    /// Left out since it was last said how many.
    untold: u64,
}

impl Log {
    /// As the configuration says.
    ///
    /// # Errors
    /// The system has no socket for the collector.
    pub fn new(settings: &NatLog, now: Instant) -> Result<Log, String> {
        let limiter = Limiter::new(settings.rate, now);
        let mut log = Log { settings: settings.clone(), limiter, ..Log::off() };
        if let Some(collector) = settings.syslog.filter(|_| settings.mappings) {
            let syslog =
                Syslog::to(collector).map_err(|error| format!("nat44: no way to syslog {collector}: {error}"))?;
            log.syslog = Some(syslog);
        }
        Ok(log)
    }

    /// One that tells nothing.
    pub fn off() -> Log {
        let settings = NatLog::default();
        let limiter = Limiter::new(settings.rate, Instant::now());
        Log { settings, limiter, syslog: None, counts: Counts::default(), lost: 0, untold: 0 }
    }

    /// Whether it does what these settings say.
    pub fn is_as(&self, settings: &NatLog) -> bool {
        self.settings == *settings
    }

    /// Goes on counting where another left off, whose place it takes.
    pub fn follow(&mut self, before: &Log) {
        (self.counts, self.lost, self.untold) = (before.counts(), before.lost, before.untold);
    }

    /// What it has told and not told, ever.
    pub fn counts(&self) -> Counts {
        let unsent = self.syslog.as_ref().map_or(0, Syslog::lost);
        Counts { unsent: self.counts.unsent + unsent, ..self.counts }
    }

    /// Tells of a mapping, if there is room for it in this second. `mapped` is made only then.
    pub fn tell(&mut self, mapped: impl FnOnce() -> Mapped, events: &mut Events, now: Instant) {
        if !self.settings.mappings {
            return;
        }
        if !self.limiter.allows(now) {
            self.counts.suppressed += 1;
            self.untold += 1;
            return;
        }
        self.counts.told += 1;
        let mapped = mapped();
        if let Some(syslog) = &mut self.syslog {
            syslog.mapped(&mapped);
        }
        let text = format!("mapping {}: {}", if mapped.added { "added" } else { "removed" }, mapped.text());
        events.add_frequent(mapped.time, Severity::Info, SOURCE.to_owned(), text);
    }

    /// Says how many were left out, if any were; called once a second. `lost` is how many found no place with the workers, ever.
    pub fn second(&mut self, lost: u64, events: &mut Events) {
        let more = lost.saturating_sub(std::mem::replace(&mut self.lost, lost));
        self.counts.suppressed += more;
        self.untold += more;
        let untold = std::mem::take(&mut self.untold);
        if untold == 0 {
            return;
        }
        let now = SystemTime::now();
        if let Some(syslog) = &mut self.syslog {
            syslog.suppressed(untold, now);
        }
        let text = format!("{untold} events left out; {} in a second are told at most", self.settings.rate);
        events.add_frequent(now, Severity::Warning, SOURCE.to_owned(), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::Duration;

    fn mapped(added: bool, port: u16) -> Mapped {
        Mapped {
            time: SystemTime::now(),
            added,
            protocol: 17,
            vrf: "default".to_owned(),
            inside: format!("192.168.1.10:{port}").parse().unwrap(),
            outside: format!("203.0.113.2:{port}").parse().unwrap(),
        }
    }

    fn texts(events: &Events) -> Vec<String> {
        events.newest(0).map(|e| format!("{} {}: {}", e.severity.as_str(), e.source, e.text)).collect()
    }

    #[test]
    fn as_many_as_the_rate_allows() {
        let now = Instant::now();
        let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
        collector.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let settings = NatLog { mappings: true, syslog: collector.local_addr().ok(), rate: 2 };
        let (mut log, mut events) = (Log::new(&settings, now).unwrap(), Events::default());
        log.second(0, &mut events);
        for port in 1..=5 {
            log.tell(|| mapped(port != 2, port), &mut events, now);
        }
        log.second(4, &mut events);
        log.second(4, &mut events);
        let expected = [
            "info nat44: mapping added: udp 192.168.1.10:1 as 203.0.113.2:1",
            "info nat44: mapping removed: udp 192.168.1.10:2 as 203.0.113.2:2",
            "warning nat44: 7 events left out; 2 in a second are told at most",
        ];
        assert_eq!(texts(&events), expected);
        for word in ["nat44-bib-create", "nat44-bib-delete", "nat44-suppressed"] {
            let mut bytes = [0; 2048];
            let len = collector.recv(&mut bytes).unwrap();
            assert!(std::str::from_utf8(&bytes[..len]).unwrap().contains(word), "{word}");
        }
        assert_eq!(log.counts(), Counts { told: 2, suppressed: 7, unsent: 0 });
        let mut next = Log::new(&NatLog { syslog: None, ..settings.clone() }, now).unwrap();
        next.follow(&log);
        next.tell(|| mapped(true, 6), &mut events, now);
        assert_eq!(next.counts(), Counts { told: 3, suppressed: 7, unsent: 0 });
        assert!(log.is_as(&settings) && !next.is_as(&settings));
    }

    #[test]
    fn off_by_default() {
        let (now, mut events) = (Instant::now(), Events::default());
        let mut log = Log::new(&NatLog { syslog: "192.0.2.9:514".parse().ok(), ..NatLog::default() }, now).unwrap();
        log.tell(|| unreachable!("nobody asked"), &mut events, now);
        log.second(0, &mut events);
        assert_eq!((texts(&events).len(), log.counts()), (0, Counts::default()));
    }
}
