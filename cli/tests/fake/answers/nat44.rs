//! Translation of addresses as the daemon for tests has it.
use millrace_api::v1::*;

use super::{Answer, Items, items};

fn session(number: u32) -> Nat44Session {
    Nat44Session {
        protocol: if number == 1 { "icmp" } else { "tcp" }.into(),
        inside_address: "192.168.1.10".into(),
        inside_port: 40000 + number,
        outside_address: "203.0.113.2".into(),
        outside_port: 50000 + number,
        remote_address: "198.51.100.7".into(),
        remote_port: if number == 1 { 0 } else { 443 },
        state: "established".into(),
        expires_in: 7439,
        packets: 12,
        bytes: 4096,
        vrf: if number == 2 { "blue" } else { "default" }.into(),
    }
}

/// 2500 sessions in batches of 1000; one when something is asked for.
pub fn sessions(request: &ListNat44SessionsRequest) -> Answer<Items<Nat44Sessions>> {
    let some = request.filter.is_some() || request.limit > 0;
    let all: Vec<_> = (0..if some { 1 } else { 2500 }).map(session).collect();
    items(all.chunks(1000).map(|batch| Nat44Sessions { sessions: batch.to_vec() }).collect())
}

pub fn mappings() -> Vec<Nat44Mappings> {
    let fixed = |inside: &str, weight| Nat44Mapping {
        r#type: "static".into(),
        protocol: "tcp".into(),
        inside_address: inside.into(),
        inside_port: 443,
        outside_address: Some("203.0.113.2".into()),
        outside_port: 8443,
        ports: 1,
        vrf: "blue".into(),
        interface: Some("wan".into()),
        weight,
        ..Nat44Mapping::default()
    };
    let whole = Nat44Mapping {
        r#type: "static".into(),
        protocol: "any".into(),
        inside_address: "192.168.1.11".into(),
        outside_address: Some("203.0.113.3".into()),
        sessions: Some(7),
        vrf: "default".into(),
        weight: 1,
        ..Nat44Mapping::default()
    };
    let range = Nat44Mapping {
        outside_port: 5000,
        inside_port: 6000,
        ports: 101,
        outside_address: None,
        ..fixed("192.168.1.10", 1)
    };
    let dynamic = Nat44Mapping {
        r#type: "dynamic".into(),
        protocol: "udp".into(),
        inside_address: "192.168.1.10".into(),
        inside_port: 40000,
        outside_address: Some("203.0.113.2".into()),
        outside_port: 40000,
        ports: 1,
        sessions: Some(3),
        vrf: "default".into(),
        weight: 1,
        ..Nat44Mapping::default()
    };
    let fixed =
        vec![whole, fixed("192.168.1.10", 1), Nat44Mapping { twice_nat: true, ..fixed("192.168.1.11", 2) }, range];
    vec![Nat44Mappings { mappings: fixed }, Nat44Mappings { mappings: vec![dynamic] }]
}

pub fn summary() -> Nat44Summary {
    let counts = |pairs: &[(&str, u64)]| pairs.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect();
    Nat44Summary {
        sessions: 2500,
        max_sessions: 1_000_000,
        by_protocol: counts(&[("icmp", 1), ("tcp", 2499)]),
        by_state: counts(&[("established", 2500)]),
        ports_used: 2500,
        mappings: 2500,
        hosts: 1,
        max_sessions_per_host: 10_000,
        memory: 400_000,
        addresses: vec![Nat44Address { address: "203.0.113.2".into(), tcp_ports: 2499, udp_ports: 0, icmp_ids: 1 }],
        top_hosts: vec![Nat44Host { address: "192.168.1.10".into(), vrf: "default".into(), sessions: 2500 }],
        refusals: counts(&[("no mapping", 17)]),
        log: Some(Nat44Log { told: 5, suppressed: 2, unsent: 0 }),
    }
}
