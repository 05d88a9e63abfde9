//! Slow protocols (IEEE 802.3 annex 57A): LACP and markers, of IEEE 802.1AX clauses 6.4 and 6.5.
//!
//! Both have PDUs of one length, which follow the Ethernet header. Versions, types of TLVs and what is reserved are not looked at, as
//! the standard wants (802.1AX-2014 clauses 6.4.11 and 6.5.4.2), so that later versions are understood; lengths of TLVs are.

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::MacAddr;

/// The group that slow protocols are addressed to: it ends at the other end of the wire.
pub const SLOW_PROTOCOLS_MAC: MacAddr = MacAddr([0x01, 0x80, 0xc2, 0, 0, 2]);

/// The subtype of LACP.
const LACP: u8 = 1;
/// The subtype of markers.
const MARKER: u8 = 2;
const VERSION: u8 = 1;
const MARKER_INFORMATION: u8 = 1;
const MARKER_RESPONSE: u8 = 2;
/// What the length byte of a port's TLV says, type and length counted in.
const PORT_LEN: u8 = 20;
/// The same of the collector's, and of a marker's.
const SHORT_LEN: u8 = 16;

/// What a system says of a port (the actor's or the partner's state, clause 6.4.2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(transparent)]
pub struct LacpState(pub u8);

impl LacpState {
    /// It speaks LACP without being spoken to.
    pub const ACTIVITY: Self = Self(1);
    /// It wants to hear every second rather than every 30.
    pub const TIMEOUT: Self = Self(2);
    /// The link may be one of several.
    pub const AGGREGATION: Self = Self(4);
    /// The port is in the right aggregate.
    pub const SYNCHRONIZATION: Self = Self(8);
    /// Frames from the link are taken.
    pub const COLLECTING: Self = Self(16);
    /// Frames are sent over the link.
    pub const DISTRIBUTING: Self = Self(32);
    /// It knows nothing of its partner.
    pub const DEFAULTED: Self = Self(64);
    /// What it knows of its partner is too old.
    pub const EXPIRED: Self = Self(128);

    /// Its bits with their names, as the field calls them.
    pub const NAMES: [(Self, &'static str); 8] = [
        (Self::ACTIVITY, "activity"),
        (Self::TIMEOUT, "timeout"),
        (Self::AGGREGATION, "aggregation"),
        (Self::SYNCHRONIZATION, "synchronization"),
        (Self::COLLECTING, "collecting"),
        (Self::DISTRIBUTING, "distributing"),
        (Self::DEFAULTED, "defaulted"),
        (Self::EXPIRED, "expired"),
    ];

    /// Whether all of these bits are set.
    #[must_use]
    pub const fn has(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// With these bits besides.
    #[must_use]
    pub const fn with(self, bits: Self) -> Self {
        Self(self.0 | bits.0)
    }

    /// Sets these bits, or clears them.
    pub const fn set(&mut self, bits: Self, on: bool) {
        self.0 = if on { self.0 | bits.0 } else { self.0 & !bits.0 };
    }
}

/// A port as LACP names it, and what its system says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LacpPort {
    /// The system's priority; smaller is better.
    pub system_priority: u16,
    /// The system.
    pub system: MacAddr,
    /// Ports of a system with the same key may be aggregated.
    pub key: u16,
    /// The port's priority; smaller is better.
    pub port_priority: u16,
    /// The port.
    pub port: u16,
    /// What is said of it.
    pub state: LacpState,
}

/// A port's TLV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct PortTlv {
    kind: u8,
    len: u8,
    system_priority: U16,
    system: MacAddr,
    key: U16,
    port_priority: U16,
    port: U16,
    state: LacpState,
    reserved: [u8; 3],
}

impl PortTlv {
    const fn new(kind: u8, port: &LacpPort) -> Self {
        Self {
            kind,
            len: PORT_LEN,
            system_priority: U16::new(port.system_priority),
            system: port.system,
            key: U16::new(port.key),
            port_priority: U16::new(port.port_priority),
            port: U16::new(port.port),
            state: port.state,
            reserved: [0; 3],
        }
    }

    const fn port(&self) -> LacpPort {
        LacpPort {
            system_priority: self.system_priority.get(),
            system: self.system,
            key: self.key.get(),
            port_priority: self.port_priority.get(),
            port: self.port.get(),
            state: self.state,
        }
    }
}

/// What one system tells the other at the end of a link (clause 6.4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Lacpdu {
    subtype: u8,
    version: u8,
    actor: PortTlv,
    partner: PortTlv,
    collector: [u8; 2],
    max_delay: U16,
    collector_reserved: [u8; 12],
    terminator: [u8; 2],
    reserved: [u8; 50],
}

impl Lacpdu {
    /// Its length in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// What `actor` tells, who believes that `partner` is at the other end. Whatever is received is taken at once.
    #[must_use]
    pub const fn new(actor: &LacpPort, partner: &LacpPort) -> Self {
        Self {
            subtype: LACP,
            version: VERSION,
            actor: PortTlv::new(1, actor),
            partner: PortTlv::new(2, partner),
            collector: [3, SHORT_LEN],
            max_delay: U16::new(0),
            collector_reserved: [0; 12],
            terminator: [0; 2],
            reserved: [0; 50],
        }
    }

    /// The sender's port.
    #[must_use]
    pub const fn actor(&self) -> LacpPort {
        self.actor.port()
    }

    /// The receiver's, as the sender knows it.
    #[must_use]
    pub const fn partner(&self) -> LacpPort {
        self.partner.port()
    }

    /// How long the sender may take for a frame that it received, in tens of microseconds.
    #[must_use]
    pub const fn max_delay(&self) -> u16 {
        self.max_delay.get()
    }

    const fn has_good_lengths(&self) -> bool {
        let Self { actor, partner, collector, terminator, .. } = self;
        actor.len == PORT_LEN && partner.len == PORT_LEN && collector[1] == SHORT_LEN && terminator[1] == 0
    }
}

/// Asks whether all frames before it have been taken in, or says so (clause 6.5.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Marker {
    subtype: u8,
    version: u8,
    kind: u8,
    len: u8,
    port: U16,
    /// The system that asks.
    pub system: MacAddr,
    transaction: U32,
    pad: [u8; 2],
    terminator: [u8; 2],
    reserved: [u8; 90],
}

impl Marker {
    /// Its length in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// A question of a system's port.
    #[must_use]
    pub const fn new(system: MacAddr, port: u16, transaction: u32) -> Self {
        Self {
            subtype: MARKER,
            version: VERSION,
            kind: MARKER_INFORMATION,
            len: SHORT_LEN,
            port: U16::new(port),
            system,
            transaction: U32::new(transaction),
            pad: [0; 2],
            terminator: [0; 2],
            reserved: [0; 90],
        }
    }

    /// The port that asks.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port.get()
    }

    /// Tells one question from another.
    #[must_use]
    pub const fn transaction(&self) -> u32 {
        self.transaction.get()
    }

    /// The answer to this question (clause 6.5.4.2).
    #[must_use]
    pub const fn response(&self) -> Self {
        Self { kind: MARKER_RESPONSE, ..*self }
    }
}

/// A PDU of a slow protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowPdu<'a> {
    /// LACP.
    Lacp(&'a Lacpdu),
    /// A question to be answered.
    Marker(&'a Marker),
    /// An answer.
    MarkerResponse(&'a Marker),
}

/// A PDU that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowPduError {
    /// It is shorter than its protocol has it.
    Short,
    /// A TLV doesn't have its length, or a marker is neither question nor answer.
    Malformed,
    /// Another slow protocol: its subtype.
    Other(u8),
}

impl core::fmt::Display for SlowPduError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Short => f.write_str("shorter than its protocol has it"),
            Self::Malformed => f.write_str("parts of wrong length or kind"),
            Self::Other(subtype) => write!(f, "slow protocol {subtype}, which is not spoken here"),
        }
    }
}

impl core::error::Error for SlowPduError {}

impl<'a> SlowPdu<'a> {
    /// Reads what follows the Ethernet header.
    ///
    /// # Errors
    /// See [`SlowPduError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SlowPduError> {
        match bytes.first() {
            Some(&LACP) => {
                let (pdu, _) = Lacpdu::ref_from_prefix(bytes).map_err(|_| SlowPduError::Short)?;
                if pdu.has_good_lengths() { Ok(SlowPdu::Lacp(pdu)) } else { Err(SlowPduError::Malformed) }
            }
            Some(&MARKER) => {
                let (marker, _) = Marker::ref_from_prefix(bytes).map_err(|_| SlowPduError::Short)?;
                match (marker.kind, marker.len) {
                    (MARKER_INFORMATION, SHORT_LEN) => Ok(SlowPdu::Marker(marker)),
                    (MARKER_RESPONSE, SHORT_LEN) => Ok(SlowPdu::MarkerResponse(marker)),
                    _ => Err(SlowPduError::Malformed),
                }
            }
            Some(&subtype) => Err(SlowPduError::Other(subtype)),
            None => Err(SlowPduError::Short),
        }
    }
}

#[cfg(test)]
#[path = "lacp_tests.rs"]
mod tests;
