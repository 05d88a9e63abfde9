//! What interface-tx does where there is a device, for the last features of the interface-output arc on interfaces without one.

use millrace_engine::{Ctx, Node};

/// Who sends a packet.
#[derive(Clone, Copy)]
pub(crate) struct Sender {
    /// The interface that it leaves by.
    pub interface: u32,
    /// The one that carries its packets: itself, or its parent.
    pub hardware: u32,
}

impl Sender {
    #[inline(always)]
    pub fn new<N: Node>(interface: u32, cx: &Ctx<'_, N>) -> Sender {
        Sender { interface, hardware: cx.hardware(interface) }
    }

    /// Whether it may send: both are switched on.
    #[inline(always)]
    pub fn is_up<N: Node>(self, cx: &Ctx<'_, N>) -> bool {
        cx.is_up(self.interface) && cx.is_up(self.hardware)
    }

    /// Counts a packet of so many bytes.
    #[inline(always)]
    pub fn count<N: Node>(self, bytes: usize, cx: &Ctx<'_, N>) {
        for index in self.both() {
            let counters = cx.interface(index);
            counters.tx_packets.add(1);
            counters.tx_bytes.add(bytes as u64);
        }
    }

    /// Drops a packet that it was to send.
    #[cold]
    pub fn refuse<N: Node>(self, cause: N::Count, cx: &mut Ctx<'_, N>) -> N::Next {
        self.both().for_each(|index| cx.interface(index).tx_drops.add(1));
        cx.drop(cause)
    }

    #[inline(always)]
    fn both(self) -> impl Iterator<Item = u32> {
        let Sender { interface, hardware } = self;
        [interface, hardware].into_iter().take(if interface == hardware { 1 } else { 2 })
    }
}
