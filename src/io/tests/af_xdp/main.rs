//! af-xdp against the kernel: what a Linux host sends comes in as it would be on a wire, what is sent arrives, nothing stays behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod programs;

use common::*;
use millrace_engine::Pool;
use millrace_engine::device::{TestBurst, Wake};
use millrace_engine::memory::HugePages;
use millrace_io::{AfXdp, Context, Link, Spec, XdpMode, ZeroCopy, open};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

const MODES: [XdpMode; 2] = [XdpMode::Native, XdpMode::Generic];

fn xdp(device: &str, mode: XdpMode) -> AfXdp {
    let device = device.to_owned();
    AfXdp { device, queues: 1, mode, zero_copy: ZeroCopy::Auto, busy_poll: false, ring_size: 512 }
}

fn port(device: &str, mode: XdpMode) -> Port {
    Port::open(&Spec::AfXdp(xdp(device, mode)))
}

fn mode_of(port: &Port, key: &str) -> String {
    let modes = port.device.info().modes;
    modes.into_iter().find(|(name, _)| *name == key).unwrap_or_else(|| panic!("no {key}")).1
}

/// Why a device can't be opened.
fn refusal(spec: AfXdp) -> String {
    open(&Spec::AfXdp(spec), "port", &context()).map(drop).unwrap_err().to_string()
}

/// A wire whose one end is a port and whose other end is the kernel's, with an address, a neighbour, and all offloads on.
fn host_and_port(mode: XdpMode, mtu: u32) -> Port {
    veth("host", "wire");
    ip(&format!("link set dev host mtu {mtu}"));
    ip(&format!("link set dev wire mtu {mtu}"));
    ip("address add 10.9.0.1/24 dev host");
    ip("neighbor add 10.9.0.2 lladdr 02:00:00:00:00:02 dev host");
    port("wire", mode)
}

#[test]
fn frames_pass_both_ways_unchanged() {
    for mode in MODES {
        in_namespace(|| {
            veth("a", "b");
            let (mut a, mut b) = (port("a", mode), port("b", mode));
            for round in 0..8 {
                for lens in [vec![14, 60, 61, 1514], (60..316).collect(), vec![1500; 200]] {
                    let frames: Vec<_> = lens.iter().map(|len| experimental(round, *len)).collect();
                    let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
                    assert_eq!(a.tx(&slices), frames.len());
                    assert_eq!(b.wait_for(frames.len(), is_experimental), frames);
                    assert_eq!(b.tx(&slices), frames.len());
                    assert_eq!(a.wait_for(frames.len(), is_experimental), frames);
                }
            }
            assert_eq!(a.stat("tx_system_calls"), 24, "one a burst");
            assert_eq!((a.stat("tx_socket_packets"), b.stat("tx_socket_packets")), (8 * 460, 8 * 460));
            for lost in
                ["rx_no_buffer", "rx_ring_full", "tx_invalid", "tx_device_full", "rx_bad_descriptors", "rx_too_long"]
            {
                assert_eq!(a.stat(lost) + b.stat(lost), 0, "{lost}");
            }
        });
    }
}

#[test]
fn what_is_in_force_is_told() {
    in_namespace(|| {
        veth("a", "b");
        for (mode, word) in [(XdpMode::Auto, "native"), (XdpMode::Native, "native"), (XdpMode::Generic, "generic")] {
            let a = port("a", mode);
            assert_eq!(mode_of(&a, "mode"), word);
            let why =
                if word == "native" { "copy: veth has no zero copy" } else { "copy: there is none in generic mode" };
            assert_eq!(mode_of(&a, "memory"), why);
            assert_eq!(mode_of(&a, "packets"), "of one or several cells");
            assert_eq!((a.device.info().driver, a.device.info().queues), ("af-xdp", 1));
        }
        // The driver of this one runs no programs.
        ip("link add name d type bridge");
        ip("link set dev d up");
        let d = port("d", XdpMode::Auto);
        assert!(mode_of(&d, "mode").starts_with("generic: "), "{}", mode_of(&d, "mode"));
    });
}

/// What goes by one port leaves by another from where it lies, for as long as one likes, and every cell comes back.
#[test]
fn every_cell_comes_back() {
    for mode in MODES {
        in_namespace(|| {
            veth("h1", "w1");
            veth("h2", "w2");
            let pool = Pool::new(4096, HugePages::Off).unwrap();
            let context = Context { pool, ..context() };
            let open = |device: &str| {
                let spec = AfXdp { ring_size: 256, ..xdp(device, mode) };
                Port::new(open(&Spec::AfXdp(spec), "port", &context).unwrap(), pool)
            };
            let (mut w1, mut w2) = (open("w1"), open("w2"));
            let (mut h1, mut h2) = (Port::open(&af_packet("h1", 1)), Port::open(&af_packet("h2", 1)));
            let frames: Vec<_> = (0..100).map(|n| experimental(n, 60 + usize::from(n) * 14)).collect();
            let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            for _ in 0..100 {
                assert_eq!(h1.tx(&slices), slices.len());
                let got = w1.wait_for(frames.len(), is_experimental);
                let got: Vec<&[u8]> = got.iter().map(Vec::as_slice).collect();
                assert_eq!(w2.tx(&got), slices.len());
                assert_eq!(h2.wait_for(frames.len(), is_experimental), frames);
            }
            until("what is sent", || !w2.burst.reclaim(&mut *w2.tx));
            drop((w1, w2));
            assert_eq!(pool.usage().in_use, 0);
            #[cfg(debug_assertions)]
            assert!(pool.owned().is_empty());
        });
    }
}

#[test]
fn jumbo_frames_are_chains() {
    for mode in MODES {
        in_namespace(|| {
            veth("a", "b");
            ip("link set dev a mtu 9000");
            let (mut a, mut b) = (port("a", mode), port("b", mode));
            b.device.set_mtu(9000).unwrap();
            assert!(run("ip", "link show dev b").contains("mtu 9000"));
            let lens = [9014, 60, 1984, 1985, 2049, 4096, 3968, 3969, 1980];
            let frames: Vec<_> = lens.map(|len| experimental(1, len)).to_vec();
            let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            for _ in 0..100 {
                assert_eq!(a.tx(&slices), frames.len());
                assert_eq!(b.wait_for(frames.len(), is_experimental), frames, "in order");
            }
            assert_eq!((b.stat("rx_too_long"), b.stat("rx_no_buffer")), (0, 0));
        });
    }
}

#[test]
fn checksums_left_to_hardware_are_completed() {
    for mode in MODES {
        in_namespace(|| {
            let mut port = host_and_port(mode, 1500);
            let socket = UdpSocket::bind("10.9.0.1:5000").unwrap();
            for n in 0..300 {
                socket.send_to(&vec![n as u8; n], "10.9.0.2:6000").unwrap();
            }
            let frames = port.wait_for(300, |f| f.get(12..14) == Some(&[8, 0]) && f[23] == 17);
            assert!(frames.iter().all(|f| checksums_ok(f) && f[40..42] != [0, 0]));
            assert!(port.stat("rx_checksums_completed") >= 300);
        });
    }
}

#[test]
fn large_datagrams_are_cut_by_the_kernel_in_native_mode_and_dropped_in_generic() {
    for mode in MODES {
        in_namespace(|| {
            let mut port = host_and_port(mode, 1500);
            let socket = UdpSocket::bind("10.9.0.1:5000").unwrap();
            let size: libc::c_int = 1000;
            let value = std::ptr::from_ref(&size).cast();
            // SAFETY: the kernel reads an int.
            let set = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, value, 4) };
            assert_eq!(set, 0);
            let data: Vec<u8> = (0..30_500).map(|i| (i % 253) as u8).collect();
            assert_eq!(socket.send_to(&data, "10.9.0.2:6000").unwrap(), data.len());
            if mode == XdpMode::Generic {
                // How long the datagrams were to be, only the sender knows.
                until("the packet", || port.rx().is_empty() && port.stat("rx_too_long") == 1);
                return;
            }
            let frames = port.wait_for(31, |f| f.get(12..14) == Some(&[8, 0]));
            assert!(frames.iter().all(|f| checksums_ok(f)));
            assert_eq!(frames.iter().flat_map(|f| &f[42..]).copied().collect::<Vec<_>>(), data);
        });
    }
}

/// Two hosts with all offloads of veth left on, and a bridge of two ports between them; checksums completed, and segments cut.
fn bridged_transfer(mode: XdpMode, mtu: u32) -> (u64, u64) {
    in_namespace(|| {
        veth("h1", "w1");
        veth("h2", "w2");
        for device in ["h1", "w1", "h2", "w2"] {
            ip(&format!("link set dev {device} mtu {mtu}"));
        }
        let ports = ["w1", "w2"].map(|device| port(device, mode));
        let ports = transfer(ports, ["h1", "h2"], mtu as usize);
        (ports[0].stat("rx_checksums_completed"), ports[0].stat("rx_segments_cut"))
    })
}

#[test]
fn tcp_with_offloads_passes_a_bridge() {
    let (completed, cut) = bridged_transfer(XdpMode::Native, 1500);
    assert!(completed > 10_000 && cut == 0, "{completed} completed, {cut} cut");
    let (completed, cut) = bridged_transfer(XdpMode::Generic, 1500);
    assert!(cut > 10_000, "{completed} completed, {cut} cut");
}

#[test]
fn jumbo_tcp_passes_a_bridge() {
    let (completed, cut) = bridged_transfer(XdpMode::Native, 9000);
    assert!(completed > 1000 && cut == 0, "{completed} completed, {cut} cut");
    let (_, cut) = bridged_transfer(XdpMode::Generic, 9000);
    assert!(cut > 1000, "{cut} cut");
}

#[test]
fn queues_are_those_of_the_device() {
    in_namespace(|| {
        ip("link add name host numtxqueues 2 numrxqueues 2 type veth peer name wire numtxqueues 2 numrxqueues 2");
        for device in ["host", "wire"] {
            run("ethtool", &format!("-L {device} rx 2 tx 2"));
            ip(&format!("link set dev {device} up"));
        }
        let refusal = refusal(AfXdp { queues: 3, ..xdp("wire", XdpMode::Auto) });
        assert!(refusal.starts_with("wire: it has 2 receive queues, not 3; "), "{refusal}");
        ip("address add 10.9.0.1/24 dev host");
        ip("neighbor add 10.9.0.2 lladdr 02:00:00:00:00:02 dev host");
        {
            let one = port("wire", XdpMode::Auto);
            let notes = one.device.info().notes;
            assert!(notes.iter().any(|n| n.starts_with("1 of 2 receive queues are used")), "{notes:?}");
        }
        let context = context();
        let mut device =
            open(&Spec::AfXdp(AfXdp { queues: 2, ..xdp("wire", XdpMode::Auto) }), "port", &context).unwrap();
        let pairs = device.queues(3).unwrap();
        assert_eq!((pairs.len(), device.info().queues, device.info().notes), (2, 2, vec![]));
        let mut queues: Vec<_> = pairs.into_iter().filter_map(|p| p.rx).collect();
        for _ in 0..64 {
            UdpSocket::bind("10.9.0.1:0").unwrap().send_to(&[1; 10], "10.9.0.2:9").unwrap();
        }
        let mut burst = TestBurst::new(context.pool);
        let mut got = [0, 0];
        until("64 packets", || {
            for (sum, queue) in got.iter_mut().zip(&mut queues) {
                *sum += burst.rx(&mut **queue).unwrap().iter().filter(|f| f.len() == 52).count();
            }
            got[0] + got[1] == 64
        });
        let told = device.info().modes.into_iter().find(|(key, _)| *key == "per queue").unwrap().1;
        assert!(told.starts_with("0: ") && told.contains("; 1: "), "{told}");
    });
}

#[test]
fn down_is_not_gone() {
    for mode in MODES {
        in_namespace(|| {
            veth("a", "b");
            let (mut a, mut b) = (port("a", mode), port("b", mode));
            until("the link", || a.device.link() == Link::Up && b.device.link() == Link::Up);
            let frame = experimental(1, 60);

            ip("link set dev b down");
            until("word of it", || a.device.link() == Link::Down && b.device.link() == Link::Down);
            for _ in 0..2000 {
                assert!(b.rx().is_empty());
            }
            assert_eq!(b.tx(&[&frame, &frame]), 0, "not sent, and no error");
            assert_eq!(b.stat("tx_device_down"), 2);
            assert_eq!(a.tx(&[&frame, &frame]), 0, "not sent, and no error");
            assert_eq!(a.stat("tx_device_full"), 2);

            ip("link set dev b up");
            until("the link", || a.device.link() == Link::Up && b.device.link() == Link::Up);
            let other = experimental(2, 61);
            assert_eq!((a.tx(&[&other]), b.tx(&[&other])), (1, 1));
            assert_eq!(b.wait_for(1, is_experimental), [&other[..]], "what was dropped stays so");
            assert_eq!(a.wait_for(1, is_experimental), [&other[..]]);
        });
    }
}

#[test]
fn gone_is_told_and_can_come_back() {
    for mode in MODES {
        in_namespace(|| {
            assert!(is_missing(open(&Spec::AfXdp(xdp("b", mode)), "port", &context())));
            veth("a", "b");
            let context = context();
            let open_b = || Port::new(open(&Spec::AfXdp(xdp("b", mode)), "port", &context).unwrap(), context.pool);
            let mut port = open_b();
            let watch = millrace_io::link_watch().unwrap();
            assert_eq!(port.tx(&[&experimental(1, 60)]), 1);
            ip("link delete dev a");
            until("word of it", || watch.drain().unwrap());
            until("an error", || port.burst.rx(&mut *port.rx).is_err());
            assert_eq!(port.device.link(), Link::Missing);
            assert!(port.burst.tx(&mut *port.tx, &[&experimental(1, 60)]).is_err());
            assert!(port.device.set_mtu(1400).is_err());

            // Another device of the same name is another device.
            veth("a", "b");
            assert_eq!(port.device.link(), Link::Missing);
            let mut b = open_b();
            drop(port);
            let mut a = Port::open(&af_packet("a", 1));
            assert_eq!(a.tx(&[&experimental(1, 60)]), 1);
            assert_eq!(b.wait_for(1, is_experimental).len(), 1);
            drop(b);
            assert_eq!(context.pool.usage().in_use, 0);
        });
    }
}

#[test]
fn a_sleeper_is_woken_by_a_packet() {
    in_namespace(|| {
        veth("a", "b");
        let (mut a, mut b) = (port("a", XdpMode::Native), port("b", XdpMode::Native));
        while !b.rx().is_empty() {}
        let Wake::Fd(fd) = b.rx.wake() else { panic!("a socket has a descriptor") };
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
        assert_eq!(wait(0), 0);
    });
}

#[test]
fn what_cannot_be_opened_says_why() {
    in_namespace(|| {
        veth("a", "b");
        let one = refusal(AfXdp { queues: 2, ..xdp("a", XdpMode::Auto) });
        assert!(one.starts_with("a: it has 1 receive queue, not 2; "), "{one}");
        let required = refusal(AfXdp { zero_copy: ZeroCopy::Required, ..xdp("a", XdpMode::Auto) });
        assert_eq!(required, "a: no zero copy, which is required: the device has no zero copy");
        ip("link add name d type bridge");
        let native = refusal(xdp("d", XdpMode::Native));
        assert!(native.ends_with("; use mode generic"), "{native}");
        ip("tuntap add dev t3 mode tun");
        assert_eq!(refusal(xdp("t3", XdpMode::Auto)), "t3: not an Ethernet device");
    });
}
