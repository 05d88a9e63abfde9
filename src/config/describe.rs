//! How the parts of a configuration read in a line of a plan or of an error.

use crate::{Api, Buffers, Driver, Eal, NeighborKey, NextHop, Route, RouteKey, Workers, op::in_vrf};
use std::fmt;

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.count, self.mode)?;
        let cpus: Vec<_> = self.cpus.iter().map(u16::to_string).collect();
        if cpus.is_empty() { Ok(()) } else { write!(f, " on cpus {}", cpus.join(",")) }
    }
}

impl fmt::Display for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} huge-pages {}", self.count, self.huge_pages)
    }
}

impl fmt::Display for Eal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} huge-pages {}", self.memory, self.huge_pages)?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "socket {}", self.socket.display())
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        match self {
            Self::AfPacket(_) | Self::AfXdp(_) | Self::Tap(_) | Self::VhostUser(_) | Self::Dpdk(_) => {
                write!(f, " {}", self.device().unwrap_or_default())
            }
            Self::Memif(memif) => write!(f, " {} id {}", memif.socket, memif.id),
            Self::Pcap(pcap) => {
                for (word, path) in [("read", &pcap.read), ("write", &pcap.write)] {
                    if let Some(path) = path {
                        write!(f, " {word} {}", path.display())?;
                    }
                }
                Ok(())
            }
            Self::Loopback => Ok(()),
            Self::Generator(generator) => match generator.streams.len() {
                0 => write!(f, ", sink only"),
                1 => write!(f, " of 1 stream"),
                n => write!(f, " of {n} streams"),
            },
            Self::Vlan(vlan) => write!(f, " {} of {}", vlan.id, vlan.parent),
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.gateway)?;
        if let Some(interface) = &self.interface {
            write!(f, " interface {interface}")?;
        }
        if self.weight == 1 { Ok(()) } else { write!(f, " weight {}", self.weight) }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        if let Some(vrf) = self.next_vrf() {
            write!(f, " {vrf}")?;
        }
        for (i, hop) in self.hops().iter().enumerate() {
            write!(f, "{} {hop}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.prefix, in_vrf(&self.vrf))
    }
}

impl fmt::Display for NeighborKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} interface {}", self.address, self.interface)
    }
}
