//! Against the reference, for both families.

mod full;
mod properties;
mod readers;

use std::collections::HashMap;

use ipnet::Ipv4Net;
use millrace_engine::epoch;

use super::*;
use crate::reference::Reference;

fn net<A: Address>(text: &str) -> A::Net {
    text.parse().ok().unwrap()
}

fn addr<A: Address>(text: &str) -> A {
    A::of_ip(text.parse().unwrap()).unwrap()
}

/// A table, a reader of it and the reference, kept the same.
struct Both<A: Address> {
    writer: Writer<A>,
    reader: Reader<A>,
    reference: Reference<A>,
    me: epoch::Participant,
}

impl<A: Address> Both<A> {
    fn new() -> Self {
        let (writer, reader) = Lpm::new().unwrap();
        Self { writer, reader, reference: Reference::new(), me: epoch::domain().register() }
    }

    fn insert(&mut self, prefix: A::Net, value: u32) {
        assert_eq!(self.writer.insert(prefix, value), Ok(self.reference.insert(prefix, value)), "{prefix}");
    }

    fn remove(&mut self, prefix: A::Net) {
        assert_eq!(self.writer.remove(prefix), self.reference.remove(prefix), "{prefix}");
    }

    fn check(&self, addr: A) {
        let expected = self.reference.longest_match(addr);
        let value = expected.map_or(NO_ROUTE, |(_, value)| value);
        self.reader.prefetch(addr);
        assert_eq!(self.reader.lookup(&self.me.guard(), addr), value, "{}", addr.to_ip());
        for steps in 0..=A::LEVELS + 1 {
            assert_eq!(walk(&self.reader, &self.me.guard(), addr, steps), value, "{} in {steps} steps", addr.to_ip());
        }
        assert_eq!(self.writer.longest_match(addr), expected, "{}", addr.to_ip());
    }

    /// At both ends of all prefixes ever used, and just outside.
    fn check_around(&self, prefixes: impl IntoIterator<Item = A::Net>) {
        for prefix in prefixes {
            for addr in around::<A>(prefix) {
                self.check(addr);
            }
            let mut routes = self.reference.routes().iter();
            let expected =
                routes.find(|route| A::first(route.0) == A::first(prefix) && A::len(route.0) == A::len(prefix));
            assert_eq!(self.writer.get(prefix), expected.map(|route| route.1));
        }
        let routes: HashMap<_, _> = self.writer.iter().collect();
        assert_eq!(routes, self.reference.routes().iter().copied().collect());
        assert_eq!(self.writer.len(), routes.len());
        assert_eq!(self.writer.is_empty(), routes.is_empty());
    }
}

/// Looks up in so many steps.
fn walk<A: Address>(reader: &Reader<A>, guard: &Guard<'_>, addr: A, steps: u8) -> u32 {
    let kept = |walk: Walk| Walk::from_bits(walk.to_bits());
    let walk = (0..steps).fold(reader.start(addr), |walk, level| reader.step(guard, kept(walk), addr.byte(level)));
    reader.finish(guard, kept(walk), addr, steps)
}

/// A prefix's first and last address, those before and behind it, and one inside.
fn around<A: Address>(prefix: A::Net) -> Vec<A> {
    let number = |addr: A| match addr.to_ip() {
        std::net::IpAddr::V4(ip) => ip.to_bits().into(),
        std::net::IpAddr::V6(ip) => ip.to_bits(),
    };
    let address = |number: u128| match A::BITS {
        32 => A::of_ip(std::net::Ipv4Addr::from_bits(number as u32).into()),
        _ => A::of_ip(std::net::Ipv6Addr::from_bits(number).into()),
    };
    let (first, last) = (number(A::first(prefix)), number(A::last(prefix)));
    [first.wrapping_sub(1), first, first + (last - first) / 2, last, last.wrapping_add(1)]
        .into_iter()
        .filter_map(address)
        .collect()
}

fn every_length_nested<A: Address>(pattern: &str) {
    let mut both = Both::<A>::new();
    let lengths = usize::from(A::BITS) + 1;
    let prefixes: Vec<_> = (0..=A::BITS).map(|len| addr::<A>(pattern).net(len)).collect();
    both.check_around(prefixes.clone());
    for (value, &prefix) in (1..).zip(&prefixes) {
        both.insert(prefix, value);
    }
    both.check_around(prefixes.clone());
    // From the middle out, so that each removal uncovers something else.
    for at in (0..lengths).map(|i| (i * 7 + 16) % lengths) {
        both.remove(prefixes[at]);
        if at % (lengths / 32) == 0 {
            both.check_around(prefixes.clone());
        }
    }
    both.check_around(prefixes);
    assert!(both.writer.is_empty());
}

#[test]
fn every_length_nested_ip4() {
    every_length_nested::<u32>("170.85.170.85");
}

#[test]
fn every_length_nested_ip6() {
    every_length_nested::<u128>("aa55:aa55:aa55:aa55:aa55:aa55:aa55:aa55");
}

fn shorter_prefixes_arrive_later<A: Address>(prefixes: &[&str]) {
    let mut both = Both::<A>::new();
    let prefixes: Vec<_> = prefixes.iter().map(|prefix| net::<A>(prefix)).collect();
    for base in [100, 200] {
        for (value, &prefix) in (base..).zip(&prefixes) {
            both.insert(prefix, value);
            both.check_around(prefixes.clone());
        }
    }
    for &prefix in &prefixes {
        both.remove(prefix);
        both.remove(prefix);
        both.check_around(prefixes.clone());
    }
}

#[test]
fn shorter_prefixes_arrive_later_ip4() {
    shorter_prefixes_arrive_later::<u32>(&[
        "10.1.2.128/25",
        "10.1.2.3/32",
        "10.1.2.0/24",
        "10.1.0.0/16",
        "10.0.0.0/8",
        "0.0.0.0/0",
    ]);
}

#[test]
fn shorter_prefixes_arrive_later_ip6() {
    shorter_prefixes_arrive_later::<u128>(&[
        "2001:db8::1/128",
        "2001:db8::/120",
        "2001:db8::/64",
        "2001:db8::/56",
        "2001:db8::/52",
        "2001:db8::/48",
        "2001:db8::/33",
        "2001:db8::/32",
        "2001:d00::/25",
        "2001:d00::/24",
        "2000::/12",
        "::/0",
    ]);
}

fn ends_of_the_address_space<A: Address>(prefixes: &[&str]) {
    let mut both = Both::<A>::new();
    let prefixes: Vec<_> = prefixes.iter().map(|prefix| net::<A>(prefix)).collect();
    for (value, &prefix) in (1..).zip(&prefixes) {
        both.insert(prefix, value);
    }
    both.check_around(prefixes.clone());
    for &prefix in &prefixes {
        both.remove(prefix);
        both.check_around(prefixes.clone());
    }
}

#[test]
fn ends_of_the_address_space_ip4() {
    ends_of_the_address_space::<u32>(&[
        "0.0.0.0/32",
        "255.255.255.255/32",
        "0.0.0.0/1",
        "128.0.0.0/1",
        "255.255.255.0/24",
    ]);
}

#[test]
fn ends_of_the_address_space_ip6() {
    let last = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    ends_of_the_address_space::<u128>(&[
        "::/128",
        &format!("{last}/128"),
        "::/1",
        "8000::/1",
        "ff00::/8",
        &format!("{last}/24"),
        &format!("{last}/25"),
        &format!("{last}/64"),
    ]);
}

#[test]
fn values_are_opaque() {
    let mut both = Both::<u32>::new();
    both.insert(net::<u32>("0.0.0.0/0"), 9);
    both.insert(net::<u32>("10.0.0.0/8"), 1);
    both.insert(net::<u32>("10.1.1.1/32"), 0xff_ffff);
    both.check_around([net::<u32>("10.0.0.0/8"), net::<u32>("10.1.1.1/32")]);
    // Only 24 bits count, and host bits don't.
    assert_eq!(both.writer.insert(net::<u32>("10.9.9.9/8"), 0xab00_0002), Ok(Some(1)));
    assert_eq!(both.writer.get(net::<u32>("10.0.0.0/8")), Some(2));
    assert_eq!(both.reader.lookup(&both.me.guard(), addr("10.0.0.0")), 2);
}

#[test]
fn groups_come_back_after_the_grace_period() {
    let (mut writer, reader) = Lpm::with_groups::<u32>(1).unwrap();
    let net = |text: &str| text.parse::<Ipv4Net>().unwrap();
    let mut me = epoch::domain().register();
    writer.insert(net("10.0.0.0/24"), 1).unwrap();
    writer.insert(net("10.0.0.1/32"), 2).unwrap();
    writer.insert(net("10.0.0.2/32"), 3).unwrap();
    assert_eq!(writer.insert(net("10.0.1.1/32"), 4), Err(TableFull));
    assert_eq!((writer.len(), writer.get(net("10.0.1.1/32"))), (3, None));
    assert_eq!(reader.lookup(&me.guard(), addr("10.0.1.1")), NO_ROUTE);
    // Still needed for 10.0.0.2.
    writer.remove(net("10.0.0.1/32"));
    assert_eq!(writer.insert(net("10.0.1.1/32"), 4), Err(TableFull));
    writer.remove(net("10.0.0.2/32"));
    assert_eq!(writer.insert(net("10.0.1.1/32"), 4), Err(TableFull), "a reader may be in it");
    assert_eq!(reader.lookup(&me.guard(), addr("10.0.0.2")), 1);
    me.quiescent();
    // Readers of other tests may hold it back for a while.
    while writer.insert(net("10.0.1.1/32"), 4).is_err() {
        std::thread::yield_now();
    }
    assert_eq!(reader.lookup(&me.guard(), addr("10.0.1.1")), 4);
    assert_eq!(reader.lookup(&me.guard(), addr("10.0.0.2")), 1);
}

#[test]
fn a_full_table_stays_as_it_was() {
    let (mut writer, reader) = Lpm::with_groups::<u128>(7).unwrap();
    let net = net::<u128>;
    let me = epoch::domain().register();
    writer.insert(net("2001:db8::/32"), 1).unwrap();
    writer.insert(net("2001:db8:0:1::/64"), 2).unwrap();
    // Five are needed, and two are left.
    assert_eq!(writer.insert(net("2002:dc8:0:1::/64"), 3), Err(TableFull));
    assert_eq!((writer.len(), writer.get(net("2002:dc8:0:1::/64"))), (2, None));
    assert_eq!(reader.lookup(&me.guard(), addr("2002:dc8:0:1::")), NO_ROUTE);
    // Those that were not needed are there at once: two of them, and then there is none.
    writer.insert(net("2002:dc9::/40"), 4).unwrap();
    assert_eq!(writer.insert(net("2002:dc9::/41"), 5), Err(TableFull));
    assert_eq!(writer.insert(net("2001:db8:0:1:8000::/65"), 6), Err(TableFull));
    let lookup = |text| reader.lookup(&me.guard(), addr(text));
    assert_eq!(["2002:dc9::", "2001:db8::", "2001:db8:0:1::", "2001:db8:0:1:8000::"].map(lookup), [4, 1, 2, 2]);
    // What needs no more than there is goes on.
    writer.insert(net("2001:db8:0:2::/64"), 7).unwrap();
    writer.insert(net("2001:db8:0:1::/64"), 8).unwrap();
    assert_eq!(["2001:db8:0:1::", "2001:db8:0:2::", "2001:db8:0:3::"].map(lookup), [8, 7, 1]);
}

/// The steps of a lookup may find another table in the place of the one they began in.
#[test]
fn a_walk_that_goes_on_in_another_table() {
    let me = epoch::domain().register();
    let guard = me.guard();
    let (mut writer, one) = Lpm::new::<u128>().unwrap();
    let (mut other_writer, other) = Lpm::new::<u128>().unwrap();
    writer.insert(net::<u128>("2001:db8::/64"), 1).unwrap();
    writer.insert(net::<u128>("::/0"), 2).unwrap();
    other_writer.insert(net::<u128>("2001:db8::/40"), 3).unwrap();
    for (to, value) in
        [("2001:db8::1", 3), ("2001:db9::1", NO_ROUTE), ("2002::", NO_ROUTE)].map(|(to, v)| (addr(to), v))
    {
        let mut walk = one.start(to);
        for level in 0..3 {
            assert_eq!(other.finish(&guard, walk, to, level), value);
            assert_eq!(other.finish(&guard, other.step(&guard, walk, to.byte(level)), to, level + 1), value);
            walk = one.step(&guard, walk, to.byte(level));
        }
    }
    // And any number is safe.
    for bits in [0, u64::MAX, 0x7fff_ffff] {
        let walk = one.step(&guard, Walk::from_bits(bits), 77);
        assert_eq!(one.finish(&guard, walk, 0, 200), 2);
    }
}

#[test]
fn halves_with_one_value_keep_their_group() {
    let mut both = Both::<u32>::new();
    let prefixes = ["10.0.0.0/25", "10.0.0.128/25", "10.0.0.0/26", "10.0.0.0/24"].map(net::<u32>);
    for prefix in &prefixes[..3] {
        both.insert(*prefix, 7);
    }
    // Now all of the group is the same, but not by a route for all of it.
    both.remove(prefixes[2]);
    both.insert(prefixes[3], 8);
    both.check_around(prefixes);
    both.remove(prefixes[0]);
    both.check_around(prefixes);
}

#[test]
fn memory_is_what_routes_touch() {
    let net = net::<u32>;
    let (mut writer, _) = Lpm::new::<u32>().unwrap();
    assert_eq!(writer.memory_bytes(), 0);
    writer.insert(net("0.0.0.0/0"), 1).unwrap();
    let default_only = writer.memory_bytes();
    assert!(default_only < 1024, "{default_only}");
    writer.insert(net("10.0.0.0/24"), 1).unwrap();
    assert!((2 << 20..3 << 20).contains(&writer.memory_bytes()));
    writer.insert(net("128.0.0.0/1"), 1).unwrap();
    assert!((34 << 20..35 << 20).contains(&writer.memory_bytes()));
}
