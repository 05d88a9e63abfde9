//! nat44-in2out-reass, nat44-out2in-reass: shallow virtual reassembly: find out the ports of fragments, which only the first one of a
//! datagram has, and leave the fragments as they are.
//! Reads: table. Writes: marks (ports known). Uses the scratch slot for them.
//!
//! Fragments that come before the first one wait for it, a short time and not many of them (RFC 4787 REQ-14). What two fragments both
//! claim to have is an attack: neither that one nor what follows of its datagram goes on (RFC 1858, RFC 8200 section 4.5). Where there is
//! no more room, the oldest datagram makes room for the newest: a flood of fragments that belong to nothing leaves those that belong
//! together as much time as it takes to fill the store, and they need less. Packets that aren't fragments never get here.

mod store;

use crate::marks;
use crate::nat44::parse::{ASKS_FOR_ECHO, Malformed, known_ports, parse};
use crate::nat44::{in2out, is_echo_request, out2in};
use millrace_engine::node::Edges;
use millrace_engine::{Buffer, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::flow::Side;
use millrace_wire::{IpProtocol, Ipv4};
use std::fmt;
use std::marker::PhantomData;
use std::net::Ipv4Addr;
use store::{Key, Range, Store, Unfit};

/// The node for packets from inside.
pub const IN2OUT: NodeName = NodeName::new("nat44-in2out-reass");
/// The node for packets from outside.
pub const OUT2IN: NodeName = NodeName::new("nat44-out2in-reass");

/// Datagrams that are kept in mind at a time, by each node on each worker.
pub const DATAGRAMS: usize = 1024;
/// Fragments that may wait at a time, for each node on each worker.
pub const HELD: usize = 1024;
/// Fragments that a datagram may come in: 65,535 bytes by way of a link that takes 576.
pub const PER_DATAGRAM: usize = 128;
/// How long a datagram is kept in mind, in nanoseconds.
pub const PATIENCE: u64 = 3_000_000_000;

edges! {
    /// Back to whom it came from.
    pub enum NextOut { In2out => in2out::NAME }
}

edges! {
    /// Back to whom it came from.
    pub enum NextIn { Out2in => out2in::NAME }
}

counters! {
    /// What becomes of fragments.
    pub enum Count {
        First => "first fragments",
        Later => "later fragments whose ports are known",
        Held => "later fragments that wait for the first",
        NoPorts => "fragments of protocols without ports",
        Timeout => "first fragment did not come",
        Evicted => "fragment made room for a newer one",
        Overlap => "fragments overlap",
        Poisoned => "rest of a datagram whose fragments overlap or make no sense",
        Duplicate => "duplicate fragment",
        Tiny => "first fragment too short for its transport header",
        Unfit => "first fragment can not be translated",
        TooFar => "fragment reaches beyond 65535 bytes",
        Uneven => "fragment before the last is no multiple of 8 bytes long",
        Empty => "fragment without data",
        TooMany => "datagram in too many fragments",
        Malformed => "no IPv4 fragment",
    }
}

/// What `show trace` tells.
pub struct Trace {
    source: Ipv4Addr,
    id: u16,
    range: Range,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} id {} bytes {}..{}", self.source, self.id, self.range.start, self.range.end)
    }
}

/// Which of the two nodes.
pub trait Direction: 'static {
    /// Its name.
    const NAME: NodeName;
    /// Where its packets come from.
    const SIDE: Side;
    /// Its edge.
    type Next: Edges;
    /// The one that it has.
    const BACK: Self::Next;
}

/// From inside.
pub struct Outwards;

impl Direction for Outwards {
    const NAME: NodeName = IN2OUT;
    const SIDE: Side = Side::Inside;
    type Next = NextOut;
    const BACK: NextOut = NextOut::In2out;
}

/// From outside.
pub struct Inwards;

impl Direction for Inwards {
    const NAME: NodeName = OUT2IN;
    const SIDE: Side = Side::Outside;
    type Next = NextIn;
    const BACK: NextIn = NextIn::Out2in;
}

/// nat44-in2out-reass.
pub type In2outReass = Reass<Outwards>;
/// nat44-out2in-reass.
pub type Out2inReass = Reass<Inwards>;

/// The node.
pub struct Reass<D: Direction> {
    store: Store,
    direction: PhantomData<fn() -> D>,
}

impl<D: Direction> Default for Reass<D> {
    fn default() -> Reass<D> {
        Reass { store: Store::new(), direction: PhantomData }
    }
}

impl<D: Direction> Node for Reass<D> {
    const NAME: NodeName = D::NAME;
    const HOLDS: bool = true;
    type Next = D::Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> D::Next {
        let Some((key, header, range)) = fragment(packet) else { return cx.drop(Count::Malformed) };
        let (source, id) = (header.src(), header.id());
        cx.trace(packet, || Trace { source, id, range });
        if range.end == range.start {
            return cx.drop(Count::Empty);
        }
        if !range.last && range.end % 8 != 0 {
            return cx.drop(Count::Uneven);
        }
        if header.header_len() + range.end > usize::from(u16::MAX) {
            return cx.drop(Count::TooFar);
        }
        if !matches!(key.protocol, IpProtocol::TCP | IpProtocol::UDP | IpProtocol::ICMP) {
            know(packet, 0);
            cx.count(Count::NoPorts);
            return D::BACK;
        }
        cx.hold()
    }

    fn hold(&mut self, mut buffer: Buffer, cx: &mut Ctx<'_, Self>) {
        let Some((key, _, range)) = fragment(&buffer.packet()) else { return lose(buffer, Count::Malformed, cx) };
        let now = cx.now();
        let at = self.store.datagram(key, now, |old| lose(old, Count::Evicted, cx));
        if let Err(unfit) = self.store.note(at, range) {
            let cause = match unfit {
                Unfit::Duplicate => Count::Duplicate,
                Unfit::Overlap => Count::Overlap,
                Unfit::TooMany => Count::TooMany,
                Unfit::Poisoned => Count::Poisoned,
            };
            self.store.poison(at, unfit, |held| lose(held, cause, cx));
            return lose(buffer, cause, cx);
        }
        let first = range.start == 0;
        let ports = match first.then(|| first_fragment::<D>(&buffer.packet())) {
            Some(Ok(ports)) => Some(self.store.learn(at, ports)),
            // RFC 1858 section 3.2.2: what would lie over the flags of a TCP header.
            None if key.protocol == IpProtocol::TCP && range.start == 8 => {
                return self.refuse(at, buffer, Count::Tiny, cx);
            }
            None => self.store.ports(at),
            Some(Err(cause)) => return self.refuse(at, buffer, cause, cx),
        };
        let Some(ports) = ports else {
            cx.count(Count::Held);
            let left = self.store.hold(at, buffer, |old| lose(old, Count::Evicted, cx));
            return left.map_or((), |buffer| lose(buffer, Count::Evicted, cx));
        };
        cx.count(if first { Count::First } else { Count::Later });
        know(&mut buffer.packet(), ports);
        cx.send(buffer, D::BACK);
        // They were sent after it, as a rule; and now its flow is known when they come.
        self.store.release(at, |mut held| {
            cx.count(Count::Later);
            know(&mut held.packet(), ports);
            cx.send(held, D::BACK);
        });
        self.store.forget_if_complete(at);
    }

    fn wants_tick(&self) -> bool {
        !self.store.is_empty()
    }

    fn tick(&mut self, cx: &mut Ctx<'_, Self>) {
        let now = cx.now();
        self.store.expire(now, |held| lose(held, Count::Timeout, cx));
    }
}

impl<D: Direction> Reass<D> {
    /// A fragment that can't be, with all that came of its datagram and that will.
    fn refuse(&mut self, at: u32, buffer: Buffer, cause: Count, cx: &mut Ctx<'_, Self>) {
        self.store.poison(at, Unfit::Overlap, |held| lose(held, Count::Poisoned, cx));
        lose(buffer, cause, cx);
    }
}

/// Which datagram a packet is a fragment of, its header, and where its data lies.
fn fragment(packet: &Packet<'_>) -> Option<(Key, Ipv4, Range)> {
    let header = *packet.header::<Ipv4>()?;
    let data = usize::from(header.total_len()).checked_sub(header.header_len())?;
    let fits = usize::from(header.total_len()) <= packet.total_len() && header.header_len() <= packet.len();
    if !fits || !header.is_fragment() {
        return None;
    }
    let (source, destination) = (header.src_u32(), header.dst_u32());
    let key = Key { source, destination, id: header.id(), protocol: header.protocol(), table: packet.meta.table };
    let start = usize::from(header.fragment_offset());
    Some((key, header, Range { start, end: start + data, last: !header.more_fragments() }))
}

/// The ports of a first fragment.
fn first_fragment<D: Direction>(packet: &Packet<'_>) -> Result<u64, Count> {
    match parse(packet, D::SIDE) {
        Ok(parsed) => Ok(known_ports(&parsed.view) | if is_echo_request(packet) { ASKS_FOR_ECHO } else { 0 }),
        // RFC 1858 section 3: a fragment as short as that was made to get past filters.
        Err(Malformed::Transport) => Err(Count::Tiny),
        Err(_) => Err(Count::Unfit),
    }
}

/// Leaves word of the ports.
fn know(packet: &mut Packet<'_>, ports: u64) {
    packet.meta.marks |= marks::PORTS_KNOWN;
    packet.meta.scratch[1] = ports;
}

fn lose<D: Direction>(buffer: Buffer, cause: Count, cx: &mut Ctx<'_, Reass<D>>) {
    let dropped = cx.drop(cause);
    cx.send(buffer, dropped);
}

#[cfg(test)]
#[path = "reass_tests.rs"]
mod tests;
