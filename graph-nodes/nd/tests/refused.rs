//! Messages that are wrong in one thing.

use super::*;

/// Each clause of RFC 4861 sections 6.1.1, 6.1.2, 7.1.1, 7.1.2 and 8.1, for each message that it is about.
#[test]
fn what_is_refused() {
    let (source, target) = (link_layer(1, HOST_MAC), link_layer(2, HOST_MAC));
    let asks = about(135, 0, LAN_IP6, &source);
    let tells = about(136, 0x60, HOST6, &target);
    let router = [&[133, 0, 0, 0, 0, 0, 0, 0][..], &source].concat();
    let advertises = router_advertisement(HOST_LL)[40..].to_vec();
    let redirects = redirect(HOST_LL)[40..].to_vec();
    let all = [(&asks, 24), (&tells, 24), (&router, 8), (&advertises, 16), (&redirects, 40)];
    let mut cases: Vec<(String, Vec<u8>, &str)> = Vec::new();
    let mut case = |name: &str, packet, reason| cases.push((name.into(), packet, reason));
    for (body, len) in all {
        let kind = body[0];
        let good = |body: &[u8]| message(HOST_LL, LAN_IP6, 255, body);
        for hops in [254, 1, 0] {
            case(&format!("{kind}: hop limit {hops}"), message(HOST_LL, LAN_IP6, hops, body), "hop limit is not 255");
        }
        for at in [40, 42, 43, 44, 40 + len - 1] {
            let mut packet = good(body);
            // The type stays one of those that are told apart.
            packet[at] ^= if at == 40 { 1 } else { 0x10 };
            case(&format!("{kind}: one bit of byte {at}"), packet, "checksum is wrong");
        }
        let mut packet = good(body);
        packet[23] ^= 1;
        case(&format!("{kind}: one bit of the source"), packet, "checksum is wrong");
        let mut coded = body.clone();
        coded[1] = 1;
        case(&format!("{kind}: code 1"), good(&coded), "code is not 0");
        for short in [len - 1, len - 4, 7] {
            case(&format!("{kind}: {short} bytes"), good(&body[..short]), "shorter than its message");
        }
        for (name, options) in [
            ("no length", &[5, 0, 0, 0, 0, 0, 0, 0][..]),
            ("beyond the end", &[5, 2, 0, 0, 0, 0, 0, 0]),
            ("one byte", &[1]),
            ("a good one and half of one", &[5, 1, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0]),
        ] {
            let body = [&body[..len], options].concat();
            case(&format!("{kind}: option with {name}"), good(&body), "malformed options");
        }
        for mac in [MacAddr::ZERO, MacAddr([0x33, 0x33, 0, 0, 0, 1]), MacAddr::BROADCAST] {
            let body = [&body[..len], &link_layer(1, mac)].concat();
            case(&format!("{kind}: source {mac}"), good(&body), "MAC is zero or a group");
        }
        // RFC 6980 section 5, also for the only fragment.
        let mut packet = good(body);
        packet[6] = 44;
        let payload = packet.len() - 32;
        packet[4..6].copy_from_slice(&(payload as u16).to_be_bytes());
        packet.splice(40..40, [58, 0, 0, 0, 0, 0, 0, 9]);
        case(&format!("{kind}: in a fragment"), packet, "fragmented, or longer than a buffer");
        let long = [&body[..len], &[200, 255].repeat(1020)].concat();
        case(&format!("{kind}: in two buffers"), good(&long), "fragmented, or longer than a buffer");
    }
    // Section 7.1.1: the target, and who asks without an address.
    case("asks for a group", solicitation(HOST6, LAN_GROUP, "ff02::1", &source), "target address is a group");
    let elsewhere = "probe for an address, but not to its group";
    case("probe to us alone", solicitation("::", LAN_IP6, LAN_IP6, &[]), elsewhere);
    case("probe to another group", solicitation("::", "ff02::1:ff00:2", LAN_IP6, &[]), elsewhere);
    case("probe to everyone", solicitation("::", "ff02::1", TENTATIVE, &[]), elsewhere);
    let no_mac = "link-layer address of an unspecified source";
    case("probe with a MAC", solicitation("::", LAN_GROUP, LAN_IP6, &source), no_mac);
    // Section 6.1.1.
    case("asks for a router, no address but a MAC", router_solicitation("::", &source), no_mac);
    // Section 7.1.2.
    case("tells of a group", advertisement(HOST6, LAN_IP6, "ff02::1", 0x20, &target), "target address is a group");
    let solicited = "answer to a question, but sent to a group";
    case("answers everyone", advertisement(HOST6, "ff02::1", HOST6, 0x60, &target), solicited);
    // Sections 6.1.2 and 8.1.
    let local = "source address is not link-local";
    for from in [HOST6, "::"] {
        case(&format!("router at {from}"), router_advertisement(from), local);
        case(&format!("redirect from {from}"), redirect(from), local);
    }
    // Not for this node.
    case("an echo request", message(HOST6, LAN_IP6, 255, &[128, 0, 0, 0, 0, 0, 0, 0]), "not neighbour discovery");
    case("UDP", udp6(HOST6, LAN_IP6), "not neighbour discovery");
    case("half a header", question()[..39].to_vec(), "shorter than its message");
    let mut t = test();
    for (name, packet, reason) in cases {
        assert_eq!(fate(&t.run(&packet)), ("drop", &[(reason, 1)][..]), "{name}");
        assert_eq!(t.heard(), [], "{name}: control hears nothing");
    }
}
