//! What is agreed on with the other end: feature bits of virtio (1.2, sections 5.1.3 and 6) and of the vhost-user protocol.

use vhost::vhost_user::VhostUserProtocolFeatures as Protocol;

/// The guest may leave checksums to us.
const NET_CSUM: u64 = 1 << 0;
/// It may leave the segmentation of TCP to us.
const NET_HOST_TSO4: u64 = 1 << 11;
const NET_HOST_TSO6: u64 = 1 << 12;
const NET_HOST_ECN: u64 = 1 << 13;
/// And that of UDP.
const NET_HOST_USO: u64 = 1 << 56;
/// A packet towards the guest may take several of its buffers.
const NET_MRG_RXBUF: u64 = 1 << 15;
/// The guest tells of itself after it was moved.
const NET_GUEST_ANNOUNCE: u64 = 1 << 21;
const NET_MQ: u64 = 1 << 22;
/// A descriptor may point at a table of descriptors.
const RING_INDIRECT: u64 = 1 << 28;
/// Either end says from which index on it wants to hear of the other.
const RING_EVENT_IDX: u64 = 1 << 29;
/// There is a protocol to agree on, too. Rings start disabled.
const PROTOCOL_FEATURES: u64 = 1 << 30;
/// Headers and buffers may be cut anywhere; implied by version 1.
const ANY_LAYOUT: u64 = 1 << 27;
const VERSION_1: u64 = 1 << 32;

const OFFLOADS: u64 = NET_CSUM | NET_HOST_TSO4 | NET_HOST_TSO6 | NET_HOST_ECN | NET_HOST_USO;

const NAMES: [(u64, &str); 14] = [
    (NET_CSUM, "csum"),
    (NET_HOST_TSO4, "host-tso4"),
    (NET_HOST_TSO6, "host-tso6"),
    (NET_HOST_ECN, "host-ecn"),
    (NET_MRG_RXBUF, "mrg-rxbuf"),
    (NET_GUEST_ANNOUNCE, "guest-announce"),
    (NET_MQ, "mq"),
    (ANY_LAYOUT, "any-layout"),
    (RING_INDIRECT, "indirect-desc"),
    (RING_EVENT_IDX, "event-idx"),
    (PROTOCOL_FEATURES, "protocol-features"),
    (VERSION_1, "version-1"),
    (NET_HOST_USO, "host-uso"),
    (0, ""),
];

/// Features of virtio: those that are offered, or those of them that the guest took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Features(u64);

impl Features {
    /// What a device with these settings offers.
    pub const fn offered(offloads: bool, several_queues: bool) -> Features {
        let always = NET_MRG_RXBUF
            | NET_GUEST_ANNOUNCE
            | RING_INDIRECT
            | RING_EVENT_IDX
            | PROTOCOL_FEATURES
            | ANY_LAYOUT
            | VERSION_1;
        let offloads = if offloads { OFFLOADS } else { 0 };
        Features(always | offloads | if several_queues { NET_MQ } else { 0 })
    }

    pub const fn bits(self) -> u64 {
        self.0
    }

    /// What the guest took; nothing when something of it was not offered.
    pub const fn taken(self, bits: u64) -> Option<Features> {
        if bits & !self.0 == 0 { Some(Features(bits)) } else { None }
    }

    const fn has(self, bit: u64) -> bool {
        self.0 & bit != 0
    }

    pub const fn event_index(self) -> bool {
        self.has(RING_EVENT_IDX)
    }

    pub const fn indirect(self) -> bool {
        self.has(RING_INDIRECT)
    }

    pub const fn mergeable(self) -> bool {
        self.has(NET_MRG_RXBUF)
    }

    /// Whether rings wait for a message that enables them.
    pub const fn protocol(self) -> bool {
        self.has(PROTOCOL_FEATURES)
    }

    /// Bytes of the `virtio_net_hdr` in front of each packet: with the number of buffers in version 1, or where there may be several.
    pub const fn header(self) -> usize {
        if self.has(VERSION_1 | NET_MRG_RXBUF) { 12 } else { 10 }
    }

    /// Whether a packet from the guest may ask for what its header says: flags, and kind of segmentation.
    #[inline]
    pub const fn allows(self, flags: u8, gso: u8) -> bool {
        const NEEDS_CSUM: u8 = 1;
        const ECN: u8 = 0x80;
        let segmentation = match gso & !ECN {
            0 => true,
            1 => self.has(NET_HOST_TSO4),
            4 => self.has(NET_HOST_TSO6),
            5 => self.has(NET_HOST_USO),
            _ => false,
        };
        segmentation && (flags & NEEDS_CSUM == 0 || self.has(NET_CSUM)) && (gso & ECN == 0 || self.has(NET_HOST_ECN))
    }

    /// Their names, as the specification has them.
    pub fn names(self) -> String {
        let all: Vec<&str> = NAMES.iter().filter(|(bit, _)| self.has(*bit)).map(|(_, name)| *name).collect();
        all.join(", ")
    }
}

/// What of the protocol is offered. Of the rest some needs shared state that a router doesn't have (migration), some the crate
/// doesn't speak (link status, MTU, announcing on behalf of the guest).
pub(super) const PROTOCOL: Protocol = Protocol::MQ.union(Protocol::REPLY_ACK).union(Protocol::CONFIGURE_MEM_SLOTS);

/// The names of what was taken of the protocol.
pub(super) fn protocol_names(bits: u64) -> String {
    let of = [
        (Protocol::MQ, "mq"),
        (Protocol::REPLY_ACK, "reply-ack"),
        (Protocol::CONFIGURE_MEM_SLOTS, "configure-mem-slots"),
    ];
    let all: Vec<&str> = of.iter().filter(|(bit, _)| bits & bit.bits() != 0).map(|(_, name)| *name).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_takes_of_what_is_offered_only() {
        let offered = Features::offered(true, false);
        assert_eq!(offered.taken(VERSION_1 | NET_CSUM).map(Features::names).as_deref(), Some("csum, version-1"));
        assert_eq!(offered.taken(NET_MQ), None);
        assert_eq!(Features::offered(false, true).taken(NET_CSUM), None);
        assert!(Features::offered(false, true).taken(NET_MQ).is_some());
    }

    #[test]
    fn the_header_has_two_bytes_more_in_version_1_or_with_mergeable_buffers() {
        assert_eq!(Features(0).header(), 10);
        assert_eq!(Features(VERSION_1).header(), 12);
        assert_eq!(Features(NET_MRG_RXBUF).header(), 12);
    }

    #[test]
    fn a_packet_asks_for_what_was_agreed_only() {
        let none = Features::offered(false, false);
        let all = Features::offered(true, false);
        assert!(none.allows(0, 0));
        for (flags, gso) in [(1, 0), (1, 1), (1, 4), (1, 5), (1, 0x81)] {
            assert!(!none.allows(flags, gso), "{flags} {gso}");
            assert!(all.allows(flags, gso), "{flags} {gso}");
        }
        // UDP fragmentation is never offered, and the rest doesn't exist.
        assert!((0..=0x7f).filter(|gso| ![0, 1, 4, 5].contains(gso)).all(|gso| !all.allows(1, gso)));
    }
}
