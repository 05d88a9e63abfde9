//! `driver: memif`: packets through memory that is shared with another process, such as a container's.

use crate::{
    decode::{Fields, Scalar, Unreadable},
    diagnostic::{Reader, Spot},
    driver::{self, Driver},
    name::Name,
    socket::{Role, Socket, ring_size},
    validate::Check,
    yaml::Node,
};
use std::{collections::HashMap, fmt, path::Path};

/// `driver: memif`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memif {
    /// Where the two sides meet. Several interfaces may share one, each with an `id` of its own and all with the same role.
    pub socket: Socket,
    /// Which of the connections over the socket it is; both sides name the same. Default 0.
    pub id: u32,
    /// Which side the router is.
    pub role: Role,
    /// What the client must say to be let in; none: nothing.
    pub secret: Option<Secret>,
    /// Queues each way; 1 to [`Driver::MAX_QUEUES`], default 1.
    pub queues: u16,
    /// Descriptors of each ring; a power of two from 32 to 16384, default [`Memif::RING_SIZE`].
    pub ring_size: u32,
    /// Whether the router's own buffers are shared with the peer instead of copied for it; only a client may. Default false.
    pub zero_copy: bool,
}

/// A secret of 1 to [`Secret::MAX`] bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The longest secret that the protocol carries, in bytes.
    pub const MAX: usize = 24;

    /// What it is.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Not what it is: that is nobody's business in a log.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Scalar for Secret {
    const WANTED: &'static str = "a secret of 1 to 24 bytes";
    fn read(text: &str) -> Result<Self, Unreadable> {
        let right = (1..=Self::MAX).contains(&text.len()) && !text.contains('\0');
        if right { Ok(Self(text.to_owned())) } else { Err(Unreadable::wanted(Self::WANTED)) }
    }
}

impl Memif {
    /// The descriptors of each ring by default.
    pub const RING_SIZE: u32 = 1024;

    pub(crate) fn decode(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Self> {
        let socket = fields.required("socket", reader);
        let id = fields.number("id", 0..=u32::MAX, reader).unwrap_or(0);
        let role = fields.scalar("role", reader).unwrap_or(Role::Server);
        let secret = fields.scalar("secret", reader);
        let queues = driver::queues(fields, reader);
        let ring_size = ring_size(fields, 1 << 5..=1 << 14, Self::RING_SIZE, reader);
        let zero_copy = fields.scalar("zero-copy", reader).unwrap_or(false);
        Some(Self { socket: socket?, id, role, secret, queues, ring_size, zero_copy })
    }

    pub(crate) fn encode(&self, node: Node) -> Node {
        let node = node.with("socket", Node::text(&self.socket)).with_unless(&0, "id", &self.id).with_unless(
            &Role::Server,
            "role",
            &self.role,
        );
        let node = match &self.secret {
            Some(secret) => node.with("secret", Node::text(secret.as_str())),
            None => node,
        };
        node.with_unless(&1, "queues", &self.queues)
            .with_unless(&Self::RING_SIZE, "ring-size", &self.ring_size)
            .with_unless(&false, "zero-copy", &self.zero_copy)
    }
}

/// Who may share a socket, and who may share its buffers. That other drivers keep off it is checked with all other resources.
pub(crate) fn check(check: &mut Check<'_>) {
    let mut sockets: HashMap<&Path, (&Name, Role)> = HashMap::new();
    let mut ids: HashMap<(&Path, u32), &Name> = HashMap::new();
    for (name, interface) in &check.config.interfaces {
        let Driver::Memif(memif) = &interface.driver else { continue };
        let spot = |key| Spot::new("interfaces", name).key(key);
        if memif.zero_copy && memif.role == Role::Server {
            check.problem(
                spot("zero-copy"),
                format!("interface {name}: zero-copy: the client shares its buffers, not the server"),
                "expected role: client or no zero-copy",
            );
        }
        if check.partial.contains(name) {
            continue;
        }
        let socket = memif.socket.path();
        let (first, role) = *sockets.entry(socket).or_insert((name, memif.role));
        if role != memif.role {
            check.problem(
                spot("role"),
                format!("interface {name}: role: {} on the socket that interface {first} is the {role} of", memif.role),
                "expected the same role, or another socket",
            );
        } else if let Some(other) = ids.insert((socket, memif.id), name) {
            check.problem(
                spot("id"),
                format!("interface {name}: id: {} on this socket is interface {other}'s already", memif.id),
                "expected an id of its own, or another socket",
            );
        }
    }
}
