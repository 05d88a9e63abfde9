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
    /// Its IPv4 address.
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
