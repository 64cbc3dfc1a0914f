//! `truing status`: what a running server is connected to, sees and lacks, as it says itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use truing_loops::text::counted;

use super::error::{CliError, Exit};
use super::{Context, runtime};

/// How long the server may take to answer.
const TIME: Duration = Duration::from_secs(10);

/// Show what a running server is connected to, sees and lacks
///
/// It asks the server at `server.listen`. Exit 0: it lacks nothing; 1: a forge refuses the token or is away, or the kill switch is on;
/// 3: no server answers.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// The answer of the server, and the command's for scripts.
#[derive(Serialize, Deserialize)]
struct ServerStatus {
    version: String,
    kill_switch: bool,
    leaves_existing: bool,
    forges: Vec<ForgeStatus>,
}

#[derive(Serialize, Deserialize)]
struct ForgeStatus {
    name: String,
    state: String,
    repositories: usize,
    open_pull_requests: usize,
}

pub(crate) fn run(_: &Args, context: &Context) -> Result<Exit, CliError> {
    let config = context.config(&[])?;
    let address = reachable(config.server.listen);
    let status = runtime::start()?.block_on(ask(address))?;
    context.output.answer(&status, || screen(&status, address))?;
    let lacks = status.kill_switch || status.forges.iter().any(|forge| lack(&forge.state).is_some());
    Ok(if lacks { Exit::No } else { Exit::Done })
}

/// An address of this machine, where a server listens on all of them.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(address: SocketAddr) -> Result<ServerStatus, CliError> {
    let url = format!("http://{address}/readyz?verbose");
    let failed = |error: reqwest::Error| {
        CliError::failed("no_server", format!("no server answers at {address}: {}", error.without_url()))
            .hint("`truing serve` starts one; `server.listen` says where")
    };
    let client = reqwest::Client::builder().no_proxy().timeout(TIME).build().map_err(failed)?;
    let answer = client.get(url).send().await.map_err(failed)?;
    if answer.status() == reqwest::StatusCode::SERVICE_UNAVAILABLE {
        let message = format!("the server at {address} is not ready: it cannot use its store");
        return Err(CliError::failed("not_ready", message).hint("its log says why"));
    }
    answer.error_for_status().map_err(failed)?.json().await.map_err(failed)
}

/// What a forge lacks, and what to do; none: nothing.
fn lack(state: &str) -> Option<&'static str> {
    match state {
        "token_refused" => Some("refuses the token: replace it and restart the server"),
        "away" => Some("does not answer: it is asked again now and then"),
        _ => None,
    }
}

fn screen(status: &ServerStatus, address: SocketAddr) -> String {
    let mut text = format!("Truing {} at {address}\n", status.version);
    if status.kill_switch {
        text += "kill switch: on; `truing kill status` says why\n";
    }
    if status.forges.is_empty() {
        text += "no forge is configured: nothing is reviewed\n";
    }
    for ForgeStatus { name, state, repositories, open_pull_requests } in &status.forges {
        text += &match (lack(state), state.as_str()) {
            (Some(lack), _) => format!("{name}: {lack}\n"),
            (None, "not_asked") => format!("{name}: not asked yet by this process\n"),
            (None, _) => format!(
                "{name}: {}, {}\n",
                counted(*repositories, "repository"),
                counted(*open_pull_requests, "open pull request"),
            ),
        };
    }
    if status.leaves_existing {
        text += "pull requests that were open before the first contact are left until they change\n";
    }
    text
}
