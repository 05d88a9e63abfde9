//! `show nat44 summary`.
use std::collections::BTreeMap;

use millrace_api::v1::{GetNat44SummaryRequest, Nat44Log, Nat44Summary};

use crate::error::Error;
use crate::grammar::Args;
use crate::output::{self, Output, Table};
use crate::session::Session;

pub fn show(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = GetNat44SummaryRequest { hosts: args.number("hosts").unwrap_or(0) };
    let summary = session.call(|mut client| async move { client.show.get_nat44_summary(request).await })?;
    let output = session.output;
    session.print(&summary, |summary| text(&output, summary))
}

fn text(output: &Output, summary: &Nat44Summary) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("{name:<12}  {value}\n"));
        }
    };
    line("sessions", format!("{} of {}{}", summary.sessions, summary.max_sessions, percent(summary)));
    line("by protocol", counts(&summary.by_protocol));
    line("by state", counts(&summary.by_state));
    line("mappings", format!("{} with {} external ports", summary.mappings, summary.ports_used));
    line("hosts", format!("{}, at most {} sessions each", summary.hosts, summary.max_sessions_per_host));
    line("memory", output::bytes(summary.memory));
    line("refused", counts(&summary.refusals));
    if let Some(Nat44Log { told, suppressed, unsent }) = summary.log {
        line("log", format!("{told} told, {suppressed} suppressed, {unsent} not sent"));
    }
    if !summary.addresses.is_empty() {
        let mut table = Table::new(output, &["Address", ">TCP ports", ">UDP ports", ">ICMP identifiers"]);
        for one in &summary.addresses {
            table.row([(&one.address).into(), one.tcp_ports.into(), one.udp_ports.into(), one.icmp_ids.into()]);
        }
        text.push_str(&format!("\n{}", table.text()));
    }
    if !summary.top_hosts.is_empty() {
        let mut table = Table::new(output, &["Busiest host", "VRF", ">Sessions"]);
        for host in &summary.top_hosts {
            table.row([(&host.address).into(), (&host.vrf).into(), host.sessions.into()]);
        }
        text.push_str(&format!("\n{}", table.text()));
    }
    text
}

/// ` (12 %)` of the most that can be; nothing where there is no most.
fn percent(summary: &Nat44Summary) -> String {
    let share = (summary.sessions * 100).checked_div(summary.max_sessions);
    share.map_or(String::new(), |share| format!(" ({share} %)"))
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    counts.iter().map(|(word, count)| format!("{word} {count}")).collect::<Vec<_>>().join(", ")
}
