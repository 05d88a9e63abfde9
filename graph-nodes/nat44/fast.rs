//! What the fast nodes of both directions have in common: which packets they take, and what they change in them.

use crate::marks;
use millrace_engine::Packet;
use millrace_tables::flow::{Flow, FlowTable, Hash, Key, Side, State, Ticks, View};
use millrace_wire::IpProtocol;
use millrace_wire::checksum::Delta;

/// Bytes of an IPv4 header without options.
const IP: usize = 20;
/// Bytes of IP and UDP header.
const UDP: usize = IP + 8;
/// Bytes of IP and TCP header.
const TCP: usize = IP + 20;
/// Where the checksums and TCP's fields are, from the IP header on.
const PROTOCOL: usize = 9;
const IP_CHECKSUM: usize = 10;
const VIEW: usize = 12;
const UDP_CHECKSUM: usize = IP + 6;
const TCP_ACK: usize = IP + 8;
const TCP_FLAGS: usize = IP + 13;
const TCP_WINDOW: usize = IP + 14;
const TCP_CHECKSUM: usize = IP + 16;
/// FIN, SYN and RST: flags that change a connection's state; and ACK, which all others have.
const STATE_FLAGS: u8 = 0b0111;
const ACK: u8 = 0b1_0000;
/// More fragments, or an offset.
const FRAGMENT: u16 = 0x3fff;

/// The key of a packet that the fast path takes: TCP or UDP, whole, no IP options, not translated, and not the router's own.
#[inline(always)]
pub fn key(packet: &Packet<'_>, table: u16) -> Option<Key> {
    let header = packet.data().first_chunk::<UDP>()?;
    let [version, _, _, _, _, _, offset @ .., _, protocol] = header.first_chunk::<10>()?;
    let plain = *version == 0x45
        && u16::from_be_bytes(*offset) & FRAGMENT == 0
        && (*protocol == IpProtocol::UDP.0 || *protocol == IpProtocol::TCP.0)
        && packet.meta.marks & (marks::NATTED | marks::OWN) == 0;
    let view = header.get(VIEW..)?.first_chunk::<12>()?;
    plain.then_some(Key { view: View::from_bytes(*view), protocol: *protocol, table })
}

/// The same of a packet that had one a pass before, in the same frame: all but the key itself is known.
#[inline(always)]
pub fn key_again(packet: &Packet<'_>, table: u16) -> Option<Key> {
    let header = packet.data().first_chunk::<UDP>()?;
    let view = header.get(VIEW..)?.first_chunk::<12>()?;
    Some(Key { view: View::from_bytes(*view), protocol: header[PROTOCOL], table })
}

/// Translates a packet of the flow from `side`. False, and nothing done, when it may change the flow's state or is not like the
/// packets that [`key`] takes.
#[inline(always)]
pub fn translate(packet: &mut Packet<'_>, flow: &mut Flow, side: Side, now: Ticks) -> bool {
    let len = packet.total_len() as u16;
    let (to, l3, l4) = (flow.translated(side), flow.l3_delta(side), flow.l4_delta(side));
    if flow.protocol() == IpProtocol::TCP.0 {
        let Some(header) = packet.data_mut().first_chunk_mut::<TCP>() else { return false };
        if header[TCP_FLAGS] & (STATE_FLAGS | ACK) != ACK
            || !matches!(flow.state(), State::TcpEstablished | State::TcpClosing)
        {
            return false;
        }
        let ack = u32::from_be_bytes([header[TCP_ACK], header[TCP_ACK + 1], header[TCP_ACK + 2], header[TCP_ACK + 3]]);
        flow.note_ack(side, ack, u16::from_be_bytes([header[TCP_WINDOW], header[TCP_WINDOW + 1]]));
        adjust::<TCP, TCP_CHECKSUM>(header, |old| l4.apply(old));
        replace(header, &to, l3);
    } else {
        let Some(header) = packet.data_mut().first_chunk_mut::<UDP>() else { return false };
        // A first answer changes the state.
        if flow.state() != State::Replied && side != flow.opener() {
            return false;
        }
        adjust::<UDP, UDP_CHECKSUM>(header, |old| l4.apply_udp(old));
        replace(header, &to, l3);
    }
    flow.count(len);
    flow.touch(now);
    packet.meta.marks |= marks::NATTED;
    true
}

/// Addresses and ports, and the checksum of the IP header.
#[inline(always)]
fn replace<const N: usize>(header: &mut [u8; N], to: &View, delta: Delta) {
    const { assert!(N >= VIEW + 12) }
    adjust::<N, IP_CHECKSUM>(header, |old| delta.apply(old));
    if let Some(view) = header.get_mut(VIEW..).and_then(|view| view.first_chunk_mut::<12>()) {
        *view = *to.as_bytes();
    }
}

/// Changes a checksum.
#[inline(always)]
fn adjust<const N: usize, const AT: usize>(header: &mut [u8; N], change: impl FnOnce(u16) -> u16) {
    const { assert!(AT + 1 < N) }
    [header[AT], header[AT + 1]] = change(u16::from_be_bytes([header[AT], header[AT + 1]])).to_be_bytes();
}

/// In the scratch slot between the passes over a frame: the low half is a hash.
const HASHED: u64 = 1 << 32;

/// The hash of a packet's key, for the next pass; its bucket is fetched.
#[inline(always)]
pub fn hashed(flows: &FlowTable, key: &Key) -> u64 {
    let hash = flows.hash(key);
    flows.prefetch(hash);
    u64::from(hash.to_u32()) | HASHED
}

/// From the hash that the first pass left to the flow that the packet is probably of, whose line is fetched; 0: none.
#[inline(always)]
pub fn candidate(flows: &FlowTable, scratch: u64) -> u64 {
    if scratch & HASHED == 0 {
        return 0;
    }
    let id = flows.candidate(Hash::from_u32(scratch as u32));
    flows.prefetch_flow(id);
    u64::from(id)
}
