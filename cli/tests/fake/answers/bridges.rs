//! Bridges as the daemon for tests has them.
use millrace_api::v1::*;

pub fn list() -> ListBridgesReply {
    let port = BridgePort {
        interface: "lan".into(),
        state: "up".into(),
        link: "up".into(),
        learn: true,
        flood: true,
        unknown_unicast: "flood".into(),
        tagging: "access".into(),
        vlan: Some(10),
        stations: 2500,
        ..BridgePort::default()
    };
    let bridge = Bridge {
        bridge: "br0".into(),
        mac_age: 300,
        mac_limit: 65536,
        unknown_unicast: "flood".into(),
        stp: "drop".into(),
        stations: 2500,
        ports: vec![port],
        ..Bridge::default()
    };
    ListBridgesReply { bridges: vec![bridge] }
}

/// 2500 stations in batches of 1000, or as many as are asked for.
pub fn stations(request: &ListMacTableRequest) -> Vec<MacEntries> {
    let count = if request.limit == 0 { 2500 } else { request.limit };
    let station = |number: u64| MacEntry {
        bridge: "br0".into(),
        mac: format!("02:00:00:00:{:02x}:{:02x}", number >> 8, number & 0xff),
        interface: "lan".into(),
        age: Some(7),
        r#static: false,
        vlan: Some(10),
        remote: None,
    };
    let all: Vec<_> = (0..count).map(station).collect();
    all.chunks(1000).map(|batch| MacEntries { entries: batch.to_vec() }).collect()
}
