//! Runs converge on a pull request, under a lease of the pull request's slot. A person's command does a whole
//! run. A worker of the service does a run step by step. During the lease, no review and no other run works
//! on the pull request. A command can resume a run that the service began, and the service can resume a run
//! that a command began.

mod end;
mod listener;
mod operator_run;
mod progress;
mod step;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use truing_config::Config;
use truing_config::converge::ConvergeConfig;
use truing_core::converge::record::{ConvergeDetail, ConvergeRecord};
use truing_core::converge::{AuditScopeDigest, ConvergeRun, is_reviewed_clean};
use truing_core::dismissal::Dismissal;
use truing_core::id::{FencingToken, PrId, RunId, Sha, SlotKey};
use truing_core::port::{Clock as _, EffectOwner, ForgeError, ForgeRead as _, PullDetails, WriteGate};
use truing_core::publish::CommentProducer;
use truing_core::slot::SlotLimits;
use truing_core::switch::RepositoryRef;
use truing_forge::effects::EffectExecutor;
use truing_forge::remote::RemotePurpose;
use truing_forge::{AnyForgeServer, ForgeServer as _, RepositoryClient};
use truing_git::{Git, GitError, Mirror};
use truing_loops::checkout::{self, OperatorRules};
use truing_loops::converge::post_audit::PullRequestRunner;
use truing_loops::converge::pull::{self, PullRequestWorkspace};
use truing_loops::converge::{
    ConvergeAgents, ConvergeContext, ConvergeRunMode, ConvergeRunner, InspectionTools,
};
use truing_loops::machine::SystemClock;
use truing_loops::program_versions;
use truing_loops::run_gate::{RunGate, SwitchReader};
use truing_loops::telemetry::{self, ConvergeSpan};

use super::lease::Lease;
use super::run_failure::{RunFailure, SetupError};

pub(super) use end::record_abandonment;
pub use progress::{ConvergeRunEnd, ProgressMessage};

type InspectionToolsFactory = dyn Fn(&Config) -> Result<InspectionTools, SetupError> + Send + Sync;

/// Resources for converge runs on pull requests.
pub struct ConvergeSetup {
    /// The models that audit and fix.
    pub agents: ConvergeAgents,
    /// The operator's configuration, and the branches that may add to it.
    pub rules: OperatorRules,
    /// Creates the tools that inspect a head. The configuration for these tools includes the repository's own
    /// configuration file.
    pub inspection_factory: Box<InspectionToolsFactory>,
}

impl fmt::Debug for ConvergeSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConvergeSetup")
            .field("agents", &self.agents)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl ConvergeSetup {
    /// Returns the operator's configuration of converge runs.
    pub fn config(&self) -> &ConvergeConfig {
        &self.rules.operator_config().converge
    }
}

/// A pull request, with the resources for a converge run on it.
#[derive(Debug)]
pub struct ConvergeRunContext<'a> {
    /// Id for a run that is new.
    pub run: &'a RunId,
    /// Name of the repository as `owner/name`.
    pub repo: &'a str,
    /// The pull request's number at the forge.
    pub number: u64,
    /// The forge's name in the configuration, and the forge's client. Each request of the client contains the
    /// run's id.
    pub forge: (&'a str, &'a AnyForgeServer),
    pub git: &'a Git,
    /// Folder of the mirrors.
    pub mirrors_folder: &'a Path,
    /// The models, rules and tools of the run.
    pub setup: &'a ConvergeSetup,
    /// Limits of the slot machine.
    pub limits: &'a SlotLimits,
    pub switches: &'a Arc<SwitchReader>,
}

/// The commits, the branch and the tools of a run.
struct ConvergeCheckout {
    mirror: Mirror,
    /// Id and name of the repository that contains the branch to push to.
    head_repository: (String, String),
    pull_details: PullDetails,
    base: Sha,
    inspection_tools: InspectionTools,
}

impl ConvergeRunContext<'_> {
    fn config(&self) -> &ConvergeConfig {
        self.setup.config()
    }

    /// Begins a trace span for the part of the run since `started_at`.
    fn span(&self, record: &ConvergeRecord, started_at: SystemTime) -> ConvergeSpan {
        ConvergeSpan::start(record, Some(self.repo), Some(self.number), started_at)
    }

    /// Returns the pull request's id, which contains the repository's id at the forge.
    async fn id(&self) -> Result<PrId, ForgeError> {
        let (name, forge) = self.forge;
        let repository = forge.repository(self.repo).await?.id;
        Ok(PrId { forge: name.to_owned(), repository, number: self.number })
    }

    /// Returns the name of the pull request for people, as `owner/name#7`.
    fn display_name(&self) -> String {
        format!("{}#{}", self.repo, self.number)
    }

    /// Returns the gate for writes under this lease.
    fn leased_gate(&self, lease: &Lease) -> Arc<dyn WriteGate> {
        let store = &self.setup.agents.auditor.ledger;
        Arc::new(self.run_gate(&lease.key).with_lease(store, &lease.key, lease.token))
    }

    /// Returns the gate for writes to this pull request.
    fn run_gate(&self, key: &SlotKey) -> RunGate {
        RunGate::for_run(self.switches, RepositoryRef::from_key(key).with_name(self.repo))
    }

    /// Returns the executor for every write to the pull request under this lease.
    fn effect_executor<'b>(
        &'b self,
        client: &'b RepositoryClient,
        gate: &'b Arc<dyn WriteGate>,
        key: &SlotKey,
        token: Option<FencingToken>,
    ) -> EffectExecutor<'b> {
        let writer = EffectOwner { key: key.clone(), producer: CommentProducer::Converge, token };
        let log = &self.setup.agents.auditor.ledger;
        let watch = &telemetry::WRITE_MONITOR;
        EffectExecutor {
            forge: client,
            log: &**log,
            gate,
            clock: &SystemClock,
            owner: writer,
            monitor: watch,
        }
    }

    fn workspace<'b>(
        &'b self,
        client: &'b RepositoryClient,
        effects: EffectExecutor<'b>,
        checkout: &'b ConvergeCheckout,
    ) -> PullRequestWorkspace<'b> {
        let head = &checkout.pull_details.head;
        PullRequestWorkspace {
            forge: client,
            effects,
            mirror: &checkout.mirror,
            server: self.forge.1,
            head_repository_ref: (&checkout.head_repository.0, &checkout.head_repository.1),
            head_repository: head.repository.as_ref(),
            target_branch: &checkout.pull_details.base_branch,
            event: self.config().event,
            resolves_fixed_threads: self.config().resolve_threads,
            post_push_comment: pull::comment_after_push(self.config()),
            stop_requests: None,
            read_only_reason: (head.can_push == Some(false)).then(|| {
                format!(
                    "Truing may not push to {}: the branch is in a fork that does not allow edits by \
                        maintainers, or the token lacks the permission",
                    head.branch
                )
            }),
        }
    }

    fn runner<'b>(
        &'b self,
        checkout: &'b ConvergeCheckout,
        workspace: &'b PullRequestWorkspace<'b>,
        gate: &'b Arc<dyn WriteGate>,
        record: ConvergeRecord,
        mode: ConvergeRunMode,
    ) -> PullRequestRunner<'b> {
        let context = ConvergeContext {
            workspace,
            mirror: &checkout.mirror,
            agents: &self.setup.agents,
            inspection_tools: &checkout.inspection_tools,
            config: self.config(),
            gate,
            repository: Some(self.repo),
        };
        PullRequestRunner { runner: ConvergeRunner::new(context, record, mode), workspace }
    }

    /// Fetches the commits, and determines the repository and branch to which fixes are pushed.
    async fn fetch_checkout(
        &self,
        id: &PrId,
        pull_details: PullDetails,
    ) -> Result<ConvergeCheckout, RunFailure> {
        let (_, forge) = self.forge;
        let theirs = forge.resolve_remote(&id.repository, self.repo, RemotePurpose::Push).await?;
        let head_repository =
            match pull_details.head.repository.as_ref().filter(|head| !head.is_target_repository) {
                Some(fork) => (fork.id.clone(), fork.name.clone()),
                None => (id.repository.clone(), self.repo.to_owned()),
            };
        let mirror = self.git.open_mirror(&checkout::mirror_path(self.mirrors_folder, id), &theirs).await?;
        let head = (&pull_details.head.sha, pull_details.head.repository.as_ref());
        let base =
            pull::change_base(forge, &mirror, &pull_details.base_branch, &pull_details.base, head).await?;
        let ConvergeSetup { rules, inspection_factory: inspection_tools, .. } = self.setup;
        let config =
            rules.effective_config(self.git, &mirror, self.forge.0, &pull_details.base_branch).await?;
        let inspection_tools = inspection_tools(&config).map_err(RunFailure::InspectionTools)?;
        Ok(ConvergeCheckout { mirror, head_repository, pull_details, base, inspection_tools })
    }

    /// Returns the record that the run continues: an audit of this head, an unfinished run, or a stuck run
    /// for which nothing has changed. If there is no such record, returns a new record.
    async fn resume_or_new_record(
        &self,
        client: &RepositoryClient,
        last_record: Option<ConvergeRecord>,
        dismissals: &[Dismissal],
        key: &SlotKey,
        ConvergeCheckout { mirror, pull_details, base, inspection_tools, .. }: &ConvergeCheckout,
    ) -> Result<ConvergeRecord, RunFailure> {
        let (limits, inspection_tools) = (self.config().limits.clone(), &inspection_tools.configuration_id);
        let head = pull_details.head.sha.clone();
        let tree = mirror.tree_id(&head).await?;
        if let Some(mut record) = last_record
            .clone()
            .filter(|last_record| last_record.is_audit_of(&head, base, inspection_tools, dismissals))
        {
            record.resume_from_audit(limits);
            return Ok(record);
        }
        let known = (inspection_tools.as_str(), self.setup.agents.auditor.model.as_str());
        let is_stuck = |last_record: &ConvergeRecord| {
            last_record.detail.state.head == head
                && last_record.is_stuck_with(base, known.0, known.1, dismissals)
        };
        if let Some(mut record) = last_record.clone().filter(is_stuck) {
            record.retry(limits);
            return Ok(record);
        }
        if let Some(mut record) = last_record.clone().filter(ConvergeRecord::is_unfinished) {
            record.resume(limits.clone(), inspection_tools);
            record.detail.state.resume_from_audit(limits);
            // If the head has changed, the run itself processes the new head in a later step. A change of
            // only the base is processed here, because the diff is then a different one.
            if record.detail.base != *base && record.detail.state.head == head {
                record.detail.base = base.clone();
                // The result is ignored, because this event does not restart a run that has ended.
                let _ = record
                    .detail
                    .state
                    .apply_event(truing_core::converge::ConvergeEvent::HeadChanged { head, tree });
            }
            return Ok(record);
        }
        let remembered = last_record
            .as_ref()
            .and_then(|last_record| last_record.cleared_head(base, inspection_tools, dismissals))
            == Some(&head);
        // A review at the forge is ignored if our own records contain this head.
        let is_unknown = last_record.as_ref().is_none_or(|last_record| !last_record.involves_head(&head));
        let scope = AuditScopeDigest::new(base, inspection_tools, dismissals);
        let reviewed = is_unknown && is_reviewed_clean(&client.reviews().await?, &head, &scope);
        let clean = (remembered || reviewed).then(|| head.clone());
        let mut state = ConvergeRun::new(limits, head, tree, clean.as_ref());
        if clean.is_some() {
            // A later run checks whether these dismissals still hold.
            state.dismissals = dismissals.to_vec();
        }
        let mut begun = self.new_record(
            last_record.as_ref(),
            key,
            base,
            &pull_details.head.branch,
            inspection_tools,
            state,
        );
        if reviewed {
            // The earlier run posted this review. If possible, that run also posted the description of the
            // change.
            begun.detail.described.clone_from(&clean);
        }
        Ok(begun)
    }

    /// Returns the record of an unfinished audit of this head and base, or the record of a new audit. An
    /// audit fixes nothing.
    async fn resume_or_new_audit(
        &self,
        last_record: Option<ConvergeRecord>,
        key: &SlotKey,
        ConvergeCheckout { mirror, pull_details, base, inspection_tools, .. }: &ConvergeCheckout,
    ) -> Result<ConvergeRecord, GitError> {
        let (limits, inspection_tools, head) =
            (self.config().limits.clone(), &inspection_tools.configuration_id, pull_details.head.sha.clone());
        let is_same = |last_record: &ConvergeRecord| {
            last_record.detail.state.audits_only
                && last_record.is_unfinished()
                && last_record.detail.base == *base
                && last_record.detail.state.head == head
        };
        if let Some(mut record) = last_record.clone().filter(is_same) {
            record.resume(limits, inspection_tools);
            return Ok(record);
        }
        let tree = mirror.tree_id(&head).await?;
        let state = ConvergeRun::new_audit_only(limits, (head, tree));
        Ok(self.new_record(
            last_record.as_ref(),
            key,
            base,
            &pull_details.head.branch,
            inspection_tools,
            state,
        ))
    }

    /// Creates a record that takes over the description and the reviewer requests of the last record.
    fn new_record(
        &self,
        last_record: Option<&ConvergeRecord>,
        key: &SlotKey,
        base: &Sha,
        branch: &str,
        inspection_name: &str,
        state: ConvergeRun,
    ) -> ConvergeRecord {
        let detail = ConvergeDetail {
            described: last_record.and_then(|last_record| last_record.detail.described.clone()),
            // The requests to reviewers are kept, because each request records the head that was current at
            // the request.
            wakes: last_record.map(|last_record| last_record.detail.wakes.clone()).unwrap_or_default(),
            setup_id: inspection_name.to_owned(),
            ..ConvergeDetail::new(self.display_name(), branch.to_owned(), base.clone(), state)
        };
        let begun = ConvergeRecord::new(self.run.clone(), key.clone(), detail, SystemClock.now());
        ConvergeRecord { versions: program_versions(), ..begun }
    }
}
