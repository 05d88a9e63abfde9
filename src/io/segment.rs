//! Undoing what a sender leaves to its hardware: checksums not yet filled in, and packets larger than the link's.
//!
//! Linux hands such packets to packet sockets and tap devices with a `virtio_net_hdr` (virtio 1.2 section 5.1.6) in front
//! that says what is still to be done. A router's wires don't have that hardware, so it is done here: [`prepare`] fills in
//! the checksum in place, or returns a [`Cutter`] that makes the packets that should have been on the wire.

use millrace_engine::device::RxBurst;
use millrace_wire::IpProtocol;
use millrace_wire::checksum::Sum;

/// Bytes of the basic `virtio_net_hdr`.
pub(crate) const VNET_HEADER: usize = 10;
/// The longest headers that are understood: Ethernet, two tags, IP with options or extension headers, TCP with options.
const MAX_HEADERS: usize = 256;

const NEEDS_CSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// Modifier of the GSO type: CWR is set; it is on the first segment only in any case.
const GSO_ECN: u8 = 0x80;

/// TCP's flags FIN and PSH, which belong to the last segment, and CWR, which belongs to the first (RFC 3168 section 6.1.2).
const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// What is left to do for a frame: a `virtio_net_hdr` in the machine's byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offload {
    needs_checksum: bool,
    gso: u8,
    gso_size: usize,
    /// Where the checksummed bytes start in the frame, and where in them the checksum is.
    csum_start: usize,
    csum_offset: usize,
}

/// The frame contradicts its offload header, or asks for what was never offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Offload {
    /// Reads the header.
    #[inline]
    pub fn read(header: &[u8; VNET_HEADER]) -> Offload {
        let [flags, gso, _, _, size @ .., s0, s1, o0, o1] = *header;
        let number = |pair| usize::from(u16::from_ne_bytes(pair));
        Offload {
            needs_checksum: flags & NEEDS_CSUM != 0,
            gso: gso & !GSO_ECN,
            gso_size: number(size),
            csum_start: number([s0, s1]),
            csum_offset: number([o0, o1]),
        }
    }

    /// For a TCP packet that nothing was said about: segments of `size` payload bytes; its TCP header starts at `l4`.
    pub fn tcp(is_v6: bool, size: usize, l4: usize) -> Offload {
        let gso = if is_v6 { GSO_TCPV6 } else { GSO_TCPV4 };
        Offload { needs_checksum: true, gso, gso_size: size, csum_start: l4, csum_offset: 16 }
    }

    /// Whether nothing is left to do.
    #[inline]
    pub fn is_done(&self) -> bool {
        !self.needs_checksum && self.gso == GSO_NONE
    }
}

/// Completes the frame in place, or says how to cut it.
///
/// # Errors
/// When header and frame don't fit together; the frame is to be dropped.
pub(crate) fn prepare(offload: Offload, frame: &mut [u8]) -> Result<Option<Cutter>, Malformed> {
    if offload.gso != GSO_NONE {
        return Cutter::new(offload, frame).map(Some);
    }
    if offload.needs_checksum {
        let bytes = frame.get_mut(offload.csum_start..).ok_or(Malformed)?;
        // The field holds the sum of the pseudo header, and counts like the rest.
        let sum = never_zero(Sum::of(bytes).checksum());
        let field = bytes.get_mut(offload.csum_offset..).and_then(<[u8]>::first_chunk_mut).ok_or(Malformed)?;
        *field = sum.to_be_bytes();
    }
    Ok(None)
}

/// A frame on its way into bursts, whole or cut; what did not fit into one burst goes into the next.
pub(crate) struct Inbound {
    cutter: Option<Cutter>,
    /// A VLAN tag that the kernel took out of the frame, to go in behind the addresses.
    tag: Option<[u8; 4]>,
}

impl Inbound {
    pub fn new(cutter: Option<Cutter>, tag: Option<[u8; 4]>) -> Inbound {
        Inbound { cutter, tag }
    }

    /// Packets that it comes to.
    pub fn packets(&self) -> usize {
        self.cutter.as_ref().map_or(1, Cutter::segments)
    }

    /// Adds as much of it as the burst takes. True when that was all of it.
    #[inline]
    pub fn push(&mut self, frame: &[u8], burst: &mut RxBurst<'_>) -> bool {
        let Some(cutter) = &mut self.cutter else { return push(frame, &[], self.tag, burst) };
        while let Some((headers, payload)) = cutter.segment(frame) {
            if !push(headers, payload, self.tag, burst) {
                return false;
            }
            cutter.advance();
        }
        true
    }
}

/// Adds one packet, with its tag put back.
#[inline]
pub(crate) fn push(front: &[u8], back: &[u8], tag: Option<[u8; 4]>, burst: &mut RxBurst<'_>) -> bool {
    match (tag, front.split_at_checked(12)) {
        (Some(tag), Some((addresses, rest))) => burst.push(&[addresses, &tag, rest, back]),
        _ if back.is_empty() => burst.push(&[front]),
        _ => burst.push(&[front, back]),
    }
}

/// Makes the segments of a large TCP packet or the datagrams of a large UDP one, one at a time.
#[derive(Debug)]
pub(crate) struct Cutter {
    /// The headers of the current segment; addresses and ports stay, the rest is rewritten for each.
    headers: [u8; MAX_HEADERS],
    l3: usize,
    l4: usize,
    /// Length of the headers: where the payload starts.
    len: usize,
    end: usize,
    /// Payload bytes of each segment but the last.
    size: usize,
    /// Where the current segment's payload starts.
    next: usize,
    is_v6: bool,
    is_tcp: bool,
    /// UDP over IPv4 without a checksum (RFC 768) stays without.
    checksum: bool,
    /// What the large packet had: identification (RFC 6864), sequence number, TCP flags.
    first_id: u16,
    first_sequence: u32,
    flags: u8,
}

impl Cutter {
    fn new(offload: Offload, frame: &[u8]) -> Result<Cutter, Malformed> {
        let byte = |at: usize| frame.get(at).copied().ok_or(Malformed);
        let pair = |at: usize| Ok(u16::from_be_bytes([byte(at)?, byte(at + 1)?]));
        let mut l3 = 14;
        while matches!(pair(l3 - 2)?, 0x8100 | 0x88a8) && l3 < 22 {
            l3 += 4;
        }
        let version = byte(l3)? >> 4;
        let is_v6 = match (pair(l3 - 2)?, version) {
            (0x0800, 4) => false,
            (0x86dd, 6) => true,
            _ => return Err(Malformed),
        };
        let ip_len = if is_v6 { 40 } else { usize::from(byte(l3)? & 15) * 4 };
        let protocol = IpProtocol(byte(l3 + if is_v6 { 6 } else { 9 })?);
        let is_tcp = match offload.gso {
            GSO_TCPV4 if !is_v6 => true,
            GSO_TCPV6 if is_v6 => true,
            GSO_UDP_L4 => false,
            _ => return Err(Malformed),
        };
        let transport = if is_tcp { IpProtocol::TCP } else { IpProtocol::UDP };
        // Behind extension headers only the sender's own word says where the transport header is.
        let l4 = if protocol == transport { l3 + ip_len } else { offload.csum_start };
        if l4 < l3 + ip_len || ip_len < 20 || (!is_v6 && protocol != transport) {
            return Err(Malformed);
        }
        let len = l4 + if is_tcp { usize::from(byte(l4 + 12)? >> 4) * 4 } else { 8 };
        if len < l4 + if is_tcp { 20 } else { 8 } || offload.gso_size == 0 || frame.len() <= len {
            return Err(Malformed);
        }
        let mut headers = [0; MAX_HEADERS];
        headers.get_mut(..len).ok_or(Malformed)?.copy_from_slice(&frame[..len]);
        let sequence = [byte(l4 + 4)?, byte(l4 + 5)?, byte(l4 + 6)?, byte(l4 + 7)?];
        Ok(Cutter {
            headers,
            l3,
            l4,
            len,
            end: frame.len(),
            size: offload.gso_size,
            next: len,
            is_v6,
            is_tcp,
            checksum: is_tcp || is_v6 || offload.needs_checksum || pair(l4 + 6)? != 0,
            first_id: pair(l3 + 4)?,
            first_sequence: u32::from_be_bytes(sequence),
            flags: if is_tcp { byte(l4 + 13)? } else { 0 },
        })
    }

    /// How many segments there are in all.
    pub fn segments(&self) -> usize {
        (self.end - self.len).div_ceil(self.size)
    }

    /// Headers and payload of the current segment; `None` when all are done. `frame` is the one that the cutter was made of.
    fn segment<'a>(&'a mut self, frame: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        if self.next >= self.end {
            return None;
        }
        let to = (self.next + self.size).min(self.end);
        let payload = frame.get(self.next..to)?;
        let done = self.next - self.len;
        let (l3, l4, len) = (self.l3, self.l4, self.len);
        let h = &mut self.headers;
        let l4_len = len - l4 + payload.len();
        let mut put = |at: usize, value: u16| h[at..at + 2].copy_from_slice(&value.to_be_bytes());
        if self.is_v6 {
            put(l3 + 4, (l4 - l3 - 40 + l4_len) as u16);
        } else {
            put(l3 + 2, (l4 - l3 + l4_len) as u16);
            put(l3 + 4, self.first_id.wrapping_add((done / self.size) as u16));
            put(l3 + 10, 0);
        }
        let checksum_at = l4 + if self.is_tcp { 16 } else { 6 };
        put(checksum_at, 0);
        if self.is_tcp {
            let last = if to == self.end { 0 } else { FIN_PSH };
            let first = if done == 0 { 0 } else { CWR };
            h[l4 + 4..l4 + 8].copy_from_slice(&self.first_sequence.wrapping_add(done as u32).to_be_bytes());
            h[l4 + 13] = self.flags & !last & !first;
        } else {
            put(l4 + 4, l4_len as u16);
        }
        let protocol = if self.is_tcp { IpProtocol::TCP } else { IpProtocol::UDP };
        // The addresses lie side by side in either family, and the rest of the pseudo header sums up alike.
        let addresses = if self.is_v6 { l3 + 8..l3 + 40 } else { l3 + 12..l3 + 20 };
        if self.checksum {
            let pseudo = Sum::of(&h[addresses]).u32(l4_len as u32).u16(u16::from(protocol.0));
            let sum = pseudo.bytes(&h[l4..len]).bytes(payload).checksum();
            let sum = if self.is_tcp { sum } else { never_zero(sum) };
            h[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        if !self.is_v6 {
            let sum = Sum::of(&h[l3..l3 + usize::from(h[l3] & 15) * 4]).checksum();
            h[l3 + 10..l3 + 12].copy_from_slice(&sum.to_be_bytes());
        }
        Some((&self.headers[..len], payload))
    }

    fn advance(&mut self) {
        self.next += self.size;
    }
}

/// Zero and 0xffff are the same sum; UDP has the first mean "no checksum" (RFC 768), and TCP doesn't mind.
const fn never_zero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
