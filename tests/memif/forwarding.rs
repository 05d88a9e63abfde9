//! Packets of hosts, of every size, through every kind of ring.

use crate::net::{BEHIND, Net, PEER_MAC, ROUTER_MAC, Role, WAYS, With, agree, await_link};
use harness::testpmd::Setup;
use harness::{Lab, eventually};

#[test]
fn hosts_reach_what_is_behind_the_peer() {
    for (role, keys) in WAYS {
        let mut net = Net::start(role, keys);
        net.peer.forward("icmpecho");
        net.lan.ping(BEHIND);
        net.lan.run(&format!("ping -n -q -c 100 -i 0.002 -W 2 -s 1400 {BEHIND}")).ok();
        let (from, to) = net.counters_agree();
        assert!(from >= 104 && to >= 104, "{role:?} {keys}: {from} from the peer, {to} to it");
        net.router.settle();
    }
}

/// Of two queues each way and two workers all are used, and what each side counts agrees.
#[test]
fn several_queues() {
    for (role, keys) in WAYS {
        let config = format!(
            "
  sink: {{driver: generator, addresses: [10.2.0.1/24]}}
workers: {{count: 2}}
routes: [{{to: 198.18.0.0/16, via: 10.2.0.2}}, {{to: 198.19.0.0/16, via: 10.9.0.2}}]
neighbors:
  - {{interface: sink, address: 10.2.0.2, mac: '02:00:00:00:00:02'}}
  - {{interface: c0, address: 10.9.0.2, mac: '{PEER_MAC}'}}
"
        );
        let keys = format!("{keys}queues: 2, ring-size: 4096, ");
        let options = format!("--rxq=2 --txq=2 --eth-peer=0,{ROUTER_MAC} --tx-ip=10.9.0.2,198.18.0.1");
        let with = With { keys: &keys, config: &config, options: &options, device: ",rsize=12", memory: None };
        let mut net = Net::with(role, with);
        net.peer.forward("txonly");
        net.eventually("both workers receive", |net| {
            net.router.list("show workers").iter().all(|row| row["received"].as_u64() > Some(1000))
        });
        net.peer.stop();
        net.peer.forward("rxonly");
        let stream = "{source: 10.0.0.2-10.0.0.200, destination: 198.19.0.0/16, rate: 10kpps, count: 10000}";
        let generator =
            |n| format!("  gen{n}: {{driver: generator, addresses: [10.{n}.0.1/24], streams: [{stream}]}}\n");
        net.add(&(generator(0) + &generator(1)), "");
        net.eventually("both queues bring packets", |net| {
            (0..2).all(|queue| net.peer.xstat(0, &format!("rx_q{queue}_packets")) > 1000)
        });
        net.eventually("all are sent", |net| net.router.counter("c0", "tx_packets") + net.router.drops() >= 20_000);
        let (from, to) = net.counters_agree();
        assert!(from > 2000 && to > 15_000, "{role:?} {keys}: {from} from the peer, {to} to it");
        net.router.settle();
    }
}

/// Packets that are larger than a buffer of the ring take several of them.
#[test]
fn packets_in_several_buffers() {
    for (role, keys) in WAYS {
        let mut net = Net::start(role, &format!("{keys}mtu: 9000, "));
        net.router.run("interface set lan mtu 9000");
        net.lan.ip("link set eth0 mtu 9000");
        net.peer.forward("icmpecho");
        // Around the ends of a first, second and fourth buffer of 2048 bytes, and the largest.
        for near in [2006, 4054, 8150] {
            for size in near - 3..near + 3 {
                net.lan.run(&format!("ping -n -q -M do -c 1 -W 2 -s {size} {BEHIND}")).ok();
            }
        }
        net.lan.run(&format!("ping -n -q -M do -c 50 -i 0.01 -W 2 -s 8972 {BEHIND}")).ok();
        net.router.settle();
    }
}

/// A client may have buffers of any size: here an ordinary packet takes twelve.
#[test]
fn a_clients_small_buffers() {
    let device = ",bsize=128,rsize=8";
    let mut net = Net::with(Role::Server, With { device, ..With::default() });
    net.peer.forward("icmpecho");
    for size in [20, 86, 87, 214, 215, 1000, 1472] {
        net.lan.run(&format!("ping -n -q -c 2 -i 0.01 -W 2 -s {size} {BEHIND}")).ok();
    }
    net.router.settle();
}

/// A client that lends its own buffers, as DPDK's does when it copies nothing.
#[test]
fn a_client_that_copies_nothing() {
    let memory = "--no-huge -m 128 --single-file-segments";
    let mut net = Net::with(Role::Server, With { device: ",zero-copy=yes", memory: Some(memory), ..With::default() });
    net.peer.forward("icmpecho");
    net.lan.run(&format!("ping -n -q -c 100 -i 0.002 -W 2 -s 1400 {BEHIND}")).ok();
    net.counters_agree();
    net.crash_peer();
    net.revive_peer();
    net.traffic_passes("after the peer was started again");
    net.router.settle();
}

/// Every frame that comes in by one memif leaves by another one, both ways at full speed.
#[test]
fn cross_connected_at_full_speed() {
    let lab = Lab::new();
    let path = |name: &str| lab.files.file(name).display().to_string();
    let (a, b) = (path("a.sock"), path("b.sock"));
    let router = lab.start(&format!(
        "
interfaces:
  c0: {{driver: memif, socket: {a}, role: server, cross-connect: c1}}
  c1: {{driver: memif, socket: {b}, role: client, zero-copy: true, cross-connect: c0}}
"
    ));
    let mut peer = Setup::device(&format!("net_memif0,role=client,id=0,socket={a},socket-abstract=no"))
        .and_device(&format!("net_memif1,role=server,id=0,socket={b},socket-abstract=no"))
        .start();
    // It goes before the peer does, with all links up.
    let router = router;
    await_link(&router, "c0", "up");
    await_link(&router, "c1", "up");
    router.rebase();
    peer.forward("flowgen");
    for port in 0..2 {
        eventually("it receives", || (peer.stats(port).rx_packets > 20_000).then_some(()));
    }
    // What lies in the rings is taken out before counters are compared.
    peer.stop();
    peer.forward("rxonly");
    let (out, back) = agree(&router, "c0", &mut peer, 0);
    let (back_there, out_there) = agree(&router, "c1", &mut peer, 1);
    assert!(out >= out_there && back_there >= back, "more came than was sent");
    router.settle();
    assert_eq!(out + back_there, out_there + back + router.drops(), "{}", router.run("show errors"));
}
