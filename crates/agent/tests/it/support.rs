//! What a test is here: a function with a name, what it needs of the machine, and whether others may run beside it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of tests may fail them, and tells their times"
)]

use std::process::{Command, Stdio};
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

/// How long a test waits for what happens at once, unless it hangs: so long that no machine is too slow for it.
pub(crate) const SOON: Duration = Duration::from_secs(300);

/// Held by every test: shared, or alone.
static MACHINE: RwLock<()> = RwLock::new(());

/// A test.
pub(crate) struct Test {
    name: &'static str,
    run: Box<dyn FnOnce() + Send>,
    /// Whether the machine has what it needs.
    can_run: bool,
    /// Does it run while no other one does?
    alone: bool,
}

impl Test {
    pub(crate) fn new(name: &'static str, run: impl FnOnce() + Send + 'static) -> Self {
        Self { name, run: Box::new(run), can_run: true, alone: false }
    }

    /// On a machine that does not have this, it is ignored, and counted so.
    pub(crate) fn needs(mut self, has: impl FnOnce() -> bool) -> Self {
        self.can_run = self.can_run && has();
        self
    }

    /// It would disturb others, or others would disturb it.
    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// As the harness takes it. It tells its time.
    pub(crate) fn trial(self, subject: &str) -> Trial {
        let Self { name, run, can_run, alone } = self;
        let name = format!("{subject}::{name}");
        let told = name.clone();
        let timed = move || {
            let began = Instant::now();
            run();
            println!("{told}: {:.1} s", began.elapsed().as_secs_f32());
        };
        // A test that failed while it held the machine leaves it to the others all the same.
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

/// Does this machine let us make namespaces? Then the strongest level must be what is reached.
pub(crate) fn has_namespaces() -> bool {
    static HAS: LazyLock<bool> = LazyLock::new(|| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--net", "true"]);
        unshare.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    });
    *HAS
}

/// Processes of the machine that were started with this word.
pub(crate) fn with_word(word: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|part| part == word.as_bytes())).count()
}

/// Waits until this holds; what it means if it never does.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < SOON, "{what}");
        std::thread::yield_now();
    }
}
