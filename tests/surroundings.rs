//! The tests' surroundings, with the Linux kernel as the router: when this fails, look at the machine before Millrace.

use harness::{Hosts, HttpServer, Iperf, Router, UdpStream};

#[test]
fn two_hosts_talk_through_a_linux_router() {
    let (lab, lan, wan) = Hosts::lab();
    let _router = Router::start_kernel(&lab, Hosts::INTERFACES);
    lan.ping(&wan.address);
    let stream = UdpStream::start(&lan, &wan, 1000);
    HttpServer::start(&wan, 8 << 20).fetch(&lan);
    assert!(Iperf::run(&lan, &wan, 1, "").bits_per_second > 1e6);
    let (sent, missing) = stream.finish();
    assert!(sent > 100 && missing.is_empty(), "{} of {sent} missing", missing.len());
    assert!(!lan.reaches("203.0.113.99"), "nobody has this address");
}
