//! Making the packets of a stream.

use crate::spec::{Flow, FrameSize, Order, Protocol, mix};
use millrace_wire::IpProtocol;
use millrace_wire::checksum::{Sum, pseudo_header4, pseudo_header6};
use std::net::IpAddr;

/// Bytes of a line of the table, which is what of a packet differs from others; the rest is [`BODY`].
pub(super) const LINE: usize = 64;
/// Lines that the longest headers take: those of TCP over IPv6 with a tag.
pub(super) const LINES: usize = 2;
/// The longest packet: a frame of 9238 bytes without its check sequence.
pub(super) const LONGEST: usize = 9234;

/// Payload by position in the packet, so that a piece that went astray shows.
pub(super) static BODY: [u8; LONGEST] = {
    let mut body = [0; LONGEST];
    let mut at = 0;
    while at < LONGEST {
        body[at] = at as u8;
        at += 1;
    }
    body
};

/// Twelve sizes in the proportions of IMIX, mixed.
const IMIX: [u16; 12] = [64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 594, 64];

/// What is wrong with a flow.
pub(super) fn valid(flow: &Flow) -> Result<(), &'static str> {
    let (low, high) = match flow.size {
        FrameSize::Fixed(n) => (n, n),
        FrameSize::Range(low, high) => (low, high),
        FrameSize::Imix => (64, 1518),
    };
    let addresses = [flow.source.first, flow.source.last, flow.destination.first, flow.destination.last];
    let one_family = addresses.iter().all(|address| address.is_ipv6() == flow.source.first.is_ipv6());
    let ordered = flow.source.first <= flow.source.last
        && flow.destination.first <= flow.destination.last
        && flow.source_ports.first <= flow.source_ports.last
        && flow.destination_ports.first <= flow.destination_ports.last
        && low <= high;
    match () {
        () if !one_family => Err("the addresses of a stream are of different families"),
        () if !ordered => Err("a range of a stream ends before it begins"),
        () if low < 64 || usize::from(high) > LONGEST + 4 => {
            Err("the size of a frame is not between 64 and 9238 bytes")
        }
        () if flow.vlan.is_some_and(|id| id > 4094) => Err("the VLAN of a stream is above 4094"),
        () if flow.order == Order::Shuffled && Ranges::new(flow, 0).period() > Order::SHUFFLED_MAX => {
            Err("a stream has more than 2097152 combinations to shuffle")
        }
        () => Ok(()),
    }
}

/// The values that a stream steps through, each range by itself.
pub(super) struct Ranges {
    /// First value and number of values: source, destination, source port, destination port, size.
    ranges: [(u128, u128); 5],
    imix: bool,
    order: Order,
    seed: u64,
}

/// The values of one packet.
struct Values {
    source: u128,
    destination: u128,
    source_port: u16,
    destination_port: u16,
    /// Bytes of the frame with its check sequence, as the stream wants it.
    size: usize,
}

impl Ranges {
    /// `seed` makes the random order of this stream and queue differ from that of others.
    pub fn new(flow: &Flow, seed: u64) -> Ranges {
        // Of all IPv6 addresses one is left out.
        let span = |first: u128, last: u128| (first, (last - first).saturating_add(1));
        let size = match flow.size {
            FrameSize::Fixed(n) => span(n.into(), n.into()),
            FrameSize::Range(low, high) => span(low.into(), high.into()),
            FrameSize::Imix => (0, IMIX.len() as u128),
        };
        Ranges {
            ranges: [
                span(number(flow.source.first), number(flow.source.last)),
                span(number(flow.destination.first), number(flow.destination.last)),
                span(flow.source_ports.first.into(), flow.source_ports.last.into()),
                span(flow.destination_ports.first.into(), flow.destination_ports.last.into()),
                size,
            ],
            imix: flow.size == FrameSize::Imix,
            order: flow.order,
            seed,
        }
    }

    /// After how many packets the sequence comes again; for a random or shuffled one, how many different packets there are.
    pub fn period(&self) -> u64 {
        let all = self.ranges.iter().fold(1_u128, |all, (_, count)| {
            let step = if self.order == Order::Sequential { count / gcd(all, *count) } else { *count };
            all.saturating_mul(step)
        });
        all.try_into().unwrap_or(u64::MAX)
    }

    /// Bytes in the buffer of every packet, if they all have the same length.
    pub fn fixed_len(&self, flow: &Flow) -> Option<usize> {
        let [.., (size, count)] = self.ranges;
        (!self.imix && count == 1).then(|| (size as usize - 4).max(headers(flow)))
    }

    fn values(&self, position: u64) -> Values {
        let (mut field, mut rest) = (0, u128::from(position));
        let [source, destination, source_port, destination_port, size] = self.ranges.map(|(first, count)| {
            field += 1;
            match self.order {
                Order::Sequential => first + u128::from(position) % count,
                // A new number for each field of each packet, by position, so that it can be had in any order.
                Order::Random => {
                    let n = mix(self.seed ^ mix(position.wrapping_mul(8).wrapping_add(field)));
                    first
                        + match u64::try_from(count) {
                            Ok(count) => u128::from(below(count, n)),
                            Err(_) => (u128::from(mix(n)) << 64 | u128::from(n)) % count,
                        }
                }
                // The position is the number of a combination; the table puts them in another order.
                Order::Shuffled => {
                    let value = first + rest % count;
                    rest /= count;
                    value
                }
            }
        });
        let size = if self.imix { IMIX.get(size as usize).copied().map_or(64, usize::from) } else { size as usize };
        Values { source, destination, source_port: source_port as u16, destination_port: destination_port as u16, size }
    }

    /// Writes the first bytes of the packet at `position` of the stream; the length of the packet.
    pub fn build(&self, flow: &Flow, destination_mac: [u8; 6], position: u64, line: &mut [u8; LINES * LINE]) -> usize {
        let values = self.values(position);
        let len = (values.size - 4).max(headers(flow));
        *line = *BODY.first_chunk().unwrap_or(&[0; LINES * LINE]);
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            line[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
            at
        };
        put(&destination_mac);
        put(&flow.source_mac);
        if let Some(id) = flow.vlan {
            put(&[0x81, 0x00]);
            put(&id.to_be_bytes());
        }
        let ip6 = is_ip6(flow);
        let l3 = put(if ip6 { &[0x86, 0xdd] } else { &[0x08, 0x00] });
        let protocol = match flow.protocol {
            Protocol::Udp => IpProtocol::UDP,
            Protocol::Tcp => IpProtocol::TCP,
            Protocol::Icmp if ip6 => IpProtocol::ICMP6,
            Protocol::Icmp => IpProtocol(1),
        };
        let l4 = if ip6 {
            put(&[0x60, 0, 0, 0]);
            put(&((len - l3 - 40) as u16).to_be_bytes());
            put(&[protocol.0, 64]);
            put(&values.source.to_be_bytes());
            put(&values.destination.to_be_bytes())
        } else {
            put(&[0x45, 0]);
            put(&((len - l3) as u16).to_be_bytes());
            put(&(position as u16).to_be_bytes());
            put(&[0, 0, 64, protocol.0, 0, 0]);
            put(&(values.source as u32).to_be_bytes());
            put(&(values.destination as u32).to_be_bytes())
        };
        let (sport, dport) = (values.source_port.to_be_bytes(), values.destination_port.to_be_bytes());
        let l4_len = (len - l4) as u16;
        let checksum_at = match flow.protocol {
            Protocol::Udp => {
                put(&[sport, dport, l4_len.to_be_bytes(), [0, 0]].concat());
                l4 + 6
            }
            Protocol::Tcp => {
                put(&[sport, dport].concat());
                // Sequence number by position, data offset 5, ACK, a full window.
                put(&(position as u32).to_be_bytes());
                put(&[0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
                l4 + 16
            }
            Protocol::Icmp => {
                // Echo request (RFC 792, RFC 4443 section 4.1), identifier 1, sequence number by position.
                put(&[if ip6 { 128 } else { 8 }, 0, 0, 0, 0, 1]);
                put(&(position as u16).to_be_bytes());
                l4 + 2
            }
        };
        debug_assert_eq!(at, headers(flow));
        if !ip6 {
            let sum = Sum::of(&line[l3..l4]).checksum();
            line[l3 + 10..l3 + 12].copy_from_slice(&sum.to_be_bytes());
        }
        let pseudo_header = match flow.protocol {
            _ if ip6 => {
                let (source, destination) = (values.source.to_be_bytes(), values.destination.to_be_bytes());
                pseudo_header6(&source, &destination, protocol, l4_len.into())
            }
            Protocol::Icmp => Sum::default(),
            _ => pseudo_header4(values.source as u32, values.destination as u32, protocol, l4_len),
        };
        let front = &line[l4..len.min(LINES * LINE)];
        let rest = BODY.get(LINES * LINE..len).unwrap_or_default();
        let sum = pseudo_header.bytes(front).bytes(rest).checksum();
        // RFC 768: a UDP checksum of zero would say that there is none. For the others both mean the same.
        let sum = if sum == 0 && flow.protocol == Protocol::Udp { 0xffff } else { sum };
        line[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
        len
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn is_ip6(flow: &Flow) -> bool {
    flow.source.first.is_ipv6()
}

/// Bytes of all headers, from the Ethernet one on.
pub(super) fn headers(flow: &Flow) -> usize {
    let tag = if flow.vlan.is_some() { 4 } else { 0 };
    let ip = if is_ip6(flow) { 40 } else { 20 };
    let transport = if flow.protocol == Protocol::Tcp { 20 } else { 8 };
    14 + tag + ip + transport
}

/// A number below `limit`, from one that is as likely any.
pub(super) fn below(limit: u64, random: u64) -> u64 {
    ((u128::from(random) * u128::from(limit)) >> 64) as u64
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}
