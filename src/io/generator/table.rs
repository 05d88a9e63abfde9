//! The packets of a stream, ready to be copied.

use super::build::{BODY, LINE, LINES, Ranges, below, headers};
use crate::spec::{Flow, Order, mix};
use millrace_engine::device::RxBurst;

/// Packets in a table: at least, and at most. (At 64 bytes a packet, 4 MiB and 128 MiB.)
const LEAST: u64 = 1 << 16;
const MOST: u64 = Order::SHUFFLED_MAX;
/// The same, of packets drawn at random.
const MOST_DRAWN: u64 = 1 << 20;

/// The first bytes of a packet, or what follows them if those of its headers are more: a cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u8; LINE]);

impl AsRef<[u8; LINE]> for Line {
    #[inline(always)]
    fn as_ref(&self) -> &[u8; LINE] {
        &self.0
    }
}

/// The length of every packet.
enum Lens {
    /// 60 bytes, the smallest Ethernet frame without its check sequence: copies of fixed size, all at once.
    Smallest,
    /// 62 bytes, the smallest of UDP over IPv6: the same.
    Smallest6,
    All(usize),
    Each(Vec<u16>),
}

/// A share of a stream's packets, and where in it we are.
#[repr(align(128))]
pub(super) struct Table {
    flow: Flow,
    ranges: Ranges,
    /// One of each packet, or as many as `width` says.
    lines: Vec<Line>,
    width: usize,
    lens: Lens,
    mac: [u8; 6],
    /// Share `share.0` of `share.1`.
    share: (u64, u64),
    /// The next packet.
    at: usize,
    /// How many packets of this share were built.
    filled: u64,
    /// The sequence is longer than the table, which is then filled anew as it is used up.
    refill: bool,
    /// The packets are shuffled as they are built, and once more as they are given for the first time.
    shuffle: bool,
    /// State of the shuffle's random numbers.
    random: u64,
}

impl Table {
    pub fn new(flow: &Flow, seed: u64, share: (usize, usize), mac: [u8; 6]) -> Table {
        let ranges = Ranges::new(flow, seed);
        let period = ranges.period();
        let (mine, all) = (share.0 as u64, share.1 as u64);
        let (len, refill) = match (flow.order, period) {
            (Order::Random, _) => {
                (period.checked_next_power_of_two().unwrap_or(MOST_DRAWN).clamp(LEAST, MOST_DRAWN), false)
            }
            // Of fewer combinations than queues some queues have the same.
            (Order::Shuffled, _) => (period.saturating_sub(mine).div_ceil(all.max(1)).clamp(1, MOST), false),
            (Order::Sequential, 0..=MOST) => (period * LEAST.div_ceil(period), false),
            (Order::Sequential, _) => (LEAST, true),
        };
        let width = headers(flow).div_ceil(LINE);
        let lens = match ranges.fixed_len(flow) {
            Some(60) => Lens::Smallest,
            Some(62) if width == 1 => Lens::Smallest6,
            Some(len) => Lens::All(len),
            None => Lens::Each(vec![0; len as usize]),
        };
        let mut table = Table {
            flow: flow.clone(),
            ranges,
            lines: vec![Line([0; LINE]); len as usize * width],
            width,
            lens,
            mac: flow.destination_mac.unwrap_or(mac),
            share: (mine, all),
            at: 0,
            filled: 0,
            refill,
            shuffle: flow.order == Order::Shuffled,
            random: seed,
        };
        table.fill(len as usize);
        table
    }

    /// How many packets there are.
    fn len(&self) -> usize {
        self.lines.len() / self.width
    }

    /// The lines of some packets.
    #[inline(always)]
    fn lines_of(&self, from: usize, to: usize) -> &[Line] {
        self.lines.get(from * self.width..to * self.width).unwrap_or_default()
    }

    /// Builds the next `n` packets, from the one on that was used up first.
    fn fill(&mut self, n: usize) {
        for _ in 0..n {
            let at = (self.filled % self.len() as u64) as usize;
            let position = self.filled.wrapping_mul(self.share.1).wrapping_add(self.share.0);
            let mut bytes = [0; LINES * LINE];
            let len = self.ranges.build(&self.flow, self.mac, position, &mut bytes);
            let lines = self.lines.iter_mut().skip(at * self.width).take(self.width);
            for (line, bytes) in lines.zip(bytes.as_chunks().0) {
                line.0 = *bytes;
            }
            if let Lens::Each(lens) = &mut self.lens
                && let Some(slot) = lens.get_mut(at)
            {
                *slot = len as u16;
            }
            if self.shuffle {
                self.shuffle(at);
            }
            self.filled += 1;
        }
    }

    /// Swaps a packet with any of those up to it. Done to one after the other, this makes every order equally likely
    /// (Fisher and Yates, inside out), and never touches one that comes later.
    fn shuffle(&mut self, at: usize) {
        self.random = self.random.wrapping_add(1);
        let to = below(at as u64 + 1, mix(mix(self.random))) as usize;
        (0..self.width).for_each(|line| self.lines.swap(at * self.width + line, to * self.width + line));
        if let Lens::Each(lens) = &mut self.lens {
            lens.swap(at, to);
        }
    }

    /// Sends to another address from now on, if it is the interface's that it sends to.
    pub fn set_mac(&mut self, mac: [u8; 6]) {
        if self.flow.destination_mac.is_none() {
            self.mac = mac;
            for line in self.lines.iter_mut().step_by(self.width) {
                line.0[..6].copy_from_slice(&mac);
            }
        }
    }

    /// Gives the burst at most `most` packets; how many.
    #[inline]
    pub fn give(&mut self, most: usize, burst: &mut RxBurst<'_>) -> usize {
        let mut given = 0;
        while given < most {
            let end = self.len().min(self.at + most - given);
            let lines = self.lines_of(self.at, end);
            let packets = lines.chunks(self.width);
            let n = match &self.lens {
                Lens::Smallest => burst.push_lines::<60, LINE>(lines),
                Lens::Smallest6 => burst.push_lines::<62, LINE>(lines),
                Lens::All(len) => packets.take_while(|lines| push(lines, *len, burst)).count(),
                Lens::Each(lens) => {
                    let lens = lens.get(self.at..end).unwrap_or_default();
                    packets.zip(lens).take_while(|(lines, len)| push(lines, usize::from(**len), burst)).count()
                }
            };
            given += n;
            if self.shuffle {
                (self.at..self.at + n).for_each(|at| self.shuffle(at));
            }
            self.at += n;
            if self.at == self.len() {
                self.at = 0;
                self.shuffle = false;
            } else if given < most {
                // The burst is full, or there is no buffer left.
                break;
            }
        }
        if self.refill {
            self.fill(given);
        }
        given
    }
}

#[inline]
fn push(lines: &[Line], len: usize, burst: &mut RxBurst<'_>) -> bool {
    let rest = || BODY.get(lines.len() * LINE..len);
    match lines {
        [line] => match rest() {
            Some(rest) => burst.push(&[&line.0, rest]),
            None => line.0.get(..len).is_some_and(|bytes| burst.push(&[bytes])),
        },
        [first, second] => match rest() {
            Some(rest) => burst.push(&[&first.0, &second.0, rest]),
            None => second.0.get(..len.saturating_sub(LINE)).is_some_and(|bytes| burst.push(&[&first.0, bytes])),
        },
        _ => false,
    }
}
