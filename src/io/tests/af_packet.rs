//! af-packet against the kernel: what a Linux host sends comes in as it would be on a wire, and what is sent arrives.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use millrace_engine::device::{TestBurst, Wake};
use millrace_io::{Link, open};
use std::net::UdpSocket;

/// A wire whose one end is a port and whose other end is the kernel's, with an address and a neighbour.
fn host_and_port(mtu: u32) -> Port {
    veth("host", "wire");
    ip(&format!("link set dev host mtu {mtu}"));
    ip(&format!("link set dev wire mtu {mtu}"));
    ip("address add 10.9.0.1/24 dev host");
    ip("neighbor add 10.9.0.2 lladdr 02:00:00:00:00:02 dev host");
    Port::open(&af_packet("wire", 1))
}

#[test]
fn frames_pass_both_ways_unchanged() {
    in_namespace(|| {
        veth("a", "b");
        let (mut a, mut b) = (Port::open(&af_packet("a", 1)), Port::open(&af_packet("b", 1)));
        for lens in [vec![14, 60, 61, 1514], (60..316).collect(), vec![1500; 200]] {
            let frames: Vec<_> = lens.iter().map(|len| experimental(1, *len)).collect();
            let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            assert_eq!(a.tx(&slices), frames.len());
            assert_eq!(b.wait_for(frames.len(), is_experimental), frames);
        }
        assert!(!a.rx().iter().any(|f| is_experimental(f)), "what a sends it does not hear");
        assert_eq!(a.stat("tx_system_calls"), 3, "one a burst");
        assert!(b.stat("rx_kernel_packets") >= 460);
        assert_eq!(b.stat("rx_ring_full"), 0);
    });
}

#[test]
fn what_the_kernel_sends_by_the_same_device_is_not_received() {
    in_namespace(|| {
        let mut port = host_and_port(1500);
        let mut host = Port::open(&af_packet("host", 1));
        let socket = UdpSocket::bind("10.9.0.1:5000").unwrap();
        for _ in 0..300 {
            socket.send_to(&[0; 10], "10.9.0.2:6000").unwrap();
        }
        assert_eq!(port.wait_for(300, |f| f.len() == 52).len(), 300);
        assert!(!host.rx().iter().any(|f| f.len() == 52));
        assert!(host.stat("rx_kernel_packets") < 100, "nor does it take up the ring");
    });
}

#[test]
fn a_ring_that_nobody_empties_counts_what_it_loses() {
    in_namespace(|| {
        veth("a", "b");
        let (mut a, mut b) = (Port::open(&af_packet("a", 1)), Port::open(&af_packet("b", 1)));
        let frame = experimental(1, 60);
        for _ in 0..20 {
            assert_eq!(a.tx(&[&frame[..]; 256]), 256);
        }
        let mut got = 0;
        until("all frames", || {
            got += b.rx().iter().filter(|f| is_experimental(f)).count();
            got as u64 + b.stat("rx_ring_full") >= 20 * 256
        });
        assert!((4000..=4096).contains(&got), "the ring holds 4096: {got}");
    });
}

#[test]
fn checksums_left_to_hardware_are_completed() {
    in_namespace(|| {
        let mut port = host_and_port(1500);
        let socket = UdpSocket::bind("10.9.0.1:5000").unwrap();
        socket.send_to(b"without a checksum so far", "10.9.0.2:6000").unwrap();
        let frame = port.wait_for(1, |f| f.len() == 67).remove(0);
        assert!(checksums_ok(&frame) && frame[40..42] != [0, 0], "{frame:02x?}");
        assert_eq!(port.stat("rx_checksums_completed"), 1);
    });
}

#[test]
fn large_packets_are_cut_to_the_size_of_the_wire() {
    in_namespace(|| {
        let mut port = host_and_port(1500);
        let socket = UdpSocket::bind("10.9.0.1:5000").unwrap();
        let size: libc::c_int = 1000;
        use std::os::fd::AsRawFd;
        let value = std::ptr::from_ref(&size).cast();
        // SAFETY: the kernel reads an int.
        let set = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, value, 4) };
        assert_eq!(set, 0);
        let data: Vec<u8> = (0..30_500).map(|i| (i % 253) as u8).collect();
        assert_eq!(socket.send_to(&data, "10.9.0.2:6000").unwrap(), data.len());
        let frames = port.wait_for(31, |f| f.get(12..14) == Some(&[8, 0]));
        assert!(frames.iter().all(|f| checksums_ok(f)));
        assert_eq!(frames.iter().flat_map(|f| &f[42..]).copied().collect::<Vec<_>>(), data);
        assert_eq!((port.stat("rx_large_packets"), port.stat("rx_segments_cut")), (1, 31));
    });
}

/// Two hosts with all offloads of veth left on, and a bridge of two ports between them; large packets that came, and the segments
/// that they were cut into.
fn bridged_transfer(mtu: u32) -> (u64, u64) {
    in_namespace(|| {
        veth("h1", "w1");
        veth("h2", "w2");
        for device in ["h1", "w1", "h2", "w2"] {
            ip(&format!("link set dev {device} mtu {mtu}"));
        }
        let ports = [Port::open(&af_packet("w1", 1)), Port::open(&af_packet("w2", 1))];
        let ports = transfer(ports, ["h1", "h2"], mtu as usize);
        (ports[0].stat("rx_large_packets"), ports[0].stat("rx_segments_cut"))
    })
}

#[test]
fn tcp_with_segmentation_offload_passes_a_bridge() {
    let (large, cut) = bridged_transfer(1500);
    assert!(large > 100 && cut > 10_000, "the peer did send large packets: {large}, cut into {cut}");
}

#[test]
fn jumbo_frames_pass_a_bridge() {
    let (large, cut) = bridged_transfer(9000);
    assert!(large > 50 && cut > 1000, "{large}, cut into {cut}");
}

#[test]
fn jumbo_frames_are_chains() {
    in_namespace(|| {
        veth("a", "b");
        ip("link set dev a mtu 9000");
        ip("link set dev b mtu 1500");
        // The ring was laid out for small frames: long ones come another way.
        let (mut a, mut b) = (Port::open(&af_packet("a", 1)), Port::open(&af_packet("b", 1)));
        b.device.set_mtu(9000).unwrap();
        assert!(run("ip", "link show dev b").contains("mtu 9000"));
        let frames: Vec<_> = [9014, 60, 2049, 4096, 1980, 2048].map(|len| experimental(1, len)).to_vec();
        let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        assert_eq!(a.tx(&slices), frames.len());
        assert_eq!(b.wait_for(frames.len(), is_experimental), frames, "in order");
        // One that the wire doesn't take is no reason to keep back the others.
        b.device.set_mtu(1500).unwrap();
        assert!(run("ip", "link show dev b").contains("mtu 9000"), "the kernel's own MTU is never lowered");
        ip("link set dev b mtu 1500");
        assert_eq!(b.tx(&slices), 1);
        assert_eq!(b.stat("tx_too_long"), 5);
    });
}

#[test]
fn tags_are_put_back() {
    in_namespace(|| {
        veth("a", "b");
        let (mut a, mut b) = (Port::open(&af_packet("a", 1)), Port::open(&af_packet("b", 1)));
        // The kernel takes the outer tag off before any packet socket sees the frame.
        let tagged = |protocol: [u8; 2], control: [u8; 2], len| {
            let mut frame = experimental(1, len);
            frame.splice(12..12, [protocol, control].concat());
            frame
        };
        let frames = [
            tagged([0x81, 0x00], [0x00, 0x05], 1514),
            tagged([0x88, 0xa8], [0xb0, 0x64], 1500),
            tagged([0x81, 0x00], [0x00, 0x00], 60),
            experimental(1, 60),
        ];
        let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        assert_eq!(a.tx(&slices), frames.len());
        assert_eq!(b.wait_for(frames.len(), |f| f[6..12] == frames[0][6..12]), frames);
    });
}

#[test]
fn queues_share_flows_and_no_frame_comes_twice() {
    in_namespace(|| {
        veth("host", "wire");
        ip("address add 10.9.0.1/24 dev host");
        ip("neighbor add 10.9.0.2 lladdr 02:00:00:00:00:02 dev host");
        let mut device = open(&af_packet("wire", 2), "port", &context()).unwrap();
        let pairs = device.queues(3).unwrap();
        let is_there: Vec<_> = pairs.iter().map(|p| (p.rx.is_some(), p.tx.is_some())).collect();
        assert_eq!(is_there, [(true, true), (true, true), (false, true)]);
        assert_eq!(device.info().queues, 2);
        let mut queues: Vec<_> = pairs.into_iter().filter_map(|p| p.rx).collect();
        for _ in 0..64 {
            UdpSocket::bind("10.9.0.1:0").unwrap().send_to(&[1; 10], "10.9.0.2:9").unwrap();
        }
        let mut burst = TestBurst::new(pool());
        let mut got = [0, 0];
        until("64 packets", || {
            for (sum, queue) in got.iter_mut().zip(&mut queues) {
                *sum += burst.rx(&mut **queue).unwrap().iter().filter(|f| f.len() == 52).count();
            }
            got[0] + got[1] == 64
        });
        assert!(got[0] > 5 && got[1] > 5, "{got:?}");
        for queue in &mut queues {
            assert!(burst.rx(&mut **queue).unwrap().is_empty());
        }
    });
}

#[test]
fn down_is_not_gone() {
    in_namespace(|| {
        veth("a", "b");
        let (mut a, mut b) = (Port::open(&af_packet("a", 1)), Port::open(&af_packet("b", 1)));
        let watch = millrace_io::link_watch().unwrap();
        until("the link", || a.device.link() == Link::Up && b.device.link() == Link::Up);
        let frame = experimental(1, 60);

        ip("link set dev b down");
        // The kernel may still have told of the link that came up.
        let told = || readable(&watch) && watch.drain().unwrap();
        until("word of it", || told() && a.device.link() == Link::Down && b.device.link() == Link::Down);
        for _ in 0..2000 {
            assert!(b.rx().is_empty());
        }
        assert_eq!(b.tx(&[&frame]), 0, "not sent, and no error");
        assert_eq!(b.stat("tx_device_down"), 1);

        ip("link set dev b up");
        until("the link", || a.device.link() == Link::Up && b.device.link() == Link::Up);
        assert_eq!((a.tx(&[&frame]), b.tx(&[&frame])), (1, 1));
        assert_eq!(b.wait_for(1, is_experimental).len(), 1);
        assert_eq!(a.wait_for(1, is_experimental).len(), 1);
    });
}

/// Whether something came to the descriptor, in time.
fn readable(fd: &impl std::os::fd::AsRawFd) -> bool {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd.
    let n = unsafe { libc::poll(&mut poll, 1, PATIENCE.as_millis() as i32) };
    n == 1 && poll.revents & libc::POLLIN != 0
}

#[test]
fn gone_is_told_and_can_come_back() {
    in_namespace(|| {
        assert!(is_missing(open(&af_packet("b", 1), "port", &context())));
        veth("a", "b");
        let mut port = Port::open(&af_packet("b", 1));
        let watch = millrace_io::link_watch().unwrap();
        ip("link delete dev a");
        assert!(readable(&watch));
        until("an error", || port.burst.rx(&mut *port.rx).is_err());
        assert_eq!(port.device.link(), Link::Missing);
        assert!(port.burst.tx(&mut *port.tx, &[&experimental(1, 60)]).is_err());
        assert!(port.device.set_mtu(1400).is_err());
        assert!(is_missing(open(&af_packet("b", 1), "port", &context())));

        // Slowly: it goes down, that is noticed, and then it is removed, of which the socket is not told.
        veth("a", "b");
        let mut slow = Port::open(&af_packet("b", 1));
        ip("link set dev b down");
        for _ in 0..1000 {
            assert!(slow.burst.rx(&mut *slow.rx).is_ok());
        }
        ip("link delete dev a");
        until("an error", || slow.burst.rx(&mut *slow.rx).is_err());

        // Another device of the same name is another device.
        veth("a", "b");
        assert_eq!(port.device.link(), Link::Missing);
        let (mut a, mut b) = (Port::open(&af_packet("a", 1)), Port::open(&af_packet("b", 1)));
        assert_eq!(a.tx(&[&experimental(1, 60)]), 1);
        assert_eq!(b.wait_for(1, is_experimental).len(), 1);
    });
}

#[test]
fn a_sleeper_is_woken_by_a_packet_and_by_the_end() {
    in_namespace(|| {
        veth("a", "b");
        let (mut a, mut b) = (Port::open(&af_packet("a", 1)), Port::open(&af_packet("b", 1)));
        while !b.rx().is_empty() {}
        let Wake::Fd(fd) = b.rx.wake() else { panic!("a packet socket has a descriptor") };
        let wait = |timeout| {
            let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd.
            unsafe { libc::poll(&mut poll, 1, timeout) };
            poll.revents
        };
        assert_eq!(wait(0), 0);
        a.tx(&[&experimental(1, 60)]);
        assert_eq!(wait(10_000), libc::POLLIN);
        assert_eq!(b.wait_for(1, is_experimental).len(), 1);
        ip("link set dev b down");
        assert_ne!(wait(10_000) & libc::POLLERR, 0);
        // Polling a few times takes note of it, and the worker can sleep again.
        for _ in 0..300 {
            b.rx();
        }
        assert_eq!(wait(0), 0);
    });
}

#[test]
fn what_cannot_be_opened_says_why() {
    in_namespace(|| {
        let refused = open(&af_packet("lo", 1), "port", &context()).map(drop);
        assert!(refused.is_ok(), "the loopback device has an Ethernet address, of zeros");
        ip("link add name a type veth peer name b");
        let device = open(&af_packet("a", 1), "port", &context()).unwrap();
        assert_eq!(device.link(), Link::Down);
        assert!(device.mtu_range().contains(&9000));
        assert_eq!((device.info().driver, device.info().modes[0].1.as_str()), ("af-packet", "veth"));
        ip("tuntap add dev t3 mode tun");
        let error = open(&af_packet("t3", 1), "port", &context()).map(drop).unwrap_err();
        assert_eq!(error.to_string(), "t3: not an Ethernet device");
    });
}
