//! The receive queue of a generator: its streams, in turns.

use super::table::Table;
use super::{Counts, POLLED, SharedMac, count, mac_bytes};
use crate::pace::Pacer;
use crate::pcap;
use crate::spec::{Frames, Generator};
use millrace_engine::clock;
use millrace_engine::device::{RxBurst, RxQueue, Wake};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

enum Packets {
    Made(Box<Table>),
    /// Every n-th frame of a capture, over and over.
    Played(pcap::Player),
}

struct Stream {
    packets: Packets,
    pacer: Pacer,
    /// Packets still to come.
    left: u64,
}

#[repr(align(128))]
pub(super) struct Source {
    streams: Vec<Stream>,
    /// The stream whose turn it is to be first.
    turn: usize,
    burst: usize,
    mac: SharedMac,
    known_mac: u64,
    counts: Arc<Counts>,
}

impl Source {
    /// The source of queue `share.0` of `share.1`.
    pub fn new(
        spec: &Generator,
        templates: &[Option<Arc<pcap::Frames>>],
        share: (usize, usize),
        mac: SharedMac,
        counts: Arc<Counts>,
    ) -> Source {
        let known_mac = mac.load(Relaxed);
        let (mine, all) = (share.0 as u64, share.1.max(1) as u64);
        let stream = |(at, (stream, template)): (usize, (&crate::spec::Stream, &Option<Arc<pcap::Frames>>))| Stream {
            packets: match (&stream.frames, template) {
                (Frames::Made(flow), _) => {
                    Packets::Made(Box::new(Table::new(flow, at as u64 + 1, share, mac_bytes(known_mac))))
                }
                (Frames::Template(_), frames) => {
                    Packets::Played(pcap::Player::new(frames.clone().unwrap_or_default(), share))
                }
            },
            pacer: Pacer::new(stream.rate, share.1),
            left: stream.count.map_or(u64::MAX, |n| n / all + u64::from(mine < n % all)),
        };
        let streams: Vec<_> = spec.streams.iter().zip(templates).enumerate().map(stream).collect();
        Source { streams, turn: 0, burst: usize::from(spec.burst.clamp(1, 256)), mac, known_mac, counts }
    }

    #[cold]
    fn set_mac(&mut self, mac: u64) {
        self.known_mac = mac;
        for stream in &mut self.streams {
            if let Packets::Made(table) = &mut stream.packets {
                table.set_mac(mac_bytes(mac));
            }
        }
    }
}

impl Stream {
    #[inline]
    fn give(&mut self, most: usize, burst: &mut RxBurst<'_>, now: u64) -> usize {
        let most = most.min(self.pacer.due(now)).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let given = match &mut self.packets {
            Packets::Made(table) => table.give(most, burst),
            Packets::Played(player) => player.give(most, burst),
        };
        if self.left != u64::MAX {
            self.left -= given as u64;
        }
        self.pacer.took(given);
        given
    }
}

impl RxQueue for Source {
    #[inline]
    fn rx(&mut self, burst: &mut RxBurst<'_>) -> io::Result<()> {
        let mac = self.mac.load(Relaxed);
        if mac != self.known_mac {
            self.set_mac(mac);
        }
        let now = clock::now();
        POLLED.set(now);
        let most = self.burst.min(burst.room());
        let mut given = 0;
        if let [stream] = &mut self.streams[..] {
            given = stream.give(most, burst, now);
        } else {
            let all = self.streams.len();
            let (before, after) = self.streams.split_at_mut(self.turn.min(all));
            // Each gets an equal part of what those before it left.
            for (done, stream) in after.iter_mut().chain(before).enumerate() {
                given += stream.give((most - given).div_ceil(all - done), burst, now);
            }
            self.turn = (self.turn + 1) % all.max(1);
        }
        self.counts.add(count::SOURCE, given as u64);
        Ok(())
    }

    fn wake(&self) -> Wake {
        let running = || self.streams.iter().filter(|s| s.left > 0);
        match running().map(|s| s.pacer.next().unwrap_or(0)).min() {
            None => Wake::Never,
            Some(at) if at > clock::now() => Wake::At(at),
            Some(_) => Wake::Poll,
        }
    }
}
