//! GRE and IPIP interfaces as they are: `show tunnels`.
use millrace_api::v1::{ListTunnelsRequest, Tunnel};

use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Kind, Value};
use crate::output::{Cell, Color, Output, Table};
use crate::session::Session;

const NAME: Value = Value { name: "NAME", kind: Kind::InterfaceOf(&["gre", "ipip"]), help: "this one, in full" };

pub const COMMANDS: &[Command] = &[Command {
    path: &["show", "tunnels"],
    args: &[Arg::Maybe(NAME)],
    help: "GRE and IPIP tunnels: their ends, their MTU, and what went through them",
    more: "A way that takes shorter packets than the tunnel's MTU allows is told of by ICMP, and believed for ten minutes: until then \
           senders hear of the lower MTU.\n\n  \
           show tunnels gre0",
    run: show,
}];

fn show(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListTunnelsRequest { interface: args.owned("NAME") };
    let reply = session.call(|mut client| async move { client.show.list_tunnels(request).await })?;
    let output = session.output;
    match (args.get("NAME"), reply.tunnels.first()) {
        (Some(_), Some(tunnel)) => session.print(tunnel, |tunnel| details(&output, tunnel)),
        _ => session.print(&reply.tunnels[..], |tunnels| table(&output, tunnels)),
    }
}

fn table(output: &Output, tunnels: &[Tunnel]) -> String {
    if tunnels.is_empty() {
        return "no tunnels\n".to_owned();
    }
    let columns = ["Name", "Driver", "Local", "Remote", ">Key", ">MTU", ">RX packets", ">TX packets", ">Errors"];
    let mut table = Table::new(output, &columns);
    for tunnel in tunnels {
        let local = Cell::from(&tunnel.local);
        let mtu = Cell::from(tunnel.usable_mtu);
        table.row([
            (&tunnel.interface).into(),
            (&tunnel.driver).into(),
            if tunnel.local_is_here { local } else { local.color(Color::Red) },
            (&tunnel.remote).into(),
            tunnel.key.map_or_else(|| "-".into(), Cell::from),
            if tunnel.usable_mtu < tunnel.mtu { mtu.color(Color::Yellow) } else { mtu },
            tunnel.rx_packets.into(),
            tunnel.tx_packets.into(),
            errors(tunnel).into(),
        ]);
    }
    table.text()
}

fn errors(tunnel: &Tunnel) -> u64 {
    tunnel.errors_too_big + tunnel.errors_unreachable + tunnel.errors_time_exceeded + tunnel.errors_other
}

fn details(output: &Output, tunnel: &Tunnel) -> String {
    let mut text = format!("{} ({})\n", output.paint(Color::Bold, &tunnel.interface), tunnel.driver);
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<8} {value}\n"));
    let missing = if tunnel.local_is_here { "" } else { " (no address of this router: nothing arrives)" };
    line("local", format!("{} vrf {}{missing}", tunnel.local, tunnel.underlay_vrf));
    line("remote", tunnel.remote.clone());
    if tunnel.driver == "gre" {
        let key = tunnel.key.map_or_else(|| "none".to_owned(), |key| key.to_string());
        line("key", format!("{key}, checksum {}", if tunnel.checksum { "sent and asked for" } else { "not sent" }));
    }
    line("outer", format!("ttl {}, tos {}, df {}, {} bytes", tunnel.ttl, tunnel.tos, tunnel.df, tunnel.overhead));
    let path = match (tunnel.path_mtu, tunnel.path_mtu_expires) {
        (Some(mtu), Some(left)) => {
            format!(", {} now: the way takes {mtu}, tried anew in {left} s", tunnel.usable_mtu)
        }
        _ => String::new(),
    };
    line("mtu", format!("{}{path}", tunnel.mtu));
    line("rx", format!("{} packets, {} bytes", tunnel.rx_packets, tunnel.rx_bytes));
    line("tx", format!("{} packets, {} bytes", tunnel.tx_packets, tunnel.tx_bytes));
    let kinds = [
        (tunnel.errors_too_big, "too big"),
        (tunnel.errors_unreachable, "unreachable"),
        (tunnel.errors_time_exceeded, "time exceeded"),
        (tunnel.errors_other, "other"),
    ];
    let heard: Vec<String> =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    line("errors", if heard.is_empty() { "none heard".to_owned() } else { heard.join(", ") });
    if let Some(last) = &tunnel.last_error {
        line("last", last.clone());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    const OUTPUT: Output = Output { format: Format::Table, colors: false, terminal: false };

    fn gre0() -> Tunnel {
        Tunnel {
            interface: "gre0".into(),
            driver: "gre".into(),
            local: "192.0.2.1".into(),
            local_is_here: true,
            remote: "198.51.100.9".into(),
            underlay_vrf: "default".into(),
            key: Some(7),
            checksum: false,
            ttl: 64,
            tos: "inherit".into(),
            df: "inherit".into(),
            mtu: 1472,
            usable_mtu: 1472,
            overhead: 28,
            rx_packets: 12,
            rx_bytes: 1200,
            tx_packets: 9,
            tx_bytes: 900,
            ..Tunnel::default()
        }
    }

    #[test]
    fn a_listing_is_a_table() {
        let ipip = Tunnel {
            interface: "ipip0".into(),
            driver: "ipip".into(),
            key: None,
            usable_mtu: 1260,
            errors_too_big: 1,
            errors_unreachable: 2,
            ..gre0()
        };
        assert_eq!(
            table(&OUTPUT, &[gre0(), ipip]),
            "Name   Driver  Local      Remote        Key   MTU  RX packets  TX packets  Errors\n\
             gre0   gre     192.0.2.1  198.51.100.9    7  1472          12           9       0\n\
             ipip0  ipip    192.0.2.1  198.51.100.9    -  1260          12           9       3\n"
        );
        assert_eq!(table(&OUTPUT, &[]), "no tunnels\n");
    }

    #[test]
    fn one_tunnel_is_described() {
        assert_eq!(
            details(&OUTPUT, &gre0()),
            "gre0 (gre)
  local    192.0.2.1 vrf default
  remote   198.51.100.9
  key      7, checksum not sent
  outer    ttl 64, tos inherit, df inherit, 28 bytes
  mtu      1472
  rx       12 packets, 1200 bytes
  tx       9 packets, 900 bytes
  errors   none heard
"
        );
        let narrow = Tunnel {
            driver: "ipip".into(),
            local_is_here: false,
            usable_mtu: 1260,
            path_mtu: Some(1280),
            path_mtu_expires: Some(590),
            errors_too_big: 1,
            errors_other: 4,
            last_error: Some("packet too big for 1280 bytes from 192.0.2.254, 10 s ago".into()),
            ..gre0()
        };
        assert_eq!(
            details(&OUTPUT, &narrow),
            "gre0 (ipip)
  local    192.0.2.1 vrf default (no address of this router: nothing arrives)
  remote   198.51.100.9
  outer    ttl 64, tos inherit, df inherit, 28 bytes
  mtu      1472, 1260 now: the way takes 1280, tried anew in 590 s
  rx       12 packets, 1200 bytes
  tx       9 packets, 900 bytes
  errors   1 too big, 4 other
  last     packet too big for 1280 bytes from 192.0.2.254, 10 s ago
"
        );
    }
}
