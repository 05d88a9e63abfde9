//! Tags of frames: routed sub-interfaces with one tag and with two, access and trunk ports of bridges, bridged sub-interfaces.

mod bridged;
mod qinq;
mod routed;
