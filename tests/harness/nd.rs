//! Neighbour discovery (RFC 4861) and multicast listener (RFC 3810) messages by hand.

use crate::frames::{Mac, ethernet, link};
use crate::frames6::{self, ALL_NODES, ALL_ROUTERS, IP6, Icmp6, Ip6, MLD_ROUTERS, UNSPECIFIED};
use etherparse::{IpNumber, Ipv6Header};
use std::collections::BTreeMap;

/// Type of a router solicitation.
pub const RS: u8 = 133;
/// Type of a router advertisement.
pub const RA: u8 = 134;
/// Type of a neighbour solicitation.
pub const NS: u8 = 135;
/// Type of a neighbour advertisement.
pub const NA: u8 = 136;

/// Flag of an advertisement: the sender is a router.
pub const ROUTER: u8 = 0x80;
/// Flag of an advertisement: it was asked for.
pub const SOLICITED: u8 = 0x40;
/// Flag of an advertisement: what is known otherwise gives way.
pub const OVERRIDE: u8 = 0x20;

/// Option with the sender's hardware address.
pub const SOURCE_MAC: u8 = 1;
/// Option with the target's hardware address.
pub const TARGET_MAC: u8 = 2;

/// A message of neighbour discovery in its frame: what a test sends, and what it reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nd {
    /// Hardware addresses: to whom, from whom.
    pub link: (Mac, Mac),
    /// Source and destination of the packet.
    pub ip: (Ip6, Ip6),
    /// Hop limit, which must be 255 (RFC 4861 7.1).
    pub hop_limit: u8,
    /// Type.
    pub kind: u8,
    /// Code, which must be 0.
    pub code: u8,
    /// The second word: flags in its first byte, or what an advertisement of a router has there.
    pub word: [u8; 4],
    /// The fixed part behind it: the target of NS and NA, two times of RA, nothing of RS.
    pub body: Vec<u8>,
    /// Options: type, and what follows the length.
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Nd {
    fn new(sender: (Mac, Ip6), to: (Mac, Ip6), kind: u8) -> Nd {
        let (link, ip) = ((to.0, sender.0), (sender.1, to.1));
        Nd { link, ip, hop_limit: 255, kind, code: 0, word: [0; 4], body: Vec::new(), options: Vec::new() }
    }

    /// A solicitation for a target, to its group.
    pub fn solicitation(sender: (Mac, Ip6), target: Ip6) -> Nd {
        let group = frames6::solicited_node(target);
        let mut message = Nd::new(sender, (frames6::group_mac(group), group), NS);
        message.body = target.to_vec();
        message.options = vec![(SOURCE_MAC, sender.0.to_vec())];
        message
    }

    /// The same to the target itself, as who checks whether it is still there sends it (RFC 4861 7.3.3).
    pub fn unicast_solicitation(sender: (Mac, Ip6), target: (Mac, Ip6)) -> Nd {
        let mut message = Nd::solicitation(sender, target.1);
        (message.link.0, message.ip.1) = target;
        message
    }

    /// What a host sends that would like to have this address (RFC 4862 5.4.2): from nobody, and without an option.
    pub fn detection(mac: Mac, target: Ip6) -> Nd {
        let mut message = Nd::solicitation((mac, UNSPECIFIED), target);
        message.options.clear();
        message
    }

    /// An advertisement of one's own address, with these flags.
    pub fn advertisement(sender: (Mac, Ip6), to: (Mac, Ip6), flags: u8) -> Nd {
        let mut message = Nd::new(sender, to, NA);
        message.word[0] = flags;
        message.body = sender.1.to_vec();
        message.options = vec![(TARGET_MAC, sender.0.to_vec())];
        message
    }

    /// The same to everybody, unasked (RFC 4861 7.2.6).
    pub fn announcement(sender: (Mac, Ip6), flags: u8) -> Nd {
        Nd::advertisement(sender, (frames6::group_mac(ALL_NODES), ALL_NODES), flags)
    }

    /// A router solicitation.
    pub fn router_solicitation(sender: (Mac, Ip6)) -> Nd {
        let mut message = Nd::new(sender, (frames6::group_mac(ALL_ROUTERS), ALL_ROUTERS), RS);
        if sender.1 != UNSPECIFIED {
            message.options = vec![(SOURCE_MAC, sender.0.to_vec())];
        }
        message
    }

    /// It as a frame.
    pub fn frame(&self) -> Vec<u8> {
        ethernet(self.link.1, self.link.0, IP6, &self.packet())
    }

    /// It as a packet.
    pub fn packet(&self) -> Vec<u8> {
        let option = |(kind, data): &(u8, Vec<u8>)| [&[*kind, ((data.len() + 2) / 8) as u8], &data[..]].concat();
        let options: Vec<u8> = self.options.iter().flat_map(option).collect();
        let mut header = frames6::header(self.ip.0, self.ip.1);
        header.hop_limit = self.hop_limit;
        frames6::icmp_packet(&header, (self.kind, self.code), self.word, &[&self.body[..], &options].concat())
    }

    /// Reads a frame, when it is a message of neighbour discovery. Its options must be sound.
    #[track_caller]
    pub fn of(frame: &[u8]) -> Option<Nd> {
        let message = Icmp6::of(frame)?;
        let fixed = match message.kind {
            RS => 0,
            RA => 8,
            NS | NA => 16,
            _ => return None,
        };
        let (body, mut rest) = message.data.split_at_checked(fixed).expect("a message of full length");
        let mut options = Vec::new();
        while let [kind, words, ..] = rest {
            let (option, behind) = rest.split_at_checked(usize::from(*words) * 8).expect("an option of full length");
            assert!(*words > 0, "an option without a length in {message:02x?}");
            options.push((*kind, option[2..].to_vec()));
            rest = behind;
        }
        let (to, from, _, _) = link(frame);
        let (hop_limit, kind, code, word) = (message.ip.hop_limit, message.kind, message.code, message.word);
        let ip = (message.ip.source, message.ip.destination);
        Some(Nd { link: (to, from), ip, hop_limit, kind, code, word, body: body.to_vec(), options })
    }

    /// Reads a frame, when it is a message of this type.
    #[track_caller]
    pub fn of_kind(kind: u8, frame: &[u8]) -> Option<Nd> {
        Nd::of(frame).filter(|message| message.kind == kind)
    }

    /// The address that it is about.
    pub fn target(&self) -> Ip6 {
        self.body[..].try_into().expect("a target")
    }

    /// What its first option of a type holds.
    pub fn option(&self, kind: u8) -> Option<&[u8]> {
        self.options.iter().find(|option| option.0 == kind).map(|option| &option.1[..])
    }
}

/// The messages of a type among frames.
pub fn all(kind: u8, frames: &[Vec<u8>]) -> Vec<Nd> {
    frames.iter().filter_map(|frame| Nd::of_kind(kind, frame)).collect()
}

/// The records of an MLDv2 report: group, and type of the record (RFC 3810 5.2.5).
pub type Records = BTreeMap<Ip6, u8>;

/// A record that says: I listen to this group, from whomever (MODE_IS_EXCLUDE, of no source).
pub const IS_EXCLUDE: u8 = 2;
/// A record that says the same as news (CHANGE_TO_EXCLUDE_MODE).
pub const TO_EXCLUDE: u8 = 4;
/// A record that says: I listen no longer (CHANGE_TO_INCLUDE_MODE, of no source).
pub const TO_INCLUDE: u8 = 3;

/// Reads a frame, when it is an MLDv2 report; it must be in the form that RFC 3810 section 5 wants.
#[track_caller]
pub fn report(frame: &[u8]) -> Option<(Ip6, Records)> {
    let message = Icmp6::of(frame).filter(|message| message.kind == 143)?;
    let ip = &message.ip;
    assert_eq!((ip.destination, ip.hop_limit), (MLD_ROUTERS, 1), "{ip:?}");
    assert_eq!(&frame[..6], frames6::group_mac(MLD_ROUTERS), "the frame's destination");
    assert_router_alert(ip, &frame[54..]);
    assert!(ip.source == UNSPECIFIED || ip.source[..2] == [0xfe, 0x80], "RFC 3810 5.2.13: {ip:?}");
    let (mut rest, mut records) = (&message.data[..], Records::new());
    while rest.len() >= 20 {
        assert_eq!(rest[1..4], [0, 0, 0], "no auxiliary data, and no source: {rest:02x?}");
        records.insert(rest[4..20].try_into().expect("a group"), rest[0]);
        rest = &rest[20..];
    }
    assert!(rest.is_empty(), "{} bytes behind the records", rest.len());
    assert_eq!(usize::from(u16::from_be_bytes([message.word[2], message.word[3]])), records.len(), "the count");
    Some((ip.source, records))
}

/// RFC 2711: a router alert for MLD in a hop-by-hop header of eight bytes.
#[track_caller]
fn assert_router_alert(ip: &Ipv6Header, body: &[u8]) {
    assert_eq!(ip.next_header, IpNumber(0), "MLD has a hop-by-hop header: {ip:?}");
    let options = &body[2..8];
    assert!(options.windows(4).any(|option| option == [5, 2, 0, 0]), "no router alert in {options:02x?}");
}

/// A query as an MLDv2 router sends it: about a group, or about all of them, to be answered in so many milliseconds.
pub fn query(sender: (Mac, Ip6), group: Option<Ip6>, max_delay_ms: u16) -> Vec<u8> {
    let to = group.unwrap_or(ALL_NODES);
    let mut header = frames6::header(sender.1, to);
    (header.hop_limit, header.next_header) = (1, IpNumber::IPV6_ICMP);
    let [high, low] = max_delay_ms.to_be_bytes();
    let rest = [&group.unwrap_or(UNSPECIFIED)[..], &[2, 125, 0, 0]].concat();
    let message = frames6::icmp(&header, (130, 0), [high, low, 0, 0], &rest);
    header.next_header = IpNumber(0);
    let alert = [58, 0, 5, 2, 0, 0, 1, 0];
    ethernet(sender.0, frames6::group_mac(to), IP6, &frames6::packet(&header, &[&alert[..], &message].concat()))
}
