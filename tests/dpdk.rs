//! DPDK's drivers under the daemon, which starts DPDK once: a router each test, with devices that need no card.
#![cfg(feature = "dpdk")]
#![allow(clippy::panic, reason = "a test fails by panicking")]

use harness::capture_file::{capture, frames_of};
use harness::{Host, Iperf, Lab, Router, SIGTERM, UdpStream, eventually, frames};

/// Ordinary pages, so that any number of these tests run at a time.
const DPDK: &str = "dpdk: {huge-pages: off, memory: 64MiB}\n";

/// A router between the kernel of its own namespace, by a tap of DPDK's, and a host at a packet socket of DPDK's.
struct Between {
    router: Router,
    lab: Lab,
    host: Host,
}

impl Between {
    fn start(more: &str) -> Between {
        let lab = Lab::new();
        let host = lab.host("wan", "203.0.113.10/24", "203.0.113.1");
        // This driver takes frames as the kernel has them: without checksums and segmentation, if those are left to the card.
        host.run("ethtool -K eth0 tx off tso off gso off").ok();
        let router = lab.start(&format!(
            "{DPDK}
interfaces:
  lan: {{driver: dpdk, device: 'net_tap0,iface=mr-lan', {more}addresses: [192.168.1.1/24]}}
  wan: {{driver: dpdk, device: 'net_af_packet0,iface=wan', addresses: [203.0.113.1/24]}}
"
        ));
        lab.router.ip("addr add 192.168.1.10/24 dev mr-lan");
        lab.router.ip("route add 203.0.113.0/24 via 192.168.1.1");
        Between { router, lab, host }
    }

    fn reaches(&self) -> bool {
        self.lab.router.reaches("203.0.113.10")
    }
}

fn in_use(router: &Router) -> u64 {
    let buffers = router.json("show buffers");
    let row = buffers.as_array().and_then(|rows| rows.first()).unwrap_or(&buffers).clone();
    row["in_use"].as_u64().unwrap_or_else(|| panic!("{buffers}"))
}

fn stat(router: &Router, interface: &str, name: &str) -> u64 {
    let shown = router.json(&format!("show interfaces {interface}"));
    let row = shown.as_array().and_then(|rows| rows.first()).unwrap_or(&shown);
    let stats = row["details"]["statistics"].as_array().cloned().unwrap_or_default();
    let found = stats.iter().find(|stat| stat["name"] == name);
    found.and_then(|stat| stat["count"].as_u64()).unwrap_or_else(|| panic!("no {name} in {shown}"))
}

#[test]
fn a_tap_and_a_packet_socket_are_a_routers_legs() {
    let Between { router, lab, host } = Between::start("");
    lab.router.ping("192.168.1.1");
    lab.router.ping("203.0.113.10");
    host.ping("192.168.1.10");
    for options in ["", "-R"] {
        assert!(Iperf::run(&lab.router, &host, 1, options).bits_per_second > 20e6, "iperf3 {options}");
    }
    let shown = router.run("show interfaces lan");
    for wanted in ["net_tap", "interrupt", "mr-lan"] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    let shown = router.run("show interfaces wan");
    assert!(shown.contains("net_af_packet") && shown.contains("timer"), "{shown}");
    // What DPDK counts is what the router counts.
    router.settle();
    assert_eq!(stat(&router, "wan", "rx_good_packets"), router.counter("wan", "rx_packets"));
    assert_eq!(stat(&router, "wan", "tx_good_packets"), router.counter("wan", "tx_packets"));
}

#[test]
fn the_mtu_changes_under_way_within_the_drivers_limits() {
    let Between { router, lab, host: _host } = Between::start("");
    let large = |size: u32| lab.router.run(&format!("ping -n -M do -c 2 -i 0.2 -W 2 -s {size} 192.168.1.1"));
    large(1472).ok();
    router.run("interface set lan mtu 1400");
    assert!(lab.router.ip("link show dev mr-lan").contains("mtu 1400"));
    large(1372).ok();
    router.run("interface set lan mtu 1500");
    large(1472).ok();
    let refused = router.ctl("interface set lan mtu 9000");
    assert!(format!("{refused:?}").contains("68 to 1504"), "{refused:?}");
    large(1472).ok();
}

#[test]
fn devices_come_and_go_under_traffic_and_every_cell_comes_back() {
    let between = Between::start("");
    let Between { router, lab, host } = &between;
    assert!(between.reaches());
    let before = in_use(router);
    let stream = UdpStream::start(&lab.router, host, 2000);
    for round in 0..10 {
        router.run(&format!("interface add ring{round} driver dpdk device net_ring{round}"));
        router.run(&format!("interface add nil{round} driver dpdk device net_null{round},size=64"));
        router.run(&format!("interface remove ring{round}"));
        router.run(&format!("interface remove nil{round}"));
    }
    let (sent, lost) = stream.finish();
    assert!(lost.is_empty(), "{} of {sent} datagrams were lost while other devices came and went", lost.len());
    eventually("all cells of what is gone are back", || (in_use(router) <= before).then_some(()));

    // The leg itself goes and comes: traffic goes on.
    let stream = UdpStream::start(&lab.router, host, 2000);
    for _ in 0..3 {
        router.run("interface remove wan");
        assert!(!between.reaches());
        router.run("interface add wan driver dpdk device net_af_packet0,iface=wan");
        router.run("address add 203.0.113.1/24 interface wan");
        eventually("traffic goes on", || between.reaches().then_some(()));
    }
    stream.finish();
    router.run("interface remove wan");
    router.run("interface remove lan");
    eventually("every cell is back", || (in_use(router) == 0).then_some(()));
    assert!(!lab.router.ip("-br link").contains("mr-lan"));
    router.rebase();
}

#[test]
fn a_capture_goes_through_dpdks_own_files() {
    let lab = Lab::new();
    let sent: Vec<Vec<u8>> = (0..1000_u16)
        .map(|number| {
            let data = number.to_be_bytes().repeat(10 + usize::from(number) % 700);
            let packet = frames::udp_packet(frames::ip("192.0.2.1"), frames::ip("192.0.2.2"), number, &data);
            frames::ethernet(frames::mac("02:00:00:00:00:01"), frames::mac("02:00:00:00:00:02"), 0x800, &packet)
        })
        .collect();
    let input = lab.files.write("in.pcap", capture(&sent));
    let output = lab.files.file("out.pcap");
    let mut router = lab.start(&format!(
        "{DPDK}
interfaces:
  in: {{driver: dpdk, device: 'net_pcap0,rx_pcap={}', cross-connect: out}}
  out: {{driver: dpdk, device: 'net_pcap1,tx_pcap={}'}}
",
        input.display(),
        output.display()
    ));
    eventually("all packets are sent", || (router.counter("out", "tx_packets") == 1000).then_some(()));
    assert_eq!(stat(&router, "in", "rx_good_packets"), 1000);
    assert_eq!(stat(&router, "out", "tx_good_packets"), 1000);
    router.end(SIGTERM).code(0);
    assert!(frames_of(&output) == sent, "the file that was written differs from the one that was read");
}

#[test]
fn a_ring_gives_back_what_a_generator_sent_into_it() {
    let lab = Lab::new();
    let router = lab.start(&format!(
        "{DPDK}
interfaces:
  source:
    driver: generator
    cross-connect: ring
    streams: [{{source: 10.0.0.2, destination: 198.18.0.0/16, size: 64, rate: 50kpps, count: 20000}}]
  ring: {{driver: dpdk, device: net_ring0, cross-connect: sink}}
  sink: {{driver: generator}}
"
    ));
    eventually("all packets have come", || (router.counter("sink", "tx_packets") == 20_000).then_some(()));
    assert_eq!(router.counter("ring", "rx_packets"), 20_000);
    assert_eq!(router.drops(), 0);
    assert_eq!((stat(&router, "ring", "rx_good_packets"), stat(&router, "ring", "tx_good_packets")), (20_000, 20_000));
}

#[test]
fn what_no_one_can_open_is_refused_with_the_reason_and_the_rest_works() {
    let lab = Lab::new();
    let router = lab.start(&format!("{DPDK}interfaces: {{nil: {{driver: dpdk, device: net_ring0}}}}\n"));
    let refused = |command: &str, wanted: &str| {
        let output = router.ctl(command);
        assert!(output.stderr.contains(wanted) || output.stdout.contains(wanted), "{command}: {output:?}");
    };
    refused("interface add a driver dpdk device net_nonsense0", "DPDK does not take it");
    refused("interface add b driver dpdk device net_af_packet7,iface=nowhere", "nowhere");
    refused("interface add c driver dpdk device net_null1,colour=blue", "DPDK does not take it");
    // A card that isn't there may come.
    router.run("interface add d driver dpdk device ffff:1f:1e.7");
    assert!(router.interface("d").is_some());
    // One that makes packets by itself, to see that all goes on.
    router.run("interface add e driver dpdk device net_null1,size=64");
    eventually("packets come", || (router.counter("e", "rx_packets") > 0).then_some(()));
    router.run("interface remove e");
    router.rebase();
}

#[test]
fn huge_pages_are_used_where_they_are() {
    let lab = Lab::new();
    let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").unwrap_or_default();
    let promised =
        std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages").unwrap_or_default();
    let number = |text: &str| text.trim().parse::<u64>().unwrap_or(0);
    let free = number(&free).saturating_sub(number(&promised));
    let mut router = lab.start(
        "dpdk: {huge-pages: auto, memory: 32MiB}\nbuffers: {huge-pages: off, count: 4096}\n\
         interfaces: {nil: {driver: dpdk, device: net_ring0}}\n",
    );
    let pid = router.process().pid();
    let shown = router.run("show interfaces nil");
    let wanted = if free >= 16 { "huge pages" } else { "ordinary pages" };
    assert!(shown.contains(wanted), "{free} free pages: {shown}");
    // Nothing of DPDK's is left in the file system.
    let left = std::fs::read_dir("/var/run/dpdk").into_iter().flatten().filter_map(Result::ok);
    let mut left = left.filter(|entry| entry.file_name().to_string_lossy().ends_with(&format!("-{pid}")));
    assert!(left.next().is_none());
}
