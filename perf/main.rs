//! millrace-perf.
fn main() {}
