//! SARIF 2.1.0: the static analysis results interchange format of OASIS.
//!
//! The results of every run are read. Each result consists of the texts, defaults and messages of its rule, a
//! location, and fixes. Results that are not findings are skipped. These are results of the kinds `pass`,
//! `notApplicable` and `informational`, and results that exist only in the baseline. If an invocation reports
//! a failure, the report contains a problem.

mod location;
mod log;
mod message;
mod rules;

use std::ops::ControlFlow;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use truing_core::line::format_count;

use self::location::SarifLocationResolver;
use self::log::{
    SarifConfiguration, SarifFix, SarifInvocation, SarifLog, SarifProperties, SarifResult, SarifRun,
};
use self::rules::{SarifRule, SarifRules};
use crate::output::decode;
use crate::output::diagnostic::{
    Diagnostic, DiagnosticLevel, MAX_NAME_CHARS, MAX_PAGE_URL_BYTES, MAX_TAGS, MAX_TITLE_CHARS, ToolEdit,
    ToolFix,
};
use crate::output::entries::{self, BoundedFields, WholeNumber};
use crate::output::format::OutputContext;
use crate::output::path::PathError;
use crate::output::report::{DiagnosticCollector, DiagnosticReport, ProblemKind};
use crate::output::text::text_start;

/// Beginning of the SARIF versions that can be parsed. Drafts of 2.1.0, which have the same beginning, are
/// similar enough.
const VERSION_PREFIX: &str = "2.1";
/// Name of a partial fingerprint. Most tools write it, and GitHub uses it to recognise results.
const PRIMARY_FINGERPRINT_NAME: &str = "primaryLocationLineHash";

/// Reads a log. Never panics, for any input bytes.
pub(crate) fn read(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut collected = DiagnosticCollector::new();
    let Some(text) = decode::decode_document(bytes, &mut collected) else { return collected.finish() };
    match entries::parse_document::<SarifLog<'_>>(&text, &mut collected) {
        Ok(SarifLog { version: Some(version), .. }) if !version.starts_with(VERSION_PREFIX) => {
            let text = format!("SARIF {version} is not supported: let the tool print SARIF 2.1.0");
            collected.add_problem(ProblemKind::Unreadable, &text);
        }
        Ok(SarifLog { runs: Some(runs), .. }) => {
            let mut number = 0;
            let mut has_runs = false;
            let read = entries::for_each_entry(runs.get(), |index, run| {
                number = index;
                has_runs = true;
                self::read_run(run, context, index, &mut collected);
                ControlFlow::Continue(())
            });
            if let Err(error) = read {
                collected.add_problem(
                    ProblemKind::Unreadable,
                    &format!("the SARIF log is malformed after run {number}: {error}"),
                );
            } else if !has_runs {
                collected.add_problem(ProblemKind::Unreadable, "the SARIF log has no runs");
            }
        }
        Ok(SarifLog { runs: None, .. }) => {
            collected.add_problem(ProblemKind::Unreadable, "the SARIF log has no runs");
        }
        Err(error) => {
            collected
                .add_problem(ProblemKind::Unreadable, &format!("the output is not a SARIF log: {error}"));
        }
    }
    collected.finish()
}

fn read_run(
    run: &RawValue,
    context: &OutputContext<'_>,
    run_number: usize,
    collector: &mut DiagnosticCollector,
) {
    let run: SarifRun<'_> = match serde_json::from_str(run.get()) {
        Ok(run) => run,
        Err(error) => {
            return collector.add_problem(ProblemKind::Unreadable, &format!("run {run_number}: {error}"));
        }
    };
    let name = run.tool.driver.name.as_deref().filter(|name| !name.trim().is_empty());
    let reader = SarifReader {
        tool: text_start(name.unwrap_or_else(|| context.tool_name_or("sarif")), MAX_NAME_CHARS),
        location_resolver: SarifLocationResolver::new(&run, context),
        rules: SarifRules::new(&run),
        run: &run,
    };
    collector.add_tool(reader.tool);
    for invocation in run.invocations.iter() {
        report_failures(reader.tool, invocation, collector);
    }
    let Some(results) = run.results else {
        // By section 3.14.23, a missing list of results means that the tool did not begin its analysis.
        return collector
            .add_problem(ProblemKind::ToolFailed, &format!("{} reports no list of results", reader.tool));
    };
    if results.get() == "null" {
        return collector
            .add_problem(ProblemKind::ToolFailed, &format!("{} did not begin its analysis", reader.tool));
    }
    let read = entries::for_each_entry(results.get(), |index, result| {
        reader.read_result(index, result, collector);
        ControlFlow::Continue(())
    });
    if let Err(error) = read {
        collector.add_problem(
            ProblemKind::Unreadable,
            &format!("the results of {} are malformed: {error}", reader.tool),
        );
    }
}

/// Adds problems for the failures that an invocation reports.
fn report_failures(tool: &str, invocation: &SarifInvocation, collector: &mut DiagnosticCollector) {
    let notifications = invocation.tool_execution_notifications.iter();
    let notifications = notifications.chain(invocation.tool_configuration_notifications.iter());
    let mut is_told = false;
    for notification in notifications.filter(|notification| notification.level.as_deref() == Some("error")) {
        let text = notification.message.as_ref().and_then(|message| message.text.as_deref());
        collector.add_problem(
            ProblemKind::ToolFailed,
            &format!("{tool}: {}", text.unwrap_or("an error without message")),
        );
        is_told = true;
    }
    if let Some(text) = &invocation.process_start_failure_message {
        collector.add_problem(ProblemKind::ToolFailed, &format!("{tool} did not start: {text}"));
    } else if invocation.execution_successful == Some(false) && !is_told {
        let code = invocation
            .exit_code
            .map(|WholeNumber(code)| format!(" with exit code {code}"))
            .unwrap_or_default();
        let text =
            invocation.exit_code_description.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        collector.add_problem(ProblemKind::ToolFailed, &format!("{tool} failed{code}{text}"));
    }
}

/// Parser for the results of one run.
struct SarifReader<'a> {
    tool: &'a str,
    run: &'a SarifRun<'a>,
    location_resolver: SarifLocationResolver<'a>,
    rules: SarifRules<'a>,
}

impl SarifReader<'_> {
    fn read_result(&self, index: usize, result: &RawValue, collector: &mut DiagnosticCollector) {
        let result: SarifResult<'_> = match serde_json::from_str(result.get()) {
            Ok(result) => result,
            Err(error) => {
                return collector
                    .add_skipped_entry(ProblemKind::MalformedEntry, &format!("result {index}: {error}"));
            }
        };
        // Results of these kinds are not findings (section 3.27.9). An `absent` result was in the baseline
        // and no longer exists (section 3.27.25).
        let is_no_finding =
            matches!(result.kind.as_deref(), Some("pass" | "notApplicable" | "informational"));
        if is_no_finding || result.baseline_state.as_deref() == Some("absent") {
            return;
        }
        let rule = self.rules.rule_for(&result);
        let name = rules::rule_id(&result).or_else(|| rule.descriptor.map(|rule| rule.id.as_str()));
        let name = name.map(|name| text_start(name, MAX_NAME_CHARS));
        let named =
            || name.map_or_else(|| format!("result {index}"), |name| format!("result {index} ({name})"));
        let Some(message) = self.message(&result, &rule) else {
            return collector
                .add_skipped_entry(ProblemKind::MalformedEntry, &format!("{}: no message", named()));
        };
        let locations = result.locations.iter().filter_map(|location| location.physical_location.as_ref());
        let mut wrong = PathError::Missing;
        let place = locations.filter_map(|place| {
            self.location_resolver.resolve_location(place).map_err(|error| wrong = error).ok()
        });
        let place = { place }.next();
        let Some((path, range)) = place else {
            return collector.skip_unplaced_entry(&wrong, &format!("{}: {wrong}", named()));
        };
        if collector.is_full() {
            return collector.count_beyond_limit();
        }
        let descriptor = rule.descriptor;
        let title = descriptor.and_then(|rule| rule.short_description.as_ref()?.text.as_deref());
        let mut diagnostic = Diagnostic::new(self.tool, path, range, message);
        diagnostic.rule = name.map(str::to_owned);
        diagnostic.level = self.level(&result, &rule);
        diagnostic.fingerprint = fingerprint(&result.fingerprints, &result.partial_fingerprints);
        let page = descriptor.and_then(|rule| rule.help_uri.as_deref());
        diagnostic.rule_page_url = page.filter(|page| page.len() <= MAX_PAGE_URL_BYTES).map(str::to_owned);
        diagnostic.title = title.map(|title| text_start(title, MAX_TITLE_CHARS).to_owned());
        diagnostic.help = rule.help_text();
        diagnostic.tags = tags(result.properties, descriptor.and_then(|rule| rule.properties.as_ref()));
        diagnostic.is_suppressed = is_suppressed(&result);
        if let Some(fixes) = result.fixes {
            diagnostic.fixes = self.read_fixes(fixes, &named, collector);
        }
        collector.push(diagnostic);
    }

    /// Returns the message of a result (section 3.11.7): the text in the result, or the text of the rule or
    /// tool for the message's id. If there is no text, the Markdown is used. Some tools write only Markdown,
    /// although section 3.11.9 forbids this.
    fn message(&self, result: &SarifResult<'_>, rule: &SarifRule<'_>) -> Option<String> {
        let message = result.message.as_ref()?;
        let written = [&message.text, &message.markdown].into_iter().flatten().map(String::as_str);
        let own = { written }.find(|text| !text.trim().is_empty());
        let text = own.or_else(|| rule.message(message.id.as_deref()?))?;
        Some(message::replace_links(&message::substitute_arguments(text, &message.arguments.0)))
    }

    /// Returns the level of a result (section 3.27.10). In order of precedence, this is the level in the
    /// result, the level that an invocation sets for the rule, or the rule's default level. Without any of
    /// them, the level is a warning.
    fn level(&self, result: &SarifResult<'_>, rule: &SarifRule<'_>) -> DiagnosticLevel {
        let kind = result.kind.as_deref().unwrap_or("fail");
        if let Some(level) = result.level.as_deref().and_then(parse_level) {
            return level;
        }
        if kind != "fail" {
            return DiagnosticLevel::Note;
        }
        let set = || {
            let index = result.provenance.as_ref()?.invocation_index?;
            let rule = rule.descriptor?;
            let overrides = &self.run.invocations.get(index.0)?.rule_configuration_overrides;
            let is_of = |id: Option<&String>| id.is_some_and(|id| *id == rule.id);
            let found =
                overrides.iter().find(|set| is_of(set.descriptor.as_ref().and_then(|rule| rule.id.as_ref())));
            found?.configuration.as_ref()
        };
        let default = || rule.descriptor?.default_configuration.as_ref();
        let of = |configuration: &SarifConfiguration| configuration.level.as_deref().and_then(parse_level);
        set().and_then(of).or_else(|| default().and_then(of)).unwrap_or(DiagnosticLevel::Warning)
    }

    /// Returns the fixes of a result. A fix that is malformed or changes a file outside of the tree is left
    /// out and reported as a problem.
    fn read_fixes(
        &self,
        fixes: &RawValue,
        result_label: &dyn Fn() -> String,
        collector: &mut DiagnosticCollector,
    ) -> Vec<ToolFix> {
        let mut read = Vec::new();
        let walked = entries::for_each_entry(fixes.get(), |index, fix| {
            let fix = serde_json::from_str::<SarifFix>(fix.get()).map_err(|error| error.to_string());
            match fix.and_then(|fix| self.read_fix(fix)) {
                Ok(fix) => read.push(fix),
                Err(error) => {
                    collector.add_problem(
                        ProblemKind::MalformedEntry,
                        &format!("{}: fix {index}: {error}", result_label()),
                    );
                }
            }
            ControlFlow::Continue(())
        });
        if walked.is_err() && fixes.get() != "null" {
            collector.add_problem(
                ProblemKind::MalformedEntry,
                &format!("{}: the value of `fixes` is not an array", result_label()),
            );
        }
        read
    }

    fn read_fix(&self, fix: SarifFix) -> Result<ToolFix, String> {
        let mut edits = Vec::new();
        for change in fix.artifact_changes {
            let path = self
                .location_resolver
                .resolve_path(&change.artifact_location)
                .map_err(|error| error.to_string())?;
            for replacement in change.replacements {
                let range = self
                    .location_resolver
                    .exact_range(&replacement.deleted_region)
                    .ok_or("a malformed region")?;
                let content = replacement.inserted_content;
                let is_binary =
                    |content: &log::SarifContent| content.text.is_none() && content.binary.is_some();
                if content.as_ref().is_some_and(is_binary) {
                    return Err("content that is not text".to_owned());
                }
                let new_text = content.and_then(|content| content.text).unwrap_or_default();
                edits.push(ToolEdit { path: path.clone(), range, new_text });
            }
        }
        if edits.is_empty() {
            return Err(format!("{} in it", format_count(0, "replacement")));
        }
        Ok(ToolFix { message: fix.description.and_then(|message| message.text), edits })
    }
}

/// Returns the level of this name. `none` means that there is no level. A finding must have a level,
/// therefore `none` becomes a note.
fn parse_level(name: &str) -> Option<DiagnosticLevel> {
    match name {
        "error" => Some(DiagnosticLevel::Error),
        "warning" => Some(DiagnosticLevel::Warning),
        "note" | "none" => Some(DiagnosticLevel::Note),
        _ => None,
    }
}

/// Returns true if a result is suppressed (section 3.27.23): it has suppressions, and none of them is under
/// review or rejected.
fn is_suppressed(result: &SarifResult<'_>) -> bool {
    let mut entries = result.suppressions.0.iter();
    let stands = |status: Option<&str>| !matches!(status, Some("underReview" | "rejected"));
    !result.suppressions.0.is_empty()
        && entries.all(|entry| entry.as_ref().is_some_and(|entry| stands(entry.status.as_deref())))
}

/// Returns the fingerprint of a result (3.27.16 and 3.27.17). The complete fingerprint with the highest
/// version takes precedence over the partial fingerprint that most tools write. If both are missing, returns
/// the only partial fingerprint, or a digest of all partial fingerprints.
fn fingerprint<const A: usize, const B: usize>(
    complete_fingerprints: &BoundedFields<String, A>,
    partial_fingerprints: &BoundedFields<String, B>,
) -> Option<String> {
    let version = |name: &str| {
        let (name, version) = name.rsplit_once("/v").unwrap_or((name, "0"));
        (version.parse::<u64>().unwrap_or(0), name.to_owned())
    };
    if let Some((_, mark)) = complete_fingerprints.0.iter().max_by_key(|(name, _)| version(name)) {
        return Some(mark.clone());
    }
    let is_primary = |name: &str| {
        name == PRIMARY_FINGERPRINT_NAME
            || name.rsplit_once("/v").is_some_and(|(name, _)| name == PRIMARY_FINGERPRINT_NAME)
    };
    let primary = partial_fingerprints.0.iter().find(|(name, _)| is_primary(name));
    if let Some((_, mark)) = primary {
        return Some(mark.clone());
    }
    match partial_fingerprints.0.as_slice() {
        [] => None,
        [(_, mark)] => Some(mark.clone()),
        several => {
            let mut several: Vec<_> = several.iter().collect();
            several.sort();
            let mut digest = Sha256::new();
            for part in several.iter().flat_map(|(name, mark)| [name, mark]) {
                digest.update(part.as_bytes());
                digest.update([0]);
            }
            Some(hex::encode(digest.finalize()))
        }
    }
}

/// Returns the tags of a result and of its rule, and `security` if the rule has a security severity.
fn tags(result_properties: Option<&RawValue>, rule_properties: Option<&SarifProperties>) -> Vec<String> {
    let own = result_properties
        .and_then(|properties| serde_json::from_str::<SarifProperties>(properties.get()).ok());
    let bags = [own.as_ref(), rule_properties];
    let mut tags: Vec<String> = Vec::new();
    for tag in bags.iter().flatten().flat_map(|bag| bag.tags.iter()).take(MAX_TAGS) {
        let tag = text_start(tag, MAX_NAME_CHARS);
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    let is_security = bags.iter().flatten().any(|bag| bag.security_severity.is_some());
    if is_security && !tags.iter().any(|tag| tag == "security") {
        tags.insert(0, "security".to_owned());
    }
    tags
}
