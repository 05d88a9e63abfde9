//! `Ping`: echo requests from the router, one message for every answer or miss.

use super::{Sender, no_vrf};
use crate::control::probes::{Answer, request};
use crate::control::routes::Path;
use crate::control::{Router, Shared};
use millrace_api::v1::{PingEvent, PingRequest};
use millrace_config::DEFAULT_VRF;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tonic::Status;

/// Bytes of payload, as ping(8) sends them.
const SIZE: u32 = 56;
/// The largest payload: what an IPv4 packet has room for behind two headers.
const MAX_SIZE: u32 = 65_507;
/// Hops that a request may make.
const TTL: u8 = 64;

/// Where probes go, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    table: u32,
    from: Ipv4Addr,
    to: Ipv4Addr,
    identifier: u16,
}

impl Way {
    /// Finds the way to an address in a VRF.
    ///
    /// # Errors
    /// The addresses can't be read, there is no such VRF or route, or the source is not the router's.
    pub fn find(router: &mut Router, to: &str, source: Option<&str>, vrf: Option<&str>) -> Result<Way, Status> {
        let vrf = vrf.unwrap_or(DEFAULT_VRF);
        let table = *router.vrfs.get(vrf).ok_or_else(|| no_vrf(vrf))?;
        let address = |text: &str| {
            text.parse::<Ipv4Addr>().map_err(|_| Status::invalid_argument(format!("\"{text}\" is no IPv4 address")))
        };
        let to = address(to)?;
        let own = |address| matches!(router.routes.match_shown(table, address), Some((_, c)) if matches!(c.path, Path::Local(_)));
        let from = match source.map(address).transpose()? {
            Some(source) if own(source) => source,
            Some(source) => {
                return Err(Status::failed_precondition(format!("{source} is no address of the router in vrf {vrf}")));
            }
            None if own(to) => to,
            None => {
                let no_route = || Status::failed_precondition(format!("no route to {to} in vrf {vrf}"));
                let interface = router.routes.way_out(table, to).ok_or_else(no_route)?;
                let source = router.interfaces.forwarded(interface).and_then(|i| i.source_for(to));
                let any = || {
                    router
                        .interfaces
                        .iter()
                        .filter(|i| i.vrf.1 == table)
                        .find_map(|i| Some(i.addresses.first()?.addr()))
                };
                let none = || Status::failed_precondition("the router has no address to send from");
                source.or_else(any).ok_or_else(none)?
            }
        };
        Ok(Way { table, from, to, identifier: router.probes.identifier() })
    }

    /// Sends one request; where its answer will come.
    pub fn send(&self, router: &mut Router, sequence: u16, ttl: u8, size: usize) -> oneshot::Receiver<Answer> {
        let answer = router.probes.wait(self.identifier, sequence);
        if let Some(packet) = request(self.from, self.to, ttl, (self.identifier, sequence), size) {
            router.send_own(self.table, &packet);
        }
        answer
    }
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
        if asked.count == 0 || size > MAX_SIZE {
            return Err(Status::invalid_argument(format!("expected at least 1 request and at most {MAX_SIZE} bytes")));
        }
        let way = Way::find(router, &asked.address, asked.source.as_deref(), asked.vrf.as_deref())?;
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
