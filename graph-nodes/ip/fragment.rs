//! ip4-fragment, ip6-fragment: cut a packet into pieces that the next hop takes (RFC 791 section 3.2, RFC 8200 section 4.5), in order.
//! IPv6 packets come here only from the router itself. Reads: adjacency. The pieces have the packet's metadata, and the mark of
//! the router's own packets: the time to live was counted down before.

use crate::forwarding::Forwarding;
use crate::ip::Family;
use crate::marks;
use millrace_engine::{Buffer, Ctx, Node, NodeName, Packet, counters, edges};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;

/// How a family's packets are cut.
pub trait Cut: Family {
    /// What the headers of the pieces are made of.
    type Plan;

    /// Looks at a packet; `id` is the identification for pieces that need a new one.
    ///
    /// # Errors
    /// Why it can't be cut.
    fn plan(packet: &Packet<'_>, id: u32) -> Result<Self::Plan, Count>;
    /// Where the data begins that is to be spread over the pieces, and how much of it there is, in bytes.
    fn data(plan: &Self::Plan) -> (usize, usize);
    /// How long the headers of the first piece are, or those of later ones.
    fn head_len(plan: &Self::Plan, first: bool) -> usize;
    /// The headers of the piece with `take` bytes of the data, from `at` on.
    fn head(plan: &Self::Plan, at: usize, take: usize) -> Head;
}

/// The headers of a piece.
pub struct Head {
    bytes: [u8; Self::MOST],
    len: usize,
}

impl Head {
    /// The longest, in bytes: an IPv6 header and a few extension headers.
    pub const MOST: usize = 256;

    /// These parts behind one another; what goes beyond [`MOST`](Self::MOST) is lost.
    pub fn of(parts: &[&[u8]]) -> Head {
        let mut head = Head { bytes: [0; Self::MOST], len: 0 };
        for part in parts {
            if let Some(to) = head.bytes.get_mut(head.len..head.len + part.len()) {
                to.copy_from_slice(part);
                head.len += part.len();
            }
        }
        head
    }

    /// Overwrites what is at `at`.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(to) = self.bytes.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

edges! {
    /// Pieces go back to where they get their Ethernet header.
    pub enum Next<F: Family> { Rewrite => F::REWRITE }
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
        Malformed => "no IP packet",
    }
}

/// What `show trace` tells.
pub struct Trace {
    mtu: u16,
    len: u32,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "length {} mtu {}", self.len, self.mtu)
    }
}

/// The node.
pub struct IpFragment<F: Cut> {
    /// Reads: adjacencies.
    forwarding: Forwarding,
    /// Identifications that nobody can guess (RFC 7739), from a number that counts up.
    ids: RandomState,
    id: u64,
    family: PhantomData<F>,
}

impl<F: Cut> IpFragment<F> {
    /// Reads adjacencies of `forwarding`.
    pub fn new(forwarding: Forwarding) -> IpFragment<F> {
        IpFragment { forwarding, ids: RandomState::new(), id: 0, family: PhantomData }
    }
}

impl<F: Cut> Node for IpFragment<F> {
    const NAME: NodeName = F::FRAGMENT;
    type Next = Next<F>;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next<F> {
        let Some(header) = packet.header::<F::Header>() else { return cx.drop(Count::Malformed) };
        let Some(adjacency) = self.forwarding.adjacencies.get(packet.meta.adjacency, &cx.guard()) else {
            return cx.drop(Count::Gone);
        };
        let (mtu, len) = (adjacency.mtu, F::total_len(header));
        cx.trace(packet, || Trace { mtu, len });
        self.id = self.id.wrapping_add(1);
        match cut::<F, _>(packet, mtu.into(), self.ids.hash_one(self.id) as u32, cx, || Next::Rewrite) {
            Ok(pieces) => {
                cx.count_n(Count::Pieces, pieces);
                cx.consume(Count::Fragmented)
            }
            Err(cause) => cx.drop(cause),
        }
    }
}

/// Sends the pieces to the next node; how many there were. On an error some of them may be on their way: nobody can put them together.
pub(crate) fn cut<F: Cut, N: Node>(
    packet: &Packet<'_>,
    mtu: usize,
    id: u32,
    cx: &mut Ctx<'_, N>,
    next: fn() -> N::Next,
) -> Result<u64, Count> {
    let plan = F::plan(packet, id)?;
    let (from, data) = F::data(&plan);
    let (mut at, mut pieces) = (0, 0);
    while at < data {
        let room = mtu.saturating_sub(F::head_len(&plan, at == 0));
        // All pieces but the last are a multiple of 8 bytes long.
        let take = if data - at <= room { data - at } else { room & !7 };
        if take == 0 {
            return Err(Count::NoRoom);
        }
        let buffer = piece(packet, &F::head(&plan, at, take), from + at, take, cx).ok_or(Count::NoBuffer)?;
        cx.send(buffer, next());
        (at, pieces) = (at + take, pieces + 1);
    }
    Ok(pieces)
}

/// A packet of the headers given and `take` bytes of the original from `from` on.
fn piece<N: Node>(original: &Packet<'_>, head: &Head, from: usize, take: usize, cx: &mut Ctx<'_, N>) -> Option<Buffer> {
    let mut buffer = cx.alloc()?;
    let mut complete = buffer.append(head.bytes(), || None);
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
