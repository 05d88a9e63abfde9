//! `generator`: the built-in source and sink of traffic, for measuring.
//!
//! What a stream sends is computed beforehand: the first 64 bytes of each packet lie in a table, one cache line each and one
//! behind the other, the bytes that follow are the same for all. A poll copies lines in order, which the processor's own
//! prefetching sees coming, so that a packet of 64 bytes costs a few clocks. Whatever is sent to the device ends in the
//! sink, which counts it and, if asked to, verifies its checksums and measures how long it took.
//!
//! With several queues each has a table of its own and makes its share: every n-th packet of each stream.

mod build;
mod sink;
mod source;
mod table;

use crate::counts::Board;
use crate::device::{Device as DeviceTrait, Info, Link, OpenError, QueuePair, derived_mac};
use crate::pcap;
use crate::spec::{Frames, Generator, Rate};
use sink::Sink;
use source::Source;
use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a queue pair counts.
mod count {
    pub const SOURCE: usize = 0;
    pub const SINK: usize = 1;
    pub const SINK_CHECKED_BYTES: usize = 2;
    pub const BAD_IP: usize = 3;
    pub const BAD_TRANSPORT: usize = 4;
    pub const MALFORMED: usize = 5;
    pub const UNCHECKED: usize = 6;
    pub const LATENCY: usize = 7;
    pub const LATER_THAN_100_US: usize = 8;
    pub const LATER_THAN_1_MS: usize = 9;
    pub const LATER_THAN_10_MS: usize = 10;
    pub const NAMES: [&str; 11] = [
        "source_packets",
        "sink_packets",
        "sink_checked_bytes",
        "sink_bad_ipv4_checksum",
        "sink_bad_transport_checksum",
        "sink_malformed",
        "sink_not_checkable",
        "sink_latency_ns",
        "sink_later_than_100us",
        "sink_later_than_1ms",
        "sink_later_than_10ms",
    ];
}

type Counts = crate::counts::Counts<{ count::NAMES.len() }>;

thread_local! {
    /// When this worker last took packets from a source: how long they are under way is told by the sink that they reach in the
    /// same round.
    static POLLED: Cell<u64> = const { Cell::new(0) };
}

/// The interface's address, for streams that send to it; the lower 48 bits count.
type SharedMac = Arc<AtomicU64>;

fn mac_number(mac: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = mac;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

fn mac_bytes(number: u64) -> [u8; 6] {
    let [a, b, c, d, e, f, ..] = number.to_le_bytes();
    [a, b, c, d, e, f]
}

/// The control side.
pub(crate) struct Device {
    spec: Generator,
    /// The captures of the streams that play one; by the stream's position.
    templates: Vec<Option<Arc<pcap::Frames>>>,
    mac: SharedMac,
    queues: usize,
    board: Board<{ count::NAMES.len() }>,
}

impl Device {
    pub fn open(spec: &Generator, name: &str) -> Result<Device, OpenError> {
        let mut templates = Vec::new();
        for stream in &spec.streams {
            templates.push(match &stream.frames {
                Frames::Made(flow) => {
                    build::valid(flow).map_err(|reason| OpenError::refused(name, reason))?;
                    None
                }
                Frames::Template(path) => {
                    let refused = |e| OpenError::refused(path.display().to_string(), e);
                    let frames = pcap::Frames::read(path).map_err(refused)?;
                    if frames.is_empty() {
                        return Err(OpenError::refused(path.display().to_string(), "there is no frame in it"));
                    }
                    Some(Arc::new(frames))
                }
            });
        }
        let mac = Arc::new(AtomicU64::new(mac_number(derived_mac(name))));
        Ok(Device { spec: spec.clone(), templates, mac, queues: 0, board: Board::new(&count::NAMES) })
    }
}

impl DeviceTrait for Device {
    fn queues(&mut self, count: usize) -> io::Result<Vec<QueuePair>> {
        self.queues = count;
        let pair = |share| {
            let counts = self.board.queue();
            let source = (!self.spec.streams.is_empty()).then(|| {
                Box::new(Source::new(&self.spec, &self.templates, (share, count), self.mac.clone(), counts.clone()))
                    as _
            });
            QueuePair { rx: source, tx: Some(Box::new(Sink::new(&self.spec, counts))) }
        };
        Ok((0..count).map(pair).collect())
    }

    fn link(&self) -> Link {
        Link::Up
    }

    fn mac(&self) -> Option<[u8; 6]> {
        Some(mac_bytes(self.mac.load(Relaxed)))
    }

    fn set_mac(&mut self, mac: [u8; 6]) -> io::Result<()> {
        self.mac.store(mac_number(mac), Relaxed);
        Ok(())
    }

    fn stats(&self) -> Vec<(&'static str, u64)> {
        self.board.sums()
    }

    fn info(&self) -> Info {
        let rate = |rate| match rate {
            Rate::Max => "max".to_owned(),
            Rate::PerSecond(n) => format!("{n} pps"),
        };
        let stream = |s: &crate::spec::Stream| {
            let frames = match &s.frames {
                Frames::Made(f) => format!(
                    "{:?} {}-{} to {}-{}",
                    f.protocol, f.source.first, f.source.last, f.destination.first, f.destination.last
                )
                .to_lowercase(),
                Frames::Template(path) => format!("frames of {}", path.display()),
            };
            let count = s.count.map_or_else(String::new, |n| format!(", {n} packets"));
            ("stream", format!("{frames}, rate {}{count}", rate(s.rate)))
        };
        let mut modes = vec![
            ("burst", self.spec.burst.to_string()),
            ("sink", if self.spec.check { "verifies checksums" } else { "counts" }.to_owned()),
        ];
        modes.extend(self.spec.streams.iter().map(stream));
        Info { driver: "generator", queues: self.queues, modes, ..Info::default() }
    }
}
