//! IPv6 extension headers (RFC 8200 section 4): a walk along their chain, the options in them, and the fragment header.
//!
//! The walk believes nothing: it ends after [`Ipv6Extensions::MAX`] headers, and at one that is longer than what is there.

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{IpProtocol, Ipv6};

/// Extension headers are multiples of this many bytes long.
const UNIT: usize = 8;

/// Why a walk can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadChain {
    /// A header is longer than the bytes that are there, or the packet has no IPv6 header.
    CutOff,
    /// More than [`Ipv6Extensions::MAX`].
    TooMany,
}

/// An extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Extension<'a> {
    /// Which one: hop-by-hop options, routing, fragment or destination options.
    pub kind: IpProtocol,
    /// Where it begins, in bytes from the IPv6 header.
    pub offset: usize,
    /// All of it; at least 8 bytes.
    pub bytes: &'a [u8],
}

impl<'a> Ipv6Extension<'a> {
    /// The options of a hop-by-hop or destination options header.
    #[must_use]
    pub fn options(&self) -> Ipv6Options<'a> {
        Ipv6Options { rest: self.bytes.get(2..).unwrap_or(&[]), offset: self.offset + 2 }
    }

    /// The hops that a routing header still asks for (RFC 8200 section 4.4).
    #[must_use]
    pub fn segments_left(&self) -> u8 {
        self.bytes.get(3).copied().unwrap_or(0)
    }

    /// It as a fragment header, if it is one.
    #[must_use]
    pub fn fragment(&self) -> Option<Ipv6Fragment> {
        let fragment = Ipv6Fragment::read_from_prefix(self.bytes).ok();
        fragment.map(|(header, _)| header).filter(|_| self.kind == IpProtocol::FRAGMENT)
    }
}

/// A walk along the extension headers of a packet. Where it stands when it ends is where the upper layer begins; but behind a
/// [fragment](Ipv6Fragment) other than the first there are only data.
#[derive(Clone, Debug)]
pub struct Ipv6Extensions<'a> {
    packet: &'a [u8],
    protocol: IpProtocol,
    offset: usize,
    pointer: usize,
    left: usize,
}

impl<'a> Ipv6Extensions<'a> {
    /// Extension headers that a packet may have. RFC 8200 section 4.1 asks for six at most, authentication and encryption left out,
    /// and RFC 8504 section 5.3 lets a node set its limit.
    pub const MAX: usize = 8;

    /// From the IPv6 header that `packet` begins with.
    #[must_use]
    pub fn of(packet: &'a [u8]) -> Self {
        let protocol = Ipv6::ref_from_prefix(packet).map_or(IpProtocol::NO_NEXT_HEADER, |(ip, _)| ip.next_header());
        Self { packet, protocol, offset: Ipv6::LEN, pointer: Ipv6::NEXT_HEADER, left: Self::MAX }
    }

    /// What comes next: an extension header, or what the packet carries.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> IpProtocol {
        self.protocol
    }

    /// Where that begins, in bytes from the IPv6 header.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Where the byte lies that names it, in bytes from the IPv6 header: what a parameter problem points at.
    #[inline]
    #[must_use]
    pub const fn pointer(&self) -> usize {
        self.pointer
    }

    fn step(&mut self) -> Result<Ipv6Extension<'a>, BadChain> {
        self.left = self.left.checked_sub(1).ok_or(BadChain::TooMany)?;
        let rest = self.packet.get(self.offset..).ok_or(BadChain::CutOff)?;
        let [next, units, ..] = rest else { return Err(BadChain::CutOff) };
        // A fragment header has always the same length, and its second byte is reserved.
        let units = if self.protocol == IpProtocol::FRAGMENT { 0 } else { usize::from(*units) };
        let bytes = rest.get(..UNIT * (units + 1)).ok_or(BadChain::CutOff)?;
        let header = Ipv6Extension { kind: self.protocol, offset: self.offset, bytes };
        (self.protocol, self.pointer, self.offset) = (IpProtocol(*next), self.offset, self.offset + bytes.len());
        Ok(header)
    }
}

impl<'a> Iterator for Ipv6Extensions<'a> {
    type Item = Result<Ipv6Extension<'a>, BadChain>;

    /// The next extension header; `None` at the upper layer. After an error nothing comes any more.
    fn next(&mut self) -> Option<Self::Item> {
        if !self.protocol.is_extension() {
            return None;
        }
        let header = self.step();
        if header.is_err() {
            self.protocol = IpProtocol::NO_NEXT_HEADER;
        }
        Some(header)
    }
}

/// What an IPv6 packet carries, and where that begins in bytes from the IPv6 header. Of a fragment other than the first, which
/// doesn't have it, it is the fragment header. `None` when the chain of extension headers is broken or too long.
#[must_use]
pub fn upper_layer(packet: &[u8]) -> Option<(IpProtocol, usize)> {
    let mut headers = Ipv6Extensions::of(packet);
    for header in headers.by_ref() {
        let header = header.ok()?;
        if header.fragment().is_some_and(|fragment| fragment.offset() > 0) {
            return Some((header.kind, header.offset));
        }
    }
    (packet.len() >= headers.offset).then_some((headers.protocol, headers.offset))
}

/// An option of a hop-by-hop or destination options header (RFC 8200 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Option<'a> {
    /// Its type, the upper two bits of which say what to do with one that isn't known.
    pub kind: u8,
    /// Where it begins, in bytes from the IPv6 header.
    pub offset: usize,
    /// Its data.
    pub data: &'a [u8],
}

impl Ipv6Option<'_> {
    /// Router alert (RFC 2711).
    pub const ROUTER_ALERT: u8 = 5;

    /// What to do with the packet when the option isn't known.
    #[must_use]
    pub const fn unknown(&self) -> UnknownOption {
        match self.kind >> 6 {
            0 => UnknownOption::Skip,
            1 => UnknownOption::Drop,
            2 => UnknownOption::Tell,
            _ => UnknownOption::TellUnlessMulticast,
        }
    }
}

/// What the sender of an option wants done by who doesn't know it (RFC 8200 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownOption {
    /// As if it weren't there.
    Skip,
    /// Drop the packet.
    Drop,
    /// Drop the packet; parameter problem, code 2, even if it was sent to a multicast address.
    Tell,
    /// Drop the packet; parameter problem, code 2, unless it was sent to a multicast address.
    TellUnlessMulticast,
}

/// The options of a header, padding left out.
#[derive(Clone, Debug)]
pub struct Ipv6Options<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Iterator for Ipv6Options<'a> {
    type Item = Result<Ipv6Option<'a>, BadChain>;

    /// The next option. After an error, which is an option that doesn't fit into its header, nothing comes any more.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (kind, behind) = self.rest.split_first()?;
            let len = match (*kind, behind.first()) {
                // Pad1 is a single byte.
                (0, _) => 1,
                (_, Some(len)) => 2 + usize::from(*len),
                (_, None) => usize::MAX,
            };
            let Some((option, rest)) = self.rest.split_at_checked(len) else {
                self.rest = &[];
                return Some(Err(BadChain::CutOff));
            };
            let offset = self.offset;
            (self.rest, self.offset) = (rest, offset + len);
            // PadN is 1.
            if *kind > 1 {
                return Some(Ok(Ipv6Option { kind: *kind, offset, data: option.get(2..).unwrap_or(&[]) }));
            }
        }
    }
}

/// The fragment header (RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Ipv6Fragment {
    next_header: u8,
    reserved: u8,
    offset_and_more: U16,
    id: U32,
}

impl Ipv6Fragment {
    /// Its length in bytes.
    pub const LEN: usize = size_of::<Self>();
    /// Where in it the offset lies, in bytes.
    pub const OFFSET: usize = 2;

    /// The header of the piece at `offset` bytes (of which the lower 3 bits are ignored).
    #[must_use]
    pub const fn new(next_header: IpProtocol, offset: u16, more: bool, id: u32) -> Self {
        let offset_and_more = U16::new(offset & !7 | more as u16);
        Self { next_header: next_header.0, reserved: 0, offset_and_more, id: U32::new(id) }
    }

    /// What the packet's fragmentable part begins with.
    #[must_use]
    pub const fn next_header(&self) -> IpProtocol {
        IpProtocol(self.next_header)
    }

    /// Where the piece lies in the fragmentable part, in bytes: a multiple of 8, up to 65,528.
    #[must_use]
    pub const fn offset(&self) -> u16 {
        self.offset_and_more.get() & !7
    }

    /// Whether it is a piece other than the last.
    #[must_use]
    pub const fn more(&self) -> bool {
        self.offset_and_more.get() & 1 != 0
    }

    /// Whether it is the first piece and the last (RFC 6946).
    #[must_use]
    pub const fn is_atomic(&self) -> bool {
        self.offset() == 0 && !self.more()
    }

    /// Tells the pieces of one packet from those of another.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id.get()
    }
}

#[cfg(test)]
#[path = "ipv6_ext_tests.rs"]
mod tests;
