//! The real NAT against the model.

use super::nat::Filtering;
use super::scene::Scene;
use super::stage::Setting;
use super::traffic::{Step, step};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

fn setting() -> impl Strategy<Value = Setting> {
    let filtering = prop_oneof![
        Just(Filtering::AddressDependent),
        Just(Filtering::EndpointIndependent),
        Just(Filtering::AddressAndPortDependent)
    ];
    let limits = prop_oneof![4 => Just((1000, 1000)), 1 => Just((1000, 3)), 1 => Just((4, 1000))];
    let mss = prop_oneof![2 => Just(None), 1 => Just(Some(1300)), 1 => Just(Some(500))];
    (filtering, 0..3_usize, 1..3_usize, limits, mss).prop_map(|(filtering, addresses, workers, limits, mss)| Setting {
        filtering,
        addresses,
        // A limit is for all workers together, and each can make room only among its own.
        workers: if limits.0 < 1000 { 1 } else { workers },
        max_sessions: limits.0,
        max_per_host: limits.1,
        mss,
    })
}

fn both(setting: &Setting, steps: &[Step]) {
    let mut scene = Scene::new(setting);
    steps.iter().for_each(|step| scene.step(step));
    scene.end();
}

proptest! {
    #![proptest_config(config())]

    /// RFC 3022, 4787, 5382, 5508 and 7857, packet by packet and byte by byte.
    #[test]
    fn as_the_rfcs_say(setting in setting(), steps in prop::collection::vec(step(), 1..80)) {
        both(&setting, &steps);
    }
}

/// As many cases as take some seconds, or what `PROPTEST_CASES` says. What failed once is kept, and tried first.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let kept = FileFailurePersistence::Direct(concat!(env!("CARGO_MANIFEST_DIR"), "/nat44/model/regressions.txt"));
    let failure_persistence = Some(Box::new(kept) as _);
    ProptestConfig { cases, failure_persistence, max_shrink_iters: 4000, ..ProptestConfig::default() }
}
