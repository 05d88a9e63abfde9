//! The transmit queue of a generator: counts, and verifies if asked to.

use super::build::LONGEST;
use super::{Counts, POLLED, count};
use crate::spec::Generator;
use millrace_engine::clock;
use millrace_engine::device::{TxBurst, TxQueue};
use millrace_wire::IpProtocol;
use millrace_wire::checksum::{Sum, pseudo_header4, pseudo_header6};
use std::io;
use std::sync::Arc;

#[repr(align(128))]
pub(super) struct Sink {
    /// Where packets in several buffers are put together, if they are to be verified.
    whole: Option<Box<[u8]>>,
    latency: bool,
    counts: Arc<Counts>,
}

/// What a look at a packet finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Good,
    BadIp,
    BadTransport,
    /// Lengths that contradict each other.
    Malformed,
    /// Not IP, a fragment, or a transport without a checksum that we know.
    NotCheckable,
}

impl Sink {
    pub fn new(spec: &Generator, counts: Arc<Counts>) -> Sink {
        Sink { whole: spec.check.then(|| vec![0; LONGEST + 64].into()), latency: spec.latency, counts }
    }

    fn measure(&self, packets: u64) {
        let took = clock::now().saturating_sub(POLLED.get());
        self.counts.add(count::LATENCY, took * packets);
        for (limit, at) in [
            (100_000, count::LATER_THAN_100_US),
            (1_000_000, count::LATER_THAN_1_MS),
            (10_000_000, count::LATER_THAN_10_MS),
        ] {
            if took > limit {
                self.counts.add(at, packets);
            }
        }
    }
}

impl TxQueue for Sink {
    fn takes_shared(&self) -> bool {
        true
    }

    #[inline]
    fn tx(&mut self, burst: &mut TxBurst<'_>) -> io::Result<usize> {
        let all = burst.len();
        self.counts.add(count::SINK, all as u64);
        if self.latency {
            self.measure(all as u64);
        }
        if let Some(whole) = &mut self.whole {
            let mut bytes = 0;
            for at in 0..all {
                let Some(packet) = burst.packet(at) else { break };
                bytes += packet.total_len() as u64;
                let verdict = if packet.chained() {
                    let len = packet.copy_to(whole);
                    verify(whole.get(..len).unwrap_or_default())
                } else {
                    verify(packet.data())
                };
                match verdict {
                    Verdict::Good => {}
                    Verdict::BadIp => self.counts.add(count::BAD_IP, 1),
                    Verdict::BadTransport => self.counts.add(count::BAD_TRANSPORT, 1),
                    Verdict::Malformed => self.counts.add(count::MALFORMED, 1),
                    Verdict::NotCheckable => self.counts.add(count::UNCHECKED, 1),
                }
            }
            self.counts.add(count::SINK_CHECKED_BYTES, bytes);
        }
        Ok(all)
    }
}

/// Verifies the checksums of an Ethernet frame with IP in it.
pub(super) fn verify(frame: &[u8]) -> Verdict {
    let mut l3 = 14;
    while matches!(frame.get(l3 - 2..l3), Some([0x81, 0x00] | [0x88, 0xa8])) && l3 < 22 {
        l3 += 4;
    }
    match frame.get(l3 - 2..l3) {
        Some([0x08, 0x00]) => verify4(frame.get(l3..).unwrap_or_default()),
        Some([0x86, 0xdd]) => verify6(frame.get(l3..).unwrap_or_default()),
        Some(_) => Verdict::NotCheckable,
        None => Verdict::Malformed,
    }
}

fn verify4(ip: &[u8]) -> Verdict {
    let Some(&[first, _, l0, l1, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3]) = ip.first_chunk()
    else {
        return Verdict::Malformed;
    };
    let (header, total) = (usize::from(first & 15) * 4, usize::from(u16::from_be_bytes([l0, l1])));
    let parts = ip.get(..total).and_then(|ip| ip.split_at_checked(header)).filter(|_| first >> 4 == 4 && header >= 20);
    let Some((ip, transport)) = parts else { return Verdict::Malformed };
    if !Sum::of(ip).is_ok() {
        return Verdict::BadIp;
    }
    if u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
        return Verdict::NotCheckable;
    }
    let (source, destination) = (u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([d0, d1, d2, d3]));
    let pseudo = |protocol| pseudo_header4(source, destination, protocol, transport.len() as u16);
    let sum = match protocol {
        1 => Sum::of(transport),
        6 => pseudo(IpProtocol::TCP).bytes(transport),
        // RFC 768: the sender made no checksum.
        17 if transport.get(6..8) == Some(&[0, 0]) => return Verdict::NotCheckable,
        17 => pseudo(IpProtocol::UDP).bytes(transport),
        _ => return Verdict::NotCheckable,
    };
    if sum.is_ok() { Verdict::Good } else { Verdict::BadTransport }
}

fn verify6(ip: &[u8]) -> Verdict {
    let Some((header, rest)) = ip.split_first_chunk::<40>() else { return Verdict::Malformed };
    let [first, _, _, _, l0, l1, next, _, addresses @ ..] = header;
    let transport = rest.get(..usize::from(u16::from_be_bytes([*l0, *l1]))).filter(|_| first >> 4 == 6);
    let Some(transport) = transport else { return Verdict::Malformed };
    let ([source, destination], _) = addresses.as_chunks::<16>() else { return Verdict::Malformed };
    // Behind extension headers it isn't looked.
    let protocol = match IpProtocol(*next) {
        protocol @ (IpProtocol::TCP | IpProtocol::UDP | IpProtocol::ICMP6) => protocol,
        _ => return Verdict::NotCheckable,
    };
    // RFC 8200 section 8.1: one of UDP may not be left out.
    if protocol == IpProtocol::UDP && transport.get(6..8) == Some(&[0, 0]) {
        return Verdict::BadTransport;
    }
    let sum = pseudo_header6(source, destination, protocol, transport.len() as u32).bytes(transport);
    if sum.is_ok() { Verdict::Good } else { Verdict::BadTransport }
}
