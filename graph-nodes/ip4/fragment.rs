//! ip4-fragment: cuts a packet into pieces that the next hop takes (RFC 791 section 3.2), in order.
//! Reads: adjacency. The pieces have the packet's metadata, and the mark of the router's own packets: the time to live was
//! counted down before.

use crate::forwarding::Forwarding;
use crate::{ip, marks};
use millrace_engine::{Buffer, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{IntoBytes, Ipv4};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("ip4-fragment");

/// The longest options of a header, in bytes.
const MAX_OPTIONS: usize = 40;

edges! {
    /// Pieces go back to where they get their Ethernet header.
    pub enum Next { Rewrite => ip::rewrite::NAME4 }
}

counters! {
    /// What becomes of packets.
    pub enum Count {
        Fragmented => "packets fragmented",
        Pieces => "fragments made",
        DontFragment => "may not be fragmented",
        BadOptions => "malformed IP options",
        TooFar => "fragment reaches beyond 65535 bytes",
        NoRoom => "MTU leaves no room for data",
        NoBuffer => "no free buffer",
        Gone => "adjacency is being removed",
        Malformed => "no IPv4 packet",
    }
}

/// What `show trace` tells.
pub struct Trace {
    mtu: u16,
    len: u16,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "length {} mtu {}", self.len, self.mtu)
    }
}

/// The node.
pub struct Ip4Fragment {
    /// Reads: adjacencies.
    pub forwarding: Forwarding,
}

impl Node for Ip4Fragment {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(&header) = packet.header::<Ipv4>() else { return cx.drop(Count::Malformed) };
        let Some(adjacency) = self.forwarding.adjacencies.get(packet.meta.adjacency, &cx.guard()) else {
            return cx.drop(Count::Gone);
        };
        let mtu = adjacency.mtu;
        cx.trace(packet, || Trace { mtu, len: header.total_len() });
        match cut(packet, header, mtu.into(), cx) {
            Ok(pieces) => {
                cx.count_n(Count::Pieces, pieces);
                cx.consume(Count::Fragmented)
            }
            Err(cause) => cx.drop(cause),
        }
    }
}

/// Sends the pieces; how many there were. On an error some of them may be on their way: nobody can put them together.
fn cut(packet: &Packet<'_>, header: Ipv4, mtu: usize, cx: &mut Ctx<'_, Ip4Fragment>) -> Result<u64, Count> {
    if header.dont_fragment() {
        return Err(Count::DontFragment);
    }
    let first_options = packet.data().get(Ipv4::LEN..header.header_len()).ok_or(Count::Malformed)?;
    let later_options = Options::copied(first_options).ok_or(Count::BadOptions)?;
    let total = usize::from(header.total_len());
    let data = total.checked_sub(header.header_len()).filter(|_| total <= packet.total_len());
    let data = data.ok_or(Count::Malformed)?;
    let base = usize::from(header.fragment_offset());
    if base + data > usize::from(u16::MAX) {
        return Err(Count::TooFar);
    }
    let (mut at, mut pieces, mut options) = (0, 0, first_options);
    while at < data {
        let room = mtu.saturating_sub(Ipv4::LEN + options.len());
        let last = data - at <= room;
        // All pieces but the last are a multiple of 8 bytes long.
        let take = if last { data - at } else { room & !7 };
        if take == 0 {
            return Err(Count::NoRoom);
        }
        let mut ip = header;
        set_header_len(&mut ip, Ipv4::LEN + options.len());
        ip.set_total_len((Ipv4::LEN + options.len() + take) as u16);
        ip.set_fragment((base + at) as u16, !last || header.more_fragments());
        ip.fill_checksum(options);
        let buffer = piece(packet, ip, options, header.header_len() + at, take, cx).ok_or(Count::NoBuffer)?;
        cx.send(buffer, Next::Rewrite);
        (at, pieces, options) = (at + take, pieces + 1, later_options.bytes());
    }
    Ok(pieces)
}

/// Says how long the header is with its options, in bytes: a multiple of 4 up to 60.
fn set_header_len(ip: &mut Ipv4, len: usize) {
    if let Some(first) = ip.as_mut_bytes().first_mut() {
        *first = 0x40 | (len / 4) as u8;
    }
}

/// A packet of the header and options given and `take` bytes of the original from `from` on.
fn piece(
    original: &Packet<'_>,
    ip: Ipv4,
    options: &[u8],
    from: usize,
    take: usize,
    cx: &mut Ctx<'_, Ip4Fragment>,
) -> Option<Buffer> {
    let mut buffer = cx.alloc()?;
    let mut complete = buffer.append(ip.as_bytes(), || None) && buffer.append(options, || None);
    let (mut skip, mut left) = (from, take);
    for segment in original.segments() {
        let part = segment.get(skip..).unwrap_or(&[]);
        skip = skip.saturating_sub(segment.len());
        let part = part.get(..left).unwrap_or(part);
        left -= part.len();
        complete = complete && (part.is_empty() || buffer.append(part, || cx.alloc_more()));
    }
    if !complete || left > 0 {
        cx.free(buffer);
        return None;
    }
    let (from, mut packet) = (&original.meta, buffer.packet());
    packet.meta.rx_interface = from.rx_interface;
    packet.meta.tx_interface = from.tx_interface;
    packet.meta.adjacency = from.adjacency;
    packet.meta.table = from.table;
    packet.meta.flow_hash = from.flow_hash;
    packet.meta.marks = from.marks | marks::OWN;
    packet.mark_l3();
    Some(buffer)
}

/// The options of all pieces but the first, padded to whole words.
struct Options {
    bytes: [u8; MAX_OPTIONS],
    len: usize,
}

impl Options {
    /// Those of `options` that have the copied flag (RFC 791 section 3.1). `None` when they are malformed.
    fn copied(mut options: &[u8]) -> Option<Options> {
        let mut copied = Options { bytes: [0; MAX_OPTIONS], len: 0 };
        while let [kind, rest @ ..] = options {
            let len = match kind {
                0 => break,
                1 => 1,
                _ => usize::from(*rest.first()?),
            };
            let option = options.get(..len).filter(|_| len >= 2 || *kind == 1)?;
            if kind & 0x80 != 0 {
                copied.bytes.get_mut(copied.len..copied.len + len)?.copy_from_slice(option);
                copied.len += len;
            }
            options = options.get(len..)?;
        }
        // What is left is zero: the end of the list.
        copied.len = copied.len.next_multiple_of(4);
        Some(copied)
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

#[cfg(test)]
#[path = "fragment_tests.rs"]
mod tests;
