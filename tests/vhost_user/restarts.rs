//! Either end goes at any time, killed or taken away, and traffic passes again when it is back.
//! `MILLRACE_TEST_RESTARTS` says how often.

use harness::testpmd::Setup;
use harness::{Host, Lab, Router, SIGKILL, Testpmd, eventually};

/// The peer's address; it answers ARP and pings for any.
const PEER: &str = "192.168.7.10";

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The peer is killed and starts again.
    PeerCrashes,
    /// The daemon is killed and starts again.
    DaemonCrashes,
    /// The interface is removed and added.
    InterfaceGoes,
    /// The interface is down and up.
    InterfaceRests,
}

const EVENTS: [Event; 4] = [Event::PeerCrashes, Event::DaemonCrashes, Event::InterfaceGoes, Event::InterfaceRests];

/// A host, the router and the peer, which is dropped first.
struct Place {
    peer: Testpmd,
    router: Router,
    host: Host,
    lab: Lab,
    role: &'static str,
}

impl Place {
    #[track_caller]
    fn start(role: &'static str) -> Place {
        let lab = Lab::new();
        let host = lab.host("lan", "192.168.1.10/24", "192.168.1.1");
        let socket = lab.files.file("vm1.sock");
        let router = lab.start(&format!(
            "
interfaces:
  lan: {{driver: af-packet, device: lan, addresses: [192.168.1.1/24]}}
  vm1: {{driver: vhost-user, socket: {}, role: {role}, addresses: [192.168.7.1/24]}}
",
            socket.display()
        ));
        let listens = if role == "client" { ",server=1" } else { "" };
        let device = format!("net_virtio_user0,path={},queue_size=1024{listens}", socket.display());
        let mut peer = Setup::device(&device).start();
        peer.forward("icmpecho");
        let place = Place { peer, router, host, lab, role };
        place.traffic_passes("the start");
        place
    }

    #[track_caller]
    fn traffic_passes(&self, after: &str) {
        eventually(&format!("the peer answers after {after}"), || self.host.reaches(PEER).then_some(()));
    }

    #[track_caller]
    fn restart_peer(&mut self) {
        self.peer.crash();
        if self.role == "client" {
            // A killed listener leaves its socket, and DPDK replaces none.
            let _ = std::fs::remove_file(self.lab.files.file("vm1.sock"));
        }
        self.peer.start_again();
        self.peer.forward("icmpecho");
    }

    #[track_caller]
    fn happen(&mut self, event: Event) {
        match event {
            Event::PeerCrashes => self.restart_peer(),
            Event::DaemonCrashes => {
                self.router.end(SIGKILL);
                self.router.start_again();
            }
            Event::InterfaceGoes => {
                self.router.run("interface remove vm1");
                let (socket, role) = (self.lab.files.file("vm1.sock"), self.role);
                let add = format!("interface add vm1 driver vhost-user socket {} role {role}", socket.display());
                self.router.run(&format!("{add} address 192.168.7.1/24"));
            }
            Event::InterfaceRests => {
                self.router.run("interface set vm1 down");
                self.router.run("interface set vm1 up");
            }
        }
        // virtio-user makes one connection if it isn't the one that listens.
        let lost = matches!(event, Event::DaemonCrashes | Event::InterfaceGoes);
        if lost && self.role == "server" {
            self.restart_peer();
        }
    }
}

/// The same "random" order in each run (xorshift64).
fn order(mut seed: u64) -> impl Iterator<Item = Event> {
    std::iter::repeat_with(move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        EVENTS[seed as usize % EVENTS.len()]
    })
}

#[track_caller]
fn restarts(role: &'static str, seed: u64) {
    let times = std::env::var("MILLRACE_TEST_RESTARTS").ok().and_then(|times| times.parse().ok()).unwrap_or(25);
    let mut place = Place::start(role);
    let mut so_far = Vec::new();
    for event in order(seed).take(times) {
        place.happen(event);
        so_far.push(event);
        place.traffic_passes(&format!("{so_far:?}"));
    }
    place.router.rebase();
    place.traffic_passes("all of it");
}

#[test]
fn either_end_restarts_when_we_listen() {
    restarts("server", 0x9e37_79b9_7f4a_7c15);
}

#[test]
fn either_end_restarts_when_the_peer_listens() {
    restarts("client", 0xbf58_476d_1ce4_e5b9);
}
