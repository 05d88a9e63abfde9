//! Hosts join groups, and get what is sent to them; others don't (RFC 4541).

use crate::net::{FAMILIES, Net, QUERIER, Receiver, report4};
use harness::frames::{self, IP4};
use harness::{eventually, nd, within};
use std::collections::BTreeSet;
use std::time::Duration;

const BOTH: &str = "igmp-snooping: true, mld-snooping: true";

#[test]
fn members_and_routers_get_a_group_once_somebody_asks() {
    let net = Net::start(2, BOTH);
    let [a, b] = &net.hosts[..] else { panic!("two hosts") };
    for family in FAMILIES {
        assert_eq!(net.sent(a, family.group, b"nobody has asked"), [true, true], "{family:?}: flooded");
        assert_eq!(net.shown(family)["querier"], serde_json::Value::Null);
    }
    net.filter(125);
    for family in FAMILIES {
        let receiver = Receiver::join(b, family.group());
        net.await_listeners(family, family.group, &["h2"]);
        assert_eq!(net.sent(a, family.group, b"to members"), [true, false], "{family:?}: routers get all");
        assert!(receiver.gets(b"to members"), "{family:?}");
        assert_eq!(net.sent(a, family.other, b"to nobody"), [true, false], "{family:?}: unknown ones go to routers");
        assert_eq!(net.sent(b, family.group, b"of a member"), [true, false], "{family:?}");
    }
    let text = net.router.run("show igmp-snooping");
    for part in ["querier  192.168.2.2 on r0, version 3, every 2m05s", "routers  r0 (", "239.1.2.3  h2 "] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
}

/// RFC 4541 section 2.1.2: groups of one MAC address are told apart.
#[test]
fn groups_that_share_a_mac_address() {
    let net = Net::start(2, BOTH);
    let [a, b] = &net.hosts[..] else { panic!("two hosts") };
    net.filter(125);
    let receiver = Receiver::join(b, FAMILIES[0].group());
    net.await_listeners(FAMILIES[0], FAMILIES[0].group, &["h2"]);
    let before = net.router.counter("h2", "tx_packets");
    net.sent(a, "238.129.2.3", b"another of its MAC address");
    let after = net.router.counter("h2", "tx_packets");
    net.sent(a, FAMILIES[0].group, b"the group");
    assert!(receiver.gets(b"the group"));
    assert_eq!(after - before, 1, "only what is flooded behind it");
}

#[test]
fn reports_go_to_routers_only() {
    let net = Net::start(1, BOTH);
    net.filter(125);
    let _joined = FAMILIES.map(|family| Receiver::join(&net.hosts[0], family.group()));
    net.r.expect("an IGMP report", |frame| is_igmp(frame, 0x22).then_some(()));
    net.r.expect("an MLD report", |frame| nd::report(frame).map(drop));
    for family in FAMILIES {
        net.await_listeners(family, family.group, &["h1"]);
    }
    net.sent(&net.hosts[0], "224.0.0.98", b"behind them");
    let others = net.s.drain();
    assert!(others.iter().all(|frame| !is_igmp(frame, 0x22)), "no report elsewhere");
}

fn is_igmp(frame: &[u8], kind: u8) -> bool {
    frames::ether_type(frame) == IP4 && frame.get(23) == Some(&2) && frame.get(38) == Some(&kind)
}

#[test]
fn a_host_leaves() {
    for version in ["", "net.ipv4.conf.all.force_igmp_version=2 net.ipv6.conf.all.force_mld_version=1"] {
        let net = Net::start(2, BOTH);
        let [a, b] = &net.hosts[..] else { panic!("two hosts") };
        version.split_whitespace().for_each(|setting| [a, b].iter().for_each(|host| host.sysctl(setting)));
        net.filter(125);
        for family in FAMILIES {
            let [stays, leaves] = [a, b].map(|host| Receiver::join(host, family.group()));
            net.await_listeners(family, family.group, &["h1", "h2"]);
            drop(leaves);
            assert_eq!(net.listeners(family, family.group), ["h1", "h2"], "others may be behind the port");
            net.ask_for(family.group());
            net.await_listeners(family, family.group, &["h1"]);
            assert_eq!(net.sent(b, family.group, b"who is left"), [true, false]);
            assert!(stays.gets(b"who is left"), "{family:?} {version}");
        }
    }
}

#[test]
fn who_does_not_answer_is_forgotten() {
    let net = Net::start(1, BOTH);
    net.filter(1);
    let _joined = FAMILIES.map(|family| Receiver::join(&net.hosts[0], family.group()));
    net.s.send(&report4(([2, 0, 0, 0, 0xdd, 1], [192, 168, 2, 77]), [239, 1, 2, 3]));
    net.await_listeners(FAMILIES[0], FAMILIES[0].group, &["h1", "s0"]);
    // The robustness times the interval and the response time are 2.1 s; the host answers each time.
    let forgotten = within(Duration::from_secs(8), || {
        net.ask_all(1);
        std::thread::sleep(Duration::from_millis(300));
        (net.listeners(FAMILIES[0], FAMILIES[0].group) == ["h1"]).then_some(())
    });
    assert!(forgotten.is_some());
    assert_eq!(net.listeners(FAMILIES[1], FAMILIES[1].group), ["h1"]);
    // The querier falls silent, and is gone with all that it kept up.
    for family in FAMILIES {
        let gone = within(Duration::from_secs(8), || net.shown(family)["querier"].is_null().then_some(()));
        assert!(gone.is_some(), "{family:?}");
        assert_eq!(net.sent(&net.hosts[0], family.other, b"flooded again"), [true, true], "{family:?}");
    }
}

#[test]
fn a_port_that_goes_down_has_no_members() {
    let net = Net::start(2, BOTH);
    net.filter(125);
    let _joined = FAMILIES.map(|family| Receiver::join(&net.hosts[0], family.group()));
    for family in FAMILIES {
        net.await_listeners(family, family.group, &["h1"]);
    }
    net.hosts[0].ip("link set eth0 down");
    for family in FAMILIES {
        net.await_listeners(family, family.group, &[]);
    }
    net.r.end.ip("link set end0 down");
    for family in FAMILIES {
        eventually("there is no querier", || net.shown(family)["querier"].is_null().then_some(()));
    }
}

#[test]
fn snooping_is_switched_on_and_off_while_it_runs() {
    let net = Net::start(1, "");
    let a = &net.hosts[0];
    let off = net.router.ctl("show igmp-snooping br0").code(1).stderr;
    assert!(off.contains("bridge br0 has no IGMP snooping"), "{off}");
    net.router.run("bridge set br0 igmp-snooping true mld-snooping true");
    net.filter(125);
    assert_eq!(net.sent(a, FAMILIES[0].other, b"filtered"), [true, false]);
    net.router.run("bridge set br0 igmp-snooping false");
    assert_eq!(net.sent(a, FAMILIES[0].other, b"flooded"), [true, true]);
    assert_eq!(net.sent(a, FAMILIES[1].other, b"filtered still"), [true, false]);
    net.router.run("bridge set br0 igmp-snooping true");
    assert_eq!(net.shown(FAMILIES[0])["querier"], serde_json::Value::Null, "it begins anew");
}

/// Reports without end, from stations without number.
#[test]
fn a_hostile_port_gets_its_share_and_no_more() {
    let net = Net::start(2, BOTH);
    let [a, b] = &net.hosts[..] else { panic!("two hosts") };
    net.filter(125);
    for n in 0..3000_u32 {
        let [_, high, low, last] = n.to_be_bytes();
        net.s.send(&report4(([2, 0, 0, high, low, last], [10, high, low, last]), [239, 200 + high, low, last]));
        if n % 500 == 499 {
            net.router.settle();
        }
    }
    let shown = eventually("all that it may have", || {
        let shown = net.shown(FAMILIES[0]);
        (shown["refused"].as_u64()? + net.router.errors("l2-snoop", "IGMP or MLD: more than a port's share") > 0)
            .then_some(shown)
    });
    let groups: BTreeSet<&str> =
        shown["groups"].as_array().expect("groups").iter().filter_map(|group| group["group"].as_str()).collect();
    assert!(groups.len() <= 1024, "{} groups", groups.len());
    let receiver = Receiver::join(b, FAMILIES[0].group());
    net.await_listeners(FAMILIES[0], FAMILIES[0].group, &["h2"]);
    // The packet path follows within a moment.
    let gets = || {
        net.sent(a, FAMILIES[0].group, b"to a member");
        receiver.gets(b"to a member")
    };
    assert!(gets() || gets());
    // What is against the RFCs is counted, and nobody gets it.
    let mut bad = report4(QUERIER, [239, 7, 7, 7]);
    bad[38 + 2] ^= 1;
    net.s.send(&bad);
    eventually("the bad checksum is counted", || {
        (net.router.errors("l2-snoop", "IGMP or MLD: bad checksum") == 1).then_some(())
    });
    assert_eq!(net.listeners(FAMILIES[0], "239.7.7.7"), Vec::<String>::new());
}
