//! millctl.
fn main() {}
