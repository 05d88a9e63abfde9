//! Seeded traffic: hosts that talk, remotes that answer, hops that complain, strangers that knock.

use crate::event::{Event, Flow};
use etherparse::IpNumber;
use harness::l4::{self, Segment};
use harness::{frames, remote};
use std::net::SocketAddrV4;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// A router on the way.
const HOP: [u8; 4] = [198, 51, 100, 254];
/// Errors, with their second word.
const ERRORS: [((u8, u8), [u8; 4]); 5] =
    [((3, 1), [0; 4]), ((3, 3), [0; 4]), ((3, 4), [0, 0, 2, 0]), ((11, 0), [0; 4]), ((12, 0), [4, 0, 0, 0])];

/// Random numbers, the same for the same seed (xorshift64*).
pub struct Dice(u64);

impl Dice {
    /// From 0 to `sides` - 1.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.roll(most + 1);
        (0..length).map(|_| self.roll(256) as u8).collect()
    }
}

/// A TCP connection that is played: where it stands, and both sides' next sequence numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Closed,
    SynSent,
    /// Both have sent a SYN.
    Crossed,
    /// And the inside has acknowledged.
    CrossedAnswered,
    Answered,
    Open,
    /// The inside has sent its FIN.
    Closing,
    /// Both have.
    Closed2,
}

struct Connection {
    flow: Flow,
    stage: Stage,
    seq: u32,
    ack: u32,
}

/// Events without an end.
pub struct Traffic {
    dice: Dice,
    connections: Vec<Connection>,
    /// Flows of UDP and ICMP that a packet has opened.
    open: Vec<Flow>,
    identification: u16,
}

fn flow(protocol: u8, inside: &str, remote: &str) -> Flow {
    Flow { protocol, inside: l4::at(inside), remote: l4::at(remote) }
}

/// Flows of each kind, opened: what other events need.
pub fn opening() -> Vec<Event> {
    let (udp, tcp, icmp) = (OPENED[0], OPENED[1], OPENED[2]);
    let of = |(protocol, inside, remote): (u8, &str, &str)| flow(protocol, inside, remote);
    let segment = |flags, seq, ack| Segment { flags, seq, ack, options: &[], data: b"" };
    let (inside, server) = (tcp.1, tcp.2);
    vec![
        Event::out("a datagram", of(udp), vec![l4::udp(udp.1, udp.2, b"hello")]),
        Event::out("a ping", of(icmp), vec![l4::echo(icmp.1, remote(1), 1, b"hello")]),
        Event::out("SYN", of(tcp), vec![l4::tcp(inside, server, &segment("S", 1000, 0))]),
        Event::back("SYN-ACK", of(tcp), move |to| vec![l4::tcp(server, to, &segment("SA", 9000, 1001))]),
        Event::out("ACK", of(tcp), vec![l4::tcp(inside, server, &segment("A", 1001, 9001))]),
    ]
}

/// The flows of [`opening`]: UDP, TCP, ICMP.
pub const OPENED: [(u8, &str, &str); 3] = [
    (UDP, "192.168.1.10:5000", "198.51.100.1:53"),
    (TCP, "192.168.1.10:5000", "198.51.100.1:80"),
    (ICMP, "192.168.1.10:5000", "198.51.100.1:0"),
];

impl Traffic {
    /// The traffic of a seed.
    pub fn new(seed: u64) -> Traffic {
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Traffic { dice, connections: Vec::new(), open: Vec::new(), identification: 0 }
    }

    /// Ends of few hosts and ports, so that the hosts' ports collide.
    fn ends(&mut self, protocol: u8) -> Flow {
        let inside =
            format!("192.168.1.{}:{}", 10 + self.dice.roll(4), self.dice.pick(&[500_u16, 501, 5000, 5001, 6000]));
        let port = if protocol == ICMP { 0 } else { self.dice.pick(&[53_u16, 80]) };
        flow(protocol, &inside, &format!("198.51.100.{}:{port}", 1 + self.dice.roll(3)))
    }

    /// A header with what may stand in one, for a packet of the flow that goes out or comes back.
    fn header(&mut self, from: SocketAddrV4, to: SocketAddrV4, protocol: u8) -> etherparse::Ipv4Header {
        let mut header = l4::header(&from.to_string(), &to.to_string(), IpNumber(protocol));
        header.dont_fragment = self.dice.roll(4) == 0;
        header.time_to_live = self.dice.pick(&[64, 64, 64, 255, 3, 2, 1]);
        header.dscp = (self.dice.roll(8) as u8 * 8).try_into().expect("6 bits");
        if self.dice.roll(6) == 0 {
            // No operation, and an experimental option (RFC 4727).
            header.options = self.dice.pick(&[[1, 1, 1, 0], [0x9e, 4, 7, 7]]).into();
        }
        header
    }

    fn udp(&mut self, from: SocketAddrV4, to: SocketAddrV4) -> Vec<u8> {
        let (header, most) = (self.header(from, to, UDP), self.dice.pick(&[30, 30, 30, 1300]));
        let data = self.dice.bytes(most);
        let mut datagram = frames::udp(&header, from.port(), to.port(), &data);
        match self.dice.roll(8) {
            0 => datagram[6..8].fill(0),
            1 => datagram[6] ^= 0x55,
            _ => {}
        }
        frames::packet(&header, &datagram)
    }

    fn fragments(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        self.identification += 1;
        let size = self.dice.pick(&[64, 256, 504]);
        let mut parts = l4::fragments(packet, size, self.identification);
        for at in (1..parts.len()).rev() {
            parts.swap(at, self.dice.roll(at + 1));
        }
        parts
    }

    fn datagram_out(&mut self) -> Event {
        let flow = self.ends(UDP);
        let packet = self.udp(flow.inside, flow.remote);
        // What dies on the first hop opens nothing, nor does what is too large and must not be cut.
        let too_large = packet.len() > 1000 && packet[6] & 0x40 != 0;
        if packet[8] > 1 && !too_large && !self.open.contains(&flow) {
            self.open.push(flow);
        }
        if self.dice.roll(6) == 0 && packet[6] & 0x40 == 0 && packet[8] > 1 {
            return Event::out("a datagram in fragments", flow, self.fragments(&packet));
        }
        Event::out("a datagram", flow, vec![packet])
    }

    fn ping_out(&mut self) -> Event {
        let flow = self.ends(ICMP);
        if !self.open.contains(&flow) {
            self.open.push(flow);
        }
        let data = self.dice.bytes(200);
        let packet = l4::echo(&flow.inside.to_string(), flow.remote.ip().octets(), self.dice.roll(9) as u16, &data);
        if self.dice.roll(6) == 0 {
            return Event::out("a ping in fragments", flow, self.fragments(&packet));
        }
        Event::out("a ping", flow, vec![packet])
    }

    /// Something from outside about a flow of UDP or ICMP that is open.
    fn answer(&mut self) -> Option<Event> {
        if self.open.is_empty() {
            return None;
        }
        let at = self.dice.roll(self.open.len());
        let flow = self.open[at];
        let (data, sequence, stranger) = (self.dice.bytes(900), self.dice.roll(9) as u16, self.dice.roll(6) == 0);
        let remote =
            if stranger { SocketAddrV4::new([198, 51, 100, 9].into(), flow.remote.port()) } else { flow.remote };
        let name = if stranger { "a stranger's answer" } else { "an answer" };
        if flow.protocol == ICMP {
            return Some(Event::back(name, flow, move |to| {
                vec![l4::echo_reply(remote.ip().octets(), to, sequence, &data)]
            }));
        }
        let header = self.header(remote, flow.inside, UDP);
        let (none, identification) = (self.dice.roll(6) == 0, self.identification + 1);
        let in_pieces = !stranger && !header.dont_fragment && header.time_to_live > 1 && self.dice.roll(6) == 0;
        self.identification = identification;
        let make = move |to: &str| {
            let mut header = header.clone();
            header.destination = l4::at(to).ip().octets();
            let mut datagram = frames::udp(&header, remote.port(), l4::at(to).port(), &data);
            if none {
                datagram[6..8].fill(0);
            }
            let packet = frames::packet(&header, &datagram);
            if in_pieces { l4::fragments(&packet, 256, identification) } else { vec![packet] }
        };
        Some(Event::back(name, flow, make))
    }

    /// An error of a hop or of the remote about a packet of an open flow.
    fn error(&mut self) -> Option<Event> {
        let connections = self.connections.iter().filter(|one| one.stage != Stage::Closed).map(|one| one.flow);
        let flows: Vec<Flow> = self.open.iter().copied().chain(connections).collect();
        if flows.is_empty() {
            return None;
        }
        let (flow, kind) = (self.dice.pick(&flows), self.dice.pick(&ERRORS));
        let (short, from) = (self.dice.roll(2) == 0, self.dice.pick(&[HOP, flow.remote.ip().octets()]));
        let make = move |to: &str| {
            let quoted = match flow.protocol {
                UDP => l4::udp(to, &flow.remote.to_string(), b"what was sent"),
                TCP => l4::tcp(to, &flow.remote.to_string(), &l4::segment("A", 1, 1)),
                _ => l4::echo(to, flow.remote.ip().octets(), 1, b"what was sent"),
            };
            let end = if short { 28 } else { quoted.len() };
            vec![l4::error(from, l4::at(to).ip().octets(), kind.0, kind.1, &quoted[..end])]
        };
        Some(Event::back("an error", flow, make))
    }

    /// An inside host complains about a datagram that it got.
    fn complaint(&mut self) -> Option<Event> {
        let flow = *self.open.iter().filter(|flow| flow.protocol == UDP).nth(self.dice.roll(8))?;
        let quoted = l4::udp(&flow.remote.to_string(), &flow.inside.to_string(), b"what came");
        let (inside, remote) = (flow.inside.ip().octets(), flow.remote.ip().octets());
        let error = l4::error(inside, remote, (3, 3), [0; 4], &quoted);
        Some(Event::out("a host's error", flow, vec![error]))
    }

    /// The next step of a connection, of an old one or a new one.
    fn tcp(&mut self) -> Event {
        if self.connections.len() < 8 {
            let flow = self.ends(TCP);
            if self.connections.iter().all(|connection| connection.flow != flow) {
                self.connections.push(Connection { flow, stage: Stage::Closed, seq: 1000, ack: 9000 });
            }
        }
        let (at, choice, bytes) = (self.dice.roll(self.connections.len()), self.dice.roll(10), self.dice.bytes(400));
        self.connections[at].step(choice, bytes)
    }
}

impl Connection {
    fn step(&mut self, choice: usize, data: Vec<u8>) -> Event {
        match (self.stage, choice) {
            (Stage::Closed, _) => {
                self.stage = Stage::SynSent;
                self.out("SYN", "S", vec![])
            }
            (Stage::SynSent, 0) => {
                self.seq = self.seq.wrapping_sub(1);
                self.out("SYN again", "S", vec![])
            }
            // Between ports that were used before, Linux may drop it: see `differences.rs`.
            (Stage::SynSent, 1) if self.seq < 100_000 => {
                self.stage = Stage::Crossed;
                self.back("SYN from outside", "S", vec![])
            }
            (Stage::Crossed, _) => {
                self.stage = Stage::CrossedAnswered;
                self.seq = self.seq.wrapping_sub(1);
                self.out("SYN-ACK", "SA", vec![])
            }
            (Stage::SynSent, _) => {
                self.stage = Stage::Answered;
                self.back("SYN-ACK", "SA", vec![])
            }
            (Stage::CrossedAnswered, _) => {
                self.stage = Stage::Answered;
                self.ack = self.ack.wrapping_sub(1);
                self.back("SYN-ACK", "SA", vec![])
            }
            (Stage::Answered, _) => {
                self.stage = Stage::Open;
                self.out("ACK", "A", vec![])
            }
            (Stage::Open, 0) => {
                self.stage = Stage::Closing;
                self.out("FIN", "FA", vec![])
            }
            (Stage::Open, 9) => self.reset(),
            (Stage::Open | Stage::Closing, 1..=4) => self.back("data from outside", "PA", data),
            (Stage::Open, _) => self.out("data", "PA", data),
            (Stage::Closing, _) => {
                self.stage = Stage::Closed2;
                self.back("FIN from outside", "FA", vec![])
            }
            (Stage::Closed2, _) => {
                let event = self.out("the last ACK", "A", vec![]);
                self.start_again();
                event
            }
        }
    }

    /// One side has enough.
    fn reset(&mut self) -> Event {
        let event = match self.seq % 2 {
            0 => self.out("a reset", "RA", vec![]),
            _ => self.back("a reset from outside", "RA", vec![]),
        };
        self.start_again();
        event
    }

    /// The next connection's numbers are beyond this one's (RFC 9293 3.4.3).
    fn start_again(&mut self) {
        self.stage = Stage::Closed;
        self.seq = self.seq.wrapping_add(100_000);
        self.ack = self.ack.wrapping_add(100_000);
    }

    fn out(&mut self, name: &'static str, flags: &'static str, data: Vec<u8>) -> Event {
        let (from, to) = (self.flow.inside.to_string(), self.flow.remote.to_string());
        let ack = if flags == "S" { 0 } else { self.ack };
        let segment = Segment { flags, seq: self.seq, ack, options: &[], data: &data };
        let packet = l4::tcp(&from, &to, &segment);
        self.seq = self.seq.wrapping_add(counted(flags, &data));
        Event::out(name, self.flow, vec![packet])
    }

    fn back(&mut self, name: &'static str, flags: &'static str, data: Vec<u8>) -> Event {
        let (from, seq) = (self.flow.remote.to_string(), self.ack);
        let ack = if flags == "S" { 0 } else { self.seq };
        self.ack = self.ack.wrapping_add(counted(flags, &data));
        Event::back(name, self.flow, move |to| {
            vec![l4::tcp(&from, to, &Segment { flags, seq, ack, options: &[], data: &data })]
        })
    }
}

/// How far a segment moves the sequence number.
fn counted(flags: &str, data: &[u8]) -> u32 {
    (flags.chars().filter(|flag| matches!(flag, 'S' | 'F')).count() + data.len()) as u32
}

impl Iterator for Traffic {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let event = match self.dice.roll(10) {
            0 | 1 => Some(self.datagram_out()),
            2 => Some(self.ping_out()),
            3 | 4 => self.answer(),
            5 => self.error(),
            6 => self.complaint(),
            _ => Some(self.tcp()),
        };
        Some(event.unwrap_or_else(|| self.datagram_out()))
    }
}
