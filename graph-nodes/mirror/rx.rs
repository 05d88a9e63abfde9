//! mirror-rx: copies received frames for mirrors; a feature of the device-input arc. What it does is in `node`, once for both.

use super::node::Side;
use super::{Mirrors, Tap};
use crate::capture::Direction;
use millrace_engine::NodeName;
use millrace_engine::epoch::Slots;
use millrace_engine::pool::Meta;

/// Its name.
pub const NAME: NodeName = NodeName::new("mirror-rx");

/// Frames that are received, by rx interface.
pub struct Rx;

impl Side for Rx {
    const NAME: NodeName = NAME;
    const DIRECTION: Direction = Direction::Rx;

    fn interface(meta: &Meta) -> u32 {
        meta.rx_interface
    }

    fn taps(mirrors: &Mirrors) -> &Slots<Vec<Tap>> {
        &mirrors.0.received
    }
}
