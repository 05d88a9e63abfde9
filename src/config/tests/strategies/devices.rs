//! Drivers and what goes with them.

use super::{file, rate, stream};
use millrace_config::*;
use proptest::{collection::vec, option, prelude::*, sample::select};

/// A driver with its keys. They have few names, so that two of them often want the same.
pub fn driver() -> impl Strategy<Value = Driver> {
    let device = || select(&["eth0", "eth1", "null"][..]).prop_map(str::to_owned);
    let pcap = (file(), option::of(1..9u32), rate()).prop_map(|(read, repeat, rate)| {
        let repeat = repeat.map_or(Repeat::Forever, |n| Repeat::Times(n.try_into().unwrap()));
        Driver::Pcap(Pcap { write: Some(format!("{read}.out").into()), read: Some(read.into()), repeat, rate })
    });
    prop_oneof![
        4 => (device(), 1..3u16).prop_map(|(device, queues)| Driver::AfPacket(AfPacket { device, queues })),
        4 => (device(), 1..3u16).prop_map(|(device, queues)| Driver::Tap(Tap { device, queues })),
        1 => af_xdp(device()),
        8 => memif(),
        1 => vhost_user(),
        1 => dpdk(),
        1 => pcap,
        1 => Just(Driver::Loopback),
        1 => (vec(stream(), 0..3), 1..=256u16, any::<bool>())
            .prop_map(|(streams, burst, check)| {
                Driver::Generator(Generator { streams, burst, check, latency: burst % 2 == 0 })
            }),
    ]
}

/// The driver that goes with a name: a tap device, or one socket on which all meet their peers.
pub fn own(name: &Name) -> Driver {
    match name.as_str() {
        "a" => Driver::Tap(Tap { device: format!("tap-{name}"), queues: 1 }),
        other => Driver::Memif(Memif {
            socket: Socket::read("/run/own.sock").unwrap(),
            id: other.bytes().map(u32::from).sum(),
            role: Role::Server,
            secret: None,
            queues: 1,
            ring_size: Memif::RING_SIZE,
            zero_copy: false,
        }),
    }
}

/// How DPDK is started.
pub fn eal() -> impl Strategy<Value = Eal> {
    let memory = select(&[16u64, 64, 1024][..]).prop_map(|mib| ByteSize(mib << 20));
    let arguments = vec(select(&["--log-level=lib.eal:debug", "--iova-mode=va", "-d"][..]), 0..3);
    (select(HugePages::ALL), memory, arguments).prop_map(|(huge_pages, memory, arguments)| Eal {
        huge_pages,
        memory,
        arguments: arguments.into_iter().map(str::to_owned).collect(),
    })
}

fn ring_size() -> impl Strategy<Value = u32> {
    (6..15u32).prop_map(|bits| 1 << bits)
}

fn socket() -> impl Strategy<Value = Socket> {
    select(&["/run/a.sock", "/run//a.sock", "@a"][..]).prop_map(|text| Socket::read(text).unwrap())
}

fn af_xdp(device: impl Strategy<Value = String>) -> impl Strategy<Value = Driver> {
    let modes = (select(XdpMode::ALL), select(ZeroCopy::ALL), any::<bool>());
    (device, 1..3u16, modes, ring_size()).prop_map(|(device, queues, (mode, zero_copy, busy_poll), ring_size)| {
        Driver::AfXdp(AfXdp { device, queues, mode, zero_copy, busy_poll, ring_size })
    })
}

fn memif() -> impl Strategy<Value = Driver> {
    let secret = option::of("[ -~]{1,24}").prop_map(|text| text.map(|text| Secret::read(&text).unwrap()));
    let meeting = (socket(), 0..3u32, select(&[Role::Server, Role::Server, Role::Client][..]));
    (meeting, secret, 1..3u16, ring_size(), any::<bool>()).prop_map(
        |((socket, id, role), secret, queues, ring_size, zero_copy)| {
            let zero_copy = zero_copy && role == Role::Client;
            Driver::Memif(Memif { socket, id, role, secret, queues, ring_size, zero_copy })
        },
    )
}

fn vhost_user() -> impl Strategy<Value = Driver> {
    let socket = socket().prop_filter("a file", |socket| socket.as_str().starts_with('/'));
    (socket, select(Role::ALL), 1..3u16, any::<bool>())
        .prop_map(|(socket, role, queues, offloads)| Driver::VhostUser(VhostUser { socket, role, queues, offloads }))
}

fn dpdk() -> impl Strategy<Value = Driver> {
    let device = select(&["net_null0,size=64", "net_null0", "0000:8a:00.0"][..]).prop_map(str::to_owned);
    (device, 1..3u16, ring_size(), any::<bool>()).prop_map(|(device, queues, ring_size, promiscuous)| {
        Driver::Dpdk(Dpdk { device, queues, ring_size, promiscuous })
    })
}
