//! Tests in which a dependency of a run hangs: git, the reader, or the store. The service stops the run and
//! every process that the run has started; the next run does the work.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use truing_core::id::TimeSpan;
use truing_core::lease_fairness::LeaseLimits;
use truing_core::slot::{LoopKind, Slot, SlotCommand, SlotLimits};
use truing_git::{Git, GitOptions};
use truing_loops::reader::ChildProcessReader;
use truing_service::ServiceContext;
use truing_service::scheduler::Scheduler;
use truing_service::worker::drive_lease;

use crate::service::ports::{FaultyStore, Script};
use crate::service::site::{Site, limits, until};

/// The initial time limit of a step. On a busy machine, a step may exceed the limit before the program hangs.
/// The test then repeats the step with twice the limit.
const SHORT: Duration = Duration::from_secs(1);

/// Creates a program that starts a child, writes the child's id to `pid`, and hangs. The shell code in `but`
/// may pass some calls on to the real program.
fn hanging(folder: &Path, name: &str, but: &str) -> PathBuf {
    let (path, here) = (folder.join(name), folder.display());
    let script = format!(
        "#!/bin/sh\n{but}\ntail -f /dev/null &\necho $! > {here}/part && mv {here}/part {here}/pid\nwait\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}

/// Returns true if the process is running. A zombie process does not count.
fn runs(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).is_some_and(|state| state != 'Z')
}

/// Runs a step on new pull requests, with a growing time limit, until the step times out because the program
/// in this folder hangs.
async fn held_up(site: &Site, folder: &Path, context: impl Fn(Duration) -> ServiceContext) {
    let mut step_time = SHORT;
    loop {
        let slot = worked(site, &format!("change{}", step_time.as_secs()), context(step_time)).await;
        if let Ok(pid) = std::fs::read_to_string(folder.join("pid")) {
            return ended_with_its_children(site, pid.trim(), &slot, step_time).await;
        }
        step_time *= 2;
    }
}

/// Opens a pull request and runs one step for it to the end; returns the slot afterwards.
async fn worked(site: &Site, branch: &str, context: ServiceContext) -> Slot {
    let opened = site.open(branch).await;
    let key = site.key(opened.number).await;
    let name = format!("acme/shop#{}", opened.number);
    let described =
        truing_core::port::SlotDescription { name, url: "https://example.com/".into(), head: None };
    context.store.store_descriptions(&[(key.clone(), described)]).await.unwrap();
    truing_loops::slots::apply_slot_command(
        &*context.store,
        &key,
        SlotCommand::Event(LoopKind::Review),
        &context.slot_limits,
    )
    .await
    .unwrap();
    site.clock.skip(TimeSpan::seconds(10));
    let leases = Scheduler::new(LeaseLimits::new(9)).lease_due_slots(&context).await.unwrap();
    let lease = leases.into_iter().find(|lease| lease.key == key).unwrap();
    let (_tell, told) = tokio::sync::watch::channel(false);
    drive_lease(&context, lease, Duration::from_millis(100), told).await;
    context.store.load_slots(&[key]).await.unwrap().remove(0)
}

async fn ended_with_its_children(site: &Site, pid: &str, slot: &Slot, step_time: Duration) {
    assert_eq!((slot.state.to_string().as_str(), slot.attempts), ("waiting (backoff)", 1));
    until("what it started is gone", async || !runs(pid)).await;
    let events = site.store().events(&slot.key, 9).await.unwrap();
    let told = format!("took longer than {} s", step_time.as_secs());
    assert!(events.iter().any(|event| event.description.contains(&told)), "{events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_git_holds_up_ends_in_time_with_all_its_processes() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let program = hanging(folder.path(), "git", "if [ \"$1\" != fetch ]; then exec git \"$@\"; fi");
    let git = Git::new(GitOptions { program, ..GitOptions::default() }).await.unwrap();
    let context = |step_time| ServiceContext {
        git: git.clone(),
        max_step_time: step_time,
        ..site.context(site.store(), site.forges(), limits())
    };
    held_up(&site, folder.path(), context).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_the_reader_holds_up_ends_in_time_with_all_its_processes() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let reader = ChildProcessReader::new(hanging(folder.path(), "reader", ""));
    let context = |step_time| ServiceContext {
        reader: Box::new(reader.clone()),
        max_step_time: step_time,
        ..site.context(site.store(), site.forges(), limits())
    };
    held_up(&site, folder.path(), context).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_by_itself_when_the_store_hangs_and_the_service_can_be_stopped() {
    let site = Site::new().await;
    let inner = site.store();
    let script = Script::new(None);
    let store = FaultyStore { inner: inner.clone(), script: script.clone() };
    let service =
        site.serve_from(store, inner, SlotLimits { lease_duration: TimeSpan::seconds(2), ..limits() }).await;
    let opened = site.open("change").await;
    site.deliver().await;
    let key = site.key(opened.number).await;
    until("it is leased", async || service.is_leased(&key).await).await;
    let passage = script.passage.write().await;
    let calls = script.calls().len();
    let stopped = tokio::time::timeout(crate::support::HANGS, service.stop()).await;
    assert!(stopped.is_ok(), "a store that hangs keeps nobody from stopping");
    assert_eq!(script.calls().len(), calls, "nothing was done meanwhile");
    drop(passage);

    // The next run does the work that the stopped run did not finish.
    let service = site.serve().await;
    service.rest(&site.clock).await;
    crate::service::assert_first(&site.picture(&opened).await);
    service.stop().await;
}
