//! `neighbors`: static entries of the neighbour table. Learned ones don't stand here.

use crate::name::Name;
use std::net::IpAddr;

/// What names a static neighbour; its value in [`Config::neighbors`](crate::Config::neighbors) is its Ethernet address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NeighborKey {
    /// The interface it is on.
    pub interface: Name,
    /// Its address, within a subnet of the interface.
    pub address: IpAddr,
}
