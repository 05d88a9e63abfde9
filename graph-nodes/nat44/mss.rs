//! Clamps the maximum segment size of the TCP connections that are translated.

use super::parse::Parsed;
use crate::mss_clamp::segment;
use millrace_engine::Packet;

/// Lowers the MSS option of a SYN or SYN-ACK to `max` bytes; true if it was higher. See [`segment::clamp`].
pub fn clamp(packet: &mut Packet<'_>, parsed: &Parsed, max: Option<u16>) -> bool {
    let (Some(max), Some(_)) = (max, parsed.tcp) else { return false };
    packet.data_mut().get_mut(parsed.header_len..).is_some_and(|tcp| segment::clamp(tcp, max))
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;
    use crate::testing::*;
    use millrace_tables::flow::Side;

    #[test]
    fn of_what_has_a_tcp_header() {
        let syn = |mss: u16| {
            let option = [[2, 4], mss.to_be_bytes()].concat();
            tcp(HOST, PEER, b"", |t| {
                t.syn = true;
                t.set_options_raw(&option).unwrap();
            })
        };
        for (name, packet, max, wanted) in [
            ("a SYN", syn(1460), Some(1452), Some(syn(1452))),
            ("nothing is configured", syn(1460), None, None),
            ("UDP", udp(HOST, PEER), Some(0), None),
        ] {
            let (changed, bytes) = with_packet(&packet, |packet| {
                let parsed = parse(packet, Side::Inside).unwrap();
                clamp(packet, &parsed, max)
            });
            assert_eq!((changed, bytes), (wanted.is_some(), wanted.unwrap_or(packet)), "{name}");
        }
    }
}
