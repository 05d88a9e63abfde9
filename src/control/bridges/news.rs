//! What the packet path says of bridges, told to operators: when it begins, once a minute while it goes on, and when it ends. Ports count
//! every time; see [`Happened`].

use millrace_graph_nodes::l2::storm::Kind;
use millrace_graph_nodes::l2::{Happened, News};
use millrace_wire::MacAddr;
use std::collections::BTreeMap;

/// Seconds between two events about the same that goes on.
const AGAIN: u64 = 60;
/// What has not been heard of for so many seconds has ended.
const QUIET: u64 = 10;
/// Stations that come to a port from others in a second, for two seconds: more than hosts that move have.
const LOOP: u64 = 10;

/// What may go on at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matter {
    /// Storm control drops broadcasts.
    Broadcasts,
    /// Storm control drops multicasts.
    Multicasts,
    /// Storm control drops frames to unknown stations.
    Unknown,
    /// Stations go to and fro.
    Moves,
    /// The port has its most stations.
    PortFull,
    /// The bridge has.
    BridgeFull,
    /// Frames say that they come from a station that is fixed to another port.
    Spoofed,
}

impl Matter {
    const fn of(news: &News) -> (u32, Matter) {
        match *news {
            News::Storm { interface, kind } => {
                let matter = match kind {
                    Kind::Broadcast => Matter::Broadcasts,
                    Kind::Multicast => Matter::Multicasts,
                    Kind::Unknown => Matter::Unknown,
                };
                (interface, matter)
            }
            News::Moved { interface, .. } => (interface, Matter::Moves),
            News::PortFull { interface, .. } => (interface, Matter::PortFull),
            News::BridgeFull { interface, .. } => (interface, Matter::BridgeFull),
            News::Spoofed { interface, .. } => (interface, Matter::Spoofed),
        }
    }

    /// How often it happened at a port.
    const fn count(self, happened: &Happened) -> u64 {
        match self {
            Matter::Broadcasts => happened.storm_broadcast,
            Matter::Multicasts => happened.storm_multicast,
            Matter::Unknown => happened.storm_unknown,
            Matter::Moves => happened.moved,
            Matter::PortFull => happened.port_full,
            Matter::BridgeFull => happened.bridge_full,
            Matter::Spoofed => happened.spoofed,
        }
    }

    /// What is said of it, at a port that has this name, when it has happened so often since it began.
    fn text(self, port: &str, count: u64, last: Option<&Last>) -> String {
        let storm = |what: &str| {
            format!("{port}: storm control drops {what} ({count} so far): a loop, or a host that is out of its mind")
        };
        let who = last.map(|last| last.mac.to_string()).unwrap_or_default();
        match self {
            Matter::Broadcasts => storm("broadcasts"),
            Matter::Multicasts => storm("multicasts"),
            Matter::Unknown => storm("frames to unknown stations"),
            Matter::Moves => {
                let from = last.map(|last| last.from.clone()).unwrap_or_default();
                format!(
                    "stations move between {from} and {port} all the time ({count} so far, {who} among them): a loop?"
                )
            }
            Matter::PortFull => {
                format!("{port}: mac-limit reached: stations are not learnt ({count} frames so far, last of {who})")
            }
            Matter::BridgeFull => {
                format!(
                    "mac-limit of the bridge reached: stations are not learnt, of {port} ({count} frames so far, last of {who})"
                )
            }
            Matter::Spoofed => {
                format!("{port}: frames from {who}, which is fixed to another port, are dropped ({count} so far)")
            }
        }
    }

    fn end(self, port: &str, count: u64) -> String {
        let were = if count == 1 { "was" } else { "were" };
        let over = |what: &str| format!("{port}: storm of {what} is over; {count} {were} dropped");
        match self {
            Matter::Broadcasts => over("broadcasts"),
            Matter::Multicasts => over("multicasts"),
            Matter::Unknown => over("frames to unknown stations"),
            Matter::Moves => format!("{port}: stations stay where they are again, after {count} moves"),
            Matter::PortFull | Matter::BridgeFull => {
                let frames = if count == 1 { "frame" } else { "frames" };
                format!("{port}: all stations are learnt again; {count} {frames} had one that was not")
            }
            Matter::Spoofed => format!("{port}: no more frames from stations of other ports; {count} {were} dropped"),
        }
    }
}

/// The station that was heard of last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// Its address.
    pub mac: MacAddr,
    /// The name of the interface that it came from; empty where that is not known.
    pub from: String,
}

/// Something that goes on.
#[derive(Debug)]
struct Going {
    /// How often it had happened when it began.
    before: u64,
    /// How often when it was last looked at.
    count: u64,
    heard: u64,
    /// When it was told last; it may not have been yet.
    told: Option<u64>,
    /// Seconds in a row with too many moves.
    busy: u64,
    last: Option<Last>,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The port.
    pub interface: u32,
    /// Whether it is over.
    pub over: bool,
    /// In words.
    pub text: String,
}

/// All that goes on.
#[derive(Debug, Default)]
pub struct Watch {
    going: BTreeMap<(u32, Matter), Going>,
    /// How often it had happened when it ended last.
    ended: BTreeMap<(u32, Matter), u64>,
}

impl Watch {
    /// Takes in news. `happened` tells how often what happened at its port; an event, if there is one to tell now.
    pub fn hear(
        &mut self,
        news: &News,
        last: Option<Last>,
        port: &str,
        happened: &Happened,
        second: u64,
    ) -> Option<Told> {
        let (interface, matter) = Matter::of(news);
        let count = matter.count(happened);
        // More may have happened since the news was sent; of a port that came back, all is new.
        let before = self.ended.get(&(interface, matter)).copied().filter(|ended| *ended <= count).unwrap_or(0);
        let new = || Going { before, count, heard: second, told: None, busy: 0, last: None };
        let going = self.going.entry((interface, matter)).or_insert_with(new);
        going.heard = second;
        going.last = last.or(going.last.take());
        // Stations may move; that they do all the time shows in `second`.
        if matter == Matter::Moves || going.told.is_some() {
            return None;
        }
        going.told = Some(second);
        let text = matter.text(port, count - going.before, going.last.as_ref());
        Some(Told { interface, over: false, text })
    }

    /// Once a second: what is to be told of what goes on, and of what has ended. A port without a name is one no more.
    pub fn second(
        &mut self,
        name: impl Fn(u32) -> Option<String>,
        happened: impl Fn(u32) -> Happened,
        second: u64,
    ) -> Vec<Told> {
        let mut told = Vec::new();
        self.ended.retain(|(interface, _), _| name(*interface).is_some());
        self.going.retain(|(interface, matter), going| {
            let Some(port) = name(*interface) else { return false };
            let count = matter.count(&happened(*interface));
            let more = count.saturating_sub(going.count);
            going.count = count;
            if more > 0 {
                going.heard = second;
            }
            going.busy = if *matter == Matter::Moves && more < LOOP { 0 } else { going.busy + 1 };
            let sum = count.saturating_sub(going.before);
            let due = match going.told {
                Some(last) => more > 0 && second.saturating_sub(last) >= AGAIN,
                None => going.busy >= 2,
            };
            let mut tell = |over, text| told.push(Told { interface: *interface, over, text });
            if due {
                going.told = Some(second);
                tell(false, matter.text(&port, sum, going.last.as_ref()));
            }
            if second.saturating_sub(going.heard) < QUIET {
                return true;
            }
            if going.told.is_some() {
                tell(true, matter.end(&port, sum));
            }
            self.ended.insert((*interface, *matter), count);
            false
        });
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);

    fn storm() -> News {
        News::Storm { interface: 3, kind: Kind::Broadcast }
    }

    fn name(interface: u32) -> Option<String> {
        (interface == 3).then(|| "p3".to_owned())
    }

    #[test]
    fn a_storm_is_told_when_it_begins_each_minute_and_when_it_ends() {
        let mut watch = Watch::default();
        let dropped = |n| Happened { storm_broadcast: n, ..Happened::default() };
        let first = watch.hear(&storm(), None, "p3", &dropped(1), 100).unwrap();
        assert!(first.text.starts_with("p3: storm control drops broadcasts (1 so far)"), "{}", first.text);
        let mut told = Vec::new();
        for second in 101..=190 {
            // It lasts till 170.
            let happened = dropped(1000 * (second.min(170) - 100));
            if second <= 170 {
                assert_eq!(watch.hear(&storm(), None, "p3", &happened, second), None);
            }
            told.extend(watch.second(name, |_| happened, second).into_iter().map(|told| (second, told)));
        }
        let texts: Vec<_> = told.iter().map(|(second, told)| (*second, told.over, told.text.as_str())).collect();
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert_eq!((texts[0].0, texts[0].1, texts[0].2.contains("60000 so far")), (160, false, true), "{texts:?}");
        assert_eq!(texts[1], (180, true, "p3: storm of broadcasts is over; 70000 were dropped"));
        assert!(watch.going.is_empty());
        // The next one is a new one, of which more than the first may have been counted by now.
        assert!(watch.hear(&storm(), None, "p3", &dropped(70_007), 200).unwrap().text.contains("(7 so far)"));
        let ends = (200..=215).flat_map(|second| watch.second(name, |_| dropped(70_007), second));
        let ends: Vec<String> = ends.map(|told| told.text).collect();
        assert_eq!(ends, ["p3: storm of broadcasts is over; 7 were dropped"]);
        // A port that was taken away and came back counts anew.
        assert!(watch.hear(&storm(), None, "p3", &dropped(1), 300).unwrap().text.contains("(1 so far)"));
        assert_eq!(watch.second(name, |_| dropped(1), 310)[0].text, "p3: storm of broadcasts is over; 1 was dropped");
    }

    #[test]
    fn hosts_may_move_but_not_all_the_time() {
        let mut watch = Watch::default();
        let moved = |n| Happened { moved: n, ..Happened::default() };
        let news = News::Moved { domain: 1, mac: MAC, from: 2, to: 3, interface: 3 };
        let last = || Some(Last { mac: MAC, from: "p2".to_owned() });
        // Five hundred at once, as when a machine's uplink fails over.
        assert_eq!(watch.hear(&news, last(), "p3", &moved(1), 10), None);
        for second in 10..30 {
            assert_eq!(watch.second(name, |_| moved(500), second), [], "after {second} s");
        }
        let mut count = 500;
        watch.hear(&news, last(), "p3", &moved(count), 40);
        let mut told = Vec::new();
        for second in 40..45 {
            count += 20;
            told.extend(watch.second(name, |_| moved(count), second));
        }
        assert_eq!(told.len(), 1);
        assert!(told[0].text.starts_with("stations move between p2 and p3 all the time"), "{}", told[0].text);
        assert!(told[0].text.contains(&MAC.to_string()));
    }

    #[test]
    fn a_port_that_is_none_any_more_is_no_news() {
        let mut watch = Watch::default();
        watch.hear(&storm(), None, "p3", &Happened::default(), 10);
        assert_eq!(watch.second(|_| None, |_| Happened::default(), 11), []);
        assert!(watch.going.is_empty());
    }
}
