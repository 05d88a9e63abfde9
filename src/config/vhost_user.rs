//! `driver: vhost-user`: the network device of a virtual machine.

use crate::{
    decode::Fields,
    diagnostic::Reader,
    driver,
    socket::{Role, Socket},
    yaml::Node,
};

/// `driver: vhost-user`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VhostUser {
    /// Where the two sides meet; always a file.
    pub socket: Socket,
    /// Which side of the socket the router is. Whatever it is, the virtual machine is the one that has the memory.
    pub role: Role,
    /// Pairs of queues that the virtual machine may use; 1 to [`Driver::MAX_QUEUES`](crate::Driver::MAX_QUEUES), default 1.
    pub queues: u16,
    /// Whether checksums and segmentation may be left to the router; default true.
    pub offloads: bool,
}

impl VhostUser {
    pub(crate) fn decode(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Self> {
        let socket = fields.required_by("socket", reader, Socket::file);
        let role = fields.scalar("role", reader).unwrap_or(Role::Server);
        let queues = driver::queues(fields, reader);
        let offloads = fields.scalar("offloads", reader).unwrap_or(true);
        Some(Self { socket: socket?, role, queues, offloads })
    }

    pub(crate) fn encode(&self, node: Node) -> Node {
        node.with("socket", Node::text(&self.socket))
            .with_unless(&Role::Server, "role", &self.role)
            .with_unless(&1, "queues", &self.queues)
            .with_unless(&true, "offloads", &self.offloads)
    }
}
