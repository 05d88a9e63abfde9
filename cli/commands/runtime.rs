//! What the workers and nodes do: `show runtime`, `show workers`.
use millrace_api::v1::{GetRuntimeRequest, ListWorkersRequest, NodeRuntime, Runtime, Worker};

use crate::error::Error;
use crate::grammar::{Args, Command};
use crate::output::{self, Output, Table};
use crate::session::Session;

pub const COMMANDS: &[Command] = &[
    Command {
        path: &["show", "runtime"],
        args: &[],
        help: "what every node did, per worker and in total",
        more: "Since the last `clear runtime`. Packets/call is the size of a vector; clocks are those of the time stamp \
               counter.\nWith -o json: a row for each node and worker, without totals; the heading is `show workers`.",
        run: runtime,
    },
    Command {
        path: &["show", "workers"],
        args: &[],
        help: "workers, their CPUs, load and rates",
        more: "",
        run: workers,
    },
];

fn runtime(session: &mut Session, _: &Args) -> Result<(), Error> {
    let runtime = session.call(|mut client| async move { client.show.get_runtime(GetRuntimeRequest {}).await })?;
    let output = session.output;
    session.print(&runtime.nodes[..], |_| runtime_text(&output, &runtime))
}

fn workers(session: &mut Session, _: &Args) -> Result<(), Error> {
    let reply = session.call(|mut client| async move { client.show.list_workers(ListWorkersRequest {}).await })?;
    let output = session.output;
    session.print(&reply.workers[..], |workers| workers_table(&output, workers))
}

fn runtime_text(output: &Output, runtime: &Runtime) -> String {
    let mut text = format!(
        "{:.1} seconds, {} packets/s in, {} packets/s out, load {:.1} %\n",
        runtime.span_seconds,
        output::rate(runtime.rx_pps),
        output::rate(runtime.tx_pps),
        runtime.load_percent
    );
    let parts: Vec<&[NodeRuntime]> = runtime.nodes.chunk_by(|a, b| a.worker == b.worker).collect();
    for nodes in &parts {
        text.push_str(&format!("\nworker {}\n", nodes.first().map_or(0, |node| node.worker)));
        text.push_str(&nodes_table(output, nodes));
    }
    if parts.len() > 1 {
        text.push_str("\nall workers\n");
        text.push_str(&nodes_table(output, &totals(&runtime.nodes)));
    }
    text
}

/// The sum over the workers for each node, in the order in which nodes first appear.
fn totals(nodes: &[NodeRuntime]) -> Vec<NodeRuntime> {
    let mut totals: Vec<NodeRuntime> = Vec::new();
    for node in nodes {
        match totals.iter_mut().find(|total| total.node == node.node) {
            Some(total) => {
                total.calls += node.calls;
                total.vectors += node.vectors;
                total.packets += node.packets;
                total.clocks += node.clocks;
            }
            None => totals.push(node.clone()),
        }
    }
    let ratio = |of: u64, by: u64| if by == 0 { 0.0 } else { of as f64 / by as f64 };
    for total in &mut totals {
        total.packets_per_call = ratio(total.packets, total.vectors);
        total.clocks_per_packet = ratio(total.clocks, total.packets);
    }
    totals
}

fn nodes_table(output: &Output, nodes: &[NodeRuntime]) -> String {
    let columns = ["Node", ">Calls", ">Vectors", ">Packets", ">Packets/call", ">Clocks/packet"];
    let mut table = Table::new(output, &columns);
    for node in nodes {
        table.row([
            (&node.node).into(),
            node.calls.into(),
            node.vectors.into(),
            node.packets.into(),
            format!("{:.2}", node.packets_per_call).into(),
            format!("{:.1}", node.clocks_per_packet).into(),
        ]);
    }
    table.text()
}

fn workers_table(output: &Output, workers: &[Worker]) -> String {
    let mut table = Table::new(output, &[">Worker", ">CPU", "Mode", ">Load %", ">RX/s", ">TX/s", "Queues"]);
    for worker in workers {
        table.row([
            worker.worker.into(),
            worker.cpu.map_or("any".to_owned(), |cpu| cpu.to_string()).into(),
            (&worker.mode).into(),
            format!("{:.1}", worker.load_percent).into(),
            output::rate(worker.rx_pps).into(),
            output::rate(worker.tx_pps).into(),
            worker.queues.join(" ").into(),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    const OUTPUT: Output = Output { format: Format::Table, colors: false, terminal: false };

    fn node(node: &str, worker: u32, vectors: u64, packets: u64, clocks: u64) -> NodeRuntime {
        NodeRuntime { node: node.into(), worker, calls: vectors + 1, vectors, packets, clocks, ..Default::default() }
    }

    #[test]
    fn totals_are_weighed_by_packets_not_averaged() {
        let nodes =
            [node("a", 0, 2, 10, 1000), node("b", 0, 1, 1, 5), node("a", 1, 3, 90, 1000), node("b", 1, 0, 0, 0)];
        let totals = totals(&nodes);
        assert_eq!(totals.len(), 2);
        assert_eq!((totals[0].calls, totals[0].packets), (7, 100));
        assert_eq!((totals[0].packets_per_call, totals[0].clocks_per_packet), (20.0, 20.0));
        assert_eq!((totals[1].packets_per_call, totals[1].clocks_per_packet), (1.0, 5.0));
    }

    #[test]
    fn one_worker_needs_no_total() {
        let node =
            NodeRuntime { packets_per_call: 5.0, clocks_per_packet: 100.04, ..node("ip4-input", 0, 2, 10, 1000) };
        let mut runtime =
            Runtime { span_seconds: 10.0, rx_pps: 1e6, tx_pps: 0.0, load_percent: 12.345, nodes: vec![node] };
        assert_eq!(
            runtime_text(&OUTPUT, &runtime),
            "10.0 seconds, 1.00M packets/s in, 0 packets/s out, load 12.3 %\n\
             \n\
             worker 0\n\
             Node       Calls  Vectors  Packets  Packets/call  Clocks/packet\n\
             ip4-input      3        2       10          5.00          100.0\n"
        );
        runtime.nodes.push(NodeRuntime { worker: 1, ..runtime.nodes[0].clone() });
        assert!(runtime_text(&OUTPUT, &runtime).contains("\nall workers\n"));
    }
}
