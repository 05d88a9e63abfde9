//! The Ethernet header around a packet: where it was, and where an answer's goes.

use crate::forwarding::Interface;
use crate::marks;
use millrace_engine::Packet;
use millrace_wire::{EtherType, Ethernet, IntoBytes, MacAddr, Vlan};

/// The source of the frame that the packet came in, whose header lies before the network header, which is the current one.
pub fn source(packet: &mut Packet<'_>) -> Option<MacAddr> {
    let back = Ethernet::LEN + if packet.meta.marks & marks::TAGGED != 0 { Vlan::LEN } else { 0 };
    if !packet.retreat(back) {
        return None;
    }
    let source = packet.header::<Ethernet>().map(|header| header.src);
    let _ = packet.advance(back);
    source
}

/// Puts the header of a frame from `interface` to a station in front, with the tag of a sub-interface. False when there is no room.
#[must_use]
pub fn put_in_front(packet: &mut Packet<'_>, interface: &Interface, to: MacAddr, ether_type: EtherType) -> bool {
    let mut header = Ethernet::new(to, interface.mac, ether_type);
    if let Some(vlan) = interface.vlan {
        header.set_ether_type(EtherType::VLAN);
        return put(packet, Vlan::new(vlan, ether_type).as_bytes()) && put(packet, header.as_bytes());
    }
    put(packet, header.as_bytes())
}

fn put(packet: &mut Packet<'_>, header: &[u8]) -> bool {
    let fits = packet.retreat(header.len());
    if fits && let Some(to) = packet.data_mut().get_mut(..header.len()) {
        to.copy_from_slice(header);
    }
    fits
}
