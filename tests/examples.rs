//! Every file of `configs/` is good, and says of itself what it is for.

use harness::{Hosts, golden, millrace};
use std::path::PathBuf;

fn configs() -> PathBuf {
    golden::file("../configs")
}

#[test]
fn every_example_is_good() {
    let mut seen = 0;
    for entry in std::fs::read_dir(configs()).expect("configs/").flatten() {
        let path = entry.path();
        millrace(&["--check", "--config", &path.display().to_string()]).ok();
        let text = std::fs::read_to_string(&path).expect("a text");
        assert!(text.starts_with("# "), "{} does not say what it is for", path.display());
        seen += 1;
    }
    assert!(seen >= 4, "{seen} examples");
}

#[test]
fn the_router_of_the_readme_forwards() {
    let (lab, lan, wan) = Hosts::lab();
    let router = lab.start(&std::fs::read_to_string(configs().join("router.yaml")).expect("configs/router.yaml"));
    lan.ping(&wan.address);
    wan.ping(&lan.address);
    assert_eq!(router.list("show interfaces").len(), 2);
}
