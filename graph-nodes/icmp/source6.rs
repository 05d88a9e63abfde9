//! Which address the router speaks from in ICMPv6 (RFC 4443 sections 2.2 and 4.2).

use crate::forwarding::{Forwarding, Interface};
use crate::ip::V6;
use crate::ip::local::is_ours;
use millrace_engine::Packet;
use millrace_engine::counters::MAX_INTERFACES;
use millrace_engine::epoch::Guard;
use std::net::Ipv6Addr;

/// The address from which to answer a `packet` from `asker` to `asked` that came by `interface`: the one asked, if it is one of the
/// router's own unicast addresses; else one of the interface's that is valid as far as the asker is; and where it has only a
/// link-local address, one of another interface of the same VRF. `None` when there is none. What the router asks itself came by none.
pub(super) fn answer_from(
    forwarding: &Forwarding,
    interface: Option<&Interface>,
    packet: &Packet<'_>,
    (asker, asked): (Ipv6Addr, Ipv6Addr),
    guard: &Guard<'_>,
) -> Option<Ipv6Addr> {
    if interface.is_some_and(|there| there.owns6(asked)) || is_own(forwarding, asked, packet.meta.table, guard) {
        return Some(asked);
    }
    let interface = interface?;
    interface.source_for6(asker).or_else(|| {
        let of_the_table = |other: &&Interface| other.table == interface.table && !asker.is_unicast_link_local();
        all(forwarding, guard).filter(of_the_table).find_map(|other| other.source_for6(asker))
    })
}

/// Whether an address is one of the router's own in a table. Subnet-router anycast addresses are not (RFC 4291 section 2.6.1): nobody
/// may speak from them. They end in zeros, of which there are two at least, as subnets of 127 bits have none (RFC 6164).
fn is_own(forwarding: &Forwarding, address: Ipv6Addr, table: u32, guard: &Guard<'_>) -> bool {
    !address.is_multicast()
        && is_ours::<V6>(forwarding, address.to_bits(), table, guard)
        && (address.to_bits() & 3 != 0 || all(forwarding, guard).any(|interface| interface.owns6(address)))
}

fn all<'a>(forwarding: &'a Forwarding, guard: &'a Guard<'a>) -> impl Iterator<Item = &'a Interface> {
    (1..MAX_INTERFACES as u32).filter_map(|index| forwarding.interfaces.get(index, guard))
}
