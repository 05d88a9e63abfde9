//! Hosts of all kinds talk through a bridge.

use crate::net::{Hosted, behind};
use harness::testpmd::Setup;
use harness::{Host, HttpServer, Iperf, Lab, eventually};

#[test]
fn hosts_talk_through_the_bridge() {
    let net = Hosted::start(3, "", "", "");
    let [a, b, c] = &net.hosts[..] else { panic!("three hosts") };
    a.ping("192.168.2.12");
    c.ping("192.168.2.11");
    a.ping("2001:db8:2::13");
    HttpServer::start(b, 8 << 20).fetch(a);
    for options in ["", "-R"] {
        assert!(Iperf::run(a, b, 1, options).bits_per_second > 50e6, "iperf3 {options}");
    }
    for (host, port) in [(a, "pa"), (b, "pb"), (c, "pc")] {
        assert_eq!(behind(&net.router, &host.mac()), port);
    }
    for name in ["pa", "pb", "pc"] {
        assert_eq!(net.router.interface(name).expect("a port")["bridge"], "br0");
    }
    // The whole conversation was between two of them.
    let talk = net.router.counter("pb", "tx_packets");
    let overheard = net.router.counter("pc", "tx_packets");
    assert!(overheard * 20 < talk, "{overheard} frames to c of {talk} between a and b");
}

#[test]
fn a_tap_and_a_cable_are_ports_alike() {
    let lab = Lab::new();
    let net = Hosted::within(lab, 1, "", "  pt: {driver: tap, device: mr-t, bridge: br0}\n", "");
    let host = Host::unplugged("tap", "192.168.2.20/24");
    net.lab.router.ip(&format!("link set mr-t netns {} name eth0", host.name()));
    host.configure("192.168.2.20/24", "192.168.2.1");
    net.hosts[0].ping("192.168.2.20");
    HttpServer::start(&host, 4 << 20).fetch(&net.hosts[0]);
    HttpServer::start(&net.hosts[0], 4 << 20).fetch(&host);
    assert_eq!(behind(&net.router, &host.mac()), "pt");
}

#[test]
fn a_memif_peer_is_a_station_like_others() {
    let lab = Lab::new();
    let socket = lab.files.file("memif.sock");
    let socket = socket.display();
    let port = format!("  pm: {{driver: memif, socket: {socket}, id: 1, role: server, bridge: br0}}\n");
    let net = Hosted::within(lab, 2, "", &port, "");
    let mac = "02:00:00:00:00:aa";
    let device = format!("net_memif0,role=client,id=1,socket={socket},socket-abstract=no,mac={mac}");
    let mut peer = Setup::device(&device).start();
    eventually("the link is up", || (net.router.interface("pm")?["link"] == "up").then_some(()));
    net.router.rebase();
    // It answers ARP requests and pings for every address: b must not be asked.
    peer.forward("icmpecho");
    net.hosts[0].ping("192.168.2.77");
    assert_eq!(behind(&net.router, mac), "pm");
    net.hosts[0].ping("192.168.2.12");
    peer.stop();
}
