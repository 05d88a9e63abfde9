//! Routes of routing daemons: a hundred thousand of them come, change and go through the API, and no packet is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may end where the program may not")]

use harness::frames::{self, Ip};
use harness::{LAN, Wires, eventually};
use millrace_api::v1::route_updates::What;
use millrace_api::v1::{
    NextHop, ReplaceBegin, ReplaceEnd, RouteAction, RouteBatch, RouteChange, RouteOrigin, RouteUpdates,
    RouteUpdatesReply,
};
use std::ops::Range;
use std::path::Path;
use std::thread;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

/// A default route, and three more neighbours in the wan.
const CONFIG: &str = "
  - {interface: wan, address: 203.0.113.11, mac: '02:00:00:00:02:0b'}
  - {interface: wan, address: 203.0.113.12, mac: '02:00:00:00:02:0c'}
  - {interface: wan, address: 203.0.113.13, mac: '02:00:00:00:02:0d'}
routes:
  - {to: 0.0.0.0/0, via: 203.0.113.10}
";

/// Routes in a batch.
const BATCH: u32 = 1000;

/// A caller of the API.
struct Caller {
    runtime: Runtime,
    messages: mpsc::Sender<RouteUpdates>,
    replies: Streaming<RouteUpdatesReply>,
}

impl Caller {
    fn new(socket: &Path) -> Caller {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (messages, receiver) = mpsc::channel(4);
        let replies = runtime.block_on(async {
            let mut client = millrace_api::connect(socket).await.unwrap();
            client.operate.update_routes(ReceiverStream::new(receiver)).await.unwrap().into_inner()
        });
        Caller { runtime, messages, replies }
    }

    /// Says something; the answer.
    fn say(&mut self, what: What) -> Result<RouteUpdatesReply, Status> {
        self.runtime.block_on(async {
            self.messages.send(RouteUpdates { what: Some(what) }).await.expect("the call goes on");
            Ok(self.replies.message().await?.expect("an answer to each message"))
        })
    }

    /// With the origin `bgp` open.
    fn open(socket: &Path) -> Caller {
        eventually("the origin is free", || {
            let mut caller = Caller::new(socket);
            caller.say(open("bgp", 20, None)).ok().map(|_| caller)
        })
    }

    /// Names routes in batches, all of which must be taken.
    fn name(&mut self, action: RouteAction, last: u8, networks: Range<u32>) {
        for first in networks.clone().step_by(BATCH as usize) {
            let prefixes = (first..networks.end.min(first + BATCH)).map(prefix).collect();
            let reply = self.say(What::Batch(RouteBatch { changes: vec![change(action, last, prefixes)] })).unwrap();
            assert_eq!((reply.taken, reply.refused), (BATCH, 0), "{:?}", reply.refusals);
        }
    }
}

fn open(name: &str, distance: u32, vrf: Option<&str>) -> What {
    What::Open(RouteOrigin { name: name.to_owned(), distance, vrf: vrf.map(str::to_owned) })
}

fn change(action: RouteAction, last: u8, prefixes: Vec<String>) -> RouteChange {
    let next_hops = vec![NextHop { gateway: Some(format!("203.0.113.{last}")), interface: None, weight: 0 }];
    RouteChange { action: action.into(), next_hops, prefixes, ..RouteChange::default() }
}

/// The n-th of many /24s.
fn network(n: u32) -> Ip {
    ((20 << 24) + (n << 8)).to_be_bytes()
}

fn prefix(n: u32) -> String {
    let [a, b, c, _] = network(n);
    format!("{a}.{b}.{c}.0/24")
}

/// The last byte of the address of the neighbour that each of these packets goes to, and no packet is lost.
fn ways(net: &Wires, networks: &[u32]) -> Vec<u8> {
    let packet = |n: &u32| {
        let [a, b, c, _] = network(*n);
        let header = frames::header(LAN.ip, [a, b, c, 7]);
        LAN.frame(&frames::packet(&header, &frames::udp(&header, 40_000, 7, b"route me")))
    };
    let packets: Vec<_> = networks.iter().map(packet).collect();
    let seen = net.pass(&packets).wan;
    let arrived = networks.iter().map(|n| seen.iter().find(|frame| frame[30..33] == network(*n)[..3]));
    arrived.map(|frame| frames::link(frame.expect("a packet is lost")).0[5]).collect()
}

#[test]
fn a_hundred_thousand_updates_lose_nothing() {
    let net = Wires::start(CONFIG);
    let socket = net.router.socket();
    // What stays, what goes when all are replaced, and what is new then.
    let some = [0, 999, 24_999, 25_000, 49_999, 50_000, 74_999, 75_000];
    assert_eq!(ways(&net, &some), [10; 8]);

    let with_traffic = |allowed: &[&[u8]; 8], work: &(dyn Fn(&mut Caller) + Sync)| {
        thread::scope(|scope| {
            let feed = scope.spawn(|| work(&mut Caller::open(&socket)));
            let mut rounds = 0;
            while !feed.is_finished() {
                let now = ways(&net, &some);
                assert!(now.iter().zip(allowed).all(|(way, allowed)| allowed.contains(way)), "{now:?}");
                rounds += 1;
            }
            feed.join().expect("the routes are taken");
            assert!(rounds > 0, "packets flowed meanwhile");
        });
    };

    let old: &[u8] = &[10, 11];
    with_traffic(&[old, old, old, old, old, &[10], &[10], &[10]], &|caller| {
        caller.say(What::Begin(ReplaceBegin {})).unwrap();
        caller.name(RouteAction::Add, 11, 0..50_000);
        let end = caller.say(What::End(ReplaceEnd {})).unwrap();
        assert_eq!((end.swept, end.routes, end.message), (0, 50_000, 53));
    });
    assert_eq!(ways(&net, &some), [11, 11, 11, 11, 11, 10, 10, 10]);

    let (stays, new): (&[u8], &[u8]) = (&[11, 12], &[10, 12]);
    with_traffic(&[stays, stays, stays, old, old, new, new, &[10]], &|caller| {
        caller.say(What::Begin(ReplaceBegin {})).unwrap();
        caller.name(RouteAction::Replace, 12, 0..25_000);
        caller.name(RouteAction::Add, 12, 50_000..75_000);
        let end = caller.say(What::End(ReplaceEnd {})).unwrap();
        assert_eq!((end.swept, end.routes), (25_000, 50_000));
    });
    let after = [12, 12, 12, 10, 10, 12, 12, 10];
    assert_eq!(ways(&net, &some), after);
    let shown = net.router.list("show ip route 20.0.0.7");
    assert_eq!((&shown[0]["prefix"], &shown[0]["origin"]), (&"20.0.0.0/24".into(), &"bgp".into()));
    assert_eq!(shown[0]["next_hops"][0]["gateway"], "203.0.113.12");

    // The configuration wins, and is as it was.
    net.router.run("route add 20.0.0.0/24 via 203.0.113.13");
    assert_eq!(ways(&net, &[0, 1]), [13, 12]);
    net.router.run("route remove 20.0.0.0/24");
    assert_eq!(ways(&net, &[0, 1]), [12, 12]);
    assert!(!net.router.run("show configuration").contains("20.0.0.0"));

    // Who goes away midway leaves what was there.
    let mut caller = Caller::open(&socket);
    caller.say(What::Begin(ReplaceBegin {})).unwrap();
    caller.name(RouteAction::Add, 13, 0..1000);
    drop(caller);
    let mut caller = Caller::open(&socket);
    assert_eq!(ways(&net, &some), [13, 13, 12, 10, 10, 12, 12, 10]);
    // And who names nothing has nothing.
    caller.say(What::Begin(ReplaceBegin {})).unwrap();
    let end = caller.say(What::End(ReplaceEnd {})).unwrap();
    assert_eq!((end.swept, end.routes), (50_000, 0));
    assert_eq!(ways(&net, &some), [10; 8]);
}

#[test]
fn what_cannot_be_is_said_and_changes_nothing() {
    let net = Wires::start(CONFIG);
    let socket = net.router.socket();
    let batch = |change| What::Batch(RouteBatch { changes: vec![change] });
    let good = || batch(change(RouteAction::Add, 11, vec![prefix(0)]));
    for (messages, code) in [
        (vec![good()], Code::InvalidArgument),
        (vec![open("static", 20, None)], Code::InvalidArgument),
        (vec![open("bgp", 1, None)], Code::InvalidArgument),
        (vec![open("bgp", 20, Some("nosuch"))], Code::NotFound),
        (vec![open("bgp", 20, None), open("bgp", 20, None)], Code::InvalidArgument),
        (vec![open("bgp", 20, None), What::End(ReplaceEnd {})], Code::FailedPrecondition),
    ] {
        let mut caller = Caller::new(&socket);
        let last = messages.into_iter().map(|what| caller.say(what)).last().expect("a message");
        let status = last.expect_err("refused");
        assert!(status.code() == code && !status.message().is_empty(), "{status:?}");
    }
    let mut first = Caller::open(&socket);
    let status = Caller::new(&socket).say(open("bgp", 20, None)).expect_err("two callers of one origin");
    assert_eq!(status.code(), Code::FailedPrecondition);
    let mixed = vec![prefix(0), "20.0.1.1/24".to_owned(), "::/0".to_owned(), prefix(2)];
    let reply = first.say(batch(change(RouteAction::Add, 11, mixed))).unwrap();
    assert_eq!((reply.taken, reply.refused, reply.routes), (2, 2, 2));
    assert_eq!((&*reply.refusals[0].prefix, reply.refusals[1].reason.contains("family")), ("20.0.1.1/24", true));
    let reply = first.say(good()).unwrap();
    assert_eq!((reply.taken, &*reply.refusals[0].reason), (0, "there is a route already"));
    assert_eq!(ways(&net, &[0, 1, 2]), [11, 10, 11]);
    drop(first);
    assert_eq!(ways(&net, &[0, 1, 2]), [11, 10, 11], "the routes stay when the call ends");
}
