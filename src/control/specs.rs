//! From the configuration of a driver to the device to open.

use millrace_config::generator::{self as config, FlowProtocol};
use millrace_config::{Config, Driver, Eal, HugePages, Rate, Repeat, Role, WorkerMode, XdpMode, ZeroCopy};
use millrace_engine::{EngineConfig, Mode, WorkerConfig, memory};
use millrace_io as io;

/// The device of a driver, with DPDK started like this if it needs DPDK; none of a sub-interface.
pub fn spec(driver: &Driver, eal: &Eal) -> Option<io::Spec> {
    Some(match driver {
        Driver::AfPacket(d) => io::Spec::AfPacket { device: d.device.clone(), queues: d.queues },
        Driver::Tap(d) => io::Spec::Tap { device: d.device.clone(), queues: d.queues },
        Driver::AfXdp(d) => io::Spec::AfXdp(io::AfXdp {
            device: d.device.clone(),
            queues: d.queues,
            mode: match d.mode {
                XdpMode::Auto => io::XdpMode::Auto,
                XdpMode::Native => io::XdpMode::Native,
                XdpMode::Generic => io::XdpMode::Generic,
            },
            zero_copy: match d.zero_copy {
                ZeroCopy::Auto => io::ZeroCopy::Auto,
                ZeroCopy::Required => io::ZeroCopy::Required,
                ZeroCopy::Off => io::ZeroCopy::Off,
            },
            busy_poll: d.busy_poll,
            ring_size: d.ring_size,
        }),
        Driver::Memif(d) => io::Spec::Memif(io::Memif {
            socket: d.socket.to_string(),
            id: d.id,
            role: role(d.role),
            secret: d.secret.as_ref().map(|secret| secret.as_str().to_owned()),
            queues: d.queues,
            ring_size: d.ring_size,
            zero_copy: d.zero_copy,
        }),
        Driver::VhostUser(d) => io::Spec::VhostUser(io::VhostUser {
            socket: d.socket.to_string(),
            role: role(d.role),
            queues: d.queues,
            offloads: d.offloads,
        }),
        Driver::Dpdk(d) => io::Spec::Dpdk(io::Dpdk {
            device: d.device.clone(),
            queues: d.queues,
            ring_size: d.ring_size,
            promiscuous: d.promiscuous,
            eal: io::Eal {
                arguments: eal.arguments.clone(),
                huge_pages: huge_pages(eal.huge_pages),
                memory_mib: eal.memory_mib(),
            },
        }),
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
        Driver::Vlan(_) | Driver::Bvi | Driver::Vxlan(_) | Driver::Gre(_) | Driver::Ipip(_) | Driver::Bond(_) => {
            return None;
        }
    })
}

/// The workers and buffers to start with.
pub fn engine(config: &Config) -> EngineConfig {
    let workers = (0..usize::from(config.workers.count))
        .map(|worker| WorkerConfig { cpu: config.workers.cpus.get(worker).map(|cpu| usize::from(*cpu)) });
    EngineConfig {
        workers: workers.collect(),
        mode: match config.workers.mode {
            WorkerMode::Adaptive => Mode::Adaptive,
            WorkerMode::Polling => Mode::Polling,
        },
        buffers: config.buffers.count as usize,
        huge_pages: huge_pages(config.buffers.huge_pages),
    }
}

/// Where memory comes from.
fn huge_pages(huge_pages: HugePages) -> memory::HugePages {
    match huge_pages {
        HugePages::Auto => memory::HugePages::Auto,
        HugePages::Required => memory::HugePages::Required,
        HugePages::Off => memory::HugePages::Off,
    }
}

fn role(role: Role) -> io::Role {
    match role {
        Role::Server => io::Role::Server,
        Role::Client => io::Role::Client,
    }
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
