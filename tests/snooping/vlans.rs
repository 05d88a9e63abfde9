//! Each VLAN of a bridge has groups and addresses of its own.

use crate::net::report4;
use harness::frames::{self, tagged, untagged};
use harness::{Lab, eventually};
use serde_json::Value;

#[test]
fn vlans_have_groups_of_their_own() {
    let lab = Lab::new();
    let [trunk, ten, twenty] = ["t0", "x0", "y0"].map(|name| lab.wire(name));
    let router = lab.start(
        "interfaces:\n  t0: {driver: af-packet, device: t0, bridge: br0, trunk: {vlans: \"10,20\"}}\n  \
         x0: {driver: af-packet, device: x0, bridge: br0, vlan: 10}\n  y0: {driver: af-packet, device: y0, bridge: br0, vlan: 20}\n\
         bridges:\n  br0: {igmp-snooping: true, arp-suppression: true}\n",
    );
    let group = [239, 1, 2, 3];
    let host = ([2, 0, 0, 0, 0xdd, 1], [192, 168, 2, 77]);
    trunk.send(&tagged(10, &report4(host, group)));
    ten.send(&report4(host, group));
    let listeners = |vlan: u64| {
        let all = router.list("show igmp-snooping br0");
        let of_vlan = all.into_iter().find(|one| one["vlan"] == vlan)?;
        let groups = of_vlan["groups"].as_array()?.clone();
        let names = |group: &Value| group["listeners"].as_array().cloned().unwrap_or_default();
        Some(
            groups
                .iter()
                .flat_map(names)
                .filter_map(|one| one["interface"].as_str().map(str::to_owned))
                .collect::<Vec<_>>(),
        )
    };
    eventually("both listen in VLAN 10", || (listeners(10)? == ["t0", "x0"]).then_some(()));
    assert_eq!(listeners(20), Some(vec![]));
    // The same address in two VLANs is of two stations.
    let arp = |mac, from, to| {
        frames::Arp { operation: 1, sender: (mac, from), target: ([0; 6], to) }.frame(frames::BROADCAST)
    };
    let (one, other, asker) = ([2, 0, 0, 0, 0xee, 1], [2, 0, 0, 0, 0xee, 2], [2, 0, 0, 0, 0xee, 3]);
    let address = [192, 168, 2, 50];
    ten.send(&arp(one, address, [192, 168, 2, 1]));
    twenty.send(&arp(other, address, [192, 168, 2, 1]));
    let macs = || -> Vec<(u64, String)> {
        let entry = |row: &Value| Some((row["vlan"].as_u64()?, row["mac"].as_str()?.to_owned()));
        router.list("show arp-suppression").iter().filter_map(entry).collect()
    };
    let expected = vec![(10, "02:00:00:00:ee:01".to_owned()), (20, "02:00:00:00:ee:02".to_owned())];
    eventually("both are known", || (macs() == expected).then_some(()));
    for (vlan, mac) in [(10, one), (20, other)] {
        trunk.drain();
        trunk.send(&tagged(vlan, &arp(asker, [192, 168, 2, 60], address)));
        let reply = trunk.expect("an answer with the tag", |frame| {
            let (of, frame) = untagged(frame)?;
            frames::Arp::of(&frame).filter(|arp| of == vlan && arp.operation == 2)
        });
        assert_eq!((reply.sender, reply.target.0), ((mac, address), asker));
    }
}
