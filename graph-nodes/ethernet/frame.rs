//! The Ethernet header around a packet: where it was, and where an answer's goes.

use crate::forwarding::Interface;
use crate::marks;
use millrace_engine::Packet;
use millrace_wire::{EtherType, Ethernet, IntoBytes, MacAddr, Vlan};

/// The source of the frame that the packet came in, whose header lies before the network header, which is the current one.
pub fn source(packet: &mut Packet<'_>) -> Option<MacAddr> {
    let tags = match packet.meta.marks & (marks::TAGGED | marks::TAGGED_TWICE) {
        0 => 0,
        marks::TAGGED => 1,
        _ => 2,
    };
    let back = Ethernet::LEN + tags * Vlan::LEN;
    if !packet.retreat(back) {
        return None;
    }
    let source = packet.header::<Ethernet>().map(|header| header.src);
    let _ = packet.advance(back);
    source
}

/// Puts the header of a frame from `interface` to a station in front, with the tags of a sub-interface. False when there is no room.
#[must_use]
pub fn put_in_front(packet: &mut Packet<'_>, interface: &Interface, to: MacAddr, ether_type: EtherType) -> bool {
    let Some(tags) = interface.tags else {
        return put(packet, Ethernet::new(to, interface.mac, ether_type).as_bytes());
    };
    let header = tags.header(to, interface.mac, ether_type);
    put(packet, header.get(..Ethernet::LEN + tags.len()).unwrap_or_default())
}

fn put(packet: &mut Packet<'_>, header: &[u8]) -> bool {
    let fits = packet.retreat(header.len());
    if fits && let Some(to) = packet.data_mut().get_mut(..header.len()) {
        to.copy_from_slice(header);
    }
    fits
}
