//! Which of several partners a bond is aggregated with.

use super::*;

#[test]
fn another_system_is_not_aggregated() {
    let mut bond = bond(SETTINGS, 3);
    let other = LacpPort { system: OTHER, ..switch(1, TAKES) };
    let _ = bond.received(1, &Lacpdu::new(&other, bond.port(1).unwrap().actor()), at(0));
    assert_eq!(bond.group().unwrap().system, OTHER, "the first one");
    for port in [2, 3] {
        let _ = hear(&mut bond, port, TAKES, at(0));
    }
    let _ = bond.run(at(2000));
    assert_eq!(bond.group().unwrap().system, OTHER, "who is there stays");
    assert_eq!(muxes(&bond), [Mux::Distributing, Mux::Detached, Mux::Detached]);
    // It goes: the others are the aggregate.
    let _ = bond.set_enabled(1, false, at(3000));
    assert_eq!(bond.group().unwrap().system, SWITCH);
    let _ = bond.run(at(5000));
    assert_eq!(muxes(&bond), [Mux::Detached, Mux::Distributing, Mux::Distributing]);
    // And doesn't come back.
    let _ = bond.set_enabled(1, true, at(6000));
    let _ = bond.received(1, &Lacpdu::new(&other, bond.port(1).unwrap().actor()), at(6000));
    let _ = bond.run(at(8000));
    assert_eq!(muxes(&bond), [Mux::Detached, Mux::Distributing, Mux::Distributing]);
    // With as many links as are wanted before one with less.
    let _ = bond.set_enabled(2, false, at(9000));
    assert_eq!(bond.group().unwrap().system, SWITCH);
    let mut two = Aggregator::new(Settings { min_links: 2, ..SETTINGS });
    for port in 1..=3 {
        let _ = two.add(port, at(0));
        let _ = two.set_enabled(port, true, at(0));
    }
    let _ = two.received(1, &Lacpdu::new(&other, two.port(1).unwrap().actor()), at(0));
    let _ = hear(&mut two, 2, TAKES, at(0));
    assert_eq!(two.group().unwrap().system, OTHER);
    let _ = two.set_enabled(1, false, at(1000));
    assert_eq!(two.group().unwrap().system, SWITCH, "too few links are better than none");
    let _ = two.set_enabled(1, true, at(2000));
    let _ = hear(&mut two, 3, TAKES, at(0));
    assert_eq!(two.group().unwrap().system, SWITCH);
}

#[test]
fn links_that_the_partner_wants_for_themselves() {
    let mut bond = bond(SETTINGS, 2);
    for port in [1, 2] {
        let _ = hear(&mut bond, port, TAKES & !4, at(0));
    }
    let _ = bond.run(at(2000));
    assert_eq!(muxes(&bond), [Mux::Distributing, Mux::Detached], "one of them");
}

#[test]
fn a_cable_plugged_over_is_forgotten_where_it_was() {
    let mut bond = running(SETTINGS);
    let _ = bond.set_enabled(1, false, at(3000));
    assert_eq!(bond.port(1).unwrap().partner().system, SWITCH);
    // Port 101 of the switch is heard on port 2 now.
    let _ = bond.received(2, &Lacpdu::new(&switch(1, READY), bond.port(2).unwrap().actor()), at(4000));
    assert_eq!(bond.port(1).unwrap().partner().system, MacAddr::ZERO);
    assert_eq!(bond.port(2).unwrap().partner().port, 101);
}

#[test]
fn a_cable_back_to_ourselves_carries_nothing() {
    let mut bond = bond(SETTINGS, 1);
    let ours = LacpPort { system: OURS, ..switch(1, TAKES) };
    let _ = bond.received(1, &Lacpdu::new(&ours, bond.port(1).unwrap().actor()), at(0));
    let _ = bond.run(at(2000));
    assert_eq!((muxes(&bond), bond.group()), (vec![Mux::Detached], None));
}
