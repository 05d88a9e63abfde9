//! A virtual machine with Linux behind vhost-user reaches the world, and the world reaches it.

use harness::{Guest, Host, HttpServer, Lab, Machine, Router, SIGKILL, eventually, fetch_sum};
use serde_json::Value;

/// Bits of the virtio specification, section 5.1.3: what the guest may leave to us.
mod feature {
    pub const CSUM: usize = 0;
    pub const HOST_TSO4: usize = 11;
    pub const HOST_TSO6: usize = 12;
    pub const MRG_RXBUF: usize = 15;
    pub const VERSION_1: usize = 32;
    pub const OFFLOADS: [usize; 3] = [CSUM, HOST_TSO4, HOST_TSO6];
}

const MIB: usize = 1 << 20;

/// A guest behind `vm1`, a host behind `wan`. The guest is dropped first.
struct Place {
    guest: Guest,
    router: Router,
    wan: Host,
    _lab: Lab,
}

impl Place {
    #[track_caller]
    fn start(role: &str, more: &str) -> Place {
        let lab = Lab::new();
        let wan = lab.host("wan", "203.0.113.10/24", "203.0.113.1").with6("2001:db8:2::10/64", "2001:db8:2::1");
        let socket = lab.files.file("vm1.sock");
        let machine = Machine::at(&socket).address("192.168.7.10/24", "192.168.7.1");
        let mut guest = if role == "client" { machine.listens() } else { machine }.switch_on();
        let router = lab.start(&format!(
            "
interfaces:
  vm1:
    driver: vhost-user
    socket: {}
    role: {role}
    addresses: [192.168.7.1/24, '2001:db8:7::1/64']{more}
  wan: {{driver: af-packet, device: wan, addresses: [203.0.113.1/24, '2001:db8:2::1/64']}}
",
            socket.display()
        ));
        guest.booted();
        guest.run("ip -6 addr add 2001:db8:7::10/64 dev eth0 && ip -6 route add default via 2001:db8:7::1").ok();
        guest.reaches_again("203.0.113.10");
        Place { guest, router, wan, _lab: lab }
    }

    /// A file goes each way, large segments or not.
    #[track_caller]
    fn files_pass(&mut self, mebibytes: u32) {
        let server = HttpServer::start(&self.wan.at("203.0.113.10"), mebibytes as usize * MIB);
        assert_eq!(self.guest.fetch(server.url()), server.sum(), "what the guest got");
        let (url, sum) = self.guest.serve(mebibytes);
        assert_eq!(fetch_sum(&self.wan, &url), sum, "what the host got");
    }

    /// What the driver counted: the number beside a word of its own.
    #[track_caller]
    fn driver_count(&self, name: &str) -> u64 {
        let row = self.router.json("show interfaces vm1");
        let counts = row["details"]["statistics"].as_array().expect("what the driver counted");
        let count = counts.iter().find(|count| count["name"] == name).and_then(|count| count["count"].as_u64());
        count.unwrap_or_else(|| panic!("no {name} in {counts:?}"))
    }
}

#[test]
fn a_guest_reaches_a_host_and_goes_through_everything() {
    let mut place = Place::start("server", "");
    let missing = feature::OFFLOADS.into_iter().chain([feature::MRG_RXBUF, feature::VERSION_1]);
    let missing: Vec<_> = missing.filter(|bit| !place.guest.has_feature(*bit)).collect();
    assert_eq!(
        missing,
        Vec::<usize>::new(),
        "features that were not agreed upon: {}",
        place.router.run("show interfaces vm1")
    );

    place.guest.ping("192.168.7.1");
    place.guest.ping("203.0.113.10");
    place.guest.reaches_again("2001:db8:2::10");
    place.guest.ping("2001:db8:2::10");
    place.wan.ping("192.168.7.10");
    place.wan.ping("2001:db8:7::10");
    place.files_pass(16);
    let server = HttpServer::start(&place.wan, 4 * MIB);
    assert_eq!(place.guest.fetch(server.url()), server.sum(), "what the guest got by IPv6");
    drop(server);
    let cut = place.driver_count("rx_segments_cut");
    assert!(cut > 1000, "the guest's large segments were not cut here: {}", place.router.run("show interfaces vm1"));
    place.router.settle();

    place.router.run("interface set vm1 down");
    assert!(!place.guest.reaches("203.0.113.10"), "the interface is down");
    place.router.run("interface set vm1 up");
    place.guest.reaches_again("203.0.113.10");

    // All three links take jumbo packets, and answers come as large as questions.
    for interface in ["vm1", "wan"] {
        place.router.run(&format!("interface set {interface} mtu 9000"));
    }
    place.wan.ip("link set eth0 mtu 9000");
    place.guest.run("ip link set eth0 mtu 9000").ok();
    place.wan.run("ping -n -M do -c 2 -i 0.2 -W 5 -s 8972 192.168.7.10").ok();
    place.files_pass(4);

    place.guest.reboot();
    place.guest.reaches_again("203.0.113.10");
    place.files_pass(4);
    place.guest.crash();
    eventually("the link is down without a guest", || (link(&place.router) == "down").then_some(()));
    place.guest.start_again();
    place.guest.reaches_again("203.0.113.10");
    place.files_pass(4);

    // The router goes and comes back under a guest that runs on: told, killed, and the interface alone.
    place.router.restart();
    place.guest.reaches_again("203.0.113.10");
    place.router.end(SIGKILL);
    place.router.start_again();
    place.guest.reaches_again("203.0.113.10");
    place.files_pass(4);
}

fn link(router: &Router) -> Value {
    router.interface("vm1").expect("vm1")["link"].clone()
}

#[test]
fn a_guest_that_listens_without_offloads() {
    let mut place = Place::start("client", "\n    offloads: false");
    let there = feature::OFFLOADS.into_iter().filter(|bit| place.guest.has_feature(*bit));
    assert_eq!(there.collect::<Vec<_>>(), Vec::<usize>::new(), "offloads that were not offered");
    place.guest.ping("203.0.113.10");
    place.files_pass(4);
    place.guest.reboot();
    place.guest.reaches_again("203.0.113.10");
    // The guest's end listens on: we come back to it.
    place.router.restart();
    place.guest.reaches_again("203.0.113.10");
    place.files_pass(1);
}
