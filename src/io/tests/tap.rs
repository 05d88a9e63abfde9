//! tap against the kernel whose interface it is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use millrace_engine::device::Wake;
use millrace_io::{Link, derived_mac, open};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// Gives the kernel's end an address, and a neighbour that has the port's.
fn address(port: &Port, device: &str, net: &str) {
    let mac = port.device.mac().unwrap().map(|b| format!("{b:02x}")).join(":");
    ip(&format!("address add {net}.1/24 dev {device}"));
    ip(&format!("neighbor add {net}.2 lladdr {mac} dev {device}"));
}

#[test]
fn the_device_is_made_and_goes_with_its_queues() {
    in_namespace(|| {
        let mut port = Port::open(&tap("mr-lan", 1));
        let shown = run("ip", "-d link show dev mr-lan");
        assert!(shown.contains("UP") && shown.contains("tap") && shown.contains("multi_queue"), "{shown}");
        until("the link", || port.device.link() == Link::Up);
        assert_eq!(port.device.mac(), Some(derived_mac("port")));
        let kernel = run("ip", "-br link show dev mr-lan");
        let ours = derived_mac("port").map(|b| format!("{b:02x}")).join(":");
        assert!(!kernel.contains(&ours), "the ends differ: {kernel}");

        let range = port.device.mtu_range();
        assert!(range.contains(&9000), "{range:?}");
        port.device.set_mtu(9000).unwrap();
        assert!(run("ip", "link show dev mr-lan").contains("mtu 9000"));
        assert!(port.device.set_mtu(65_536).is_err());

        drop(port);
        assert_eq!(run("ip", "-br link").matches("mr-lan").count(), 0);
    });
}

#[test]
fn frames_pass_both_ways() {
    in_namespace(|| {
        let mut port = Port::open(&tap("mr-lan", 1));
        address(&port, "mr-lan", "10.8.0");
        port.device.set_mtu(9000).unwrap();
        let socket = UdpSocket::bind("10.8.0.1:5000").unwrap();
        for len in [1, 1000, 8972] {
            socket.send_to(&vec![b'x'; len], "10.8.0.2:6000").unwrap();
            let frame = port.wait_for(1, |f| f.len() == len + 42).remove(0);
            assert_eq!(frame[..6], derived_mac("port"));
            assert!(checksums_ok(&frame) && frame[40..42] != [0, 0], "the checksum is not left out");
            // Back it goes: ends swapped, which leaves the checksum right.
            let mut back = frame.clone();
            for (a, b, n) in [(0, 6, 6), (26, 30, 4), (34, 36, 2)] {
                back[a..a + n].copy_from_slice(&frame[b..b + n]);
                back[b..b + n].copy_from_slice(&frame[a..a + n]);
            }
            assert_eq!(port.tx(&[&back]), 1);
            let mut got = [0; 10_000];
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            assert_eq!(socket.recv(&mut got).unwrap(), len);
            assert!(got[..len].iter().all(|b| *b == b'x'));
        }
        assert_eq!(port.stat("rx_checksums_completed"), 3);
    });
}

#[test]
fn a_burst_is_taken_in_steps() {
    in_namespace(|| {
        let mut port = Port::open(&tap("mr-lan", 1));
        address(&port, "mr-lan", "10.8.0");
        let socket = UdpSocket::bind("10.8.0.1:5000").unwrap();
        let size: libc::c_int = 100;
        let value = std::ptr::from_ref(&size).cast();
        // SAFETY: the kernel reads an int.
        let set = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, value, 4) };
        assert_eq!(set, 0);
        // Four large packets of 120 segments each: the third doesn't fit into the first burst as a whole.
        let data: Vec<u8> = (0..12_000).map(|i| (i % 253) as u8).collect();
        for _ in 0..4 {
            assert_eq!(socket.send_to(&data, "10.8.0.2:6000").unwrap(), data.len());
        }
        let mut first = port.wait_for(1, |_| true);
        assert_eq!(first.len(), 256);
        assert_eq!(port.rx.wake(), Wake::Poll, "there is more, of which the descriptor knows nothing");
        first.extend(port.wait_for(480 - 256, |_| true));
        assert!(matches!(port.rx.wake(), Wake::Fd(_)));
        let udp: Vec<_> = first.iter().filter(|f| f.get(12..14) == Some(&[8, 0])).collect();
        assert!(udp.iter().all(|f| checksums_ok(f)));
        assert!(udp.iter().flat_map(|f| &f[42..]).eq(data.iter().cycle().take(48_000)));
        assert_eq!(port.stat("rx_segments_cut"), 480);
    });
}

#[test]
fn tcp_with_segmentation_offload_passes_a_bridge() {
    in_namespace(|| {
        let ports = [Port::open(&tap("t1", 1)), Port::open(&tap("t2", 1))];
        let ports = transfer(ports, ["t1", "t2"], 1500);
        assert!(ports[0].stat("rx_segments_cut") > 10_000, "the sender left segmentation to us");
    });
}

#[test]
fn off_is_not_gone_and_gone_is_told() {
    in_namespace(|| {
        let mut port = Port::open(&tap("mr-lan", 1));
        let frame = experimental(1, 60);
        until("the link", || port.device.link() == Link::Up);
        assert_eq!(port.tx(&[&frame]), 1);
        ip("link set dev mr-lan down");
        assert_eq!(port.device.link(), Link::Down);
        assert_eq!(port.tx(&[&frame, &frame]), 0);
        assert_eq!(port.stat("tx_device_down"), 2);
        // No error, and nothing but what the kernel said in IPv6 before.
        assert!(!port.rx().iter().any(|frame| is_experimental(frame)));
        ip("link set dev mr-lan up");
        until("the link", || port.device.link() == Link::Up);
        assert_eq!(port.tx(&[&frame]), 1);

        ip("link delete dev mr-lan");
        assert_eq!(port.device.link(), Link::Missing);
        assert!(port.burst.rx(&mut *port.rx).is_err());
        assert!(port.burst.tx(&mut *port.tx, &[&frame]).is_err());
        drop(port);
        // Opening it again makes it again.
        assert_eq!(Port::open(&tap("mr-lan", 1)).tx(&[&frame]), 1);
    });
}

#[test]
fn queues_share_flows() {
    in_namespace(|| {
        let mut device = open(&tap("mr-lan", 2), "port", &context()).unwrap();
        let pairs = device.queues(3).unwrap();
        let is_there: Vec<_> = pairs.iter().map(|p| (p.rx.is_some(), p.tx.is_some())).collect();
        assert_eq!(is_there, [(true, true), (true, true), (false, true)]);
        ip("address add 10.8.0.1/24 dev mr-lan");
        ip("neighbor add 10.8.0.2 lladdr 02:00:00:00:00:02 dev mr-lan");
        let mut queues: Vec<_> = pairs.into_iter().filter_map(|p| p.rx).collect();
        for _ in 0..64 {
            UdpSocket::bind("10.8.0.1:0").unwrap().send_to(&[1; 10], "10.8.0.2:9").unwrap();
        }
        let mut burst = millrace_engine::device::TestBurst::new(pool());
        let mut got = [0, 0];
        until("64 packets", || {
            for (sum, queue) in got.iter_mut().zip(&mut queues) {
                *sum += burst.rx(&mut **queue).unwrap().iter().filter(|f| f.len() == 52).count();
            }
            got[0] + got[1] == 64
        });
        assert!(got[0] > 5 && got[1] > 5, "{got:?}");
    });
}

#[test]
fn with_fewer_workers_than_queues_nothing_goes_where_nobody_reads() {
    in_namespace(|| {
        let mut port = Port::open(&tap("mr-lan", 4));
        address(&port, "mr-lan", "10.8.0");
        for _ in 0..64 {
            UdpSocket::bind("10.8.0.1:0").unwrap().send_to(&[1; 10], "10.8.0.2:9").unwrap();
        }
        assert_eq!(port.wait_for(64, |f| f.len() == 52).len(), 64);
    });
}

#[test]
fn a_device_made_by_somebody_else_is_used_and_left() {
    in_namespace(|| {
        ip("tuntap add dev mine mode tap");
        let mut port = Port::open(&tap("mine", 1));
        assert_eq!(port.tx(&[&experimental(1, 60)]), 1);
        let busy = open(&tap("mine", 1), "other", &context()).map(drop).unwrap_err();
        assert_eq!(busy.to_string(), "mine: another program has it");
        drop(port);
        assert!(run("ip", "-br link").contains("mine"));
        veth("a", "b");
        let error = open(&tap("a", 1), "other", &context()).map(drop).unwrap_err();
        assert!(error.to_string().contains("no tap device"), "{error}");
        assert!(open(&tap("a-name-too-long-for-it", 1), "other", &context()).map(drop).is_err());
    });
}
