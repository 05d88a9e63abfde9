//! The MSS clamp: a host whose link is narrower than it says gets its download all the same.

use harness::{DualHosts, HttpServer};

/// What a host says in spite of its link, whose MTU is 1400: what fits 1500 bytes.
fn overstate(net: &DualHosts) {
    net.wan.ip("link set eth0 mtu 1400");
    net.wan.ip("route replace default via 203.0.113.1 advmss 1460");
    net.wan.ip("-6 route replace default via 2001:db8:2::1 dev eth0 advmss 1440");
}

/// Longer packets than the link carries are lost on it without a word, as behind many a DSL modem.
#[test]
fn downloads_pass_a_narrow_link() {
    let net = DualHosts::start("");
    overstate(&net);
    for host in [&net.lan, &net.wan] {
        host.sysctl("net.ipv6.bindv6only=1");
    }
    let servers = ["192.168.1.10", "2001:db8:1::10"].map(|address| HttpServer::start(&net.lan.at(address), 400_000));
    let urls = ["http://192.168.1.10:8080/file", "http://[2001:db8:1::10]:8080/file"];
    for url in urls {
        let code = net.wan.run(&format!("curl -sS --max-time 3 -o /dev/null {url}")).code;
        assert_eq!(code, 28, "{url}: too long segments must not get through, or this test shows nothing");
    }
    let lowered = || {
        let nodes = ["ip4-mss-clamp-in", "ip4-mss-clamp-out", "ip6-mss-clamp-in", "ip6-mss-clamp-out"];
        nodes.map(|node| net.router.errors(node, "maximum segment sizes lowered"))
    };
    // By a number: the SYN that comes from there, and the answer that goes there.
    net.router.run("interface set wan mss-clamp 1340");
    for server in &servers {
        server.fetch(&net.wan);
    }
    assert_eq!(lowered(), [1; 4]);
    net.router.run("interface set wan mss-clamp off");
    for url in urls {
        assert_eq!(net.wan.run(&format!("curl -sS --max-time 3 -o /dev/null {url}")).code, 28, "{url}: off again");
    }
    // By the interface's MTU, on whichever side the server is.
    net.router.run("interface set wan mtu 1400 mss-clamp auto");
    for server in &servers {
        server.fetch(&net.wan);
    }
    for address in ["203.0.113.10", "2001:db8:2::10"] {
        HttpServer::start(&net.wan.at(address), 400_000).fetch(&net.lan);
    }
    // The lan's kernel may have learnt better meanwhile, by errors about segments that were on their way.
    let [in4, _, in6, _] = lowered();
    assert_eq!([in4, in6], [3; 2]);
}
