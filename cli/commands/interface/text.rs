//! Interfaces as `show interfaces` prints them.
use millrace_api::v1::{Interface, RouterAdvertisements};

use crate::output::{self, Cell, Color, Output, Table};

/// One word for what is configured and what the device says, and whether it is good.
fn condition(interface: &Interface) -> (&str, Color) {
    match (interface.state.as_str(), interface.link.as_str()) {
        ("down", _) => ("down", Color::Yellow),
        (_, "up") => ("up", Color::Green),
        (_, "down") => ("no-link", Color::Red),
        (_, link) => (link, Color::Red),
    }
}

pub fn table(output: &Output, interfaces: &[Interface]) -> String {
    let columns =
        ["Name", "State", "Driver", ">MTU", ">RX packets", ">RX/s", ">TX packets", ">TX/s", ">Drops", "Addresses"];
    let mut table = Table::new(output, &columns);
    for interface in interfaces {
        let (word, color) = condition(interface);
        let drops = Cell::from(interface.rx_drops + interface.tx_drops);
        table.row([
            (&interface.name).into(),
            Cell::from(word).color(color),
            (&interface.driver).into(),
            interface.mtu.into(),
            interface.rx_packets.into(),
            output::rate(interface.rx_pps).into(),
            interface.tx_packets.into(),
            output::rate(interface.tx_pps).into(),
            drops,
            interface.addresses.join(" ").into(),
        ]);
    }
    table.text()
}

pub fn details(output: &Output, interface: &Interface) -> String {
    let (word, color) = condition(interface);
    let mut text = format!("{} is {}\n", interface.name, output.paint(color, word));
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("  {name:<13} {value}\n"));
        }
    };
    let device = if interface.device.is_empty() { String::new() } else { format!(" {}", interface.device) };
    line("driver", format!("{}{device}", interface.driver));
    let reason = interface.link_reason.iter().map(|reason| format!(": {reason}"));
    line("state", format!("{}, link {}{}", interface.state, interface.link, reason.collect::<String>()));
    if let (Some(parent), Some(vlan)) = (&interface.parent, interface.vlan) {
        line("parent", format!("{parent}, VLAN {vlan}"));
    }
    line("mac", interface.mac.clone());
    line("mtu", interface.mtu.to_string());
    line("vrf", interface.vrf.clone());
    line("bridge", interface.bridge.clone().unwrap_or_default());
    line("addresses", interface.addresses.join(" "));
    let counts = |packets, bytes, drops| format!("{packets} packets, {bytes} bytes, {drops} drops");
    line("received", counts(interface.rx_packets, interface.rx_bytes, interface.rx_drops));
    line("sent", counts(interface.tx_packets, interface.tx_bytes, interface.tx_drops));
    let rates = |pps, bps| format!("{} packets/s, {} bits/s", output::rate(pps), output::rate(bps));
    line("receiving", rates(interface.rx_pps, interface.rx_bps));
    line("sending", rates(interface.tx_pps, interface.tx_bps));
    if let Some(details) = &interface.details {
        for mode in &details.modes {
            line("mode", format!("{} {}", mode.name, mode.value));
        }
        let queue = |queue: &millrace_api::v1::InterfaceQueue| match queue.worker {
            Some(worker) => format!("{} on worker {worker}", queue.queue),
            None => format!("{} on no worker", queue.queue),
        };
        line("queues", details.queues.iter().map(queue).collect::<Vec<_>>().join(", "));
        line("capabilities", details.capabilities.join(", "));
        line("cross-connect", details.cross_connect.clone().unwrap_or_default());
        for (name, setting) in [("urpf", &details.urpf), ("mss-clamp", &details.mss_clamp)] {
            if setting != "off" {
                line(name, setting.clone());
            }
        }
        line("features", details.features.join(", "));
        for address in &details.ipv6_addresses {
            line("ipv6", format!("{} {}", address.address, address.state));
        }
        if let Some(told) = &details.router_advertisements {
            line("hosts told", advertisements(told));
        }
        for count in details.statistics.iter().filter(|count| count.count > 0) {
            line("driver count", format!("{} {}", count.count, count.name));
        }
        // What is the reason stands above.
        for note in details.notes.iter().filter(|note| interface.link_reason.as_ref() != Some(note)) {
            line("note", note.clone());
        }
    }
    text
}

fn advertisements(told: &RouterAdvertisements) -> String {
    let seconds = |seconds: f64| output::seconds(seconds.round() as u64);
    let mut parts = vec![format!("{} router advertisements", told.sent)];
    parts.extend(told.last_seconds.map(|ago| format!("the last {} ago", seconds(ago))));
    parts.extend(told.next_seconds.map(|time| format!("the next in {}", seconds(time))));
    parts.push(format!("{} solicitations", told.solicitations));
    if !told.prefixes.is_empty() {
        parts.push(format!("prefixes {}", told.prefixes.join(" ")));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;
    use millrace_api::v1::{InterfaceDetails, InterfaceQueue, Ipv6Address};

    const OUTPUT: Output = Output { format: Format::Table, colors: false, terminal: false };

    fn wan() -> Interface {
        Interface {
            name: "wan".into(),
            driver: "af-packet".into(),
            device: "eth0".into(),
            state: "up".into(),
            link: "missing".into(),
            mtu: 1500,
            vrf: "default".into(),
            addresses: vec!["203.0.113.2/24".into()],
            rx_packets: 12,
            rx_pps: 1234.0,
            tx_drops: 3,
            ..Default::default()
        }
    }

    #[test]
    fn a_listing_is_a_table() {
        let lan = Interface { name: "lan".into(), state: "down".into(), link: "up".into(), ..Default::default() };
        assert_eq!(
            table(&OUTPUT, &[lan, wan()]),
            "Name  State    Driver      MTU  RX packets   RX/s  TX packets  TX/s  Drops  Addresses\n\
             lan   down                   0           0      0           0     0      0\n\
             wan   missing  af-packet  1500          12  1.23k           0     0      3  203.0.113.2/24\n"
        );
    }

    #[test]
    fn one_interface_is_described() {
        let queue = InterfaceQueue { queue: 0, worker: Some(1) };
        let address = Ipv6Address { address: "fe80::1/64".into(), state: "tentative".into() };
        let told = RouterAdvertisements {
            sent: 3,
            solicitations: 2,
            last_seconds: Some(9.6),
            next_seconds: Some(300.0),
            prefixes: vec!["2001:db8::/64".into()],
        };
        let details = InterfaceDetails {
            queues: vec![queue],
            notes: vec!["no eth0".into()],
            ipv6_addresses: vec![address],
            router_advertisements: Some(told),
            ..Default::default()
        };
        let text = super::details(&OUTPUT, &Interface { details: Some(details), ..wan() });
        assert!(text.starts_with("wan is missing\n  driver        af-packet eth0\n"), "{text}");
        assert!(text.contains("\n  receiving     1.23k packets/s, 0 bits/s\n"), "{text}");
        assert!(text.ends_with("\n  queues        0 on worker 1\n  ipv6          fe80::1/64 tentative\n  hosts told    3 router advertisements, the last 10s ago, \
                           the next in 5m00s, 2 solicitations, prefixes 2001:db8::/64\n  note          no eth0\n"), "{text}");
    }
}
