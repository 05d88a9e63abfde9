//! Which of several servers a client gets: rendezvous hashing (Thaler and Ravishankar: "Using name-based mappings to increase hit rates",
//! 1998), weighted. All workers come to the same answer, also after a restart, and when a server comes or goes only those
//! clients move that it gets or had.

use super::Backend;
use millrace_tables::flow::View;

/// The server that a packet's source gets: by its address, and without `affinity` by its port, too.
pub fn choose<'a>(backends: &'a [Backend], view: &View, affinity: bool) -> Option<&'a Backend> {
    if let [one] = backends {
        return Some(one);
    }
    let port = if affinity { 0 } else { view.source_port() };
    let client = u64::from(view.source().to_bits()) << 16 | u64::from(port);
    let score = |backend: &Backend| {
        let server = u64::from(backend.address.to_bits()) << 16 | u64::from(backend.port.unwrap_or(0));
        // In (0, 1), so its logarithm is below 0.
        let drawn = ((mix(mix(client) ^ server) >> 12) as f64 + 0.5) / (1u64 << 52) as f64;
        f64::from(backend.weight) / -drawn.ln()
    };
    backends.iter().max_by(|a, b| score(a).total_cmp(&score(b)))
}

/// The finisher of SplitMix64: each bit of the input decides about each of the output.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn backend(last: u8, weight: u8) -> Backend {
        Backend { address: Ipv4Addr::new(192, 168, 1, last), port: Some(80), weight }
    }

    fn of(backends: &[Backend], client: u32, port: u16, affinity: bool) -> u8 {
        let view = View::new(Ipv4Addr::from_bits(client), port, Ipv4Addr::new(203, 0, 113, 1), 80);
        choose(backends, &view, affinity).unwrap().address.octets()[3]
    }

    #[test]
    fn shares_are_as_the_weights() {
        let backends = [backend(1, 1), backend(2, 3)];
        let second = (0..10_000).filter(|&client| of(&backends, client, 1, true) == 2).count();
        assert!((7300..7700).contains(&second), "{second} of 10,000");
        let second = (0..10_000).filter(|&port| of(&backends, 7, port, false) == 2).count();
        assert!((7300..7700).contains(&second), "{second} of 10,000 ports");
    }

    #[test]
    fn affinity_is_of_the_address() {
        let backends = [backend(1, 1), backend(2, 1)];
        for client in 0..100 {
            let one = of(&backends, client, 1, true);
            assert!((2..100).all(|port| of(&backends, client, port, true) == one));
        }
    }

    #[test]
    fn a_new_server_takes_its_share_and_moves_nobody_else() {
        let (old, new) = ([backend(1, 1), backend(2, 1)], [backend(1, 1), backend(2, 1), backend(3, 1)]);
        let moved = (0..9_000).filter(|&client| {
            let now = of(&new, client, 1, true);
            assert!(now == 3 || now == of(&old, client, 1, true));
            now == 3
        });
        assert!((2700..3300).contains(&moved.count()));
    }

    #[test]
    fn nobody_to_choose_from() {
        let view = View::new(Ipv4Addr::LOCALHOST, 1, Ipv4Addr::LOCALHOST, 1);
        assert!(choose(&[], &view, true).is_none());
    }
}
