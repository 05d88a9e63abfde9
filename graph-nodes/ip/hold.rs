//! Packets that wait for their neighbour: few for each, bounded in all, for a few seconds at most. What ip4-arp, ip4-glean,
//! ip6-discover-neighbor and ip6-glean have in common.

use crate::icmp::reason::Reason;
use crate::ip::Family;
use crate::marks;
use crate::neighbor_events::{NeighborEvent, NeighborEvents};
use millrace_engine::{Buffer, Ctx, Node, Packet, edges};
use std::collections::HashMap;
use std::marker::PhantomData;

/// Packets that may wait for one neighbour; the oldest gives way (RFC 1122 section 2.3.2.2 and RFC 4861
/// section 7.2.2 ask for the latest at least).
/// Enough for what a traceroute sends at once, for the fragments of 20 KB, and for the first window of a TCP (RFC 6928).
pub const PER_NEIGHBOUR: usize = 16;
/// Packets that may wait in one node of one worker.
pub const IN_ALL: usize = 1024;
/// How long they wait: as long as the control plane asks, three times, once a second. In nanoseconds.
pub const PATIENCE: u64 = 3_000_000_000;
/// How often at most the control plane is told of the same neighbour (RFC 1122 section 2.3.2.1, RFC 4861 section 7.2.2), in
/// nanoseconds.
const ASK_EVERY: u64 = 1_000_000_000;

/// Whom packets wait for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Neighbour {
    pub interface: u32,
    /// In host order, one of IPv4 in the lowest 32 bits.
    pub address: u128,
    /// Where the answer will be found: the index of an adjacency, or the number of a table.
    pub place: u32,
}

/// What became of a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Not yet.
    Wait,
    /// The neighbour's address is known now.
    Resolved,
    /// Things changed: what waits may have to go elsewhere.
    LookUp,
}

/// Why packets are released: to be looked up again, unless nobody answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    Resolved,
    LookUp,
    NoAnswer,
}

struct Waiting {
    packets: [Option<Buffer>; PER_NEIGHBOUR],
    /// Packets, and the position of the oldest.
    count: usize,
    first: usize,
    since: u64,
    /// When the control plane was last told.
    told: Option<u64>,
}

impl Waiting {
    fn new(since: u64) -> Waiting {
        Waiting { packets: Default::default(), count: 0, first: 0, since, told: None }
    }

    /// Adds the newest; gives back the oldest when there are too many.
    fn push(&mut self, buffer: Buffer) -> Option<Buffer> {
        let end = (self.first + self.count) % PER_NEIGHBOUR;
        let oldest = self.packets.get_mut(end).and_then(|place| place.replace(buffer));
        match oldest {
            Some(_) => self.first = (self.first + 1) % PER_NEIGHBOUR,
            None => self.count += 1,
        }
        oldest
    }

    fn pop(&mut self) -> Option<Buffer> {
        let oldest = self.packets.get_mut(self.first)?.take()?;
        self.first = (self.first + 1) % PER_NEIGHBOUR;
        self.count -= 1;
        Some(oldest)
    }
}

/// All that wait in one node.
pub struct Holding<F: Family> {
    neighbours: HashMap<Neighbour, Waiting>,
    events: NeighborEvents,
    held: usize,
    family: PhantomData<F>,
}

edges! {
    /// Where packets go after they waited.
    pub enum Next<F: Family> { Lookup => F::LOOKUP, IcmpError => F::ICMP_ERROR }
}

/// What both nodes count of waiting, each in its own words.
pub trait Counts {
    const HELD: Self;
    const SENT: Self;
    const NO_ANSWER: Self;
    const QUEUE_FULL: Self;
    const FULL: Self;
    const EXPIRED: Self;
    const EVENTS_FULL: Self;
}

/// What adding a packet came to, besides that it waits now.
#[derive(Debug, Default)]
struct Added {
    /// Had to give way.
    oldest: Option<Buffer>,
    /// The control plane could not be told.
    unheard: bool,
}

impl<F: Family> Holding<F> {
    pub fn new(events: NeighborEvents) -> Holding<F> {
        Holding { neighbours: HashMap::with_capacity(IN_ALL), events, held: 0, family: PhantomData }
    }

    /// The error about a packet that would go no further anyway (RFC 1812 section 5.3.1, RFC 8200 section 3): its sender shall hear of
    /// that, not that the next hop doesn't answer.
    pub fn expired<N>(packet: &mut Packet<'_>, cx: &mut Ctx<'_, N>) -> Option<Next<F>>
    where
        N: Node<Next = Next<F>, Count: Counts>,
    {
        let hops = packet.header::<F::Header>().map(F::hop_limit);
        if packet.meta.marks & marks::OWN != 0 || hops.is_none_or(|hops| hops > 1) {
            return None;
        }
        cx.count(N::Count::EXPIRED);
        Reason::TimeExceeded.note(packet);
        Some(Next::IcmpError)
    }

    /// Has a packet wait for a neighbour, if there is room.
    pub fn admit<N>(&self, neighbour: Neighbour, packet: &mut Packet<'_>, cx: &mut Ctx<'_, N>) -> Next<F>
    where
        N: Node<Next = Next<F>, Count: Counts>,
    {
        if !self.has_room(&neighbour) {
            return cx.drop(N::Count::FULL);
        }
        neighbour.note(packet);
        cx.count(N::Count::HELD);
        cx.hold()
    }

    /// Keeps a packet that was [admitted](Self::admit).
    pub fn keep<N>(&mut self, mut buffer: Buffer, cx: &mut Ctx<'_, N>)
    where
        N: Node<Next = Next<F>, Count: Counts>,
    {
        let neighbour = Neighbour::noted(&buffer.packet());
        let added = self.add(neighbour, buffer, cx.now());
        if added.unheard {
            cx.count(N::Count::EVENTS_FULL);
        }
        if let Some(oldest) = added.oldest {
            let dropped = cx.drop(N::Count::QUEUE_FULL);
            cx.send(oldest, dropped);
        }
    }

    /// Asks `answer` about every neighbour, and sends on what need not wait any longer.
    pub fn tick<N>(&mut self, answer: impl Fn(&Neighbour) -> Answer, cx: &mut Ctx<'_, N>)
    where
        N: Node<Next = Next<F>, Count: Counts>,
    {
        self.review(cx.now(), answer, |mut buffer, why| {
            let next = released(&mut buffer.packet(), why, cx);
            cx.send(buffer, next);
        });
    }

    /// Whether there is room for one more for this neighbour.
    fn has_room(&self, neighbour: &Neighbour) -> bool {
        self.held < IN_ALL || self.neighbours.get(neighbour).is_some_and(|w| w.count == PER_NEIGHBOUR)
    }

    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Keeps a packet, and tells the control plane unless it was told lately.
    fn add(&mut self, neighbour: Neighbour, buffer: Buffer, now: u64) -> Added {
        let waiting = self.neighbours.entry(neighbour).or_insert_with(|| Waiting::new(now));
        let oldest = waiting.push(buffer);
        self.held += usize::from(oldest.is_none());
        let due = waiting.told.is_none_or(|told| now.saturating_sub(told) >= ASK_EVERY);
        let unheard = due && !tell::<F>(&self.events, neighbour, waiting, now);
        Added { oldest, unheard }
    }

    /// Asks `answer` about every neighbour, and gives `release` what need not wait any longer, oldest first.
    fn review(&mut self, now: u64, answer: impl Fn(&Neighbour) -> Answer, mut release: impl FnMut(Buffer, Release)) {
        let (events, held) = (&self.events, &mut self.held);
        self.neighbours.retain(|neighbour, waiting| {
            let why = match answer(neighbour) {
                Answer::Resolved => Release::Resolved,
                Answer::LookUp => Release::LookUp,
                Answer::Wait if now.saturating_sub(waiting.since) >= PATIENCE => Release::NoAnswer,
                Answer::Wait => {
                    if waiting.told.is_none() {
                        tell::<F>(events, *neighbour, waiting, now);
                    }
                    return true;
                }
            };
            while let Some(buffer) = waiting.pop() {
                *held -= 1;
                release(buffer, why);
            }
            false
        });
    }
}

/// Where a packet goes that waited, and what is counted of it.
fn released<F: Family, N>(packet: &mut Packet<'_>, why: Release, cx: &mut Ctx<'_, N>) -> Next<F>
where
    N: Node<Next = Next<F>, Count: Counts>,
{
    match why {
        Release::Resolved => {
            cx.count(N::Count::SENT);
            Next::Lookup
        }
        Release::LookUp => Next::Lookup,
        Release::NoAnswer if packet.meta.marks & marks::OWN != 0 => cx.drop(N::Count::NO_ANSWER),
        Release::NoAnswer => {
            cx.count(N::Count::NO_ANSWER);
            Reason::HostUnreachable.note(packet);
            Next::IcmpError
        }
    }
}

/// Tells the control plane; whether it could be.
fn tell<F: Family>(events: &NeighborEvents, neighbour: Neighbour, waiting: &mut Waiting, now: u64) -> bool {
    let address = F::next_hop(neighbour.address);
    let told = events.push(NeighborEvent::Wanted { interface: neighbour.interface, address });
    if told {
        waiting.told = Some(now);
    }
    told
}

impl Neighbour {
    /// Leaves word in the packet's scratch slot.
    pub fn note(self, packet: &mut Packet<'_>) {
        let who = u64::from(self.interface) << 32 | u64::from(self.place);
        packet.meta.scratch = [who, (self.address >> 64) as u64, self.address as u64];
    }

    /// What [`Neighbour::note`] left.
    pub fn noted(packet: &Packet<'_>) -> Neighbour {
        let [who, high, low] = packet.meta.scratch;
        let address = u128::from(high) << 64 | u128::from(low);
        Neighbour { interface: (who >> 32) as u32, address, place: who as u32 }
    }
}
