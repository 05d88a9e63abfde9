//! Checksums after translation: RFC 3022 section 4.2, RFC 1624, RFC 768.

use etherparse::IpNumber;
use harness::frames;
use harness::l4::{self, Segment};
use harness::{Nat, remote};

const INSIDE: &str = "192.168.1.10:5000";
const REMOTE: &str = "198.51.100.1:53";

/// A UDP packet with another checksum than its own.
fn with_udp_checksum(mut packet: Vec<u8>, checksum: u16) -> Vec<u8> {
    packet[26..28].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// The checksum that a sender behind `from` would have put into a datagram with this data.
fn checksum_of(from: &str, to: &str, data: &[u8]) -> u16 {
    let packet = l4::udp(from, to, data);
    u16::from_be_bytes([packet[26], packet[27]])
}

/// RFC 3022 section 4.2, RFC 768: no checksum stays none, both ways.
#[test]
fn a_datagram_without_checksum_stays_without() {
    let nat = Nat::start("pool: [203.0.113.2]");
    for data in [b"".as_slice(), b"x", b"some more data"] {
        let seen = nat.out(&with_udp_checksum(l4::udp(INSIDE, REMOTE, data), 0));
        assert_eq!((seen.udp_checksum, seen.data.as_slice()), (0, data));
        let seen = nat.back(&with_udp_checksum(l4::udp(REMOTE, &seen.source(), data), 0));
        assert_eq!((seen.udp_checksum, seen.data.as_slice()), (0, data));
    }
}

/// RFC 768, RFC 1624 section 4: a checksum that becomes 0 is sent as 0xffff; and 0xffff is not taken for none.
#[test]
fn a_computed_zero_is_sent_as_ones() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let outside = "203.0.113.2:5000";
    // Data with which the datagram's checksum comes to ones (zero, as computed) before or after translation.
    let data_for = |from: &str, to: &str| {
        (0..=u16::MAX).map(u16::to_be_bytes).find(|data| checksum_of(from, to, data) == 0xffff).expect("such data")
    };
    for (sent, translated) in [((INSIDE, REMOTE), (outside, REMOTE)), ((REMOTE, outside), (REMOTE, INSIDE))] {
        for ends in [sent, translated] {
            let data = data_for(ends.0, ends.1);
            let packet = l4::udp(sent.0, sent.1, &data);
            let seen = if sent.0 == INSIDE { nat.out(&packet) } else { nat.back(&packet) };
            assert_eq!(seen.udp_checksum, checksum_of(translated.0, translated.1, &data), "{sent:?} with {data:02x?}");
            assert_ne!(seen.udp_checksum, 0);
        }
    }
}

/// RFC 1624 section 3: whatever the sums were, the ones that come out are right, of IP, UDP, TCP and ICMP, both ways.
/// [`harness::l4::Packet`] asserts it of each packet that it reads.
#[test]
fn incremental_updates_are_right_at_the_edges() {
    let nat = Nat::start("pool: [203.0.113.2]");
    // All that the sums can be just around 0x0000 and 0xffff, made by the data's last two bytes.
    let edges = [0x0000_u16, 0x0001, 0x00ff, 0x0100, 0x7fff, 0x8000, 0xfeff, 0xff00, 0xfffd, 0xfffe, 0xffff];
    let sum_of_none = frames::checksum(&[]);
    assert_eq!(sum_of_none, 0xffff);
    let mut packets = Vec::new();
    for edge in edges {
        let udp = (0..=u16::MAX).map(u16::to_be_bytes).find(|data| checksum_of(INSIDE, REMOTE, data) == edge);
        packets.extend(udp.map(|data| l4::udp(INSIDE, REMOTE, &data)));
        let tcp = |data: &[u8]| l4::tcp(INSIDE, REMOTE, &Segment { flags: "A", seq: 1, ack: 1, options: &[], data });
        let sum = |packet: &[u8]| u16::from_be_bytes([packet[36], packet[37]]);
        packets.extend((0..=u16::MAX).map(u16::to_be_bytes).map(|data| tcp(&data)).find(|packet| sum(packet) == edge));
        let echo = |data: &[u8]| l4::echo(INSIDE, remote(1), 1, data);
        let sum = |packet: &[u8]| u16::from_be_bytes([packet[22], packet[23]]);
        packets.extend((0..=u16::MAX).map(u16::to_be_bytes).map(|data| echo(&data)).find(|packet| sum(packet) == edge));
        // And the header's own.
        let ip = (0..=u16::MAX).map(|identification| {
            let mut header = l4::header(INSIDE, REMOTE, IpNumber::UDP);
            header.identification = identification;
            frames::packet(&header, &frames::udp(&header, 5000, 53, b"data"))
        });
        let sum = |packet: &[u8]| u16::from_be_bytes([packet[10], packet[11]]);
        packets.extend(ip.clone().find(|packet| sum(packet) == edge));
    }
    assert!(packets.len() >= 40, "{} packets", packets.len());
    for packet in &packets {
        let seen = nat.out(packet);
        let (ip, body) = frames::ip4_packet(packet).expect("a packet");
        assert_eq!(
            (seen.ip.protocol, seen.ip.identification, seen.ip.time_to_live),
            (ip.protocol, ip.identification, 63)
        );
        assert_eq!(&seen.data[..], &body[body.len() - seen.data.len()..]);
    }
}

/// A sender's wrong checksum is not made right on the way: the receiver must be able to see it (RFC 1624 section 1: the
/// update is incremental).
#[test]
fn a_wrong_checksum_stays_wrong() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let good = l4::udp(INSIDE, REMOTE, b"data");
    let right = u16::from_be_bytes([good[26], good[27]]);
    let seen = nat.pass(&[with_udp_checksum(good.clone(), right ^ 0x1234)]);
    // It may be dropped, as Linux does, or forwarded with the same error.
    for frame in &seen.wan {
        let sum = u16::from_be_bytes([frame[40], frame[41]]);
        assert_ne!(sum, checksum_of("203.0.113.2:5000", REMOTE, b"data"), "the error was hidden");
    }
}

/// RFC 791, RFC 1812 5.2.4: options are kept and skipped, wherever the ports then stand.
#[test]
fn options_are_kept() {
    let nat = Nat::start("pool: [203.0.113.2]");
    for options in [&[0x9e_u8, 6, 1, 2, 3, 4, 1, 0][..], &[1; 4], &[1; 40], &[148, 4, 0, 0]] {
        let mut header = l4::header(INSIDE, REMOTE, IpNumber::UDP);
        header.options = options.try_into().expect("options");
        let seen = nat.out(&frames::packet(&header, &frames::udp(&header, 5000, 53, b"data")));
        assert_eq!(seen.flow(), "udp 203.0.113.2:5000 > 198.51.100.1:53");
        assert_eq!((&seen.ip.options[..], seen.data.as_slice()), (options, b"data".as_slice()));
        let mut header = l4::header(REMOTE, "203.0.113.2:5000", IpNumber::UDP);
        header.options = options.try_into().expect("options");
        let seen = nat.back(&frames::packet(&header, &frames::udp(&header, 53, 5000, b"answer")));
        assert_eq!((seen.destination().as_str(), &seen.ip.options[..]), (INSIDE, options));
    }
}

/// RFC 1812 4.2.2.9 and 5.3.1: a NAT is a router; the time to live goes down by one, DSCP and DF stay.
#[test]
fn the_rest_of_the_header_is_a_routers() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let mut header = l4::header(INSIDE, REMOTE, IpNumber::UDP);
    (header.time_to_live, header.dont_fragment, header.identification) = (2, true, 0xabcd);
    (header.dscp, header.ecn) = (46.try_into().expect("6 bits"), 1.try_into().expect("2 bits"));
    let mut wanted = header.clone();
    wanted.time_to_live = 1;
    let seen = nat.out(&frames::packet(&header, &frames::udp(&header, 5000, 53, b"data"))).ip;
    wanted.source = [203, 0, 113, 2];
    (wanted.total_len, wanted.header_checksum) = (seen.total_len, seen.header_checksum);
    assert_eq!(seen, wanted);
}

/// RFC 4787 REQ-10, RFC 5382 REQ-6: there is no ALG; addresses in the payload are not touched.
#[test]
fn payload_is_not_touched() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let port = b"PORT 192,168,1,10,19,136\r\n";
    let seen = nat.out(&l4::tcp(
        INSIDE,
        "198.51.100.1:21",
        &Segment { flags: "PA", seq: 1, ack: 1, options: &[], data: port },
    ));
    assert_eq!(seen.data, port);
    let sip = b"INVITE sip:a@b SIP/2.0\r\nContact: <sip:a@192.168.1.10:5060>\r\n\r\n";
    assert_eq!(nat.out(&l4::udp("192.168.1.10:5060", "198.51.100.1:5060", sip)).data, sip);
}
