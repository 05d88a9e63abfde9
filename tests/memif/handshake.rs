//! Who may talk to whom: sockets, ids and secrets. What is refused is refused with a reason that the operator can read.

use crate::net::{BEHIND, Net, Role, With, await_link, link, socket};
use harness::memif::{CONNECT, Control, HELLO, Listener, Message};
use harness::testpmd::Setup;
use harness::{Lab, Router, eventually};

/// Waits until `show interfaces NAME` says this.
#[track_caller]
fn told(router: &Router, interface: &str, text: &str) {
    let shown = || router.run(&format!("show interfaces {interface}"));
    eventually(&format!("{text:?} in {}", shown()), || shown().contains(text).then_some(()));
}

#[test]
fn a_secret_is_asked_for() {
    for role in [Role::Server, Role::Client] {
        let (keys, device) = ("secret: right, ", ",secret=wrong");
        let mut net = Net::waiting(role, With { keys, device, ..With::default() });
        told(&net.router, "c0", "secret");
        assert_eq!(link(&net.router, "c0"), "down");
        assert!(!net.peer.link(0));
        assert!(!net.router.run("show interfaces c0").contains("right"), "the secret is no secret");
        let events = net.router.run("show events");
        assert!(events.contains("secret"), "{events}");
        net.router.run("interface set c0 secret wrong");
        net.router.rebase();
        if role == Role::Server {
            net.peer.restart_port(0);
        }
        await_link(&net.router, "c0", "up");
        net.peer.forward("icmpecho");
        net.lan.ping(BEHIND);
    }
}

#[test]
fn a_peer_without_a_secret_is_refused() {
    let mut net = Net::waiting(Role::Server, With { keys: "secret: right, ", ..With::default() });
    told(&net.router, "c0", "secret");
    assert!(!net.peer.link(0));
}

#[test]
fn an_id_that_nobody_has() {
    let mut net = Net::start(Role::Server, "");
    let path = socket(&net.lab);
    let reason = |id, secret| {
        let control = Control::connect(&path);
        control.expect(HELLO);
        control.send(&Message::init(id, secret).0, None);
        control.ends().expect("a reason")
    };
    assert!(reason(8, "").contains('8'), "{}", reason(8, ""));
    // The one that is there is taken already, and stays so.
    assert!(!reason(7, "").is_empty());
    assert_eq!(link(&net.router, "c0"), "up");
    // Who waits for its peer is told of one with the wrong number.
    net.crash_peer();
    await_link(&net.router, "c0", "down");
    assert!(!reason(8, "").is_empty());
    told(&net.router, "c0", "id 8");
    let events = net.router.run("show events");
    assert!(events.contains("id 8"), "{events}");
}

#[test]
fn what_is_waited_for_is_told() {
    let lab = Lab::new();
    let folder = lab.files.display().to_string();
    let router = lab.start(&format!(
        "
interfaces:
  c0: {{driver: memif, socket: {folder}/a.sock, addresses: [10.9.0.1/24]}}
  c1: {{driver: memif, socket: {folder}/b.sock, role: client, addresses: [10.9.1.1/24]}}
"
    ));
    told(&router, "c0", "a.sock");
    told(&router, "c1", "b.sock");
    for interface in ["c0", "c1"] {
        assert_eq!(link(&router, interface), "down");
    }
    let row = router.interface("c1").expect("c1");
    assert_eq!(row["driver"], "memif");
    // A socket that somebody else listens on is not taken from him, and none is made where there is no folder.
    let taken = lab.files.file("taken.sock");
    let listener = Listener::bind(&taken);
    let refused = router.ctl(&format!("interface add c2 driver memif socket {}", taken.display())).code(1);
    assert!(refused.stderr.contains("taken.sock"), "{}", refused.stderr);
    assert!(taken.exists());
    drop(listener);
    router.run(&format!("interface add c2 driver memif socket {}", taken.display()));
    assert_eq!(link(&router, "c2"), "down");
    let refused = router.ctl(&format!("interface add c3 driver memif socket {folder}/none/c.sock")).code(1);
    assert!(refused.stderr.contains("none"), "{}", refused.stderr);
    router.run("interface remove c2");
    assert!(!taken.exists(), "the socket stays behind");
    router.rebase();
}

#[test]
fn two_interfaces_on_one_socket() {
    for role in [Role::Server, Role::Client] {
        let lab = Lab::new();
        let lan = lab.host("lan", "192.168.1.10/24", "192.168.1.1");
        let path = socket(&lab).display().to_string();
        let memif = format!("driver: memif, socket: {path}, role: {}", role.word());
        let router = lab.start(&format!(
            "
interfaces:
  lan: {{driver: af-packet, device: lan, addresses: [192.168.1.1/24]}}
  c1: {{{memif}, id: 1, secret: one, addresses: [10.9.1.1/24]}}
  c2: {{{memif}, id: 4000000000, secret: another, addresses: [10.9.2.1/24]}}
"
        ));
        let device = |n, id: u32, secret| {
            format!(
                "net_memif{n},role={},id={id},socket={path},socket-abstract=no,secret={secret}",
                role.other().word()
            )
        };
        let setup = Setup::device(&device(0, 1, "one")).and_device(&device(1, 4_000_000_000, "another"));
        // Each port answers for itself.
        let mut peer = setup.options("--port-topology=loop").start();
        await_link(&router, "c1", "up");
        await_link(&router, "c2", "up");
        peer.forward("icmpecho");
        lan.ping("10.9.1.2");
        lan.ping("10.9.2.2");
        // One goes and comes back; the other doesn't notice.
        router.run("interface set c1 down");
        lan.ping("10.9.2.2");
        peer.stop();
        router.run("interface remove c1");
        peer.forward("icmpecho");
        lan.ping("10.9.2.2");
        peer.stop();
        router.run(&format!("config apply {}", router.config_file().display()));
        router.rebase();
        if role == Role::Server {
            peer.restart_port(0);
        }
        await_link(&router, "c1", "up");
        peer.forward("icmpecho");
        lan.ping("10.9.1.2");
        lan.ping("10.9.2.2");
    }
}

#[test]
fn sockets_without_a_file() {
    for role in [Role::Server, Role::Client] {
        let lab = Lab::new();
        let lan = lab.host("lan", "192.168.1.10/24", "192.168.1.1");
        let router = lab.start(&format!(
            "
interfaces:
  lan: {{driver: af-packet, device: lan, addresses: [192.168.1.1/24]}}
  c0: {{driver: memif, socket: '@millrace', role: {}, addresses: [10.9.0.1/24]}}
",
            role.word()
        ));
        let device = format!("net_memif0,role={},id=0,socket=millrace,socket-abstract=yes", role.other().word());
        let mut peer = Setup::device(&device).within(&lab.router).start();
        await_link(&router, "c0", "up");
        peer.forward("icmpecho");
        lan.ping(BEHIND);
    }
}

/// Connections that say nothing, or the wrong thing, keep nobody out.
#[test]
fn talk_that_leads_nowhere() {
    let mut net = Net::waiting(Role::Server, With::default());
    await_link(&net.router, "c0", "up");
    net.crash_peer();
    let idle: Vec<Control> = (0..100).map(|_| Control::connect(&socket(&net.lab))).collect();
    for early in [CONNECT, 0, 99, u16::MAX] {
        let control = Control::connect(&socket(&net.lab));
        control.send(&Message::new(early).0, None);
        control.ends();
    }
    for length in [1, 2, 127, 129, 4000] {
        let control = Control::connect(&socket(&net.lab));
        control.send(&vec![3; length], None);
        control.ends();
    }
    net.revive_peer();
    net.traffic_passes("beside a hundred connections");
    drop(idle);
    net.traffic_passes("after them");
}
