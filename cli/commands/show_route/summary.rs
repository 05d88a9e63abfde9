//! `show ip route summary`: how many routes there are.
use millrace_api::v1::{GetRouteSummaryRequest, RouteTable};

use crate::error::Error;
use crate::output::{Output, Table};
use crate::session::Session;

pub fn show(session: &mut Session, family: &str, vrf: Option<String>) -> Result<(), Error> {
    let request = GetRouteSummaryRequest { family: family.to_owned(), vrf };
    let reply = session.call(|mut client| async move { client.show.get_route_summary(request).await })?;
    let output = session.output;
    session.print(&reply.tables[..], |tables| {
        tables.iter().map(|summary| text(&output, summary)).collect::<Vec<_>>().join("\n")
    })
}

fn text(output: &Output, summary: &RouteTable) -> String {
    let mut origins = Table::new(output, &["Origin", ">Routes"]);
    for origin in &summary.by_origin {
        origins.row([(&origin.origin).into(), origin.count.into()]);
    }
    let mut lengths = Table::new(output, &["Length", ">Routes"]);
    for length in &summary.by_length {
        lengths.row([format!("/{}", length.length).into(), length.count.into()]);
    }
    let mut text = format!("VRF {}: {} {} routes\n", summary.vrf, summary.total, summary.family);
    if summary.total > 0 {
        text.push_str(&format!("\n{}\n{}", origins.text(), lengths.text()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;
    use millrace_api::v1::{LengthCount, OriginCount};

    #[test]
    fn counts_stand_below_each_other() {
        let output = Output { format: Format::Table, colors: false, terminal: false };
        let origin = |origin: &str, count| OriginCount { origin: origin.into(), count };
        let summary = RouteTable {
            vrf: "default".into(),
            family: "ipv4".into(),
            total: 1_000_002,
            by_origin: vec![origin("bgp", 1_000_000), origin("connected", 2)],
            by_length: vec![LengthCount { length: 24, count: 1_000_001 }, LengthCount { length: 32, count: 1 }],
        };
        assert_eq!(
            text(&output, &summary),
            "VRF default: 1000002 ipv4 routes\n\nOrigin      Routes\nbgp        1000000\nconnected        2\n\n\
             Length   Routes\n/24     1000001\n/32           1\n"
        );
        let none = RouteTable { vrf: "blue".into(), family: "ipv6".into(), ..Default::default() };
        assert_eq!(text(&output, &none), "VRF blue: 0 ipv6 routes\n");
    }
}
