//! Packets, in all the ways in which they may lie in buffers.

use crate::common::{Port, experimental, until};
use crate::guest::*;
use millrace_io::Link;

/// Frames that the device has received from the guest, once there are `n`.
fn received(port: &mut Port, n: usize) -> Vec<Vec<u8>> {
    port.wait_for(n, |_| true)
}

fn with(features: u64) -> (Port, Guest) {
    let path = socket_path();
    let port = server(&path);
    let guest = Guest::on(&path, features, &*port.device);
    (port, guest)
}

#[test]
fn packets_pass_both_ways_and_are_told_in_the_used_rings() {
    for features in [VERSION_1, VERSION_1 | MRG, MRG, 0, VERSION_1 | EVENT_IDX | INDIRECT] {
        let (mut port, mut guest) = with(features);
        let frames: Vec<_> = (0..5).map(|n| experimental(n, 60 + 300 * usize::from(n))).collect();
        frames.iter().for_each(|frame| guest.send(frame));
        assert_eq!(received(&mut port, 5), frames, "{features:#x}");
        assert_eq!(guest.used(1), [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]);

        guest.make_room(8, 2048);
        let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        assert_eq!(port.tx(&slices), 5);
        let got = guest.receive();
        assert_eq!(got.iter().map(|(_, frame)| frame.clone()).collect::<Vec<_>>(), frames);
        for (header, _) in got {
            assert_eq!(header[..10], [0; 10], "nothing is left to the guest");
            assert!(header.len() == 10 || header[10..] == [1, 0], "one buffer");
        }
    }
}

#[test]
fn a_ring_goes_round_many_times() {
    let (mut port, mut guest) = with(VERSION_1);
    let mut n = 0u8;
    // More than 65,536, so that indices wrap.
    for _ in 0..2100 {
        let frames: Vec<_> = (0..32)
            .map(|_| {
                n = n.wrapping_add(1);
                experimental(n, 60)
            })
            .collect();
        frames.iter().for_each(|frame| guest.send(frame));
        assert_eq!(received(&mut port, 32), frames);
        guest.make_room(32, 2048);
        let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        assert_eq!(port.tx(&slices), 32);
        assert_eq!(guest.receive().len(), 32);
        guest.used(1);
    }
    assert_eq!(port.stat("ring_violations"), 0);
}

#[test]
fn a_packet_of_the_guest_may_be_cut_anywhere() {
    let (mut port, mut guest) = with(VERSION_1);
    let frame = experimental(7, 200);
    let whole = [vec![0; 12], frame.clone()].concat();
    // The header alone, in the middle of it, in the middle of the frame; and pieces of one byte, and of none.
    let cuts: [&[usize]; 5] = [&[12], &[5], &[100], &[1, 2, 3, 11, 12, 13, 14, 60], &[0, 0, 12, 12]];
    for (round, cuts) in cuts.iter().enumerate() {
        let mut from = 0;
        let mut buffers = Vec::new();
        for to in cuts.iter().copied().chain([whole.len()]) {
            let offset = guest.buffer(1, 0) + 0x1_0000 * 8 + (buffers.len() as u64) * 0x400;
            guest.write(offset, &whole[from..to]);
            buffers.push((GUEST + offset, (to - from) as u32));
            from = to;
        }
        let head = guest.add(1, &buffers, 0);
        guest.publish(1);
        assert_eq!(received(&mut port, 1), [&frame[..]], "{cuts:?}");
        assert_eq!(guest.used(1), [(head.into(), 0)], "round {round}");
    }
}

#[test]
fn indirect_tables_are_followed() {
    let (mut port, mut guest) = with(VERSION_1 | INDIRECT);
    let frame = experimental(9, 700);
    let (table, data) = (2 << 20, (2 << 20) + 0x1000);
    // At an odd place, too: nothing says that a table is aligned.
    for table in [table, table + 1, table + 8] {
        guest.write(data, &[vec![0; 12], frame.clone()].concat());
        // Not in order, and with one that nobody points at.
        guest.describe(table, 0, (GUEST + data, 12, NEXT, 2));
        guest.describe(table, 1, (GUEST + data + 112, 600, 0, 0));
        guest.describe(table, 2, (GUEST + data + 12, 100, NEXT, 1));
        guest.describe(table, 3, (u64::MAX, u32::MAX, WRITE | NEXT | TABLE, 77));
        let head = guest.add(1, &[(GUEST + table, 64)], TABLE);
        guest.publish(1);
        assert_eq!(received(&mut port, 1), [&frame[..]]);
        assert_eq!(guest.used(1), [(head.into(), 0)]);
    }
    // Buffers to receive in may be given by tables as well.
    guest.describe(table, 0, (GUEST + data, 100, NEXT | WRITE, 1));
    guest.describe(table, 1, (GUEST + data + 100, 2000, WRITE, 0));
    guest.add(0, &[(GUEST + table, 32)], TABLE);
    guest.publish(0);
    assert_eq!(port.tx(&[&frame]), 1);
    assert_eq!(guest.used(0), [(0, 712)]);
    assert_eq!(guest.read(data + 12, 700), frame);
}

#[test]
fn a_large_packet_of_the_guest_takes_several_cells() {
    let (mut port, mut guest) = with(VERSION_1);
    for len in [2048, 2049, 4096, 9000, 65_000] {
        let frame = experimental(3, len);
        let offset = 2 << 20;
        guest.write(offset, &[vec![0; 12], frame.clone()].concat());
        guest.add(1, &[(GUEST + offset, 12 + len as u32)], 0);
        guest.publish(1);
        assert_eq!(received(&mut port, 1), [frame], "{len}");
    }
    guest.add(1, &[(GUEST + (2 << 20), 70_000)], 0);
    guest.add(1, &[(GUEST + (2 << 20), 12 + 13)], 0);
    guest.add(1, &[(GUEST + (2 << 20), 3)], 0);
    guest.add(1, &[(GUEST + (2 << 20), 0)], 0);
    guest.publish(1);
    until("all of them dealt with", || port.rx().is_empty() && port.stat("rx_too_short") == 3);
    assert_eq!(port.stat("rx_too_long"), 1);
    assert_eq!(guest.used(1).len(), 9);
}

#[test]
fn mergeable_buffers_take_large_packets_together() {
    let (mut port, mut guest) = with(VERSION_1 | MRG);
    guest.make_room(7, 1000);
    let (small, large) = (experimental(1, 60), experimental(2, 5_000));
    assert_eq!(port.tx(&[&small, &large, &small]), 2, "the third finds no buffer");
    let got = guest.receive();
    assert_eq!(got.len(), 7);
    assert_eq!(got[0].0[10..], [1, 0]);
    assert_eq!(got[0].1, small);
    assert_eq!(got[1].0[10..], [6, 0], "six buffers");
    // From the second buffer on there is no header.
    let mut all = got[1].1.clone();
    got[2..].iter().for_each(|(front, rest)| all.extend([front.as_slice(), rest.as_slice()].concat()));
    assert_eq!(all, large);
    assert_eq!(port.stat("tx_ring_full"), 1);

    // What there are not enough buffers for is not begun.
    guest.make_room(2, 1000);
    assert_eq!(port.tx(&[&large]), 0);
    assert_eq!(guest.receive().len(), 0);
    guest.make_room(4, 1000);
    assert_eq!(port.tx(&[&large]), 1);
    assert_eq!(guest.receive().len(), 6);
}

#[test]
fn without_mergeable_buffers_a_packet_that_is_too_long_is_lost_and_the_next_is_not() {
    let (mut port, mut guest) = with(VERSION_1);
    guest.make_room(2, 1530);
    let (large, small) = (experimental(1, 1600), experimental(2, 1518));
    assert_eq!(port.tx(&[&large, &small]), 1);
    let got = guest.receive();
    assert_eq!(got.len(), 1, "the buffer that was too small serves the next");
    assert_eq!(got[0].1, small);
    assert_eq!(port.stat("tx_too_long"), 1);
    // A chain of buffers takes it.
    let offset = guest.buffer(0, 10);
    guest.used(0);
    guest.add(0, &[(GUEST + offset, 12), (GUEST + offset + 12, 1000), (GUEST + offset + 1012, 1000)], WRITE);
    guest.publish(0);
    // One buffer of 1530 is left in front.
    assert_eq!(port.tx(&[&small, &large]), 2);
    assert_eq!(guest.read(offset + 12, 1600), large);
}

#[test]
fn when_the_guest_has_no_buffers_packets_wait_for_nobody() {
    let (mut port, mut guest) = with(VERSION_1);
    let frame = experimental(1, 60);
    assert_eq!(port.tx(&[&frame, &frame]), 0);
    assert_eq!(port.stat("tx_ring_full"), 2);
    guest.make_room(1, 2048);
    assert_eq!(port.tx(&[&frame, &frame]), 1);
    assert_eq!(port.device.link(), Link::Up);
}

#[test]
fn a_buffer_at_the_border_of_two_regions_is_good_and_one_over_it_is_not() {
    let (mut port, mut guest) = with(VERSION_1);
    let border = MEMORY - TAIL;
    let frame = experimental(4, 88);
    for offset in [border - 100, border] {
        guest.write(offset, &[vec![0; 12], frame.clone()].concat());
        guest.add(1, &[(GUEST + offset, 100)], 0);
        guest.publish(1);
        assert_eq!(received(&mut port, 1), [&frame[..]]);
    }
    guest.add(1, &[(GUEST + border - 99, 100)], 0);
    guest.publish(1);
    until("the ring to end", || port.rx().is_empty() && port.device.link() == Link::Down);
    assert_eq!(port.stat("ring_violations"), 1);
}

#[test]
fn an_empty_pool_leaves_packets_with_the_guest() {
    use millrace_engine::memory::HugePages;
    use millrace_engine::{Pool, Waker};
    let path = socket_path();
    let pool = Pool::new(40, HugePages::Off).unwrap();
    let context = millrace_io::Context { pool, changed: Waker::new().unwrap() };
    let device = millrace_io::open(&spec(&path, millrace_io::Role::Server, 1, true), "port", &context).unwrap();
    let mut port = Port::new(device, pool);
    let mut guest = Guest::on(&path, VERSION_1, &*port.device);
    let mut held = [0; 30];
    assert_eq!(pool.take(&mut held), 30);
    let frames: Vec<_> = (0..30).map(|n| experimental(n, 60)).collect();
    frames.iter().for_each(|frame| guest.send(frame));
    // A burst has ten cells.
    assert_eq!(received(&mut port, 30), frames);
    // SAFETY: taken above.
    unsafe { pool.put(&held) };
}
