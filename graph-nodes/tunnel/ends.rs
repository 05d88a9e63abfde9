//! The tunnels that there are: by interface for packets that go into one, by their ends for packets that come out.

use super::outer::Head;
use super::{Df, Kind, Tunnel};
use crossbeam::utils::CachePadded;
use millrace_engine::counters::MAX_INTERFACES;
use millrace_engine::epoch::{Guard, Published, Slots, domain};
use millrace_wire::IpProtocol;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Identifications that a worker takes at once.
const IDS: u32 = 256;

/// What tells the packets of one tunnel from those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct End {
    pub local: u128,
    pub remote: u128,
    pub table: u32,
    /// The family of the outer packet, and whether GRE is in it.
    pub what: u8,
    /// The key, which is below 2^32; [`End::NO_KEY`], or [`End::ANY_KEY`] for whether there are any tunnels between two addresses.
    pub key: u64,
}

impl End {
    pub const NO_KEY: u64 = 1 << 32;
    pub const ANY_KEY: u64 = 1 << 33;

    pub fn new(table: u32, (local, remote): (IpAddr, IpAddr), gre: bool, key: Option<u32>) -> End {
        let what = u8::from(gre) | u8::from(remote.is_ipv6()) << 1;
        End { local: bits(local), remote: bits(remote), table, what, key: key.map_or(Self::NO_KEY, u64::from) }
    }

    fn of(tunnel: &Tunnel) -> End {
        let (gre, key) = match tunnel.kind {
            Kind::Gre { key, .. } => (true, key),
            Kind::Ipip => (false, None),
        };
        End::new(tunnel.table, (tunnel.local, tunnel.remote), gre, key)
    }

    pub fn any_key(self) -> End {
        End { key: Self::ANY_KEY, ..self }
    }
}

/// Whether packets of two tunnels can't be told apart: a router can have one of them only.
pub fn same_ends(one: &Tunnel, other: &Tunnel) -> bool {
    End::of(one) == End::of(other)
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Spreads the ends of tunnels. The operator chose what is in the table, so nobody can make its entries collide.
#[derive(Default)]
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u128(&mut self, value: u128) {
        self.write_u64(value as u64);
        self.write_u64((value >> 64) as u64);
    }
}

/// A tunnel with its outer headers made ready: of packets with IPv4 and with IPv6 inside.
#[derive(Debug)]
pub(super) struct Ready {
    pub tunnel: Tunnel,
    pub heads: [Head; 2],
}

/// What arrives at the router's end of a tunnel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// The tunnel's interface.
    pub interface: u32,
    /// Whether only packets with a checksum are taken.
    pub checksum: bool,
}

type Ends = HashMap<End, Arrival, BuildHasherDefault<Mix>>;

/// All of them; clones are handles to the same tables.
#[derive(Clone, Debug)]
pub struct Tunnels(Arc<CachePadded<Tables>>);

#[derive(Debug)]
struct Tables {
    by_interface: Slots<Ready>,
    by_ends: Published<Ends>,
    /// The next block of identifications for outer packets.
    ids: AtomicU32,
}

impl Tunnels {
    /// None yet.
    pub fn new() -> Tunnels {
        let tables = Tables {
            by_interface: Slots::new(MAX_INTERFACES as u32),
            by_ends: Published::new(Ends::default()),
            ids: AtomicU32::new(0),
        };
        Tunnels(Arc::new(CachePadded::new(tables)))
    }

    /// Has these tunnels, by their interfaces, instead of those that `before` says that there are. Of two with the same ends the one
    /// with the lower interface receives. O(tunnels).
    pub fn set(&self, before: &BTreeMap<u32, Tunnel>, now: &BTreeMap<u32, Tunnel>) {
        for interface in before.keys().filter(|interface| !now.contains_key(interface)) {
            self.0.by_interface.clear(&domain(), *interface);
        }
        for (interface, tunnel) in now.iter().filter(|(interface, tunnel)| before.get(interface) != Some(tunnel)) {
            let heads = [false, true].map(|inner6| Head::new(tunnel, inner6));
            // Numbers of interfaces are within the capacity.
            let _ = self.0.by_interface.set(&domain(), *interface, Ready { tunnel: tunnel.clone(), heads });
        }
        let mut ends = Ends::default();
        for (interface, tunnel) in now {
            let checksum = matches!(tunnel.kind, Kind::Gre { checksum: true, .. });
            let arrival = Arrival { interface: *interface, checksum };
            let end = End::of(tunnel);
            ends.entry(end).or_insert(arrival);
            ends.entry(end.any_key()).or_insert(arrival);
        }
        self.0.by_ends.publish(&domain(), ends);
    }

    /// Identifications that nobody else gets until all of 16 bits were given (RFC 791 section 3.2).
    pub(super) fn ids(&self) -> Range<u32> {
        let first = self.0.ids.fetch_add(IDS, Ordering::Relaxed);
        first..first.saturating_add(IDS)
    }

    /// The tunnel that an interface is.
    #[inline(always)]
    pub(super) fn of<'g>(&self, interface: u32, guard: &Guard<'g>) -> Option<&'g Ready> {
        self.0.by_interface.get(interface, guard)
    }

    /// Whether packets of a protocol between IPv4 ends, ours first, are of a tunnel, whatever their key.
    pub(crate) fn takes(
        &self,
        table: u32,
        (local, remote): (Ipv4Addr, Ipv4Addr),
        protocol: IpProtocol,
        guard: &Guard<'_>,
    ) -> bool {
        let gre = protocol == IpProtocol::GRE;
        let possible = gre || matches!(protocol, IpProtocol::IPV4 | IpProtocol::IPV6);
        possible && self.at(&End::new(table, (local.into(), remote.into()), gre, None).any_key(), guard).is_some()
    }

    /// The tunnel that packets between these ends are of.
    #[inline(always)]
    pub(super) fn at<'g>(&self, end: &End, guard: &Guard<'g>) -> Option<&'g Arrival> {
        self.0.by_ends.get(guard).get(end)
    }
}

impl Default for Tunnels {
    fn default() -> Tunnels {
        Tunnels::new()
    }
}

impl Tunnel {
    /// Whether an outer IPv4 packet is not to be cut by the network. `inner`: whether the packet inside is not.
    pub(super) fn dont_fragment(&self, inner: bool) -> bool {
        match self.df {
            Df::Inherit => inner,
            Df::Set => true,
            Df::Clear => false,
        }
    }
}
