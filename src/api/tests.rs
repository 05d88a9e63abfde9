//! The promises of the contract that no type checks.
use prost::Message as _;
use serde::Serialize;
use serde_json::{Value, json, to_value};

use crate::v1::{
    Bridge, Buffers, ErrorCount, Interface, InterfaceDetails, MacEntry, Nat44Session, Nat44Summary, Neighbor, NextHop,
    NodeRuntime, Route, Version, Worker,
};

fn keys(message: impl Serialize) -> Vec<String> {
    let value = to_value(message).unwrap();
    value.as_object().unwrap().keys().cloned().collect()
}

/// The keys that other programs rely on.
#[test]
fn listings_have_their_published_keys() {
    let cases = [
        (
            keys(Interface::default()),
            "name driver device state link mac mtu vrf bridge addresses rx_packets rx_bytes tx_packets tx_bytes rx_drops \
             tx_drops",
        ),
        (keys(NodeRuntime::default()), "node worker calls packets packets_per_call clocks_per_packet"),
        (keys(Worker::default()), "worker cpu load_percent rx_pps tx_pps"),
        (keys(ErrorCount::default()), "node reason count"),
        (keys(Route::default()), "prefix vrf origin type next_hops"),
        (keys(NextHop::default()), "gateway interface weight"),
        (keys(Neighbor::default()), "interface address mac state age"),
        (
            keys(Nat44Session::default()),
            "protocol inside_address inside_port outside_address outside_port remote_address remote_port state expires_in \
             packets bytes",
        ),
        (keys(Nat44Summary::default()), "sessions max_sessions by_protocol by_state ports_used"),
        (keys(MacEntry::default()), "bridge mac interface age static"),
        (keys(Bridge::default()), "bridge mac_age stations ports"),
        (keys(Buffers::default()), "total free in_use"),
        (keys(Version::default()), "version commit cpu_variant"),
    ];
    for (keys, published) in cases {
        for key in published.split_whitespace() {
            assert!(keys.iter().any(|has| has == key), "{key} is missing in {keys:?}");
        }
    }
}

#[test]
fn numbers_are_plain_and_what_is_unset_is_null() {
    let interface = to_value(Interface { rx_packets: u64::MAX, ..Default::default() }).unwrap();
    assert_eq!(interface["rx_packets"], json!(u64::MAX));
    assert_eq!((&interface["bridge"], interface.get("details")), (&Value::Null, None));
    let details = Some(InterfaceDetails::default());
    assert!(to_value(Interface { details, ..Default::default() }).unwrap().get("details").is_some());
}

/// Reflection serves these.
#[test]
fn the_descriptors_hold_every_file_and_service() {
    let set = prost_types::FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET).unwrap();
    assert!(set.file.iter().all(|file| file.package() == "millrace.v1"));
    let services: Vec<&str> = set.file.iter().flat_map(|file| &file.service).map(|service| service.name()).collect();
    assert_eq!(services, ["Show", "Config", "Operate"]);
    assert!(set.file.iter().any(|file| file.name() == "millrace/interfaces.proto"));
}

#[tokio::test]
async fn a_socket_without_a_daemon_is_named_in_the_error() {
    let error = crate::connect("/nonexistent/api.sock").await.unwrap_err().to_string();
    assert!(error.starts_with("can't reach the daemon at /nonexistent/api.sock: No such file"), "{error}");
}
