//! `driver: generator`: the built-in source and sink of traffic, for measuring.
//!
//! ```yaml
//! interfaces:
//!   gen0:
//!     driver: generator
//!     burst: 256                      # packets a poll, 1 to 256
//!     check: true                     # verify checksums of what is sent to it (IPv4 headers, UDP, TCP, ICMP), and count what is wrong
//!     latency: true                   # measure how long packets take from a generator to this one, through one worker
//!     streams:
//!       - source-mac: "02:00:00:00:00:01"       # default: this one
//!         destination-mac: "02:fe:00:00:00:01"  # default: the interface's own, so that the router takes the frame
//!         source: 10.0.0.1-10.0.0.9             # an address, first-last, or a prefix (all of its addresses); IPv4 or IPv6
//!         destination: 198.18.0.0/16
//!         protocol: udp                         # udp | tcp | icmp (echo requests)
//!         source-ports: 1000-2000               # a port or first-last; default 1024
//!         destination-ports: 53                 # default 9 (discard)
//!         size: 64                              # 64 | 64-1518 | imix; default 64
//!         order: sequential                     # sequential | random | shuffled
//!         vlan: 100                             # one 802.1Q tag
//!         rate: 1Mpps                           # max | with unit pps, kpps, Mpps; default max
//!         count: 1000000                        # stop after so many; default: never
//!       - {template: in.pcap, rate: 10kpps}     # the frames of a capture, over and over
//! ```
//!
//! Sizes count the whole Ethernet frame with its 4-byte check sequence, as RFC 2544 clause 9.1 does: a frame of 64 takes 60
//! bytes of a buffer. Frames that are too short for the headers of IPv6 are as long as those: 66 bytes with UDP and ICMP, 78 with
//! TCP. Several streams take turns, each at its own rate.

mod text;

pub use crate::ranges::{IpRange, PortRange};

use crate::{keyword::keywords, mac::Mac, units::Rate};
use std::path::PathBuf;

/// The keys of a generator. Without streams it is a sink only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generator {
    /// What it sends, in turns.
    pub streams: Vec<Stream>,
    /// The most packets it gives to one poll; 1 to 256, default 256.
    pub burst: u16,
    /// Whether the sink verifies checksums (IPv4 header, UDP, TCP, ICMP) and counts the packets whose are wrong.
    pub check: bool,
    /// Whether the sink measures how long packets take from a generator's poll to it, through one worker.
    pub latency: bool,
}

/// One stream of a generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// What its frames are.
    pub frames: Frames,
    /// How fast.
    pub rate: Rate,
    /// After how many frames it ends; none: never.
    pub count: Option<u64>,
}

/// Where a stream's frames come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frames {
    /// Made from these headers.
    Made(Box<Flow>),
    /// Those of a capture file, over and over (key `template`).
    Template(PathBuf),
}

/// The headers of made frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Default [`Flow::SOURCE_MAC`].
    pub source_mac: Mac,
    /// None: the interface's own, so that the router takes the frame as meant for it.
    pub destination_mac: Option<Mac>,
    /// One 802.1Q tag, or none.
    pub vlan: Option<u16>,
    /// Source addresses.
    pub source: IpRange,
    /// Destination addresses, of the same family.
    pub destination: IpRange,
    /// What follows the IP header.
    pub protocol: FlowProtocol,
    /// Source ports; unused with ICMP. Default 1024.
    pub source_ports: PortRange,
    /// Destination ports; unused with ICMP. Default 9, `discard`.
    pub destination_ports: PortRange,
    /// Sizes of the frames.
    pub size: FrameSize,
    /// How a stream walks through its ranges.
    pub order: Order,
}

/// Sizes of Ethernet frames in bytes with their check sequence; each from [`FrameSize::MIN`] to [`FrameSize::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameSize {
    /// All the same.
    Fixed(u16),
    /// From the first to the second, both included.
    Range(u16, u16),
    /// Of twelve frames seven of 64, four of 594 and one of 1518, mixed.
    Imix,
}

keywords! {
    /// What follows the IP header of a made frame.
    FlowProtocol, "udp, tcp or icmp" {
        /// UDP with a right checksum.
        Udp = "udp",
        /// TCP segments with ACK set.
        Tcp = "tcp",
        /// ICMP or ICMPv6 echo requests.
        Icmp = "icmp",
    }
}

keywords! {
    /// How a stream walks through its ranges of addresses, ports and sizes.
    Order, "sequential, random or shuffled" {
        /// Every range steps on by one with each frame and starts again at its end (default).
        Sequential = "sequential",
        /// Each range by itself, at random; the same sequence at every start.
        Random = "random",
        /// Every combination of the ranges' values once, in a random order that is the same at every start; then over and
        /// over in another random order. At most [`Flow::SHUFFLED_MAX`] combinations.
        Shuffled = "shuffled",
    }
}

impl Generator {
    /// The largest burst: a full frame of the engine.
    pub const MAX_BURST: u16 = 256;
}

impl Default for Generator {
    fn default() -> Self {
        Self { streams: Vec::new(), burst: Self::MAX_BURST, check: false, latency: false }
    }
}

impl Stream {
    /// The largest IP packet in its frames, in bytes; none if a capture decides.
    pub(crate) fn mtu_needed(&self) -> Option<u16> {
        match &self.frames {
            Frames::Made(flow) => Some(flow.size.largest() - if flow.vlan.is_some() { 22 } else { 18 }),
            Frames::Template(_) => None,
        }
    }

    /// How many combinations it is to shuffle, if they are too many.
    pub(crate) fn too_many_to_shuffle(&self) -> Option<u64> {
        match &self.frames {
            Frames::Made(flow) if flow.order == Order::Shuffled => {
                Some(flow.combinations()).filter(|n| *n > Flow::SHUFFLED_MAX)
            }
            _ => None,
        }
    }
}

impl Flow {
    /// The source of made frames unless the configuration names one.
    pub const SOURCE_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    /// The most combinations that `order: shuffled` takes: each keeps 64 bytes of memory.
    pub const SHUFFLED_MAX: u64 = 1 << 21;

    /// How many different packets the ranges allow.
    fn combinations(&self) -> u64 {
        let sizes = match self.size {
            FrameSize::Fixed(_) => 1,
            FrameSize::Range(first, last) => u64::from(last - first) + 1,
            FrameSize::Imix => 12,
        };
        let ports = [self.source_ports, self.destination_ports].map(|range| range.count().into());
        let counts = [self.source.count(), self.destination.count(), sizes].into_iter().chain(ports);
        counts.fold(1, u64::saturating_mul)
    }

    /// UDP frames of 64 bytes between these addresses, everything else at its default.
    pub fn new(source: IpRange, destination: IpRange) -> Self {
        Self {
            source_mac: Self::SOURCE_MAC,
            destination_mac: None,
            vlan: None,
            source,
            destination,
            protocol: FlowProtocol::Udp,
            source_ports: PortRange::one(1024),
            destination_ports: PortRange::one(9),
            size: FrameSize::Fixed(FrameSize::MIN),
            order: Order::Sequential,
        }
    }
}

impl FrameSize {
    /// The smallest Ethernet frame (IEEE 802.3 clause 3.2.8).
    pub const MIN: u16 = 64;
    /// The largest: an IP packet of the largest MTU with Ethernet header, one 802.1Q tag and check sequence.
    pub const MAX: u16 = 9216 + 22;

    /// The largest size that the stream can have.
    pub const fn largest(self) -> u16 {
        match self {
            Self::Fixed(size) | Self::Range(_, size) => size,
            Self::Imix => 1518,
        }
    }
}
