//! Why a packet can't be delivered, in words that both families share. The node that finds out notes it in the packet and sends
//! the packet to icmp4-error or icmp6-error, which knows what its ICMP calls that.

use millrace_engine::Packet;

/// Why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// No route (RFC 1812 section 5.2.7.1, RFC 4443 section 3.1).
    NetUnreachable,
    /// The neighbour does not answer, or the route says so.
    HostUnreachable,
    /// The router does not speak the protocol (RFC 1122 section 3.2.2.1); for IPv6 see
    /// [`ParameterProblem`](Reason::ParameterProblem).
    ProtocolUnreachable,
    /// Nothing listens on the router's port.
    PortUnreachable,
    /// Too long for the next hop, and not to be fragmented (RFC 1191, RFC 8201).
    TooBig {
        /// What would fit, in bytes from the IP header on.
        mtu: u16,
    },
    /// A filter or a route forbids it (RFC 1812 section 5.2.7.1, code 13; RFC 4443 section 3.1, code 1).
    Prohibited,
    /// The time to live, or hop limit, ran out (RFC 1812 section 5.3.1).
    TimeExceeded,
    /// The other fragments of a datagram to the router did not come (RFC 1122 section 3.3.2, RFC 8200 section 4.5).
    ReassemblyTimeExceeded,
    /// It would leave the zone of its source address (RFC 4443 section 3.1, code 2); IPv6 only.
    BeyondScope,
    /// A field of its headers is wrong or unknown (RFC 4443 section 3.4); IPv6 only.
    ParameterProblem {
        /// 0: wrong, 1: unknown next header, 2: unknown option.
        code: u8,
        /// Where the field is, in bytes from the IP header on.
        pointer: u16,
    },
}

impl Reason {
    /// Leaves word in the packet's scratch slot.
    #[inline]
    pub fn note(self, packet: &mut Packet<'_>) {
        packet.meta.scratch[0] = self.to_word();
    }

    /// What [`note`](Self::note) left; `None` when nobody did.
    pub fn noted(packet: &Packet<'_>) -> Option<Reason> {
        Self::from_word(packet.meta.scratch[0])
    }

    /// The kind in the lowest byte, a code in the next, a number in the two above.
    pub(crate) const fn to_word(self) -> u64 {
        let (kind, code, number) = match self {
            Reason::NetUnreachable => (1, 0, 0),
            Reason::HostUnreachable => (2, 0, 0),
            Reason::ProtocolUnreachable => (3, 0, 0),
            Reason::PortUnreachable => (4, 0, 0),
            Reason::TooBig { mtu } => (5, 0, mtu),
            Reason::Prohibited => (6, 0, 0),
            Reason::TimeExceeded => (7, 0, 0),
            Reason::ReassemblyTimeExceeded => (8, 0, 0),
            Reason::BeyondScope => (9, 0, 0),
            Reason::ParameterProblem { code, pointer } => (10, code, pointer),
        };
        (number as u64) << 16 | (code as u64) << 8 | kind
    }

    const fn from_word(word: u64) -> Option<Reason> {
        let [kind, code, low, high, ..] = word.to_le_bytes();
        let number = u16::from_le_bytes([low, high]);
        Some(match kind {
            1 => Reason::NetUnreachable,
            2 => Reason::HostUnreachable,
            3 => Reason::ProtocolUnreachable,
            4 => Reason::PortUnreachable,
            5 => Reason::TooBig { mtu: number },
            6 => Reason::Prohibited,
            7 => Reason::TimeExceeded,
            8 => Reason::ReassemblyTimeExceeded,
            9 => Reason::BeyondScope,
            10 => Reason::ParameterProblem { code, pointer: number },
            _ => return None,
        })
    }

    /// What a node's test finds in the scratch slot of a packet that came out.
    #[cfg(test)]
    pub(crate) fn of(out: &millrace_engine::testing::Out) -> Option<Reason> {
        Self::from_word(out.scratch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for reason in [
            Reason::NetUnreachable,
            Reason::HostUnreachable,
            Reason::ProtocolUnreachable,
            Reason::PortUnreachable,
            Reason::TooBig { mtu: 0 },
            Reason::TooBig { mtu: u16::MAX },
            Reason::Prohibited,
            Reason::TimeExceeded,
            Reason::ReassemblyTimeExceeded,
            Reason::BeyondScope,
            Reason::ParameterProblem { code: 2, pointer: 0x1234 },
        ] {
            assert_eq!(Reason::from_word(reason.to_word()), Some(reason));
        }
        assert_eq!((Reason::from_word(0), Reason::from_word(11)), (None, None));
    }
}
