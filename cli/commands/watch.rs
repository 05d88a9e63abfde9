//! `watch routes`: routes as they change, until Ctrl-C.
use millrace_api::v1::route_news::What;
use millrace_api::v1::{ChangedRoute, WatchRoutesRequest};

use super::show_route::{Family, line};
use crate::error::Error;
use crate::grammar::{Arg, Args, Command, Kind, flag, keyword, maybe};
use crate::output::Color;
use crate::session::Session;

pub const COMMANDS: &[Command] = &[Command {
    path: &["watch", "routes"],
    args: &[
        maybe("PREFIX", Kind::Prefix, "only routes inside this prefix"),
        Arg::Option(flag("listing", "first those that there are")),
        Arg::Option(keyword("family", "FAMILY", Kind::Choice(&["ipv4", "ipv6"]), "only this address family")),
        Arg::Option(keyword("vrf", "VRF", Kind::Vrf, "only this VRF")),
        Arg::Option(keyword("count", "N", Kind::Number(1, u64::MAX), "end after so many")),
    ],
    help: "routes as they change",
    more: "Each line is the best route to a prefix from now on, or that there is none any more. Ctrl-C ends it. With `-o json` \
           each change is an object on a line of its own, whose `route` is null when it went.\n\n  \
           watch routes\n  \
           watch routes 10.0.0.0/8 listing vrf blue",
    run: watch,
}];

fn watch(session: &mut Session, args: &Args) -> Result<(), Error> {
    let request = WatchRoutesRequest {
        family: args.text("family"),
        vrf: args.owned("vrf"),
        prefix: args.owned("PREFIX"),
        listing: args.has("listing"),
    };
    let mut left: u64 = args.number("count").unwrap_or(u64::MAX);
    let mut stream = session.call(|mut client| async move { client.operate.watch_routes(request).await })?;
    loop {
        let changes: Vec<ChangedRoute> = match session.next(&mut stream) {
            Ok(Some(news)) => match news.what {
                Some(What::Listed(routes)) => {
                    let now = |route: millrace_api::v1::Route| ChangedRoute {
                        prefix: route.prefix.clone(),
                        vrf: route.vrf.clone(),
                        route: Some(route),
                    };
                    routes.routes.into_iter().map(now).collect()
                }
                Some(What::Changed(changed)) => changed.changes,
                Some(What::Lagged(lagged)) => {
                    eprintln!("{} changes were missed; all routes follow", lagged.missed);
                    Vec::new()
                }
                Some(What::End(_)) | None => Vec::new(),
            },
            // Ctrl-C ends a watch, it does not fail it.
            Ok(None) | Err(Error::Interrupted) => return Ok(()),
            Err(error) => return Err(error),
        };
        for change in changes {
            if left == 0 {
                break;
            }
            let output = session.output;
            output.print_item(&change, |change| match &change.route {
                Some(route) => line(Family::of(&change.prefix), route),
                None => output.paint(Color::Red, &format!("{} vrf {} is gone", change.prefix, change.vrf)) + "\n",
            })?;
            left -= 1;
        }
        if left == 0 {
            return Ok(());
        }
    }
}
