//! The tests of this program. Each test has a name, a function, requirements that the machine must meet, and
//! a mark if the test must run alone.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of tests may fail them, and tells their times"
)]

use std::process::{Command, Stdio};
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use truing_agent::sandbox::{SandboxLevel, detect_level};

/// Timeout for events that normally happen within moments; long enough for slow machines.
pub(crate) const SOON: Duration = Duration::from_secs(300);

/// The lock that a test holds while it runs: exclusively if the test must run alone, otherwise shared.
static MACHINE: RwLock<()> = RwLock::new(());

/// A test with its requirements.
pub(crate) struct Test {
    name: &'static str,
    run: Box<dyn FnOnce() + Send>,
    /// True if the machine meets the test's requirements.
    can_run: bool,
    /// True if no other test may run at the same time.
    alone: bool,
}

impl Test {
    pub(crate) fn new(name: &'static str, run: impl FnOnce() + Send + 'static) -> Self {
        Self { name, run: Box::new(run), can_run: true, alone: false }
    }

    /// Marks the test as ignored if this machine lacks a requirement.
    pub(crate) fn needs(mut self, has: impl FnOnce() -> bool) -> Self {
        self.can_run = self.can_run && has();
        self
    }

    /// Marks the test to run alone, because parallel tests would disturb it or be disturbed.
    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Converts the test to the type of the harness. The converted test prints its duration.
    pub(crate) fn trial(self, subject: &str) -> Trial {
        let Self { name, run, can_run, alone } = self;
        let name = format!("{subject}::{name}");
        let told = name.clone();
        let timed = move || {
            let began = Instant::now();
            run();
            println!("{told}: {:.1} s", began.elapsed().as_secs_f32());
        };
        // If a test failed while it held the lock, the other tests can still acquire the lock.
        let test = move || {
            if alone {
                let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
                timed();
            } else {
                let _shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
                timed();
            }
            Ok(())
        };
        Trial::test(name, test).with_ignored_flag(!can_run)
    }
}

/// Returns the level of the strongest sandbox of this machine. The tests of jobs run at this level.
pub(crate) fn sandbox_level() -> SandboxLevel {
    static LEVEL: LazyLock<SandboxLevel> =
        LazyLock::new(|| detect_level(tempfile::tempdir().unwrap().path()));
    *LEVEL
}

/// Returns true if this machine has a sandbox for foreign code.
pub(crate) fn has_sandbox() -> bool {
    sandbox_level() >= SandboxLevel::MIN_FOR_FOREIGN_CODE
}

/// Returns true if this machine allows namespaces. On such a machine, the tests require that the sandbox
/// reaches the strongest level.
pub(crate) fn has_namespaces() -> bool {
    static HAS: LazyLock<bool> = LazyLock::new(|| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--net", "true"]);
        unshare.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    });
    *HAS
}

/// Counts the processes on this machine one of whose arguments is this word.
pub(crate) fn with_word(word: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|part| part == word.as_bytes())).count()
}

/// Waits until the condition holds. `what` is the error message after the timeout.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < SOON, "{what}");
        std::thread::yield_now();
    }
}
