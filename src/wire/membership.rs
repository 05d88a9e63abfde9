//! What hosts and routers tell each other of multicast groups, whatever the family: the contents of IGMP ([`crate::igmp`]) and MLD
//! ([`crate::mld`]) messages. The two say the same with addresses of different lengths.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

/// A message that is as its RFC asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Who listens? Asked by a router.
    Query(Query<'a>),
    /// A host listens to a group: IGMPv1, IGMPv2, MLDv1.
    Report {
        /// Version of IGMP: 1 or 2. MLDv1 is as IGMPv2.
        version: u8,
        /// The group.
        group: IpAddr,
    },
    /// A host doesn't any more: IGMPv2, MLDv1.
    Leave {
        /// The group.
        group: IpAddr,
    },
    /// Several groups of a host, with the sources that it wants: IGMPv3, MLDv2.
    Records(Records<'a>),
}

/// A question of a router (RFC 3376 section 4.1, RFC 3810 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// Version: 1 to 3 of IGMP, 1 or 2 of MLD.
    pub version: u8,
    /// Who asks; 0.0.0.0 is a switch that is no router (RFC 4541 section 2.1.1).
    pub source: IpAddr,
    /// The group that is asked about; none: all.
    pub group: Option<IpAddr>,
    /// Up to when hosts answer.
    pub max_response: Duration,
    /// S: other routers are not to lower their timers.
    pub suppress: bool,
    /// How many answers may be lost (QRV); none: not told.
    pub robustness: Option<u8>,
    /// Time between general queries (QQIC); none: not told.
    pub interval: Option<Duration>,
    /// The sources of the group that are asked about; none: all.
    pub sources: Addresses<'a>,
}

/// What a record says (RFC 3376 section 4.2.12, RFC 3810 section 5.2.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Listens to these sources only.
    IsInclude,
    /// Listens to all sources but these.
    IsExclude,
    /// From now on to these only: to nothing, if there are none.
    ToInclude,
    /// From now on to all but these.
    ToExclude,
    /// To these, too.
    Allow,
    /// To these no longer.
    Block,
}

impl RecordKind {
    const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::IsInclude,
            2 => Self::IsExclude,
            3 => Self::ToInclude,
            4 => Self::ToExclude,
            5 => Self::Allow,
            6 => Self::Block,
            _ => return None,
        })
    }
}

/// What a host wants of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it says.
    pub kind: RecordKind,
    /// The group.
    pub group: IpAddr,
    /// The sources that it says it of.
    pub sources: Addresses<'a>,
}

/// How long an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    const fn len(self) -> usize {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }

    /// The address that `bytes` begin with.
    pub fn address(self, bytes: &[u8]) -> Option<IpAddr> {
        match self {
            Self::V4 => bytes.first_chunk().map(|octets| Ipv4Addr::from_octets(*octets).into()),
            Self::V6 => bytes.first_chunk().map(|octets| Ipv6Addr::from_octets(*octets).into()),
        }
    }
}

/// Addresses one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses<'a> {
    bytes: &'a [u8],
    family: Family,
}

impl<'a> Addresses<'a> {
    pub(crate) const fn none(family: Family) -> Self {
        Self { bytes: &[], family }
    }

    /// The first `count` of `bytes`; `None` when there are fewer.
    pub(crate) fn take(bytes: &'a [u8], count: u16, family: Family) -> Option<(Self, &'a [u8])> {
        let (bytes, rest) = bytes.split_at_checked(usize::from(count) * family.len())?;
        Some((Self { bytes, family }, rest))
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Iterator for Addresses<'_> {
    type Item = IpAddr;

    fn next(&mut self) -> Option<IpAddr> {
        let address = self.family.address(self.bytes)?;
        self.bytes = self.bytes.get(self.family.len()..).unwrap_or(&[]);
        Some(address)
    }
}

/// The records of a report, all of which fit into it and name groups. Records of kinds that nobody knows are left out (RFC 3376 section
/// 4.2.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Records<'a> {
    bytes: &'a [u8],
    left: u16,
    family: Family,
}

impl<'a> Records<'a> {
    /// `count` records.
    ///
    /// # Errors
    /// [`Fault::BadLength`] when they don't fit, [`Fault::BadGroup`] when one is about no group.
    pub(crate) fn new(bytes: &'a [u8], count: u16, family: Family) -> Result<Self, Fault> {
        let records = Self { bytes, left: count, family };
        let mut rest = records;
        while rest.left > 0 {
            let (_, group, _) = rest.step().ok_or(Fault::BadLength)?;
            if !group.is_multicast() {
                return Err(Fault::BadGroup);
            }
        }
        Ok(records)
    }

    fn step(&mut self) -> Option<(u8, IpAddr, Addresses<'a>)> {
        let [kind, aux_words, many, few, rest @ ..] = self.bytes else { return None };
        let group = self.family.address(rest)?;
        let rest = rest.get(self.family.len()..)?;
        let (sources, rest) = Addresses::take(rest, u16::from_be_bytes([*many, *few]), self.family)?;
        self.bytes = rest.get(usize::from(*aux_words) * 4..)?;
        self.left = self.left.checked_sub(1)?;
        Some((*kind, group, sources))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        while self.left > 0 {
            let (kind, group, sources) = self.step()?;
            if let Some(kind) = RecordKind::of(kind) {
                return Some(Record { kind, group, sources });
            }
        }
        None
    }
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It ends before its header does, or is a fragment.
    Short,
    /// A checksum is wrong.
    Checksum,
    /// Its TTL or hop limit is not 1: it may come from far away.
    HopLimit,
    /// No router alert (RFC 2113, RFC 2711), though its kind has one.
    NoRouterAlert,
    /// Its source may not send it.
    BadSource,
    /// It is not sent to where its kind is.
    BadDestination,
    /// It is about an address that is no group's.
    BadGroup,
    /// What it counts doesn't fit into it.
    BadLength,
}

/// A number of 8 bits that is a floating-point one from 128 on (RFC 3376 section 4.1.1, RFC 3810 section 5.1.9).
pub(crate) const fn float8(code: u8) -> u32 {
    if code < 128 { code as u32 } else { (code as u32 & 0xf | 0x10) << ((code as u32 >> 4 & 7) + 3) }
}

/// The robustness and the interval that a query of the newest version tells by two bytes (RFC 3376 sections 4.1.6 and 4.1.7).
pub(crate) fn timers(flags: u8, interval: u8) -> (Option<u8>, Option<Duration>) {
    // Zero says nothing.
    let robustness = Some(flags & 7).filter(|told| *told != 0);
    (robustness, Some(Duration::from_secs(float8(interval).into())).filter(|told| !told.is_zero()))
}
