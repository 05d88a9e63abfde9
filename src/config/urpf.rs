//! `urpf` of an interface: unicast reverse-path forwarding, a filter on the sources of what it receives (RFC 3704, RFC 8704).

use crate::keyword::keywords;

keywords! {
    /// Which sources an interface takes packets from.
    Urpf, "off, strict or loose" {
        /// All (default).
        Off = "off",
        /// Those to which the best route leaves by the interface (RFC 3704 clause 2.2).
        Strict = "strict",
        /// Those to which there is a route, the default route among them (RFC 3704 clause 2.4).
        Loose = "loose",
    }
}
