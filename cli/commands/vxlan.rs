//! VXLAN interfaces as they are: `show vxlan`.
use millrace_api::v1::{ListVxlanRequest, VxlanInterface};

use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Kind, Value};
use crate::output::{Cell, Color, Output, Table};
use crate::session::Session;

const NAME: Value = Value { name: "NAME", kind: Kind::InterfaceOf(&["vxlan"]), help: "this one, with its remotes" };

pub const COMMANDS: &[Command] = &[Command {
    path: &["show", "vxlan"],
    args: &[Arg::Maybe(NAME)],
    help: "VXLAN interfaces, their remotes, and what went to those and came from them",
    more: "Frames to unknown stations, broadcasts and multicasts go to each static remote. Learnt remotes get frames to the stations \
           behind them, and are forgotten when they are silent and no station is behind them.",
    run: show,
}];

fn show(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListVxlanRequest { interface: args.owned("NAME") };
    let reply = session.call(|mut client| async move { client.show.list_vxlan(request).await })?;
    let output = session.output;
    match (args.get("NAME"), reply.interfaces.first()) {
        (Some(_), Some(interface)) => session.print(interface, |interface| details(&output, interface)),
        _ => session.print(&reply.interfaces[..], |interfaces| table(&output, interfaces)),
    }
}

fn table(output: &Output, interfaces: &[VxlanInterface]) -> String {
    if interfaces.is_empty() {
        return "no VXLAN interfaces\n".to_owned();
    }
    let mut table = Table::new(output, &["Name", ">VNI", "Local", "Bridge", ">Static", ">Learnt", ">Stations"]);
    for interface in interfaces {
        let learnt = interface.remotes.iter().filter(|remote| remote.origin == "learnt").count();
        let local = Cell::from(&interface.local);
        table.row([
            (&interface.interface).into(),
            interface.vni.into(),
            if interface.local_is_here { local } else { local.color(Color::Red) },
            interface.bridge.as_deref().unwrap_or("-").into(),
            (interface.remotes.len() - learnt).into(),
            learnt.into(),
            interface.remotes.iter().map(|remote| remote.stations).sum::<u32>().into(),
        ]);
    }
    table.text()
}

fn details(output: &Output, interface: &VxlanInterface) -> String {
    let mut text = format!("{}\n", output.paint(Color::Bold, &interface.interface));
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<10} {value}\n"));
    line("vni", interface.vni.to_string());
    let missing = if interface.local_is_here { "" } else { " (no address of this router: nothing arrives)" };
    line("local", format!("{} port {} vrf {}{missing}", interface.local, interface.port, interface.underlay_vrf));
    line("bridge", interface.bridge.clone().unwrap_or_else(|| "none".to_owned()));
    let learn = if interface.learn_remotes { "learnt" } else { "not learnt" };
    line("remotes", format!("{}, others {learn}", interface.remotes.len()));
    let VxlanInterface { udp_checksum, ttl, df, mtu, .. } = interface;
    // There is none in an IPv6 header.
    let df = if interface.local.contains(':') { String::new() } else { format!(" df {df},") };
    line("outer", format!("udp-checksum {udp_checksum}, ttl {ttl},{df} mtu {mtu}"));
    if !interface.remotes.is_empty() {
        let columns = ["Remote", "Origin", ">Stations", ">RX packets", ">RX bytes", ">TX packets", ">TX bytes"];
        let mut table = Table::new(output, &columns);
        for remote in &interface.remotes {
            table.row([
                (&remote.address).into(),
                (&remote.origin).into(),
                remote.stations.into(),
                remote.rx_packets.into(),
                remote.rx_bytes.into(),
                remote.tx_packets.into(),
                remote.tx_bytes.into(),
            ]);
        }
        text.push_str(&format!("\n{}", table.text()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;
    use millrace_api::v1::VxlanRemote;

    const OUTPUT: Output = Output { format: Format::Table, colors: false, terminal: false };

    fn vx0() -> VxlanInterface {
        let remote = |address: &str, origin: &str, stations| VxlanRemote {
            address: address.into(),
            origin: origin.into(),
            stations,
            rx_packets: 7,
            rx_bytes: 700,
            tx_packets: 12,
            tx_bytes: 9000,
        };
        VxlanInterface {
            interface: "vx0".into(),
            vni: 100,
            local: "192.0.2.1".into(),
            local_is_here: true,
            port: 4789,
            underlay_vrf: "default".into(),
            bridge: Some("br0".into()),
            learn_remotes: true,
            udp_checksum: "auto".into(),
            ttl: 64,
            df: "clear".to_owned(),
            mtu: 1450,
            remotes: vec![remote("192.0.2.2", "static", 3), remote("192.0.2.30", "learnt", 1)],
        }
    }

    #[test]
    fn a_listing_is_a_table() {
        let routed = VxlanInterface { bridge: None, remotes: Vec::new(), interface: "vx1".into(), ..vx0() };
        assert_eq!(
            table(&OUTPUT, &[vx0(), routed]),
            "Name  VNI  Local      Bridge  Static  Learnt  Stations\n\
             vx0   100  192.0.2.1  br0          1       1         4\n\
             vx1   100  192.0.2.1  -            0       0         0\n"
        );
        assert_eq!(table(&OUTPUT, &[]), "no VXLAN interfaces\n");
    }

    #[test]
    fn one_interface_is_described() {
        assert_eq!(
            details(&OUTPUT, &vx0()),
            "vx0
  vni        100
  local      192.0.2.1 port 4789 vrf default
  bridge     br0
  remotes    2, others learnt
  outer      udp-checksum auto, ttl 64, df clear, mtu 1450

Remote      Origin  Stations  RX packets  RX bytes  TX packets  TX bytes
192.0.2.2   static         3           7       700          12      9000
192.0.2.30  learnt         1           7       700          12      9000
"
        );
        let lonely =
            VxlanInterface { local_is_here: false, learn_remotes: false, bridge: None, remotes: Vec::new(), ..vx0() };
        let text = details(&OUTPUT, &lonely);
        assert!(
            text.contains("192.0.2.1 port 4789 vrf default (no address of this router: nothing arrives)\n"),
            "{text}"
        );
        assert!(text.ends_with(
            "  bridge     none\n  remotes    0, others not learnt\n  outer      udp-checksum auto, ttl 64, df clear, mtu 1450\n"
        ));
    }
}
