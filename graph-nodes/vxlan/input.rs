//! vxlan4-input, vxlan6-input: takes the frames out of datagrams to a VXLAN port (RFC 7348 section 4.1).
//! Writes: rx interface, scratch (the remote that the frame is from, in bits 16 to 31 of the last word), adjacency, flow hash, marks.
//! Uses the network header's place of the outer packet: the current header is its IP header.
//!
//! The frame of a remote that is unknown waits for control to make it known, where it is to be: its station is then behind it from
//! the first frame on.

use super::inner::congested;
use super::tables::{Key, Known};
use super::underlay::{Arrived, Underlay, sum};
use crate::forwarding::Forwarding;
use crate::neighbor_events::{NeighborEvent, NeighborEvents};
use crate::{interface, l2, marks};
use millrace_engine::{Buffer, Ctx, Node, NodeName, Packet, counters, edges};
use millrace_tables::lpm::Address;
use millrace_wire::{Ethernet, FromBytes, Udp, Vxlan};
use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;

/// Frames of unknown remotes that wait on a worker.
const WAITING: usize = 64;
/// How long they do, in nanoseconds.
const PATIENCE: u64 = 500_000_000;

edges! {
    /// As if it had come in by a device.
    pub enum Next { Input => interface::input::NAME }
}

counters! {
    /// What becomes of datagrams.
    pub enum Count {
        Short => "shorter than its headers",
        BadLength => "UDP length is wrong",
        BadChecksum => "UDP checksum is wrong",
        NoChecksum => "IPv6 datagram without a checksum",
        NoVni => "VXLAN header without a VNI",
        UnknownVni => "no VXLAN interface with this VNI, local address and port",
        UnknownRemote => "from no remote of the interface",
        Waits => "frames that wait for their remote to be known",
        TooMany => "too many frames wait for their remotes",
        EventsFull => "queue to the control plane is full",
        Congested => "met congestion that its sender can't hear of",
    }
}

/// What `show trace` tells.
pub struct Trace {
    vni: u32,
    from: IpAddr,
    known: Known,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trace { vni, from, known } = self;
        write!(f, "VNI {vni} from {from} interface {} remote {}", known.interface, known.remote)
    }
}

/// The node.
pub struct VxlanInput<F: Underlay> {
    /// Reads: whose datagrams are.
    forwarding: Forwarding,
    /// Where unknown remotes are reported.
    events: NeighborEvents,
    /// Whose the last one was, and in which generation of tables.
    last: (Key<F::Address>, u64, Known),
    waiting: VecDeque<(u64, Buffer)>,
}

impl<F: Underlay> VxlanInput<F> {
    /// Reads `forwarding`; reports to `events`.
    pub fn new(forwarding: Forwarding, events: NeighborEvents) -> VxlanInput<F> {
        VxlanInput { forwarding, events, last: Default::default(), waiting: VecDeque::with_capacity(WAITING) }
    }

    /// Looks at the headers: whose the datagram is, and where its frame begins and ends in it.
    #[inline(always)]
    fn read(&mut self, packet: &Packet<'_>, cx: &Ctx<'_, Self>) -> Result<Datagram<F>, Count> {
        let Some(outer) = F::arrived(packet) else { return Err(Count::Short) };
        let datagram = packet.data().get(outer.at..).and_then(|bytes| Udp::ref_from_prefix(bytes).ok());
        let Some((udp, rest)) = datagram else { return Err(Count::Short) };
        let Ok((vxlan, _)) = Vxlan::ref_from_prefix(rest) else { return Err(Count::Short) };
        let len = usize::from(udp.datagram_len());
        if len < Udp::LEN + Vxlan::LEN + Ethernet::LEN || outer.at + len > packet.total_len() {
            return Err(Count::BadLength);
        }
        let Some(vni) = vxlan.vni() else { return Err(Count::NoVni) };
        let (table, port) = (packet.meta.table, udp.dst_port());
        let key = Key { local: outer.destination, remote: outer.source, vni, table, port };
        let ends = F::ends(&self.forwarding.vxlan).get(&cx.guard());
        let known = if self.last.0 == key && self.last.1 == ends.generation {
            self.last.2
        } else {
            let Some(known) = ends.find(&key) else { return Err(Count::UnknownVni) };
            self.last = (key, ends.generation, known);
            known
        };
        if udp.checksum() == 0 {
            if F::NEEDS_CHECKSUM && !known.zero_checksum {
                return Err(Count::NoChecksum);
            }
        } else if !sum(packet, outer.at, len, F::pseudo(&outer, len as u16)).is_ok() {
            return Err(Count::BadChecksum);
        }
        Ok(Datagram { outer, len, vni, known })
    }

    /// Leaves the frame alone of a datagram.
    #[inline(always)]
    fn unwrap(&self, datagram: &Datagram<F>, packet: &mut Packet<'_>, cx: &Ctx<'_, Self>) -> Result<(), Count> {
        let Datagram { outer, len, known, .. } = datagram;
        packet.truncate(outer.at + len);
        if !packet.advance(outer.at + Udp::LEN + Vxlan::LEN) {
            return Err(Count::Short);
        }
        if outer.tos & 3 != 0 && !congested(packet, outer.tos) {
            return Err(Count::Congested);
        }
        if let Some(remote) = self.forwarding.vxlan.remotes.get(known.remote, &cx.guard()) {
            remote.traffic.received(cx.worker(), len - Udp::LEN - Vxlan::LEN);
        }
        let meta = &mut packet.meta;
        (meta.rx_interface, meta.adjacency, meta.flow_hash) = (known.interface, 0, 0);
        meta.marks &= marks::TUNNELS;
        // Numbers of remotes have 12 bits.
        l2::set_behind(packet, known.remote as u16);
        Ok(())
    }
}

/// What the headers of a datagram say.
struct Datagram<F: Underlay> {
    outer: Arrived<F::Address>,
    /// Bytes from the UDP header on.
    len: usize,
    vni: u32,
    known: Known,
}

impl<F: Underlay> Node for VxlanInput<F> {
    const NAME: NodeName = F::INPUT;
    const HOLDS: bool = true;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let datagram = match self.read(packet, cx) {
            Ok(datagram) => datagram,
            Err(cause) => return cx.drop(cause),
        };
        let Datagram { outer, vni, known, .. } = datagram;
        cx.trace(packet, || Trace { vni, from: outer.source.to_ip(), known });
        if known.remote == 0 {
            return if known.learn { cx.hold() } else { cx.drop(Count::UnknownRemote) };
        }
        match self.unwrap(&datagram, packet, cx) {
            Ok(()) => Next::Input,
            Err(cause) => cx.drop(cause),
        }
    }

    fn hold(&mut self, mut buffer: Buffer, cx: &mut Ctx<'_, Self>) {
        if self.waiting.len() == WAITING {
            let dropped = cx.drop(Count::TooMany);
            return cx.send(buffer, dropped);
        }
        cx.count(Count::Waits);
        if let Ok(Datagram { outer, known, .. }) = self.read(&buffer.packet(), cx) {
            let event = NeighborEvent::RemoteHeard { interface: known.interface, address: outer.source.to_ip() };
            if !self.events.push(event) {
                cx.count(Count::EventsFull);
            }
        }
        self.waiting.push_back((cx.now(), buffer));
    }

    fn wants_tick(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn tick(&mut self, cx: &mut Ctx<'_, Self>) {
        for _ in 0..self.waiting.len() {
            let Some((since, mut buffer)) = self.waiting.pop_front() else { return };
            let over = cx.now().saturating_sub(since) >= PATIENCE;
            let read = self.read(&buffer.packet(), cx);
            let next = match read {
                Ok(datagram) if datagram.known.remote != 0 => {
                    self.unwrap(&datagram, &mut buffer.packet(), cx).map(|()| Next::Input)
                }
                Ok(_) if !over => {
                    self.waiting.push_back((since, buffer));
                    continue;
                }
                Ok(_) => Err(Count::UnknownRemote),
                Err(cause) => Err(cause),
            };
            let next = next.unwrap_or_else(|cause| cx.drop(cause));
            cx.send(buffer, next);
        }
    }
}
