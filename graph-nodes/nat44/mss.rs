//! Clamps the maximum segment size that the two ends of a TCP connection tell each other, so that what they send fits through a link
//! whose MTU path discovery doesn't tell them.

use super::parse::{Parsed, tcp_options};
use super::rewrite::adjust;
use millrace_engine::Packet;
use millrace_wire::checksum::Delta;
use millrace_wire::{FromBytes, Tcp, TcpFlags};

/// Where a TCP header has its checksum.
const CHECKSUM: usize = 16;

/// Lowers the MSS option (RFC 9293 section 3.7.1) of a SYN or SYN-ACK to `max` bytes; true if it was higher. It is never raised, and
/// none is added: without one the other end takes 536.
pub fn clamp(packet: &mut Packet<'_>, parsed: &Parsed, max: Option<u16>) -> bool {
    let syn = parsed.tcp.filter(|tcp| tcp.flags.contains(TcpFlags::SYN));
    let (Some(max), Some(_)) = (max, syn) else { return false };
    let Some(segment) = packet.data_mut().get_mut(parsed.header_len..) else { return false };
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
    adjust(segment, CHECKSUM, delta, Delta::apply);
    true
}

/// Where the value of the MSS option is, in bytes from the TCP header's first.
fn mss_option(segment: &[u8]) -> Option<usize> {
    let (tcp, _) = Tcp::ref_from_prefix(segment).ok()?;
    let options = segment.get(Tcp::LEN..tcp.header_len())?;
    tcp_options(options).find_map(|(at, option)| matches!(option, [2, 4, ..]).then_some(Tcp::LEN + at + 2))
}

#[cfg(test)]
#[path = "mss_tests.rs"]
mod tests;
