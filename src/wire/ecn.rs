//! Explicit congestion notification through tunnels (RFC 6040): the two low bits of IPv4's TOS and IPv6's traffic class.

/// Not capable.
const NOT_ECT: u8 = 0;
/// Capable, by the other codepoint, which means more in some uses.
const ECT_1: u8 = 1;
/// Congestion was experienced.
const CE: u8 = 3;
/// The bits.
const MASK: u8 = 3;

/// The inner TOS or traffic class of a packet that leaves a tunnel, by both that it had there (section 4.2, figure 4); none if the
/// packet must be dropped: it met congestion, and its sender couldn't be told.
#[inline]
#[must_use]
pub const fn decapsulated(inner: u8, outer: u8) -> Option<u8> {
    match (inner & MASK, outer & MASK) {
        (NOT_ECT, CE) => None,
        (NOT_ECT | CE, _) | (_, NOT_ECT) => Some(inner),
        (_, CE) => Some(inner | CE),
        (_, ECT_1) => Some(inner & !MASK | ECT_1),
        _ => Some(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6040 section 4.2, figure 4: rows are the arriving inner header, columns the arriving outer header.
    #[test]
    fn the_table_of_the_rfc() {
        const ECT_0: u8 = 2;
        for (inner, row) in [
            (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
            (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
            (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
            (CE, [Some(CE); 4]),
        ] {
            for (outer, left) in [NOT_ECT, ECT_0, ECT_1, CE].into_iter().zip(row) {
                for dscp in [0, 0xb8, 0xfc] {
                    let expected = left.map(|ecn| dscp | ecn);
                    assert_eq!(decapsulated(dscp | inner, 0x20 | outer), expected, "inner {inner} outer {outer}");
                }
            }
        }
    }
}
