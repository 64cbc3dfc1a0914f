//! The command `truing status`: asks a running server for its connections, its work and its problems, and
//! prints them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use truing_config::Config;
use truing_core::port::OperatorStore as _;
use truing_loops::text::format_count;
use truing_service::status::{ForgeStatus, ServerStatus, StatusError, WorkStatus, fetch_status};
use truing_store::serving_process;

use super::columns::fold_line;
use super::error::{CliError, CommandExit};
use super::target::open_existing_store;
use super::{CommandContext, OutputPrinter, runtime};
use crate::wiring::store::StoreLocation;

/// Timeout of the status request.
const STATUS_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of the status request in other commands, which print the server's problems in addition to their
/// own output.
const SHORT_STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// The problem of a forge that refuses the token, with its solution.
const REFUSED_TOKEN_PROBLEM: &str = "refuses the token: no sweep runs; the server tries the token again with \
                                     each sweep, and a new token needs a restart of the server";

/// Show the connections, the work and the problems of a running server
///
/// The command sends a request to the server at `server.listen`. Exit 0: the server has no problem; 1: a
/// forge rejects the token or is unreachable, a kill switch is on, the runtime of reviews cannot be used, or
/// entries of the queue are, or may be, unreadable; 3: no server answers.
#[derive(clap::Args, Debug)]
pub struct StatusArgs {}

pub(crate) fn run(_: &StatusArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let config = context.config(&[])?;
    let address = reachable_address(config.server.listen);
    let status = runtime::start()?.block_on(fetch_status(address, STATUS_TIMEOUT)).map_err(|error| {
        let message = error.to_string();
        match error {
            StatusError::NotReady(_) => {
                CliError::failure("not_ready", message).hint("the server's log shows why")
            }
            StatusError::NoServer(..) => CliError::failure("no_server", message)
                .hint("`truing serve` starts a server; `server.listen` sets its address"),
        }
    })?;
    let names = match status.kill_switch_repositories {
        0 => Vec::new(),
        _ => runtime::start()?.block_on(list_halted_repositories(&config, context)),
    };
    context.output.print_answer(&status, || render_text(&status, &names, address, context.output))?;
    let lacks = status.kill_switch
        || status.kill_switch_repositories > 0
        || status.work.unreadable != Some(0)
        || status.runtime.as_ref().is_some_and(|runtime| runtime.problem.is_some())
        || status.forges.iter().any(|forge| forge_problem(&forge.state).is_some());
    Ok(if lacks { CommandExit::NegativeAnswer } else { CommandExit::Success })
}

/// Returns the address for requests: the loopback address if the server listens on all addresses.
fn reachable_address(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) => IpAddr::V4(if ip.is_unspecified() { Ipv4Addr::LOCALHOST } else { ip }),
        IpAddr::V6(ip) => IpAddr::V6(if ip.is_unspecified() { Ipv6Addr::LOCALHOST } else { ip }),
    };
    SocketAddr::new(ip, listen.port())
}

/// Returns the description and the solution of the problem that a forge in this state has, or none.
fn forge_problem(state: &str) -> Option<&'static str> {
    match state {
        "token_refused" => Some(REFUSED_TOKEN_PROBLEM),
        "away" => Some("does not answer: the server tries again from time to time"),
        _ => None,
    }
}

/// Returns the problems that this store's server has with its forges, one line per forge. Other commands
/// print these lines in addition to the store's records.
///
/// The status request is sent to the address in the server's lock file. With Valkey or PostgreSQL there is no
/// lock file, so the request is sent to `server.listen` on this machine. The running server reports the
/// problems, so outdated problems are never shown. The list is empty if no server answers, or if the server's
/// role does not sweep.
pub(super) async fn forge_problems(config: &Config, location: &StoreLocation) -> Vec<String> {
    let address = match location.file_path() {
        None => Some(config.server.listen),
        Some(file) => serving_process(file).and_then(|server| server.listen_address?.parse().ok()),
    };
    let Some(address) = address.map(reachable_address).filter(|address| address.port() != 0) else {
        return Vec::new();
    };
    let Ok(status) = fetch_status(address, SHORT_STATUS_TIMEOUT).await else { return Vec::new() };
    let forge_problem = |forge: &ForgeStatus| match forge.state.as_str() {
        "token_refused" => Some(format!("{} {REFUSED_TOKEN_PROBLEM}", forge.name)),
        "away" => Some(format!("{} does not answer: no sweep runs until this forge answers", forge.name)),
        _ => None,
    };
    status.forges.iter().filter_map(forge_problem).collect()
}

/// Returns the names of the repositories whose kill switch is on. The names are read from the store, because
/// the server's status contains only the number of these repositories. The list is empty if the store cannot
/// be read.
async fn list_halted_repositories(config: &Config, context: &CommandContext) -> Vec<String> {
    let Ok(Some(store)) = open_existing_store(config, &context.environment).await else { return Vec::new() };
    let Ok(switches) = store.kill_switches().await else { return Vec::new() };
    switches.repositories.into_iter().map(|switch| switch.repository.name).collect()
}

fn render_text(
    status: &ServerStatus,
    halted_repositories: &[String],
    address: SocketAddr,
    output: OutputPrinter,
) -> String {
    let reason = output.command_line("kill status");
    let mut text = format!("Truing {} at {address}\n", status.version);
    if status.kill_switch {
        text += &format!("kill switch: on; `{reason}` shows the reason\n");
    }
    if status.kill_switch_repositories > 0 {
        let repositories = format_count(status.kill_switch_repositories, "repository");
        let names = if halted_repositories.is_empty() {
            String::new()
        } else {
            format!(" ({})", halted_repositories.join(", "))
        };
        text += &fold_line(
            "kill switch: ",
            &format!("on for {repositories}{names}; `{reason}` shows the reason"),
        );
    }
    if status.forges.is_empty() {
        text += "no forge is configured: nothing is reviewed\n";
    }
    for forge in &status.forges {
        let ForgeStatus { name, state, repositories, repositories_waiting, open_pull_requests, swept_at } =
            forge;
        text += &match (forge_problem(state), state.as_str()) {
            (Some(lack), _) => fold_line(&format!("{name}: "), lack),
            (None, "not_asked") => format!("{name}: no sweep has ended yet; webhooks are served\n"),
            (None, _) => {
                let waiting = match repositories_waiting {
                    0 => String::new(),
                    waiting => format!("; {waiting} more not checked yet"),
                };
                let repositories = format_count(*repositories, "repository");
                let open = format_count(*open_pull_requests, "open pull request");
                let since =
                    swept_at.as_ref().map(|time| format!(" (counted since {time})")).unwrap_or_default();
                fold_line(&format!("{name}: "), &format!("{repositories}, {open}{since}{waiting}"))
            }
        };
    }
    if let Some(problem) = status.runtime.as_ref().and_then(|runtime| runtime.problem.as_ref()) {
        text += &fold_line(
            "runtime: ",
            &format!(
                "{problem}: reviews use only the rules; a later review checks the program again, and the \
                    server's log shows details"
            ),
        );
    }
    text += &render_work(status.work, output);
    if status.leaves_existing {
        text += "pull requests opened before the first sweep are not reviewed until they change\n";
    }
    text
}

/// Returns a line about the queue, a line about the budgets, and a line for each kind of entry that needs a
/// person, if there are any.
fn render_work(work: WorkStatus, output: OutputPrinter) -> String {
    let list = output.command_line("queue list");
    let (Some(waiting), Some(running), Some(parked), Some(unreadable)) =
        (work.waiting, work.running, work.parked, work.unreadable)
    else {
        return "queue: unknown, because the store did not answer\n".to_owned();
    };
    let oldest = work.oldest_due_seconds.map(|seconds| format!("; the oldest has been due for {seconds} s"));
    let mut text = format!("queue: {waiting} waiting, {running} running{}\n", oldest.unwrap_or_default());
    if let Some(percent) = work.budget_used_percent {
        let command = output.command_line("budget show");
        text += &fold_line("budget: ", &format!("{percent} % of a limit is spent; see `{command}`"));
    }
    for (state, count) in [("parked", parked), ("unreadable", unreadable)] {
        if count > 0 {
            text += &format!("{state}: {} of the queue; see `{list}`\n", format_count(count, "entry"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use truing_core::outcome::ReviewRuntime;
    use truing_service::status::RuntimeStatus;

    use super::*;
    use crate::cli::{CliFormat, ColorWhen};

    fn idle_server_status() -> ServerStatus {
        ServerStatus {
            status: "ready".to_owned(),
            version: "1.0.0".to_owned(),
            kill_switch: false,
            kill_switch_repositories: 0,
            leaves_existing: false,
            forges: Vec::new(),
            work: WorkStatus::default(),
            runtime: None,
        }
    }

    #[test]
    fn a_line_with_the_names_of_halted_repositories_fits_80_columns() {
        let status = ServerStatus { kill_switch_repositories: 2, ..idle_server_status() };
        let names = ["an-organisation/its-repository".to_owned(), "another/one".to_owned()];
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        let output = OutputPrinter::new(CliFormat::Text, false, 0, ColorWhen::Never);
        let text = render_text(&status, &names, address, output);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            line.contains(
                "kill switch: on for 2 repositories (an-organisation/its-repository, another/one); `truing \
                 kill status` shows the reason"
            ),
            "{text}"
        );
    }

    #[test]
    fn shows_runtime_that_cannot_be_used() {
        let runtime = |problem: Option<&str>| {
            Some(RuntimeStatus { name: ReviewRuntime::Cli, problem: problem.map(str::to_owned) })
        };
        let problem = runtime(Some("the program claude cannot be found"));
        let status = ServerStatus { runtime: problem, ..idle_server_status() };
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        let output = OutputPrinter::new(CliFormat::Text, false, 0, ColorWhen::Never);
        let text = render_text(&status, &[], address, output);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("\nruntime: the program claude cannot be found: reviews use only"), "{text}");
        let status = ServerStatus { runtime: runtime(None), ..status };
        let text = render_text(&status, &[], address, output);
        assert!(!text.contains("runtime"), "{text}");
    }

    #[test]
    fn the_queue_the_budget_and_slots_that_need_a_person_are_shown() {
        let output = OutputPrinter::new(CliFormat::Text, false, 0, ColorWhen::Never);
        let none = WorkStatus::default();
        assert_eq!(render_work(none, output), "queue: unknown, because the store did not answer\n");
        let idle =
            WorkStatus { waiting: Some(0), running: Some(0), parked: Some(0), unreadable: Some(0), ..none };
        assert_eq!(render_work(idle, output), "queue: 0 waiting, 0 running\n");
        let busy = WorkStatus {
            waiting: Some(3),
            running: Some(1),
            oldest_due_seconds: Some(90),
            parked: Some(2),
            unreadable: Some(1),
            budget_used_percent: Some(40),
        };
        assert_eq!(
            render_work(busy, output),
            "queue: 3 waiting, 1 running; the oldest has been due for 90 s\n\
             budget: 40 % of a limit is spent; see `truing budget show`\n\
             parked: 2 entries of the queue; see `truing queue list`\n\
             unreadable: 1 entry of the queue; see `truing queue list`\n"
        );
    }
}
