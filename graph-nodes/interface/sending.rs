//! What interface-tx does where there is a device, for the last features of the interface-output arc on interfaces without one.

use millrace_engine::{Ctx, Node};

/// Whether an interface may send: it is switched on, and so is the one that carries its packets.
#[inline(always)]
pub(crate) fn is_up<N: Node>(interface: u32, cx: &Ctx<'_, N>) -> bool {
    cx.is_up(interface) && cx.is_up(cx.hardware(interface))
}

/// Counts a packet of so many bytes for the interface that sends it and the one that carries it.
#[inline(always)]
pub(crate) fn count<N: Node>(interface: u32, bytes: usize, cx: &Ctx<'_, N>) {
    let hardware = cx.hardware(interface);
    for index in [interface, hardware].into_iter().take(if interface == hardware { 1 } else { 2 }) {
        let counters = cx.interface(index);
        counters.tx_packets.add(1);
        counters.tx_bytes.add(bytes as u64);
    }
}

/// Drops a packet that the interface was to send.
#[cold]
pub(crate) fn refuse<N: Node>(cause: N::Count, interface: u32, cx: &mut Ctx<'_, N>) -> N::Next {
    let hardware = cx.hardware(interface);
    for index in [interface, hardware].into_iter().take(if interface == hardware { 1 } else { 2 }) {
        cx.interface(index).tx_drops.add(1);
    }
    cx.drop(cause)
}
