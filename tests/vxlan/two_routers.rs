//! Two Millraces with a bridge each, and VXLAN between them.

use harness::{Host, Iperf, Lab, Router};

struct Site {
    router: Router,
    host: Host,
    _lab: Lab,
}

/// A site with a host in a bridge, whose address on the underlay is this prefix and its number; `under` is how the interface to the
/// other one is set up.
fn site(lab: Lab, n: usize, prefix: &str, under: &str, settings: &str) -> Site {
    let host = lab.host("lan", &format!("10.9.0.{n}/24"), "10.9.0.99");
    host.ip("link set eth0 mtu 1400");
    host.sysctl("net.ipv6.conf.all.disable_ipv6=1");
    let (local, remote) = (format!("{prefix}{n}"), format!("{prefix}{}", 3 - n));
    let router = lab.start(&format!(
        "
bridges: {{br0: {{}}}}
interfaces:
  lan: {{driver: af-packet, device: lan, bridge: br0}}
  under: {{driver: af-packet, device: under, {}}}
  vx0: {{driver: vxlan, vni: 7, local: '{local}', remotes: ['{remote}'], bridge: br0, {settings}}}
",
        under.replace("ADDRESS", &format!("'{local}/{}'", if local.contains(':') { 64 } else { 24 }))
    ));
    Site { router, host, _lab: lab }
}

fn sites(prefix: &str, under: &str, settings: &str) -> [Site; 2] {
    let labs = [Lab::new(), Lab::new()];
    // The kernels have nothing to say beside what a test is about.
    labs.iter().for_each(|lab| lab.router.sysctl("net.ipv6.conf.default.disable_ipv6=1"));
    labs[0].router.cable("under", &labs[1].router, "under");
    let mut n = 0;
    labs.map(|lab| {
        n += 1;
        site(lab, n, prefix, under, settings)
    })
}

fn check(sites: &[Site; 2]) {
    let [one, two] = sites;
    one.host.ping("10.9.0.2");
    two.host.ping("10.9.0.1");
    // The first packets waited for the other router.
    sites.iter().for_each(|site| site.router.rebase());
    let stream = Iperf::run(&one.host, &two.host, 1, "-P 4");
    assert!(stream.bits_per_second > 2e6, "{} bit/s", stream.bits_per_second);
    for site in sites {
        site.router.settle();
    }
    let count = |site: &Site, key| site.router.json("show vxlan vx0")["remotes"][0][key].as_u64().unwrap();
    for (from, to) in [(one, two), (two, one)] {
        let missing = count(from, "tx_packets") - count(to, "rx_packets");
        // On a busy machine the kernel may have no room for all that comes.
        let lost = to.router.counter("under", "rx_drops");
        assert!(missing <= lost, "{missing} are missing, {lost} were lost on the underlay");
        let same = count(from, "tx_bytes") == count(to, "rx_bytes");
        assert!(same || missing > 0, "bytes of the same packets");
    }
}

#[test]
fn hosts_of_two_sites_are_in_one_segment() {
    check(&sites("192.0.2.", "addresses: [ADDRESS]", ""));
}

#[test]
fn the_underlay_may_be_a_vlan() {
    check(&sites("192.0.2.", "sub-interfaces: {30: {addresses: [ADDRESS]}}", "udp-checksum: on"));
}

#[test]
fn the_underlay_may_be_a_bond() {
    check(&sites("192.0.2.", "state: up}\n  up: {driver: bond, members: [under], addresses: [ADDRESS]", ""));
}

/// RFC 8200 section 4.5: of IPv6, the router that sends fragments is the source, and the one that gets them puts them together.
#[test]
fn frames_longer_than_the_underlay_takes_go_in_fragments() {
    for prefix in ["192.0.2.", "2001:db8:9::"] {
        let sites = sites(prefix, "addresses: [ADDRESS]", "mtu: 4000");
        for site in &sites {
            site.host.ip("link set eth0 mtu 4000");
            site.router.run("interface set lan mtu 4000");
        }
        for bytes in [1372, 1472, 2952, 3972] {
            sites[0].host.run(&format!("ping -n -c 3 -i 0.2 -W 2 -M do -s {bytes} 10.9.0.2")).ok();
        }
        for site in &sites {
            site.router.rebase();
            let family = if prefix.contains(':') { "ip6" } else { "ip4" };
            for node in ["fragment", "local-full-reassembly"] {
                assert!(site.router.errors(&format!("{family}-{node}"), "") > 0, "{}", site.router.run("show errors"));
            }
        }
    }
}
