//! Broken packets: what is too short, too long, or says so; out and in.

use crate::event::{Event, Flow};
use crate::traffic::OPENED;
use harness::frames;
use harness::l4::{self, Segment};
use harness::remote;

/// How a good packet is broken. The IP header's checksum is put right afterwards unless that is what is broken.
type Break = (&'static str, fn(&mut Vec<u8>));

const IP: [Break; 7] = [
    ("IP checksum", |packet| packet[10] ^= 0x40),
    ("version 6", |packet| with_sum(packet, |packet| packet[0] = 0x65)),
    ("header of 16 bytes", |packet| with_sum(packet, |packet| packet[0] = 0x44)),
    ("header beyond the packet", |packet| with_sum(packet, |packet| packet[0] = 0x4f)),
    ("total length beyond the frame", |packet| with_sum(packet, |packet| packet[2] = 5)),
    ("total length less than the header", |packet| with_sum(packet, |packet| packet[2..4].copy_from_slice(&[0, 12]))),
    ("no bytes after the header", |packet| shorten(packet, 20)),
];

const UDP: [Break; 6] = [
    ("UDP length 0", |packet| packet[24..26].fill(0)),
    ("UDP length 7", |packet| packet[24..26].copy_from_slice(&[0, 7])),
    ("UDP length beyond the packet", |packet| packet[24] = 9),
    ("UDP checksum wrong", |packet| packet[26] ^= 1),
    ("UDP header cut at 7 bytes", |packet| shorten(packet, 27)),
    ("UDP header cut at 4 bytes", |packet| shorten(packet, 24)),
];

const TCP: [Break; 7] = [
    ("TCP header of 16 bytes", |packet| packet[32] = 0x40),
    ("TCP header beyond the packet", |packet| packet[32] = 0xf0),
    ("TCP checksum wrong", |packet| packet[36] ^= 1),
    ("TCP header cut at 19 bytes", |packet| shorten(packet, 39)),
    ("TCP header cut at 8 bytes", |packet| shorten(packet, 28)),
    ("TCP without flags", |packet| packet[33] = 0),
    ("TCP with SYN and FIN", |packet| packet[33] = 0b0011),
];

const ICMP: [Break; 4] = [
    ("ICMP cut at 7 bytes", |packet| shorten(packet, 27)),
    ("ICMP cut at 4 bytes", |packet| shorten(packet, 24)),
    ("ICMP of an unknown type", |packet| packet[20] = 42),
    ("ICMP of type 255", |packet| packet[20] = 255),
];

fn with_sum(packet: &mut [u8], change: impl Fn(&mut [u8])) {
    change(packet);
    packet[10..12].fill(0);
    let header = (usize::from(packet[0] & 15) * 4).clamp(20, packet.len());
    let sum = frames::checksum(&packet[..header]).to_be_bytes();
    packet[10..12].copy_from_slice(&sum);
}

fn shorten(packet: &mut Vec<u8>, bytes: usize) {
    packet.truncate(bytes);
    let length = (bytes as u16).to_be_bytes();
    with_sum(packet, |packet| packet[2..4].copy_from_slice(&length));
}

/// Every break of a packet of every kind, from inside and from outside, between good packets of the same flow.
pub fn events() -> Vec<Event> {
    let data = b"data, data and more data";
    let mut events = Vec::new();
    for (kind, (protocol, inside, outside)) in OPENED.into_iter().enumerate() {
        let flow = Flow { protocol, inside: l4::at(inside), remote: l4::at(outside) };
        let segment = |(seq, ack)| Segment { flags: "PA", seq, ack, options: &[], data };
        let out = move || match kind {
            0 => l4::udp(inside, outside, data),
            1 => l4::tcp(inside, outside, &segment((1001, 9001))),
            _ => l4::echo(inside, remote(1), 1, data),
        };
        let back = move |to: &str| match kind {
            0 => l4::udp(outside, to, data),
            1 => l4::tcp(outside, to, &segment((9001, 1001))),
            _ => l4::echo_reply(remote(1), to, 1, data),
        };
        let breaks = [&UDP[..], &TCP[..], &ICMP[..]][kind];
        for (name, break_it) in IP.iter().chain(breaks).copied() {
            let mut broken = out();
            break_it(&mut broken);
            events.push(Event::out(name, flow, vec![broken]));
            events.push(Event::back(name, flow, move |to| {
                let mut broken = back(to);
                break_it(&mut broken);
                vec![broken]
            }));
            events.push(Event::out("a good one", flow, vec![out()]));
            events.push(Event::back("a good one", flow, move |to| vec![back(to)]));
        }
    }
    events
}
