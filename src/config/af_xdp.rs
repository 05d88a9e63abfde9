//! `driver: af-xdp`: a network device of the kernel, by a program in front of its protocols and rings in the router's memory.

use crate::{
    decode::Fields,
    diagnostic::{Reader, Spot},
    driver::{self, Driver},
    keyword::keywords,
    name::Name,
    socket::ring_size,
    validate::Check,
    yaml::Node,
};

/// `driver: af-xdp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AfXdp {
    /// The kernel's name of the device.
    pub device: String,
    /// Queues of the device that are used, from the first; 1 to [`Driver::MAX_QUEUES`], default 1.
    pub queues: u16,
    /// Where the program sits.
    pub mode: XdpMode,
    /// Whether the device reads and writes the router's buffers itself.
    pub zero_copy: ZeroCopy,
    /// Whether the worker that polls drives the device's interrupts, too (`SO_PREFER_BUSY_POLL`); default false.
    pub busy_poll: bool,
    /// Descriptors of each ring; a power of two from 64 to 32768, default [`AfXdp::RING_SIZE`].
    pub ring_size: u32,
}

keywords! {
    /// Where the program sits that takes packets to the router.
    XdpMode, "auto, native or generic" {
        /// In the device's driver if that knows how, otherwise behind it (default).
        Auto = "auto",
        /// In the device's driver.
        Native = "native",
        /// Behind the driver, in the kernel's network stack: with any device, but slower.
        Generic = "generic",
    }
}

keywords! {
    /// Whether the device reads and writes the router's buffers itself.
    ZeroCopy, "auto, required or off" {
        /// If its driver knows how; otherwise the kernel copies (default).
        Auto = "auto",
        /// The interface is refused without.
        Required = "required",
        /// The kernel copies.
        Off = "off",
    }
}

impl AfXdp {
    /// The descriptors of each ring by default.
    pub const RING_SIZE: u32 = 2048;

    pub(crate) fn decode(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Self> {
        let device = driver::device(fields, reader);
        let rest = Self {
            device: String::new(),
            queues: driver::queues(fields, reader),
            mode: fields.scalar("mode", reader).unwrap_or(XdpMode::Auto),
            zero_copy: fields.scalar("zero-copy", reader).unwrap_or(ZeroCopy::Auto),
            busy_poll: fields.scalar("busy-poll", reader).unwrap_or(false),
            ring_size: ring_size(fields, 1 << 6..=1 << 15, Self::RING_SIZE, reader),
        };
        Some(Self { device: device?, ..rest })
    }

    pub(crate) fn encode(&self, node: Node) -> Node {
        node.with("device", Node::text(&self.device))
            .with_unless(&1, "queues", &self.queues)
            .with_unless(&XdpMode::Auto, "mode", &self.mode)
            .with_unless(&ZeroCopy::Auto, "zero-copy", &self.zero_copy)
            .with_unless(&false, "busy-poll", &self.busy_poll)
            .with_unless(&Self::RING_SIZE, "ring-size", &self.ring_size)
    }
}

/// The kernel has zero copy in drivers only, so not behind them.
pub(crate) fn check(check: &mut Check<'_>) {
    for (name, xdp) in all(check) {
        if xdp.mode == XdpMode::Generic && xdp.zero_copy == ZeroCopy::Required {
            check.problem(
                Spot::new("interfaces", name).key("zero-copy"),
                format!("interface {name}: zero-copy: required, but there is none in generic mode"),
                "expected mode native or auto, or zero-copy auto or off",
            );
        }
    }
}

fn all<'c>(check: &Check<'c>) -> impl Iterator<Item = (&'c Name, &'c AfXdp)> + use<'c> {
    check.config.interfaces.iter().filter_map(|(name, interface)| match &interface.driver {
        Driver::AfXdp(xdp) => Some((name, xdp)),
        _ => None,
    })
}
