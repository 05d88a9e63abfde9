//! Multicast listener queries (RFC 2710, RFC 3810): what they ask.

use millrace_wire::{Icmp6, mld};
use std::net::Ipv6Addr;

/// Where the maximum response code lies in a message.
const MAX_RESPONSE: usize = 4;
/// Where the group's address does.
const GROUP: usize = 8;
/// A query of version 1 has this length (RFC 2710 section 3.7), one of version 2 at least [`LEN2`] (RFC 3810 section 8.1).
const LEN1: usize = GROUP + 16;
const LEN2: usize = LEN1 + 4;

/// A query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// The group that is asked about; `None` for all.
    pub group: Option<Ipv6Addr>,
    /// How long an answer may take, in milliseconds.
    pub max_delay_ms: u32,
}

/// Reads a query of `len` bytes, whose first ones are `message`. `None` when it is none (RFC 3810 section 8.1: lengths between the
/// two versions are ignored).
pub(super) fn query(message: &[u8], len: usize) -> Option<Query> {
    const { assert!(GROUP == Icmp6::LEN) };
    let code = u16::from_be_bytes(*message.get(MAX_RESPONSE..)?.first_chunk()?);
    let group = Ipv6Addr::from_octets(*message.get(GROUP..)?.first_chunk()?);
    let max_delay_ms = match len {
        LEN1 => u32::from(code),
        LEN2.. => mld::max_response(code),
        _ => return None,
    };
    // Section 5.1.5: none in a general query.
    let group =
        if group.is_unspecified() { None } else { Some(group).filter(|group| group.is_multicast()).map(Some)? };
    Some(Query { group, max_delay_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let group: Ipv6Addr = "ff02::1:ff00:1".parse().unwrap();
        let message = |code: u16, group: Ipv6Addr, len: usize| {
            let mut message = [&[130, 0, 0, 0][..], &code.to_be_bytes(), &[0, 0], &group.octets(), &[0; 40]].concat();
            message.truncate(len);
            query(&message, len)
        };
        let asks = |group, max_delay_ms| Some(Query { group, max_delay_ms });
        // RFC 2710 section 3.4: milliseconds, whatever the number.
        assert_eq!(message(10_000, Ipv6Addr::UNSPECIFIED, 24), asks(None, 10_000));
        assert_eq!(message(0xffff, group, 24), asks(Some(group), 65_535));
        // RFC 3810 section 5.1.3.
        assert_eq!(message(0x7fff, group, 28), asks(Some(group), 32_767));
        assert_eq!(message(0x8000, Ipv6Addr::UNSPECIFIED, 28), asks(None, 32_768));
        assert_eq!(message(0x8001, Ipv6Addr::UNSPECIFIED, 44), asks(None, 32_776));
        assert_eq!(message(0xffff, Ipv6Addr::UNSPECIFIED, 28), asks(None, 8_387_584));
        for len in [0, 5, 8, 23, 25, 27] {
            assert_eq!(message(0, group, len), None, "{len} bytes");
        }
        assert_eq!(message(0, Ipv6Addr::LOCALHOST, 28), None, "no group");
    }
}
