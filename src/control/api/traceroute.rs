//! `Traceroute`: the routers on the way to an address, found by echo requests that may make ever more hops.

use super::Sender;
use super::ping::{Way, micros, millis};
use crate::control::{Router, Shared};
use millrace_api::v1::{TracerouteHop, TracerouteProbe, TracerouteRequest};
use std::time::{Duration, Instant};
use tonic::Status;

const MAX_HOPS: u32 = 30;
const PROBES: u32 = 3;

/// A search for the way.
pub struct Search {
    way: Way,
    max_hops: u8,
    probes: u32,
    patience: Duration,
}

impl Search {
    pub fn start(router: &mut Router, asked: &TracerouteRequest) -> Result<Search, Status> {
        let or = |asked: u32, usual: u32| if asked == 0 { usual } else { asked };
        let (hops, probes) = (or(asked.max_hops, MAX_HOPS), or(asked.probes, PROBES));
        let (Ok(max_hops), 1..=10) = (u8::try_from(hops), probes) else {
            return Err(Status::invalid_argument("expected at most 255 hops and 10 probes for each"));
        };
        let way = Way::find(router, &asked.address, asked.source.as_deref(), asked.vrf.as_deref())?;
        Ok(Search { way, max_hops, probes, patience: millis(asked.timeout_ms) })
    }

    /// Tells of one hop after the other. Ends early when nobody listens any more.
    pub async fn run(self, router: Shared, to: Sender<TracerouteHop>) {
        for ttl in 1..=self.max_hops {
            let hop = self.hop(&router, ttl).await;
            let (ends, first) = (hop.ends, u32::from(ttl));
            let hop = TracerouteHop { hop: first, probes: hop.probes, reached: hop.reached };
            if to.send(Ok(hop)).await.is_err() || ends {
                return;
            }
        }
    }

    async fn hop(&self, router: &Shared, ttl: u8) -> Hop {
        let mut hop = Hop::default();
        for probe in 0..self.probes {
            let sequence = (u32::from(ttl) * self.probes + probe) as u16;
            let sent = Instant::now();
            let answer = self.way.send(&mut router.lock(), sequence, ttl, 32);
            let answer = tokio::time::timeout(self.patience, answer).await.ok().and_then(Result::ok);
            hop.probes.push(answer.map_or_else(TracerouteProbe::default, |answer| {
                hop.reached |= answer.is_reply();
                // Whoever says that there is no way further is the last.
                hop.ends |= answer.is_reply() || answer.is_end();
                TracerouteProbe {
                    from: Some(answer.from.to_string()),
                    rtt_us: micros(sent, answer.at),
                    note: answer.mark(),
                }
            }));
        }
        hop
    }
}

#[derive(Default)]
struct Hop {
    probes: Vec<TracerouteProbe>,
    reached: bool,
    ends: bool,
}
