//! Several remotes, remotes that are learnt, and stations that move from one to another.

use crate::net::{Net, Under, inner, linux_count, linux_mac};
use harness::eventually;

#[test]
fn frames_to_all_go_to_each_remote_and_those_to_one_station_to_its_own() {
    for under in Under::BOTH {
        let net = Net::start(under, 3, "");
        for n in 1..=3 {
            net.host.ping(&inner(n));
            assert_eq!(net.behind(&linux_mac(&net.peers[n - 1], "vx0")), Some(under.address(n)));
        }
        // Of a broadcast, each gets one; of a unicast, who has the station.
        let received = |n: usize| net.remote(n).unwrap()["tx_packets"].as_u64().unwrap();
        let before = [1, 2, 3].map(received);
        net.host.run(&format!("ping -n -c 20 -i 0.05 {}", inner(2))).ok();
        let after = [1, 2, 3].map(received);
        assert!(after[1] >= before[1] + 20, "{before:?} {after:?}");
        assert!(after[0] < before[0] + 10 && after[2] < before[2] + 10, "{before:?} {after:?}");
        net.host.run("ping -n -b -c 10 -i 0.05 -W 1 10.9.0.255");
        let last = [1, 2, 3].map(received);
        assert!((0..3).all(|n| last[n] >= after[n] + 10), "{after:?} {last:?}");
    }
}

/// Head-end replication is the sender's: what came from a remote never goes to another one.
#[test]
fn remotes_do_not_reach_each_other_by_way_of_the_router() {
    let net = Net::start(Under::V4, 2, "");
    net.host.ping(&inner(1));
    net.host.ping(&inner(2));
    assert!(!net.peers[0].reaches(&inner(2)));
    let sent = || net.remote(2).unwrap()["tx_packets"].as_u64().unwrap();
    let before = sent();
    net.peers[0].run("ping -n -b -c 10 -i 0.05 -W 1 10.9.0.255");
    assert!(sent() < before + 10, "{before} {}", sent());
}

#[test]
fn remotes_are_learnt_when_they_are_heard() {
    for under in Under::BOTH {
        let net = Net::start(under, 1, "remotes: []");
        // Of its frames, the first arrives, too.
        net.peers[0].run(&format!("ping -n -c 1 -W 2 {}", inner(0))).ok();
        let remote = net.remote(1).unwrap();
        assert_eq!((&remote["origin"], &remote["stations"]), (&"learnt".into(), &1.into()));
        let node = if under == Under::V4 { "vxlan4-input" } else { "vxlan6-input" };
        assert_eq!(net.router.errors(node, "from no remote"), 0, "{}", net.router.run("show errors"));
        assert_eq!(net.behind(&linux_mac(&net.peers[0], "vx0")), Some(under.address(1)));
        net.host.ping(&inner(1));
        assert!(net.router.run("show events").contains(&format!("remote {} learnt", under.address(1))));
        // Not if the operator doesn't want it.
        net.set(&format!("remotes: ['{}'], learn-remotes: false", under.address(7)));
        assert!(!net.peers[0].reaches(&inner(0)));
        assert!(net.router.errors(node, "from no remote") > 0, "{}", net.router.run("show errors"));
        assert_eq!(net.behind(&linux_mac(&net.peers[0], "vx0")), None);
    }
}

#[test]
fn a_station_is_behind_the_remote_that_it_was_heard_from_last() {
    let net = Net::start(Under::V4, 2, "");
    let station = linux_mac(&net.peers[0], "vx0");
    net.peers[0].ping(&inner(0));
    assert_eq!(net.behind(&station), Some(net.under.address(1)));
    // It moves, as a virtual machine does.
    net.peers[0].ip("link set vx0 down");
    net.peers[1].ip(&format!("link set vx0 address {station}"));
    net.peers[1].ip(&format!("addr add {}/32 dev vx0", inner(1)));
    net.peers[1].run(&format!("ping -n -c 3 -i 0.2 -I {} {}", inner(1), inner(0))).ok();
    eventually("it is behind the other one", || (net.behind(&station)? == net.under.address(2)).then_some(()));
    net.host.ping(&inner(1));
    assert_eq!(linux_count(&net.peers[0], "vx0", "rx_errors"), 0);
}

#[test]
fn a_remote_that_is_taken_away_takes_its_stations_along() {
    let net = Net::start(Under::V4, 2, "learn-remotes: false");
    let stations = [0, 1].map(|n| linux_mac(&net.peers[n], "vx0"));
    net.host.ping(&inner(1));
    net.host.ping(&inner(2));
    net.set(&format!("remotes: ['{}'], learn-remotes: false", net.under.address(2)));
    assert_eq!(net.remote(1), None);
    eventually("its station is forgotten", || net.behind(&stations[0]).is_none().then_some(()));
    assert_eq!(net.behind(&stations[1]), Some(net.under.address(2)));
    net.host.ping(&inner(2));
    assert!(!net.host.reaches(&inner(1)));
    // It comes back with another number, and its counters begin anew.
    net.set(&format!("remotes: ['{}', '{}']", net.under.address(1), net.under.address(2)));
    net.host.ping(&inner(1));
}
