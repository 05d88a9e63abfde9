//! ip6-fragment: how a packet of the router's own is cut into pieces (RFC 8200 section 4.5); the node is that of both families.

use crate::ip::fragment::{Count, Cut, Head};
use crate::ip::{Family, V6};
use millrace_engine::{NodeName, Packet};
use millrace_wire::{IntoBytes, IpProtocol, Ipv6, Ipv6Extensions, Ipv6Fragment};

/// Its name.
pub const NAME: NodeName = V6::FRAGMENT;

/// What all pieces begin with, and the identification that they share.
pub struct Plan {
    /// The headers that every node on the way may want to see; the last of them names the fragment header.
    head: [u8; Head::MOST],
    len: usize,
    /// What follows them in the packet.
    protocol: IpProtocol,
    data: usize,
    id: u32,
}

impl Cut for V6 {
    type Plan = Plan;

    fn plan(packet: &Packet<'_>, id: u32) -> Result<Plan, Count> {
        let ip = packet.header::<Ipv6>().ok_or(Count::Malformed)?;
        let total = Ipv6::LEN + usize::from(ip.payload_len());
        let (len, named_at, protocol) = per_fragment_headers(packet.data())?;
        let data = total.checked_sub(len).filter(|_| total <= packet.total_len()).ok_or(Count::Malformed)?;
        let mut head = [0; Head::MOST];
        let there = packet.data().get(..len).filter(|_| len + Ipv6Fragment::LEN <= Head::MOST);
        let to = head.get_mut(..len).zip(there).ok_or(Count::NoRoom)?;
        to.0.copy_from_slice(to.1);
        if let Some(name) = head.get_mut(named_at) {
            *name = IpProtocol::FRAGMENT.0;
        }
        Ok(Plan { head, len, protocol, data, id })
    }

    fn data(plan: &Plan) -> (usize, usize) {
        (plan.len, plan.data)
    }

    fn head_len(plan: &Plan, _: bool) -> usize {
        plan.len + Ipv6Fragment::LEN
    }

    fn head(plan: &Plan, at: usize, take: usize) -> Head {
        let fragment = Ipv6Fragment::new(plan.protocol, at as u16, at + take < plan.data, plan.id);
        let mut head = Head::of(&[plan.head.get(..plan.len).unwrap_or(&[]), fragment.as_bytes()]);
        let payload = plan.len - Ipv6::LEN + Ipv6Fragment::LEN + take;
        head.put(Ipv6::PAYLOAD_LEN, &(payload as u16).to_be_bytes());
        head
    }
}

/// How long the headers are that every piece has: those up to a routing header, or else hop-by-hop options. Where the byte lies that
/// names what follows them, in bytes from the IPv6 header, and what that is.
fn per_fragment_headers(packet: &[u8]) -> Result<(usize, usize, IpProtocol), Count> {
    let mut headers = Ipv6Extensions::of(packet);
    let mut end = (headers.offset(), headers.pointer(), headers.protocol());
    while let Some(header) = headers.next() {
        let header = header.map_err(|_| Count::Malformed)?;
        match header.kind {
            IpProtocol::FRAGMENT => return Err(Count::DontFragment),
            IpProtocol::HOP_BY_HOP | IpProtocol::ROUTING => {
                end = (headers.offset(), headers.pointer(), headers.protocol());
            }
            _ => {}
        }
    }
    Ok(end)
}

#[cfg(test)]
#[path = "fragment_tests.rs"]
mod tests;
