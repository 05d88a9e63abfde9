//! Multicast listener discovery, as a switch that snoops needs it (RFC 3810, RFC 4541): the router reports the groups that
//! it listens to, and answers queries.

use harness::frames6::{self, ALL_NODES, ALL_ROUTERS, Ip6, ip6, solicited_node};
use harness::nd::{self, IS_EXCLUDE, Records, TO_EXCLUDE, TO_INCLUDE};
use harness::{LAN6, Wires};

/// A querier in the lan.
fn querier() -> ([u8; 6], Ip6) {
    ([2, 0, 0, 0, 1, 0x99], frames6::link_local([2, 0, 0, 0, 1, 0x99]))
}

/// Both of the router's addresses have the same group, as they end in the same three bytes.
fn own_groups() -> Vec<Ip6> {
    assert_eq!(solicited_node(LAN6.router_ip), solicited_node(LAN6.router_link_local()));
    vec![ALL_ROUTERS, solicited_node(LAN6.router_ip)]
}

/// Reports until these groups were named with a record of this type; all other groups that were.
#[track_caller]
fn await_records(net: &Wires, kind: u8, mut wanted: Vec<Ip6>) -> Records {
    let mut others = Records::new();
    net.lan.expect("reports of all groups", |frame| {
        let (_, records) = nd::report(frame)?;
        for (group, told) in records {
            match wanted.iter().position(|awaited| *awaited == group && told == kind) {
                Some(at) => drop(wanted.remove(at)),
                None => drop(others.insert(group, told)),
            }
        }
        wanted.is_empty().then_some(())
    });
    others
}

/// RFC 3810 6.1: news is told when it happens. ff02::1 is never spoken of (section 6).
#[test]
fn groups_are_reported() {
    let net = Wires::dual("");
    net.router.run("address add 2001:db8:1::12:3456/64 interface lan");
    let group = solicited_node(ip6("2001:db8:1::12:3456"));
    let others = await_records(&net, TO_EXCLUDE, vec![group]);
    assert!(!others.contains_key(&ALL_NODES));
    net.router.run("address remove 2001:db8:1::12:3456/64 interface lan");
    await_records(&net, TO_INCLUDE, vec![group]);
}

/// RFC 3810 5.2, 6.2: a general query, one about a group, and one about somebody else's.
#[test]
fn queries_are_answered() {
    let net = Wires::dual("");
    net.lan.send(&nd::query(querier(), None, 100));
    let others = await_records(&net, IS_EXCLUDE, own_groups());
    assert!(!others.contains_key(&ALL_NODES), "{others:02x?}");
    let group = solicited_node(LAN6.router_ip);
    net.lan.send(&nd::query(querier(), Some(ip6("ff02::1:ff99:9999")), 10));
    net.lan.send(&nd::query(querier(), Some(group), 10));
    let others = await_records(&net, IS_EXCLUDE, vec![group]);
    assert!(!others.contains_key(&ip6("ff02::1:ff99:9999")), "{others:02x?}");
}

/// RFC 3810 6.2, 5.1.14: what can't come from a querier of this link is dropped, with a cause.
#[test]
fn malformed_queries() {
    let net = Wires::dual("");
    let good = nd::query(querier(), None, 10);
    let global = nd::query((querier().0, LAN6.ip), None, 10);
    let mut far = good.clone();
    far[21] = 64;
    let mut wrong_sum = good.clone();
    wrong_sum[64] ^= 1;
    for (name, frame) in [
        ("not from a link-local address", global),
        ("hop limit 64", far),
        ("a wrong checksum", wrong_sum),
        ("too short", good[..good.len() - 12].to_vec()),
    ] {
        let before = net.router.drops();
        net.pass(&[frame]);
        assert!(net.router.drops() > before, "{name}\n{}", net.router.run("show errors"));
    }
}
