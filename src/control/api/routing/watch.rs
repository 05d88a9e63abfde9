//! `WatchRoutes`: routes as they change.
//!
//! The routes tell only which prefixes changed; what leads there is looked up when it is told, so that of several changes the last
//! is told and nothing is told twice that has not changed meanwhile. A watcher who falls too far behind is told so, and
//! everything is listed for it again: it takes what it has for gone when the listing ends.

use super::{BATCH, Listing, Scope, message, read};
use crate::control::api::Sender;
use crate::control::routes::Changed;
use crate::control::{Router, Shared};
use ipnet::IpNet;
use millrace_api::v1::route_news::What;
use millrace_api::v1::{ChangedRoute, Lagged, ListingEnd, RouteChanges, RouteNews, WatchRoutesRequest};
use millrace_config::Name;
use std::collections::{BTreeMap, HashSet};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tonic::Status;

/// Somebody who watches.
pub struct Watch {
    request: WatchRoutesRequest,
    prefix: Option<IpNet>,
    changes: Receiver<Changed>,
    /// The VRFs that were there, by the numbers of their tables: one that goes can't be asked for its name any more.
    names: BTreeMap<u32, Name>,
}

/// Why a watch ends: nobody is there to be told.
struct Gone;

impl Watch {
    /// Begins to take note of changes.
    ///
    /// # Errors
    /// There is no such VRF or family, or the prefix can't be read.
    pub fn start(router: &mut Router, request: WatchRoutesRequest) -> Result<Watch, Status> {
        Scope::read(router, &request.family, request.vrf.as_deref())?;
        let prefix = request.prefix.as_ref().map(|text| read::<IpNet>(text, "prefix")).transpose()?;
        let changes = router.routes.subscribe();
        let mut watch = Watch { prefix: prefix.map(|prefix| prefix.trunc()), request, changes, names: BTreeMap::new() };
        watch.learn_names(router);
        Ok(watch)
    }

    /// Tells what changes, until nobody listens any more.
    pub async fn run(mut self, router: Shared, to: Sender<RouteNews>) {
        let mut listing = self.request.listing;
        while self.step(&router, &to, listing).await.is_ok() {
            listing = false;
        }
    }

    async fn step(&mut self, router: &Shared, to: &Sender<RouteNews>, listing: bool) -> Result<(), Gone> {
        if listing {
            return self.list(router, to).await;
        }
        let first = tokio::select! {
            changed = self.changes.recv() => changed,
            () = to.closed() => return Err(Gone),
        };
        let first = match first {
            Ok(changed) => changed,
            Err(RecvError::Lagged(missed)) => return self.begin_again(router, to, missed).await,
            // The routes are gone, and so will the daemon be.
            Err(RecvError::Closed) => return Err(Gone),
        };
        let (mut batch, mut missed) = (vec![first], None);
        while batch.len() < BATCH {
            match self.changes.try_recv() {
                Ok(changed) => batch.push(changed),
                Err(TryRecvError::Lagged(count)) => {
                    missed = Some(count);
                    break;
                }
                Err(_) => break,
            }
        }
        if let Some(missed) = missed {
            return self.begin_again(router, to, missed).await;
        }
        let count = batch.len() as u64;
        let changes = self.look(&router.lock(), batch);
        match changes {
            None => self.begin_again(router, to, count).await,
            Some(changes) if changes.is_empty() => Ok(()),
            Some(changes) => tell(to, What::Changed(RouteChanges { changes })).await,
        }
    }

    /// Says that changes are lost, and lists everything.
    async fn begin_again(&mut self, router: &Shared, to: &Sender<RouteNews>, missed: u64) -> Result<(), Gone> {
        tell(to, What::Lagged(Lagged { missed })).await?;
        // What is still to be taken note of is in the listing.
        self.changes = router.lock().routes.subscribe();
        self.list(router, to).await
    }

    async fn list(&mut self, router: &Shared, to: &Sender<RouteNews>) -> Result<(), Gone> {
        let scope = {
            let router = router.lock();
            self.learn_names(&router);
            // A VRF that is gone has nothing to list.
            Scope::read(&router, &self.request.family, self.request.vrf.as_deref()).ok()
        };
        let mut listing = scope.map(|scope| Listing::whole(scope, self.prefix));
        let mut count = 0;
        loop {
            let batch = listing.as_mut().and_then(|listing| listing.next(&router.lock()));
            let Some(batch) = batch else { break };
            count += batch.routes.len() as u64;
            if batch.routes.is_empty() {
                tokio::task::yield_now().await;
            } else {
                tell(to, What::Listed(batch)).await?;
            }
        }
        tell(to, What::End(ListingEnd { routes: count })).await
    }

    /// What leads to the prefixes that changed, each once, in the order of their first change. `None` if the number of a table means
    /// another VRF now: whose changes these are isn't known any more.
    fn look(&mut self, router: &Router, batch: Vec<Changed>) -> Option<Vec<ChangedRoute>> {
        let another = |(name, table): (&Name, &u32)| self.names.get(table).is_some_and(|before| before != name);
        let (reused, mut changes) = (router.vrfs.iter().any(another), Vec::new());
        self.learn_names(router);
        if reused {
            return None;
        }
        let mut seen = HashSet::new();
        let batch = batch.into_iter().filter(|changed| seen.insert((changed.table, changed.prefix)));
        for Changed { table, prefix } in batch {
            let Some(vrf) = self.names.get(&table) else { continue };
            if !self.asks_for(vrf, prefix) {
                continue;
            }
            let shown = router.routes.get(table, prefix);
            if shown.as_ref().is_some_and(|shown| shown.path.is_end()) {
                continue;
            }
            let route = shown.map(|shown| message(router, vrf, table, prefix, &shown));
            changes.push(ChangedRoute { prefix: prefix.to_string(), vrf: vrf.to_string(), route });
        }
        Some(changes)
    }

    fn asks_for(&self, vrf: &Name, prefix: IpNet) -> bool {
        let family = match prefix {
            IpNet::V4(_) => "ipv4",
            IpNet::V6(_) => "ipv6",
        };
        (self.request.family.is_empty() || self.request.family == family)
            && self.request.vrf.as_ref().is_none_or(|only| vrf == only.as_str())
            && self.prefix.is_none_or(|whole| whole.contains(&prefix))
    }

    /// Takes note of the VRFs that there are, and keeps those that went.
    fn learn_names(&mut self, router: &Router) {
        self.names.extend(router.vrfs.iter().map(|(name, table)| (*table, name.clone())));
    }
}

async fn tell(to: &Sender<RouteNews>, what: What) -> Result<(), Gone> {
    to.send(Ok(RouteNews { what: Some(what) })).await.map_err(|_| Gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tests::start;

    /// Numbers of tables are used again some time after their VRF is gone.
    #[test]
    fn whose_changes_these_were_is_not_guessed() {
        let mut router = start("vrfs: {green: {}}");
        let green = router.vrfs["green"];
        let mut watch = Watch::start(&mut router, WatchRoutesRequest::default()).unwrap();
        let changes = || vec![Changed { table: green, prefix: "10.0.0.0/8".parse().unwrap() }];
        assert_eq!(watch.look(&router, changes()).unwrap()[0].vrf, "green");
        watch.names.insert(green, "red".parse().unwrap());
        assert!(watch.look(&router, changes()).is_none());
        assert!(watch.look(&router, changes()).is_some(), "after a new listing it goes on");
    }
}
