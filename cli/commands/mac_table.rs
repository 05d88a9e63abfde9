//! The stations behind the ports of bridges: `show mac-table`, `clear mac-table`.
use millrace_api::v1::{ClearMacTableRequest, ListMacTableRequest, MacEntry};

use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Keyword, Kind, Value, flag, keyword};
use crate::output::{self, Format, Listing};
use crate::session::Session;

const BRIDGE: Value = Value { name: "BRIDGE", kind: Kind::Bridge, help: "only stations of this bridge" };
const INTERFACE: Keyword = keyword("interface", "NAME", Kind::Interface, "only those behind this interface");

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["show", "mac-table"],
        args: &[
            Arg::Maybe(BRIDGE),
            Arg::Option(INTERFACE),
            Arg::Option(keyword("mac", "MAC", Kind::Mac, "only this hardware address")),
            Arg::Option(keyword("vlan", "VLAN", Kind::Number(0, 4094), "only those of this VLAN; 0: of none")),
            Arg::Option(flag("static", "only those that neither move nor age")),
            Arg::Option(keyword("limit", "N", Kind::Number(1, u32::MAX as u64), "no more than this many")),
        ],
        help: "stations that bridges know: behind which port, and when they were last heard",
        more: "All that is given must hold. A million stations may be listed: many are printed as they come, a few in order.\n\n  \
               show mac-table br0 interface c1\n  \
               show mac-table mac 02:00:00:00:00:07",
        run: show,
    },
    Command {
        path: &["clear", "mac-table"],
        args: &[Arg::Maybe(BRIDGE), Arg::Option(INTERFACE)],
        help: "stations that bridges learnt; static ones stay",
        more: "All that is given must hold. Frames to stations that are forgotten are flooded until those are heard again.\n\n  \
               clear mac-table br0 interface c1",
        run: clear,
    },
];

fn show(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ListMacTableRequest {
        bridge: args.owned("BRIDGE"),
        interface: args.owned("interface"),
        mac: args.owned("mac"),
        vlan: args.number("vlan"),
        r#static: args.has("static"),
        limit: args.number("limit").unwrap_or(0),
    };
    let mut stream = session.call(|mut client| async move { client.show.list_mac_table(request).await })?;
    let mut listing = Listing::new(&session.output, &line(&HEADINGS));
    while let Some(batch) = session.next(&mut stream)? {
        listing.add(&batch.entries, |one| format!("{}\n", line(&cells(one))))?;
    }
    listing.finish("no stations\n")
}

const HEADINGS: [&str; 6] = ["Bridge", "VLAN", "MAC", "Interface", "Age", "Remote"];

fn cells(one: &MacEntry) -> [String; 6] {
    [
        one.bridge.clone(),
        match one.vlan {
            None | Some(0) => "-".to_owned(),
            Some(vlan) => vlan.to_string(),
        },
        one.mac.clone(),
        one.interface.clone(),
        match one.age {
            _ if one.r#static => "static".to_owned(),
            age => age.map_or_else(String::new, |age| output::seconds(age.into())),
        },
        one.remote.clone().unwrap_or_default(),
    ]
}

/// A line of the table. The columns have widths of their own, because the last station has not come when the first is printed.
fn line(cells: &[impl AsRef<str>; 6]) -> String {
    let [bridge, vlan, mac, interface, age, remote] = cells.each_ref().map(AsRef::as_ref);
    format!("{bridge:<10}  {vlan:>4}  {mac:<17}  {interface:<16}  {age:>7}  {remote}").trim_end().to_owned()
}

fn clear(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = ClearMacTableRequest { bridge: args.owned("BRIDGE"), interface: args.owned("interface") };
    let reply = session.call(|mut client| async move { client.operate.clear_mac_table(request).await })?;
    if session.output.format != Format::Table {
        return session.print(&reply, |_| String::new());
    }
    let stations = if reply.stations == 1 { "station" } else { "stations" };
    session.output.print_line(&format!("{} {stations} forgotten", reply.stations))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_station_is_a_line() {
        let learnt = MacEntry {
            bridge: "br0".into(),
            mac: "02:00:00:00:00:07".into(),
            interface: "c1".into(),
            age: Some(75),
            vlan: Some(10),
            ..MacEntry::default()
        };
        let own = MacEntry { r#static: true, age: None, vlan: None, interface: "br0".into(), ..learnt.clone() };
        let remote = MacEntry { remote: Some("192.0.2.7".into()), vlan: Some(0), ..learnt.clone() };
        assert_eq!(line(&HEADINGS), "Bridge      VLAN  MAC                Interface             Age  Remote");
        assert_eq!(line(&cells(&learnt)), "br0           10  02:00:00:00:00:07  c1                  1m15s");
        assert_eq!(line(&cells(&own)), "br0            -  02:00:00:00:00:07  br0                static");
        assert_eq!(line(&cells(&remote)), "br0            -  02:00:00:00:00:07  c1                  1m15s  192.0.2.7");
    }
}
