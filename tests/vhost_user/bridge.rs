//! A virtual switch: two virtual machines and a container on one bridge, the outside behind the bridge's own interface.

use harness::{HttpServer, Lab, Machine, SIGKILL, eventually, fetch_sum};

#[test]
fn guests_and_a_container_on_one_bridge() {
    let lab = Lab::new();
    let container = lab.host("c1", "192.168.2.20/24", "192.168.2.1");
    let wan = lab.host("wan", "203.0.113.10/24", "203.0.113.1");
    let (one, two) = (lab.files.file("vm1.sock"), lab.files.file("vm2.sock"));
    let one = Machine::at(&one).card("mac=52:54:00:00:00:11").address("192.168.2.11/24", "192.168.2.1").switch_on();
    let two = Machine::at(&two).card("mac=52:54:00:00:00:12").address("192.168.2.12/24", "192.168.2.1").switch_on();
    let mut guests = [one, two];
    let mut router = lab.start(&format!(
        "
interfaces:
  c1: {{driver: af-packet, device: c1, bridge: br0}}
  vm1: {{driver: vhost-user, socket: {files}/vm1.sock, bridge: br0}}
  vm2: {{driver: vhost-user, socket: {files}/vm2.sock, bridge: br0}}
  wan: {{driver: af-packet, device: wan, addresses: [203.0.113.1/24]}}
bridges:
  br0: {{bvi: {{addresses: [192.168.2.1/24]}}}}
nat44: {{inside: [br0], outside: [wan], pool: interface}}
",
        files = lab.files.display()
    ));
    guests.iter_mut().for_each(harness::Guest::booted);
    let [one, two] = &mut guests;
    one.reaches_again("192.168.2.12");
    container.ping("192.168.2.11");
    let behind = |mac: &str| {
        let entry = router.list("show mac-table br0").into_iter().find(|entry| entry["mac"] == mac);
        entry.map(|entry| entry["interface"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
    };
    assert_eq!((behind("52:54:00:00:00:11"), behind("52:54:00:00:00:12")), ("vm1".into(), "vm2".into()));
    // Large segments that a guest leaves to the switch come out right at another guest, a container, and translated.
    let (url, sum) = one.serve(4);
    assert_eq!(two.fetch(&url), sum, "from guest to guest");
    assert_eq!(fetch_sum(&container, &url), sum, "from a guest to the container");
    let (url, sum) = two.serve(4);
    assert_eq!(one.fetch(&url), sum, "and back");
    for host in [&container, &wan] {
        let server = HttpServer::start(host, 4 << 20);
        assert_eq!(one.fetch(server.url()), server.sum(), "from {}", host.address);
    }
    assert!(router.list("show nat44 sessions").iter().any(|s| s["inside_address"] == "192.168.2.11"), "translated");
    // A guest goes without a word, and its station with it; it comes back, and so does the switch.
    two.crash();
    eventually("the guest's station is forgotten", || behind("52:54:00:00:00:12").is_empty().then_some(()));
    one.ping("192.168.2.20");
    two.start_again();
    two.reaches_again("192.168.2.11");
    router.end(SIGKILL);
    router.start_again();
    two.reaches_again("192.168.2.11");
    one.reaches_again("203.0.113.10");
    let server = HttpServer::start(&container, 4 << 20);
    assert_eq!(one.fetch(server.url()), server.sum(), "the switch is as it was");
    router.settle();
}
