use super::super::frames;
use super::*;
use millrace_wire::mld;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
const ROOM: usize = usize::MAX;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn hear(listeners: &mut Listeners, port: u32, packet: &[u8], now: Instant) -> Effect {
    let message = match packet[0] >> 4 {
        4 => igmp::parse(packet),
        _ => mld::parse(packet),
    };
    listeners.heard(port, &message.unwrap().unwrap(), ROOM, now)
}

/// The ports of a group as the packet path has them.
fn ports(listeners: &Listeners, group: &str, now: Instant) -> Option<Vec<u32>> {
    let published = listeners.published(now);
    match ip(group) {
        IpAddr::V4(group) => published.ports4(group).map(<[u32]>::to_vec),
        IpAddr::V6(group) => published.ports6(group).map(<[u32]>::to_vec),
    }
}

/// The same for both families: querier, groups, and sources.
struct Family {
    querier: IpAddr,
    other: IpAddr,
    group: &'static str,
    unknown: &'static str,
    four: bool,
}

fn families() -> [Family; 2] {
    [
        Family { querier: ip("10.0.0.1"), other: ip("10.0.0.2"), group: "239.1.1.1", unknown: "239.9.9.9", four: true },
        Family { querier: ip("fe80::1"), other: ip("fe80::2"), group: "ff15::1", unknown: "ff15::9", four: false },
    ]
}

/// With a querier on port 1 that asks every 10 s and is answered within 1 s, whose first answers were waited for.
fn queried(family: &Family, now: Instant) -> Listeners {
    let mut listeners = Listeners::default();
    let effect = hear(&mut listeners, 1, &frames::query(family.querier, None, &[], 10, 10), now - SECOND);
    assert_eq!(effect, Effect { changed: true, refused: None, querier: true });
    assert!(!listeners.filters(now - SECOND), "hosts may answer still");
    assert!(listeners.expire(now).changed, "from now on it filters");
    listeners
}

#[test]
fn without_a_querier_all_is_flooded() {
    for family in families() {
        let (mut listeners, now) = (Listeners::default(), Instant::now());
        assert!(hear(&mut listeners, 2, &frames::old_report(2, ip(family.group)), now).changed);
        assert_eq!(ports(&listeners, family.group, now), None);
        assert_eq!(listeners.next(), Some(now + 260 * SECOND), "RFC 3376 section 8.4: the defaults");
        assert!(!listeners.expire(now + 259 * SECOND).changed);
        assert!(listeners.expire(now + 260 * SECOND).changed);
        assert_eq!((listeners.memberships(), listeners.next()), (0, None));
    }
}

#[test]
fn listeners_get_their_group_and_routers_everything() {
    for family in families() {
        let now = Instant::now();
        let mut listeners = queried(&family, now);
        assert_eq!(ports(&listeners, family.group, now), Some(vec![1]), "nobody listens");
        hear(&mut listeners, 3, &frames::old_report(2, ip(family.group)), now);
        let exclude = frames::record(4, ip(family.group), &[]);
        hear(&mut listeners, 2, &frames::report(family.four, &[exclude]), now);
        assert_eq!(ports(&listeners, family.group, now), Some(vec![1, 2, 3]));
        assert_eq!(ports(&listeners, family.unknown, now), Some(vec![1]), "RFC 4541 section 2.1.2 (2)");
        // Robustness 2, interval 10 s, response 1 s.
        let until = now + 21 * SECOND;
        assert_eq!(listeners.groups()[&ip(family.group)][&3].until(), Some(until));
        hear(
            &mut listeners,
            2,
            &frames::report(family.four, &[frames::record(2, ip(family.group), &[])]),
            until - SECOND,
        );
        hear(&mut listeners, 1, &frames::query(family.querier, None, &[], 10, 10), until - 2 * SECOND);
        assert!(listeners.expire(until).changed);
        assert_eq!(ports(&listeners, family.group, until), Some(vec![1, 2]), "one didn't answer");
    }
}

#[test]
fn a_querier_that_falls_silent_is_forgotten() {
    for family in families() {
        let now = Instant::now();
        let mut listeners = queried(&family, now);
        // RFC 3376 section 8.5: 2 times 10 s, and half a second.
        let gone = now - SECOND + 20 * SECOND + SECOND / 2;
        assert_eq!(listeners.expire(gone - SECOND / 10), Effect::default());
        assert_eq!(listeners.expire(gone), Effect { changed: true, refused: None, querier: true });
        assert_eq!((ports(&listeners, family.unknown, gone), listeners.routers().count()), (None, 0));
    }
}

#[test]
fn the_lowest_address_asks() {
    for family in families() {
        let now = Instant::now();
        let mut listeners = queried(&family, now);
        let effect = hear(&mut listeners, 2, &frames::query(family.other, None, &[], 1, 1), now);
        assert_eq!(effect, Effect { changed: true, ..Effect::default() }, "a router, but not the querier");
        assert_eq!(listeners.querier().unwrap().address, family.querier);
        assert_eq!(listeners.published(now).routers(), [1, 2]);
        assert!(listeners.filters(now), "it goes on when it is asked again");
        // It is heard for longer than the first.
        let later = now + 15 * SECOND;
        hear(&mut listeners, 2, &frames::query(family.other, None, &[], 10, 10), later);
        listeners.expire(now + 20 * SECOND);
        assert_eq!(listeners.querier(), None);
        hear(&mut listeners, 2, &frames::query(family.other, None, &[], 10, 10), now + 21 * SECOND);
        assert_eq!(listeners.querier().unwrap().address, family.other);
        hear(&mut listeners, 1, &frames::query(family.querier, None, &[], 10, 10), now + 22 * SECOND);
        assert_eq!(listeners.querier().unwrap().address, family.querier);
    }
}

/// RFC 4541 section 2.1.1 (1).
#[test]
fn whoever_asks_after_a_silence_is_the_querier_and_is_answered_first() {
    for family in families() {
        let now = Instant::now();
        let later = now + 30 * SECOND;
        let asks = frames::query(family.other, None, &[], 10, 10);
        let mut listeners = queried(&family, now);
        assert!(hear(&mut listeners, 2, &asks, later).querier, "though nobody has looked what is over");
        let mut listeners = queried(&family, now);
        assert!(listeners.expire(later).querier);
        hear(&mut listeners, 2, &asks, later);
        assert_eq!([later, later + SECOND].map(|at| listeners.filters(at)), [false, true], "hosts may answer still");
    }
}

#[test]
fn a_switch_that_asks_is_no_router() {
    let (mut listeners, now) = (Listeners::default(), Instant::now());
    let nobody = ip("0.0.0.0");
    assert!(hear(&mut listeners, 1, &frames::query(nobody, None, &[], 10, 0), now).querier);
    listeners.expire(now);
    assert_eq!(ports(&listeners, "239.9.9.9", now), Some(vec![]));
    assert!(hear(&mut listeners, 2, &frames::query(ip("10.0.0.1"), None, &[], 10, 0), now).querier, "a real one");
    assert!(!hear(&mut listeners, 1, &frames::query(nobody, None, &[], 10, 0), now).querier);
}

#[test]
fn who_leaves_is_asked_for() {
    for family in families() {
        let now = Instant::now();
        let mut listeners = queried(&family, now);
        for port in [2, 3] {
            hear(&mut listeners, port, &frames::old_report(2, ip(family.group)), now);
        }
        assert_eq!(hear(&mut listeners, 2, &frames::leave(ip(family.group)), now), Effect::default());
        assert_eq!(ports(&listeners, family.group, now), Some(vec![1, 2, 3]), "others may be behind the port");
        // RFC 3376 section 6.6.1: 2 times 1 s.
        hear(&mut listeners, 1, &frames::query(family.querier, Some(ip(family.group)), &[], 10, 10), now);
        hear(&mut listeners, 3, &frames::old_report(2, ip(family.group)), now + SECOND);
        assert!(!listeners.expire(now + SECOND).changed);
        assert!(listeners.expire(now + 2 * SECOND).changed);
        assert_eq!(ports(&listeners, family.group, now + 2 * SECOND), Some(vec![1, 3]));
    }
}

#[test]
fn sources() {
    let now = Instant::now();
    let family = &families()[0];
    let mut listeners = queried(family, now);
    let group = ip(family.group);
    let [a, b] = [ip("10.1.1.1"), ip("10.1.1.2")];
    let say = |listeners: &mut Listeners, kind, sources: &[IpAddr], now| {
        hear(listeners, 2, &frames::report(true, &[frames::record(kind, group, sources)]), now)
    };
    assert_eq!(say(&mut listeners, 3, &[], now), Effect::default(), "TO_IN of nothing is a leave");
    assert_eq!(say(&mut listeners, 6, &[a], now), Effect::default(), "BLOCK");
    assert!(say(&mut listeners, 5, &[a, b], now).changed, "ALLOW");
    assert_eq!(listeners.groups()[&group][&2].sources.len(), 2);
    let ask = |listeners: &mut Listeners, sources: &[Ipv4Addr], now| {
        hear(listeners, 1, &frames::query(family.querier, Some(group), sources, 10, 10), now);
    };
    use std::net::Ipv4Addr;
    let v4 = |address: IpAddr| if let IpAddr::V4(address) = address { address } else { Ipv4Addr::UNSPECIFIED };
    ask(&mut listeners, &[v4(a)], now);
    assert!(!listeners.expire(now + 2 * SECOND).changed, "one source is still wanted");
    assert_eq!(listeners.groups()[&group][&2].sources.keys().collect::<Vec<_>>(), [&b]);
    ask(&mut listeners, &[v4(b)], now + 2 * SECOND);
    assert!(listeners.expire(now + 4 * SECOND).changed);
    assert_eq!(listeners.memberships(), 0);
    // EXCLUDE takes any source, and keeps the timers of those listed.
    say(&mut listeners, 1, &[a, b], now);
    say(&mut listeners, 4, &[a], now);
    let membership = &listeners.groups()[&group][&2];
    assert_eq!((membership.any.is_some(), membership.sources.keys().collect::<Vec<_>>()), (true, vec![&a]));
    let many: Vec<IpAddr> = (0..=SOURCES as u8).map(|n| IpAddr::from([10, 2, 0, n])).collect();
    listeners.keep_ports(|port| port == 1);
    say(&mut listeners, 5, &many, now);
    let membership = &listeners.groups()[&group][&2];
    assert!(membership.any.is_some() && membership.sources.is_empty(), "more sources than are told apart: any");
}

#[test]
fn queries_that_change_nothing() {
    let now = Instant::now();
    let family = &families()[0];
    let mut listeners = queried(family, now);
    hear(&mut listeners, 2, &frames::old_report(2, ip(family.group)), now);
    hear(&mut listeners, 3, &frames::old_report(1, ip(family.group)), now);
    // S: routers don't lower their timers (RFC 3376 section 4.1.5).
    let mut suppressed = frames::query(family.querier, Some(ip(family.group)), &[], 10, 10);
    suppressed[24 + 8] |= 8;
    suppressed[26..28].copy_from_slice(&[0, 0]);
    let sum = millrace_wire::checksum::Sum::of(&suppressed[24..]).checksum();
    suppressed[26..28].copy_from_slice(&sum.to_be_bytes());
    hear(&mut listeners, 1, &suppressed, now);
    assert!(!listeners.expire(now + 3 * SECOND).changed);
    hear(&mut listeners, 1, &frames::query(family.querier, Some(ip(family.group)), &[], 10, 10), now + 3 * SECOND);
    listeners.expire(now + 6 * SECOND);
    assert_eq!(ports(&listeners, family.group, now + 6 * SECOND), Some(vec![1, 3]), "RFC 2236 section 5: version 1");
}

#[test]
fn groups_that_are_not_listed() {
    let now = Instant::now();
    let mut listeners = Listeners::default();
    for group in ["224.0.0.251", "ff02::1", "ff01::5", "ff10::5"] {
        assert_eq!(hear(&mut listeners, 2, &frames::old_report(2, ip(group)), now), Effect::default(), "{group}");
    }
    assert!(hear(&mut listeners, 2, &frames::old_report(2, ip("ff02::1:ff00:7")), now).changed, "solicited-node");
    assert_eq!(listeners.memberships(), 1);
}

#[test]
fn routers_that_say_hello() {
    let (mut listeners, now) = (Listeners::default(), Instant::now());
    assert!(listeners.router(4, 105 * SECOND, now));
    assert!(!listeners.router(4, 10 * SECOND, now), "it stays as long as it said first");
    assert!(listeners.expire(now + 104 * SECOND) == Effect::default() && listeners.expire(now + 105 * SECOND).changed);
    assert!(listeners.router(4, 105 * SECOND, now) && listeners.router(4, Duration::ZERO, now), "it says that it goes");
    assert_eq!(listeners.routers().count(), 0);
    let mut listeners = queried(&families()[0], now);
    assert!(!listeners.router(1, Duration::ZERO, now), "but asks");
}

#[test]
fn a_port_that_goes_takes_all_with_it() {
    let now = Instant::now();
    let family = &families()[0];
    let mut listeners = queried(family, now);
    for port in [2, 3] {
        hear(&mut listeners, port, &frames::old_report(2, ip(family.group)), now);
    }
    assert_eq!(listeners.keep_ports(|port| port != 9), Effect::default());
    assert_eq!(listeners.keep_ports(|port| port != 2), Effect { changed: true, ..Effect::default() });
    assert_eq!(ports(&listeners, family.group, now), Some(vec![1, 3]));
    assert_eq!(listeners.keep_ports(|port| port != 1), Effect { changed: true, refused: None, querier: true });
    assert_eq!(ports(&listeners, family.group, now), None, "nobody asks any more");
}

#[test]
fn limits() {
    let now = Instant::now();
    let mut listeners = Listeners::default();
    let group = |n: usize| IpAddr::from(0xef00_0000_u32.wrapping_add(n as u32).to_be_bytes());
    for n in 0..PORT_GROUPS {
        assert_eq!(hear(&mut listeners, 2, &frames::old_report(2, group(n)), now).refused, None);
    }
    assert_eq!(hear(&mut listeners, 2, &frames::old_report(2, group(PORT_GROUPS)), now).refused, Some(Refused::Port));
    assert_eq!(hear(&mut listeners, 2, &frames::old_report(2, group(5)), now).refused, None, "known ones go on");
    let others = DOMAIN_MEMBERSHIPS / PORT_GROUPS - 1;
    for (port, n) in (0..others).flat_map(|port| (0..PORT_GROUPS).map(move |n| (port, n))) {
        hear(&mut listeners, 3 + port as u32, &frames::old_report(2, group(n)), now);
    }
    assert_eq!(listeners.memberships(), DOMAIN_MEMBERSHIPS);
    let full = hear(&mut listeners, 99, &frames::old_report(2, group(0)), now);
    assert_eq!((full.refused, full.changed, listeners.refused()), (Some(Refused::Domain), false, 2));
    let message = frames::report(true, &[frames::record(4, group(1), &[]), frames::record(4, group(2), &[])]);
    let mut listeners = Listeners::default();
    let effect = listeners.heard(1, &igmp::parse(&message).unwrap().unwrap(), 1, now);
    assert_eq!((effect.refused, listeners.memberships()), (Some(Refused::All), 1), "room for one");
    listeners.expire(now + 261 * SECOND);
    assert_eq!((listeners.memberships(), listeners.ports.len()), (0, 0));
}

proptest! {
    /// Whatever is said, by whom and when: counts hold, and all of it ends when nothing comes any more.
    #[test]
    fn hostile_hosts(steps in prop::collection::vec((0..4u32, 0..6u8, 0..3u8, any::<[u8; 4]>(), 0..9u64), 1..60)) {
        let (mut listeners, mut now) = (Listeners::default(), Instant::now());
        for (port, kind, group, noise, wait) in steps {
            now += wait as u32 * SECOND;
            let group = IpAddr::from([239, 0, 0, group]);
            let sources: Vec<IpAddr> = noise.iter().map(|n| IpAddr::from([10, 0, 0, n % 8])).collect();
            let packet = match kind {
                0 => frames::query(IpAddr::from([10, 0, 0, noise[0] % 3]), None, &[], noise[1], noise[2]),
                1 => frames::query(IpAddr::from([10, 0, 0, 1]), Some(group), &[], noise[1], noise[2]),
                2 => frames::leave(group),
                3 => frames::old_report(1 + noise[0] % 2, group),
                4 => frames::report(true, &[frames::record(1 + noise[0] % 6, group, &sources)]),
                _ => frames::report(true, &[frames::record(1 + noise[0] % 6, group, &[])]),
            };
            hear(&mut listeners, port, &packet, now);
            listeners.expire(now);
            let counted: usize = listeners.groups().values().map(BTreeMap::len).sum();
            prop_assert_eq!(counted, listeners.memberships());
            prop_assert_eq!(listeners.ports.values().sum::<usize>(), counted);
            let live = |m: &Membership| m.until().is_some_and(|until| until > now);
            prop_assert!(listeners.groups().values().flat_map(BTreeMap::values).all(live));
            prop_assert!(listeners.next().is_none_or(|next| next > now));
        }
        for _ in 0..1000 {
            let Some(next) = listeners.next() else { break };
            listeners.expire(next);
        }
        prop_assert_eq!((listeners.next(), listeners.memberships(), listeners.routers().count()), (None, 0, 0));
    }
}
