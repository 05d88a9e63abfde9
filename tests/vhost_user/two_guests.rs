//! Two virtual machines through one forwarder: to each other and to a host.

use harness::{Guest, HttpServer, Lab, Machine, fetch_sum};

/// One guest fetches a file from the other.
#[track_caller]
fn fetch(from: &mut Guest, by: &mut Guest) {
    let (url, sum) = from.serve(4);
    assert_eq!(by.fetch(&url), sum, "what {} got from {}", by.address, from.address);
}

#[test]
fn two_guests_talk_to_each_other_and_to_a_host() {
    let lab = Lab::new();
    let wan = lab.host("wan", "203.0.113.10/24", "203.0.113.1");
    let (one, two) = (lab.files.file("vm1.sock"), lab.files.file("vm2.sock"));
    // The one has two processors and as many queues, and its end of the socket listens.
    let one = Machine::at(&one).queues(2).listens().address("192.168.7.10/24", "192.168.7.1");
    let two = Machine::at(&two).address("192.168.8.10/24", "192.168.8.1");
    let (mut one, mut two) = (one.switch_on(), two.switch_on());
    let router = lab.start(&format!(
        "
workers: {{count: 2}}
interfaces:
  vm1: {{driver: vhost-user, socket: {files}/vm1.sock, role: client, queues: 2, addresses: [192.168.7.1/24]}}
  vm2: {{driver: vhost-user, socket: {files}/vm2.sock, addresses: [192.168.8.1/24]}}
  wan: {{driver: af-packet, device: wan, addresses: [203.0.113.1/24]}}
",
        files = lab.files.display()
    ));
    one.booted();
    two.booted();
    one.reaches_again("192.168.8.10");
    one.ping("192.168.8.10");
    two.ping("192.168.7.10");
    assert_eq!(one.run("ls -1d /sys/class/net/eth0/queues/tx-*").ok().lines().count(), 2, "queues in the guest");

    fetch(&mut one, &mut two);
    fetch(&mut two, &mut one);
    let server = HttpServer::start(&wan, 4 << 20);
    for guest in [&mut one, &mut two] {
        assert_eq!(guest.fetch(server.url()), server.sum(), "what {} got", guest.address);
        let (url, sum) = (format!("http://{}:8080/file", guest.address), guest.run("sha256sum </tmp/www/file").ok());
        assert_eq!(Some(fetch_sum(&wan, &url).as_str()), sum.split_whitespace().next());
    }
    // One goes while the other talks.
    two.crash();
    assert_eq!(one.fetch(server.url()), server.sum());
    two.start_again();
    two.reaches_again("192.168.7.10");
    fetch(&mut one, &mut two);
    router.settle();
}
