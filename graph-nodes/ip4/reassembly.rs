//! ip4-local-full-reassembly: puts fragments to the router itself together (RFC 791 section 3.2, RFC 1812 section 4.2.2.8).
//! Reads: table. The datagram has the metadata of its first fragment.
//!
//! Few datagrams at a time, and not for long: nobody but a ping has reason to send the router more than its MTU.

use crate::icmp::error::Reason;
use crate::{icmp, ip4};
use millrace_engine::{Buffer, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::Ipv4;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::Ipv4Addr;

/// Its name.
pub const NAME: NodeName = NodeName::new("ip4-local-full-reassembly");

/// Fragments that may wait in one worker.
pub const IN_ALL: usize = 1024;
/// Fragments that a datagram may come in: 65,535 bytes by way of a link that takes 576.
pub const PER_DATAGRAM: usize = 128;
/// How long fragments wait for the rest, in nanoseconds. RFC 1122 section 3.3.2 would have a minute; at today's rates an
/// identification comes again within that (RFC 4963).
pub const PATIENCE: u64 = 3_000_000_000;

edges! {
    /// The whole datagram goes on; whoever sent one that stays incomplete hears of it.
    pub enum Next { Local => ip4::local::NAME, IcmpError => icmp::error::NAME }
}

counters! {
    /// What becomes of fragments.
    pub enum Count {
        Whole => "datagrams put together",
        Joined => "fragments joined to a datagram",
        Timeout => "rest of the datagram did not come",
        Overlap => "fragments overlap",
        Duplicate => "duplicate fragment",
        TooFar => "fragment reaches beyond 65535 bytes",
        Uneven => "fragment before the last is no multiple of 8 bytes long",
        Empty => "fragment without data",
        TooMany => "datagram in too many fragments",
        Full => "too many fragments wait in all",
        NoBuffer => "no free buffer",
        Malformed => "no IPv4 fragment",
    }
}

/// What `show trace` tells.
pub struct Trace {
    source: Ipv4Addr,
    id: u16,
    start: usize,
    end: usize,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} id {} bytes {}..{}", self.source, self.id, self.start, self.end)
    }
}

/// What fragments of one datagram have in common (RFC 791 section 3.2), and the table that their addresses are of.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: u32,
    destination: u32,
    id: u16,
    protocol: u8,
    table: u32,
}

/// Where a fragment's data lies in the datagram's.
#[derive(Clone, Copy)]
struct Range {
    start: usize,
    end: usize,
    last: bool,
}

struct Datagram {
    since: u64,
    /// Those that came, by where they begin.
    pieces: Vec<(Range, Buffer)>,
    /// Bytes that came.
    bytes: usize,
    /// Bytes in all, once the last fragment came.
    total: Option<usize>,
}

/// The node.
#[derive(Default)]
pub struct Ip4Reassembly {
    datagrams: HashMap<Key, Datagram>,
    held: usize,
}

impl Node for Ip4Reassembly {
    const NAME: NodeName = NAME;
    const HOLDS: bool = true;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some((_, header, range)) = fragment(packet) else { return cx.drop(Count::Malformed) };
        let (source, id) = (header.src(), header.id());
        cx.trace(packet, || Trace { source, id, start: range.start, end: range.end });
        if range.end == range.start {
            return cx.drop(Count::Empty);
        }
        if !range.last && range.end % 8 != 0 {
            return cx.drop(Count::Uneven);
        }
        if header.header_len() + range.end > usize::from(u16::MAX) {
            return cx.drop(Count::TooFar);
        }
        if self.held >= IN_ALL {
            return cx.drop(Count::Full);
        }
        cx.hold()
    }

    fn hold(&mut self, mut buffer: Buffer, cx: &mut Ctx<'_, Self>) {
        let Some((key, _, range)) = fragment(&buffer.packet()) else { return lose(buffer, Count::Malformed, cx) };
        let mut entry = match self.datagrams.entry(key) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(place) => place.insert_entry(Datagram::new(cx.now())),
        };
        let datagram = entry.get_mut();
        match datagram.place(range) {
            Ok(at) => {
                datagram.bytes += range.end - range.start;
                datagram.total = datagram.total.or(range.last.then_some(range.end));
                datagram.pieces.insert(at, (range, buffer));
                self.held += 1;
                if datagram.total == Some(datagram.bytes) {
                    let pieces = entry.remove().pieces;
                    self.held -= pieces.len();
                    join(pieces, cx);
                }
            }
            Err(Count::Duplicate) => lose(buffer, Count::Duplicate, cx),
            // RFC 8200 section 4.5 has all of such a datagram dropped, and for IPv4 it is as little to be trusted.
            Err(cause) => {
                let pieces = entry.remove().pieces;
                self.held -= pieces.len();
                pieces.into_iter().for_each(|(_, piece)| lose(piece, cause, cx));
                lose(buffer, cause, cx);
            }
        }
    }

    fn wants_tick(&self) -> bool {
        self.held > 0
    }

    fn tick(&mut self, cx: &mut Ctx<'_, Self>) {
        let (now, held) = (cx.now(), &mut self.held);
        self.datagrams.retain(|_, datagram| {
            let over = now.saturating_sub(datagram.since) >= PATIENCE;
            if over {
                *held -= datagram.pieces.len();
                datagram.pieces.drain(..).for_each(|(range, piece)| give_up(range, piece, cx));
            }
            !over
        });
    }
}

impl Datagram {
    fn new(since: u64) -> Datagram {
        Datagram { since, pieces: Vec::new(), bytes: 0, total: None }
    }

    /// Where among those that came a fragment has its place, or what is wrong with it.
    fn place(&self, range: Range) -> Result<usize, Count> {
        let at = self.pieces.partition_point(|(other, _)| other.start < range.start);
        let before = at.checked_sub(1).and_then(|at| self.pieces.get(at)).map(|(other, _)| *other);
        let behind = self.pieces.get(at).map(|(other, _)| *other);
        if behind.is_some_and(|other| (other.start, other.end, other.last) == (range.start, range.end, range.last)) {
            return Err(Count::Duplicate);
        }
        let overlaps = before.is_some_and(|other| other.end > range.start || other.last)
            || behind.is_some_and(|other| other.start < range.end || range.last);
        if overlaps {
            return Err(Count::Overlap);
        }
        if self.pieces.len() >= PER_DATAGRAM {
            return Err(Count::TooMany);
        }
        Ok(at)
    }
}

/// Which datagram a packet is a fragment of, its header, and where its data lies.
fn fragment(packet: &Packet<'_>) -> Option<(Key, Ipv4, Range)> {
    let header = *packet.header::<Ipv4>()?;
    let data = usize::from(header.total_len()).checked_sub(header.header_len())?;
    if usize::from(header.total_len()) > packet.total_len() || header.header_len() > packet.len() {
        return None;
    }
    let (source, destination) = (header.src_u32(), header.dst_u32());
    let key = Key { source, destination, id: header.id(), protocol: header.protocol().0, table: packet.meta.table };
    let start = usize::from(header.fragment_offset());
    Some((key, header, Range { start, end: start + data, last: !header.more_fragments() }))
}

/// Sends on the datagram whose fragments these are, in order and without gaps: the first, with the data of the others.
fn join(pieces: Vec<(Range, Buffer)>, cx: &mut Ctx<'_, Ip4Reassembly>) {
    let total = pieces.last().map_or(0, |(range, _)| range.end);
    let mut pieces = pieces.into_iter().map(|(_, buffer)| buffer);
    let Some(mut whole) = pieces.next() else { return };
    let mut complete = true;
    for mut piece in pieces {
        let packet = piece.packet();
        let mut skip = packet.header::<Ipv4>().map_or(0, |header| header.header_len());
        for segment in packet.segments() {
            let data = segment.get(skip..).unwrap_or(&[]);
            skip = skip.saturating_sub(segment.len());
            complete = complete && (data.is_empty() || whole.append(data, || cx.alloc_more()));
        }
        cx.count(Count::Joined);
        cx.free(piece);
    }
    if !complete {
        return lose(whole, Count::NoBuffer, cx);
    }
    let mut packet = whole.packet();
    let len = packet.header::<Ipv4>().map_or(0, |header| header.header_len());
    let mut options = [0; 40];
    let options = options.get_mut(..len.saturating_sub(Ipv4::LEN)).unwrap_or(&mut []);
    if let Some(there) = packet.data().get(Ipv4::LEN..len) {
        options.copy_from_slice(there);
    }
    if let Some(header) = packet.header_mut::<Ipv4>() {
        header.set_total_len((len + total) as u16);
        header.set_fragment(0, false);
        header.fill_checksum(options);
    }
    cx.count(Count::Whole);
    cx.send(whole, Next::Local);
}

/// The time is over. Who sent the first fragment hears of it (RFC 792, time exceeded, code 1).
fn give_up(range: Range, mut piece: Buffer, cx: &mut Ctx<'_, Ip4Reassembly>) {
    if range.start > 0 {
        return lose(piece, Count::Timeout, cx);
    }
    cx.count(Count::Timeout);
    Reason::ReassemblyTimeExceeded.note(&mut piece.packet());
    cx.send(piece, Next::IcmpError);
}

fn lose(buffer: Buffer, cause: Count, cx: &mut Ctx<'_, Ip4Reassembly>) {
    let dropped = cx.drop(cause);
    cx.send(buffer, dropped);
}

#[cfg(test)]
#[path = "reassembly_tests.rs"]
mod tests;
