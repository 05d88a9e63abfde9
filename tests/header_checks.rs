//! RFC 1812 5.2.2: a packet whose header can't be right is dropped without a word, and each fault has its own counter.

use harness::frames;
use harness::{LAN, WAN, Wires};

/// A good packet, broken in one place; the header's checksum is set right again afterwards unless it is what is broken.
fn broken(change: impl Fn(&mut Vec<u8>), fix_checksum: bool) -> Vec<u8> {
    let mut packet = frames::udp_packet(LAN.ip, WAN.ip, 7, &[0; 40]);
    change(&mut packet);
    let header = (usize::from(packet[0] & 15) * 4).clamp(20, packet.len());
    if fix_checksum {
        packet[10..12].fill(0);
        let sum = frames::checksum(&packet[..header]).to_be_bytes();
        packet[10..12].copy_from_slice(&sum);
    }
    LAN.frame(&packet)
}

/// Fifteen words of header in a packet that ends after ten, and says so.
fn long_header() -> Vec<u8> {
    let shorten = |packet: &mut Vec<u8>| {
        packet[0] = 0x4f;
        packet[2..4].copy_from_slice(&[0, 40]);
        packet.truncate(40);
    };
    broken(shorten, true)
}

#[test]
fn each_fault_has_its_counter() {
    let net = Wires::start("");
    let runt = |bytes: usize| LAN.frame(&frames::udp_packet(LAN.ip, WAN.ip, 7, b"")[..bytes]);
    let source = |address: [u8; 4]| broken(move |p| p[12..16].copy_from_slice(&address), true);
    let cases: Vec<(&str, &str, Vec<u8>)> = vec![
        ("nothing after the link header", "shorter", LAN.frame(&[])),
        ("less than a header", "shorter", runt(19)),
        ("version 6", "version", broken(|p| p[0] = 0x65, true)),
        ("version 0", "version", broken(|p| p[0] = 0x05, true)),
        ("header of 16 bytes", "header length", broken(|p| p[0] = 0x44, true)),
        ("header of no bytes", "header length", broken(|p| p[0] = 0x40, true)),
        ("header longer than the packet", "header length", long_header()),
        ("total length below the header", "total length", broken(|p| p[2..4].copy_from_slice(&[0, 19]), true)),
        ("total length above the frame", "total length", broken(|p| p[2..4].copy_from_slice(&[0, 69]), true)),
        ("total length far above the frame", "total length", broken(|p| p[2..4].copy_from_slice(&[255, 255]), true)),
        ("one bit of the checksum", "header checksum", broken(|p| p[11] ^= 1, false)),
        ("checksum of ones", "header checksum", broken(|p| p[10..12].fill(0xff), false)),
        ("source on loopback", "source", source([127, 0, 0, 1])),
        ("source is broadcast", "source", source([255; 4])),
        ("source is multicast", "source", source([239, 1, 2, 3])),
        ("source is this network", "source", source([0, 0, 0, 1])),
        ("source is class E", "source", source([250, 0, 0, 1])),
    ];
    for (name, reason, frame) in cases {
        let before = net.router.errors("ip4-input", reason);
        let seen = net.pass(&[frame]);
        assert!(seen.lan.is_empty() && seen.wan.is_empty(), "{name}: {seen:02x?}");
        assert_eq!(net.router.errors("ip4-input", reason), before + 1, "{name}\n{}", net.router.run("show errors"));
    }
}

#[test]
fn frames_of_unknown_types_are_counted() {
    let net = Wires::start("");
    let frame = |kind: u16| frames::ethernet(LAN.mac, LAN.router_mac, kind, &[0; 46]);
    for kind in [0x88cc, 0x86dd, 0x0001, 0x05dc, 0xffff] {
        let before: u64 = net.router.errors("ethernet-input", "");
        let seen = net.pass(&[frame(kind)]);
        assert!(seen.lan.is_empty() && seen.wan.is_empty(), "{kind:04x}");
        assert_eq!(net.router.errors("ethernet-input", ""), before + 1, "{kind:04x}");
    }
}
