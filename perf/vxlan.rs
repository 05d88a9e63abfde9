//! Rows of VXLAN: a generator behind a bridge whose frames go to a remote, and a remote whose datagrams come in, over IPv4 and IPv6.

use crate::forward::{self, Load};
use crate::report::Measured;
use anyhow::Result;
use millrace_io::PcapWriter;
use millrace_wire::{EtherType, Ethernet, IntoBytes, IpProtocol, Ipv4, Ipv6, MacAddr, Udp, Vxlan, checksum};
use std::fs::File;
use std::io::BufWriter;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Different frames that come out of the tunnel.
const FLOWS: u32 = 65_536;
/// The router's end of the underlay, and the remote's.
const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
const REMOTE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 2);
const LOCAL6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1);
const REMOTE6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 2);
const UNDER_MAC: MacAddr = MacAddr([2, 0xfe, 0, 0, 0, 2]);
const REMOTE_MAC: MacAddr = MacAddr([2, 0xfe, 0, 0, 0, 0xaa]);
/// Stations: behind the port of the bridge, and behind the remote.
const NEAR: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const FAR: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

/// 65,536 flows of one station to another, in frames of 64 bytes, into datagrams.
pub fn encap() -> Result<Option<Measured>> {
    let stream = "{destination-mac: '02:00:00:00:00:02', source-mac: '02:00:00:00:00:01', source: 192.168.0.1, \
                  destination: 192.169.0.0/16, protocol: udp, source-ports: '3000', destination-ports: '3001', \
                  size: 64, order: random}";
    let measure = |local: String, remote: String| {
        let config = config(&local, &remote, &format!("streams: [{stream}]"), "");
        forward::measure(&Load { config, workers: 1, warm_up: 1_000_000 })
    };
    let mut over4 = measure(LOCAL.to_string(), REMOTE.to_string())?;
    over4.add_nodes(" ip6", &measure(LOCAL6.to_string(), REMOTE6.to_string())?, "vxlan");
    Ok(Some(over4))
}

/// The same the other way: datagrams that are not fragments and, over IPv4, have no checksum.
pub fn decap() -> Result<Option<Measured>> {
    let measure = |local: String, remote: String, datagram: fn(u32) -> Vec<u8>| {
        let file = std::env::temp_dir().join(format!("millrace-perf-vxlan-{}.pcap", std::process::id()));
        let mut writer = PcapWriter::new(BufWriter::new(File::create(&file)?))?;
        for flow in 0..FLOWS {
            // All of them in an order like that of chance.
            writer.write(Duration::ZERO, [datagram(flow.wrapping_mul(40_503) % FLOWS).as_slice()])?;
        }
        writer.flush()?;
        drop(writer);
        let config = config(&local, &remote, "", &format!("streams: [{{template: '{}'}}]", file.display()));
        let measured = forward::measure(&Load { config, workers: 1, warm_up: 1_000_000 });
        std::fs::remove_file(&file)?;
        measured
    };
    let mut over4 = measure(LOCAL.to_string(), REMOTE.to_string(), datagram4)?;
    let over6 = measure(LOCAL6.to_string(), REMOTE6.to_string(), datagram6)?;
    over4.add_nodes(" ip6", &over6, "vxlan");
    Ok(Some(over4))
}

/// A bridge with a port and a remote.
fn config(local: &str, remote: &str, port: &str, under: &str) -> String {
    let more = |settings: &str| if settings.is_empty() { String::new() } else { format!(", {settings}") };
    let (port, under, length) = (more(port), more(under), if local.contains(':') { 64 } else { 24 });
    format!(
        "
workers: {{count: 1, cpus: [1], mode: polling}}
bridges:
  br0:
    static-macs:
      - {{mac: '{NEAR}', interface: port}}
      - {{mac: '{FAR}', interface: vx0, remote: '{remote}'}}
interfaces:
  port: {{driver: generator, bridge: br0{port}}}
  under: {{driver: generator, mac: '{UNDER_MAC}', addresses: ['{local}/{length}']{under}}}
  vx0: {{driver: vxlan, vni: 100, local: '{local}', remotes: ['{remote}'], bridge: br0}}
neighbors:
  - {{interface: under, address: '{remote}', mac: '{REMOTE_MAC}'}}
"
    )
}

/// A frame of a flow, as the generator's for [`encap`].
fn frame(flow: u32) -> Vec<u8> {
    let to = Ipv4Addr::from_bits(Ipv4Addr::new(192, 169, 0, 0).to_bits() + flow);
    let mut ip = Ipv4::new(Ipv4Addr::new(192, 168, 0, 1), to, IpProtocol::UDP, 64, 26);
    ip.fill_checksum(&[]);
    let ethernet = Ethernet::new(NEAR, FAR, EtherType::IPV4);
    [ethernet.as_bytes(), ip.as_bytes(), Udp::new(3000, 3001, 18).as_bytes(), &[0; 18]].concat()
}

/// UDP's header with the source port of a flow, and what is behind it.
fn vxlan(flow: u32) -> Vec<u8> {
    let (header, frame) = (Vxlan::new(100), frame(flow));
    let port = Vxlan::source_port(flow.wrapping_mul(0x9e37_79b9));
    let udp = Udp::new(port, Vxlan::PORT, (Vxlan::LEN + frame.len()) as u16);
    [udp.as_bytes(), header.as_bytes(), &frame].concat()
}

fn datagram4(flow: u32) -> Vec<u8> {
    let datagram = vxlan(flow);
    let mut ip = Ipv4::new(REMOTE, LOCAL, IpProtocol::UDP, 64, datagram.len() as u16);
    ip.fill_checksum(&[]);
    let ethernet = Ethernet::new(UNDER_MAC, REMOTE_MAC, EtherType::IPV4);
    [ethernet.as_bytes(), ip.as_bytes(), &datagram].concat()
}

fn datagram6(flow: u32) -> Vec<u8> {
    let mut datagram = vxlan(flow);
    let sum = checksum::udp6(REMOTE6, LOCAL6, &datagram);
    if let Some(field) = datagram.get_mut(6..8) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    let ip = Ipv6::new(REMOTE6, LOCAL6, IpProtocol::UDP, 64, datagram.len() as u16);
    let ethernet = Ethernet::new(UNDER_MAC, REMOTE_MAC, EtherType::IPV6);
    [ethernet.as_bytes(), ip.as_bytes(), &datagram].concat()
}
