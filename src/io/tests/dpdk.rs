//! Devices of DPDK's drivers, in one process: its environment is started once for all tests here.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use millrace_engine::device::Wake;
use millrace_engine::memory::HugePages;
use millrace_engine::{Pool, Waker};
use millrace_io::{Context, Dpdk, Eal, Link, OpenError, PcapFrames, PcapWriter, Spec, open};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// The settings of all devices here: no huge pages are needed.
fn eal() -> Eal {
    Eal { arguments: Vec::new(), huge_pages: HugePages::Off, memory_mib: 64 }
}

fn spec(device: &str) -> Dpdk {
    Dpdk { device: device.to_owned(), queues: 1, ring_size: 512, promiscuous: true, eal: eal() }
}

fn dpdk(device: &str) -> Spec {
    Spec::Dpdk(spec(device))
}

/// A device's name that no other test uses.
fn unique(driver: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{driver}{}", NEXT.fetch_add(1, Relaxed))
}

fn roomy(cells: usize) -> Context {
    Context { pool: Pool::new(cells, HugePages::Off).unwrap(), changed: Waker::new().unwrap() }
}

fn port(spec: &Spec, context: &Context) -> Port {
    Port::new(open(spec, "p0", context).unwrap(), context.pool)
}

fn refusal(spec: &Spec) -> String {
    match open(spec, "p0", &roomy(64)) {
        Err(error @ OpenError::Refused { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("{spec:?} was opened"),
    }
}

fn stat(port: &Port, name: &str) -> u64 {
    let stats = port.device.stats();
    stats.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no {name} in {stats:?}")).1
}

fn mode(port: &Port, key: &str) -> String {
    port.device.info().modes.into_iter().find(|(k, _)| *k == key).map(|(_, value)| value).unwrap_or_default()
}

/// Frames whose bytes say which they are.
fn frames(sizes: &[usize]) -> Vec<Vec<u8>> {
    let frame = |(at, size): (usize, &usize)| (0..*size).map(|i| (i * 7 + at) as u8).collect();
    sizes.iter().enumerate().map(frame).collect()
}

fn slices(frames: &[Vec<u8>]) -> Vec<&[u8]> {
    frames.iter().map(Vec::as_slice).collect()
}

#[test]
fn null_fills_bursts_and_takes_them_and_every_cell_comes_back() {
    let context = roomy(2048);
    let mut port = port(&dpdk(&format!("{},size=64", unique("net_null"))), &context);
    assert_eq!(port.device.link(), Link::Up);
    for _ in 0..100 {
        let packets = port.rx();
        assert_eq!((packets.len(), packets[0].len()), (128, 64));
        let slices = slices(&packets);
        assert_eq!(port.tx(&slices), 128);
    }
    assert_eq!((stat(&port, "rx_good_packets"), stat(&port, "tx_good_packets")), (12_800, 12_800));
    assert_eq!(mode(&port, "pmd"), "net_null");
    drop(port);
    assert_eq!(context.pool.usage().in_use, 0);
}

#[test]
fn an_empty_pool_is_counted_and_not_the_end() {
    let context = roomy(300);
    let mut held = vec![0; 200];
    assert_eq!(context.pool.take(&mut held), 200);
    let mut port = port(&dpdk(&unique("net_null")), &context);
    assert_eq!(port.rx().len(), 64, "a burst that finds its cells, and one that doesn't");
    // SAFETY: taken above, and nobody else's.
    unsafe { context.pool.put(&held) };
    assert_eq!(port.rx().len(), 128);
    drop(port);
    assert_eq!(context.pool.usage().in_use, 0);
}

#[test]
fn what_a_ring_is_given_it_gives_back_in_order() {
    let context = roomy(4096);
    let mut port = port(&dpdk(&unique("net_ring")), &context);
    let sent = frames(&[60, 64, 1514, 14, 1000, 2018]);
    assert_eq!(port.tx(&slices(&sent)), 6);
    let mut got = port.rx();
    // Shorter frames than any card takes are padded with zeros.
    assert_eq!(got[3], [&sent[3][..], &[0; 3]].concat());
    got[3].truncate(14);
    assert_eq!(got, sent);
    // Cells wait in the ring when it goes.
    assert_eq!(port.tx(&slices(&sent)), 6);
    drop(port);
    assert_eq!(context.pool.usage().in_use, 0);
}

#[test]
fn packets_of_several_cells_pass_whole_when_the_mtu_says_so() {
    let context = roomy(4096);
    let mut port = port(&dpdk(&unique("net_ring")), &context);
    let sent = frames(&[9000, 64, 3000, 5000]);
    // With the usual MTU what fits no single cell is lost, and the rest goes.
    port.tx(&slices(&sent));
    assert_eq!(port.rx(), [sent[1].clone()]);
    assert_eq!(stat(&port, "tx_too_long"), 3);
    port.device.set_mtu(9000).unwrap();
    assert_eq!(port.tx(&slices(&sent)), 4);
    assert_eq!(port.rx(), sent);
    // Once more: the chains of the first time have been taken apart.
    assert_eq!(port.tx(&slices(&sent)), 4);
    assert_eq!(port.rx(), sent);
    port.device.set_mtu(1500).unwrap();
    assert_eq!(port.tx(&slices(&sent[1..2])), 1);
    assert_eq!(port.rx(), sent[1..2]);
    drop(port);
    assert_eq!(context.pool.usage().in_use, 0);
}

#[test]
fn a_full_ring_takes_what_fits() {
    let context = roomy(8192);
    let mut port = port(&dpdk(&unique("net_ring")), &context);
    let all = frames(&[100; 256]);
    let sent: usize = (0..8).map(|_| port.tx(&slices(&all))).sum();
    assert!((512..2048).contains(&sent), "{sent}");
    assert_eq!(stat(&port, "tx_ring_full"), 2048 - sent as u64);
    let mut got = 0;
    loop {
        match port.rx().len() {
            0 => break,
            n => got += n,
        }
    }
    assert_eq!(got, sent);
    drop(port);
    assert_eq!(context.pool.usage().in_use, 0);
}

#[test]
fn a_capture_is_played_and_what_is_sent_is_written() {
    let folder = std::env::temp_dir().join(format!("millrace-dpdk-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (input, output) = (folder.join("in.pcap"), folder.join("out.pcap"));
    let all = frames(&[60, 1514, 9014, 3000, 64]);
    let mut writer = PcapWriter::new(std::fs::File::create(&input).unwrap()).unwrap();
    all.iter().for_each(|frame| writer.write(Duration::ZERO, [frame.as_slice()]).unwrap());
    writer.flush().unwrap();
    let device = format!("{},rx_pcap={},tx_pcap={}", unique("net_pcap"), input.display(), output.display());
    let context = roomy(1024);
    let mut device = open(&dpdk(&device), "p0", &context).unwrap();
    device.set_mtu(9000).unwrap();
    let mut port = Port::new(device, context.pool);
    let got = port.rx();
    assert_eq!(got, all);
    assert_eq!(port.tx(&slices(&got)), 5);
    drop(port);
    let written = PcapFrames::read(&output).unwrap();
    let written: Vec<&[u8]> = (0..written.len()).filter_map(|at| written.get(at)).collect();
    assert_eq!(written, slices(&all));
    assert_eq!(context.pool.usage().in_use, 0);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_tap_of_dpdks_carries_frames_both_ways_and_wakes_the_worker() {
    in_namespace(|| {
        let mut port = Port::open(&dpdk(&format!("{},iface=mr-dpdk", unique("net_tap"))));
        until("the link", || port.device.link() == Link::Up);
        ip("address add 192.0.2.1/24 dev mr-dpdk");
        let mac = port.device.mac().unwrap().map(|b| format!("{b:02x}")).join(":");
        ip(&format!("neighbor add 192.0.2.2 lladdr {mac} dev mr-dpdk"));
        port.device.set_mtu(1400).unwrap();
        assert!(run("ip", "link show dev mr-dpdk").contains("mtu 1400"));
        assert!(port.device.set_mtu(9000).unwrap_err().to_string().contains("68 to 1504"));
        while !port.rx().is_empty() {}
        let Wake::Fd(_) = port.rx.wake() else { panic!("{:?}", port.device.info()) };
        let socket = std::net::UdpSocket::bind("192.0.2.1:0").unwrap();
        socket.send_to(b"through DPDK", "192.0.2.2:9").unwrap();
        let got = port.wait_for(1, |frame| frame.ends_with(b"through DPDK"));
        let mut answer = got[0].clone();
        // Back to the sender: addresses and ports change places, which leaves the checksums as they are.
        let swap = |bytes: &mut [u8], a: usize, b: usize, n: usize| (0..n).for_each(|i| bytes.swap(a + i, b + i));
        swap(&mut answer, 0, 6, 6);
        swap(&mut answer, 26, 30, 4);
        swap(&mut answer, 34, 36, 2);
        let server = std::net::UdpSocket::bind("192.0.2.1:9").unwrap();
        drop(server);
        assert_eq!(port.tx(&[&answer]), 1);
        let mut back = [0; 64];
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let n = socket.recv(&mut back).unwrap();
        assert_eq!(&back[..n], b"through DPDK");
        drop(port);
        // A program that another test starts may hold its descriptor for a moment.
        until("its end", || !run("ip", "-br link").contains("mr-dpdk"));
    });
}

#[test]
fn a_packet_socket_of_dpdks_carries_frames_both_ways() {
    in_namespace(|| {
        veth("mr-a", "mr-b");
        let mut ours = Port::open(&dpdk(&format!("{},iface=mr-a", unique("net_af_packet"))));
        let mut peer = Port::open(&af_packet("mr-b", 1));
        until("the link", || ours.device.link() == Link::Up && peer.device.link() == Link::Up);
        assert!(ours.device.mtu_range().contains(&1500), "{:?}", ours.device.mtu_range());
        let frames: Vec<_> = [60, 1514, 300].map(|len| experimental(1, len)).into();
        assert_eq!(peer.tx(&slices(&frames)), 3);
        assert_eq!(ours.wait_for(3, is_experimental), frames);
        assert_eq!(ours.tx(&slices(&frames)), 3);
        assert_eq!(peer.wait_for(3, is_experimental), frames);
        ours.device.set_mtu(1400).unwrap();
        assert!(run("ip", "link show dev mr-a").contains("mtu 1400"));
        assert!(stat(&ours, "rx_good_packets") >= 3 && stat(&ours, "tx_good_packets") == 3);
    });
}

#[test]
fn without_an_interrupt_a_worker_naps_longer_and_longer() {
    let context = roomy(512);
    let mut port = port(&dpdk(&unique("net_ring")), &context);
    assert!(mode(&port, "wake").starts_with("timer"), "{:?}", port.device.info());
    let nap = |port: &Port| match port.rx.wake() {
        Wake::At(time) => time - millrace_engine::clock::now(),
        other => panic!("{other:?}"),
    };
    assert!(nap(&port) <= 20_000);
    let naps: Vec<u64> = (0..20).map(|_| nap(&port)).collect();
    assert!(naps[19] > 500_000 && naps[19] <= 1_000_000, "{naps:?}");
    port.tx(&[&[0; 64]]);
    assert_eq!(port.rx().len(), 1);
    assert!(nap(&port) <= 20_000);
}

#[test]
fn several_queues_are_several_pairs() {
    let context = roomy(4096);
    let spec = Spec::Dpdk(Dpdk { queues: 2, ..spec(&unique("net_null")) });
    let mut device = open(&spec, "p0", &context).unwrap();
    let pairs = device.queues(3).unwrap();
    let have: Vec<_> = pairs.iter().map(|pair| (pair.rx.is_some(), pair.tx.is_some())).collect();
    assert_eq!(have[..2], [(true, true); 2]);
    assert!(!have[2].0);
    assert_eq!(device.info().queues, 2);
}

#[test]
fn what_will_not_work_is_refused_with_the_reason() {
    let error = refusal(&dpdk("net_nonsense0"));
    assert!(error.contains("net_nonsense0: DPDK does not take it: "), "{error}");
    let error = refusal(&dpdk("eth0"));
    assert!(error.contains("DPDK does not take it"), "{error}");
    let error = refusal(&dpdk("enp3s0"));
    assert!(error.contains("called like their driver, such as net_tap0"), "{error}");
    let error = refusal(&dpdk(&format!("{},colour=blue", unique("net_null"))));
    assert!(error.contains("DPDK does not take it"), "{error}");
    let error = refusal(&dpdk(&format!("{},iface=not-there", unique("net_af_packet"))));
    assert!(error.contains("not-there"), "{error}");
    assert!(refusal(&dpdk("")).contains("PCI address"));
    assert!(matches!(open(&dpdk("ffff:1e:1f.7"), "p0", &roomy(64)), Err(OpenError::Missing { .. })));

    let name = unique("net_null");
    let first = open(&dpdk(&name), "p0", &roomy(64)).unwrap();
    assert!(refusal(&dpdk(&name)).contains("another interface has it"));
    drop(first);
    drop(open(&dpdk(&name), "p0", &roomy(64)).unwrap());

    let other = Eal { memory_mib: 65, ..eal() };
    let error = refusal(&Spec::Dpdk(Dpdk { eal: other, ..spec(&unique("net_null")) }));
    assert!(error.contains("restart"), "{error}");
}

#[test]
fn queues_that_outlive_their_device_are_silent() {
    let context = roomy(1024);
    let Port { device, mut rx, mut tx, mut burst } = port(&dpdk(&unique("net_null")), &context);
    assert_eq!(burst.rx(&mut *rx).unwrap().len(), 128);
    drop(device);
    assert_eq!(burst.rx(&mut *rx).unwrap().len(), 0);
    assert_eq!(burst.tx(&mut *tx, &[&[0; 64]]).unwrap(), 0);
    assert!(!burst.reclaim(&mut *tx));
    drop(burst);
    assert_eq!(context.pool.usage().in_use, 0);
}

#[test]
fn devices_come_and_go_while_others_work() {
    let context = roomy(8192);
    let mut worked = port(&dpdk(&unique("net_null")), &context);
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            for _ in 0..50 {
                let mut other = port(&dpdk(&unique("net_null")), &context);
                assert_eq!(other.rx().len(), 128);
            }
        });
        while !others.is_finished() {
            assert_eq!(worked.rx().len(), 128);
        }
        others.join().unwrap();
    });
    drop(worked);
    assert_eq!(context.pool.usage().in_use, 0);
}
