//! Rows of flooding: frames to a station that nobody knows, to eight ports.

use crate::forward::{self, Load};
use crate::report::Measured;
use anyhow::Result;

/// Ports that each frame goes to.
const PORTS: f64 = 8.0;

/// Frames of 64 bytes, which are copied.
pub fn short() -> Result<Option<Measured>> {
    Ok(Some(measure(64)?))
}

/// Frames of 1,518 bytes with their check sequence, which share what is behind their headers.
pub fn long() -> Result<Option<Measured>> {
    Ok(Some(measure(1518)?))
}

/// Clocks for each frame that leaves: the graph's, the way into the sinks included.
fn measure(size: u16) -> Result<Measured> {
    let config = include_str!("l2-flood-8.yaml").replace("SIZE", &size.to_string());
    let measured = forward::measure(&Load { config, workers: 1, warm_up: 1_000_000 })?;
    Ok(Measured { value: measured.value / PORTS, ..measured })
}
