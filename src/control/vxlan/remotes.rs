//! The remotes of all VXLAN interfaces, and their numbers.

use millrace_graph_nodes::vxlan::{Traffic, Tunnels};
use millrace_tables::indices::Indices;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long a number that was given up is not dealt out again, at least: until all workers and the stations behind it forgot.
const QUARANTINE: Duration = Duration::from_secs(2);

/// How a remote became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The interface's settings name it: it gets frames to all.
    Named,
    /// A static station of the bridge is behind it.
    Station,
    /// It was heard.
    Learnt,
}

/// An interface's number and an address.
pub type Key = (u32, IpAddr);

/// One of them.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Its address.
    pub address: IpAddr,
    /// Its number.
    pub number: u16,
    /// How it became known.
    pub source: Source,
    /// What came from it and went to it.
    pub traffic: Traffic,
    /// Whether the packet path has yet to hear of it.
    pub fresh: bool,
    /// Frames that had come from it when it was last looked at, and when they had become more.
    heard: (u64, Instant),
}

/// All of them.
#[derive(Debug)]
pub struct Remotes {
    workers: usize,
    all: BTreeMap<Key, Remote>,
    by_number: BTreeMap<u16, Key>,
    numbers: Indices,
    /// Numbers that stations may still be behind, and since when they have no remote.
    given_up: Vec<(u16, Instant)>,
}

impl Remotes {
    /// None, and so many workers that count.
    pub fn new(workers: usize) -> Remotes {
        Remotes {
            workers,
            all: BTreeMap::new(),
            by_number: BTreeMap::new(),
            numbers: Indices::new(Tunnels::NUMBERS),
            given_up: Vec::new(),
        }
    }

    /// Adds one, or says how one that there is became known. False when there are no numbers left.
    pub fn want(&mut self, key: Key, source: Source) -> bool {
        if let Some(remote) = self.all.get_mut(&key) {
            remote.source = source;
            return true;
        }
        let Some(number) = self.numbers.allocate().and_then(|number| u16::try_from(number).ok()) else { return false };
        let traffic = Traffic::new(self.workers);
        let remote = Remote { address: key.1, number, source, traffic, fresh: true, heard: (0, Instant::now()) };
        self.by_number.insert(number, key);
        self.all.insert(key, remote);
        true
    }

    /// The packet path has heard of all.
    pub fn published(&mut self) {
        self.all.values_mut().for_each(|remote| remote.fresh = false);
    }

    /// Takes those out for which `keep` says no; their numbers.
    pub fn retain(&mut self, mut keep: impl FnMut(Key, Source) -> bool) -> Vec<u16> {
        let gone: Vec<(Key, u16)> = (self.all.iter())
            .filter(|(key, remote)| !keep(**key, remote.source))
            .map(|(key, remote)| (*key, remote.number))
            .collect();
        for (key, number) in &gone {
            self.all.remove(key);
            self.by_number.remove(number);
            self.given_up.push((*number, Instant::now()));
        }
        gone.into_iter().map(|(_, number)| number).collect()
    }

    /// Lets numbers be dealt out again that no station is behind any more. `stations` tells how many are.
    pub fn reuse(&mut self, now: Instant, stations: impl Fn(u16) -> u32) {
        let numbers = &mut self.numbers;
        self.given_up.retain(|(number, since)| {
            let free = now.duration_since(*since) >= QUARANTINE && stations(*number) == 0;
            if free {
                numbers.release((*number).into());
            }
            !free
        });
    }

    /// Learnt ones from which nothing came for this long, and behind which no station is.
    pub fn silent(&mut self, now: Instant, after: Duration, stations: impl Fn(u16) -> u32) -> Vec<Key> {
        let mut silent = Vec::new();
        for (key, remote) in self.all.iter_mut().filter(|(_, remote)| remote.source == Source::Learnt) {
            let frames = remote.traffic.totals().rx_packets;
            if remote.heard.0 != frames {
                remote.heard = (frames, now);
            } else if now.duration_since(remote.heard.1) >= after && stations(remote.number) == 0 {
                silent.push(*key);
            }
        }
        silent
    }

    /// One of them.
    pub fn get(&self, interface: u32, address: IpAddr) -> Option<&Remote> {
        self.all.get(&(interface, address))
    }

    /// Whose number it is.
    pub fn by_number(&self, number: u16) -> Option<Key> {
        self.by_number.get(&number).copied()
    }

    /// All.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &Remote)> {
        self.all.iter().map(|(key, remote)| (*key, remote))
    }

    /// Those of an interface, in the order of their addresses.
    pub fn of(&self, interface: u32) -> impl Iterator<Item = (IpAddr, &Remote)> {
        let first = IpAddr::from([0; 4]);
        let of = move |(key, _): &(&Key, &Remote)| key.0 == interface;
        self.all.range((interface, first)..).take_while(of).map(|((_, address), remote)| (*address, remote))
    }
}
