//! What a flow is doing, and how long it may do nothing.

use super::time::Ticks;

/// ICMP's number among the IP protocols.
pub(super) const ICMP: u8 = 1;
/// TCP's.
pub(super) const TCP: u8 = 6;
/// UDP's.
pub(super) const UDP: u8 = 17;

/// The state of a flow: of TCP the ones that decide about its timeout, of the rest whether both sides have been heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// TCP: a SYN, not one from each side yet.
    TcpOpening = 1,
    /// TCP: open.
    TcpEstablished = 2,
    /// TCP: a FIN from one side; the other may still send.
    TcpClosing = 3,
    /// TCP: a FIN from each side.
    TcpTimeWait = 4,
    /// TCP: reset.
    TcpReset = 5,
    /// Others: nothing came from the side that was addressed.
    Unreplied = 6,
    /// Others: packets from both sides.
    Replied = 7,
}

impl State {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::TcpOpening,
        Self::TcpEstablished,
        Self::TcpClosing,
        Self::TcpTimeWait,
        Self::TcpReset,
        Self::Unreplied,
        Self::Replied,
    ];

    /// What operators read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TcpOpening => "syn-sent",
            Self::TcpEstablished | Self::Replied => "established",
            Self::TcpClosing => "fin-wait",
            Self::TcpTimeWait => "time-wait",
            Self::TcpReset => "reset",
            Self::Unreplied => "unreplied",
        }
    }

    /// Whether such a flow may make room for another one: TCP that is not open (for one end it is until both have sent a FIN), what has
    /// had no answer, and ICMP queries.
    #[inline]
    #[must_use]
    pub const fn is_transitory(self, protocol: u8) -> bool {
        protocol == ICMP || !matches!(self, Self::TcpEstablished | Self::TcpClosing | Self::Replied)
    }

    /// From the lower three bits of a number that came from a state.
    #[inline(always)]
    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 7 {
            1 => Some(Self::TcpOpening),
            2 => Some(Self::TcpEstablished),
            3 => Some(Self::TcpClosing),
            4 => Some(Self::TcpTimeWait),
            5 => Some(Self::TcpReset),
            6 => Some(Self::Unreplied),
            7 => Some(Self::Replied),
            _ => None,
        }
    }
}

/// How long a flow lives without a packet, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// UDP (RFC 4787 REQ-5), and protocols that have no timeout of their own.
    pub udp: u32,
    /// TCP that is open (RFC 5382 REQ-5).
    pub tcp_established: u32,
    /// TCP that opens, closes or was reset (RFC 5382 REQ-5).
    pub tcp_transitory: u32,
    /// ICMP queries (RFC 5508 REQ-2).
    pub icmp: u32,
}

impl Default for Timeouts {
    /// What the RFCs recommend.
    fn default() -> Self {
        Self { udp: 300, tcp_established: 7440, tcp_transitory: 240, icmp: 60 }
    }
}

impl Timeouts {
    /// That of a flow, in seconds.
    #[must_use]
    pub const fn of(&self, protocol: u8, state: State) -> u32 {
        match state {
            // RFC 6146 section 3.5.2.2: after the FIN of one end, data can still flow to it.
            State::TcpEstablished | State::TcpClosing => self.tcp_established,
            State::TcpOpening | State::TcpTimeWait | State::TcpReset => self.tcp_transitory,
            State::Unreplied | State::Replied if protocol == ICMP => self.icmp,
            State::Unreplied | State::Replied => self.udp,
        }
    }
}

/// The same, ready for use: in ticks, by state and by whether the flow is ICMP.
#[derive(Debug)]
pub(super) struct Spans([[Ticks; 8]; 2]);

impl Spans {
    pub fn new(timeouts: &Timeouts) -> Self {
        Self([UDP, ICMP].map(|protocol| {
            std::array::from_fn(|bits| {
                State::from_bits(bits as u8).map_or(Ticks::ZERO, |state| Ticks::from_secs(timeouts.of(protocol, state)))
            })
        }))
    }

    #[inline(always)]
    pub const fn of(&self, protocol: u8, state: State) -> Ticks {
        self.0[(protocol == ICMP) as usize][state as usize & 7]
    }

    /// Whether some flow lives for a shorter time by these than by `others`.
    pub fn any_shorter_than(&self, others: &Self) -> bool {
        self.0.as_flattened().iter().zip(others.0.as_flattened()).any(|(mine, other)| mine.0 < other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_names() {
        for state in State::ALL {
            assert_eq!(State::from_bits(state as u8), Some(state));
            assert_eq!(State::from_bits(state as u8 | 0xf8), Some(state));
        }
        assert_eq!(State::from_bits(0xf8), None);
        assert_eq!(State::TcpClosing.as_str(), "fin-wait");
    }

    #[test]
    fn timeouts_by_protocol_and_state() {
        let spans = Spans::new(&Timeouts { udp: 1, tcp_established: 2, tcp_transitory: 3, icmp: 4 });
        let secs = |protocol, state| spans.of(protocol, state).as_secs();
        assert_eq!([secs(UDP, State::Unreplied), secs(UDP, State::Replied), secs(47, State::Replied)], [1, 1, 1]);
        for state in [State::TcpEstablished, State::TcpClosing] {
            assert_eq!(secs(TCP, state), 2);
            assert!(!state.is_transitory(TCP));
        }
        for state in [State::TcpOpening, State::TcpTimeWait, State::TcpReset] {
            assert_eq!(secs(TCP, state), 3);
            assert!(state.is_transitory(TCP));
        }
        assert_eq!([secs(ICMP, State::Unreplied), secs(ICMP, State::Replied)], [4, 4]);
        assert!(State::Replied.is_transitory(ICMP) && State::Unreplied.is_transitory(UDP));
        assert!(!State::Replied.is_transitory(UDP));
    }

    #[test]
    fn shorter_spans_are_noticed() {
        let old = Spans::new(&Timeouts::default());
        let new = |timeouts| Spans::new(&timeouts).any_shorter_than(&old);
        assert!(!new(Timeouts::default()));
        assert!(!new(Timeouts { udp: 301, ..Timeouts::default() }));
        assert!(new(Timeouts { udp: 301, icmp: 59, ..Timeouts::default() }));
    }
}
