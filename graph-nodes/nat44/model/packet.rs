//! IPv4 packets as the model sees them: bytes, where their fields lie, and checksums summed up anew each time.

use etherparse::Ipv4HeaderSlice;
use std::net::Ipv4Addr;

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;

/// ICMP messages that ask, and that answer (RFC 5508 section 1.1): echo, timestamp, address mask.
const REQUESTS: [u8; 3] = [8, 13, 17];
const REPLIES: [u8; 3] = [0, 14, 18];
/// Those that report: unreachable, source quench, redirect, time exceeded, parameter problem.
const ERRORS: [u8; 5] = [3, 4, 5, 11, 12];

/// An address and a port; an ICMP identifier counts as the port of who asks, other protocols have port 0.
pub type End = (Ipv4Addr, u16);

/// What follows the IP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// TCP or UDP.
    Ports,
    Request,
    Reply,
    Error,
    /// Another protocol.
    Other,
    /// Another ICMP message, or not enough of a header.
    Bad,
    /// A fragment other than the first.
    Later,
}

/// An IPv4 packet, or the beginning of one that an ICMP error quotes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ip {
    pub bytes: Vec<u8>,
    /// Of which 8 bytes of the transport header are enough (RFC 792).
    pub quoted: bool,
}

pub fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub fn set_word(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// The sum of the 16-bit words modulo 65535, an odd last byte as the high half of a word (RFC 1071 section 1).
pub fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).fold(0, |sum, w| (sum + (u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)))) % 65_535)
}

/// A checksum field over changed bytes: it errs as much as it did before. Of the two names of zero, the one that RFC 1624
/// section 3 comes to.
fn follow(bytes: &mut [u8], at: usize, before: &[u8], covered: impl Fn(&[u8]) -> Vec<u8>) {
    let (then, now) = (covered(before), covered(bytes));
    if then != now {
        let error = (u32::from(word(before, at)) + sum(&then)) % 65_535;
        set_word(bytes, at, ((error + 65_535 - sum(&now)) % 65_535) as u16);
    }
}

impl Ip {
    pub fn new(bytes: &[u8]) -> Ip {
        Ip { bytes: bytes.to_vec(), quoted: false }
    }

    fn header(&self) -> Ipv4HeaderSlice<'_> {
        Ipv4HeaderSlice::from_slice(&self.bytes).expect("an IPv4 header")
    }

    pub fn header_len(&self) -> usize {
        usize::from(self.header().ihl()) * 4
    }

    pub fn protocol(&self) -> u8 {
        self.header().protocol().0
    }

    pub fn source(&self) -> Ipv4Addr {
        self.header().source_addr()
    }

    pub fn destination(&self) -> Ipv4Addr {
        self.header().destination_addr()
    }

    pub fn ttl(&self) -> u8 {
        self.header().ttl()
    }

    pub fn dont_fragment(&self) -> bool {
        self.header().dont_fragment()
    }

    pub fn identification(&self) -> u16 {
        self.header().identification()
    }

    /// Where its data begins and ends in its datagram, and whether more follows.
    pub fn range(&self) -> (usize, usize, bool) {
        let from = usize::from(self.header().fragments_offset().value()) * 8;
        (from, from + self.body().len(), self.header().more_fragments())
    }

    pub fn is_fragment(&self) -> bool {
        let (from, _, more) = self.range();
        from > 0 || more
    }

    /// What is behind the IP header.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.header_len()..]
    }

    pub fn kind(&self) -> Kind {
        let body = self.body();
        match (self.protocol(), body.len()) {
            _ if self.range().0 > 0 => Kind::Later,
            (UDP, 8..) | (TCP, 20..) => Kind::Ports,
            (TCP, 8..) if self.quoted => Kind::Ports,
            (ICMP, 8..) if REQUESTS.contains(&body[0]) => Kind::Request,
            (ICMP, 8..) if REPLIES.contains(&body[0]) => Kind::Reply,
            (ICMP, 8..) if ERRORS.contains(&body[0]) => Kind::Error,
            (UDP | TCP | ICMP, _) => Kind::Bad,
            _ => Kind::Other,
        }
    }

    /// Source and destination.
    pub fn ends(&self) -> (End, End) {
        let (from, to) = match self.kind() {
            Kind::Ports => (word(self.body(), 0), word(self.body(), 2)),
            Kind::Request => (word(self.body(), 4), 0),
            Kind::Reply => (0, word(self.body(), 4)),
            _ => (0, 0),
        };
        ((self.source(), from), (self.destination(), to))
    }

    /// Puts other ends in their place.
    pub fn set_ends(&mut self, source: End, destination: End) {
        let (kind, at) = (self.kind(), self.header_len());
        self.change(|bytes| {
            bytes[12..16].copy_from_slice(&source.0.octets());
            bytes[16..20].copy_from_slice(&destination.0.octets());
            match kind {
                Kind::Ports => {
                    set_word(bytes, at, source.1);
                    set_word(bytes, at + 2, destination.1);
                }
                Kind::Request => set_word(bytes, at + 4, source.1),
                Kind::Reply => set_word(bytes, at + 4, destination.1),
                _ => {}
            }
        });
    }

    /// Changes bytes other than checksums, and then the checksums, each as right as it was.
    pub fn change(&mut self, change: impl FnOnce(&mut [u8])) {
        let before = self.clone();
        change(&mut self.bytes);
        let len = before.header_len();
        follow(&mut self.bytes, 10, &before.bytes, |b| [&b[..10], &b[12..len]].concat());
        let Some(at) = before.checksum_at() else { return };
        // RFC 768 has zero for no checksum, and ones for one of zero; RFC 3022 section 4.1 leaves none none.
        let udp = before.protocol() == UDP;
        if udp && word(&before.bytes, at) == 0 {
            return;
        }
        let icmp = before.protocol() == ICMP;
        follow(&mut self.bytes, at, &before.bytes, |b| {
            let pseudo = if icmp { &[][..] } else { &b[12..20] };
            [pseudo, &b[len..at], &b[at + 2..]].concat()
        });
        if udp && word(&self.bytes, at) == 0 {
            set_word(&mut self.bytes, at, 0xffff);
        }
    }

    /// Where the checksum lies that the transport header has, if it is there.
    fn checksum_at(&self) -> Option<usize> {
        let at = match (self.kind(), self.protocol()) {
            (Kind::Ports, UDP) => 6,
            (Kind::Ports, _) => 16,
            (Kind::Request | Kind::Reply | Kind::Error, _) => 2,
            _ => return None,
        };
        (self.body().len() >= at + 2).then(|| self.header_len() + at)
    }

    /// The pseudo-header and the body of the transport: what adds up to zero modulo 65535 when its checksum is right.
    fn all_covered(&self) -> u32 {
        let pseudo = match self.protocol() {
            ICMP => 0,
            UDP => sum(&self.bytes[12..20]) + u32::from(UDP) + u32::from(word(self.body(), 4)),
            other => sum(&self.bytes[12..20]) + u32::from(other) + self.body().len() as u32,
        };
        (pseudo + sum(self.body())) % 65_535
    }

    /// Whether a receiver finds both checksums right: the IP header's, and the transport's of a whole packet.
    pub fn checksums_ok(&self) -> (bool, bool) {
        let header = sum(&self.bytes[..self.header_len()]) == 0;
        let Some(at) = self.checksum_at().filter(|_| !self.is_fragment()) else { return (header, true) };
        let none = self.protocol() == UDP && word(&self.bytes, at) == 0;
        (header, none || self.all_covered() == 0)
    }

    /// Sets all lengths' and contents' checksums from scratch.
    pub fn seal(&mut self) {
        self.seal_header();
        if let Some(at) = self.checksum_at() {
            set_word(&mut self.bytes, at, 0);
            let checksum = ((65_535 - self.all_covered()) % 65_535) as u16;
            let checksum = if self.protocol() == UDP && checksum == 0 { 0xffff } else { checksum };
            set_word(&mut self.bytes, at, checksum);
        }
    }

    /// A hop less.
    pub fn count_down(&mut self) {
        self.change(|bytes| bytes[8] -= 1);
    }

    /// The packet that an ICMP error is about, if its header is there.
    pub fn quote(&self) -> Option<Ip> {
        let bytes = self.body().get(8..)?;
        Ipv4HeaderSlice::from_slice(bytes).ok()?;
        Some(Ip { bytes: bytes.to_vec(), quoted: true })
    }

    /// Puts another quote in the place of the one that is there, of the same length.
    pub fn set_quote(&mut self, quote: &Ip) {
        let at = self.header_len() + 8;
        self.change(|bytes| bytes[at..].copy_from_slice(&quote.bytes));
    }

    /// Sets the header's checksum from scratch, and leaves the transport's alone.
    pub fn seal_header(&mut self) {
        set_word(&mut self.bytes, 10, 0);
        let header = sum(&self.bytes[..self.header_len()]);
        set_word(&mut self.bytes, 10, ((65_535 - header) % 65_535) as u16);
    }

    /// What a reader wants to see of it.
    pub fn text(&self) -> String {
        let ((from, a), (to, b)) = self.ends();
        let (first, last, more) = self.range();
        let hex: String = self.bytes.iter().take(120).map(|b| format!("{b:02x}")).collect();
        let quote = self.quote().filter(|_| self.kind() == Kind::Error).map(|q| format!(" about [{}]", q.text()));
        let about = quote.unwrap_or_default();
        format!(
            "{} {from}:{a} -> {to}:{b} ttl {} id {} {first}..{last}{} {:?}{about} {hex}",
            self.protocol(),
            self.ttl(),
            self.identification(),
            if more { "+" } else { "" },
            self.kind()
        )
    }
}

#[test]
fn checksums_as_others_sum_them() {
    use super::traffic::{Transport, body, build};
    use etherparse::{Icmpv4Header, Ipv4Header, TcpHeader, UdpHeader};
    let (a, b) = (Ipv4Addr::new(192, 168, 1, 10), Ipv4Addr::new(192, 0, 2, 7));
    let tcp = Transport::Tcp { flags: 2, sequence: 7, ack: 9, window: 500, options: vec![1, 2, 4, 5, 180, 1, 1, 0] };
    for (transport, data) in [(Transport::Udp, 11), (tcp, 8), (Transport::Query { timestamp: false }, 5)] {
        for (from, to) in [(1, 2), (0xffff, 0), (4000, 53)] {
            let (protocol, body) = body(&transport, (from, to), false, data);
            let mut ip = build(protocol, a, b, &[0x94, 4, 0, 0], &body);
            for _ in 0..2 {
                let (header, rest) = Ipv4Header::from_slice(&ip.bytes).unwrap();
                assert_eq!(header.header_checksum, header.calc_header_checksum());
                let right = match protocol {
                    UDP => {
                        let (udp, data) = UdpHeader::from_slice(rest).unwrap();
                        udp.checksum == udp.calc_checksum_ipv4(&header, data).unwrap()
                    }
                    TCP => {
                        let (tcp, data) = TcpHeader::from_slice(rest).unwrap();
                        tcp.checksum == tcp.calc_checksum_ipv4(&header, data).unwrap()
                    }
                    _ => {
                        let (icmp, data) = Icmpv4Header::from_slice(rest).unwrap();
                        icmp.checksum == icmp.icmp_type.calc_checksum(data)
                    }
                };
                assert!(right && ip.checksums_ok() == (true, true), "{}", ip.text());
                ip.set_ends((Ipv4Addr::new(203, 0, 113, 2), to ^ 0x5555), (b, to));
                ip.count_down();
            }
        }
    }
}
