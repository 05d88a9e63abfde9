use super::Side::{Inside, Outside};
use super::State::{TcpClosing, TcpEstablished, TcpOpening, TcpReset, TcpTimeWait};
use super::*;
use proptest::prelude::*;

const NONE: u8 = 0;
const SYN: u8 = TcpFlags::SYN.0;
const ACK: u8 = TcpFlags::ACK.0;
const FIN: u8 = TcpFlags::FIN.0 | ACK;
const RST: u8 = TcpFlags::RST.0;

/// Where the inside's numbers begin, close to where they wrap, and the outside's.
const X: u32 = u32::MAX - 10;
const Y: u32 = 5000;

/// A segment from a side: flags, how far its number is from the side's first one, and how far its acknowledgment is from the other's.
fn segment(side: Side, flags: u8, sequence: u32, acknowledgment: u32) -> TcpSegment {
    let (own, other) = if side == Inside { (X, Y) } else { (Y, X) };
    TcpSegment {
        flags: TcpFlags(flags),
        sequence: own.wrapping_add(sequence),
        acknowledgment: if flags & ACK == 0 { 0 } else { other.wrapping_add(acknowledgment) },
        window: 1000,
        scale: (flags & SYN != 0).then_some(0),
    }
}

struct Connection(Tracking, State);

impl Connection {
    fn new() -> Connection {
        Connection(Tracking::default(), TcpOpening)
    }

    fn track(&mut self, side: Side, segment: &TcpSegment) -> State {
        self.1 = self.0.track(self.1, side, segment);
        self.1
    }
}

type Step = (Side, u8, u32, u32);

/// The three-way handshake, from inside.
const OPEN: [Step; 3] = [(Inside, SYN, 0, 0), (Outside, SYN | ACK, 0, 1), (Inside, ACK, 1, 1)];
/// Both ends have sent 100 bytes, and have heard of it.
const DATA: [Step; 3] = [(Inside, ACK, 1, 1), (Outside, ACK, 1, 101), (Inside, ACK, 101, 101)];

fn after(steps: &[&[Step]]) -> Connection {
    let mut connection = Connection::new();
    for (side, flags, sequence, acknowledgment) in steps.concat() {
        connection.track(side, &segment(side, flags, sequence, acknowledgment));
    }
    connection
}

/// What happened, and then segment by segment what the state is.
type Row<'a> = (&'a str, &'a [&'a [Step]], &'a [(Side, u8, u32, u32, State)]);

#[test]
fn what_segments_make_of_a_flow() {
    let fin_inside: &[Step] = &[(Inside, FIN, 101, 101)];
    let fins: &[Step] = &[(Inside, FIN, 101, 101), (Outside, FIN, 101, 102)];
    let reset_inside: &[Step] = &[(Inside, RST, 101, 0)];
    let table: &[Row] = &[
        (
            "RFC 5382 section 5: the handshake",
            &[],
            &[
                (Inside, SYN, 0, 0, TcpOpening),
                (Outside, SYN | ACK, 0, 1, TcpOpening),
                (Inside, ACK, 1, 1, TcpEstablished),
                (Inside, ACK, 1, 1, TcpEstablished),
                (Outside, ACK, 1, 101, TcpEstablished),
            ],
        ),
        (
            "RFC 5382 REQ-1: it may begin outside",
            &[],
            &[
                (Outside, SYN, 0, 0, TcpOpening),
                (Inside, SYN | ACK, 0, 1, TcpOpening),
                (Outside, ACK, 1, 1, TcpEstablished),
            ],
        ),
        (
            "RFC 5382 REQ-2: simultaneous open",
            &[],
            &[
                (Inside, SYN, 0, 0, TcpOpening),
                (Outside, SYN, 0, 0, TcpOpening),
                (Inside, SYN | ACK, 0, 1, TcpOpening),
                (Outside, SYN | ACK, 0, 1, TcpEstablished),
            ],
        ),
        (
            "segments are repeated",
            &[],
            &[
                (Inside, SYN, 0, 0, TcpOpening),
                (Inside, SYN, 0, 0, TcpOpening),
                (Outside, SYN | ACK, 0, 1, TcpOpening),
                (Outside, SYN | ACK, 0, 1, TcpOpening),
                (Inside, ACK, 1, 1, TcpEstablished),
                (Outside, SYN | ACK, 0, 1, TcpEstablished),
                (Inside, ACK, 1, 1, TcpEstablished),
            ],
        ),
        (
            "an attempt with another number starts anew",
            &[&OPEN[..2]],
            &[
                (Inside, SYN, 7, 0, TcpOpening),
                (Inside, ACK, 8, 1, TcpOpening),
                (Outside, SYN | ACK, 0, 8, TcpEstablished),
            ],
        ),
        (
            "RFC 7413: data in the SYN",
            &[],
            &[
                (Inside, SYN, 0, 0, TcpOpening),
                (Outside, SYN | ACK, 0, 1401, TcpOpening),
                (Inside, ACK, 1401, 1, TcpEstablished),
            ],
        ),
        (
            "RFC 5961: who doesn't know the numbers establishes nothing",
            &[&OPEN[..2]],
            &[
                (Inside, ACK, 1, 0, TcpOpening),
                (Inside, ACK, 1, 0x1_0001, TcpOpening),
                (Inside, ACK, 1, 0x8000_0000, TcpOpening),
                (Inside, ACK, 1, 0x1_0000, TcpEstablished),
            ],
        ),
        (
            "picked up on its way: it takes both ends",
            &[],
            &[
                (Inside, ACK, 700, 900, TcpOpening),
                (Inside, ACK, 800, 900, TcpOpening),
                (Outside, ACK, 900, 800, TcpEstablished),
            ],
        ),
        (
            "RFC 6146 section 3.5.2.2, V6 FIN RCV and V4 FIN RCV: half closed",
            &[&OPEN, &DATA],
            &[
                (Inside, FIN, 101, 101, TcpClosing),
                (Outside, ACK, 101, 102, TcpClosing),
                (Outside, ACK, 1101, 102, TcpClosing),
                (Inside, ACK, 102, 1101, TcpClosing),
                (Inside, FIN, 101, 1101, TcpClosing),
                (Outside, FIN, 1101, 102, TcpTimeWait),
            ],
        ),
        (
            "RFC 6146 section 3.5.2.2, V4 FIN + V6 FIN RCV: the last acknowledgment, and what is late",
            &[&OPEN, &DATA, fins],
            &[
                (Inside, ACK, 102, 102, TcpTimeWait),
                (Outside, ACK, 50, 102, TcpTimeWait),
                (Inside, FIN, 101, 101, TcpTimeWait),
                (Inside, RST, 102, 0, TcpTimeWait),
                (Outside, SYN | ACK, 0, 1, TcpTimeWait),
            ],
        ),
        (
            "RFC 9293 section 3.6.1: a new connection in time-wait",
            &[&OPEN, &DATA, fins],
            &[
                (Inside, SYN, 70_000, 0, TcpOpening),
                (Outside, SYN | ACK, 90_000, 70_001, TcpOpening),
                (Inside, ACK, 70_001, 90_001, TcpEstablished),
            ],
        ),
        (
            "from the other end",
            &[&OPEN, &DATA, fins],
            &[
                (Outside, SYN, 70_000, 0, TcpOpening),
                (Inside, SYN | ACK, 90_000, 70_001, TcpOpening),
                (Outside, ACK, 70_001, 90_001, TcpEstablished),
            ],
        ),
        (
            "RFC 5961 section 4.2: a SYN in a connection changes nothing",
            &[&OPEN, &DATA],
            &[
                (Inside, SYN, 5, 0, TcpEstablished),
                (Outside, SYN, 0x4000_0000, 0, TcpEstablished),
                (Outside, SYN | ACK, 101, 101, TcpEstablished),
                (Outside, ACK, 101, 101, TcpEstablished),
            ],
        ),
        (
            "RFC 7857 section 2.2, RFC 6146 section 3.5.2.2: a reset, and the new connection after it",
            &[&OPEN, &DATA],
            &[
                (Inside, RST, 101, 0, TcpReset),
                (Inside, RST | ACK, 101, 101, TcpReset),
                (Inside, SYN, 70_000, 0, TcpOpening),
            ],
        ),
        ("a reset with an acknowledgment", &[&OPEN, &DATA], &[(Outside, RST | ACK, 101, 101, TcpReset)]),
        (
            "RFC 6146 section 3.5.2.2, TRANS: the end that seemed to reset goes on",
            &[&OPEN, &DATA, reset_inside],
            &[
                (Outside, ACK, 101, 101, TcpReset),
                (Outside, ACK, 1101, 101, TcpReset),
                (Inside, ACK, 101, 1101, TcpEstablished),
            ],
        ),
        (
            "and then the other one resets",
            &[&OPEN, &DATA, reset_inside, &[(Inside, ACK, 101, 101)]],
            &[
                (Outside, RST, 101, 0, TcpReset),
                (Inside, ACK, 101, 101, TcpReset),
                (Outside, ACK, 101, 101, TcpEstablished),
            ],
        ),
        (
            "what was on its way when its receiver reset leaves it so",
            &[&OPEN, &DATA, reset_inside],
            &[(Outside, ACK, 101, 101, TcpReset), (Outside, FIN, 201, 101, TcpReset), (Inside, RST, 101, 0, TcpReset)],
        ),
        (
            "half closed, it goes on half closed",
            &[&OPEN, &DATA, fin_inside, &[(Outside, RST, 101, 0)]],
            &[(Inside, ACK, 102, 101, TcpReset), (Outside, ACK, 101, 102, TcpClosing)],
        ),
        (
            "an acknowledgment from long ago doesn't show that it goes on",
            &[&OPEN, &DATA, reset_inside],
            &[(Inside, ACK, 1, 1, TcpReset), (Inside, ACK, 101, 0x4000_0065, TcpReset)],
        ),
        (
            "RFC 5961 section 3.2: a reset out of the window counts for nothing",
            &[&OPEN, &DATA],
            &[
                (Outside, RST, 100, 0, TcpEstablished),
                (Outside, RST, 1102, 0, TcpEstablished),
                (Outside, RST, 0x8000_0000, 0, TcpEstablished),
                (Inside, RST, 100, 0, TcpEstablished),
                (Inside, RST | ACK, 1102, 101, TcpEstablished),
                (Outside, RST, 1101, 0, TcpReset),
            ],
        ),
        (
            "half closed, too",
            &[&OPEN, &DATA, fin_inside],
            &[(Outside, RST, 50, 0, TcpClosing), (Outside, RST, 101, 0, TcpReset)],
        ),
        (
            "RFC 9293 section 3.10.7.3: a SYN refused",
            &[&OPEN[..1]],
            &[
                (Outside, RST, 1, 0, TcpOpening),
                (Outside, RST | ACK, 0x1234_5678, 2, TcpOpening),
                (Outside, RST | ACK, 0x1234_5678, 0, TcpOpening),
                (Outside, RST | ACK, 0x1234_5678, 1, TcpReset),
            ],
        ),
        ("its sender gives it up", &[&OPEN[..1]], &[(Inside, RST, 0, 0, TcpOpening), (Inside, RST, 1, 0, TcpReset)]),
        ("a SYN-ACK refused", &[&OPEN[..2]], &[(Inside, RST, 2000, 0, TcpOpening), (Inside, RST, 1, 0, TcpReset)]),
        ("a refusal doesn't count in a connection", &[&OPEN], &[(Outside, RST | ACK, 0x1234_5678, 1, TcpEstablished)]),
        (
            "a reset of what was picked up: from inside at once, from outside by its number",
            &[&[(Inside, ACK, 700, 900)]],
            &[(Outside, RST, 899, 0, TcpOpening), (Inside, RST, 0x1234_5678, 0, TcpReset)],
        ),
        ("from outside", &[&[(Inside, ACK, 700, 900)]], &[(Outside, RST, 900, 0, TcpReset)]),
        (
            "RFC 9293 section 3.8.4: keepalives",
            &[&OPEN, &DATA],
            &[
                (Inside, ACK, 100, 101, TcpEstablished),
                (Outside, ACK, 101, 101, TcpEstablished),
                (Outside, RST, 101, 0, TcpReset),
            ],
        ),
    ];
    for (name, before, steps) in table {
        let mut connection = after(before);
        for (at, (side, flags, sequence, acknowledgment, wanted)) in steps.iter().enumerate() {
            let state = connection.track(*side, &segment(*side, *flags, *sequence, *acknowledgment));
            assert_eq!(state, *wanted, "{name}: step {at}");
        }
    }
}

/// Every state, each side, each kind of segment with numbers that fit.
#[test]
fn every_state_and_segment() {
    let fin: &[Step] = &[(Inside, FIN, 101, 101)];
    let fins: &[Step] = &[(Inside, FIN, 101, 101), (Outside, FIN, 101, 102)];
    let reset: &[Step] = &[(Inside, RST, 101, 0)];
    // From inside: SYN, SYN-ACK, ACK, FIN, RST; then from outside.
    for (state, before, inside, outside) in [
        (
            TcpOpening,
            &[&OPEN[..1]][..],
            [TcpOpening, TcpOpening, TcpOpening, TcpOpening, TcpOpening],
            [TcpOpening, TcpOpening, TcpOpening, TcpOpening, TcpOpening],
        ),
        (
            TcpEstablished,
            &[&OPEN, &DATA],
            [TcpEstablished, TcpEstablished, TcpEstablished, TcpClosing, TcpReset],
            [TcpEstablished, TcpEstablished, TcpEstablished, TcpClosing, TcpReset],
        ),
        (
            TcpClosing,
            &[&OPEN, &DATA, fin],
            [TcpClosing, TcpClosing, TcpClosing, TcpClosing, TcpReset],
            [TcpClosing, TcpClosing, TcpClosing, TcpTimeWait, TcpReset],
        ),
        (
            TcpTimeWait,
            &[&OPEN, &DATA, fins],
            [TcpOpening, TcpTimeWait, TcpTimeWait, TcpTimeWait, TcpTimeWait],
            [TcpOpening, TcpTimeWait, TcpTimeWait, TcpTimeWait, TcpTimeWait],
        ),
        (
            TcpReset,
            &[&OPEN, &DATA, reset],
            [TcpOpening, TcpReset, TcpEstablished, TcpClosing, TcpReset],
            [TcpOpening, TcpReset, TcpReset, TcpReset, TcpReset],
        ),
    ] {
        for (side, wanted) in [(Inside, inside), (Outside, outside)] {
            for (flags, wanted) in [SYN, SYN | ACK, ACK, FIN, RST].into_iter().zip(wanted) {
                let mut connection = after(before);
                assert_eq!(connection.1, state);
                let new = connection.track(side, &segment(side, flags, 101, 101));
                assert_eq!(new, wanted, "{state:?}, {flags:#x} from {side:?}");
            }
        }
    }
}

/// RFC 7323 section 2.2: windows are scaled when both SYNs say so, and those of the SYNs themselves are not.
#[test]
fn windows_are_scaled() {
    for (name, scales, window, reset_at, wanted) in [
        ("both", [Some(7), Some(4)], 100, 100 << 7, TcpReset),
        ("both, beyond", [Some(7), Some(4)], 100, (100 << 7) + 1, TcpEstablished),
        ("by nothing", [Some(0), Some(7)], 100, 101, TcpEstablished),
        ("one alone", [Some(7), None], 100, 101, TcpEstablished),
        ("the other alone", [None, Some(7)], 100, 101, TcpEstablished),
        ("the most", [Some(14), Some(14)], 0xffff, 0xffff << 14, TcpReset),
    ] {
        let mut connection = Connection::new();
        let [inside, outside] = scales;
        connection.track(Inside, &TcpSegment { scale: inside, window: 0xffff, ..segment(Inside, SYN, 0, 0) });
        connection.track(Outside, &TcpSegment { scale: outside, window: 0xffff, ..segment(Outside, SYN | ACK, 0, 1) });
        connection.track(Inside, &TcpSegment { window, ..segment(Inside, ACK, 1, 1) });
        assert_eq!(connection.track(Outside, &segment(Outside, RST, 1 + reset_at, 0)), wanted, "{name}");
    }
    // The SYN-ACK's own window: 65,535 bytes, not as many times 128.
    let mut connection = Connection::new();
    connection.track(Inside, &TcpSegment { scale: Some(7), ..segment(Inside, SYN, 0, 0) });
    connection.track(Outside, &TcpSegment { scale: Some(7), window: 0xffff, ..segment(Outside, SYN | ACK, 0, 1) });
    connection.track(Inside, &segment(Inside, ACK, 1, 1));
    assert_eq!(connection.track(Inside, &segment(Inside, RST, 0x1_0001, 0)), TcpEstablished);
    assert_eq!(connection.track(Inside, &segment(Inside, RST, 0xff81, 0)), TcpReset);
    // Nobody knows how the windows of a connection are scaled that was picked up on its way: as much as they can be.
    let mut connection = after(&[&[(Inside, ACK, 700, 900), (Outside, ACK, 900, 700)]]);
    assert_eq!(connection.1, TcpEstablished);
    assert_eq!(connection.track(Outside, &segment(Outside, RST, 901 + (1000 << 14), 0)), TcpEstablished);
    assert_eq!(connection.track(Outside, &segment(Outside, RST, 900 + (1000 << 14), 0)), TcpReset);
}

proptest! {
    /// Whatever comes from outside by somebody who doesn't know the numbers: the connection stays established.
    #[test]
    fn blind_attacks(segments in prop::collection::vec((prop::sample::select(vec![SYN, SYN | ACK, RST, RST | ACK]), 1102u32..0xffff_0000, any::<u32>()), 0..50)) {
        let mut connection = after(&[&OPEN, &DATA]);
        for (flags, sequence, acknowledgment) in segments {
            let state = connection.track(Outside, &segment(Outside, flags, sequence, acknowledgment));
            prop_assert_eq!(state, TcpEstablished);
        }
    }

    /// Any segments in any order: no panic, and both ends must have acknowledged before a flow may be idle for hours.
    #[test]
    fn any_segments(segments in prop::collection::vec((any::<bool>(), any::<u8>(), any::<u32>(), any::<u32>(), any::<u16>(), any::<Option<u8>>()), 0..50)) {
        let (mut connection, mut acked) = (Connection::new(), [false; 2]);
        for (outside, flags, sequence, acknowledgment, window, scale) in segments {
            let side = if outside { Outside } else { Inside };
            let segment = TcpSegment { flags: TcpFlags(flags), sequence, acknowledgment, window, scale };
            acked[side as usize] |= flags & ACK != NONE && flags & RST == NONE;
            let state = connection.track(side, &segment);
            prop_assert!(state != TcpEstablished || acked == [true; 2]);
        }
    }
}
