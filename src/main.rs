//! The forwarder daemon.
fn main() {}
