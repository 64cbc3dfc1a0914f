//! The flag `truing review --pr`: reviews a pull request from this machine and prints the result. Without
//! `--publish`, nothing is written to the forge ([`super::publish`]).

use std::path::Path;
use std::sync::Arc;

use truing_agent::verify::CacheScope as Trust;
use truing_core::id::PrId;
use truing_core::port::{ForgeRead as _, PullRequest, RunStore as _, SlotDescription};
use truing_core::publish::CommentProducer;
use truing_core::switch::RepositoryRef;
use truing_forge::remote::{RemoteError, RemotePurpose};
use truing_forge::{AnyForgeServer, ForgeServer as _};
use truing_loops::checkout;
use truing_loops::checkout::{CheckoutContext, CheckoutError, OperatorRules};
use truing_loops::finding_storage::RecordOpener;
use truing_loops::local::LocalReviewError;
use truing_loops::machine::{SystemClock, new_run_id};
use truing_loops::pull::{PullRequestReview, unpublished_review_key};
use truing_loops::tools::LinterSources;
use truing_store::Store;

use super::publish::PublishRequest;
use super::target::PullTarget;
use super::tool_outputs::ReviewFolders;
use super::{ReportContext, ReviewCommand, review_exit};
use crate::cli::error::{CliError, CommandExit};
use crate::cli::target::{check_kill_switches, store_error};
use crate::cli::tiers::{explain_tier, instructions_text, load_prices};
use crate::wiring;
use crate::wiring::store::StoreLocation;

impl ReviewCommand {
    pub(super) async fn review_pull(&self, pr: &str) -> Result<CommandExit, CliError> {
        let PullTarget { forge, repo, number, mut config } =
            PullTarget::resolve_reference(pr, &self.config, &self.environment).await?;
        let here = self.environment.directory();
        let reader = wiring::child_process_reader(&config.rules, &config.sandbox)?;
        let supplied_outputs =
            self.args.outputs.read(here, &reader).await?.into_tool_outputs(ReviewFolders {
                root: checkout_root(here),
                folder: here,
                has_all_files: true,
            });
        // The other forges are removed, because they are not used and may have no token.
        config.forges.retain(|name, _| *name == forge);
        let place = StoreLocation::from_config(&config, &self.environment)?;
        let store =
            if self.args.no_record { place.open_existing().await? } else { Some(place.open().await?) };
        if let Some(store) = &store {
            check_kill_switches(store, &RepositoryRef::from_name(&repo)).await?;
        }
        if let Some(store) = &store
            && let Some(url) = find_pull_url(store, pr, &format!("{repo}#{number}")).await?
        {
            self.register_review(unpublished_review_key(&url));
        }
        let folder = wiring::ensure_machine_folder(&config)?;
        let doing = if self.args.publish && !self.args.dry_run { "publishing" } else { "reviewing" };
        let progress = self.output.progress(doing, None);
        let client = wiring::forge_client(&config, &forge, &self.environment, &folder)?;
        let client = client.with_shared_rate_limits(store.as_ref().and_then(Store::shared_state));
        let client = client.with_review_id(new_run_id().as_str());
        let (id, pull) = fetch_pull(&client, &forge, &repo, number).await?;
        if let Some(store) = &store {
            // The repository may have been renamed after its kill switch was turned on, so the switches are
            // checked again by the repository's id.
            check_kill_switches(store, &RepositoryRef::from_key(&id.key()).with_name(&repo)).await?;
        }
        let git = wiring::open_git(&self.environment).await?;
        let remote = client
            .resolve_remote(&id.repository, &repo, RemotePurpose::Fetch)
            .await
            .map_err(|error| wiring::forge_kind_error(&forge, client.kind(), error))?;
        let toolbox =
            self.disable_cache_if_unrecorded(wiring::tools::service_linters(&config, &self.environment)?);
        let toolbox = LinterSources { supplied_outputs, ..toolbox };
        let lines_key = wiring::line_digest_key(&config, &self.environment)?;
        let checkout = CheckoutContext {
            git: &git,
            forge: &forge,
            server: &client,
            mirror: &checkout::mirror_path(&wiring::mirrors_folder(&folder), &id),
            remote: &remote,
            rules: &OperatorRules::new(config.clone(), lines_key).map_err(wiring::invalid_glob_error)?,
            reader: &reader,
            linter_sources: &toolbox,
            trust: Trust::new(format!("review {}", id.key().as_str())),
        };
        let (review, pinned, published) = match store {
            Some(store) if self.args.publish => {
                self.attempts.remove_delegated_review();
                let (_, pinned) = checkout.fetch(&pull).await?;
                let publishing = PublishRequest {
                    config: &config,
                    environment: &self.environment,
                    output: self.output,
                    id: &id,
                    repo: &repo,
                    pull: &pull,
                    is_dry_run: self.args.dry_run,
                    attempts: &self.attempts,
                    interrupt: self.interrupt.clone(),
                    linter_sources: toolbox.clone(),
                };
                let (review, published) = Box::pin(publishing.run(store)).await?;
                (review, pinned, Some(published))
            }
            store => {
                let records = store.filter(|_| !self.args.no_record);
                if let Some(records) = &records {
                    // Because of this description, `truing why` can find the review by the name of the pull
                    // request.
                    let described =
                        SlotDescription { name: pull.name.clone(), url: pull.url.clone(), head: None };
                    records.store_descriptions(&[(id.key(), described)]).await.map_err(store_error)?;
                }
                let records = records.map(|store| store.as_record_store());
                let records: RecordOpener = Arc::new(move || Ok(records.clone()));
                let clock = &SystemClock;
                let asked = self.open_agent().await?;
                let its = RepositoryRef::from_key(&id.key()).with_name(&repo);
                let model = asked.agent.as_ref().map(|agent| wiring::agent::gated_agent(agent, its));
                let attempts = &self.attempts;
                let reviewing = PullRequestReview {
                    id: &id,
                    pull: &pull,
                    checkout,
                    model,
                    attempts,
                    record_opener: records,
                    clock,
                };
                let (review, pinned) = reviewing.run().await?;
                if let Ok((_, now)) = fetch_pull(&client, &forge, &repo, number).await
                    && now.revision.head != pull.revision.head
                {
                    let (head, now) = (pull.revision.head.short_sha(), now.revision.head.short_sha());
                    self.output.warn(format_args!(
                        "{repo}#{number} is now at commit {now}; this review is of {head}"
                    ));
                }
                if let Some(why) = asked.incomplete_warning() {
                    self.output.warn(why);
                }
                (review, pinned, None)
            }
        };
        drop(progress);
        if self.args.explain
            && let Some(choice) = &review.record.detail.tier
        {
            let prices = load_prices(&config, &self.environment).await?;
            self.output
                .print_even_if_quiet(explain_tier(choice, &prices) + &instructions_text(&review.record));
        }
        if let Some(why) = &review.unrecorded_reason {
            self.output.warn(format_args!("the review is not recorded: {why}"));
        }
        let configured = pinned.config_file_tip.as_ref().map(ToString::to_string);
        let names = ReportContext {
            head: Some(&format!("{repo}#{number}")),
            config_source: configured.as_deref(),
            remote: Some(remote.url()),
            published_comments: published.as_ref(),
            unapplied_fixes: &[],
        };
        self.warn_of_settings(&pinned.scope.denied_repository_keys, &pinned.scope.packs);
        self.print(&review, names, &pinned.scope.packs)?;
        Ok(review_exit(&review, self.args.fail_on, self.args.allow_partial))
    }
}

/// Returns the URL of a pull request from the records or from the user's text. Sends no request to the forge.
async fn find_pull_url(store: &Store, text: &str, name: &str) -> Result<Option<String>, CliError> {
    if let Some(key) = store.find_pull_key(name).await.map_err(store_error)? {
        let described = store.descriptions(&[key]).await.map_err(store_error)?;
        if let Some(described) = described.into_iter().flatten().next() {
            return Ok(Some(described.url));
        }
    }
    // A page below the page of a pull request, such as `/files?w=1`, belongs to the same pull request.
    let page = |separator: &str| {
        let (host, rest) = text.split_once(separator).filter(|_| text.starts_with("http"))?;
        let number = rest.split(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default();
        Some(format!("{host}{separator}{number}"))
    };
    Ok(["/pull/", "/pull-requests/"].into_iter().find_map(page))
}

/// Reads the pull request and the permanent id of its repository from the forge.
async fn fetch_pull(
    client: &AnyForgeServer,
    forge: &str,
    repo: &str,
    number: u64,
) -> Result<(PrId, PullRequest), CliError> {
    let wrong = |error| wiring::forge_kind_error(forge, client.kind(), RemoteError::Forge(error));
    let repository = client.repository(repo).await.map_err(wrong)?.id;
    let id = PrId { forge: forge.to_owned(), repository, number };
    let pull = client.client(&id, repo, CommentProducer::Review).pull_request().await.map_err(wrong)?;
    Ok((id, pull))
}

/// Converts an error of a pull request's review.
impl From<CheckoutError> for CliError {
    fn from(error: CheckoutError) -> Self {
        match error {
            CheckoutError::Git(error) => wiring::git_error(error),
            CheckoutError::Reading(error) => LocalReviewError::Reading(error).into(),
            CheckoutError::Agent(error) => error.into(),
            CheckoutError::Config(error) => error.into(),
            CheckoutError::Pattern(error) => wiring::invalid_glob_error(error),
        }
    }
}

/// Returns the root of the checkout that contains the folder. If there is no checkout, returns the folder
/// itself. Absolute paths in a linter's output are interpreted relative to this root.
fn checkout_root(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(folder)
}
