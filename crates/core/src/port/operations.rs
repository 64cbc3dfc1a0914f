//! Records for the operators of a service: the kill switch, the audit log and notices.

use async_trait::async_trait;

use super::StoreError;
use crate::id::UnixMillis;
pub use crate::line::MAX_STORED_TEXT_CHARS;
use crate::line::clean_line;
use crate::switch::{KillSwitch, KillSwitches, SwitchRequest};

/// Maximum length of a stored name, in characters, for example of an actor or a slot.
pub const MAX_STORED_NAME_CHARS: usize = 200;
/// A store of the rows that operators change. Writes to these rows need no fencing token. The store applies
/// the changes one after the other, and the audit log records each change.
#[async_trait]
pub trait OperatorStore: Send + Sync {
    /// Returns the current kill switches, with the names of repositories. The result is not cached.
    async fn kill_switches(&self) -> Result<KillSwitches, StoreError>;

    /// Turns the global kill switch on or off, as [`KillSwitch::apply_request`] decides. One transaction
    /// writes the switch, the line of the audit log and the notice. If the switch is turned off, the
    /// transaction also requests a sweep. Returns the switch before and after the change.
    async fn turn_switch(
        &self,
        request: &SwitchRequest,
        operator: &str,
    ) -> Result<(KillSwitch, KillSwitch), StoreError>;

    /// Returns the time at which an immediate sweep was requested; `None` if no sweep is requested.
    async fn sweep_request_time(&self) -> Result<Option<UnixMillis>, StoreError>;

    /// Clears the request for a sweep that was made at `request_time`. A later request is kept.
    async fn clear_sweep_request(&self, request_time: UnixMillis) -> Result<(), StoreError>;

    /// Adds actions to the audit log, at the store's current time.
    async fn append_audit_log(&self, actions: &[OperatorAction]) -> Result<(), StoreError>;

    /// Queues these notices. A notice is not queued if a notice with the same kind, key and period was queued
    /// before.
    async fn queue_notices(&self, notices: &[NewNotice]) -> Result<(), StoreError>;

    /// Returns the oldest notices that are not delivered yet, in the order in which they were queued.
    async fn pending_notices(&self, limit: usize) -> Result<Vec<PendingNotice>, StoreError>;

    /// Marks a notice as finished: it was delivered, or no recipient can be reached.
    async fn finish_notice(&self, notice_id: i64) -> Result<(), StoreError>;

    /// Deletes a batch of audit log entries and finished notices that are older than `before`. Returns the
    /// number of deleted entries; 0 means that no entry older than `before` is left.
    async fn delete_old_entries(&self, before: UnixMillis) -> Result<usize, StoreError>;
}

/// An action by which a person changed something, for the audit log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperatorAction {
    /// Actor: an account of the operating system, or `login@forge`.
    pub actor: String,
    /// Action, in the words of the command that performs it: `kill on`, `slots retry`.
    pub action: String,
    /// Object that the action changed, such as a slot's key; empty if actions of this type have only one
    /// possible object.
    pub target: String,
    /// Further details of the action, in one line.
    pub detail: String,
}

impl OperatorAction {
    /// Creates an action. Each field is reduced to one line of visible text and truncated.
    pub fn new(actor: &str, action: &str, target: &str, detail: &str) -> Self {
        Self {
            actor: clean_line(actor, MAX_STORED_NAME_CHARS),
            action: clean_line(action, MAX_STORED_NAME_CHARS),
            target: clean_line(target, MAX_STORED_TEXT_CHARS),
            detail: clean_line(detail, MAX_STORED_TEXT_CHARS),
        }
    }
}

/// A line of the audit log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// Time of the action.
    pub at: UnixMillis,
    /// Action that was recorded.
    pub action: OperatorAction,
}

/// The subject of a notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoticeKind {
    /// The kill switch was turned on or off.
    KillSwitch,
    /// A slot was parked.
    Parked,
    /// A threshold of a budget is reached.
    Budget,
}

impl NoticeKind {
    /// Returns the word used in the store and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KillSwitch => "kill_switch",
            Self::Parked => "parked",
            Self::Budget => "budget",
        }
    }
}

/// A notice to be queued for delivery.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewNotice {
    /// Subject of the notice.
    pub kind: NoticeKind,
    /// Object that the notice is about, such as a slot's key; empty if notices of this kind have only one
    /// possible object.
    pub key: String,
    /// Period in which the notice is delivered at most once, such as a day.
    pub period: String,
    /// Text for users, in one line.
    pub text: String,
}

impl NewNotice {
    /// Creates a notice. Its text is reduced to one line of visible text and truncated.
    pub fn new(kind: NoticeKind, key: &str, period: &str, text: &str) -> Self {
        Self { kind, key: key.into(), period: period.into(), text: clean_line(text, MAX_STORED_TEXT_CHARS) }
    }
}

/// A notice that is not delivered yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingNotice {
    /// Number of the notice, greater for later notices.
    pub id: i64,
    /// Word for the kind of the notice, as [`NoticeKind::as_str`] returns it.
    pub kind: String,
    /// Time at which the notice was queued.
    pub created: UnixMillis,
    /// Text for users, in one line.
    pub text: String,
}
