//! The maximum segment size in a TCP header: the one place that knows how it is lowered.

use millrace_wire::checksum::Delta;
use millrace_wire::{FromBytes, Tcp, TcpFlags};

/// Where a TCP header has its checksum.
const CHECKSUM: usize = 16;

/// Lowers the MSS option (RFC 9293 section 3.7.1) of a segment with SYN to `max` bytes; true if it was higher. It is never raised,
/// and none is added: without one the other end takes 536, or 1220 over IPv6. The checksum follows; one that was wrong stays so.
pub fn clamp(segment: &mut [u8], max: u16) -> bool {
    let Some(place) = mss_option(segment) else { return false };
    let Some(field) = segment.get_mut(place..).and_then(|bytes| bytes.first_chunk_mut::<2>()) else { return false };
    let old = u16::from_be_bytes(*field);
    if old <= max {
        return false;
    }
    *field = max.to_be_bytes();
    // At an odd place its bytes count in the other halves of the words under the checksum (RFC 1071 section 2 B).
    let delta = match place % 2 {
        0 => Delta::default().u16(old, max),
        _ => Delta::default().u16(old.swap_bytes(), max.swap_bytes()),
    };
    if let Some(checksum) = segment.get_mut(CHECKSUM..).and_then(|bytes| bytes.first_chunk_mut::<2>()) {
        *checksum = delta.apply(u16::from_be_bytes(*checksum)).to_be_bytes();
    }
    true
}

/// Whether a segment has a SYN: only those have the option.
#[inline(always)]
pub fn is_syn(segment: &[u8]) -> bool {
    Tcp::ref_from_prefix(segment).is_ok_and(|(tcp, _)| tcp.flags().contains(TcpFlags::SYN))
}

/// Where the value of the MSS option is, in bytes from the TCP header's first.
fn mss_option(segment: &[u8]) -> Option<usize> {
    let (tcp, _) = Tcp::ref_from_prefix(segment).ok().filter(|(tcp, _)| tcp.flags().contains(TcpFlags::SYN))?;
    let all = segment.get(Tcp::LEN..tcp.header_len())?;
    options(all).find_map(|(at, option)| matches!(option, [2, 4, ..]).then_some(Tcp::LEN + at + 2))
}

/// The options of a TCP header (RFC 9293 section 3.1), kind and length included, each with its place. Ends at one that is malformed.
pub fn options(options: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let len = match options.get(at)? {
                0 => return None,
                1 => {
                    at += 1;
                    continue;
                }
                _ => usize::from(*options.get(at + 1)?),
            };
            let option = options.get(at..at + len).filter(|_| len >= 2)?;
            let start = at;
            at += len;
            return Some((start, option));
        }
    })
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
