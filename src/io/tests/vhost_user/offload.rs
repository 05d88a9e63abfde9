//! What the guest leaves to its network card.

use crate::common::{Port, checksums_ok, until};
use crate::guest::*;
use etherparse::PacketBuilder;
use millrace_engine::memory::HugePages;
use millrace_engine::{Pool, Waker};
use millrace_io::{Context, Role, open};

/// A TCP packet over IPv4 with `len` bytes of data, whose checksum holds the sum of the pseudo header.
fn tcp(len: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..len).map(|n| (n % 253) as u8).collect();
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(1000, 2000, 77, 4096)
        .psh();
    builder.write(&mut frame, &data).unwrap();
    let bytes: Vec<u8> = [&frame[26..34], &[0, 6], &(20 + len as u16).to_be_bytes()].concat();
    let sum = bytes.chunks(2).fold(0u32, |sum, pair| sum + u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    frame[50..52].copy_from_slice(&(sum as u16).to_be_bytes());
    frame
}

/// A `virtio_net_hdr`: flags, kind of segmentation, headers, bytes of a segment, where the checksum starts and is.
fn header(flags: u8, gso: u8, segment: u16) -> Vec<u8> {
    let mut header = vec![flags, gso];
    for number in [54, segment, 34, 16, 0] {
        header.extend(number.to_le_bytes());
    }
    header
}

fn with(features: u64, offloads: bool) -> (Port, Guest) {
    let path = socket_path();
    let port = Port::open(&spec(&path, Role::Server, 1, offloads));
    let guest = Guest::on(&path, features, &*port.device);
    (port, guest)
}

#[test]
fn checksums_are_completed() {
    let (mut port, mut guest) = with(VERSION_1 | CSUM, true);
    let frame = tcp(500);
    assert!(!checksums_ok(&frame));
    guest.send_with(&header(1, 0, 0), &frame);
    // In two buffers, too.
    let offset = 2 << 20;
    guest.write(offset, &[header(1, 0, 0), frame.clone()].concat());
    guest.add(1, &[(GUEST + offset, 40), (GUEST + offset + 40, 526)], 0);
    guest.publish(1);
    // And one without that.
    guest.send_with(&header(0, 0, 0), &frame);
    let got = port.wait_for(3, |_| true);
    assert!(checksums_ok(&got[0]) && checksums_ok(&got[1]));
    assert_eq!(got[2], frame, "nobody asked");
    assert_eq!(port.stat("rx_checksums_completed"), 2);
}

#[test]
fn large_segments_are_cut() {
    let (mut port, mut guest) = with(VERSION_1 | CSUM | TSO4, true);
    for len in [3_000, 60_000] {
        let frame = tcp(len);
        let offset = 2 << 20;
        guest.write(offset, &[header(1, 1, 1448), frame.clone()].concat());
        guest.add(1, &[(GUEST + offset, 66), (GUEST + offset + 66, len as u32)], 0);
        guest.publish(1);
        let got = port.wait_for(len.div_ceil(1448), |_| true);
        assert!(got.iter().all(|frame| checksums_ok(frame) && frame.len() <= 54 + 1448));
        let data: Vec<u8> = got.iter().flat_map(|frame| &frame[54..]).copied().collect();
        assert_eq!(data, frame[54..]);
        assert_eq!(got.iter().filter(|frame| frame[47] & 8 != 0).count(), 1, "PSH is on the last only");
    }
    assert_eq!(port.stat("rx_segments_cut"), 3 + 42);
    // Small enough for a cell, and still to be cut.
    guest.send_with(&header(1, 1, 500), &tcp(1200));
    assert!(port.wait_for(3, |_| true).iter().all(|frame| checksums_ok(frame)));
}

#[test]
fn more_segments_than_a_burst_takes_come_in_order_with_what_follows() {
    let (mut port, mut guest) = with(VERSION_1 | CSUM | TSO4, true);
    let frame = tcp(60_000);
    let offset = 2 << 20;
    guest.write(offset, &[header(1, 1, 100), frame.clone()].concat());
    guest.add(1, &[(GUEST + offset, 66 + 60_000)], 0);
    guest.publish(1);
    guest.send(&crate::common::experimental(9, 60));
    let got = port.wait_for(601, |_| true);
    let data: Vec<u8> = got[..600].iter().flat_map(|frame| &frame[54..]).copied().collect();
    assert_eq!(data, frame[54..]);
    assert!(crate::common::is_experimental(&got[600]), "behind all of them");
}

#[test]
fn segments_for_which_there_are_no_cells_yet_are_not_overtaken() {
    let path = socket_path();
    let pool = Pool::new(40, HugePages::Off).unwrap();
    let context = Context { pool, changed: Waker::new().unwrap() };
    let device = open(&spec(&path, Role::Server, 1, true), "port", &context).unwrap();
    let mut port = Port::new(device, pool);
    let mut guest = Guest::on(&path, VERSION_1 | CSUM | TSO4, &*port.device);
    let mut held = [0; 34];
    assert_eq!(pool.take(&mut held), 34);
    guest.send_with(&header(1, 1, 100), &tcp(1000));
    guest.send(&crate::common::experimental(9, 60));
    let got = port.wait_for(11, |_| true);
    assert!(got[..10].iter().all(|frame| checksums_ok(frame) && frame.len() == 154));
    assert!(crate::common::is_experimental(&got[10]));
    // SAFETY: taken above.
    unsafe { pool.put(&held) };
}

#[test]
fn what_was_not_agreed_on_or_makes_no_sense_is_dropped() {
    let bad = |features, offloads, header: Vec<u8>, frame: Vec<u8>| {
        let (mut port, mut guest) = with(features, offloads);
        guest.send_with(&header, &frame);
        until("it to be dropped", || port.rx().is_empty() && port.stat("rx_bad_offload_header") == 1);
        // The ring goes on.
        guest.send_with(&[0; 12], &tcp(10));
        assert_eq!(port.wait_for(1, |_| true).len(), 1);
    };
    bad(VERSION_1, true, header(1, 0, 0), tcp(100));
    bad(VERSION_1, false, header(1, 0, 0), tcp(100));
    bad(VERSION_1 | CSUM, true, header(1, 1, 50), tcp(100));
    bad(VERSION_1 | CSUM | TSO4, true, header(1, 4, 50), tcp(100));
    bad(VERSION_1 | CSUM | TSO4, true, header(1, 3, 50), tcp(100));
    bad(VERSION_1 | CSUM | TSO4, true, header(1, 1, 0), tcp(100));
    bad(VERSION_1 | CSUM | TSO4, true, header(1, 1, 50), vec![0; 30]);
    let mut behind = header(1, 0, 0);
    behind[6..8].copy_from_slice(&60_000u16.to_le_bytes());
    bad(VERSION_1 | CSUM, true, behind, tcp(100));
}

#[test]
fn without_offloads_none_are_offered() {
    let path = socket_path();
    let _port = Port::open(&spec(&path, Role::Server, 1, false));
    let mut guest = Guest::new(VERSION_1, 1);
    guest.connect(&path);
    let offered = guest.frontend().get(crate::frontend::Code::GetFeatures);
    assert_eq!(offered & (CSUM | TSO4 | MQ), 0);
    assert_ne!(offered & VERSION_1, 0);
}
