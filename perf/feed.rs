//! Routes told by a client of the API, as a routing daemon would.

use crate::daemon::Daemon;
use anyhow::{Result, ensure};
use millrace_api::v1::route_updates::What;
use millrace_api::v1::{
    NextHop, ReplaceBegin, ReplaceEnd, RouteAction, RouteBatch, RouteChange, RouteOrigin, RouteUpdates,
};
use std::time::{Duration, Instant};
use tokio_stream::wrappers::ReceiverStream;

/// Messages that may be under way.
const AHEAD: usize = 16;

/// What became of a call.
pub struct Told {
    /// From the first message to the last acknowledgement.
    pub took: Duration,
    /// Changes that were taken: all that were told.
    pub taken: usize,
    /// Routes that the origin has now.
    pub routes: u64,
}

/// Routes to some prefixes by one gateway, or by any of several, instead of those that there may be.
pub fn set(prefixes: Vec<String>, gateways: &[String]) -> RouteChange {
    RouteChange { action: RouteAction::Replace.into(), ..add(prefixes, gateways) }
}

/// New routes to some prefixes by one gateway, or by any of several.
pub fn add(prefixes: Vec<String>, gateways: &[String]) -> RouteChange {
    let hop = |gateway: &String| NextHop { gateway: Some(gateway.clone()), interface: None, weight: 0 };
    let next_hops = gateways.iter().map(hop).collect();
    RouteChange { action: RouteAction::Add.into(), next_hops, prefixes, ..RouteChange::default() }
}

/// No routes to some prefixes any more.
pub fn withdraw(prefixes: Vec<String>) -> RouteChange {
    RouteChange { action: RouteAction::Remove.into(), prefixes, ..RouteChange::default() }
}

/// Replaces all routes of the origin by those of the batches.
pub fn replace(daemon: &Daemon, batches: Vec<RouteBatch>) -> Result<Told> {
    let batches = batches.into_iter().map(What::Batch);
    let told = [What::Begin(ReplaceBegin {})].into_iter().chain(batches).chain([What::End(ReplaceEnd {})]);
    let told = tell(daemon, told)?;
    ensure!(told.taken as u64 == told.routes, "{} routes were taken, but {} are there", told.taken, told.routes);
    Ok(told)
}

/// Tells the changes one after the other, as fast as they are acknowledged. None may be refused.
pub fn tell(daemon: &Daemon, changes: impl Iterator<Item = What>) -> Result<Told> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = millrace_api::connect(daemon.socket()).await?;
        let (sender, messages) = tokio::sync::mpsc::channel(AHEAD);
        let start = Instant::now();
        let feed = async {
            let open = What::Open(RouteOrigin { name: "bgp".to_owned(), distance: 20, vrf: None });
            for what in [open].into_iter().chain(changes) {
                sender.send(RouteUpdates { what: Some(what) }).await?;
            }
            drop(sender);
            anyhow::Ok(())
        };
        let acknowledged = async {
            let mut replies = client.operate.update_routes(ReceiverStream::new(messages)).await?.into_inner();
            let (mut taken, mut routes) = (0, 0);
            while let Some(reply) = replies.message().await? {
                ensure!(reply.refused == 0, "refused: {:?}", reply.refusals.first());
                taken += reply.taken as usize;
                routes = reply.routes;
            }
            Ok(Told { took: start.elapsed(), taken, routes })
        };
        // What is refused ends both.
        let ((), told) = tokio::try_join!(feed, acknowledged)?;
        Ok(told)
    })
}
