//! Routes that routing daemons tell: the call that changes an origin's routes by a stream of batches.

use super::edits::route;
use super::{Sender, no_vrf};
use crate::control::routes::Path;
use crate::control::routes::adjacencies::is_link_local;
use crate::control::routes::update::{Refusal, Session, SessionError, Update};
use crate::control::{Router, Shared};
use ipnet::IpNet;
use millrace_api::v1::route_updates::What;
use millrace_api::v1::{RouteAction, RouteChange, RouteOrigin, RouteRefusal, RouteUpdates, RouteUpdatesReply};
use millrace_config::{DEFAULT_VRF, NextHop, Route, never_routed};
use millrace_tables::load_balance::MAX_BUCKETS;
use tonic::{Status, Streaming};

/// Routes that are changed, or looked at, before others get their turn: about a millisecond's work.
const STEP: usize = 1000;
/// Most refusals that a reply tells of.
const MAX_REFUSALS: usize = 1000;

/// A call; its origin is free for others when it ends, however that is.
struct Call {
    router: Shared,
    session: Option<Session>,
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(session) = self.session {
            self.router.lock().routes.close(session);
        }
    }
}

/// Does what comes, one message after the other, and answers each, until the caller ends the stream, goes away, or says what
/// can't be.
pub async fn run(router: Shared, mut messages: Streaming<RouteUpdates>, sender: Sender<RouteUpdatesReply>) {
    let mut call = Call { router, session: None };
    let mut number = 0;
    while let Ok(Some(message)) = messages.message().await {
        number += 1;
        let answer = call.message(message.what).await;
        let ends = answer.is_err();
        let reply = answer.map(|reply| RouteUpdatesReply { message: number, ..reply });
        if sender.send(reply).await.is_err() || ends {
            break;
        }
    }
}

impl Call {
    async fn message(&mut self, what: Option<What>) -> Result<RouteUpdatesReply, Status> {
        let what = what.ok_or_else(|| Status::invalid_argument("a message says nothing"))?;
        let session = match (self.session, what) {
            (None, What::Open(origin)) => {
                self.session = Some(open(&mut self.router.lock(), &origin)?);
                return self.reply(RouteUpdatesReply::default());
            }
            (None, _) => return Err(Status::invalid_argument("the first message has to open an origin")),
            (Some(_), What::Open(_)) => return Err(Status::invalid_argument("an origin is open already")),
            (Some(session), What::Batch(batch)) => return self.batch(session, &batch.changes).await,
            (Some(session), What::Begin(_)) => {
                self.router.lock().routes.begin(session).map_err(|error| refused(&error))?;
                return self.reply(RouteUpdatesReply::default());
            }
            (Some(session), What::End(_)) => session,
        };
        let (mut swept, mut next) = (0, None);
        loop {
            let step = self.router.lock().routes.sweep(session, next, STEP).map_err(|error| refused(&error))?;
            swept += step.swept as u64;
            next = step.next;
            if next.is_none() {
                self.router.lock().wake_for_routes();
                return self.reply(RouteUpdatesReply { swept, ..RouteUpdatesReply::default() });
            }
            tokio::task::yield_now().await;
        }
    }

    fn reply(&self, reply: RouteUpdatesReply) -> Result<RouteUpdatesReply, Status> {
        let told = self.session.map(|session| self.router.lock().routes.told(session));
        Ok(RouteUpdatesReply {
            routes: told.transpose().map_err(|error| refused(&error))?.unwrap_or(0) as u64,
            ..reply
        })
    }

    /// Makes the changes, in steps.
    async fn batch(&self, session: Session, changes: &[RouteChange]) -> Result<RouteUpdatesReply, Status> {
        let mut reply = RouteUpdatesReply::default();
        let mut rest = Rest { changes, done: 0 };
        while rest.step(&mut self.router.lock(), session, &mut reply).map_err(|error| refused(&error))? {
            tokio::task::yield_now().await;
        }
        self.router.lock().wake_for_routes();
        self.reply(reply)
    }
}

fn open(router: &mut Router, origin: &RouteOrigin) -> Result<Session, Status> {
    let vrf = origin.vrf.as_deref().unwrap_or(DEFAULT_VRF);
    let table = *router.vrfs.get(vrf).ok_or_else(|| no_vrf(vrf))?;
    router.routes.open(table, &origin.name, origin.distance).map_err(|error| refused(&error))
}

fn refused(error: &SessionError) -> Status {
    match error {
        SessionError::Name(_) | SessionError::Reserved(_) | SessionError::Distance(_) => {
            Status::invalid_argument(error.to_string())
        }
        _ => Status::failed_precondition(error.to_string()),
    }
}

/// What is left of a batch.
struct Rest<'a> {
    changes: &'a [RouteChange],
    /// Prefixes of the first of them that are done.
    done: usize,
}

impl Rest<'_> {
    /// Does a step's work. False when nothing is left.
    fn step(
        &mut self,
        router: &mut Router,
        session: Session,
        reply: &mut RouteUpdatesReply,
    ) -> Result<bool, SessionError> {
        let mut left = STEP;
        // What the paths name is looked up first, as the work on the routes has them for itself.
        let paths = self.paths(router);
        let mut update = router.routes.update(session)?;
        for path in paths {
            let Some(change) = self.changes.first() else { break };
            let prefixes = change.prefixes.get(self.done..).unwrap_or_default();
            let now = prefixes.get(..left).unwrap_or(prefixes);
            apply(&mut update, change.action(), path, now, reply);
            // Each change is some work, even one without prefixes.
            left = left.saturating_sub(now.len().max(1));
            if now.len() < prefixes.len() {
                self.done += now.len();
                break;
            }
            (self.changes, self.done) = (self.changes.get(1..).unwrap_or_default(), 0);
            if left == 0 {
                break;
            }
        }
        Ok(!self.changes.is_empty())
    }

    /// Where the changes of the next step lead; nowhere in particular for those that take routes out.
    fn paths(&self, router: &Router) -> Vec<Result<Path, String>> {
        let mut left = (STEP + self.done) as isize;
        let within = self.changes.iter().take_while(|change| {
            let begins = left > 0;
            left -= change.prefixes.len().max(1) as isize;
            begins
        });
        within.map(|change| path(router, change)).collect()
    }
}

fn path(router: &Router, change: &RouteChange) -> Result<Path, String> {
    match change.action() {
        RouteAction::Unspecified => return Err("it is not said what to do".to_owned()),
        RouteAction::Remove => return Ok(Path::Blackhole),
        RouteAction::Add | RouteAction::Replace => {}
    }
    // What stands for no gateway is of the family of the prefixes, of which all are one.
    let prefix = change.prefixes.first().and_then(|text| text.parse().ok()).unwrap_or_default();
    let route = route(prefix, &change.r#type, &change.next_hops, change.next_vrf.as_deref())
        .map_err(|status| status.message().to_owned())?;
    let by_wire = |hop: &NextHop| {
        let interface = hop.interface.as_ref().and_then(|name| router.interfaces.named(name));
        !hop.has_gateway() && interface.is_some_and(|interface| interface.driver.has_ethernet())
    };
    match &route {
        Route::Via(hops) if hops.is_empty() => Err("a unicast route needs a next hop".to_owned()),
        Route::Via(hops) if hops.iter().any(by_wire) => Err("a next hop needs a gateway".to_owned()),
        Route::Via(hops) if hops.len() > MAX_BUCKETS => Err(format!("more than {MAX_BUCKETS} next hops")),
        Route::Via(hops) if hops.iter().any(|hop| hop.interface.is_none() && is_link_local(hop.gateway)) => {
            Err("a link-local gateway needs an interface".to_owned())
        }
        route => router.path(route),
    }
}

/// Makes a change of some prefixes.
fn apply(
    update: &mut Update<'_>,
    action: RouteAction,
    path: Result<Path, String>,
    prefixes: &[String],
    reply: &mut RouteUpdatesReply,
) {
    let mut refuse = |text: &str, reason: String| {
        reply.refused += 1;
        if reply.refusals.len() < MAX_REFUSALS {
            reply.refusals.push(RouteRefusal { prefix: text.to_owned(), reason });
        }
    };
    let lead = match path.and_then(|path| update.lead(&path)) {
        Ok(lead) => lead,
        Err(reason) => {
            prefixes.iter().for_each(|text| refuse(text, reason.clone()));
            return;
        }
    };
    for text in prefixes {
        let done = prefix(text).and_then(|prefix| {
            let done = match action {
                RouteAction::Remove => update.unset(prefix),
                action => update.set(prefix, lead, action == RouteAction::Add),
            };
            done.map_err(|refusal: Refusal| refusal.to_string())
        });
        match done {
            Ok(()) => reply.taken += 1,
            Err(reason) => refuse(text, reason),
        }
    }
    update.release(lead);
}

fn prefix(text: &str) -> Result<IpNet, String> {
    let prefix: IpNet = text.parse().map_err(|_| "no prefix of IPv4 or IPv6".to_owned())?;
    if prefix.trunc() != prefix {
        return Err(format!("bits are set behind the prefix length; {} has none", prefix.trunc()));
    }
    if let Some(kind) = never_routed(prefix) {
        return Err(format!("these are {kind}: no packet to them is forwarded"));
    }
    Ok(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tests::start;
    use millrace_api::v1::NextHop;

    fn change(action: RouteAction, gateway: &str, prefixes: Vec<String>) -> RouteChange {
        let next_hops = vec![NextHop { gateway: Some(gateway.to_owned()), interface: None, weight: 0 }];
        RouteChange { action: action.into(), next_hops, prefixes, ..RouteChange::default() }
    }

    /// Does a batch; the reply, and how many steps it took.
    fn batch(router: &mut Router, session: Session, changes: &[RouteChange]) -> (RouteUpdatesReply, usize) {
        let (mut reply, mut rest, mut steps) = (RouteUpdatesReply::default(), Rest { changes, done: 0 }, 1);
        while rest.step(router, session, &mut reply).unwrap() {
            steps += 1;
        }
        (reply, steps)
    }

    fn prefixes(n: u32) -> Vec<String> {
        (0..n).map(|n| format!("10.{}.{}.0/24", n / 256, n % 256)).collect()
    }

    #[test]
    fn batches_are_done_in_steps() {
        let mut router = start("interfaces: {wan: {driver: generator, addresses: [192.0.2.1/24]}}");
        let origin = RouteOrigin { name: "bgp".to_owned(), distance: 20, vrf: None };
        let session = open(&mut router, &origin).unwrap();
        let few = |n: u32| change(RouteAction::Replace, &format!("192.0.2.{}", 2 + n % 9), prefixes(1));
        for (changes, taken, refused, steps) in [
            (vec![change(RouteAction::Add, "192.0.2.2", prefixes(2500))], 2500, 0, 3),
            (vec![change(RouteAction::Add, "192.0.2.3", prefixes(2501))], 1, 2500, 3),
            ((0..1500).map(few).collect(), 1500, 0, 2),
            (vec![change(RouteAction::Remove, "", prefixes(999)), few(0), few(1)], 1001, 0, 2),
            (vec![RouteChange::default(); 2000], 0, 0, 2),
            (vec![], 0, 0, 1),
        ] {
            let (reply, took) = batch(&mut router, session, &changes);
            assert_eq!((reply.taken, reply.refused, took), (taken, refused, steps));
            assert_eq!(reply.refusals.len(), MAX_REFUSALS.min(refused as usize));
        }
        assert_eq!(router.routes.told(session), Ok(2501 - 999 + 1));
    }

    #[test]
    fn what_is_refused_and_why() {
        let mut router = start("interfaces: {wan: {driver: generator, addresses: [192.0.2.1/24]}}");
        let origin =
            |vrf: Option<&str>| RouteOrigin { name: "bgp".to_owned(), distance: 20, vrf: vrf.map(str::to_owned) };
        assert_eq!(open(&mut router, &origin(Some("blue"))).unwrap_err().code(), tonic::Code::NotFound);
        let session = open(&mut router, &origin(None)).unwrap();
        assert_eq!(open(&mut router, &origin(None)).unwrap_err().code(), tonic::Code::FailedPrecondition);
        let with = |text: &str| change(RouteAction::Add, "192.0.2.2", vec![text.to_owned()]);
        let no_hop = RouteChange { next_hops: vec![], ..with("10.0.0.0/8") };
        let kind = |kind: &str| RouteChange { r#type: kind.to_owned(), ..no_hop.clone() };
        let mut on_nothing = with("10.0.0.0/8");
        on_nothing.next_hops[0].interface = Some("nosuch".to_owned());
        for (change, why) in [
            (with("10.0.0.0"), "no prefix of IPv4 or IPv6"),
            (change(RouteAction::Add, "fe80::9", vec!["2001:db8::/32".to_owned()]), "needs an interface"),
            (with("2001:db8::/32"), "have to be of one address family"),
            (with("fe80::/64"), "these are link-local addresses"),
            (with("ff05::/16"), "these are multicast addresses"),
            (with("10.0.0.1/8"), "bits are set behind the prefix length; 10.0.0.0/8 has none"),
            (RouteChange { action: 9, ..with("10.0.0.0/8") }, "it is not said what to do"),
            (change(RouteAction::Remove, "", vec!["10.0.0.0/8".to_owned()]), "there is no such route"),
            (change(RouteAction::Add, "here", vec!["10.0.0.0/8".to_owned()]), "gateway"),
            (no_hop.clone(), "a unicast route needs a next hop"),
            (kind("nowhere"), "expected unicast, next-vrf, blackhole, unreachable or prohibit"),
            (RouteChange { r#type: "blackhole".to_owned(), ..with("10.0.0.0/8") }, "takes no next hops"),
            (
                RouteChange { next_hops: vec![with("").next_hops[0].clone(); 65], ..no_hop.clone() },
                "more than 64 next hops",
            ),
            (on_nothing, "nosuch"),
        ] {
            let (reply, _) = batch(&mut router, session, std::slice::from_ref(&change));
            assert_eq!((reply.taken, reply.refused, reply.refusals.len()), (0, 1, 1), "{change:?}");
            assert_eq!(reply.refusals[0].prefix, change.prefixes[0]);
            assert!(reply.refusals[0].reason.contains(why), "{:?}", reply.refusals[0]);
        }
        for given in ["blackhole", "unreachable", "prohibit"] {
            let change = RouteChange { action: RouteAction::Replace.into(), ..kind(given) };
            assert_eq!(batch(&mut router, session, &[change]).0.taken, 1);
        }
    }
}
