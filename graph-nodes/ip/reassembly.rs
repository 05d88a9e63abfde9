//! ip4-local-full-reassembly, ip6-local-full-reassembly: put fragments to the router itself together (RFC 791 section 3.2, RFC 1812
//! section 4.2.2.8; RFC 8200 section 4.5, RFC 5722). Reads: table. Writes: marks. The datagram has the metadata of its first
//! fragment.
//!
//! Few datagrams at a time, and not for long: nobody but a ping has reason to send the router more than its MTU.

use crate::icmp::reason::Reason;
use crate::ip::Family;
use crate::marks;
use millrace_engine::{Buffer, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::lpm::Address;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::IpAddr;

/// Fragments that may wait in one worker.
pub const IN_ALL: usize = 1024;
/// Fragments that a datagram may come in: 65,535 bytes by way of a link that takes 576.
pub const PER_DATAGRAM: usize = 128;

/// How a family's fragments are told and put together.
pub trait Fragments: Family {
    /// Its node.
    const REASSEMBLY: NodeName;
    /// How long fragments wait for the rest, in nanoseconds.
    const PATIENCE: u64;

    /// What a packet says of itself. `None` when it is no fragment, or less of one than it says.
    fn read(packet: &Packet<'_>) -> Option<Fragment<Self::Address>>;
    /// What the sender of a fragment hears that can't be one of a datagram; mostly nothing.
    fn complaint(flaw: Flaw, fragment: &Fragment<Self::Address>) -> Option<Reason>;
    /// Makes a datagram of the first fragment, behind whose headers all `bytes` of data have been gathered. False when its headers
    /// leave no room for so many.
    fn complete(packet: &mut Packet<'_>, fragment: &Fragment<Self::Address>, bytes: usize) -> bool;
    /// Whether a first fragment has all headers that it must have.
    fn has_all_headers(packet: &Packet<'_>) -> bool;
}

/// What is wrong with a fragment by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// Not the last, and no multiple of 8 bytes long.
    Uneven,
    /// The datagram would be longer than 65,535 bytes.
    TooFar,
    /// Headers are missing that belong into the first fragment (RFC 7112).
    Headless,
}

/// What a fragment says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<A> {
    /// Of which datagram it is.
    pub key: Key<A>,
    /// Where its data lies in the datagram's, in bytes.
    pub start: usize,
    /// Up to where.
    pub end: usize,
    /// Whether the datagram ends with it.
    pub last: bool,
    /// Where its data begins, in bytes from the IP header.
    pub data_at: usize,
    /// Bytes of its headers that count for the 65,535 that a datagram can have, together with its data.
    pub counted: usize,
}

/// What the fragments of one datagram have in common (RFC 791 section 3.2, RFC 8200 section 4.5), and the table that their
/// addresses are of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key<A> {
    /// Their source.
    pub source: A,
    /// Their destination.
    pub destination: A,
    /// Their identification.
    pub id: u32,
    /// Their protocol in IPv4; 0 in IPv6, where it doesn't matter.
    pub protocol: u8,
    /// The table (VRF) in which they are for the router.
    pub table: u32,
}

edges! {
    /// The whole datagram goes on; whoever sent one that stays incomplete hears of it.
    pub enum Next<F: Family> { Local => F::LOCAL, IcmpError => F::ICMP_ERROR }
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
        Headless => "first fragment does not have all headers",
        Empty => "fragment without data",
        TooMany => "datagram in too many fragments",
        Full => "too many fragments wait in all",
        NoBuffer => "no free buffer",
        Malformed => "no IP fragment",
    }
}

/// What `show trace` tells.
pub struct Trace {
    source: IpAddr,
    id: u32,
    start: usize,
    end: usize,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} id {} bytes {}..{}", self.source, self.id, self.start, self.end)
    }
}

struct Datagram<A> {
    since: u64,
    /// Those that came, by where they begin.
    pieces: Vec<(Fragment<A>, Buffer)>,
    /// Bytes that came.
    bytes: usize,
    /// Bytes in all, once the last fragment came.
    total: Option<usize>,
}

/// The node.
pub struct IpReassembly<F: Fragments> {
    datagrams: HashMap<Key<F::Address>, Datagram<F::Address>>,
    held: usize,
}

impl<F: Fragments> Default for IpReassembly<F> {
    fn default() -> Self {
        IpReassembly { datagrams: HashMap::new(), held: 0 }
    }
}

impl<F: Fragments> Node for IpReassembly<F> {
    const NAME: NodeName = F::REASSEMBLY;
    const HOLDS: bool = true;
    type Next = Next<F>;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next<F> {
        let Some(fragment) = F::read(packet) else { return cx.drop(Count::Malformed) };
        let Fragment { key, start, end, last, .. } = fragment;
        cx.trace(packet, || Trace { source: key.source.to_ip(), id: key.id, start, end });
        let flaw = if end % 8 != 0 && !last {
            Some((Flaw::Uneven, Count::Uneven))
        } else if fragment.counted + end > usize::from(u16::MAX) {
            Some((Flaw::TooFar, Count::TooFar))
        } else if start == 0 && !F::has_all_headers(packet) {
            Some((Flaw::Headless, Count::Headless))
        } else {
            None
        };
        if let Some((flaw, count)) = flaw {
            let Some(reason) = F::complaint(flaw, &fragment) else { return cx.drop(count) };
            cx.count(count);
            reason.note(packet);
            return Next::IcmpError;
        }
        packet.truncate(fragment.data_at + end - start);
        // RFC 6946: a fragment that is a whole datagram has nothing to do with others, whatever their identification.
        if start == 0 && last {
            if !finish::<F>(packet, &fragment, end) {
                return cx.drop(Count::TooFar);
            }
            cx.count(Count::Whole);
            return Next::Local;
        }
        if start == end {
            return cx.drop(Count::Empty);
        }
        if self.held >= IN_ALL {
            return cx.drop(Count::Full);
        }
        cx.hold()
    }

    fn hold(&mut self, mut buffer: Buffer, cx: &mut Ctx<'_, Self>) {
        let Some(fragment) = F::read(&buffer.packet()) else { return lose(buffer, Count::Malformed, cx) };
        let mut entry = match self.datagrams.entry(fragment.key) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(place) => place.insert_entry(Datagram::new(cx.now())),
        };
        let datagram = entry.get_mut();
        match datagram.place(&fragment) {
            Ok(at) => {
                datagram.bytes += fragment.end - fragment.start;
                datagram.total = datagram.total.or(fragment.last.then_some(fragment.end));
                datagram.pieces.insert(at, (fragment, buffer));
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
            let over = now.saturating_sub(datagram.since) >= F::PATIENCE;
            if over {
                *held -= datagram.pieces.len();
                datagram.pieces.drain(..).for_each(|(fragment, piece)| give_up(&fragment, piece, cx));
            }
            !over
        });
    }
}

impl<A> Datagram<A> {
    fn new(since: u64) -> Datagram<A> {
        Datagram { since, pieces: Vec::new(), bytes: 0, total: None }
    }

    /// Where among those that came a fragment has its place, or what is wrong with it.
    fn place(&self, new: &Fragment<A>) -> Result<usize, Count> {
        let at = self.pieces.partition_point(|(other, _)| other.start < new.start);
        let before = at.checked_sub(1).and_then(|at| self.pieces.get(at)).map(|(other, _)| other);
        let behind = self.pieces.get(at).map(|(other, _)| other);
        if behind.is_some_and(|other| (other.start, other.end, other.last) == (new.start, new.end, new.last)) {
            return Err(Count::Duplicate);
        }
        let overlaps = before.is_some_and(|other| other.end > new.start || other.last)
            || behind.is_some_and(|other| other.start < new.end || new.last);
        if overlaps {
            return Err(Count::Overlap);
        }
        if self.pieces.len() >= PER_DATAGRAM {
            return Err(Count::TooMany);
        }
        Ok(at)
    }
}

/// Makes a datagram of its first fragment and the rest of its `bytes` of data behind it.
fn finish<F: Fragments>(packet: &mut Packet<'_>, first: &Fragment<F::Address>, bytes: usize) -> bool {
    packet.meta.marks |= marks::REASSEMBLED;
    first.counted + bytes <= usize::from(u16::MAX) && F::complete(packet, first, bytes)
}

/// Sends on the datagram whose fragments these are, in order and without gaps: the first, with the data of the others.
fn join<F: Fragments>(pieces: Vec<(Fragment<F::Address>, Buffer)>, cx: &mut Ctx<'_, IpReassembly<F>>) {
    let bytes = pieces.last().map_or(0, |(fragment, _)| fragment.end);
    let mut pieces = pieces.into_iter();
    let Some((first, mut whole)) = pieces.next() else { return };
    let mut complete = true;
    for (fragment, mut piece) in pieces {
        let mut skip = fragment.data_at;
        for segment in piece.packet().segments() {
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
    if !finish::<F>(&mut whole.packet(), &first, bytes) {
        return lose(whole, Count::TooFar, cx);
    }
    cx.count(Count::Whole);
    cx.send(whole, Next::Local);
}

/// The time is over. Who sent the first fragment hears of it (time exceeded, code 1: RFC 792, RFC 8200 section 4.5).
fn give_up<F: Fragments>(fragment: &Fragment<F::Address>, mut piece: Buffer, cx: &mut Ctx<'_, IpReassembly<F>>) {
    if fragment.start > 0 {
        return lose(piece, Count::Timeout, cx);
    }
    cx.count(Count::Timeout);
    Reason::ReassemblyTimeExceeded.note(&mut piece.packet());
    cx.send(piece, Next::IcmpError);
}

fn lose<F: Fragments>(buffer: Buffer, cause: Count, cx: &mut Ctx<'_, IpReassembly<F>>) {
    let dropped = cx.drop(cause);
    cx.send(buffer, dropped);
}
