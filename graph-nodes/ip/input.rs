//! ip-input: takes packets without Ethernet to the input of their family; where the tunnel-input arc ends.

use crate::{ip4, ip6};
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};

/// Its name.
pub const NAME: NodeName = NodeName::new("ip-input");

edges! {
    /// By the version.
    pub enum Next { Input4 => ip4::input::NAME, Input6 => ip6::input::NAME }
}

counters! {
    /// Why packets end here.
    pub enum Count { NotIp => "neither IPv4 nor IPv6" }
}

/// The node.
pub struct IpInput;

impl Node for IpInput {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        match packet.data().first().map(|first| first >> 4) {
            Some(4) => Next::Input4,
            Some(6) => Next::Input6,
            _ => cx.drop(Count::NotIp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fate;
    use millrace_engine::testing::Bench;

    #[test]
    fn by_the_version() {
        let mut bench = Bench::new(IpInput);
        let none = [("neither IPv4 nor IPv6", 1)];
        for (packet, fate_of) in [
            (&[0x45, 0][..], ("ip4-input", &[][..])),
            (&[0x60][..], ("ip6-input", &[][..])),
            (&[0x50][..], ("drop", &none[..])),
            (&[][..], ("drop", &none[..])),
        ] {
            assert_eq!(fate(&bench.one(packet)), fate_of, "{packet:02x?}");
        }
    }
}
