//! `dpdk-testpmd` with a `virtio-user` port as the machine: it sends back what it gets, and counts as we do.

use harness::testpmd::{PortStats, Setup};
use harness::{Lab, PATIENCE, Router, Testpmd, eventually, within};

/// What a run is about.
struct Case {
    /// Our end of the socket.
    role: &'static str,
    /// More arguments of the peer's device.
    device: &'static str,
    /// Queue pairs, and workers.
    queues: u16,
    /// Sizes of the frames, how many, and how many in a second.
    frames: (&'static str, u64, u32),
    /// More options of testpmd.
    options: &'static str,
}

const PLAIN: Case = Case { role: "server", device: "", queues: 1, frames: ("64-1518", 10_000, 20_000), options: "" };

/// A router and a peer that sends each packet back, addresses and ports exchanged. The peer is dropped first.
struct Run {
    peer: Testpmd,
    router: Router,
    /// The configuration, and what is added to it to send.
    config: String,
    generator: String,
    packets: u64,
    _lab: Lab,
}

impl Run {
    #[track_caller]
    fn start(case: &Case) -> Run {
        let Case { role, device, queues, frames: (size, packets, rate), options } = case;
        let lab = Lab::new();
        let socket = lab.files.file("vm1.sock");
        let socket = socket.display();
        let config = format!(
            "
workers: {{count: {queues}}}
neighbors:
  - {{interface: vm1, address: 192.168.7.10, mac: '02:00:00:00:07:0a'}}
interfaces:
  vm1:
    driver: vhost-user
    socket: {socket}
    role: {role}
    queues: {queues}
    mtu: 9000
    addresses: [192.168.7.1/24]
"
        );
        let generator = format!(
            "
  gen0:
    driver: generator
    check: true
    mtu: 9000
    addresses: [10.0.0.1/24]
    streams:
      - source: 10.0.0.2
        destination: 192.168.7.10
        destination-ports: 1-1000
        size: {size}
        rate: {rate}pps
        count: {packets}
"
        );
        let router = lab.start(&config);
        let listens = if *role == "client" { ",server=1" } else { "" };
        let several = if *queues > 1 { ",cq=1" } else { "" };
        let device = format!(
            "net_virtio_user0,path={socket},mac=02:00:00:00:07:0a,queues={queues},queue_size=1024{several}{listens}{device}"
        );
        let setup = Setup::device(&device).options(&format!("--rxq={queues} --txq={queues} {options}"));
        let mut peer = setup.start();
        peer.forward("5tswap");
        eventually("the link is up", || (router.interface("vm1")?["link"] == "up").then_some(()));
        Run { peer, router, config, generator, packets: *packets, _lab: lab }
    }

    /// Lets the generator send, and compares all books when every packet is back.
    #[track_caller]
    fn compare(mut self) -> Run {
        let neighbor = "neighbors:\n  - {interface: gen0, address: 10.0.0.2, mac: '02:00:00:00:00:02'}";
        let config = self.config.replacen("neighbors:", neighbor, 1) + &self.generator;
        let file = self.router.files().write("next.yaml", config);
        self.router.run(&format!("config apply {}", file.display()));
        let router = &self.router;
        let mut theirs = PortStats::default();
        let all = within(PATIENCE, || {
            theirs = self.peer.stats(0);
            let ours = ["tx_packets", "tx_bytes", "rx_packets", "rx_bytes"].map(|key| router.counter("vm1", key));
            let agree = [theirs.rx_packets, theirs.rx_bytes, theirs.tx_packets, theirs.tx_bytes] == ours;
            // What came back, what was dropped here, and what was dropped there.
            let known = router.counter("gen0", "tx_packets") + router.drops() + theirs.rx_packets - theirs.tx_packets;
            (agree && known >= self.packets).then_some(())
        });
        let shown = || ["show interfaces vm1", "show errors"].map(|command| router.run(command)).join("\n");
        assert!(all.is_some(), "the counters of both ends don't agree: {theirs:?}\n{}", shown());
        // A busy machine may not let the peer run for as long as its ring lasts, but not much of the time.
        assert!(router.counter("gen0", "tx_packets") > self.packets / 2, "{theirs:?}\n{}", shown());
        router.settle();
        self
    }

    /// Packets that the peer counted by queue: received and sent.
    #[track_caller]
    fn by_queue(&mut self, queue: u16) -> (u64, u64) {
        let shown = self.peer.run("show port xstats 0");
        let number = |way: &str| {
            let key = format!("{way}_q{queue}_good_packets: ");
            let value = shown.split_once(&key).and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok());
            value.unwrap_or_else(|| panic!("no {key} in {shown}"))
        };
        (number("rx"), number("tx"))
    }
}

#[test]
fn counters_of_both_ends_agree() {
    Run::start(&PLAIN).compare();
    Run::start(&Case { role: "client", ..PLAIN }).compare();
}

#[test]
fn other_rings() {
    // One buffer a packet; buffers in any order; a small ring; a layout of rings that we don't offer.
    for device in [",mrg_rxbuf=0", ",in_order=0", ",packed_vq=1"] {
        Run::start(&Case { device, ..PLAIN }).compare();
    }
}

#[test]
fn several_queues() {
    let mut run = Run::start(&Case { queues: 2, ..PLAIN }).compare();
    let queues = [run.by_queue(0), run.by_queue(1)];
    assert!(queues.iter().all(|(received, sent)| *received > 0 && *sent > 0), "{queues:?}");
}

#[test]
fn jumbo_frames_in_several_buffers() {
    Run::start(&Case {
        frames: ("8000-9014", 2_000, 2_000),
        options: "--max-pkt-len=9022 --enable-scatter --tx-offloads=0x8000",
        ..PLAIN
    })
    .compare();
}
