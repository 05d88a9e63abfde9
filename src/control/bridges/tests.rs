use super::*;
use crate::control::bridges::wanted::{Live, Seen, wanted};
use millrace_config::{Df, Driver, Mac, Member, StationKey, Time, UdpChecksum, Vxlan};
use millrace_engine::epoch::{Participant, domain};
use millrace_tables::mac::Heard;

/// Bridges whose ports are the interfaces p1, p2, ... with these numbers.
struct Lab {
    bridges: Bridges,
    ports: Vec<(Name, Member)>,
    driver: Driver,
    down: BTreeSet<u32>,
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn vxlan() -> Vxlan {
    Vxlan {
        vni: 100,
        local: "192.0.2.1".parse().unwrap(),
        remotes: Vec::new(),
        port: Vxlan::PORT,
        learn_remotes: true,
        udp_checksum: UdpChecksum::Auto,
        ttl: 64,
        df: Df::Clear,
        underlay_vrf: Name::default_vrf(),
    }
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

impl Lab {
    fn new(ports: u32) -> Lab {
        let bridges = Bridges::new(Bridging::new(10_000).unwrap());
        let ports = (1..=ports).map(|n| (name(&format!("p{n}")), Member::new(name("br0"), false))).collect();
        let mut lab = Lab { bridges, ports, driver: Driver::Loopback, down: BTreeSet::new() };
        lab.set(Bridge::default());
        lab
    }

    fn set(&mut self, settings: Bridge) -> Vec<((u16, MacAddr), Heard)> {
        self.bridges.settings.insert(name("br0"), settings);
        self.follow()
    }

    fn follow(&mut self) -> Vec<((u16, MacAddr), Heard)> {
        let Lab { bridges, ports, driver, down } = self;
        let seen = |(at, (name, member)): (usize, &'_ (Name, Member))| (at as u32 + 1, name.clone(), member.clone());
        let ports: Vec<_> = ports.iter().enumerate().map(seen).collect();
        let seen = ports.iter().map(|(index, name, member)| Seen {
            index: *index,
            name,
            driver,
            member: Some(member),
            parent: None,
        });
        bridges.structure = Structure::of(seen, &bridges.settings);
        assert_eq!(bridges.number(), []);
        let live = |index| Live { up: !down.contains(&index), mac: mac(0xff), mtu: 1500 };
        let number = |key: &Key| bridges.numbers.get(key).copied();
        let wanted = wanted(&bridges.structure, &bridges.settings, number, live, |_, _| None);
        bridges.publish(wanted)
    }

    fn hear(&self, domain: u16, last: u8, port: u16) -> Heard {
        let (stations, station) = (self.bridges.stations(), wanted::station((domain, mac(last))));
        stations.hear(station, stations.place(station), port)
    }

    fn knows(&self, domain: u16, last: u8) -> Option<u16> {
        let (stations, station) = (self.bridges.stations(), wanted::station((domain, mac(last))));
        stations.find(station, stations.place(station)).map(|known| known.port)
    }

    /// Has the table swept, as the loop does.
    fn sweep(&mut self, worker: &mut Participant) {
        while self.bridges.sweep.state() != State::Idle {
            worker.quiescent();
            self.bridges.step();
        }
    }

    fn domain(&self, vlan: u16) -> Option<u16> {
        self.bridges.domain(&name("br0"), vlan)
    }
}

#[test]
fn a_port_that_goes_down_or_away_takes_its_stations_along() {
    let mut worker = domain().register();
    let mut lab = Lab::new(3);
    let number = lab.domain(0).unwrap();
    for port in 1..=3 {
        assert_eq!(lab.hear(number, port as u8, port), Heard::New);
    }
    lab.down.insert(1);
    lab.follow();
    assert_eq!(lab.bridges.published.domains[&number].members, [2, 3]);
    lab.sweep(&mut worker);
    assert_eq!([1, 2, 3].map(|last| lab.knows(number, last)), [None, Some(2), Some(3)]);
    lab.ports.pop();
    lab.follow();
    lab.sweep(&mut worker);
    assert_eq!([1, 2, 3].map(|last| lab.knows(number, last)), [None, Some(2), None]);
    let guard = worker.guard();
    let published = |index| lab.bridges.bridging.ports.get(index, &guard).is_some();
    assert_eq!([1, 2, 3].map(published), [true, true, false]);
}

#[test]
fn the_limit_of_a_port_goes_with_it() {
    let mut lab = Lab::new(2);
    let number = lab.domain(0).unwrap();
    lab.ports[1].1.mac_limit = Some(1);
    lab.follow();
    assert_eq!([1, 2].map(|last| lab.hear(number, last, 2)), [Heard::New, Heard::PortFull]);
    lab.ports.pop();
    lab.follow();
    assert_eq!(lab.hear(number, 2, 2), Heard::New, "who has this number next has no limit");
}

#[test]
fn other_settings_leave_stations_alone() {
    let mut worker = domain().register();
    let mut lab = Lab::new(2);
    let number = lab.domain(0).unwrap();
    assert_eq!(lab.hear(number, 1, 1), Heard::New);
    lab.ports[0].1.isolated = true;
    lab.set(Bridge { learn: false, mac_age: Time::seconds(10), ..Bridge::default() });
    lab.sweep(&mut worker);
    assert_eq!(lab.knows(number, 1), Some(1));
    let port = lab.bridges.bridging.ports.get(1, &worker.guard()).unwrap();
    assert_eq!((port.isolated, port.learn, port.domain), (true, false, number));
}

#[test]
fn limits_are_told_and_taken_back() {
    let mut lab = Lab::new(2);
    let number = lab.domain(0).unwrap();
    lab.ports[0].1.mac_limit = Some(1);
    lab.set(Bridge { mac_limit: 2, ..Bridge::default() });
    assert_eq!([1, 2].map(|last| lab.hear(number, last, 1)), [Heard::New, Heard::PortFull]);
    assert_eq!([3, 4].map(|last| lab.hear(number, last, 2)), [Heard::New, Heard::BridgeFull]);
    lab.ports[0].1.mac_limit = None;
    lab.set(Bridge::default());
    assert_eq!([lab.hear(number, 2, 1), lab.hear(number, 4, 2)], [Heard::New, Heard::New]);
}

#[test]
fn what_is_behind_a_tunnel_is_its_remotes() {
    let mut worker = domain().register();
    let mut lab = Lab::new(2);
    let number = lab.domain(0).unwrap();
    lab.driver = Driver::Vxlan(vxlan());
    lab.ports[0].1.mac_limit = Some(1);
    lab.follow();
    lab.bridges.set_remote(2000, Some(1));
    assert_eq!([1, 2].map(|last| lab.hear(number, last, 2000)), [Heard::New, Heard::PortFull]);
    assert_eq!((lab.bridges.behind(1), lab.bridges.behind(2), lab.bridges.interface_of(2000)), (1, 0, 1));
    lab.ports[0].1.mac_limit = Some(2);
    lab.follow();
    assert_eq!([2, 3].map(|last| lab.hear(number, last, 2000)), [Heard::New, Heard::PortFull]);
    assert_eq!(lab.hear(number, 7, 2), Heard::New);
    lab.down.insert(1);
    lab.follow();
    lab.sweep(&mut worker);
    assert_eq!([1, 2, 7].map(|last| lab.knows(number, last)), [None, None, Some(2)]);
    assert_eq!(lab.hear(number, 1, 2000), Heard::New);
    lab.bridges.set_remote(2000, None);
    lab.sweep(&mut worker);
    assert_eq!((lab.knows(number, 1), lab.bridges.behind(1)), (None, 0));
}

#[test]
fn another_age_holds_for_stations_that_are_there() {
    let mut worker = domain().register();
    let mut lab = Lab::new(1);
    let number = lab.domain(0).unwrap();
    lab.hear(number, 1, 1);
    let mut pass = |lab: &mut Lab, seconds| {
        lab.bridges.stations().tick(seconds);
        // As many seconds at once have all of the table looked at.
        let Bridges { sweep, bridging, .. } = &mut lab.bridges;
        sweep.tick(&bridging.stations, seconds);
        lab.sweep(&mut worker);
        lab.knows(number, 1).is_some()
    };
    assert!(pass(&mut lab, 200), "300 s by default");
    lab.set(Bridge { mac_age: Time::seconds(0), ..Bridge::default() });
    assert!(pass(&mut lab, 10_000));
    lab.set(Bridge { mac_age: Time::seconds(20_000), ..Bridge::default() });
    assert!(pass(&mut lab, 15_000));
    lab.set(Bridge { mac_age: Time::seconds(10), ..Bridge::default() });
    assert!(!pass(&mut lab, 15_001));
}

#[test]
fn vlans_have_numbers_while_they_live_and_until_they_are_forgotten() {
    let mut worker = domain().register();
    let mut lab = Lab::new(2);
    lab.ports[0].1.tagging = millrace_config::Tagging::Access(10);
    lab.follow();
    let (plain, ten) = (lab.domain(0).unwrap(), lab.domain(10).unwrap());
    assert_ne!(plain, ten);
    assert_eq!(lab.hear(ten, 1, 1), Heard::New);
    lab.ports[0].1.tagging = millrace_config::Tagging::Access(20);
    lab.follow();
    let twenty = lab.domain(20).unwrap();
    assert_eq!((lab.domain(10), lab.domain(0)), (None, Some(plain)));
    assert!(twenty != ten && lab.bridges.key(ten).is_some(), "its stations are still there");
    lab.sweep(&mut worker);
    assert_eq!((lab.knows(ten, 1), lab.bridges.key(ten)), (None, None));
    assert!(lab.bridges.bridging.domains.get(ten.into(), &worker.guard()).is_none());
    assert_eq!(lab.bridges.bridging.domains.get(twenty.into(), &worker.guard()).unwrap().vlan, 20);
    // When no worker, of other tests neither, knows them any more.
    let is_old = |vlan| {
        let most = lab.bridges.indices.high_water();
        lab.ports[0].1.tagging = millrace_config::Tagging::Access(vlan);
        lab.follow();
        lab.sweep(&mut worker);
        lab.bridges.indices.high_water() == most
    };
    assert!((30..2000).any(is_old), "numbers are used again");
}

#[test]
fn static_stations_come_go_and_make_room_for_themselves() {
    let mut worker = domain().register();
    let mut lab = Lab::new(2);
    let number = lab.domain(0).unwrap();
    let at = |interface: &str| millrace_config::Station { interface: name(interface), remote: None };
    let fixed = |interface: &str| {
        let key = StationKey { vlan: None, mac: Mac(mac(7).0) };
        Bridge { static_macs: BTreeMap::from([(key, at(interface))]), ..Bridge::default() }
    };
    assert_eq!(lab.set(fixed("p1")), []);
    assert_eq!((lab.knows(number, 7), lab.hear(number, 7, 2)), (Some(1), Heard::Fixed));
    assert_eq!(lab.set(fixed("p2")), []);
    assert_eq!((lab.knows(number, 7), lab.bridges.fixed(number)), (Some(2), 1));
    lab.down.insert(2);
    lab.follow();
    lab.sweep(&mut worker);
    assert_eq!(lab.knows(number, 7), Some(2), "it is still said");
    lab.down.clear();
    assert_eq!(lab.set(Bridge::default()), []);
    assert_eq!((lab.knows(number, 7), lab.bridges.fixed(number)), (None, 0));

    lab.ports[0].1.mac_limit = Some(1);
    lab.follow();
    assert_eq!(lab.hear(number, 1, 1), Heard::New);
    assert_eq!(lab.set(fixed("p1")), [((number, mac(7)), Heard::PortFull)]);
    lab.sweep(&mut worker);
    assert_eq!(lab.knows(number, 1), None, "what was learnt gives way");
    assert_eq!(lab.knows(number, 7), Some(1), "at once");
    assert!(lab.bridges.homeless.is_empty());

    lab.ports[0].1.mac_limit = None;
    lab.set(Bridge { mac_limit: 1, ..Bridge::default() });
    assert_eq!(lab.hear(number, 2, 2), Heard::New);
    assert_eq!(lab.set(Bridge { mac_limit: 1, ..fixed("p1") }), [((number, mac(7)), Heard::BridgeFull)]);
    lab.sweep(&mut worker);
    assert_eq!((lab.knows(number, 2), lab.knows(number, 7)), (None, Some(1)), "of the whole bridge");
}

#[test]
fn what_is_the_same_is_not_published_again() {
    let mut lab = Lab::new(2);
    let me = domain().register();
    let port = |lab: &Lab, index| std::ptr::from_ref(lab.bridges.bridging.ports.get(index, &me.guard()).unwrap());
    let before = [port(&lab, 1), port(&lab, 2)];
    lab.ports[0].1.isolated = true;
    lab.follow();
    let after = [port(&lab, 1), port(&lab, 2)];
    assert!(before[0] != after[0] && before[1] == after[1], "storm control of the other port goes on");
}
