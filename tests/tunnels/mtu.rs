//! How long packets may be: the tunnel's MTU, what the way takes, and who hears of it.

use crate::net::{FAR, FAR6, GRE, Net, Under, long};
use harness::{Between, eventually, path_mtu};

#[test]
fn senders_hear_of_the_tunnel_s_mtu() {
    for (under, between, mtu) in [
        (Under::V4, GRE, 1476),
        (Under::V6, Between::Nothing, 1460),
        (Under::V4, Between::Gre { key: Some(1), checksum: true }, 1468),
    ] {
        let net = Net::start(under, between, "");
        eventually("the tunnel is through", || net.lan.reaches(FAR).then_some(()));
        assert_eq!(path_mtu(&net.lan, &format!("{FAR}:9")), mtu, "{between:?}");
        assert_eq!(path_mtu(&net.lan, &format!("[{FAR6}]:9")), mtu, "{between:?}");
        assert_eq!((net.number("mtu"), net.number("usable_mtu")), (mtu.into(), mtu.into()));
    }
}

/// RFC 2003 section 5.1, RFC 2473 section 7.1: a narrow link in the underlay tells the router, which tells the sender.
#[test]
fn a_narrow_way_is_found() {
    for (under, between, narrow, headers) in
        [(Under::V4, GRE, 1300, 24), (Under::V4, Between::Nothing, 1340, 20), (Under::V6, GRE, 1400, 44)]
    {
        let net = Net::start(under, between, "");
        eventually("the tunnel is through", || net.lan.reaches(FAR).then_some(()));
        net.core.ip(&format!("link set east mtu {narrow}"));
        net.far.ip(&format!("link set eth0 mtu {narrow}"));
        let whole = |to: &str| net.lan.run(&format!("ping -n -c 1 -W 1 -M do -s 1400 {to}"));
        eventually("the router hears of it", || {
            whole(FAR);
            net.shown()["path_mtu"].as_u64().filter(|mtu| *mtu == narrow)
        });
        let left = narrow - headers;
        assert_eq!(net.number("usable_mtu"), left);
        assert!((500..=600).contains(&net.number("path_mtu_expires")));
        assert!(net.number("errors_too_big") >= 1);
        eventually("the sender hears of it, too", || {
            let said = whole(FAR);
            let said = format!("{}{}", said.stdout, said.stderr).replace(' ', "");
            said.contains(&format!("mtu={left}")).then_some(())
        });
        // What may be cut still goes, and so does what every link takes.
        for to in [FAR, FAR6] {
            long(&net.lan, to, 3000);
        }
        let events = net.router.run("show events");
        assert!(events.contains(&format!("takes {narrow} bytes")), "{events}");
    }
}

/// RFC 4213 section 3.2.2: a way that takes less than IPv6's least MTU carries that in pieces.
#[test]
fn ipv6_gets_through_a_way_that_is_too_narrow_for_it() {
    let net = Net::start(Under::V4, GRE, "");
    eventually("the tunnel is through", || net.lan.reaches(FAR6).then_some(()));
    net.core.ip("link set east mtu 1000");
    net.far.ip("link set eth0 mtu 1000");
    let whole = || net.lan.run(&format!("ping -n -c 1 -W 1 -s 1232 {FAR6}"));
    eventually("1280 bytes get through in pieces", || (whole().code == 0).then_some(()));
    assert_eq!(net.number("path_mtu"), 1000);
    assert!(net.router.errors("tunnel-encap", "fragmented for the path's MTU") > 0);
}

#[test]
fn outer_packets_are_cut_where_the_operator_says_so() {
    for under in Under::BOTH {
        let net = Net::start(under, GRE, "mtu: 1500, df: clear");
        eventually("the tunnel is through", || net.lan.reaches(FAR).then_some(()));
        net.far.ip("link set tun0 mtu 1500");
        for to in [FAR, FAR6] {
            let said = net.lan.run(&format!("ping -n -c 3 -i 0.2 -W 2 -M do -s 1452 {to}")).ok();
            assert!(said.contains(" 0% packet loss"), "{under:?} {said}");
        }
        let node =
            if under == Under::V4 { ("ip4-fragment", "ip4-local-full") } else { ("ip6-fragment", "ip6-local-full") };
        assert!(net.router.errors(node.0, "packets fragmented") >= 3, "{under:?}");
        assert!(net.router.errors(&format!("{}-reassembly", node.1), "datagrams put together") >= 3, "{under:?}");
    }
}
