//! Packets that their sender has left to hardware that isn't there.
//!
//! A Linux host behind a virtual device leaves the checksums of TCP and UDP to that device, and the kernel hands such a packet to an
//! XDP program without a word about it: the checksum field then has the folded sum of the pseudo header (`CHECKSUM_PARTIAL`,
//! Documentation/networking/checksum-offloads.rst of Linux), from which a device would go on. That number can be recognised. A
//! packet whose field has it, and whose checksum is wrong as it stands, is completed. One in 65,536 packets that are whole has that
//! number by chance; it is right as it stands, and stays as it is. What would be lost: a packet that was damaged on its
//! way and has the number by chance. On a virtual device nothing damages packets.
//!
//! In generic mode the sender's segmentation may be left over, too: a TCP packet longer than the device's MTU is cut here.

use crate::segment::Offload;
use millrace_wire::IpProtocol;
use millrace_wire::checksum::Sum;

const TCP: u8 = IpProtocol::TCP.0;
const UDP: u8 = IpProtocol::UDP.0;
/// Extension headers that may stand before TCP or UDP without changing the pseudo header: hop-by-hop and destination options.
const OPTIONS: [u8; 2] = [0, 60];

/// A TCP or UDP packet: where things are in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transport {
    is_tcp: bool,
    is_v6: bool,
    /// Where the network header and the transport header start, where the checksum is, where the packet ends.
    l3: usize,
    l4: usize,
    field: usize,
    end: usize,
    /// The pseudo header's sum.
    pseudo: Sum,
}

impl Transport {
    /// Finds it in the start of a frame. `None`: neither TCP nor UDP, a fragment, or not all there.
    #[inline]
    pub fn find(frame: &[u8]) -> Option<Transport> {
        let pair = |at: usize| frame.get(at..)?.first_chunk().map(|pair| u16::from_be_bytes(*pair));
        let mut l3 = 14;
        let mut kind = pair(12)?;
        while matches!(kind, 0x8100 | 0x88a8) && l3 < 22 {
            kind = pair(l3 + 2)?;
            l3 += 4;
        }
        match kind {
            0x0800 => {
                let header: &[u8; 20] = frame.get(l3..)?.first_chunk()?;
                let [version_ihl, _, a, b, _, _, fragment, offset, _, protocol, _, _, addresses @ ..] = header;
                let len = usize::from(version_ihl & 15) * 4;
                let end = l3 + usize::from(u16::from_be_bytes([*a, *b]));
                if *version_ihl >> 4 != 4 || len < 20 || (fragment & 0x3f) | offset != 0 {
                    return None;
                }
                Transport::of(*protocol, false, (l3, l3 + len, end), Sum::of(addresses))
            }
            0x86dd => {
                let header: &[u8; 40] = frame.get(l3..)?.first_chunk()?;
                let [_, _, _, _, a, b, next, _, addresses @ ..] = header;
                let end = l3 + 40 + usize::from(u16::from_be_bytes([*a, *b]));
                let (mut next, mut l4) = (*next, l3 + 40);
                while OPTIONS.contains(&next) {
                    let [following, len] = *frame.get(l4..)?.first_chunk()?;
                    (next, l4) = (following, l4 + (usize::from(len) + 1) * 8);
                }
                Transport::of(next, true, (l3, l4, end), Sum::of(addresses))
            }
            _ => None,
        }
    }

    #[inline(always)]
    fn of(protocol: u8, is_v6: bool, (l3, l4, end): (usize, usize, usize), addresses: Sum) -> Option<Transport> {
        let is_tcp = protocol == TCP;
        if !is_tcp && protocol != UDP {
            return None;
        }
        let (least, field) = if is_tcp { (20, 16) } else { (8, 6) };
        if end < l4 + least {
            return None;
        }
        let pseudo = addresses.u32((end - l4) as u32).u16(u16::from(protocol));
        Some(Transport { is_tcp, is_v6, l3, l4, field: l4 + field, end, pseudo })
    }

    /// Whether the checksum field has what a sender leaves there who leaves the rest to others.
    #[inline(always)]
    pub fn looks_partial(&self, head: &[u8]) -> bool {
        let field = head.get(self.field..).and_then(<[u8]>::first_chunk);
        field.is_some_and(|field| u16::from_be_bytes(*field) == !self.pseudo.checksum())
    }

    /// The checksum that a packet which looks partial lacks, and where it goes. `None` when it is right as it stands, or not all
    /// there. `pieces` are all of the frame.
    #[cold]
    pub fn missing<'a>(&self, pieces: impl Iterator<Item = &'a [u8]>) -> Option<(usize, [u8; 2])> {
        let (mut skip, mut left) = (self.l4, self.end - self.l4);
        let (mut whole, mut sum) = (self.pseudo, Sum::default());
        for piece in pieces {
            let piece = piece.get(skip..).inspect(|_| skip = 0).unwrap_or_else(|| {
                skip -= piece.len();
                &[]
            });
            let piece = piece.get(..left).unwrap_or(piece);
            left -= piece.len();
            (whole, sum) = (whole.bytes(piece), sum.bytes(piece));
        }
        if left > 0 || whole.is_ok() {
            return None;
        }
        let checksum = sum.checksum();
        // In UDP zero means "no checksum"; 0xffff is the same number (RFC 768).
        let checksum = if checksum == 0 && !self.is_tcp { 0xffff } else { checksum };
        Some((self.field, checksum.to_be_bytes()))
    }

    /// What is to be done to a packet that is longer than `mtu` allows: `None` when it isn't known how. (How long the datagrams of a
    /// large UDP packet were to be, only its sender knows.)
    pub fn too_long(&self, head: &[u8], mtu: usize) -> Option<Offload> {
        let data_offset = usize::from(*head.get(self.l4 + 12)? >> 4) * 4;
        let headers = self.l4 - self.l3 + data_offset;
        let size = mtu.checked_sub(headers).filter(|size| *size > 0)?;
        self.is_tcp.then(|| Offload::tcp(self.is_v6, size.min(usize::from(u16::MAX)), self.l4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with the transport header's checksum as a sender leaves it, or whole.
    fn frame(tcp: bool, v6: bool, payload: &[u8], whole: bool) -> Vec<u8> {
        let mut frame = Vec::new();
        let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]);
        let builder =
            if v6 { builder.ipv6([1; 16], [7; 16], 9) } else { builder.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9) };
        if tcp {
            builder.tcp(1, 2, 3, 4).write(&mut frame, payload).unwrap();
        } else {
            builder.udp(1, 2).write(&mut frame, payload).unwrap();
        }
        if !whole {
            let found = Transport::find(&frame).unwrap();
            let partial = !found.pseudo.checksum();
            frame[found.field..found.field + 2].copy_from_slice(&partial.to_be_bytes());
        }
        frame
    }

    #[test]
    fn what_is_partial_becomes_whole() {
        let payload: Vec<u8> = (0..1001).map(|i| (i * 7) as u8).collect();
        for (tcp, v6) in [(false, false), (false, true), (true, false), (true, true)] {
            for len in [0, 1, 2, 999, 1001] {
                let whole = frame(tcp, v6, &payload[..len], true);
                let found = Transport::find(&whole).unwrap();
                assert!(!found.looks_partial(&whole), "{tcp} {v6} {len}");
                // Padding is no part of the packet, and pieces may end anywhere.
                for cut in [10, 35, 60, 61, 200] {
                    let mut partial = frame(tcp, v6, &payload[..len], false);
                    partial.extend([0xee; 10]);
                    let found = Transport::find(&partial).unwrap();
                    assert!(found.looks_partial(&partial));
                    let (a, b) = partial.split_at(cut.min(partial.len()));
                    let (at, checksum) = found.missing([a, b].into_iter()).unwrap();
                    partial[at..at + 2].copy_from_slice(&checksum);
                    partial.truncate(whole.len());
                    assert_eq!(partial, whole, "{tcp} {v6} {len} {cut}");
                }
            }
        }
    }

    #[test]
    fn what_is_right_by_chance_stays() {
        // A payload that makes the whole checksum the same as the pseudo header's sum.
        let hit = (0..=u16::MAX).find_map(|n| {
            let whole = frame(false, false, &n.to_be_bytes(), true);
            let found = Transport::find(&whole).unwrap();
            found.looks_partial(&whole).then_some((whole, found))
        });
        let (whole, found) = hit.unwrap();
        assert_eq!(found.missing([&whole[..]].into_iter()), None);
    }

    #[test]
    fn what_it_is_not_about_is_not_found() {
        let whole = frame(true, false, b"data", true);
        for len in 0..whole.len() - 4 {
            // Cut off: found by its headers or not, it is never touched.
            if let Some(found) = Transport::find(&whole[..len]) {
                assert_eq!(found.missing([&whole[..len]].into_iter()), None);
            }
        }
        let mut fragment = whole.clone();
        fragment[20] = 0x20;
        assert!(Transport::find(&fragment).is_none());
        let mut other = whole;
        other[23] = 1;
        assert!(Transport::find(&other).is_none());
    }
}
