//! The kinds of values: what may be typed, and what to offer.
use std::net::IpAddr;

/// What may stand in the place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any one word.
    Word,
    /// The name of an interface that is there.
    Interface,
    /// The name of an interface of one of these drivers that is there.
    InterfaceOf(&'static [&'static str]),
    /// The name of an interface that is there, or one of the words.
    InterfaceOr(&'static [&'static str]),
    /// Names of interfaces that are there, with commas between, or one of the words.
    InterfacesOr(&'static [&'static str]),
    /// The name of a VRF that is there.
    Vrf,
    /// The name of a bridge that is there.
    Bridge,
    /// The name of a bridge that is there, or one of the words.
    BridgeOr(&'static [&'static str]),
    /// The name of a mirror that is there.
    Mirror,
    /// The name of a node of the graph.
    Node,
    /// One of the words; others are let through, because the daemon may know more of them.
    Suggest(&'static [&'static str]),
    /// One of the words.
    Choice(&'static [&'static str]),
    /// A whole number within bounds.
    Number(u64, u64),
    /// A number of the configuration's history.
    Revision,
    /// An IP address.
    Address,
    /// The IP address of a neighbour that is there, or any other.
    Neighbor,
    /// An IP address to speak to; of one that is the same on every link, with the interface: fe80::1%lan (RFC 4007 section 11).
    Target,
    /// IP addresses with commas between them.
    Addresses,
    /// An IP address with its prefix length, for an interface.
    InterfaceAddress,
    /// Several of them with commas between.
    InterfaceAddresses,
    /// A prefix, new or of a route that is there.
    Prefix,
    /// A prefix or an address of a family, "ipv4" or "ipv6"; new or of a route that is there.
    Destination(&'static str),
    /// The external side of a static mapping that is there, or any other.
    Nat44External,
    /// A hardware address.
    Mac,
    /// "off", or something of this kind.
    OrOff(&'static Kind),
    /// A file on this machine.
    File,
    /// A value in the configuration file's own notation.
    Yaml,
    /// An expression: one quoted word, or all words up to the next one that the command knows.
    Expression,
    /// All words to the end of the line.
    Rest,
}

impl Kind {
    /// Says what is wrong with a value of this kind, or nothing.
    pub fn check(self, text: &str) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("\"{text}\" is not {what}"));
        match self {
            Kind::Choice(words) if !words.contains(&text) => wrong(&format!("one of {}", words.join(", "))),
            Kind::Number(low, high) => match text.parse::<u64>() {
                Ok(number) if (low..=high).contains(&number) => Ok(()),
                _ if high == u64::MAX => wrong(&format!("a number from {low} on")),
                _ => wrong(&format!("a number from {low} to {high}")),
            },
            Kind::Revision if text.parse::<u64>().is_err() => wrong("a revision of `config history`"),
            Kind::Address | Kind::Neighbor if text.parse::<IpAddr>().is_err() => {
                wrong("an address, such as 192.0.2.1 or 2001:db8::1")
            }
            Kind::Target => match text.split_once('%') {
                Some((address, interface)) if !interface.is_empty() => Kind::Address.check(address),
                _ => Kind::Address.check(text),
            },
            Kind::Addresses => text.split(',').try_for_each(|address| Kind::Address.check(address)),
            Kind::InterfaceAddress if !is_prefix(text) => {
                wrong("an address with its prefix length, such as 192.0.2.1/24 or 2001:db8::1/64")
            }
            Kind::InterfaceAddresses => text.split(',').try_for_each(|address| Kind::InterfaceAddress.check(address)),
            Kind::Prefix if !is_prefix(text) => wrong("a prefix, such as 10.0.0.0/8 or 2001:db8::/32"),
            Kind::Destination(family) if !is_prefix(text) && text.parse::<IpAddr>().is_err() => match family {
                "ipv6" => wrong("a prefix or an address, such as 2001:db8::/32 or 2001:db8::1"),
                _ => wrong("a prefix or an address, such as 10.0.0.0/8 or 10.1.2.3"),
            },
            Kind::Destination(family) if text.contains(':') != (family == "ipv6") => match family {
                "ipv6" => wrong("of IPv6; `show ip route` has IPv4"),
                _ => wrong("of IPv4; `show ipv6 route` has IPv6"),
            },
            Kind::OrOff(_) if text == "off" => Ok(()),
            Kind::OrOff(kind) => kind.check(text).map_err(|wrong| format!("{wrong}, or off")),
            Kind::Mac if !is_mac(text) => wrong("a hardware address, such as 02:00:00:00:00:01"),
            _ if text.is_empty() => Err("an empty word can't stand here".to_owned()),
            _ => Ok(()),
        }
    }

    /// The words that can always be offered for it.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Kind::Choice(words) | Kind::Suggest(words) => words,
            Kind::InterfaceOr(words) | Kind::InterfacesOr(words) | Kind::BridgeOr(words) => words,
            Kind::OrOff(_) => &["off"],
            _ => &[],
        }
    }

    /// Whether it takes more than one word of the line.
    pub fn takes_many(self) -> bool {
        matches!(self, Kind::Expression | Kind::Rest)
    }
}

fn is_prefix(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let digits = length.bytes().all(|byte| byte.is_ascii_digit());
    digits && length.parse::<u8>().is_ok_and(|length| length <= if address.is_ipv4() { 32 } else { 128 })
}

fn is_mac(text: &str) -> bool {
    let mut bytes = 0;
    let hex = text.split(':').all(|byte| {
        bytes += 1;
        byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit())
    });
    hex && bytes == 6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_as_they_are_typed() {
        let good = [
            (Kind::Word, "x"),
            (Kind::Choice(&["dot", "svg"]), "dot"),
            (Kind::Suggest(&["tap"]), "af-xdp"),
            (Kind::Number(1, 9), "9"),
            (Kind::Address, "2001:db8::1"),
            (Kind::Target, "192.0.2.1"),
            (Kind::Target, "fe80::1%lan"),
            (Kind::Addresses, "192.0.2.1,192.0.2.2"),
            (Kind::OrOff(&Kind::Addresses), "192.0.2.1,192.0.2.2"),
            (Kind::OrOff(&Kind::Number(1, 2)), "off"),
            (Kind::InterfaceAddress, "192.0.2.1/24"),
            (Kind::Prefix, "2001:db8::/128"),
            (Kind::Destination("ipv4"), "10.1.2.3"),
            (Kind::Destination("ipv6"), "2001:db8::/32"),
            (Kind::Mac, "02:00:00:00:0a:FF"),
        ];
        for (kind, text) in good {
            assert_eq!(kind.check(text), Ok(()), "{kind:?} {text}");
        }
        let bad = [
            (Kind::Word, ""),
            (Kind::Choice(&["dot", "svg"]), "do"),
            (Kind::Number(1, 9), "10"),
            (Kind::Number(1, 9), "-1"),
            (Kind::Revision, "last"),
            (Kind::Address, "192.0.2.256"),
            (Kind::Address, "fe80::1%lan"),
            (Kind::Target, "fe80::1%"),
            (Kind::Target, "lan%fe80::1"),
            (Kind::Addresses, "192.0.2.1,"),
            (Kind::OrOff(&Kind::Number(1, 2)), "3"),
            (Kind::Addresses, "off"),
            (Kind::InterfaceAddress, "192.0.2.1"),
            (Kind::InterfaceAddresses, "192.0.2.1/24,192.0.2.1"),
            (Kind::Prefix, "10.0.0.0/33"),
            (Kind::Prefix, "10.0.0.0/+8"),
            (Kind::Destination("ipv4"), "ten"),
            (Kind::Destination("ipv4"), "2001:db8::1"),
            (Kind::Destination("ipv6"), "10.0.0.0/8"),
            (Kind::Mac, "02:00:00:00:00"),
            (Kind::Mac, "02:00:00:00:00:0"),
        ];
        for (kind, text) in bad {
            assert!(kind.check(text).is_err(), "{kind:?} {text}");
        }
    }
}
