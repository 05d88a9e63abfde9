//! GRE and IPIP interfaces, as the API lists them.

use crate::control::Router;
use crate::control::interfaces::Interface;
use crate::control::tunnels::report::What;
use crate::control::tunnels::settings;
use millrace_api::v1::{ListTunnelsReply, ListTunnelsRequest, Tunnel};
use millrace_config::Ends;
use millrace_graph_nodes::tunnel::Kind;
use std::time::Instant;
use tonic::Status;

pub fn list(router: &Router, request: &ListTunnelsRequest) -> Result<ListTunnelsReply, Status> {
    let all = router.interfaces.iter().filter(|i| request.interface.as_deref().is_none_or(|only| only == &*i.name));
    let tunnels: Vec<_> = all
        .filter_map(|interface| {
            let (ends, kind) = settings(&interface.driver)?;
            Some(message(router, interface, ends, kind))
        })
        .collect();
    match &request.interface {
        Some(name) if tunnels.is_empty() => {
            Err(Status::not_found(format!("no tunnel \"{name}\"; `show tunnels` lists them")))
        }
        _ => Ok(ListTunnelsReply { tunnels }),
    }
}

fn message(router: &Router, interface: &Interface, ends: &Ends, kind: Kind) -> Tunnel {
    let index = interface.index;
    let now = Instant::now();
    let counts = router.engine.interface(index).since(&interface.baseline);
    let path = router.tunnels.path(index);
    let (key, checksum) = match kind {
        Kind::Gre { key, checksum } => (key, checksum),
        Kind::Ipip => (None, false),
    };
    Tunnel {
        interface: interface.name.to_string(),
        driver: interface.driver.as_str().to_owned(),
        local: ends.local.to_string(),
        local_is_here: interface.problem.is_none(),
        remote: ends.remote.to_string(),
        underlay_vrf: ends.underlay_vrf.to_string(),
        key,
        checksum,
        ttl: ends.ttl.into(),
        tos: ends.tos.to_string(),
        df: ends.df.to_string(),
        mtu: interface.mtu.into(),
        usable_mtu: router.tunnels.mtu(index, interface.mtu).into(),
        path_mtu: path.mtu().map(Into::into),
        path_mtu_expires: path.until().map(|until| until.saturating_duration_since(now).as_secs() as u32),
        overhead: router.tunnels.get(index).map_or(0, |tunnel| tunnel.overhead() as u32),
        rx_packets: counts.rx_packets,
        rx_bytes: counts.rx_bytes,
        tx_packets: counts.tx_packets,
        tx_bytes: counts.tx_bytes,
        errors_too_big: path.heard.too_big,
        errors_unreachable: path.heard.unreachable,
        errors_time_exceeded: path.heard.time_exceeded,
        errors_other: path.heard.other,
        last_error: path.heard.last.map(|(what, from, at)| {
            let ago = now.saturating_duration_since(at).as_secs();
            format!("{} from {from}, {ago} s ago", words(what))
        }),
    }
}

fn words(what: What) -> String {
    match what {
        What::TooBig(mtu) => format!("packet too big for {mtu} bytes"),
        What::Unreachable => "unreachable".to_owned(),
        What::TimeExceeded => "time exceeded".to_owned(),
        What::BadHeader => "bad header".to_owned(),
    }
}
