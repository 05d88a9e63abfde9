//! mirror-tx: copies frames that leave for mirrors; a feature of the interface-output arc. What it does is in `node`, once for both.

use super::node::Side;
use super::{Mirrors, Tap};
use crate::capture::Direction;
use millrace_engine::NodeName;
use millrace_engine::epoch::Slots;
use millrace_engine::pool::Meta;

/// Its name.
pub const NAME: NodeName = NodeName::new("mirror-tx");

/// Frames that are sent, by tx interface.
pub struct Tx;

impl Side for Tx {
    const NAME: NodeName = NAME;
    const DIRECTION: Direction = Direction::Tx;

    fn interface(meta: &Meta) -> u32 {
        meta.tx_interface
    }

    fn taps(mirrors: &Mirrors) -> &Slots<Vec<Tap>> {
        &mirrors.0.sent
    }
}
