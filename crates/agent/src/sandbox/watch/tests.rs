use super::*;
use crate::sandbox::{EscapeProbe, JobCommand, JobLimits};

const MIB: u64 = 1 << 20;

/// Returns a watcher, and a process that exceeds the memory limit if all of the process's shared memory
/// counts.
fn watched(folder: &Path) -> (JobWatcher, BTreeMap<u32, ProcessStatus>) {
    let mut job =
        SandboxJob::new(SandboxLevel::None, folder, JobCommand::Probe(EscapeProbe::Nothing)).unwrap();
    job.private_folder = folder.to_owned();
    job.limits = JobLimits { memory: 4096 * MIB, ..JobLimits::default() };
    let process = ProcessStatus {
        threads: 1,
        anonymous: 3000 * MIB,
        page_table_bytes: MIB,
        shared: 2000 * MIB,
        files: 1_000_000,
    };
    (JobWatcher::new(&job).unwrap(), BTreeMap::from([(std::process::id(), process)]))
}

fn spent() -> CountingBudget {
    CountingBudget {
        started_at: Instant::now().checked_sub(EXACT_COUNT_TIME_LIMIT * 2).unwrap(),
        ..CountingBudget::new()
    }
}

#[test]
fn what_is_not_read_in_time_counts_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let (watch, processes) = watched(folder.path());
    assert!(watch.has_memory_summaries);
    let exact = watch.exact_memory(&processes, 5 * MIB, 0, &CountingBudget::new());
    assert!((6 * MIB..1000 * MIB).contains(&exact), "{exact}");
    assert_eq!(watch.exact_memory(&processes, 5 * MIB, 0, &spent()), 5001 * MIB);
    let pipe = open_files::max_pipe_bytes(SandboxLevel::Full);
    assert_eq!(watch.open_file_memory(&processes, pipe, &spent()), (1_000_000 - UNCOUNTED_PIPES) * pipe);
}

/// The mapped memory and the files in memory may overlap. If there is no time left to measure the overlap,
/// the full overlap is assumed, so the job is not killed.
#[test]
fn who_may_be_within_the_limit_is_not_ended_for_want_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let (mut watch, mut processes) = watched(folder.path());
    watch.limits.memory = 5500 * MIB;
    let counted = 1500 * MIB;
    assert_eq!(watch.exact_memory(&processes, counted, 0, &spent()), 5001 * MIB);
    // If the machine's shared memory has grown by more than the job's visible memory, the whole growth counts
    // as memory of the job.
    assert_eq!(watch.exact_memory(&processes, counted, 6000 * MIB, &spent()), 6000 * MIB);
    if let Some(process) = processes.get_mut(&std::process::id()) {
        process.anonymous = 4000 * MIB;
    }
    assert_eq!(watch.exact_memory(&processes, counted, 0, &spent()), 6001 * MIB);
}

/// If two processes have the same pipes, each pipe counts once.
#[test]
fn pipes_are_counted_once_and_a_few_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (watch, mut processes) = watched(folder.path());
    let pipe = open_files::max_pipe_bytes(SandboxLevel::Full);
    let before = watch.open_file_memory(&processes, pipe, &CountingBudget::new());
    assert!(before < UNCOUNTED_PIPES * pipe, "{before}");
    let pipes: Vec<_> = (0..UNCOUNTED_PIPES + 20).map(|_| std::io::pipe().unwrap()).collect();
    let this = std::process::id();
    assert!(watch.read_open_files(this, open_files::count_files).unwrap() > 2 * UNCOUNTED_PIPES);
    let one = watch.open_file_memory(&processes, pipe, &CountingBudget::new());
    assert!((20 * pipe..100 * pipe).contains(&one), "{one}");
    // A thread and its process have the same open files, which must count only once.
    let thread = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
    assert_ne!(thread, this);
    processes.insert(thread, ProcessStatus::default());
    let both = watch.open_file_memory(&processes, pipe, &CountingBudget::new());
    assert!(both < one + 20 * pipe, "{one} {both}");
    drop(pipes);
}
