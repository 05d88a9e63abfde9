//! What a connection is doing, seen from the middle: the states of RFC 7857 section 2 and RFC 6146 section 3.5.2.2 by name, and what
//! each segment makes of them. Ends are numbered: 0 inside, 1 outside.

use super::packet::{Ip, word};
use super::traffic::{ACK, FIN, RST, SYN};

/// How long a connection may be idle, and what a listing calls it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name {
    SynSent,
    Established,
    FinWait,
    TimeWait,
    Reset,
}

impl Name {
    pub fn text(self) -> &'static str {
        match self {
            Name::SynSent => "syn-sent",
            Name::Established => "established",
            Name::FinWait => "fin-wait",
            Name::TimeWait => "time-wait",
            Name::Reset => "reset",
        }
    }
}

/// What the middle knows of one end.
#[derive(Clone, Copy, Default, Debug)]
struct Known {
    /// The next byte that it waits for: what it acknowledged, or else one behind the other's SYN.
    waits_for: Option<u32>,
    window: u64,
    /// Its SYN was seen, with the scale that it offered.
    syn: Option<Option<u8>>,
    /// It acknowledged what the other sent: for it the handshake is over.
    acked: bool,
    fin: bool,
    reset: bool,
}

#[derive(Clone, Debug)]
pub struct Connection {
    pub name: Name,
    ends: [Known; 2],
}

struct Segment {
    flags: u8,
    sequence: u32,
    ack: u32,
    window: u16,
    scale: Option<u8>,
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, at)) << 16 | u32::from(word(bytes, at + 2))
}

/// Whether a TCP header is one that stacks send: long enough, and flags that go together.
pub fn is_sound(segment: &[u8]) -> bool {
    let offset = usize::from(segment[12] >> 4) * 4;
    let kind = segment[13] & (SYN | FIN | RST | ACK);
    (20..=segment.len()).contains(&offset) && [SYN, SYN | ACK, ACK, ACK | FIN, RST, RST | ACK].contains(&kind)
}

/// Whether it is the first segment of a connection.
pub fn is_first(ip: &Ip) -> bool {
    ip.range().0 == 0 && ip.body()[13] & (SYN | ACK) == SYN
}

/// The options, kind and length first, up to one that does not hold together.
pub fn options(segment: &[u8]) -> Vec<(usize, &[u8])> {
    let (mut at, end, mut all) = (20, usize::from(segment[12] >> 4) * 4, Vec::new());
    while at < end && segment[at] != 0 {
        if segment[at] == 1 {
            at += 1;
            continue;
        }
        let len = if at + 1 < end { usize::from(segment[at + 1]) } else { 0 };
        if len < 2 || at + len > end {
            break;
        }
        all.push((at, &segment[at..at + len]));
        at += len;
    }
    all
}

impl Segment {
    fn of(ip: &Ip) -> Segment {
        let tcp = ip.body();
        let scale = options(tcp).into_iter().find(|(_, o)| o[0] == 3 && o.len() == 3).map(|(_, o)| o[2].min(14));
        let syn = tcp[13] & SYN != 0;
        Segment {
            flags: tcp[13],
            sequence: number(tcp, 4),
            ack: number(tcp, 8),
            window: word(tcp, 14),
            scale: scale.filter(|_| syn),
        }
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

impl Connection {
    /// One of which nothing was seen yet.
    pub fn new() -> Connection {
        Connection { name: Name::SynSent, ends: [Known::default(); 2] }
    }

    /// One more segment from an end.
    pub fn segment(&mut self, from: usize, ip: &Ip) {
        let segment = Segment::of(ip);
        if segment.has(RST) {
            return self.rst(from, &segment);
        }
        if segment.has(SYN) && !self.syn(from, &segment) {
            return;
        }
        let believed = segment.has(ACK) && self.ack(from, &segment);
        self.ends[from].fin |= segment.has(FIN);
        match self.name {
            // The end that is said to have reset goes on: it did not.
            Name::Reset if believed && self.ends[from].reset => {
                self.ends.iter_mut().for_each(|end| end.reset = false);
                self.name = self.by_handshakes();
            }
            Name::Reset | Name::TimeWait => {}
            _ => self.name = self.by_handshakes(),
        }
    }

    /// RFC 5382 section 5: established when both ends have acknowledged; RFC 6146: closing by FINs.
    fn by_handshakes(&self) -> Name {
        match (self.ends.iter().all(|e| e.acked), self.ends.iter().filter(|e| e.fin).count()) {
            (false, _) => Name::SynSent,
            (true, 0) => Name::Established,
            (true, 1) => Name::FinWait,
            (true, _) => Name::TimeWait,
        }
    }

    /// Whether there is more to see of the segment.
    fn syn(&mut self, from: usize, segment: &Segment) -> bool {
        match self.name {
            // RFC 9293 section 3.6.1: a new connection of the same ends.
            Name::TimeWait | Name::Reset if !segment.has(ACK) => {
                self.ends = [Known::default(); 2];
                self.name = Name::SynSent;
            }
            Name::SynSent => {}
            // RFC 5961 section 4: changes nothing.
            _ => return false,
        }
        let next = segment.sequence.wrapping_add(1);
        let peer = &mut self.ends[1 - from];
        if peer.waits_for.is_some_and(|w| w != next) {
            peer.acked = false;
        }
        peer.waits_for = Some(next);
        self.ends[from].syn = Some(segment.scale);
        true
    }

    /// Whether an end acknowledges what the other may have sent.
    fn ack(&mut self, from: usize, segment: &Segment) -> bool {
        let end = self.ends[from];
        // Ahead of what it waited for: by what comes with a SYN, or by half of the largest window.
        let limit = if self.name == Name::SynSent && !end.acked { 1 << 16 } else { 1 << 30 };
        if end.waits_for.is_some_and(|w| segment.ack.wrapping_sub(w) >= limit) {
            return false;
        }
        // RFC 7323 section 2.2: scaled when both offered it, but not in a SYN; what counts is what the end would have written.
        let shift = if segment.has(SYN) { self.shift(from) } else { 0 };
        let end = &mut self.ends[from];
        (end.waits_for, end.acked) = (Some(segment.ack), true);
        end.window = u64::from(segment.window >> shift);
        true
    }

    fn shift(&self, of: usize) -> u8 {
        // Of an end whose SYN nobody saw: the most that RFC 7323 section 2.3 allows.
        let [inside, outside] = self.ends.map(|end| end.syn.unwrap_or(Some(14)));
        match (inside, outside) {
            (Some(inside), Some(outside)) => [inside, outside][of],
            _ => 0,
        }
    }

    /// RFC 5961 section 3.2: it counts if its receiver may take it for real.
    fn rst(&mut self, from: usize, segment: &Segment) {
        let receiver = self.ends[1 - from];
        let window = receiver.window << self.shift(1 - from);
        let in_window = receiver.waits_for.is_some_and(|w| u64::from(segment.sequence.wrapping_sub(w)) <= window);
        // RFC 9293 section 3.10.7.3: a SYN is refused by its acknowledgment.
        let refusal = self.name == Name::SynSent && segment.has(ACK) && self.ends[from].waits_for == Some(segment.ack);
        // Nobody has heard of the receiver, and the sender is one of ours.
        let unknown = receiver.waits_for.is_none() && from == 0;
        if self.name != Name::TimeWait && (in_window || refusal || unknown) {
            self.ends[from].reset = true;
            self.name = Name::Reset;
        }
    }
}
