//! Serves commands in comments, such as `/review`. A command is on the first line of a comment, and its
//! author must have write access to the repository.
//!
//! | First line | Effect |
//! |---|---|
//! | `/review` | reviews now, even if the head was reviewed already; ends a pause |
//! | `/review full` | the same, and reviews everything again |
//! | `/review pause` | no reviews until resumed; a step in progress ends first |
//! | `/review resume` | ends a pause |
//! | `/converge` | audits and fixes until a fresh audit finds nothing; resumes an unfinished run |
//! | `/converge stop` | ends such a run before its next step; `/converge` resumes it |
//! | `/audit` | one audit of the head, posted as a review; nothing is fixed |
//! | `/spend` | allows the same amount again for models on this pull request, and reviews its head |
//! | `/dismiss REASON` | as a reply to a finding's comment: suppresses that finding until its code changes |
//! | `/dismiss ID REASON` | the same anywhere, by the finding's id or the beginning of it |
//! | `/undismiss`, `/undismiss ID` | withdraws a dismissal |
//! | `/help` | one comment with the commands that the author may use |
//!
//! The first line must contain only the command. The command begins at the first column, its words are in
//! lower case with spaces or tabs between them, and white space may follow. Any other first line is ordinary
//! conversation.
//!
//! A comment acts as a command at most once. The comment's text at the time of processing determines the
//! command. Editing an old comment does not turn it into a command. A comment is no command if another
//! account edited it last ([`truing_core::port::TextWriter`]), or if it says that it is a copy of somebody
//! else's text. Comments of bots and of our own account never act as commands. The button "Re-run" of our
//! check acts as `/review` by the account that pressed the button. The label `converge.label` acts as
//! `/converge` by the account that set the label.
//!
//! A webhook or the sweep only records that a comment may contain a command, by [`store_requests`].
//! [`CommandProcessor::process_requests`] reads the comment and its author's permission from the forge, by
//! their ids. One transaction carries out the command and marks it as served. A command that cannot be served
//! at present is retried later.
//!
//! Truing does not confirm a command by a reaction (an emoji on the comment), for three reasons. A reaction
//! would be a write without a run, and so without a fencing token. A reaction would use one of the few calls
//! per minute that may create comments. Not every forge has reactions. The effect of a command is visible in
//! the summary and the threads.
//!
//! Only `/help` gets an answer, once for each person and pull request. While the kill switch is on, there is
//! no answer (`help`). The answer is an effect without a fencing token, like the effects of the tools for
//! agents.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use truing_core::dismissal;
use truing_core::id::{PrId, TimeSpan, UnixMillis};
use truing_core::line;
use truing_core::port::{
    EffectOwner, ForgeError, HistoryEvent, KnownRepository, OperatorAction, RecordStore, RequestOrigin,
    SlotDescription, StoreError, UserRequest, UserRequestOutcome, WriteGate,
};
use truing_core::publish::CommentProducer;
use truing_core::switch::RepositoryRef;
use truing_forge::AnyForgeServer;
use truing_forge::effects::{EffectError, EffectExecutor};
use truing_loops::machine::new_run_id;

use super::context::ServiceContext;
use super::wall_clock_wait::WallClockWait;
use help::ConvergePermission;
use judge::{CommandAuthor, CommandRequest, CommandVerdict, judge_request};
pub use user_command::UserCommand;

mod apply;
mod help;
mod judge;
mod user_command;

/// Largest number of comments that are served in one pass.
const REQUESTS_PER_PASS: usize = 64;
/// Number of attempts to carry out a command. Each attempt fails if another process changes the slot first.
const MAX_COMMAND_ATTEMPTS: u32 = 16;
/// Age at which a comment that the forge does not show counts as deleted. The forge may show a new comment
/// late.
const COMMENT_SETTLE_TIME: TimeSpan = TimeSpan::minutes(2);
/// Age at which Truing no longer retries a comment whose command could not be checked at the forge.
const COMMENT_GIVE_UP_AGE: TimeSpan = TimeSpan::minutes(24 * 60);
/// Maximum age of a comment that is read as a command. A webhook about an older comment must be a repeated
/// delivery.
const MAX_COMMAND_AGE: TimeSpan = TimeSpan::minutes(30 * 24 * 60);
/// Time for which the records of served comments are kept. After that time, the same comments cannot act
/// again. By then, these comments are older than `MAX_COMMAND_AGE`, even if the forge's clock differs.
pub(super) const SERVED_COMMENT_RETENTION: TimeSpan = TimeSpan::minutes(31 * 24 * 60);
/// The first wait after a failure; each further failure doubles it.
const INITIAL_RETRY_DELAY: TimeSpan = TimeSpan::seconds(15);
/// Maximum number of characters of a label's name that messages show.
const MAX_LABEL_CHARS: usize = 60;
/// The longest wait after repeated failures.
const MAX_RETRY_DELAY: TimeSpan = TimeSpan::minutes(10);

/// Records a command for each pull request in `pulls`. All these pull requests are in the repository whose
/// present name is `repository_name`. The commands are durable when this function returns.
///
/// # Errors
/// [`StoreError`]. After an error, it is not certain that the commands will be served.
#[truing_core::boxed_future]
pub async fn store_requests(
    store: &dyn RecordStore,
    pulls: &[PrId],
    repository_name: &str,
    origin: &RequestOrigin,
) -> Result<(), StoreError> {
    let Some(PrId { forge, repository, .. }) = pulls.first().cloned() else { return Ok(()) };
    let at = store.now().await?;
    let of = KnownRepository {
        forge,
        id: repository,
        name: repository_name.to_owned(),
        cursor: at,
        missing_since: None,
        onboarded: false,
    };
    let requests: Vec<UserRequest> = pulls
        .iter()
        .map(|pr| UserRequest { pr: pr.clone(), origin: origin.clone(), noticed_at: at })
        .collect();
    store.store_requests(&requests, &of, None).await
}

/// Serves commands until this future is dropped.
#[truing_core::boxed_future]
pub async fn run(context: Arc<ServiceContext>, poll_interval: Duration) {
    let (mut commands, mut failing) = (CommandProcessor::default(), false);
    let mut poll = tokio::time::interval(poll_interval);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        poll.tick().await;
        if !context.duty_lease_expiry.is_held() {
            continue;
        }
        let looked = commands.process_requests(&context).await;
        if let (Err(error), false) = (&looked, failing) {
            tracing::error!(%error, "could not process commands in comments");
        }
        failing = looked.is_err();
    }
}

/// Reasons why a comment was not served.
#[derive(Debug, thiserror::Error)]
enum CommentServeError {
    #[error("a comment is not visible yet")]
    NotVisibleYet,
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Determines which comments are delayed after the service failed to serve a comment.
enum RetryScope {
    /// No comment is delayed; the failed comment is not retried.
    GiveUp,
    /// All comments of the same repository are delayed.
    Repository,
    /// All comments of the forge are delayed, for the given time if the forge stated one.
    Forge(Option<TimeSpan>),
}

impl CommentServeError {
    /// Returns which comments are delayed after this error. `age` is the time since the failed comment was
    /// recorded.
    fn retry_scope(&self, age: TimeSpan) -> RetryScope {
        match self {
            Self::NotVisibleYet => RetryScope::Repository,
            // A retry would fail as well, because the record stays unreadable.
            Self::Store(StoreError::Corrupt(_)) => RetryScope::GiveUp,
            Self::Store(StoreError::Unavailable(_) | StoreError::Fenced { .. }) => RetryScope::Forge(None),
            Self::Forge(_) if age > COMMENT_GIVE_UP_AGE => RetryScope::GiveUp,
            Self::Forge(ForgeError::RateLimited { wait, .. }) => RetryScope::Forge(Some(*wait)),
            Self::Forge(ForgeError::Unauthorized { .. } | ForgeError::Unavailable { .. }) => {
                RetryScope::Forge(None)
            }
            Self::Forge(
                ForgeError::Forbidden { .. }
                | ForgeError::NotFound { .. }
                | ForgeError::Moved { .. }
                | ForgeError::Rejected { .. }
                | ForgeError::Stale { .. }
                | ForgeError::Halted(_),
            ) => RetryScope::Repository,
        }
    }
}

/// Serves comments, and keeps the delays of forges and repositories after failures.
#[derive(Debug, Default)]
pub struct CommandProcessor {
    /// Delays by forge and repository. A delay whose repository is empty applies to the whole forge.
    retry_waits: BTreeMap<(String, String), RetryWait>,
}

#[derive(Clone, Copy, Debug)]
struct RetryWait {
    pause: WallClockWait,
    failures: u32,
}

impl CommandProcessor {
    /// Serves the pending commands. The commands of one repository are served in the order of their arrival.
    ///
    /// # Errors
    /// [`StoreError`] if the pending commands cannot be read.
    #[truing_core::boxed_future]
    pub async fn process_requests(&mut self, context: &ServiceContext) -> Result<(), StoreError> {
        for (forge, server) in context.forges.servers() {
            if self.is_waiting(&(forge.clone(), String::new()), context.clock.now()) {
                continue;
            }
            let unserved = context.store.unserved_requests(forge, REQUESTS_PER_PASS).await?;
            if unserved.is_empty() {
                continue;
            }
            let mut repositories: BTreeMap<String, KnownRepository> = context
                .store
                .repositories(forge)
                .await?
                .into_iter()
                .map(|one| (one.id.clone(), one))
                .collect();
            for user_request in unserved {
                let own = (forge.clone(), user_request.pr.repository.clone());
                if self.is_waiting(&own, context.clock.now()) {
                    continue; // the comments of a repository are served in their order
                }
                let repository = repositories.get_mut(&user_request.pr.repository);
                let served = serve_request(context, server, &user_request, repository).await;
                if self.record_delay(context, &user_request, served).await {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Clears the delays after a comment was served, or records a delay after a failure. Returns true if the
    /// whole forge has to wait.
    async fn record_delay(
        &mut self,
        context: &ServiceContext,
        user_request: &UserRequest,
        serve_result: Result<(), CommentServeError>,
    ) -> bool {
        let all = (user_request.pr.forge.clone(), String::new());
        let own = (user_request.pr.forge.clone(), user_request.pr.repository.clone());
        let now = context.clock.now();
        let Err(error) = serve_result else {
            self.clear_delays([&own, &all]);
            return false;
        };
        let wait = match error.retry_scope(now - user_request.noticed_at) {
            RetryScope::GiveUp => {
                match ignore_request(&*context.store, user_request, &format!("given up: {error}")).await {
                    Ok(()) => return false,
                    Err(_) => None,
                }
            }
            RetryScope::Repository => {
                self.record_failure(own, now, None, &error.to_string());
                return false;
            }
            RetryScope::Forge(wait) => wait,
        };
        self.record_failure(all, now, wait, &error.to_string());
        true
    }

    fn is_waiting(&self, wait_key: &(String, String), now: UnixMillis) -> bool {
        self.retry_waits.get(wait_key).is_some_and(|wait| wait.pause.is_active(now))
    }

    /// Starts or lengthens a delay. The first failure is logged.
    fn record_failure(
        &mut self,
        wait_key: (String, String),
        now: UnixMillis,
        retry_after: Option<TimeSpan>,
        reason: &str,
    ) {
        let failures = self.retry_waits.get(&wait_key).map_or(0, |wait| wait.failures);
        if failures == 0 {
            tracing::warn!(
                forge = wait_key.0,
                repository = wait_key.1,
                "commands in comments are delayed: {reason}"
            );
        }
        let doubled = INITIAL_RETRY_DELAY.0.saturating_mul(1 << failures.min(16)).min(MAX_RETRY_DELAY.0);
        let pause = WallClockWait::new(now, retry_after.unwrap_or(TimeSpan(doubled)));
        self.retry_waits.insert(wait_key, RetryWait { pause, failures: failures.saturating_add(1) });
    }

    fn clear_delays(&mut self, wait_keys: [&(String, String); 2]) {
        for what in wait_keys {
            if self.retry_waits.remove(what).is_some() {
                tracing::info!(
                    forge = what.0,
                    repository = what.1,
                    "the processing of commands in comments has resumed"
                );
            }
        }
    }
}

/// Serves one recorded command.
async fn serve_request(
    context: &ServiceContext,
    server: &AnyForgeServer,
    user_request: &UserRequest,
    repository: Option<&mut KnownRepository>,
) -> Result<(), CommentServeError> {
    let store = &*context.store;
    let Some(repository) = repository else {
        return Ok(ignore_request(store, user_request, "its repository is unknown").await?);
    };
    let rows = store.desired_state(&user_request.pr.key(), CommentProducer::Review).await?.0.into_iter();
    let known: Vec<_> = rows.filter_map(|row| Some((row.subject, row.comment?))).collect();
    match judge_request(context, server, user_request, repository, &known).await? {
        CommandVerdict::Ignore(reason) => ignore_request(store, user_request, &reason).await?,
        CommandVerdict::Refuse(CommandRequest { command, author, .. }, reason) => {
            let source = format!("by {}@{}", author.login, user_request.pr.forge);
            record_declined_command(store, user_request, &command, &source, &reason).await?;
        }
        CommandVerdict::RefuseForeignText { command, comment_author, reason } => {
            let source = format!("in a comment of {comment_author}@{}", user_request.pr.forge);
            record_declined_command(store, user_request, &command, &source, &reason).await?;
        }
        CommandVerdict::Accept(asker) => {
            store.store_repositories(std::slice::from_ref(repository)).await?;
            if asker.command == UserCommand::Help {
                let permission = match &context.converge_setup {
                    Err(reason) => ConvergePermission::NotServed(reason),
                    Ok(_) if judge::is_asker(context, server, &asker.author) => ConvergePermission::Granted,
                    Ok(_) => ConvergePermission::NotAnAsker,
                };
                let (name, author) = (&repository.name, &asker.author);
                let reason = answer_help(context, user_request, name, author, permission).await?;
                return Ok(ignore_request(store, user_request, &reason).await?);
            }
            let name = format!("{}#{}", repository.name, user_request.pr.number);
            execute_command(context, user_request, &asker, name).await?;
        }
    }
    Ok(())
}

/// Answers `/help`, once for each person and pull request. Returns a text for the log that explains why the
/// command changes no slot.
async fn answer_help(
    context: &ServiceContext,
    user_request: &UserRequest,
    repo: &str,
    author: &CommandAuthor,
    permission: ConvergePermission<'_>,
) -> Result<String, CommentServeError> {
    let repository = RepositoryRef::from_key(&user_request.pr.key()).with_name(repo);
    if let Some(switch) = context.kill_switches().await.switch_for(&repository) {
        return Ok(format!("{switch} was turned on by {}", switch.engaged.operator));
    }
    let gate: Arc<dyn WriteGate> = Arc::new(context.gate(repository));
    let client = context.forges.pull_client(&new_run_id(), &user_request.pr, repo, CommentProducer::Review);
    let Some(client) = client else { return Ok("its forge is not configured".to_owned()) };
    let effects = EffectExecutor {
        forge: &*client,
        log: &*context.store,
        gate: &gate,
        clock: &*context.clock,
        owner: EffectOwner { key: user_request.pr.key(), producer: CommentProducer::Review, token: None },
        monitor: &context.write_monitor,
    };
    let account = author.account.as_ref().map_or(author.login.as_str(), |account| account.as_str());
    let asks = apply::raisable_level(context, user_request, repo).is_some();
    match effects.perform(&help::help_comment(account, &author.login, permission, asks)).await {
        Ok(_) => Ok("`/help` is answered".to_owned()),
        Err(EffectError::Settling { .. }) => Err(CommentServeError::NotVisibleYet),
        Err(EffectError::Store(error)) => Err(error.into()),
        // A failed answer is not retried, because a retry would delay other commands. The author may write
        // `/help` again.
        Err(
            error @ (EffectError::Halted(_)
            | EffectError::Refused(_)
            | EffectError::Unanswered { .. }
            | EffectError::Git(_)),
        ) => Ok(error.to_string()),
    }
}

/// Carries out a command, and marks the command as served.
async fn execute_command(
    context: &ServiceContext,
    user_request: &UserRequest,
    CommandRequest { command, author: who, url, thread_finding: thread }: &CommandRequest,
    pull_name: String,
) -> Result<(), StoreError> {
    let (store, key) = (&*context.store, user_request.pr.key());
    let login = &who.login;
    let by = match &who.account {
        Some(account) => format!("{} by account {account}", origin_text(&user_request.origin)),
        None => origin_text(&user_request.origin),
    };
    let who = format!("{login}@{}", user_request.pr.forge);
    let mut allowed = None;
    // The repository's name is stored before the slot is changed, because a worker needs the name to work on
    // the slot.
    let repository = pull_name.split('#').next().unwrap_or_default().to_owned();
    store
        .store_descriptions(&[(
            key.clone(),
            SlotDescription { name: pull_name, url: url.clone(), head: None },
        )])
        .await?;
    let word = match command {
        UserCommand::Spend => match apply::check_budget_raise(context, user_request, &repository).await? {
            Ok(level) => {
                allowed = Some(level);
                None
            }
            Err(why) => Some(Err(why)),
        },
        UserCommand::Converge | UserCommand::Audit => {
            context.converge_setup.as_ref().err().map(|why| Err(why.clone()))
        }
        UserCommand::Review
        | UserCommand::FullReview
        | UserCommand::Rerun
        | UserCommand::Stop
        | UserCommand::Pause
        | UserCommand::Resume
        | UserCommand::Help => None,
        UserCommand::Dismiss { finding, reason } => {
            let finding = finding.as_deref();
            Some(apply::build_dismissal(store, user_request, finding, reason, thread.as_ref(), login).await?)
        }
        UserCommand::Undismiss { finding } => Some(
            apply::build_withdrawal(store, user_request, finding.as_deref(), thread.as_ref(), login).await?,
        ),
    };
    let (line, detail, dismissal) = match word {
        None => (command.as_str().to_owned(), by, None),
        Some(Ok(dismissal)) => {
            let line = format!("{} {}", command.as_str(), dismissal::short_id(&dismissal.finding));
            let reason = if dismissal.withdrawn { String::new() } else { format!(": {}", dismissal.reason) };
            (line, format!("{}, {by}{reason}", dismissal.finding), Some(dismissal))
        }
        Some(Err(reason)) => {
            return record_declined_command(store, user_request, command, &format!("by {who}"), &reason)
                .await;
        }
    };
    for _ in 0..MAX_COMMAND_ATTEMPTS {
        let now = store.now().await?;
        let Some(slot) = store.load_slots(std::slice::from_ref(&key)).await?.pop() else { break };
        let version = slot.version;
        let decision = match apply::decide_transition(command, &slot, &context.slot_limits, now) {
            Ok(decision) => decision,
            Err(refused) => {
                return ignore_request(store, user_request, &format!("{}: {refused}", command.as_str()))
                    .await;
            }
        };
        let mut description = format!("`{line}` by {who}");
        let reason = dismissal.as_ref().map(|dismissal| dismissal.reason.clone());
        let unseen = reason.as_ref().and_then(|_| apply::dismissal_delay_reason(&slot)).map(str::to_owned);
        let note = decision.note.filter(|_| reason.is_none()).map(|note| note.to_string());
        for more in [reason, note, unseen].into_iter().flatten().filter(|more| !more.is_empty()) {
            description.push_str(&format!(": {more}"));
        }
        let events = vec![HistoryEvent { at: now, key: key.clone(), run: None, description }];
        let act = OperatorAction::new(&who, command.as_str(), key.as_str(), &detail);
        let (slot, dismissal, allowed) = ((version, decision.slot), dismissal.clone(), allowed.clone());
        let obeyed = UserRequestOutcome { slot, events, act, dismissal, raised_level: allowed };
        if store.mark_request_served(user_request, Some(&obeyed)).await?.is_ok() {
            tracing::info!(%key, by = who, detail, "{line}");
            return Ok(());
        }
    }
    Err(StoreError::Unavailable(format!("{key}: could not commit the slot: it keeps changing")))
}

/// Marks a command as served without an effect. Records the reason and the command's source in the history.
async fn record_declined_command(
    store: &dyn RecordStore,
    user_request: &UserRequest,
    command: &UserCommand,
    source: &str,
    reason: &str,
) -> Result<(), StoreError> {
    let what = format!("`{}` {source} was not run: {reason}", command.as_str());
    let event =
        HistoryEvent { at: store.now().await?, key: user_request.pr.key(), run: None, description: what };
    // The command is marked as served first. A failure after that only loses an entry of the history. In the
    // opposite order, a retry would repeat the entry.
    ignore_request(store, user_request, &format!("{}: {reason}", command.as_str())).await?;
    store.append_history(&[event]).await
}

/// Marks a command as served without an effect, and logs the reason.
async fn ignore_request(
    store: &dyn RecordStore,
    user_request: &UserRequest,
    reason: &str,
) -> Result<(), StoreError> {
    let origin = origin_text(&user_request.origin);
    tracing::info!(key = %user_request.pr.key(), origin, "a command was not run: {reason}");
    store.mark_request_served(user_request, None).await.map(drop)
}

/// Returns a description of a command's origin for people.
fn origin_text(origin: &RequestOrigin) -> String {
    match origin {
        RequestOrigin::Comment { id, .. } => format!("comment {id}"),
        RequestOrigin::Check { .. } => "the check's button".to_owned(),
        RequestOrigin::Label { name } => format!("the label {}", line::clean_line(name, MAX_LABEL_CHARS)),
    }
}
