//! A router with a memif, a host beside it, and `dpdk-testpmd` at the other end of the memif.

use harness::testpmd::Setup;
use harness::{Host, Lab, PATIENCE, Router, Testpmd, eventually, within};
use std::path::PathBuf;

/// Which end of the memif Millrace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

impl Role {
    /// As the configuration and testpmd's devices have it.
    pub fn word(self) -> &'static str {
        if self == Role::Server { "server" } else { "client" }
    }

    /// The other end's.
    pub fn other(self) -> Role {
        if self == Role::Server { Role::Client } else { Role::Server }
    }
}

/// Every way that Millrace can be an end of a memif: the role, and more keys of the interface.
pub const WAYS: [(Role, &str); 3] = [(Role::Server, ""), (Role::Client, ""), (Role::Client, "zero-copy: true, ")];

/// An address behind the memif. In the mode `icmpecho` testpmd has every address.
pub const BEHIND: &str = "10.9.0.2";

/// The peer's hardware address.
pub const PEER_MAC: &str = "02:00:00:00:09:02";

/// The router's hardware address on the memif.
pub const ROUTER_MAC: &str = "02:fe:00:00:09:01";

/// The router, its peer, and who is beside it. The fields are dropped in this order.
pub struct Net {
    /// The router; its interfaces are `c0` and, to the host, `lan`.
    pub router: Router,
    /// The peer; its port 0 is the other end of `c0`.
    pub peer: Testpmd,
    /// 192.168.1.10 behind the router's 192.168.1.1.
    pub lan: Host,
    /// The place.
    pub lab: Lab,
    role: Role,
}

/// What differs from test to test.
#[derive(Clone, Copy, Default)]
pub struct With<'a> {
    /// More keys of the interface `c0`, each with a comma behind it.
    pub keys: &'a str,
    /// More of the configuration.
    pub config: &'a str,
    /// More arguments of testpmd's device, each with a comma before it.
    pub device: &'a str,
    /// More options of testpmd.
    pub options: &'a str,
    /// Other options of testpmd's about memory.
    pub memory: Option<&'a str>,
}

/// The control socket of a place.
pub fn socket(lab: &Lab) -> PathBuf {
    lab.files.file("memif.sock")
}

impl Net {
    /// Starts it with nothing special.
    pub fn start(role: Role, keys: &str) -> Net {
        Net::with(role, With { keys, ..With::default() })
    }

    /// Starts it. The link is up, and nothing is forwarded yet by testpmd.
    #[track_caller]
    pub fn with(role: Role, with: With) -> Net {
        let net = Net::waiting(role, with);
        eventually("the link is up", || net.is_up().then_some(()));
        net.router.rebase();
        net
    }

    /// The same, whether the link comes up or not.
    #[track_caller]
    pub fn waiting(role: Role, with: With) -> Net {
        let lab = Lab::new();
        let lan = Host::unplugged("lan", "192.168.1.10/24");
        // What its kernel says in IPv6 of its own accord would be counted, too.
        for end in [&*lab.router, &*lan] {
            end.sysctl("net.ipv6.conf.default.disable_ipv6=1");
        }
        lab.router.cable("lan", &lan, "eth0");
        lan.configure("192.168.1.10/24", "192.168.1.1");
        let (socket, word, keys, more) = (socket(&lab), role.word(), with.keys, with.config);
        let socket = socket.display();
        let config = format!(
            "
interfaces:
  lan: {{driver: af-packet, device: lan, addresses: [192.168.1.1/24]}}
  c0: {{driver: memif, socket: {socket}, id: 7, role: {word}, {keys}mac: '{ROUTER_MAC}', addresses: [10.9.0.1/24]}}
{more}"
        );
        let device =
            format!("net_memif0,role={},id=7,socket={socket},socket-abstract=no,mac={PEER_MAC}", role.other().word());
        let router = lab.start(&config);
        let setup = Setup::device(&format!("{device}{}", with.device)).options(with.options);
        let peer = with.memory.into_iter().fold(setup, Setup::memory).start();
        Net { router, peer, lan, lab, role }
    }

    /// Whether both ends say that the link is up.
    pub fn is_up(&self) -> bool {
        link(&self.router, "c0") == "up"
    }

    /// Waits until what the router counted on the memif is what testpmd counted. Returns packets from and to the peer.
    #[track_caller]
    pub fn counters_agree(&mut self) -> (u64, u64) {
        agree(&self.router, "c0", &mut self.peer, 0)
    }

    /// Adds lines to the configuration, below `interfaces:` and at its end: generators begin only when there is somebody to
    /// hear them.
    #[track_caller]
    pub fn add(&self, interfaces: &str, end: &str) {
        let path = self.router.config_file();
        let config = std::fs::read_to_string(&path).expect("the configuration");
        let config = config.replacen("interfaces:\n", &format!("interfaces:\n{interfaces}"), 1);
        self.router.write_config(&format!("{config}{end}"));
        self.router.run(&format!("config apply {}", path.display()));
    }

    /// What is known about packets and where they went, for the message of a failure.
    pub fn state(&self) -> String {
        ["show interfaces", "show errors", "show interfaces c0"].map(|command| self.router.run(command)).join("\n")
    }

    /// Waits until it is so.
    #[track_caller]
    pub fn eventually(&mut self, what: &str, mut so: impl FnMut(&mut Net) -> bool) {
        // Generators and testpmd share what CPUs there are with all else that runs.
        let patience = 3 * PATIENCE;
        let done = within(patience, || so(self).then_some(()));
        assert!(done.is_some(), "still not so after {patience:?}: {what}\n{}", self.state());
    }

    /// Kills the peer.
    pub fn crash_peer(&mut self) {
        self.peer.crash();
        self.forget_socket();
    }

    /// Starts the peer again and lets it answer pings.
    #[track_caller]
    pub fn revive_peer(&mut self) {
        self.peer.start_again();
        self.peer.forward("icmpecho");
    }

    /// Removes what a testpmd that was killed leaves: it does not do so itself when it starts.
    pub fn forget_socket(&self) {
        if self.role == Role::Client {
            let _ = std::fs::remove_file(socket(&self.lab));
        }
    }

    /// Lets the peer notice that the router is back. As a client `net_memif` connects when its port starts, and only then.
    #[track_caller]
    pub fn reconnect_peer(&mut self) {
        if self.role == Role::Server {
            self.peer.restart_port(0);
        }
        self.peer.forward("icmpecho");
    }

    /// Waits until the host reaches what is behind the peer.
    #[track_caller]
    pub fn traffic_passes(&mut self, when: &str) {
        let passed = within(PATIENCE, || self.lan.reaches(BEHIND).then_some(()));
        assert!(passed.is_some(), "no traffic {when}:\n{}", self.router.run("show interfaces c0"));
    }
}

/// What `show interfaces` says of an interface's link.
pub fn link(router: &Router, interface: &str) -> String {
    let row = router.interface(interface).expect("the interface is there");
    row["link"].as_str().expect("a word").to_owned()
}

/// Waits until an interface's link is so.
#[track_caller]
pub fn await_link(router: &Router, interface: &str, wanted: &str) {
    let is = within(PATIENCE, || (link(router, interface) == wanted).then_some(()));
    assert!(is.is_some(), "{interface} is not {wanted}:\n{}", router.run(&format!("show interfaces {interface}")));
}

/// Waits until a router's and a testpmd's counters of the two ends of a link agree. Returns packets from and to the peer.
#[track_caller]
pub fn agree(router: &Router, interface: &str, peer: &mut Testpmd, port: u16) -> (u64, u64) {
    let mut look = || {
        let (theirs, ours) = (peer.stats(port), router.interface(interface).expect("the interface is there"));
        let pairs = [
            ("rx_packets", theirs.tx_packets),
            ("rx_bytes", theirs.tx_bytes),
            ("tx_packets", theirs.rx_packets),
            ("tx_bytes", theirs.rx_bytes),
        ];
        let differing = pairs.iter().find(|(key, theirs)| ours[*key] != *theirs);
        match differing {
            None => Ok((theirs.tx_packets, theirs.rx_packets)),
            Some((key, _)) => Err(format!("{key}: {theirs:?}\n{ours}")),
        }
    };
    match within(PATIENCE, || look().ok()) {
        Some(agreed) => agreed,
        None => panic!("the counters differ: {:?}", look()),
    }
}
