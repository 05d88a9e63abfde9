//! Either end dies, or leaves, and comes back, under traffic and in any order: traffic passes again each time, and the other
//! end never had to be started anew.

use crate::net::{BEHIND, Net, Role, WAYS, await_link, socket};
use harness::{Process, SIGCONT, SIGKILL, SIGSTOP, eventually};

/// How many times in all; `MILLRACE_TEST_RESTARTS` sets another number.
const ROUNDS: usize = 50;

/// What happens to the two ends.
#[derive(Clone, Copy, Debug)]
enum Blow {
    PeerIsKilled,
    PeerQuits,
    RouterIsKilled,
    RouterIsStopped,
    InterfaceIsRemoved,
    BothAreKilledPeerFirstBack,
    BothAreKilledRouterFirstBack,
}

use Blow::*;

const BLOWS: [Blow; 7] = [
    PeerIsKilled,
    PeerQuits,
    RouterIsKilled,
    RouterIsStopped,
    InterfaceIsRemoved,
    BothAreKilledPeerFirstBack,
    BothAreKilledRouterFirstBack,
];

/// xorshift64: the same order in every run.
struct Random(u64);

impl Random {
    fn blow(&mut self) -> Blow {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        BLOWS[(self.0 % BLOWS.len() as u64) as usize]
    }
}

#[test]
fn traffic_resumes_whoever_dies() {
    let rounds = std::env::var("MILLRACE_TEST_RESTARTS").ok().and_then(|rounds| rounds.parse().ok());
    let rounds: usize = rounds.unwrap_or(ROUNDS);
    let mut random = Random(0x6d65_6d69_6673_6565);
    for (way, (role, keys)) in WAYS.into_iter().enumerate() {
        let mut net = Net::start(role, keys);
        net.peer.forward("icmpecho");
        net.traffic_passes("at the start");
        let load = net.lan.spawn(&format!("ping -n -q -i 0.002 {BEHIND}"));
        for round in (way..rounds).step_by(WAYS.len()) {
            let blow = random.blow();
            strike(&mut net, &load, role, blow);
            net.traffic_passes(&format!("after {blow:?} (round {round}, {role:?} {keys})"));
        }
        drop(load);
        // Of all those links no buffer is left behind.
        net.router.rebase();
        net.router.run("interface remove c0");
        let in_use = || net.router.json("show buffers")["in_use"].as_u64();
        eventually("every buffer came back", || (in_use() == Some(0)).then_some(()));
        net.router.rebase();
    }
}

#[track_caller]
fn strike(net: &mut Net, load: &Process, role: Role, blow: Blow) {
    match blow {
        PeerIsKilled => {
            net.crash_peer();
            await_link(&net.router, "c0", "down");
            net.revive_peer();
        }
        PeerQuits => {
            net.peer.quit();
            net.forget_socket();
            await_link(&net.router, "c0", "down");
            net.revive_peer();
        }
        RouterIsKilled => {
            rest(net);
            net.router.end(SIGKILL);
            revive_router(net, load);
            net.reconnect_peer();
        }
        RouterIsStopped => {
            rest(net);
            net.router.stop();
            revive_router(net, load);
            net.reconnect_peer();
        }
        InterfaceIsRemoved => {
            rest(net);
            net.router.run("interface remove c0");
            if role == Role::Server {
                assert!(!socket(&net.lab).exists(), "the socket stays behind");
            }
            let config = net.router.config_file();
            net.router.run(&format!("config apply {}", config.display()));
            net.reconnect_peer();
        }
        BothAreKilledPeerFirstBack => {
            net.crash_peer();
            net.router.end(SIGKILL);
            net.peer.start_again();
            revive_router(net, load);
            net.reconnect_peer();
        }
        BothAreKilledRouterFirstBack => {
            net.router.end(SIGKILL);
            net.crash_peer();
            revive_router(net, load);
            net.revive_peer();
        }
    }
}

/// testpmd's forwarding core must not be in its rings when the router goes: `net_memif` takes them away from under it.
#[track_caller]
fn rest(net: &mut Net) {
    net.peer.stop();
}

/// Starts the router again; with nothing to do, so that its books begin with a rest.
#[track_caller]
fn revive_router(net: &mut Net, load: &Process) {
    load.signal(SIGSTOP);
    net.router.start_again();
    load.signal(SIGCONT);
}
