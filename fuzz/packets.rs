//! Packets from bytes: mostly what they should be, so that they get far.

use crate::lab::{Input, checksum};

/// Inside hosts, the router, its external addresses, outside hosts: whom packets are from and for.
pub const ADDRESSES: [[u8; 4]; 12] = [
    [192, 168, 1, 10],
    [192, 168, 1, 11],
    [192, 168, 1, 12],
    [192, 168, 1, 1],
    [203, 0, 113, 1],
    [203, 0, 113, 2],
    [203, 0, 113, 3],
    [203, 0, 113, 4],
    [203, 0, 113, 10],
    [192, 0, 2, 7],
    [192, 0, 2, 8],
    [255, 255, 255, 255],
];
const PORTS: [u16; 8] = [0, 53, 80, 443, 1024, 4000, 4001, 8080];
const PROTOCOLS: [u8; 8] = [6, 17, 1, 47, 6, 17, 1, 33];

fn word(input: &mut Input<'_>) -> u16 {
    u16::from_be_bytes([input.byte(), input.byte()])
}

fn address(input: &mut Input<'_>) -> [u8; 4] {
    ADDRESSES[usize::from(input.byte()) % ADDRESSES.len()]
}

fn port(input: &mut Input<'_>) -> u16 {
    let byte = input.byte();
    if byte < 0xf0 { PORTS[usize::from(byte) % PORTS.len()] } else { word(input) }
}

/// A packet that is mostly what it should be.
pub fn packet(input: &mut Input<'_>) -> Vec<u8> {
    let how = input.byte();
    let protocol = PROTOCOLS[usize::from(input.byte()) % PROTOCOLS.len()];
    let (source, destination) = (address(input), address(input));
    let (from, to) = (port(input), port(input));
    let ttl = if how & 1 == 0 { 64 } else { input.byte() & 3 };
    let fragment = if how & 2 == 0 { 0 } else { word(input) };
    let options: &[u8] = if how & 4 == 0 { &[] } else { &[0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0] };
    let mut packet = header(protocol, ttl, fragment, options);
    packet[5] = if how & 2 == 0 { 0 } else { input.byte() & 3 };
    packet[12..16].copy_from_slice(&source);
    packet[16..20].copy_from_slice(&destination);
    let data = input.take(usize::from(how >> 3 & 7) * 5);
    let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
    match protocol {
        6 => {
            packet.extend(ports);
            packet.extend([word(input), word(input), word(input), word(input)].map(u16::to_be_bytes).as_flattened());
            packet.extend([((20 + data.len() / 4 * 4) / 4 * 16) as u8, input.byte()]);
            packet.extend([input.byte(), input.byte(), 0, 0, 0, 0]);
        }
        17 | 33 => {
            packet.extend(ports);
            packet.extend((8 + data.len() as u16).to_be_bytes());
            packet.extend([0, 0]);
        }
        1 => {
            packet.extend([input.byte() % 19, 0, 0, 0]);
            packet.extend(ports);
        }
        _ => {}
    }
    packet.extend(data);
    if how & 0x40 != 0 {
        packet.truncate(usize::from(input.byte()));
        let at = usize::from(input.byte());
        let value = input.byte();
        if let Some(byte) = packet.get_mut(at) {
            *byte = value;
        }
    }
    seal(&mut packet);
    if how & 0x80 == 0 {
        seal_transport(&mut packet);
    }
    packet
}

pub fn header(protocol: u8, ttl: u8, fragment: u16, options: &[u8]) -> Vec<u8> {
    let [high, low] = fragment.to_be_bytes();
    let first = 0x45 + (options.len() / 4) as u8;
    let mut header = vec![first, 0, 0, 0, 0, 0, high, low, ttl, protocol, 0, 0];
    header.extend([0; 8]);
    header.extend(options);
    header
}

pub fn header_len(packet: &[u8]) -> usize {
    packet.first().map_or(0, |b| usize::from(b & 15) * 4).clamp(20.min(packet.len()), packet.len())
}

/// Sets the total length and the header's checksum.
pub fn seal(packet: &mut [u8]) {
    if packet.len() >= 20 {
        let len = packet.len() as u16;
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        packet[10..12].fill(0);
        let sum = checksum(&packet[..header_len(packet)]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Where the transport's checksum is, of a whole packet that has one.
fn transport_checksum(packet: &[u8]) -> Option<usize> {
    let at = match packet.get(9)? {
        6 => 16,
        17 | 33 => 6,
        1 => 2,
        _ => return None,
    } + header_len(packet);
    let whole = u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff == 0;
    (packet.len() >= at + 2 && whole).then_some(at)
}

fn covered(packet: &[u8]) -> u16 {
    let body = &packet[header_len(packet)..];
    let pseudo = match packet[9] {
        1 => Vec::new(),
        protocol => [&packet[12..20], &[0, protocol], &(body.len() as u16).to_be_bytes()].concat(),
    };
    checksum(&[&pseudo, body].concat())
}

pub fn seal_transport(packet: &mut [u8]) {
    if let Some(at) = transport_checksum(packet) {
        packet[at..at + 2].fill(0);
        let sum = covered(packet);
        let sum = if packet[9] == 17 && sum == 0 { 0xffff } else { sum };
        packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Whether it has its transport's checksum right, or none. Of a message of zeros alone, an update as in RFC 1624 can't tell which of
/// the two zeros is right: that one is forgiven.
pub fn transport_ok(packet: &[u8]) -> bool {
    let zeros = |packet: &[u8]| packet[header_len(packet)..].iter().all(|byte| *byte == 0);
    let Some(at) = transport_checksum(packet) else { return true };
    packet[9] == 17 && packet[at..at + 2] == [0, 0] || covered(packet) == 0 || zeros(packet)
}
