//! From the configuration of a driver to the device to open.

use millrace_config::generator::{self as config, FlowProtocol};
use millrace_config::{Driver, Rate, Repeat};
use millrace_io as io;

/// The device of a driver; none of a sub-interface.
pub fn spec(driver: &Driver) -> Option<io::Spec> {
    Some(match driver {
        Driver::AfPacket(d) => io::Spec::AfPacket { device: d.device.clone(), queues: d.queues },
        Driver::Tap(d) => io::Spec::Tap { device: d.device.clone(), queues: d.queues },
        Driver::Pcap(d) => io::Spec::Pcap {
            read: d.read.clone(),
            write: d.write.clone(),
            repeat: match d.repeat {
                Repeat::Times(times) => io::Repeat::Times(times),
                Repeat::Forever => io::Repeat::Forever,
            },
            rate: rate(d.rate),
        },
        Driver::Loopback => io::Spec::Loopback,
        Driver::Generator(d) => io::Spec::Generator(io::Generator {
            streams: d.streams.iter().map(stream).collect(),
            burst: d.burst,
            check: d.check,
            latency: d.latency,
        }),
        Driver::Vlan(_) => return None,
    })
}

fn rate(rate: Rate) -> io::Rate {
    match rate {
        Rate::Max => io::Rate::Max,
        Rate::PerSecond(n) => io::Rate::PerSecond(n),
    }
}

fn stream(stream: &config::Stream) -> io::Stream {
    let frames = match &stream.frames {
        config::Frames::Template(path) => io::Frames::Template(path.clone()),
        config::Frames::Made(made) => io::Frames::Made(Box::new(flow(made))),
    };
    io::Stream { frames, rate: rate(stream.rate), count: stream.count }
}

fn flow(flow: &config::Flow) -> io::Flow {
    let addresses = |r: config::IpRange| io::AddressRange { first: r.first, last: r.last };
    let ports = |r: config::PortRange| io::PortRange { first: r.first, last: r.last };
    io::Flow {
        source_mac: flow.source_mac.0,
        destination_mac: flow.destination_mac.map(|mac| mac.0),
        vlan: flow.vlan,
        source: addresses(flow.source),
        destination: addresses(flow.destination),
        protocol: match flow.protocol {
            FlowProtocol::Udp => io::Protocol::Udp,
            FlowProtocol::Tcp => io::Protocol::Tcp,
            FlowProtocol::Icmp => io::Protocol::Icmp,
        },
        source_ports: ports(flow.source_ports),
        destination_ports: ports(flow.destination_ports),
        size: match flow.size {
            config::FrameSize::Fixed(size) => io::FrameSize::Fixed(size),
            config::FrameSize::Range(first, last) => io::FrameSize::Range(first, last),
            config::FrameSize::Imix => io::FrameSize::Imix,
        },
        order: match flow.order {
            config::Order::Sequential => io::Order::Sequential,
            config::Order::Random => io::Order::Random,
            config::Order::Shuffled => io::Order::Shuffled,
        },
    }
}
