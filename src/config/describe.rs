//! How the parts of a configuration read in a line of a plan or of an error.

use crate::{Api, Buffers, Driver, Eal, Name, NeighborKey, NextHop, Route, RouteKey, Vlan, Workers, op::in_vrf};
use std::{fmt, net::IpAddr};

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
            Self::Vlan(vlan) => {
                write!(f, " {} of {}", vlan.key(), vlan.parent)?;
                let default = Vlan::tag_type_for(vlan.inner);
                if vlan.tag_type == default { Ok(()) } else { write!(f, " tag-type {}", vlan.tag_type) }
            }
            Self::Bvi => Ok(()),
            Self::Vxlan(vxlan) => {
                write!(f, " vni {} local {}", vxlan.vni, vxlan.local)?;
                let remotes: Vec<_> = vxlan.remotes.iter().map(IpAddr::to_string).collect();
                if remotes.is_empty() { Ok(()) } else { write!(f, " remotes {}", remotes.join(",")) }
            }
            Self::Gre(gre) => {
                write!(f, " {} -> {}", gre.ends.local, gre.ends.remote)?;
                gre.key.map_or(Ok(()), |key| write!(f, " key {key}"))
            }
            Self::Ipip(ipip) => write!(f, " {} -> {}", ipip.ends.local, ipip.ends.remote),
            Self::Bond(bond) => {
                let members: Vec<&str> = bond.members.iter().map(Name::as_str).collect();
                write!(f, " {} of {}", bond.mode, members.join(","))
            }
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.interface, self.has_gateway()) {
            (None, _) => write!(f, "{}", self.gateway)?,
            (Some(interface), true) => write!(f, "{} interface {interface}", self.gateway)?,
            (Some(interface), false) => write!(f, "interface {interface}")?,
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
