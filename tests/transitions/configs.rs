//! Valid configurations by chance, of so few devices, addresses and VLANs that most of what they have stands in each other's way.
//!
//! A configuration is a tree as in its file. Pieces are put into it one by one; those that would break a rule are left out.

use crate::pieces::piece;
use crate::random::Random;
use harness::Lab;
use millrace_config::{Config, parse};
use serde_json::{Value, json};

/// Cables of the lab.
pub const CABLES: [&str; 5] = ["va", "vb", "vc", "vd", "ve"];

/// A tree with nothing in it.
pub fn empty() -> Value {
    json!({"interfaces": {}, "bridges": {}, "vrfs": {}, "routes": {}, "neighbors": {}, "mirrors": {}})
}

/// The file of a tree. Lists whose parts have names are maps in the tree.
pub fn text(tree: &Value) -> String {
    let mut tree = tree.clone();
    for list in ["routes", "neighbors"] {
        let parts = tree[list].as_object().into_iter().flatten().map(|(_, part)| part.clone()).collect::<Vec<_>>();
        tree[list] = parts.into();
    }
    for bridge in tree["bridges"].as_object_mut().into_iter().flatten() {
        if let Some(stations) = bridge.1.get_mut("static-macs") {
            *stations = stations.as_object().into_iter().flatten().map(|(_, part)| part.clone()).collect();
        }
    }
    tree.to_string()
}

/// What a tree means, if it is valid. `@DIR@` stands for the lab's folder.
pub fn meant(tree: &Value, lab: &Lab) -> Option<Config> {
    let mut interfaces = tree["interfaces"].as_object().into_iter().flatten();
    // Without an address of its own a bond has its first member's, and which that was depends on the way.
    let lends = interfaces.any(|(_, keys)| keys["driver"] == "bond" && keys["mac"].is_null());
    parse(&in_lab(&text(tree), lab), "config").ok().filter(|_| !lends)
}

/// A file with the lab's folder put in.
pub fn in_lab(text: &str, lab: &Lab) -> String {
    text.replace("@DIR@", &lab.files.display().to_string())
}

/// The next configuration of a walk: some steps further, or somewhere else altogether.
pub fn next(random: &mut Random, now: &Value, lab: &Lab) -> Value {
    let (mut tree, pieces) = match random.below(8) {
        0 => (empty(), 100 + random.below(200)),
        1 => (now.clone(), 100),
        2 => return without(random, now.clone(), lab, 0),
        _ => (now.clone(), 5 + random.below(30)),
    };
    for _ in 0..pieces {
        if random.one_in(4) {
            let many = 1 + random.below(4);
            tree = without(random, tree, lab, many);
        }
        let mut other = tree.clone();
        piece(random, &mut other);
        if meant(&other, lab).is_some() {
            tree = other;
        }
    }
    tree
}

/// Takes out so many things; 0: as many as can be.
fn without(random: &mut Random, mut tree: Value, lab: &Lab, many: usize) -> Value {
    let mut gone = 0;
    for _ in 0..if many == 0 { 60 } else { 3 * many } {
        let mut other = tree.clone();
        if take_out(random, &mut other) && meant(&other, lab).is_some() {
            tree = other;
            gone += 1;
        }
        if gone == many && many > 0 {
            break;
        }
    }
    tree
}

/// Takes a thing by chance out of a tree: of any depth.
fn take_out(random: &mut Random, tree: &mut Value) -> bool {
    let Some(map) = tree.as_object_mut().filter(|map| !map.is_empty()) else { return false };
    let keys: Vec<String> = map.keys().cloned().collect();
    let key = random.of(&keys);
    let top = ["interfaces", "bridges", "routes", "neighbors", "mirrors", "vrfs"].contains(&key.as_str());
    if (top || !random.one_in(3)) && take_out(random, &mut map[&key]) {
        return true;
    }
    !top && map.remove(&key).is_some()
}
