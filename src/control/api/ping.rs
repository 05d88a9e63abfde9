//! `Ping`: echo requests from the router, one message for every answer or miss.

use super::{Sender, no_interface, no_vrf};
use crate::control::probes::{Answer, request};
use crate::control::routes::Path;
use crate::control::{Router, Shared};
use millrace_api::v1::{PingEvent, PingRequest};
use millrace_config::DEFAULT_VRF;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tonic::Status;

/// Bytes of payload, as ping(8) sends them.
const SIZE: u32 = 56;
/// Hops that a request may make.
const TTL: u8 = 64;

/// The largest payload: what a packet of the family has room for behind its headers.
const fn max_size(to: IpAddr) -> u32 {
    match to {
        IpAddr::V4(_) => 65_507,
        IpAddr::V6(_) => 65_527,
    }
}

/// Where probes go, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    table: u32,
    from: IpAddr,
    to: IpAddr,
    /// The interface on whose link a link-local address or group is.
    link: Option<u32>,
    identifier: u16,
}

impl Way {
    /// Finds the way to an address in a VRF. One that is the same on every link, as fe80::1, has its interface behind it:
    /// `fe80::1%lan` (RFC 4007 section 11).
    ///
    /// # Errors
    /// The addresses can't be read, there is no such VRF, interface or route, or the source is not the router's.
    pub fn find(router: &mut Router, to: &str, source: Option<&str>, vrf: Option<&str>) -> Result<Way, Status> {
        let (to, zone) = to.split_once('%').map_or((to, None), |(to, zone)| (to, Some(zone)));
        let to = address(to)?;
        let link = link(router, to, zone)?;
        let table = match (link, vrf) {
            (Some(link), None) => router.interfaces.get(link).map_or(0, |i| i.vrf.1),
            _ => {
                let vrf = vrf.unwrap_or(DEFAULT_VRF);
                *router.vrfs.get(vrf).ok_or_else(|| no_vrf(vrf))?
            }
        };
        let source = source.map(address).transpose()?;
        let from = match source {
            Some(source) if source.is_ipv4() != to.is_ipv4() => {
                return Err(Status::invalid_argument(format!("{source} and {to} are of different families")));
            }
            Some(source) if is_own(router, table, link, source) => source,
            Some(source) => {
                let whose = vrf.unwrap_or(DEFAULT_VRF);
                return Err(Status::failed_precondition(format!(
                    "{source} is no address of the router in vrf {whose}"
                )));
            }
            None if is_own(router, table, link, to) => to,
            None => best_source(router, table, link, to)?,
        };
        Ok(Way { table, from, to, link, identifier: router.probes.identifier() })
    }

    /// Sends one request; where its answer will come.
    pub fn send(&self, router: &mut Router, sequence: u16, ttl: u8, size: usize) -> oneshot::Receiver<Answer> {
        let answer = router.probes.wait(self.identifier, sequence);
        if let Some(packet) = request(self.from, self.to, ttl, (self.identifier, sequence), size) {
            match (self.to, self.link) {
                (IpAddr::V6(group), Some(link)) if group.is_multicast() => router.send_multicast6(link, group, &packet),
                (IpAddr::V6(_), link) => drop(router.send_own6(self.table, link, &packet)),
                (IpAddr::V4(_), _) => drop(router.send_own(self.table, &packet)),
            }
        }
        answer
    }
}

fn address(text: &str) -> Result<IpAddr, Status> {
    text.parse().map_err(|_| Status::invalid_argument(format!("\"{text}\" is no IP address")))
}

/// The interface on whose link an address is, if it needs one.
fn link(router: &Router, to: IpAddr, zone: Option<&str>) -> Result<Option<u32>, Status> {
    let needed = matches!(to, IpAddr::V6(to) if to.is_unicast_link_local() || to.is_multicast());
    match zone {
        Some(zone) if needed => Ok(Some(router.interfaces.index(zone).ok_or_else(|| no_interface(zone))?)),
        Some(zone) => {
            Err(Status::invalid_argument(format!("{to} is the same everywhere: expected it without %{zone}")))
        }
        None if needed => Err(Status::invalid_argument(format!("{to} is on every link: expected {to}%INTERFACE"))),
        None => Ok(None),
    }
}

/// Whether an address is the router's own in a table, or on a link.
fn is_own(router: &Router, table: u32, link: Option<u32>, address: IpAddr) -> bool {
    match (address, link) {
        (IpAddr::V6(address), Some(link)) if address.is_unicast_link_local() => {
            router.interfaces.forwarded(link).is_some_and(|interface| interface.owns6(address))
        }
        _ => {
            matches!(router.routes.match_shown(table, address), Some((_, shown)) if matches!(shown.path, Path::Local(_)))
        }
    }
}

/// The address to speak from: one of the interface that the way leads out by, else any of the VRF.
fn best_source(router: &Router, table: u32, link: Option<u32>, to: IpAddr) -> Result<IpAddr, Status> {
    let no_route = || Status::failed_precondition(format!("no route to {to}"));
    let interface = link.or_else(|| router.routes.way_out(table, to)).ok_or_else(no_route)?;
    let of = |index: u32| {
        let interface = router.interfaces.forwarded(index)?;
        match to {
            IpAddr::V4(to) => interface.source_for(to).map(IpAddr::from),
            IpAddr::V6(to) => interface.source_for6(to).map(IpAddr::from),
        }
    };
    let any = || router.interfaces.iter().filter(|i| i.vrf.1 == table).find_map(|i| of(i.index));
    of(interface).or_else(any).ok_or_else(|| Status::failed_precondition("the router has no address to send from"))
}

/// A series of requests.
pub struct Series {
    way: Way,
    count: u32,
    size: u32,
    interval: Duration,
    patience: Duration,
}

impl Series {
    pub fn start(router: &mut Router, asked: &PingRequest) -> Result<Series, Status> {
        let size = asked.size.unwrap_or(SIZE);
        let way = Way::find(router, &asked.address, asked.source.as_deref(), asked.vrf.as_deref())?;
        let most = max_size(way.to);
        if asked.count == 0 || size > most {
            return Err(Status::invalid_argument(format!("expected at least 1 request and at most {most} bytes")));
        }
        let (interval, patience) = (millis(asked.interval_ms), millis(asked.timeout_ms));
        Ok(Series { way, count: asked.count, size, interval, patience })
    }

    /// Sends them, and tells what became of each. Ends early when nobody listens any more.
    pub async fn run(self, router: Shared, to: Sender<PingEvent>) {
        for sequence in 1..=self.count {
            let sent = Instant::now();
            let answer = self.way.send(&mut router.lock(), sequence as u16, TTL, self.size as usize);
            let answer = tokio::time::timeout(self.patience, answer).await.ok().and_then(Result::ok);
            if to.send(Ok(event(sequence, sent, answer))).await.is_err() {
                return;
            }
            if sequence < self.count {
                tokio::time::sleep(self.interval.saturating_sub(sent.elapsed())).await;
            }
        }
    }
}

/// What 0 stands for is a second.
pub fn millis(asked: u32) -> Duration {
    Duration::from_millis(if asked == 0 { 1000 } else { asked.into() })
}

/// Microseconds from one moment to another.
pub fn micros(sent: Instant, at: Instant) -> f64 {
    at.saturating_duration_since(sent).as_secs_f64() * 1e6
}

fn event(sequence: u32, sent: Instant, answer: Option<Answer>) -> PingEvent {
    match answer {
        None => PingEvent { sequence, outcome: "timeout".to_owned(), ..PingEvent::default() },
        Some(answer) => PingEvent {
            sequence,
            outcome: answer.words(),
            from: Some(answer.from.to_string()),
            bytes: answer.bytes as u32,
            ttl: answer.ttl.into(),
            rtt_us: micros(sent, answer.at),
        },
    }
}
