//! vxlan4-encap, vxlan6-encap: puts the frames of a VXLAN interface into datagrams to its remotes (RFC 7348 section 5); the last
//! feature of the interface-output arc.
//! Reads: tx interface, adjacency (the remote that a bridge chose; 0 for all), flow hash, marks. Writes: table, flow hash, marks.
//!
//! The outer source port is taken from the inner flow, the TOS or traffic class is the inner packet's, congestion bits with it
//! (RFC 6040 section 4.1, normal mode).

use super::inner::Inner;
use super::tables::Remote;
use super::underlay::{Frame, Underlay};
use crate::forwarding::Forwarding;
use crate::interface::sending::Sender;
use crate::marks;
use millrace_engine::{Buffer, Ctx, Node, NodeName, Packet, counters, edges};
use std::fmt;
use std::marker::PhantomData;

edges! {
    /// Out through the underlay.
    pub enum Next<F: Underlay> { Lookup => F::LOOKUP }
}

counters! {
    /// What becomes of frames.
    pub enum Count {
        Copies => "copies for further remotes",
        Down => "interface is down",
        NoRemote => "no remote to send to",
        Gone => "interface is no VXLAN any more",
        Nested => "tunnel in a tunnel in a tunnel",
        TooLong => "frame is too long for a datagram",
        NoHeadroom => "no room for the headers",
        NoBuffer => "no free buffer for a copy",
    }
}

/// What `show trace` tells.
pub struct Trace {
    /// 0 for all.
    remote: u32,
    port: u16,
    len: usize,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "remote {} source port {} frame of {} bytes", self.remote, self.port, self.len)
    }
}

/// The node.
pub struct VxlanEncap<F: Underlay> {
    /// Reads: interfaces and remotes.
    forwarding: Forwarding,
    /// Of the last packet.
    id: u16,
    family: PhantomData<F>,
}

impl<F: Underlay> VxlanEncap<F> {
    /// On this worker.
    pub fn new(forwarding: Forwarding, worker: usize) -> VxlanEncap<F> {
        // Workers begin far from each other, as fragments of two packets with one identification would be mixed up (RFC 6864).
        VxlanEncap { forwarding, id: (worker as u16).wrapping_mul(0x1357), family: PhantomData }
    }
}

impl<F: Underlay> Node for VxlanEncap<F> {
    const NAME: NodeName = F::ENCAP;
    const HOLDS: bool = true;
    type Next = Next<F>;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next<F> {
        let (guard, sender) = (cx.guard(), Sender::new(packet.meta.tx_interface, cx));
        let interface = sender.hardware;
        let Some(tunnel) = self.forwarding.vxlan.interfaces.get(interface, &guard) else {
            return sender.refuse(Count::Gone, cx);
        };
        if !sender.is_up(cx) {
            return sender.refuse(Count::Down, cx);
        }
        if packet.meta.marks & marks::TUNNELS == marks::TUNNELS {
            return sender.refuse(Count::Nested, cx);
        }
        let len = packet.total_len();
        if len > F::LONGEST {
            return sender.refuse(Count::TooLong, cx);
        }
        let inner = Inner::of(packet.data(), packet.meta.flow_hash);
        let number = packet.meta.adjacency;
        let chosen =
            self.forwarding.vxlan.remotes.get(number, &guard).filter(|r| tunnel.bridged && r.interface == interface);
        cx.trace(packet, || Trace {
            remote: chosen.map_or(0, |_| number),
            port: millrace_wire::Vxlan::source_port(inner.hash),
            len,
        });
        let sent = match (chosen, tunnel.replicate.as_slice()) {
            (Some(remote), _) => wrap::<F>(&mut self.id, remote, inner, packet, cx.worker()),
            (None, []) => Err(Count::NoRemote),
            (None, [only]) => match self.forwarding.vxlan.remotes.get(*only, &guard) {
                Some(remote) => wrap::<F>(&mut self.id, remote, inner, packet, cx.worker()),
                None => Err(Count::NoRemote),
            },
            (None, _) => return cx.hold(),
        };
        if let Err(cause) = sent {
            return sender.refuse(cause, cx);
        }
        sender.count(len, cx);
        Next::Lookup
    }

    /// A frame for every remote that the operator named. Long ones share the bytes behind their headers.
    fn hold(&mut self, mut frame: Buffer, cx: &mut Ctx<'_, Self>) {
        let guard = cx.guard();
        let packet = frame.packet();
        let (sender, len) = (Sender::new(packet.meta.tx_interface, cx), packet.total_len());
        let inner = Inner::of(packet.data(), packet.meta.flow_hash);
        let VxlanEncap { forwarding, id, .. } = self;
        let replicate =
            forwarding.vxlan.interfaces.get(sender.hardware, &guard).map_or(&[][..], |tunnel| &tunnel.replicate);
        if replicate.is_empty() {
            // They went while it was on its way here.
            let dropped = sender.refuse(Count::NoRemote, cx);
            return cx.send(frame, dropped);
        }
        let mut copies = cx.share(frame, replicate.len());
        let (mut numbers, mut made) = (replicate.iter(), 0);
        while let (Some(number), Some(mut copy)) = (numbers.next(), copies.next(cx)) {
            made += 1;
            let remote = forwarding.vxlan.remotes.get(*number, &guard).ok_or(Count::NoRemote);
            let sent = remote.and_then(|to| wrap::<F>(id, to, inner, &mut copy.packet(), cx.worker()));
            let next = sent.map_or_else(|cause| cx.drop(cause), |()| Next::Lookup);
            cx.send(copy, next);
        }
        cx.count_n(Count::Copies, (made as u64).saturating_sub(1));
        cx.count_n(Count::NoBuffer, (replicate.len() - made) as u64);
        sender.count(len, cx);
    }
}

/// Puts a remote's headers in front of a frame. `id`: of the packet before.
#[inline(always)]
fn wrap<F: Underlay>(
    id: &mut u16,
    to: &Remote,
    inner: Inner,
    packet: &mut Packet<'_>,
    worker: usize,
) -> Result<(), Count> {
    let Some(headers) = F::of(&to.headers) else { return Err(Count::Gone) };
    let len = packet.total_len();
    if !packet.retreat(size_of::<F::Outer>()) {
        return Err(Count::NoHeadroom);
    }
    *id = id.wrapping_add(1);
    let Some(outer) = packet.header_mut::<F::Outer>() else { return Err(Count::NoHeadroom) };
    *outer = *headers;
    let df = to.df.unwrap_or(inner.df);
    F::fill(outer, Frame { len: len as u16, tos: inner.tos, df, id: *id, hash: inner.hash });
    if to.checksum {
        add_checksum::<F>(packet);
    }
    packet.mark_l3();
    packet.meta.table = to.table;
    packet.meta.flow_hash = inner.hash;
    packet.meta.marks = marks::OWN | ((packet.meta.marks & marks::TUNNELS) + marks::ONE_TUNNEL);
    to.traffic.sent(worker, len);
    Ok(())
}

/// RFC 768: a sum of zero is sent as 0xffff.
#[cold]
fn add_checksum<F: Underlay>(packet: &mut Packet<'_>) {
    let Some(checksum) = F::checksum(packet) else { return };
    if let Some(outer) = packet.header_mut::<F::Outer>() {
        F::set_checksum(outer, if checksum == 0 { 0xffff } else { checksum });
    }
}
