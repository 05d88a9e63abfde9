//! Every packet is counted once on either side.

use crate::net::{Net, PEER_MAC, ROUTER_MAC, WAYS, With};

/// A numbered lot goes out, and testpmd sends each packet back with its addresses exchanged.
#[test]
fn a_lot_goes_there_and_comes_back() {
    for (role, keys) in WAYS {
        for (size, count) in [("64", 10_000), ("imix", 6_000)] {
            let config = format!(
                "
routes: [{{to: 198.18.0.0/15, via: 10.9.0.2}}]
neighbors:
  - {{interface: c0, address: 10.9.0.2, mac: '{PEER_MAC}'}}
"
            );
            let keys = format!("{keys}ring-size: 8192, ");
            let mut net =
                Net::with(role, With { keys: &keys, config: &config, device: ",rsize=13", ..With::default() });
            net.peer.forward("5tswap");
            // What comes back is for the generator's own network, where it is asked for and nobody answers.
            let stream =
                format!("{{source: 10.0.0.2, destination: 198.18.0.0/16, rate: 10kpps, size: {size}, count: {count}}}");
            net.add(
                &format!("  gen0: {{driver: generator, addresses: [10.0.0.1/24], streams: [{stream}]}}\n"),
                "  - {interface: gen0, address: 10.0.0.2, mac: '02:00:00:00:00:02'}\n",
            );
            net.eventually("all came back", |net| net.router.counter("gen0", "tx_packets") >= count);
            assert_eq!(net.counters_agree(), (count, count), "{role:?} {keys} {size}");
            assert_eq!(net.router.counter("gen0", "tx_bytes"), net.router.counter("gen0", "rx_bytes"));
            assert_eq!(net.router.drops(), 0, "{}", net.router.run("show errors"));
            net.router.settle();
        }
    }
}

/// testpmd sends as fast as it can, and all that it could send is routed.
#[test]
fn what_the_peer_sends_at_full_speed() {
    for (role, keys) in WAYS {
        let config = "
  sink: {driver: generator, check: true, addresses: [10.2.0.1/24]}
routes: [{to: 198.18.0.0/15, via: 10.2.0.2}]
neighbors: [{interface: sink, address: 10.2.0.2, mac: '02:00:00:00:00:02'}]
";
        let options = format!("--eth-peer=0,{ROUTER_MAC} --tx-ip=10.9.0.2,198.18.0.1");
        let mut net = Net::with(role, With { keys, config, options: &options, ..With::default() });
        for packets in ["64", "1514", "700,800"] {
            net.peer.run(&format!("set txpkts {packets}"));
            let before = net.router.counter("sink", "tx_packets");
            net.peer.forward("txonly");
            let enough = before + 20_000;
            net.eventually("they come through", |net| net.router.counter("sink", "tx_packets") >= enough);
            net.peer.stop();
        }
        // testpmd counts a packet of several pieces by the sum of its pieces' sums, so only packets are compared.
        net.eventually("all is accounted for on both sides", |net| {
            let sent = net.peer.stats(0).tx_packets;
            let [came, sunk] = [("c0", "rx_packets"), ("sink", "tx_packets")].map(|(i, k)| net.router.counter(i, k));
            sent == came && came == sunk + net.router.drops()
        });
        net.router.settle();
    }
}
