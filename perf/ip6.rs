//! Rows of IPv6: one prefix, and a table half as large again as the Internet's.

use crate::daemon::Daemon;
use crate::feed;
use crate::forward::{self, Load};
use crate::report::Measured;
use anyhow::{Result, ensure};
use ipnet::Ipv6Net;
use millrace_api::v1::RouteBatch;
use millrace_io::PcapWriter;
use millrace_tables::sample::{self, Random, Sample};
use millrace_wire::checksum::udp6;
use millrace_wire::{EtherType, Ethernet, IntoBytes, IpProtocol, Ipv6, MacAddr, Udp};
use std::fmt::Write;
use std::fs::File;
use std::io::BufWriter;
use std::net::Ipv6Addr;
use std::time::Duration;

/// Routes.
const ROUTES: usize = 250_000;
/// Different packets, each to a random address in one of the routes.
const PACKETS: usize = 1 << 18;
/// Next hops, from fd00:1::2 on.
const GATEWAYS: u64 = 64;
/// Routes in a message, and those of them with the same next hop.
const BATCH: usize = 2000;
const TOGETHER: usize = 4;

/// 65,536 destinations under one prefix, in random order.
pub fn one_prefix() -> Result<Option<Measured>> {
    let config = include_str!("ip6-1-prefix.yaml").to_owned();
    Ok(Some(forward::measure(&Load { config, workers: 1, warm_up: 1_000_000 })?))
}

/// 250,000 routes of the Internet's prefix lengths, and 262,144 destinations inside them in random order.
pub fn routes() -> Result<Option<Measured>> {
    let mut random = Random(1);
    let routes = sample::routes::<u128>(ROUTES, &mut random);
    let packets = std::env::temp_dir().join(format!("millrace-perf-{}.pcap", std::process::id()));
    let mut writer = PcapWriter::new(BufWriter::new(File::create(&packets)?))?;
    for _ in 0..PACKETS {
        let route = routes[random.below(routes.len() as u64) as usize];
        writer.write(Duration::ZERO, [packet(u128::inside(route, &mut random).into()).as_slice()])?;
    }
    writer.flush()?;
    drop(writer);
    let mut config =
        include_str!("ip6-250k-routes.yaml").replace("PACKETS", &format!("{:?}", packets.display().to_string()));
    for n in 0..GATEWAYS {
        let gateway = gateway(n);
        writeln!(config, "  - {{interface: sink, address: \"{gateway}\", mac: '02:fe:00:00:01:{n:02x}'}}")?;
    }
    let load = Load { config, workers: 1, warm_up: 5_000_000 };
    let daemon = forward::start(&load);
    std::fs::remove_file(&packets)?;
    let daemon = daemon?;
    tell(&daemon, &routes, &mut random)?;
    Ok(Some(forward::measure_running(&daemon, load.warm_up)?))
}

fn tell(daemon: &Daemon, routes: &[Ipv6Net], random: &mut Random) -> Result<()> {
    let mut batch = |routes: &[Ipv6Net]| {
        let mut change = |routes: &[Ipv6Net]| {
            let prefixes = routes.iter().map(ToString::to_string).collect();
            feed::add(prefixes, &[gateway(random.below(GATEWAYS)).to_string()])
        };
        RouteBatch { changes: routes.chunks(TOGETHER).map(&mut change).collect() }
    };
    let told = feed::replace(daemon, routes.chunks(BATCH).map(&mut batch).collect())?;
    ensure!(told.routes == ROUTES as u64, "only {} routes are there", told.routes);
    Ok(())
}

fn gateway(n: u64) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 2 + n as u16)
}

/// The smallest with UDP.
fn packet(to: Ipv6Addr) -> [u8; 62] {
    let from = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 3);
    let ethernet = Ethernet::new(MacAddr([2, 0xfe, 0, 0, 0, 1]), MacAddr([2, 0xfe, 0, 0, 0, 0xbb]), EtherType::IPV6);
    let ip = Ipv6::new(from, to, IpProtocol::UDP, 64, 8);
    let mut udp = Udp::new(3000, 3001, 0);
    udp.set_checksum(udp6(from, to, udp.as_bytes()));
    let mut packet = [0; 62];
    for (to, byte) in packet.iter_mut().zip([ethernet.as_bytes(), ip.as_bytes(), udp.as_bytes()].concat()) {
        *to = byte;
    }
    packet
}
