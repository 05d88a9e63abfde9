//! One router's surroundings: its namespace, hosts and raw wires on its devices.

use crate::{Namespace, Router, TempDir, Wire};
use std::ops::Deref;
use std::sync::Arc;

/// A place for one router, with cables to hosts and wires.
pub struct Lab {
    /// The namespace that the router runs in.
    pub router: Arc<Namespace>,
    /// A folder for sockets and files.
    pub files: TempDir,
}

/// A Linux host with one network card, `eth0`.
pub struct Host {
    namespace: Arc<Namespace>,
    /// Its address: the one that [`Host::at`] or [`Host::with6`] named last.
    pub address: String,
}

impl Deref for Host {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

impl Host {
    /// A host with no cable yet: the caller brings an `eth0` and calls [`Host::configure`].
    pub fn unplugged(role: &str, prefix: &str) -> Host {
        let address = prefix.split('/').next().unwrap_or_default().to_owned();
        Host { namespace: Arc::new(Namespace::new(role)), address }
    }

    /// The same host by another of its addresses.
    pub fn at(&self, address: &str) -> Host {
        Host { namespace: Arc::clone(&self.namespace), address: address.to_owned() }
    }

    /// Gives `eth0` its address (in CIDR notation) and a default route.
    pub fn configure(&self, prefix: &str, gateway: &str) {
        self.ip("link set eth0 up");
        self.ip(&format!("addr add {prefix} dev eth0"));
        self.ip(&format!("route replace default via {gateway}"));
    }

    /// Gives `eth0` an IPv6 address, too (in CIDR notation), and a default route; by it the host is known from now on.
    pub fn with6(self, prefix: &str, gateway: &str) -> Host {
        self.configure6(prefix, gateway);
        self.at(prefix.split('/').next().unwrap_or_default())
    }

    /// Gives `eth0` an IPv6 address (in CIDR notation) and a default route. Nobody else has the address, so it is used at
    /// once, and what routers advertise is not listened to.
    pub fn configure6(&self, prefix: &str, gateway: &str) {
        self.sysctl("net.ipv6.conf.eth0.accept_ra=0");
        self.ip("link set eth0 up");
        self.ip(&format!("addr add {prefix} dev eth0 nodad"));
        self.ip(&format!("-6 route replace default via {gateway} dev eth0"));
    }

    /// The global IPv6 addresses of `eth0` that are in use, without their prefix lengths.
    pub fn addresses6(&self) -> Vec<String> {
        let shown = self.ip("-6 -o addr show dev eth0 scope global -tentative");
        let address = |line: &str| Some(line.split_whitespace().nth(3)?.split('/').next()?.to_owned());
        shown.lines().filter_map(address).collect()
    }

    /// The hardware address of `eth0`.
    pub fn mac(&self) -> String {
        let shown = self.ip("-br link show eth0");
        shown.split_whitespace().nth(2).expect("ip shows a MAC address").to_owned()
    }
}

impl Lab {
    /// An empty place.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Lab {
        Lab { router: Arc::new(Namespace::new("router")), files: TempDir::new() }
    }

    /// A host with the address `prefix`, at the other end of the router's `device`, with its default route by `gateway`.
    pub fn host(&self, device: &str, prefix: &str, gateway: &str) -> Host {
        let host = Host::unplugged(device, prefix);
        self.router.cable(device, &host, "eth0");
        host.configure(prefix, gateway);
        host
    }

    /// A host with nothing but its cable at the router's `device`: all the rest is what a router advertises to it.
    pub fn autonomous_host(&self, device: &str) -> Host {
        let host = Host::unplugged(device, "");
        for setting in ["accept_ra=1", "router_solicitation_delay=0", "router_solicitation_interval=1"] {
            host.sysctl(&format!("net.ipv6.conf.default.{setting}"));
        }
        self.router.cable(device, &host, "eth0");
        host
    }

    /// A raw end of a cable at the router's `device`. No kernel answers or chatters there.
    pub fn wire(&self, device: &str) -> Wire {
        let end = Namespace::new(device);
        end.sysctl("net.ipv6.conf.default.disable_ipv6=1");
        self.router.sysctl("net.ipv6.conf.default.disable_ipv6=1");
        self.router.cable(device, &end, "end0");
        Wire::open(end, "end0")
    }

    /// Starts the router with this configuration, and waits until it is ready.
    #[track_caller]
    pub fn start(&self, config: &str) -> Router {
        Router::start(self, config)
    }
}
