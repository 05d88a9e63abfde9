//! Cutting and completing, checked with another implementation of every header and checksum.

use super::*;
use etherparse::{IpNumber, NetHeaders, PacketBuilder, PacketHeaders, TransportHeader};

const V4: ([u8; 4], [u8; 4]) = ([10, 0, 0, 1], [198, 18, 0, 9]);
const MACS: ([u8; 6], [u8; 6]) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

fn offload(gso: u8, size: usize, csum_start: usize, csum_offset: usize) -> Offload {
    Offload { needs_checksum: true, gso, gso_size: size, csum_start, csum_offset }
}

/// All segments of a frame, each checked to be a good packet in itself.
fn cut(offload: Offload, frame: &[u8]) -> Vec<Vec<u8>> {
    let mut frame = frame.to_vec();
    let mut cutter = prepare(offload, &mut frame).unwrap().unwrap();
    let mut all = Vec::new();
    while let Some((headers, payload)) = cutter.segment(&frame) {
        let once = [headers, payload].concat();
        // A burst that was full asks for the same segment again.
        let again = cutter.segment(&frame).map(|(h, p)| [h, p].concat());
        assert_eq!(again.as_ref(), Some(&once));
        assert_good(&once);
        all.push(once);
        cutter.advance();
    }
    assert_eq!(all.len(), cutter.segments());
    all
}

fn assert_good(packet: &[u8]) {
    let headers = PacketHeaders::from_ethernet_slice(packet).unwrap();
    let payload = headers.payload.slice();
    match (headers.net.unwrap(), headers.transport.unwrap()) {
        (NetHeaders::Ipv4(ip, _), transport) => {
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            match transport {
                TransportHeader::Tcp(tcp) => assert_eq!(tcp.checksum, tcp.calc_checksum_ipv4(&ip, payload).unwrap()),
                TransportHeader::Udp(udp) => {
                    assert_eq!(usize::from(udp.length), payload.len() + 8);
                    assert!(udp.checksum == 0 || udp.checksum == udp.calc_checksum_ipv4(&ip, payload).unwrap());
                }
                other => panic!("{other:?}"),
            }
        }
        (NetHeaders::Ipv6(ip, _), TransportHeader::Tcp(tcp)) => {
            assert_eq!(tcp.checksum, tcp.calc_checksum_ipv6(&ip, payload).unwrap());
        }
        (NetHeaders::Ipv6(ip, _), TransportHeader::Udp(udp)) => {
            assert_eq!(udp.checksum, udp.calc_checksum_ipv6(&ip, payload).unwrap());
        }
        other => panic!("{other:?}"),
    }
}

fn tcp_of(packet: &[u8]) -> (etherparse::TcpHeader, Vec<u8>) {
    let headers = PacketHeaders::from_ethernet_slice(packet).unwrap();
    let payload = headers.payload.slice().to_vec();
    (headers.transport.unwrap().tcp().unwrap(), payload)
}

#[test]
fn tcp4_segments() {
    let options = [etherparse::TcpOptionElement::Timestamp(1, 2)];
    let payload = data(4001);
    let builder = PacketBuilder::ethernet2(MACS.0, MACS.1)
        .ip(etherparse::IpHeaders::Ipv4(
            etherparse::Ipv4Header {
                identification: 0xffff,
                ..etherparse::Ipv4Header::new(0, 64, IpNumber::TCP, V4.0, V4.1).unwrap()
            },
            etherparse::Ipv4Extensions::default(),
        ))
        .tcp(1000, 80, u32::MAX - 1000, 500)
        .options(&options)
        .unwrap()
        .fin()
        .psh()
        .ack(7)
        .cwr();
    let mut frame = Vec::new();
    builder.write(&mut frame, &payload).unwrap();
    let segments = cut(offload(GSO_TCPV4, 1400, 34, 16), &frame);
    assert_eq!(segments.iter().map(Vec::len).collect::<Vec<_>>(), [1466, 1466, 54 + 12 + 1201]);
    let mut whole = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        let (tcp, part) = tcp_of(segment);
        assert_eq!(tcp.sequence_number, (u32::MAX - 1000).wrapping_add(1400 * i as u32));
        assert_eq!((tcp.cwr, tcp.fin, tcp.psh, tcp.ack), (i == 0, i == 2, i == 2, true));
        assert_eq!((tcp.acknowledgment_number, tcp.window_size), (7, 500));
        assert!(tcp.options_iterator().any(|o| o == Ok(options[0].clone())));
        assert_eq!(segment[18..20], 0xffffu16.wrapping_add(i as u16).to_be_bytes(), "identification");
        whole.extend(part);
    }
    assert_eq!(whole, payload);
    // A sender without ECN, or with: the same.
    assert_eq!(cut(offload(GSO_TCPV4, 1400, 34, 16), &frame), segments);
    let header = [1, GSO_TCPV4 | GSO_ECN, 66, 0, 0x78, 0x05, 34, 0, 16, 0];
    assert_eq!(cut(Offload::read(&header), &frame), segments);
}

#[test]
fn tcp6_segments_behind_a_tag_and_an_extension_header() {
    let payload = data(3000);
    let builder =
        PacketBuilder::ethernet2(MACS.0, MACS.1).single_vlan(5u16.try_into().unwrap()).ipv6([1; 16], [2; 16], 64);
    let mut frame = Vec::new();
    builder.tcp(1, 2, 3, 4).psh().write(&mut frame, &payload).unwrap();
    let segments = cut(offload(GSO_TCPV6, 1000, 58, 16), &frame);
    assert_eq!(segments.iter().map(Vec::len).collect::<Vec<_>>(), [1078; 3]);
    assert!(segments.iter().all(|s| s[12..18] == [0x81, 0, 0, 5, 0x86, 0xdd]));
    assert_eq!(segments.iter().flat_map(|s| tcp_of(s).1).collect::<Vec<_>>(), payload);

    // A destination options header (8 bytes, one PadN option) goes in between; the transport starts 8 bytes later.
    frame.splice(58..58, [6, 0, 1, 4, 0, 0, 0, 0]);
    frame[24] = 60;
    let len = u16::from_be_bytes([frame[22], frame[23]]) + 8;
    frame[22..24].copy_from_slice(&len.to_be_bytes());
    let extended = cut(offload(GSO_TCPV6, 1000, 66, 16), &frame);
    assert_eq!(extended.iter().map(Vec::len).collect::<Vec<_>>(), [1086; 3]);
    assert_eq!(extended.iter().flat_map(|s| tcp_of(s).1).collect::<Vec<_>>(), payload);
}

#[test]
fn udp_datagrams() {
    let payload = data(2500);
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(MACS.0, MACS.1).ipv4(V4.0, V4.1, 64).udp(9, 10).write(&mut frame, &payload).unwrap();
    let datagrams = cut(offload(GSO_UDP_L4, 1000, 34, 6), &frame);
    assert_eq!(datagrams.iter().map(Vec::len).collect::<Vec<_>>(), [1042, 1042, 542]);
    assert_eq!(datagrams.iter().flat_map(|d| &d[42..]).copied().collect::<Vec<_>>(), payload);
    assert!(datagrams.iter().all(|d| d[40..42] != [0, 0]));
    // One without a checksum gets none.
    frame[40..42].copy_from_slice(&[0, 0]);
    let bare = Offload { needs_checksum: false, ..offload(GSO_UDP_L4, 1000, 0, 0) };
    assert!(cut(bare, &frame).iter().all(|d| d[40..42] == [0, 0]));
    let mut six = Vec::new();
    PacketBuilder::ethernet2(MACS.0, MACS.1).ipv6([1; 16], [2; 16], 64).udp(9, 10).write(&mut six, &payload).unwrap();
    assert_eq!(cut(offload(GSO_UDP_L4, 1250, 54, 6), &six).len(), 2);
}

#[test]
fn a_partial_checksum_is_completed() {
    for len in [0, 1, 17, 1000] {
        let mut good = Vec::new();
        PacketBuilder::ethernet2(MACS.0, MACS.1).ipv4(V4.0, V4.1, 64).udp(9, 10).write(&mut good, &data(len)).unwrap();
        let mut frame = good.clone();
        // What a kernel leaves there: the sum of the pseudo header, not complemented.
        let pseudo = Sum::of(&frame[26..34]).u16(17).u16(len as u16 + 8);
        frame[40..42].copy_from_slice(&(!pseudo.checksum()).to_be_bytes());
        assert_ne!(frame, good);
        assert!(prepare(offload(GSO_NONE, 0, 34, 6), &mut frame).unwrap().is_none());
        assert_eq!(frame, good);
    }
    // A sum of zero is sent as 0xffff (RFC 768).
    let mut frame = vec![0; 44];
    frame[42..44].copy_from_slice(&[0xff, 0xff]);
    prepare(offload(GSO_NONE, 0, 34, 6), &mut frame).unwrap();
    assert_eq!(frame[40..42], [0xff, 0xff]);
}

#[test]
fn nonsense_is_refused_and_never_a_panic() {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(MACS.0, MACS.1)
        .ipv4(V4.0, V4.1, 64)
        .tcp(9, 10, 0, 0)
        .write(&mut frame, &data(3000))
        .unwrap();
    let refused = |offload, frame: &[u8]| prepare(offload, &mut frame.to_vec()).is_err();
    assert!(!refused(offload(GSO_TCPV4, 1000, 34, 16), &frame));
    assert!(refused(offload(GSO_TCPV6, 1000, 34, 16), &frame), "another family");
    assert!(refused(offload(GSO_UDP_L4, 1000, 34, 6), &frame), "another transport");
    assert!(refused(offload(3, 1000, 34, 6), &frame), "fragmentation was never offered");
    assert!(refused(offload(GSO_TCPV4, 0, 34, 16), &frame), "no size");
    assert!(refused(offload(GSO_TCPV4, 1000, 34, 16), &frame[..54]), "no payload");
    assert!(refused(offload(GSO_NONE, 0, 3054, 16), &frame), "a checksum behind the end");
    // Any offload header on any start of a frame, or on a frame with broken lengths.
    let mut n = 0u64;
    for gso in 0..=6 {
        for len in (0..90).chain([3054]) {
            n += 1;
            let mut frame = frame[..len].to_vec();
            let random = crate::spec::mix(n);
            if let Some(byte) = frame.get_mut((random % 60) as usize) {
                *byte = (random >> 32) as u8;
            }
            let at = (random >> 40) as usize % 80;
            if let Ok(Some(mut cutter)) = prepare(offload(gso, 1 + (random >> 50) as usize, at, 16), &mut frame) {
                while cutter.segment(&frame).is_some() {
                    cutter.advance();
                }
            }
        }
    }
}
