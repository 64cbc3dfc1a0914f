//! Decides whether to carry out a command. Reads the command's text, its author and the author's permission
//! from the forge.

use truing_core::id::{AccountId, CommentId, FindingId, Topic};
use truing_core::port::{
    AuthorAccount, CommentKind, ForgeError, ForgeRead as _, KnownRepository, PrState, PullComment,
    PullRequest, RequestOrigin, UserRequest,
};
use truing_core::publish::{CommentProducer, CommentSubject};
use truing_forge::{AnyForgeServer, ForgeServer as _};

use super::{COMMENT_SETTLE_TIME, CommentServeError, MAX_COMMAND_AGE, UserCommand};
use crate::context::ServiceContext;

/// The decision whether to carry out a recorded command.
pub(super) enum CommandVerdict {
    /// The command is to be carried out.
    Accept(CommandRequest),
    /// The command is ignored, and the reason is only logged.
    Ignore(String),
    /// The command is not carried out, although its author may write to the repository. The reason is
    /// recorded in the history.
    Refuse(CommandRequest, String),
    /// The command is not carried out, because the comment's author did not write it. The reason is recorded
    /// in the history.
    RefuseForeignText {
        command: UserCommand,
        /// Login of the comment's author.
        comment_author: String,
        reason: String,
    },
}

/// A valid command, with its author and its pull request.
pub(super) struct CommandRequest {
    pub(super) command: UserCommand,
    pub(super) author: CommandAuthor,
    /// Address of the pull request's page.
    pub(super) url: String,
    /// The finding whose thread contains the comment, if the command is about that finding.
    pub(super) thread_finding: Option<FindingId>,
}

/// The author of a command, by account at the forge.
pub(super) struct CommandAuthor {
    pub(super) login: String,
    /// The account's id, which does not change when the account is renamed. `None` if the forge does not
    /// report the id.
    pub(super) account: Option<AccountId>,
}

impl From<AuthorAccount> for CommandAuthor {
    fn from(AuthorAccount { id, login, .. }: AuthorAccount) -> Self {
        Self { login, account: Some(id) }
    }
}

/// Decides whether to carry out a command. Reads the command and its author's permission from the forge.
pub(super) async fn judge_request(
    context: &ServiceContext,
    server: &AnyForgeServer,
    user_request: &UserRequest,
    repository: &mut KnownRepository,
    known_comments: &[(CommentSubject, CommentId)],
) -> Result<CommandVerdict, CommentServeError> {
    match &user_request.origin {
        RequestOrigin::Comment { kind, id } => {
            judge_comment(context, server, user_request, (*kind, *id), repository, known_comments).await
        }
        RequestOrigin::Check { account, login } => {
            let author = AuthorAccount { id: account.clone(), login: login.clone(), is_person: true };
            judge_check_rerun(server, user_request, author, repository).await
        }
        RequestOrigin::Label { name } => judge_label(context, server, user_request, name, repository).await,
    }
}

/// Decides whether to carry out the command that a label requests. The label must still be set on the pull
/// request. The account that set the label, according to the forge, must have write access.
async fn judge_label(
    context: &ServiceContext,
    server: &AnyForgeServer,
    user_request: &UserRequest,
    label_name: &str,
    repository: &mut KnownRepository,
) -> Result<CommandVerdict, CommentServeError> {
    let pull = match find_open_pull(server, user_request, repository).await? {
        Ok(pull) => pull,
        Err(verdict) => return Ok(verdict),
    };
    let client = server.client(&user_request.pr, &repository.name, CommentProducer::Converge);
    // Forges ignore case in the names of labels.
    let set = client.labels().await?.into_iter().find(|label| label.name.eq_ignore_ascii_case(label_name));
    let Some(set) = set else { return Ok(CommandVerdict::Ignore("its label is no longer set".into())) };
    let Some(author) = set.set_by.filter(|_| set.is_setter_trusted) else {
        return Ok(CommandVerdict::Ignore(format!(
            "the label was not set by an account with write access to {}",
            repository.name
        )));
    };
    let is_called = |configured_name: &String| {
        author.matches_name(configured_name, server.capability().has_unique_account_names)
    };
    let is_asker = may_converge(context, is_called);
    let author = CommandAuthor { login: author.login, account: None };
    let request =
        CommandRequest { command: UserCommand::Converge, author, url: pull.url, thread_finding: None };
    Ok(if is_asker { CommandVerdict::Accept(request) } else { refuse_unlisted_author(request) })
}

/// Returns true if an account with write access may also start converge runs. `has_name` returns true for a
/// configured name of that account. If converge runs are not served, every account passes this check, and the
/// command is refused later with the reason.
fn may_converge(context: &ServiceContext, has_name: impl Fn(&String) -> bool) -> bool {
    let askers =
        context.converge_setup.as_ref().map_or(&[][..], |converging| &converging.config().allowed_requesters);
    askers.is_empty() || askers.iter().any(has_name)
}

/// Returns true if the author of a comment, who has write access, may also start converge runs.
pub(super) fn is_asker(context: &ServiceContext, server: &AnyForgeServer, author: &CommandAuthor) -> bool {
    may_converge(context, |configured_name| {
        let has_unique_names = server.capability().has_unique_account_names;
        let account = author.account.as_ref();
        account.is_some_and(|id| id.matches_name(&author.login, configured_name, has_unique_names))
    })
}

fn refuse_unlisted_author(request: CommandRequest) -> CommandVerdict {
    let reason = format!("{} is not in `converge.askers`", request.author.login);
    CommandVerdict::Refuse(request, reason)
}

/// Decides whether to accept a rerun that a person requested by the *Re-run* button of a check. The signed
/// webhook names the account that pressed the button.
async fn judge_check_rerun(
    server: &AnyForgeServer,
    user_request: &UserRequest,
    author: AuthorAccount,
    repository: &mut KnownRepository,
) -> Result<CommandVerdict, CommentServeError> {
    let pull = match find_open_pull(server, user_request, repository).await? {
        Ok(pull) => pull,
        Err(verdict) => return Ok(verdict),
    };
    if !server.may_write(&repository.name, &author).await? {
        return Ok(CommandVerdict::Ignore(format!(
            "{} has no write access to {}",
            author.login, repository.name
        )));
    }
    Ok(CommandVerdict::Accept(CommandRequest {
        command: UserCommand::Rerun,
        author: author.into(),
        url: pull.url,
        thread_finding: None,
    }))
}

/// Reads the pull request. Instead, returns a verdict if the pull request is closed or does not exist.
async fn find_open_pull(
    server: &AnyForgeServer,
    user_request: &UserRequest,
    repository: &mut KnownRepository,
) -> Result<Result<PullRequest, CommandVerdict>, ForgeError> {
    match find_pull(server, user_request, repository).await {
        Ok(pull) if pull.state == PrState::Closed => {
            Ok(Err(CommandVerdict::Ignore("its pull request is closed".into())))
        }
        Ok(pull) => Ok(Ok(pull)),
        Err(ForgeError::NotFound { .. }) => {
            Ok(Err(CommandVerdict::Ignore("its pull request no longer exists".into())))
        }
        Err(error) => Err(error),
    }
}

/// Reads the pull request. If the repository no longer has the recorded name, finds the repository by its id.
async fn find_pull(
    server: &AnyForgeServer,
    user_request: &UserRequest,
    repository: &mut KnownRepository,
) -> Result<PullRequest, ForgeError> {
    let pull = |name: &str| server.client(&user_request.pr, name, CommentProducer::Review);
    match pull(&repository.name).pull_request().await {
        Err(ForgeError::NotFound { .. } | ForgeError::Moved { .. }) => {}
        found => return found,
    }
    repository.name = server.repository_by_id(&user_request.pr.repository).await?.name;
    pull(&repository.name).pull_request().await
}

/// Decides whether to carry out a command in a comment. Uses the comment's present text.
async fn judge_comment(
    context: &ServiceContext,
    server: &AnyForgeServer,
    user_request: &UserRequest,
    comment_ref: (CommentKind, u64),
    repository: &mut KnownRepository,
    known_comments: &[(CommentSubject, CommentId)],
) -> Result<CommandVerdict, CommentServeError> {
    let comment = match find_comment(server, user_request, comment_ref.0, comment_ref.1, repository).await {
        Ok(Some(comment)) if comment.number == user_request.pr.number => comment,
        Ok(_) => return Ok(CommandVerdict::Ignore("the comment is not on this pull request".into())),
        Err(ForgeError::NotFound { .. })
            if context.clock.now() - user_request.noticed_at < COMMENT_SETTLE_TIME =>
        {
            return Err(CommentServeError::NotVisibleYet);
        }
        Err(ForgeError::NotFound { .. }) => return Ok(CommandVerdict::Ignore("it is gone".into())),
        Err(error) => return Err(error.into()),
    };
    if context.clock.now() - comment.created > MAX_COMMAND_AGE {
        return Ok(CommandVerdict::Ignore("it is too old".into()));
    }
    let Some(command) = UserCommand::parse(&comment.body) else {
        return Ok(CommandVerdict::Ignore("the comment no longer contains a command".into()));
    };
    let Some(author) = comment.author else {
        return Ok(CommandVerdict::Ignore("its author no longer exists".into()));
    };
    if !author.is_person || server.is_own_account(&repository.name, &author).await? {
        return Ok(CommandVerdict::Ignore(format!("{} is a bot", author.login)));
    }
    if let Some(reason) = comment.text_writer.refusal_reason() {
        return Ok(CommandVerdict::RefuseForeignText { command, comment_author: author.login, reason });
    }
    if !server.may_write(&repository.name, &author).await? {
        return Ok(CommandVerdict::Ignore(format!(
            "{} has no write access to {}",
            author.login, repository.name
        )));
    }
    let author = CommandAuthor::from(author);
    if matches!(command, UserCommand::Converge | UserCommand::Audit) && !is_asker(context, server, &author) {
        return Ok(refuse_unlisted_author(CommandRequest {
            command,
            author,
            url: comment.url,
            thread_finding: None,
        }));
    }
    let first = comment.first_comment.filter(|_| command.targets_thread_finding());
    let thread = match first {
        Some(first) => thread_finding(server, user_request, repository, first, known_comments).await?,
        None => None,
    };
    Ok(CommandVerdict::Accept(CommandRequest { command, author, url: comment.url, thread_finding: thread }))
}

/// Returns the finding whose thread begins with `first_comment`. Returns `None` if that comment is not about
/// a finding of Truing.
async fn thread_finding(
    server: &AnyForgeServer,
    user_request: &UserRequest,
    repository: &KnownRepository,
    first_comment: CommentId,
    known_comments: &[(CommentSubject, CommentId)],
) -> Result<Option<FindingId>, ForgeError> {
    let review = server.client(&user_request.pr, &repository.name, CommentProducer::Review);
    match review.comment_subject(known_comments, &first_comment).await {
        Ok(Some(CommentSubject::Finding(id))) => return Ok(Some(id)),
        Ok(Some(CommentSubject::Summary) | None) | Err(ForgeError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    // Comments of converge runs are under another producer, so both producers are searched.
    let client = server.client(&user_request.pr, &repository.name, CommentProducer::Converge);
    match client.comment_topic(&first_comment).await {
        Ok(topic) => {
            Ok(topic.and_then(|topic| topic.as_str().strip_prefix(Topic::FINDING_PREFIX).map(FindingId::new)))
        }
        Err(ForgeError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the comment. If the repository no longer has the recorded name, finds the repository by its id.
async fn find_comment(
    server: &AnyForgeServer,
    user_request: &UserRequest,
    kind: CommentKind,
    id: u64,
    repository: &mut KnownRepository,
) -> Result<Option<PullComment>, ForgeError> {
    match server.comment(&user_request.pr, &repository.name, kind, id).await {
        Err(ForgeError::NotFound { .. } | ForgeError::Moved { .. }) => {}
        found => return found,
    }
    repository.name = server.repository_by_id(&user_request.pr.repository).await?.name;
    server.comment(&user_request.pr, &repository.name, kind, id).await
}
