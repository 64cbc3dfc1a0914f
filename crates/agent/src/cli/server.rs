//! The `claude` program of a server. A server also starts on a machine where the program cannot be used, and
//! uses the program as soon as a later check succeeds.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use truing_core::id::UnixMillis;
use truing_core::port::Clock;
use truing_model::gateway::LanguageModel;

use super::{ClaudeCli, ClaudeCliError};
use crate::native::turns::ActiveAgentRun;
use crate::native::{AgentRunEnd, AgentRunInput, AgentRunResult, CollectedReport, RunLimits, RunTools};

/// Minimum time between two checks of a program that cannot be used.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Finds the program and checks that it can be used. A check blocks its thread.
pub type ProgramCheck = Box<dyn Fn() -> Result<ClaudeCli, ClaudeCliError> + Send + Sync>;

/// The `claude` program of a server. A run of a program that cannot be used fails without a request to the
/// model. A later run checks the program again, at most once per [`CHECK_INTERVAL`]. All clones share the
/// results of the checks.
#[derive(Clone)]
pub struct ServerCli(Arc<ServerCliState>);

struct ServerCliState {
    check_program: ProgramCheck,
    clock: Arc<dyn Clock>,
    /// The result of the last check; `None` if the next run must check the program.
    last_check: Mutex<Option<LastCheck>>,
    /// Lets one run check the program while the other runs wait for the result.
    check_lock: tokio::sync::Mutex<()>,
}

struct LastCheck {
    /// The program, or the reason why it cannot be used.
    program: Result<ClaudeCli, &'static str>,
    checked_at: UnixMillis,
}

impl std::fmt::Debug for ServerCli {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCli").field("problem", &self.problem()).finish_non_exhaustive()
    }
}

impl ServerCli {
    /// Returns a program that the first run, or [`Self::check`], checks.
    pub fn new(check_program: ProgramCheck, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(ServerCliState {
            check_program,
            clock,
            last_check: Mutex::new(None),
            check_lock: tokio::sync::Mutex::new(()),
        }))
    }

    /// Checks the program now.
    ///
    /// # Errors
    /// [`ClaudeCliError`]
    pub async fn check(&self) -> Result<(), ClaudeCliError> {
        let _check_permit = self.0.check_lock.lock().await;
        self.check_alone().await.map(drop)
    }

    /// Returns the reason why the program could not be used at the last check, without a path of this
    /// machine. Returns `None` if the program could be used or was not checked.
    pub fn problem(&self) -> Option<&'static str> {
        let last_check = self.0.last_check.lock().unwrap_or_else(PoisonError::into_inner);
        last_check.as_ref().and_then(|last| last.program.as_ref().err().copied())
    }

    /// Runs an agent as [`ClaudeCli::collect_report`] does. If the program cannot be used, the run
    /// ends with [`AgentRunEnd::ProgramFailed`] before its first turn.
    pub(crate) async fn collect_report(
        &self,
        model: &dyn LanguageModel,
        tools: &dyn RunTools,
        run_input: &AgentRunInput,
        limits: &RunLimits,
        report: &mut dyn CollectedReport,
    ) -> AgentRunResult<()> {
        let program = match self.usable_program().await {
            Ok(program) => program,
            Err(problem) => {
                let agent_run = ActiveAgentRun::new(model, tools, run_input, *limits, report);
                return agent_run.finish_run(unusable_program_end(problem)).await;
            }
        };
        let result = program.collect_report(model, tools, run_input, limits, report).await;
        if result.turns > 0 || !matches!(result.end, AgentRunEnd::ProgramFailed(_)) {
            return result;
        }
        // The program may have been removed or replaced since the last check.
        self.forget_usable_program();
        match self.usable_program().await {
            Ok(_) => result,
            Err(problem) => AgentRunResult { end: unusable_program_end(problem), ..result },
        }
    }

    /// Returns the program. Checks the program if no earlier result applies.
    async fn usable_program(&self) -> Result<ClaudeCli, &'static str> {
        let _check_permit = self.0.check_lock.lock().await;
        if let Some(program) = self.applicable_result() {
            return program;
        }
        let earlier_problem = self.problem();
        match self.check_alone().await {
            Ok(program) => {
                if earlier_problem.is_some() {
                    tracing::info!("the runtime \"cli\" can be used again");
                }
                Ok(program)
            }
            Err(error) => {
                tracing::warn!(%error, "the runtime \"cli\" cannot be used");
                Err(error.problem())
            }
        }
    }

    /// Returns the result of the last check, unless the program could not be used and [`CHECK_INTERVAL`] has
    /// passed.
    fn applicable_result(&self) -> Option<Result<ClaudeCli, &'static str>> {
        let last_check = self.0.last_check.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last_check.as_ref()?;
        // The absolute difference is used because the clock may be set back.
        let age = Duration::from_millis(self.0.clock.now().0.abs_diff(last.checked_at.0));
        (last.program.is_ok() || age < CHECK_INTERVAL).then(|| last.program.clone())
    }

    /// Makes the next run check a program that could be used at the last check.
    fn forget_usable_program(&self) {
        let mut last_check = self.0.last_check.lock().unwrap_or_else(PoisonError::into_inner);
        if last_check.as_ref().is_some_and(|last| last.program.is_ok()) {
            *last_check = None;
        }
    }

    /// Checks the program and stores the result. The caller holds the lock for checks.
    async fn check_alone(&self) -> Result<ClaudeCli, ClaudeCliError> {
        let state = Arc::clone(&self.0);
        let checked = tokio::task::spawn_blocking(move || (state.check_program)()).await;
        let program = checked.unwrap_or_else(|stopped| {
            let reason = format!("the check was stopped: {stopped}");
            Err(ClaudeCliError::NoVersion { program: PathBuf::from("claude"), reason })
        });
        let stored_result = program.as_ref().cloned().map_err(ClaudeCliError::problem);
        let last_check = LastCheck { program: stored_result, checked_at: self.0.clock.now() };
        *self.0.last_check.lock().unwrap_or_else(PoisonError::into_inner) = Some(last_check);
        program
    }
}

/// Returns the end of a run whose program cannot be used. Authors of pull requests read this text.
fn unusable_program_end(problem: &str) -> AgentRunEnd {
    AgentRunEnd::ProgramFailed(format!("the server cannot call the model: {problem}"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

    use async_trait::async_trait;
    use serde_json::Value;
    use tokio::sync::Semaphore;
    use truing_core::money::MicroUsd;
    use truing_model::gateway::{ModelAnswer, ModelError};
    use truing_model::messages::{ModelRequest, ToolDefinition};

    use super::*;
    use crate::native::ToolCallOutput;
    use crate::runtime::AgentRuntime;
    use crate::sandbox::SandboxLevel;
    use crate::schema::UncheckedFindings;

    const INTERVAL_MS: i64 = 60_000;

    /// A machine on which a test installs and removes the program.
    #[derive(Default)]
    struct FakeMachine {
        is_installed: AtomicBool,
        check_count: AtomicUsize,
        now: AtomicI64,
    }

    impl Clock for FakeMachine {
        fn now(&self) -> UnixMillis {
            UnixMillis(self.now.load(Ordering::Relaxed))
        }
    }

    impl FakeMachine {
        fn server_cli(self: &Arc<Self>) -> ServerCli {
            let machine = Arc::clone(self);
            ServerCli::new(Box::new(move || machine.check_program()), self.clone())
        }

        fn check_program(&self) -> Result<ClaudeCli, ClaudeCliError> {
            self.check_count.fetch_add(1, Ordering::Relaxed);
            if self.is_installed.load(Ordering::Relaxed) {
                Ok(ClaudeCli {
                    program: PathBuf::from("/opt/secret-place/claude"),
                    sandbox_level: SandboxLevel::Full,
                    start_permits: Arc::new(Semaphore::new(1)),
                    start_timeout: crate::cli::START_TIMEOUT,
                    teams: false,
                })
            } else {
                Err(ClaudeCliError::Missing {
                    program: PathBuf::from("/opt/secret-place/claude"),
                    reason: std::io::ErrorKind::NotFound.into(),
                })
            }
        }

        fn check_count(&self) -> usize {
            self.check_count.load(Ordering::Relaxed)
        }
    }

    /// A model that no request may reach.
    struct UnusedModel;

    #[async_trait]
    impl LanguageModel for UnusedModel {
        async fn request_answer(&self, _: &ModelRequest) -> Result<ModelAnswer, ModelError> {
            panic!("a run without its program sent a request")
        }

        async fn cost(&self) -> MicroUsd {
            MicroUsd(0)
        }
    }

    #[async_trait]
    impl RunTools for UnusedModel {
        fn tool_definitions(&self) -> Vec<ToolDefinition> {
            Vec::new()
        }

        async fn call(&self, name: &str, _: &Value) -> ToolCallOutput {
            panic!("a run without its program called {name}")
        }
    }

    #[tokio::test]
    async fn run_without_program_fails_before_its_first_turn() {
        let server_cli = Arc::new(FakeMachine::default()).server_cli();
        let run_input =
            AgentRunInput { model: "m".to_owned(), system_prompt: String::new(), review_text: String::new() };
        let runtime = AgentRuntime::ServerCli(server_cli);
        let limits = RunLimits::default();
        let result = runtime
            .run_with_report_check(
                &UnusedModel,
                &UnusedModel,
                &run_input,
                &limits,
                |_: &UncheckedFindings| None,
            )
            .await;
        let end = "runtime: the server cannot call the model: the program claude cannot be found";
        assert_eq!(result.end.to_string(), end);
        assert_eq!((result.turns, result.cost), (0, MicroUsd(0)));
        assert_eq!(runtime.problem(), Some("the program claude cannot be found"));
    }

    #[tokio::test]
    async fn checks_missing_program_once_per_interval() {
        let machine = Arc::new(FakeMachine::default());
        let server_cli = machine.server_cli();
        assert_eq!((server_cli.problem(), machine.check_count()), (None, 0), "nothing is known yet");
        for now in [0, 1, INTERVAL_MS - 1] {
            machine.now.store(now, Ordering::Relaxed);
            assert!(server_cli.usable_program().await.is_err());
            assert_eq!(machine.check_count(), 1, "{now}");
        }
        machine.now.store(INTERVAL_MS, Ordering::Relaxed);
        let (first, second) = tokio::join!(server_cli.usable_program(), server_cli.usable_program());
        assert!(first.is_err() && second.is_err());
        assert_eq!(machine.check_count(), 2, "runs at the same time share a check");
        machine.now.store(-INTERVAL_MS, Ordering::Relaxed);
        assert!(server_cli.usable_program().await.is_err());
        assert_eq!(machine.check_count(), 3, "a clock that is set back delays no check");
    }

    #[tokio::test]
    async fn uses_program_that_is_installed_later() {
        let machine = Arc::new(FakeMachine::default());
        let server_cli = machine.server_cli();
        let error = server_cli.check().await.unwrap_err();
        assert!(error.to_string().contains("/opt/secret-place/claude"), "{error}");
        machine.is_installed.store(true, Ordering::Relaxed);
        assert!(server_cli.usable_program().await.is_err(), "the interval has not passed");
        machine.now.store(INTERVAL_MS, Ordering::Relaxed);
        assert!(server_cli.usable_program().await.is_ok());
        assert_eq!(server_cli.problem(), None);
        machine.now.store(10 * INTERVAL_MS, Ordering::Relaxed);
        assert!(server_cli.usable_program().await.is_ok());
        assert_eq!(machine.check_count(), 2, "a usable program is not checked again");
    }

    #[tokio::test]
    async fn notices_program_that_is_removed() {
        let machine = Arc::new(FakeMachine::default());
        machine.is_installed.store(true, Ordering::Relaxed);
        let server_cli = machine.server_cli();
        assert!(server_cli.check().await.is_ok());
        machine.is_installed.store(false, Ordering::Relaxed);
        server_cli.forget_usable_program();
        assert!(server_cli.usable_program().await.is_err());
        assert_eq!(server_cli.problem(), Some("the program claude cannot be found"));
        server_cli.forget_usable_program();
        assert!(server_cli.usable_program().await.is_err());
        assert_eq!(machine.check_count(), 2, "a failed check still applies");
    }
}
