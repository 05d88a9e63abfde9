//! Two routers with a host behind each, joined by two cables that are one bond.

use harness::{Host, Lab, Router, eventually};
use serde_json::Value;

/// The fields are dropped in this order.
pub struct Pair {
    pub left: Router,
    pub right: Router,
    /// 192.168.1.10 behind the left one.
    pub lan: Host,
    /// 203.0.113.10 behind the right one.
    pub wan: Host,
    pub labs: [Lab; 2],
}

/// A router's configuration: its host's network and the other's, its address on the bond and the other's.
fn config(bond: &str, host: &str, other: &str, own: &str, via: &str) -> String {
    format!(
        "
interfaces:
  host: {{driver: af-packet, device: host, addresses: [{host}]}}
  p0: {{driver: af-packet, device: p0}}
  p1: {{driver: af-packet, device: p1}}
  bond0: {{driver: bond, members: [p0, p1], {bond}, addresses: [{own}]}}
routes: [{{to: {other}, via: {via}}}]
"
    )
}

impl Pair {
    /// Starts both, with more settings of the bond on either side.
    pub fn start(left: &str, right: &str) -> Pair {
        let labs = [Lab::new(), Lab::new()];
        for device in ["p0", "p1"] {
            labs[0].router.cable(device, &labs[1].router, device);
        }
        let lan = labs[0].host("host", "192.168.1.10/24", "192.168.1.1");
        let wan = labs[1].host("host", "203.0.113.10/24", "203.0.113.1");
        let left = config(left, "192.168.1.1/24", "203.0.113.0/24", "10.9.0.1/24", "10.9.0.2");
        let right = config(right, "203.0.113.1/24", "192.168.1.0/24", "10.9.0.2/24", "10.9.0.1");
        Pair { left: labs[0].start(&left), right: labs[1].start(&right), lan, wan, labs }
    }

    /// Waits until so many members of both bonds carry frames.
    #[track_caller]
    pub fn await_carriers(&self, count: usize) {
        for router in [&self.left, &self.right] {
            eventually("members carry frames", || (carriers(router).len() == count).then_some(()));
        }
    }
}

/// The bond as JSON.
pub fn bond(router: &Router) -> Value {
    router.json("show bonds bond0")
}

/// The members of the bond that carry frames.
pub fn carriers(router: &Router) -> Vec<String> {
    let bond = bond(router);
    let members = bond["members"].as_array().into_iter().flatten();
    let carry = members.filter(|member| member["state"] == "carries");
    carry.filter_map(|member| member["interface"].as_str().map(str::to_owned)).collect()
}
