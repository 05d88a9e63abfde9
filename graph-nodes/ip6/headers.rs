//! Extension headers of packets for the router itself, dealt with in the order in which they come (RFC 8200 section 4).

use super::local_end::Count;
use crate::icmp::reason::Reason;
use millrace_wire::{IpProtocol, Ipv6, Ipv6Extension, Ipv6Extensions, Ipv6Option, UnknownOption, parameter_problem};

/// What a packet carries behind its extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Upper {
    /// What it is.
    pub protocol: IpProtocol,
    /// Where it begins, in bytes from the IPv6 header.
    pub at: usize,
    /// Where the byte lies that names it, in bytes from the IPv6 header.
    pub named_at: usize,
    /// Whether the hop-by-hop options have a router alert (RFC 2711).
    pub alert: bool,
}

impl Upper {
    /// What the sender hears when nobody here knows the protocol (RFC 8200 section 4).
    pub fn unknown(&self) -> Reason {
        problem(parameter_problem::NEXT_HEADER, self.named_at)
    }
}

/// Why a packet goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is a fragment.
    Fragment,
    /// It is dropped without a word.
    Drop(Count),
    /// Its sender hears why.
    Tell(Reason, Count),
}

/// Goes along the extension headers of a packet that begins with its IPv6 header. `multicast`: it was sent to a group.
pub(super) fn walk(packet: &[u8], multicast: bool) -> Result<Upper, Stop> {
    let mut headers = Ipv6Extensions::of(packet);
    let mut alert = false;
    loop {
        let named_at = headers.pointer();
        let Some(header) = headers.next() else {
            return Ok(Upper { protocol: headers.protocol(), at: headers.offset(), named_at, alert });
        };
        let header = header.map_err(|_| Stop::Drop(Count::BadHeaders))?;
        match header.kind {
            // Section 4: only right behind the IPv6 header; elsewhere as one that isn't known.
            IpProtocol::HOP_BY_HOP if header.offset == Ipv6::LEN => {
                options(&header, multicast)?;
                alert = header.options().flatten().any(|option| option.kind == Ipv6Option::ROUTER_ALERT);
            }
            IpProtocol::HOP_BY_HOP => {
                return Err(Stop::Tell(problem(parameter_problem::NEXT_HEADER, named_at), Count::UnknownHeader));
            }
            // Section 4.4: none of their types is known, type 0 not either (RFC 5095).
            IpProtocol::ROUTING if header.segments_left() > 0 => {
                return Err(Stop::Tell(problem(parameter_problem::HEADER, header.offset + 2), Count::SourceRoute));
            }
            IpProtocol::FRAGMENT => return Err(Stop::Fragment),
            IpProtocol::DESTINATION_OPTIONS => options(&header, multicast)?,
            _ => {}
        }
    }
}

/// Section 4.2: the upper two bits of an unknown option's type say what to do.
fn options(header: &Ipv6Extension<'_>, multicast: bool) -> Result<(), Stop> {
    for option in header.options() {
        let option = option.map_err(|_| Stop::Drop(Count::BadHeaders))?;
        let tell = Stop::Tell(problem(parameter_problem::OPTION, option.offset), Count::UnknownOption);
        match option.unknown() {
            UnknownOption::Skip => {}
            UnknownOption::Drop => return Err(Stop::Drop(Count::ForbiddingOption)),
            UnknownOption::TellUnlessMulticast if multicast => return Err(Stop::Drop(Count::ForbiddingOption)),
            UnknownOption::Tell | UnknownOption::TellUnlessMulticast => return Err(tell),
        }
    }
    Ok(())
}

/// Pointers fit: headers lie in one buffer.
fn problem(code: u8, pointer: usize) -> Reason {
    Reason::ParameterProblem { code, pointer: pointer as u16 }
}
