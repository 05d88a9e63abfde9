use super::*;

/// The TLVs of two ports, without their reserved bytes, in a PDU.
fn pdu(actor: [u8; 15], partner: [u8; 15], len: usize) -> Vec<u8> {
    let mut pdu = [&[1, 1, 1, 20][..], &actor, &[0; 3], &[2, 20], &partner, &[0; 3], &[3, 16]].concat();
    pdu.resize(len, 0);
    pdu
}

/// The first LACPDU of a Juniper EX4300 that has heard nothing yet.
const EX4300: [u8; 15] = [0, 0x7f, 0x4c, 0x96, 0x14, 0xe5, 0xb6, 0, 0, 1, 0, 0x7f, 0, 1, 0xc7];
const EX4300_NOBODY: [u8; 15] = [0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0x46];
/// One of an H3C MSR that has come to terms with its neighbour.
const MSR: [u8; 15] = [0x80, 0, 0, 0xe0, 0xfc, 0, 0, 0, 0, 1, 0x80, 0, 0, 6, 0x3d];
const MSR_PEER: [u8; 15] = [0x80, 0, 0, 0xe0, 0xfc, 2, 3, 0, 0, 1, 0x80, 0, 0, 1, 0x0d];
/// One of Nokia's SR Linux with a Linux bond at the other end.
const SR_LINUX: [u8; 15] = [0xff, 0xff, 0x44, 0x38, 0x39, 0xbe, 0xef, 0xaa, 0, 15, 0x80, 0, 0, 1, 0x3d];
const LINUX_BOND: [u8; 15] = [0xff, 0xff, 0xaa, 0xc1, 0xab, 0x94, 0x82, 0x62, 0, 15, 0, 255, 0, 2, 0x3d];

fn port(priority: u16, system: &str, key: u16, port_priority: u16, port: u16, state: u8) -> LacpPort {
    let (system, state) = (system.parse().unwrap(), LacpState(state));
    LacpPort { system_priority: priority, system, key, port_priority, port, state }
}

#[test]
fn pdus_of_switches() {
    let none = "00:00:00:00:00:00";
    for (name, actor, partner, is, sees) in [
        (
            "EX4300",
            EX4300,
            EX4300_NOBODY,
            port(127, "4c:96:14:e5:b6:00", 1, 127, 1, 0xc7),
            port(1, none, 1, 1, 1, 0x46),
        ),
        (
            "MSR",
            MSR,
            MSR_PEER,
            port(32768, "00:e0:fc:00:00:00", 1, 32768, 6, 0x3d),
            port(32768, "00:e0:fc:02:03:00", 1, 32768, 1, 0x0d),
        ),
        (
            "SR Linux",
            SR_LINUX,
            LINUX_BOND,
            port(65535, "44:38:39:be:ef:aa", 15, 32768, 1, 0x3d),
            port(65535, "aa:c1:ab:94:82:62", 15, 255, 2, 0x3d),
        ),
    ] {
        let bytes = pdu(actor, partner, 110);
        let Ok(SlowPdu::Lacp(read)) = SlowPdu::parse(&bytes) else { panic!("{name}") };
        assert_eq!((read.actor(), read.partner(), read.max_delay()), (is, sees, 0), "{name}");
        // What is written is what they write.
        assert_eq!(Lacpdu::new(&is, &sees).as_bytes(), bytes, "{name}");
    }
}

#[test]
fn later_versions_are_understood_and_wrong_lengths_are_not() {
    let good = pdu(MSR, MSR_PEER, 110);
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        SlowPdu::parse(&bytes).err()
    };
    for (at, to) in [(1, 2), (2, 9), (19, 1), (22, 9), (42, 9), (58, 4), (60, 7), (109, 1)] {
        assert_eq!(changed(at, to), None, "byte {at}");
    }
    for (at, to) in [(3, 19), (3, 0), (23, 21), (43, 0), (43, 17), (59, 1)] {
        assert_eq!(changed(at, to), Some(SlowPduError::Malformed), "byte {at}");
    }
    assert_eq!(changed(0, 3), Some(SlowPduError::Other(3)), "OAM");
    for len in 1..Lacpdu::LEN {
        assert_eq!(SlowPdu::parse(&good[..len]), Err(SlowPduError::Short), "{len} bytes");
    }
    assert_eq!(SlowPdu::parse(&[]), Err(SlowPduError::Short));
    let longer = pdu(MSR, MSR_PEER, 400);
    assert!(matches!(SlowPdu::parse(&longer), Ok(SlowPdu::Lacp(_))), "version 2 has more TLVs behind");
}

#[test]
fn markers() {
    const { assert!(Lacpdu::LEN == 110 && Marker::LEN == 110) };
    let question = Marker::new(MacAddr([2, 0, 0, 0, 0, 9]), 7, 0x0102_0304);
    let head = [2, 1, 1, 16, 0, 7, 2, 0, 0, 0, 0, 9, 1, 2, 3, 4, 0, 0, 0, 0];
    assert_eq!(&question.as_bytes()[..20], head);
    assert!(question.as_bytes()[20..].iter().all(|byte| *byte == 0));
    assert_eq!(SlowPdu::parse(question.as_bytes()), Ok(SlowPdu::Marker(&question)));
    let answer = question.response();
    assert_eq!(SlowPdu::parse(answer.as_bytes()), Ok(SlowPdu::MarkerResponse(&answer)));
    assert_eq!((answer.port(), answer.system, answer.transaction()), (7, question.system, 0x0102_0304));
    for (at, to) in [(2, 0), (2, 3), (3, 15)] {
        let mut bytes = question.as_bytes().to_vec();
        bytes[at] = to;
        assert_eq!(SlowPdu::parse(&bytes), Err(SlowPduError::Malformed), "byte {at}");
    }
    assert_eq!(SlowPdu::parse(&question.as_bytes()[..109]), Err(SlowPduError::Short));
}

#[test]
fn bits() {
    let mut state = LacpState::ACTIVITY.with(LacpState::AGGREGATION);
    assert_eq!((state.0, state.has(LacpState::ACTIVITY), state.has(LacpState::TIMEOUT)), (5, true, false));
    state.set(LacpState::EXPIRED, true);
    state.set(LacpState::ACTIVITY, false);
    assert_eq!(state.0, 0x84);
    let all = LacpState::NAMES.iter().fold(0, |all, (bit, _)| all ^ bit.0);
    assert_eq!(all, 0xff);
}
