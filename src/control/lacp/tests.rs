//! The machines against the standard's figures and tables, and what the bond makes of all ports together.

mod selection;

use super::*;
use millrace_wire::lacp::{LacpPort, LacpState};
use std::sync::LazyLock;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn at(milliseconds: u64) -> Instant {
    *START + Duration::from_millis(milliseconds)
}

const OURS: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const SWITCH: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xa]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xb]);
const SETTINGS: Settings = Settings { system: OURS, key: 7, fast: false, min_links: 1 };

/// Activity and aggregation.
const READY: u8 = 5;
/// And synchronization, and collecting.
const IN_SYNC: u8 = READY | 8;
const TAKES: u8 = IN_SYNC | 16;

/// A bond with ports 1 to `ports`, whose links came up at 0.
fn bond(settings: Settings, ports: u16) -> Aggregator {
    let mut bond = Aggregator::new(settings);
    for port in 1..=ports {
        assert_eq!(bond.add(port, at(0)), [], "nothing is said on a link that is down");
        let hello = bond.set_enabled(port, true, at(0));
        assert_eq!(hello.len(), 1, "who is there is told at once");
    }
    bond
}

/// A port of the switch's, connected to ours with the same number.
fn switch(port: u16, state: u8) -> LacpPort {
    LacpPort { system_priority: 1, system: SWITCH, key: 3, port_priority: 9, port: 100 + port, state: LacpState(state) }
}

/// What the switch says that sees our port as it is.
fn says(bond: &Aggregator, port: u16, state: u8) -> Lacpdu {
    Lacpdu::new(&switch(port, state), bond.port(port).unwrap().actor())
}

/// The switch says that, and sees us as we are.
fn hear(bond: &mut Aggregator, port: u16, state: u8, now: Instant) -> Vec<Send> {
    let pdu = says(bond, port, state);
    bond.received(port, &pdu, now)
}

/// A bond of two ports that carry frames since 2 seconds.
fn running(settings: Settings) -> Aggregator {
    let mut bond = bond(settings, 2);
    for port in [1, 2] {
        let _ = hear(&mut bond, port, READY, at(0));
    }
    let _ = bond.run(at(2000));
    for port in [1, 2] {
        let _ = hear(&mut bond, port, TAKES, at(2000));
    }
    assert_eq!(muxes(&bond), [Mux::Distributing; 2]);
    bond
}

fn muxes(bond: &Aggregator) -> Vec<Mux> {
    bond.ports().map(Port::mux).collect()
}

fn state(bond: &Aggregator, port: u16) -> u8 {
    bond.port(port).unwrap().actor().state.0
}

/// Clause 6.4.12, figure 6-18.
#[test]
fn receive_machine() {
    let mut bond = Aggregator::new(SETTINGS);
    let _ = bond.add(1, at(0));
    let seen = |bond: &Aggregator| {
        let port = bond.port(1).unwrap();
        (port.receive(), state(bond, 1), port.partner().state.0, port.is_selected())
    };
    // BEGIN: INITIALIZE, PORT_DISABLED.
    assert_eq!(seen(&bond), (Receive::PortDisabled, 0x45, 0, false), "defaulted");
    let _ = hear(&mut bond, 1, IN_SYNC, at(0));
    assert_eq!(seen(&bond), (Receive::PortDisabled, 0x45, 0, false), "nobody speaks on a link that is down");
    // port_enabled: EXPIRED; the partner is believed to want to be told every second.
    let _ = bond.set_enabled(1, true, at(0));
    assert_eq!(seen(&bond), (Receive::Expired, 0xc5, 2, false));
    // current_while_timer (Short_Timeout_Time): DEFAULTED.
    let _ = bond.run(at(2999));
    assert_eq!(seen(&bond).0, Receive::Expired);
    let _ = bond.run(at(3000));
    assert_eq!(seen(&bond), (Receive::Defaulted, 0x45, 0, false));
    // A LACPDU: CURRENT. The partner is in sync, as it says so and means us.
    let _ = hear(&mut bond, 1, IN_SYNC, at(4000));
    assert_eq!(seen(&bond), (Receive::Current, 0x05, IN_SYNC, true));
    // current_while_timer (Long_Timeout_Time): EXPIRED, and the partner is not in sync.
    let _ = bond.run(at(93_999));
    assert_eq!(seen(&bond).0, Receive::Current);
    let _ = bond.run(at(94_000));
    assert_eq!(seen(&bond).0, Receive::Expired);
    assert_eq!(seen(&bond).2, READY | 2);
    assert!(seen(&bond).3, "who speaks again is still selected");
    let _ = hear(&mut bond, 1, IN_SYNC, at(95_000));
    assert_eq!((seen(&bond).0, seen(&bond).2, seen(&bond).3), (Receive::Current, IN_SYNC, true));
    // The link goes: PORT_DISABLED. Who was there is remembered.
    let _ = bond.set_enabled(1, false, at(96_000));
    assert_eq!((seen(&bond).0, seen(&bond).2, seen(&bond).3), (Receive::PortDisabled, READY, true));
    assert_eq!(bond.port(1).unwrap().partner().system, SWITCH);
    // And comes: EXPIRED; nobody is there: DEFAULTED, not selected.
    let _ = bond.set_enabled(1, true, at(97_000));
    let _ = bond.run(at(100_000));
    assert_eq!(seen(&bond), (Receive::Defaulted, 0x45, 0, false));
}

/// Who asks to be told often is told off soon.
#[test]
fn a_fast_bond_forgets_after_three_seconds() {
    let mut bond = running(Settings { fast: true, ..SETTINGS });
    assert_eq!(state(&bond, 1), 0x3f);
    let _ = bond.run(at(4999));
    assert_eq!(muxes(&bond), [Mux::Distributing; 2]);
    let _ = hear(&mut bond, 2, TAKES, at(4999));
    let _ = bond.run(at(5000));
    assert_eq!(muxes(&bond), [Mux::Attached, Mux::Distributing], "at once, when the partner is not current");
    let _ = bond.run(at(7999));
    assert_eq!(bond.port(1).unwrap().receive(), Receive::Expired);
    let _ = hear(&mut bond, 2, TAKES, at(7999));
    let _ = bond.run(at(8000));
    assert_eq!((muxes(&bond)[0], bond.port(1).unwrap().receive()), (Mux::Detached, Receive::Defaulted));
}

/// recordPDU: when the partner counts as being in sync.
#[test]
fn whether_the_partner_is_in_sync() {
    let ours = *bond(SETTINGS, 1).port(1).unwrap().actor();
    let none = LacpPort::default();
    let as_is = |change: fn(&mut LacpPort)| {
        let mut port = ours;
        change(&mut port);
        port
    };
    for (name, says, sees, in_sync) in [
        ("it says so and means us", IN_SYNC, ours, true),
        ("it doesn't say so", READY, ours, false),
        ("it means another system", IN_SYNC, as_is(|p| p.system = OTHER), false),
        ("another priority", IN_SYNC, as_is(|p| p.system_priority = 1), false),
        ("another key", IN_SYNC, as_is(|p| p.key = 1), false),
        ("another port", IN_SYNC, as_is(|p| p.port = 9), false),
        ("another port's priority", IN_SYNC, as_is(|p| p.port_priority = 1), false),
        ("it believes that we don't aggregate", IN_SYNC, as_is(|p| p.state = LacpState(1)), false),
        ("it knows nobody", IN_SYNC, none, false),
        ("it aggregates nothing, whoever we are", IN_SYNC & !4, none, true),
        ("it is passive and knows that we are not", IN_SYNC & !1, ours, true),
        ("it is passive and doesn't know", IN_SYNC & !1, as_is(|p| p.state = LacpState(4)), false),
    ] {
        let mut bond = bond(SETTINGS, 1);
        let _ = bond.received(1, &Lacpdu::new(&switch(1, says), &sees), at(0));
        let partner = bond.port(1).unwrap().partner();
        assert_eq!(partner.state.has(LacpState::SYNCHRONIZATION), in_sync, "{name}");
        assert_eq!((partner.system, partner.key, partner.port), (SWITCH, 3, 101), "{name}");
    }
}

/// update_Selected: another partner has to join anew.
#[test]
fn another_partner_is_detached_first() {
    type Change = fn(&mut LacpPort);
    let changes: [(&str, Change, Mux); 8] = [
        ("the same", |_| {}, Mux::Distributing),
        ("another port of the same system", |p| p.port += 1, Mux::Waiting),
        ("its priority", |p| p.port_priority += 1, Mux::Waiting),
        // Those are another group, and the other port is left.
        ("another system", |p| p.system = OTHER, Mux::Detached),
        ("its priority", |p| p.system_priority += 1, Mux::Detached),
        ("its key", |p| p.key += 1, Mux::Detached),
        ("for itself", |p| p.state.set(LacpState::AGGREGATION, false), Mux::Detached),
        ("back to ourselves", |p| p.system = OURS, Mux::Detached),
    ];
    for (name, change, mux) in changes {
        let mut bond = running(SETTINGS);
        let mut partner = switch(1, TAKES);
        change(&mut partner);
        let pdu = Lacpdu::new(&partner, bond.port(1).unwrap().actor());
        let _ = bond.received(1, &pdu, at(3000));
        assert_eq!(muxes(&bond), [mux, Mux::Distributing], "{name}");
    }
}

/// Clause 6.4.13, figure 6-19, and clause 6.4.16.
#[test]
fn periodic_and_transmit_machines() {
    let mut bond = bond(SETTINGS, 1);
    let sent = |bond: &mut Aggregator, from: u64, to: u64| -> Vec<u64> {
        (from..=to).step_by(100).filter(|now| !bond.run(at(*now)).is_empty()).collect()
    };
    // Nobody is known: every second until that is sure, then every 30 seconds.
    assert_eq!(sent(&mut bond, 0, 3500), [1000, 2000, 3000]);
    assert_eq!(sent(&mut bond, 3600, 70_000), [33_000, 63_000]);
    // A partner that wants it: every second, the first at once.
    let pdu = says(&bond, 1, READY | 2);
    assert_eq!(bond.received(1, &pdu, at(70_000)).len(), 1);
    assert_eq!(sent(&mut bond, 70_100, 71_500), [71_000]);
    // The port joins at 72,000, and tells that besides.
    assert_eq!(sent(&mut bond, 71_600, 74_500), [72_000, 73_000, 74_000]);
    // One that doesn't any more: every 30 seconds from now on.
    assert_eq!(hear(&mut bond, 1, IN_SYNC, at(74_500)).len(), 1, "collecting, and tells so");
    assert_eq!(sent(&mut bond, 74_600, 105_000), [104_500]);
    // It has an outdated idea of us: told at once (update_NTT), but three times a second at most.
    let outdated = Lacpdu::new(&switch(1, IN_SYNC), &LacpPort::default());
    let told = |bond: &mut Aggregator, now: u64| bond.received(1, &outdated, at(now)).len();
    assert_eq!([106_000, 106_100, 106_200, 106_300, 106_400].map(|now| told(&mut bond, now)), [1, 1, 1, 0, 0]);
    assert_eq!(bond.next(), Some(at(107_000)));
    assert_eq!(sent(&mut bond, 106_500, 108_000), [107_000]);
    // A link that is down: nothing (NO_PERIODIC).
    assert_eq!(bond.set_enabled(1, false, at(108_000)), []);
    assert_eq!(sent(&mut bond, 108_000, 200_000), [0; 0]);
    assert_eq!(bond.next(), None);
}

/// update_NTT: what of us the partner has to have right.
#[test]
fn who_has_an_outdated_idea_of_us_is_told() {
    for (name, bits, told) in [
        ("all is right", 0, 0),
        ("activity", 1, 1),
        ("timeout", 2, 1),
        ("aggregation", 4, 1),
        ("synchronization", 8, 1),
        ("collecting, distributing, defaulted and expired say nothing", 0xf0, 0),
    ] {
        let mut bond = running(SETTINGS);
        let _ = bond.run(at(10_000));
        let mut sees = *bond.port(1).unwrap().actor();
        sees.state.0 ^= bits;
        // Without aggregation it would not mean us, and so not be in sync: that is told besides.
        let sends = bond.received(1, &Lacpdu::new(&switch(1, TAKES), &sees), at(10_000));
        assert_eq!(sends.len(), told, "{name}");
    }
}

/// Clause 6.4.15, figure 6-21.
#[test]
fn mux_machine() {
    let mut bond = bond(SETTINGS, 1);
    assert_eq!((muxes(&bond), state(&bond, 1) & 0x38), (vec![Mux::Detached], 0));
    let _ = hear(&mut bond, 1, READY, at(0));
    assert_eq!((muxes(&bond), state(&bond, 1) & 0x38), (vec![Mux::Waiting], 0));
    assert_eq!(bond.next(), Some(at(2000)));
    let _ = bond.run(at(1999));
    assert_eq!(muxes(&bond), [Mux::Waiting]);
    let sends = bond.run(at(2000));
    assert_eq!((muxes(&bond), state(&bond, 1) & 0x38), (vec![Mux::Attached], 8));
    assert_eq!(sends[0].pdu.actor().state.0, 0x0d, "which is told");
    let sends = hear(&mut bond, 1, IN_SYNC, at(2100));
    assert_eq!((muxes(&bond), state(&bond, 1) & 0x38), (vec![Mux::Collecting], 0x18));
    assert_eq!(sends[0].pdu.actor().state.0, 0x1d);
    let _ = hear(&mut bond, 1, TAKES, at(2200));
    assert_eq!((muxes(&bond), state(&bond, 1) & 0x38), (vec![Mux::Distributing], 0x38));
    // The partner stops taking frames: none are sent.
    let _ = hear(&mut bond, 1, IN_SYNC, at(5000));
    assert_eq!((muxes(&bond), state(&bond, 1) & 0x38), (vec![Mux::Collecting], 0x18));
    let _ = hear(&mut bond, 1, TAKES, at(6000));
    // It leaves the aggregate: neither way.
    let sends = hear(&mut bond, 1, READY, at(8000));
    assert_eq!((muxes(&bond), state(&bond, 1) & 0x38), (vec![Mux::Attached], 8));
    assert_eq!(sends.len(), 1);
    let _ = hear(&mut bond, 1, TAKES, at(9000));
    assert_eq!(muxes(&bond), [Mux::Distributing]);
    // The link goes: at once, and it is back as soon as the partner says so.
    let _ = bond.set_enabled(1, false, at(10_000));
    assert_eq!((muxes(&bond), state(&bond, 1) & 0x38), (vec![Mux::Attached], 8));
    let _ = bond.set_enabled(1, true, at(11_000));
    assert_eq!(muxes(&bond), [Mux::Attached]);
    let _ = hear(&mut bond, 1, TAKES, at(11_001));
    assert_eq!(muxes(&bond), [Mux::Distributing]);
}

/// Clause 6.4.15: Ready, when all have waited.
#[test]
fn ports_join_together() {
    let mut bond = bond(SETTINGS, 3);
    for (port, now) in [(1, 0), (2, 500), (3, 1900)] {
        let _ = hear(&mut bond, port, TAKES, at(now));
    }
    for now in [2000, 2500, 3899] {
        let _ = bond.run(at(now));
        assert_eq!(muxes(&bond), [Mux::Waiting; 3], "at {now}");
    }
    assert_eq!(bond.next(), Some(at(3900)));
    let _ = bond.run(at(3900));
    assert_eq!(muxes(&bond), [Mux::Distributing; 3]);
    // One that comes later waits for itself, and disturbs nobody.
    let _ = bond.add(4, at(5000));
    let _ = bond.set_enabled(4, true, at(5000));
    let _ = hear(&mut bond, 4, TAKES, at(5000));
    assert_eq!(muxes(&bond)[..3], [Mux::Distributing; 3]);
    let _ = bond.run(at(7000));
    assert_eq!(muxes(&bond), [Mux::Distributing; 4]);
}

/// Clause 6.4.17.
#[test]
fn churn_machines() {
    let mut bond = bond(SETTINGS, 1);
    let churn = |bond: &Aggregator| bond.port(1).unwrap().churn();
    let _ = bond.run(at(59_999));
    assert_eq!(churn(&bond), (Churn::Monitor, Churn::Monitor));
    let _ = bond.run(at(60_000));
    assert_eq!(churn(&bond), (Churn::Churned, Churn::Churned));
    let _ = hear(&mut bond, 1, IN_SYNC, at(61_000));
    assert_eq!(churn(&bond), (Churn::Churned, Churn::None));
    let _ = bond.run(at(63_000));
    assert_eq!(churn(&bond), (Churn::None, Churn::None));
    let _ = hear(&mut bond, 1, READY, at(64_000));
    assert_eq!(churn(&bond), (Churn::None, Churn::Monitor));
    let _ = hear(&mut bond, 1, READY, at(100_000));
    let _ = bond.run(at(123_999));
    assert_eq!(churn(&bond), (Churn::None, Churn::Monitor));
    let _ = bond.run(at(124_000));
    assert_eq!(churn(&bond), (Churn::None, Churn::Churned));
    // On a link that is down there is nothing to come to terms about.
    let _ = bond.set_enabled(1, false, at(125_000));
    assert_eq!(churn(&bond), (Churn::Monitor, Churn::Monitor));
    assert_eq!(bond.next(), None);
}

#[test]
fn members_come_and_go_without_the_others() {
    let mut bond = running(SETTINGS);
    let sends = bond.remove(1, at(3000));
    let (said, port) = (sends[0].pdu.actor(), sends[0].port);
    assert_eq!((port, said.port, said.state.0, sends.len()), (1, 1, READY, 1), "it carries nothing any more");
    assert_eq!(muxes(&bond), [Mux::Distributing]);
    assert_eq!(bond.remove(1, at(3000)), []);
    // Before it is switched off, the same is said of it.
    let said = bond.good_bye(2).unwrap();
    assert_eq!((said.port, said.pdu.actor().state.0, bond.good_bye(1)), (2, READY, None));
    assert_eq!(muxes(&bond), [Mux::Distributing]);
    // The same again is the same.
    assert_eq!(bond.add(2, at(3000)), []);
    assert_eq!(muxes(&bond), [Mux::Distributing]);
    assert_eq!(bond.set(SETTINGS, at(3000)), []);
    // Another rate is told, and nothing else changes.
    let sends = bond.set(Settings { fast: true, ..SETTINGS }, at(3000));
    assert_eq!((sends[0].pdu.actor().state.0, muxes(&bond)), (0x3f, vec![Mux::Distributing]));
    // Another name ends it.
    let _ = bond.set(Settings { system: OTHER, ..SETTINGS }, at(4000));
    assert_eq!(muxes(&bond), [Mux::Waiting]);
}
