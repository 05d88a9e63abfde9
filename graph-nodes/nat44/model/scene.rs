//! The stage: the real nodes in their graph, the model beside them, and hosts around both. Each packet goes through both, and what
//! comes out must be the same.

use super::nat::{Config, Filtering, Nat, Oracle, SECOND};
use super::packet::{End, ICMP, Ip, Kind, set_word};
use super::router::*;
use super::session::Session;
use super::stage::*;
use super::statics::Static;
use super::traffic::*;
use crate::nat44::rules::{self, Exempt, Outside, Pool, Spec};
use crate::nat44::state::Filter;
use crate::nat44::{Nat44, hairpin, in2out, inside_guard, out2in};
use crate::testing::{HOST_MAC, LAN_MAC, PEER_MAC, WAN_MAC, World};
use crate::{ethernet, ip, ip4};
use millrace_engine::Waker;
use millrace_engine::epoch::{Participant, domain};
use millrace_engine::testing::{Sent as Left, Testbed};
use millrace_tables::flow::{Key, Side, Ticks, View};
use millrace_tables::lpm::Writer;
use std::net::Ipv4Addr;

pub struct Scene {
    bed: Testbed,
    nat: Nat44,
    spec: Spec,
    /// Which of the static mappings are there.
    on: [bool; 5],
    model: Router,
    workers: usize,
    /// What left, the latest last.
    log: Vec<(u32, Ip)>,
    sent: u16,
    me: Participant,
    _world: (World, Writer<u32>),
}

/// Asks the real NAT what it chose.
struct Asked<'a> {
    nat: &'a Nat44,
    me: &'a Participant,
    /// What came out.
    left: &'a [Left],
}

impl Oracle for Asked<'_> {
    fn external_of(&mut self, protocol: u8, table: u32, inside: End) -> Option<End> {
        let rules = self.nat.rules(&self.me.guard());
        let of = |worker| self.nat.state(worker).get()?.external_of(rules, table, inside.0, inside.1, protocol);
        (0..self.nat.workers()).find_map(of).or_else(|| {
            // On its way back inside the packet made its own session make room.
            let left = self.left.first().filter(|left| left.interface != WAN)?;
            Some(Ip::new(&left.data[14..])).filter(|ip| ip.protocol() == protocol).map(|ip| ip.ends().0)
        })
    }

    fn server_of(&mut self, protocol: u8, (external, remote): (End, End)) -> Option<End> {
        let key = Key { view: View::new(remote.0, remote.1, external.0, external.1), protocol, table: 0 };
        (0..self.nat.workers()).find_map(|worker| {
            let state = self.nat.state(worker).get()?;
            let id = state.flows.find(Side::Outside, &key, state.flows.hash(&key))?;
            let view = state.flows.get(id)?.view(Side::Inside);
            Some((view.source(), view.source_port()))
        })
    }

    fn is_there(&mut self, session: &Session) -> bool {
        self.server_of(session.protocol, session.outside) == Some(session.inside.0)
    }
}

impl Scene {
    pub fn new(setting: &Setting) -> Scene {
        // What the scenes before this one have left to be freed.
        let _ = domain().collect();
        let nat = Nat44::new(setting.workers, Waker::new().unwrap()).unwrap();
        let (world, blue) = world();
        let bed = Testbed::new(graph(&world, &nat), setting.workers, &[LAN, WAN, BLUE]);
        bed.switch(ip4::input::ARC.name, out2in::NAME, WAN, true);
        bed.switch(ip::lookup::ARC4.name, in2out::NAME, WAN, true);
        for inside in [LAN, BLUE] {
            bed.switch(ip::lookup::ARC4.name, inside_guard::NAME, inside, true);
            bed.switch(ip4::local::ARC.name, hairpin::NAME, inside, true);
        }
        let pool = match setting.addresses {
            0 => vec![OUTSIDE_IP],
            n => EXTERNALS[..n].to_vec(),
        };
        let exempt = vec![(HOSTS[0].1, REMOTES[2])];
        let spec = Spec {
            inside: vec![LAN, BLUE],
            outside: vec![Outside { interface: WAN, table: 0, addresses: vec![OUTSIDE_IP] }],
            pool: if setting.addresses == 0 { Pool::Interface } else { Pool::Addresses(pool.clone()) },
            filtering: match setting.filtering {
                Filtering::EndpointIndependent => rules::Filtering::EndpointIndependent,
                Filtering::AddressDependent => rules::Filtering::AddressDependent,
                Filtering::AddressAndPortDependent => rules::Filtering::AddressAndPortDependent,
            },
            exempt: vec![Exempt { source: exempt[0].0.into(), destination: exempt[0].1.into() }],
            max_sessions: setting.max_sessions as u32,
            max_sessions_per_host: setting.max_per_host as u32,
            mss_clamp: setting.mss,
            ..Spec::default()
        };
        let model = Nat::new(Config {
            pool,
            filtering: setting.filtering,
            statics: Vec::new(),
            exempt,
            max_sessions: setting.max_sessions,
            max_per_host: setting.max_per_host,
            workers: setting.workers,
            mss: setting.mss,
        });
        let mut scene = Scene {
            bed,
            nat,
            spec,
            on: [false; 5],
            model: Router::new(model, EXTERNALS.to_vec()),
            workers: setting.workers,
            log: Vec::new(),
            sent: 0,
            me: domain().register(),
            _world: (world, blue),
        };
        scene.publish();
        scene.pass(1);
        scene
    }

    fn publish(&mut self) {
        let on: Vec<Static> = statics().into_iter().zip(self.on).filter(|(_, on)| *on).map(|(s, _)| s).collect();
        self.spec.mappings = on.iter().map(real).collect();
        self.nat.publish(&self.spec);
        let now = Ticks::from_nanos(self.bed.now);
        for worker in 0..self.workers {
            let rules = self.nat.rules(&self.me.guard());
            let mut state = self.nat.state(worker).get().unwrap();
            let mut cursor = Some(0);
            while let Some(from) = cursor {
                cursor = state.revalidate(rules, from, 3, now);
            }
        }
        self.model.nat.reconfigure(on);
    }

    /// Does one step, and looks whether both still agree.
    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Send(packet) => {
                self.packets(packet).into_iter().for_each(|(interface, ip)| self.deliver(interface, ip))
            }
            Step::Report(report) => {
                if let Some((interface, ip)) = self.error(report) {
                    self.deliver(interface, ip);
                }
            }
            Step::Pass(seconds) => self.pass(u64::from(*seconds) * SECOND),
            Step::Toggle(which) => {
                self.on[which % 5] ^= true;
                self.publish();
            }
            Step::Clear => self.clear(),
        }
        self.compare_sessions();
        self.pass(SECOND / 10);
    }

    fn clear(&mut self) {
        let now = Ticks::from_nanos(self.bed.now);
        let rules = self.nat.rules(&self.me.guard());
        for worker in 0..self.workers {
            let mut state = self.nat.state(worker).get().unwrap();
            let mut cursor = Some(0);
            while let Some(from) = cursor {
                cursor = state.clear(rules, from, 3, &Filter::default(), now).1;
            }
        }
        while !self.model.nat.sessions.is_empty() {
            self.model.nat.close(0);
        }
    }

    /// Lets time pass; a little longer if something is about to end: what the real one does once a second or so, the model
    /// does at once.
    fn pass(&mut self, nanos: u64) {
        let mut until = self.bed.now + nanos;
        while self.model.deadlines().any(|at| at.abs_diff(until) < 4 * SECOND) {
            until += SECOND;
        }
        let mut again = None;
        while self.bed.now < until {
            // From one end of something to the next, as the clock of a router would.
            // The wheel may need one more look.
            let next = self.model.deadlines().filter(|at| *at > self.bed.now).min();
            let to = next.map_or(until, |at| until.min(at + 3 * SECOND / 2)).min(again.take().unwrap_or(until));
            again = next.filter(|at| *at < to).map(|_| to + 3 * SECOND / 2);
            let sent = self.bed.pass(to - self.bed.now, 3);
            // Of what was for the router itself, it may miss some pieces.
            let misses = |left: &Left| left.data[14 + 9] == ICMP && left.data[14 + 20..][..2] == [11, 1];
            assert!(sent.iter().all(misses), "sent out of nothing: {sent:?}");
            self.model.expire(to);
        }
    }

    /// The packets that a step describes, and where they come in.
    fn packets(&mut self, packet: &Packet) -> Vec<(u32, Ip)> {
        let earlier = |n: usize, of: &dyn Fn(u32) -> bool| {
            let fit: Vec<_> = self.log.iter().rev().filter(|(i, ip)| of(*i) && ip.range().0 == 0).collect();
            fit.get(n % fit.len().max(1)).map(|(i, ip)| (*i, (*ip).clone()))
        };
        let mut answer = false;
        let (interface, from, to) = match packet.way {
            Way::Out { host, port, to, to_port } => (HOSTS[host].0, (HOSTS[host].1, port), (REMOTES[to], to_port)),
            Way::Hairpin { host, port, to, to_port } => {
                (HOSTS[host].0, (HOSTS[host].1, port), (EXTERNALS[to], to_port))
            }
            Way::HairpinTo { host, port, earlier: n } => {
                let Some((_, ip)) = earlier(n, &|i| i == WAN) else { return Vec::new() };
                let (to, _) = ip.ends();
                if !EXTERNALS.contains(&to.0) {
                    return Vec::new();
                }
                (HOSTS[host].0, (HOSTS[host].1, port), to)
            }
            Way::Back { earlier: n, from } => {
                let Some((interface, ip)) = earlier(n, &|_| true) else { return Vec::new() };
                let (to, there) = ip.ends();
                answer = ip.kind() == Kind::Request;
                let there = if ip.protocol() == ICMP { (there.0, to.1) } else { there };
                let from = match from {
                    From::There => there,
                    From::OtherPort(port) => (there.0, port),
                    From::Other(_, port) if interface != WAN => (there.0, port),
                    From::Other(other, port) => (REMOTES[other], port),
                };
                // A host answers from its own address only.
                (interface, from, to)
            }
            Way::In { from, port, to, to_port } => (WAN, (REMOTES[from], port), (EXTERNALS[to], to_port)),
            Way::Straight { from, port, host, to_port } => (WAN, (REMOTES[from], port), (HOSTS[host].1, to_port)),
        };
        let (protocol, body) = body(&packet.transport, (from.1, to.1), answer, packet.data);
        let mut ip = build(protocol, from.0, to.0, &packet.options, &body);
        self.sent += 1;
        set_word(&mut ip.bytes, 4, self.sent);
        ip.bytes[6] = if packet.dont_fragment { 0x40 } else { 0 };
        ip.bytes[8] = if packet.pieces.is_some() { 64 } else { packet.ttl };
        ip.seal();
        ip.spoil(packet.checksum);
        let whole = vec![ip];
        let ips = packet.pieces.as_ref().map_or(whole.clone(), |pieces| cut(&whole[0], pieces));
        ips.into_iter().map(|ip| (interface, ip)).collect()
    }

    /// An error about a packet that left.
    fn error(&mut self, report: &Report) -> Option<(u32, Ip)> {
        let (interface, about) = self.log.iter().rev().nth(report.about % self.log.len().max(1))?.clone();
        let mut quote = about.clone();
        // A few hops on.
        quote.count_down();
        let len = (quote.header_len() + report.quote).min(quote.bytes.len());
        if report.spoilt == 2 {
            quote.bytes[10] ^= 1;
        }
        let (kind, code) = report.kind;
        let unused = if kind == 3 && code == 4 { [0, 0, 2, 0] } else { [0; 4] };
        let body = [&[kind, code, 0, 0][..], &unused, &quote.bytes[..len]].concat();
        let router = if interface == WAN { Ipv4Addr::new(192, 0, 2, 99) } else { Ipv4Addr::new(192, 168, 1, 99) };
        let from = if report.by_receiver { about.destination() } else { router };
        let mut ip = build(ICMP, from, about.source(), &[], &body);
        self.sent += 1;
        set_word(&mut ip.bytes, 4, self.sent);
        ip.seal();
        if report.spoilt == 1 {
            ip.spoil(Checksum::Wrong(0x1234));
        }
        Some((interface, ip))
    }

    /// Sends a packet to both routers.
    fn deliver(&mut self, interface: u32, ip: Ip) {
        let to = if interface == WAN { WAN_MAC } else { LAN_MAC };
        let from = if interface == WAN { PEER_MAC } else { HOST_MAC };
        let frame = [&to.0[..], &from.0, &[8, 0], &ip.bytes].concat();
        let worker = usize::from(self.sent) % self.workers;
        // Where the packet went, for whoever looks into a failure.
        let tracing = std::env::var_os("MODEL_TRACE").is_some();
        if tracing {
            eprintln!("{} interface {interface} gets {}", self.bed.now, ip.text());
            self.bed.trace(ethernet::input::NAME, 1);
        }
        let left = self.bed.one(worker, interface, &frame);
        for hop in self.bed.traces().iter().filter(|_| tracing).flat_map(|trace| &trace.hops) {
            eprintln!("  {} -> {:?} {} {:?}", hop.node, hop.next, hop.text, hop.reason);
        }
        let mut oracle = Asked { nat: &self.nat, me: &self.me, left: &left };
        let fate = self.model.receive(interface, ip.clone(), &mut oracle);
        self.bed.punted();
        self.compare(interface, &ip, left, fate);
        self.me.quiescent();
    }

    fn compare(&mut self, interface: u32, ip: &Ip, left: Vec<Left>, fate: Fate) {
        let expected = match fate {
            Fate::Local(only) => {
                assert!(left.iter().all(|l| l.interface == only), "for the router: {ip:?}, which sent {left:?}");
                return;
            }
            Fate::Sent(sent) => sent,
        };
        let made = expected.iter().any(|sent| matches!(sent, Sent::Made(..)));
        let judged = |ip: &Ip| if made { without_id(ip) } else { ip.clone() };
        let mut wanted: Vec<(u32, Ip)> =
            expected.iter().map(|(Sent::Forwarded(to, ip) | Sent::Made(to, ip))| (*to, judged(ip))).collect();
        let mut seen: Vec<(u32, Ip)> = left
            .iter()
            .map(|left| {
                assert_eq!(left.data[..14], header_to(left.interface), "Ethernet header");
                (left.interface, judged(&Ip::new(&left.data[14..])))
            })
            .collect();
        // Of several fragments that go on at once some may have a longer way than others.
        wanted.sort_by(|a, b| a.1.bytes.cmp(&b.1.bytes));
        seen.sort_by(|a, b| a.1.bytes.cmp(&b.1.bytes));
        if seen != wanted {
            panic!(
                "interface {interface} got\n  {}\nwanted\n  {}\nsaw\n  {}\ncounted {:?}\nsessions {}",
                ip.text(),
                wanted.iter().map(|(i, ip)| format!("{i}: {}", ip.text())).collect::<Vec<_>>().join("\n  "),
                seen.iter().map(|(i, ip)| format!("{i}: {}", ip.text())).collect::<Vec<_>>().join("\n  "),
                self.bed.counts(),
                self.model.nat.sessions.iter().map(|s| format!("\n  {s:?}")).collect::<String>()
            );
        }
        self.log.extend(left.iter().map(|l| (l.interface, Ip::new(&l.data[14..]))));
    }

    /// Whether both know the same sessions, in the same states.
    fn compare_sessions(&mut self) {
        let end = |address: Ipv4Addr, port: u16| (address, port);
        let mut seen = Vec::new();
        for worker in 0..self.workers {
            let state = self.nat.state(worker).get().unwrap();
            for (_, flow) in state.flows.scan(0, usize::MAX).0 {
                let (inside, outside) = (flow.view(Side::Inside), flow.view(Side::Outside));
                seen.push((
                    flow.protocol(),
                    u32::from(flow.table()),
                    end(inside.source(), inside.source_port()),
                    end(inside.destination(), inside.destination_port()),
                    end(outside.destination(), outside.destination_port()),
                    end(outside.source(), outside.source_port()),
                    flow.state().as_str(),
                ));
            }
        }
        let of = |s: &Session| (s.protocol, s.table, s.inside.0, s.inside.1, s.outside.0, s.outside.1, s.state_text());
        let mut wanted: Vec<_> = self.model.nat.sessions.iter().map(of).collect();
        seen.sort_unstable();
        wanted.sort_unstable();
        let text = |rows: &[_]| rows.iter().map(|row| format!("\n  {row:?}")).collect::<String>();
        assert!(seen == wanted, "sessions\nwanted{}\nsaw{}", text(&wanted), text(&seen));
    }

    /// Nothing is left of what ends.
    pub fn end(mut self) {
        self.pass(8000 * SECOND);
        self.compare_sessions();
        assert!(self.model.nat.sessions.is_empty());
        assert_eq!(self.bed.held(), 0, "packets that nobody has");
        let ledger = self.bed.ledger();
        assert_eq!(ledger.received + ledger.made, ledger.sent + ledger.dropped + ledger.consumed, "{ledger:?}");
    }
}

/// The same packet, whatever identification the router gave it.
fn without_id(ip: &Ip) -> Ip {
    let mut ip = ip.clone();
    ip.change(|bytes| bytes[4..6].fill(0));
    ip
}
