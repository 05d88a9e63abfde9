//! ip4-fragment: how an IPv4 packet is cut into pieces (RFC 791 section 3.2); the node is that of both families.

use crate::ip::fragment::{Count, Cut, Head};
use crate::ip::{Family, V4};
use millrace_engine::{NodeName, Packet};
use millrace_wire::{IntoBytes, Ipv4};

/// Its name.
pub const NAME: NodeName = V4::FRAGMENT;

/// The longest options of a header, in bytes.
const MAX_OPTIONS: usize = 40;

/// The packet's own header, and the options of the first piece and of the later ones.
pub struct Plan {
    header: Ipv4,
    first: Options,
    later: Options,
}

impl Cut for V4 {
    type Plan = Plan;

    fn plan(packet: &Packet<'_>, _: u32) -> Result<Plan, Count> {
        let header = *packet.header::<Ipv4>().ok_or(Count::Malformed)?;
        if header.dont_fragment() {
            return Err(Count::DontFragment);
        }
        let options = packet.data().get(Ipv4::LEN..header.header_len()).ok_or(Count::Malformed)?;
        let later = Options::copied(options).ok_or(Count::BadOptions)?;
        let total = usize::from(header.total_len());
        let data = total.checked_sub(header.header_len()).filter(|_| total <= packet.total_len());
        if usize::from(header.fragment_offset()) + data.ok_or(Count::Malformed)? > usize::from(u16::MAX) {
            return Err(Count::TooFar);
        }
        Ok(Plan { header, first: Options::all(options), later })
    }

    fn data(plan: &Plan) -> (usize, usize) {
        let from = plan.header.header_len();
        (from, usize::from(plan.header.total_len()).saturating_sub(from))
    }

    fn head_len(plan: &Plan, first: bool) -> usize {
        Ipv4::LEN + plan.options(first).len()
    }

    fn head(plan: &Plan, at: usize, take: usize) -> Head {
        let options = plan.options(at == 0);
        let last = at + take == Self::data(plan).1;
        let mut ip = plan.header;
        set_header_len(&mut ip, Ipv4::LEN + options.len());
        ip.set_total_len((Ipv4::LEN + options.len() + take) as u16);
        ip.set_fragment(plan.header.fragment_offset() + at as u16, !last || plan.header.more_fragments());
        ip.fill_checksum(options);
        Head::of(&[ip.as_bytes(), options])
    }
}

impl Plan {
    fn options(&self, first: bool) -> &[u8] {
        let options = if first { &self.first } else { &self.later };
        options.bytes.get(..options.len).unwrap_or(&[])
    }
}

/// Says how long the header is with its options, in bytes: a multiple of 4 up to 60.
fn set_header_len(ip: &mut Ipv4, len: usize) {
    if let Some(first) = ip.as_mut_bytes().first_mut() {
        *first = 0x40 | (len / 4) as u8;
    }
}

/// Options of a piece, padded to whole words.
struct Options {
    bytes: [u8; MAX_OPTIONS],
    len: usize,
}

impl Options {
    /// All of them, of which there are at most 40 bytes.
    fn all(options: &[u8]) -> Options {
        let mut all = Options { bytes: [0; MAX_OPTIONS], len: 0 };
        if let Some(to) = all.bytes.get_mut(..options.len()) {
            to.copy_from_slice(options);
            all.len = options.len();
        }
        all
    }

    /// Those of `options` that have the copied flag (RFC 791 section 3.1). `None` when they are malformed.
    fn copied(mut options: &[u8]) -> Option<Options> {
        let mut copied = Options { bytes: [0; MAX_OPTIONS], len: 0 };
        while let [kind, rest @ ..] = options {
            let len = match kind {
                0 => break,
                1 => 1,
                _ => usize::from(*rest.first()?),
            };
            let option = options.get(..len).filter(|_| len >= 2 || *kind == 1)?;
            if kind & 0x80 != 0 {
                copied.bytes.get_mut(copied.len..copied.len + len)?.copy_from_slice(option);
                copied.len += len;
            }
            options = options.get(len..)?;
        }
        // What is left is zero: the end of the list.
        copied.len = copied.len.next_multiple_of(4);
        Some(copied)
    }
}

#[cfg(test)]
#[path = "fragment_tests.rs"]
mod tests;
