//! Tests that a server counts the end of each run once, even if the run fails, and that the counts agree with
//! `truing report`.

use crate::support::home::wait_until;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use truing_fakes::forge::{ForgeFault, ForgeFaultKind};

use super::site::Site;
use super::stop;

/// The kinds of ends that the metrics and the report count.
const ENDS: [&str; 5] = ["done", "partial", "skipped", "deferred", "failed"];

/// Starts a server that accepts no webhooks. Returns its process and the address of its metrics.
fn serve(site: &Site) -> (Child, String) {
    let mut command = site.command(&["serve", "--role", "worker", "--listen", "127.0.0.1:0"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let listens =
        |line: String| Some(line.split_once("health and metrics: http://")?.1.split_once('/')?.0.to_owned());
    let address = lines.find_map(listens).unwrap();
    // The thread reads the log until its end, because the server would block if the pipe was full.
    std::thread::spawn(move || lines.for_each(drop));
    (child, address)
}

/// Returns the server's number of ended runs for each kind in [`ENDS`].
fn count_ends(address: &str) -> [u64; 5] {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut metrics = String::new();
    stream.read_to_string(&mut metrics).unwrap();
    ENDS.map(|end| {
        let name = format!("truing_runs_total{{loop=\"sync\",outcome=\"{end}\"}} ");
        let count = metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok());
        count.unwrap_or_else(|| panic!("{name}: {metrics}"))
    })
}

/// Returns the number of recorded runs for each kind in [`ENDS`], according to `truing report`.
async fn count_recorded_ends(site: &Site) -> [u64; 5] {
    let report = site.run(&["report", "--loop", "sync"]).await.json;
    ENDS.map(|end| report["sync"]["kinds"][end].as_u64().unwrap_or(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_of_a_job_is_counted_once_and_failures_are() {
    let site = Site::new().await;
    site.publish_release("1.0.1");
    site.replace_in_config("[sync.demo]", "[sync.demo]\ncron = \"* * * * * *\"");
    let down = ForgeFault::on_call("GET", "/repos/acme/ours$", ForgeFaultKind::Status(500, None));
    site.forge.add_fault(down.times(u32::MAX));
    // The server runs this second job in turn with the first one.
    site.add_other_project().await;
    let (mut server, address) = serve(&site);
    wait_until("a failure", async || count_recorded_ends(&site).await[4] == 1).await;
    // When the second job has run twice more, it was the first job's turn at least once.
    let others = async || count_ends(&address)[..4].iter().sum::<u64>();
    let since = others().await;
    wait_until("its turn has come again", async || others().await >= since + 2).await;
    assert_eq!(
        (count_ends(&address)[4], count_recorded_ends(&site).await[4]),
        (1, 1),
        "once, until it is tried again"
    );
    stop(&mut server);
    site.forge.clear_faults();

    // The counts of a new server start at zero and include only its own runs.
    let before = count_recorded_ends(&site).await;
    let (mut server, address) = serve(&site);
    let own = async || {
        let all = count_recorded_ends(&site).await;
        std::array::from_fn::<u64, 5, _>(|end| all[end] - before[end])
    };
    wait_until("some runs", async || own().await.iter().sum::<u64>() >= 4).await;
    assert_eq!(site.run(&["kill", "on"]).await.exit, 0);
    wait_until("all are counted", async || count_ends(&address) == own().await).await;
    let [done, .., failed] = count_ends(&address);
    assert!(done >= 1 && failed == 0, "{:?}", count_ends(&address));
    stop(&mut server);
}
