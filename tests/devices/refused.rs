//! What can't be, is refused, says why and what would be right, and changes nothing.

use harness::{Hosts, Router};
use std::os::unix::net::UnixListener;

/// Each command is refused with these words, and the configuration stays.
#[track_caller]
fn refused(router: &Router, cases: &[(&str, &str)]) {
    let before = router.run("show configuration");
    for (command, words) in cases {
        let output = router.ctl(command);
        assert_eq!(output.code, 1, "{command}: {}{}", output.stdout, output.stderr);
        assert!(output.stderr.contains(words), "{command}: {}", output.stderr);
    }
    assert_eq!(router.run("show configuration"), before);
}

#[test]
fn what_is_typed_wrong() {
    let net = Hosts::start("");
    let socket = net.lab.files.file("m.sock");
    let taken = net.lab.files.file("taken.sock");
    let _listener = UnixListener::bind(&taken).expect("a socket of somebody else's");
    let (socket, taken) = (socket.display().to_string(), taken.display().to_string());
    net.router.run(&format!("interface add c1 driver memif socket {socket} id 1"));
    let memif = |rest: &str| format!("interface add c2 driver memif socket {rest}");
    let vhost = |rest: &str| format!("interface add vm1 driver vhost-user socket {rest}");
    for (command, words) in [
        (memif(&format!("{socket} id 1")), "id: 1 on this socket is interface c1's already"),
        (memif(&format!("{socket} id 2 role client")), "role: client on the socket that interface c1 is the server of"),
        (memif(&format!("{socket} id 2 zero-copy true")), "the client shares its buffers, not the server"),
        (memif(&format!("{socket} id 2 ring-size 1000")), "expected a power of two from 32 to 16384"),
        (memif("/no/such/folder/m.sock"), "/no/such/folder"),
        (memif(&taken), "taken.sock"),
        (vhost(&socket), &format!("socket {socket} is interface c1's already")),
        (vhost("/no/such/folder/vm.sock"), "/no/such/folder"),
        (vhost(&taken), "taken.sock"),
        (vhost("@vm"), "expected the absolute path of a socket"),
        ("interface add x driver memif".to_owned(), "socket is missing"),
        ("interface add x driver af-xdp device lan".to_owned(), "device lan is interface lan's already"),
        ("interface add x driver dpdk device eth0".to_owned(), "expected a PCI address such as 0000:8a:00.0"),
        ("interface set c1 offloads true".to_owned(), "offloads: unknown key"),
        // The driver refuses this one, when the interface has gone already to be made anew: it comes back as it was.
        ("interface set c1 socket /no/such/folder/m.sock".to_owned(), "/no/such/folder"),
        ("interface set lan socket /run/x.sock".to_owned(), "socket: unknown key"),
        ("interface set lan cross-connect c1".to_owned(), "no packet of it is routed, but it has addresses"),
        ("interface set c1 cross-connect c1".to_owned(), "c1 is the interface itself"),
    ] {
        refused(&net.router, &[(&command, words)]);
    }
    assert_eq!(net.router.interface("c1").expect("c1")["device"], socket.as_str());
    // Typed for another driver: the CLI says so, and asks nobody.
    let output = net.router.ctl("interface add x driver tap device t0 socket /run/x.sock");
    assert_eq!(output.code, 2, "{}", output.stderr);
    assert!(output.stderr.contains("\"socket\" doesn't go with driver tap"), "{}", output.stderr);
    // A device that isn't there is waited for.
    net.router.run("interface add x driver af-xdp device eth99");
    let row = net.router.interface("x").expect("x");
    assert_eq!(
        (&row["link"], &row["link_reason"]),
        (&"missing".into(), &"there is no device eth99; waiting for it".into())
    );
    net.router.run("interface remove x");
    net.router.run("interface remove c1");
}

/// A configuration of which one interface can't be: none of it is applied.
#[test]
fn all_or_nothing() {
    let net = Hosts::start("");
    net.lan.ping(&net.wan.address);
    let good = net.lab.files.file("good.sock");
    let more = format!(
        "  good: {{driver: memif, socket: {}}}\n  worse: {{driver: vhost-user, socket: /no/such/folder/vm.sock}}\n",
        good.display()
    );
    let file = net.router.files().write("next.yaml", format!("{}{more}", Hosts::INTERFACES));
    let apply = format!("config apply {}", file.display());
    refused(
        &net.router,
        &[(&apply, "+ interface worse: vhost-user /no/such/folder/vm.sock: /no/such/folder/vm.sock: ")],
    );
    assert!(!good.exists(), "a socket was left");
    net.lan.ping(&net.wan.address);
}

#[cfg(feature = "dpdk")]
#[test]
fn dpdk_is_started_once() {
    let net = Hosts::start("");
    let apply = |name: &str, memory: &str, device: &str| {
        let text = format!("dpdk: {{memory: {memory}}}{}  p0: {{driver: dpdk, device: {device}}}\n", Hosts::INTERFACES);
        format!("config apply {}", net.router.files().write(name, text).display())
    };
    let wrong = apply("wrong.yaml", "64MiB", "net_nothing0");
    refused(&net.router, &[(&wrong, "net_nothing0")]);
    // It was started for that already, as the configuration was then.
    let other = apply("other.yaml", "128MiB", "'net_null0,no-rx=1'");
    refused(&net.router, &[(&other, "needs a restart of the daemon")]);
    net.router.run(&apply("same.yaml", "64MiB", "'net_null0,no-rx=1'"));
    refused(
        &net.router,
        &[("interface add p1 driver dpdk device net_null0,size=100", "device net_null0 is interface p0's already")],
    );
    net.router.run("interface remove p0");
    // A card that isn't there is waited for.
    net.router.run("interface add p0 driver dpdk device ff:1f.7");
    let row = net.router.interface("p0").expect("p0");
    assert_eq!((&row["link"], &row["device"]), (&"missing".into(), &"0000:ff:1f.7".into()));
    net.router.run("interface remove p0");
}
