//! Dismissals: a person's statement that a finding does not apply. A dismissal is valid until the finding's
//! code or the definition around this code changes.
//!
//! A dismissal is stored in its own row, separate from the findings, so a running review cannot overwrite it.
//! The next process that writes findings applies the dismissal with [`apply_dismissals`].

use serde::{Deserialize, Serialize};

use crate::finding::{Finding, FindingStatus, RawFinding, fingerprint};
use crate::id::{FindingId, UnixMillis};
use crate::line::MAX_STORED_TEXT_CHARS;

/// Number of hexadecimal digits of a finding's id that are displayed.
const DISPLAYED_ID_DIGITS: usize = 10;
/// Minimum number of digits with which a user can identify a finding.
const MIN_ID_DIGITS: usize = 4;

/// A person's dismissal of one finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Dismissal {
    pub finding: FindingId,
    /// Lines of the finding at the time of the dismissal.
    pub snippet: String,
    /// Reason for the dismissal, as one visible line.
    pub reason: String,
    /// Login of the person on the forge.
    #[serde(rename = "by")]
    pub dismissed_by: String,
    #[serde(rename = "at")]
    pub dismissed_at: UnixMillis,
    /// True if the dismissal was withdrawn. The finding is then treated as if it had never been dismissed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// Finding at the time of the dismissal, so loops that have not seen the finding can recognise it. Absent
    /// in old records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "about")]
    pub finding_snapshot: Option<Finding>,
    /// Selection of the comments on the finding that Truing deletes. If it is `None`, the comments are kept
    /// and resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retraction: Option<RetractionScope>,
}

/// The selection of comments on a finding that Truing deletes after an incident.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetractionScope {
    /// Only comments without replies.
    Unanswered,
    /// Also comments with replies.
    Answered,
}

impl Dismissal {
    /// Records a dismissal of a finding in its current state.
    pub fn new(finding: &Finding, reason: &str, dismissed_by: &str, dismissed_at: UnixMillis) -> Self {
        Self {
            finding: finding.id.clone(),
            snippet: finding.raw.snippet.clone(),
            reason: crate::line::clean_line(reason, MAX_STORED_TEXT_CHARS),
            dismissed_by: dismissed_by.to_owned(),
            dismissed_at,
            withdrawn: false,
            finding_snapshot: Some(finding.clone()),
            retraction: None,
        }
    }

    /// Creates a dismissal with which an operator also retracts the comments on a finding.
    pub fn from_retraction(
        finding: &Finding,
        retraction: RetractionScope,
        reason: &str,
        author: &str,
        dismissed_at: UnixMillis,
    ) -> Self {
        Self { retraction: Some(retraction), ..Self::new(finding, reason, author, dismissed_at) }
    }

    /// Creates the record with which a person withdraws the dismissal of a finding.
    pub fn from_withdrawal(finding: &Finding, author: &str, withdrawn_at: UnixMillis) -> Self {
        Self { withdrawn: true, finding_snapshot: None, ..Self::new(finding, "", author, withdrawn_at) }
    }

    /// Returns true if the dismissal applies to this finding with its current code. An unverified finding's
    /// record still contains the lines from before a change, so a dismissal of the verified finding does not
    /// apply to the unverified finding.
    pub fn covers(&self, finding: &Finding) -> bool {
        let was_unverified = self.finding_snapshot.as_ref().is_some_and(|about| about.unverified.is_some());
        let is_same = match &self.finding_snapshot {
            Some(about) => is_same_code(&about.raw, &finding.raw),
            None => self.has_snippet_of(finding) && (self.withdrawn || !finding.raw.has_truncated_snippet()),
        };
        self.finding == finding.id
            && is_same
            && (finding.unverified.is_none() || was_unverified || self.withdrawn)
    }

    /// Returns true if the dismissal was recorded without a digest of the lines, and the finding's snippet
    /// omits a part of its lines. Such a dismissal may have been meant for different lines.
    pub fn is_outdated_for(&self, finding: &Finding) -> bool {
        let had_digest = self.finding_snapshot.as_ref().is_some_and(|about| about.raw.code.lines.is_some());
        !self.withdrawn
            && self.finding == finding.id
            && self.has_snippet_of(finding)
            && finding.raw.code.lines.is_some()
            && !had_digest
    }

    fn has_snippet_of(&self, finding: &Finding) -> bool {
        is_same_snippet(&self.snippet, &finding.raw.snippet)
    }

    /// Renders the reason and the person, as the status of a finding shows them.
    pub fn status_text(&self) -> String {
        format!("{} ({})", self.reason, self.dismissed_by)
    }
}

/// Returns true if both findings have the same code in the same definition, apart from white space. The
/// positions of the findings may differ.
pub(crate) fn is_same_code(before: &RawFinding, now: &RawFinding) -> bool {
    is_same_snippet(&before.snippet, &now.snippet)
        && before.code.is_compatible_with(&now.code)
        && (!now.has_truncated_snippet() || now.code.lines.is_some())
}

fn is_same_snippet(one: &str, other: &str) -> bool {
    let code = |snippet| fingerprint("", &truing_diff::RepoPath::default(), snippet);
    code(one) == code(other)
}

/// Counts current findings whose dismissal no longer applies, because its record cannot distinguish the
/// finding's lines from other lines. `known_findings` are the findings as recorded. A finding whose record
/// has a digest is not counted, because an earlier review has already reported its outdated dismissal.
pub fn count_outdated_dismissals(
    current: &[Finding],
    known_findings: &[Finding],
    dismissals: &[Dismissal],
) -> u32 {
    let is_new = |finding: &Finding| {
        known_findings
            .iter()
            .all(|known_findings| known_findings.id != finding.id || known_findings.raw.code.lines.is_none())
    };
    let is_outdated = |finding: &&Finding| {
        finding.is_open()
            && is_new(finding)
            && dismissals.iter().any(|dismissal| dismissal.is_outdated_for(finding))
    };
    u32::try_from(current.iter().filter(is_outdated).count()).unwrap_or(u32::MAX)
}

/// Reopens findings that are recorded as dismissed, but that none of these dismissals covers. The dismissals
/// of such findings apply only to another branch or working tree.
pub fn reopen_uncovered_findings(known_findings: &mut [Finding], dismissals: &[Dismissal]) {
    for finding in known_findings {
        let is_dismissed = matches!(finding.status, FindingStatus::Dismissed(_));
        if is_dismissed && !dismissals.iter().any(|dismissal| dismissal.covers(finding)) {
            finding.status = FindingStatus::Open;
        }
    }
}

/// Applies dismissals and withdrawals, and returns the number of findings whose status changed. Fixed,
/// suppressed and out-of-scope findings stay unchanged.
pub fn apply_dismissals(findings: &mut [Finding], dismissals: &[Dismissal]) -> usize {
    let mut changed = 0;
    for finding in findings {
        let Some(dismissal) = dismissals.iter().find(|dismissal| dismissal.covers(finding)) else { continue };
        let is = match &finding.status {
            FindingStatus::Dismissed(_) if dismissal.withdrawn => FindingStatus::Open,
            FindingStatus::Open
            | FindingStatus::Claimed
            | FindingStatus::Declined(_)
            | FindingStatus::Dismissed(_)
                if !dismissal.withdrawn =>
            {
                FindingStatus::Dismissed(dismissal.status_text())
            }
            FindingStatus::Open
            | FindingStatus::Claimed
            | FindingStatus::Declined(_)
            | FindingStatus::Dismissed(_)
            | FindingStatus::Fixed(_)
            | FindingStatus::OutOfScope
            | FindingStatus::Suppressed(_) => continue,
        };
        if finding.status != is {
            finding.status = is;
            changed += 1;
        }
    }
    changed
}

/// Adds dismissed findings to the known ones and applies all dismissals. Any loop that finds a dismissed
/// finding again therefore recognises it ([`crate::identity::assign_finding_ids`]), even if a different loop
/// found it first.
pub fn add_dismissed_findings(known_findings: &mut Vec<Finding>, dismissals: &[Dismissal]) {
    for finding in dismissals
        .iter()
        .filter(|dismissal| !dismissal.withdrawn)
        .filter_map(|dismissal| dismissal.finding_snapshot.as_ref())
    {
        if known_findings.iter().all(|known_findings| known_findings.id != finding.id) {
            known_findings.push(finding.clone());
        }
    }
    apply_dismissals(known_findings, dismissals);
}

/// The reason for which a word does not identify exactly one finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FindingLookupError {
    /// No finding of this pull request has such an id.
    #[error("no finding of this pull request has this id")]
    Unknown,
    /// The ids of several findings begin with this word.
    #[error("several ids begin with these digits: give more digits")]
    Ambiguous,
}

/// Reason for which a word is not a valid finding id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MalformedFindingId {
    /// The word is empty.
    #[error("an id is empty")]
    Empty,
    /// The word has too few digits.
    #[error("this id is too short: give at least the first {MIN_ID_DIGITS} digits")]
    TooShort,
    /// The word has an ordinal, but not all displayed digits before it.
    #[error(
        "this id is too short: give all {DISPLAYED_ID_DIGITS} digits that are shown before `-`, or leave \
            out `-` \
            and the number after it"
    )]
    TooShortWithOrdinal,
    /// The word is not in the notation of a finding's id.
    #[error("this is not an id of a finding")]
    NoId,
}

/// Shortens an id for display to the first digits of its digest and the ordinal. If the id has no ordinal,
/// the version is kept, because the digits alone could be an ordinary word.
pub fn short_id(id: &FindingId) -> String {
    let Some((Some(version), digest, ordinal)) = split_id(id.as_str()) else { return id.to_string() };
    let digest = digest.get(..DISPLAYED_ID_DIGITS).unwrap_or(digest);
    match ordinal {
        Some(ordinal) if digest.len() >= DISPLAYED_ID_DIGITS => format!("{digest}-{ordinal}"),
        Some(ordinal) => format!("{version}:{digest}-{ordinal}"),
        None => format!("{version}:{digest}"),
    }
}

/// Returns true if a word is a finding's id or the beginning of one, according to its notation.
pub fn looks_like_finding_id(word: &str) -> bool {
    split_id(word).is_some()
}

/// Returns true if a word outside a sentence, for example an argument, is in the notation of a finding's id.
/// Unlike for [`looks_like_finding_id`], digits alone are sufficient.
pub fn is_standalone_finding_id(word: &str) -> bool {
    looks_like_finding_id(word) || has_enough_hex_digits(word)
}

/// Returns the findings that a word outside a sentence ([`is_standalone_finding_id`]) identifies. There are
/// several if the word is ambiguous.
pub fn matching_findings<'a>(findings: &'a [Finding], word: &str) -> Vec<&'a Finding> {
    match split_id(word).or_else(|| has_enough_hex_digits(word).then_some((None, word, None))) {
        Some(wanted) => findings.iter().filter(|finding| matches_id_parts(finding, wanted)).collect(),
        None => Vec::new(),
    }
}

/// Returns the reason for which a word outside a sentence is not a valid id. Returns `None` if the word may
/// be an id.
pub fn malformed_id_reason(word: &str) -> Option<MalformedFindingId> {
    if is_standalone_finding_id(word) {
        return None;
    }
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let digits = word.split_once(':').map_or(word, |(_, rest)| rest);
    Some(match digits.split_once('-') {
        _ if word.trim().is_empty() => MalformedFindingId::Empty,
        None if is_hex(digits) => MalformedFindingId::TooShort,
        Some((digits, ordinal)) if is_hex(digits) && ordinal.bytes().all(|byte| byte.is_ascii_digit()) => {
            MalformedFindingId::TooShortWithOrdinal
        }
        Some(_) | None => MalformedFindingId::NoId,
    })
}

/// Returns the finding that a word identifies. The word is an id or the beginning of one, with or without the
/// ordinal.
///
/// # Errors
/// [`FindingLookupError`] if the word matches no finding or several findings.
pub fn find_by_id<'a>(findings: &'a [Finding], word: &str) -> Result<&'a Finding, FindingLookupError> {
    let wanted = split_id(word).ok_or(FindingLookupError::Unknown)?;
    let mut meant = findings.iter().filter(|finding| matches_id_parts(finding, wanted));
    match (meant.next(), meant.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(FindingLookupError::Unknown),
        (Some(_), Some(_)) => Err(FindingLookupError::Ambiguous),
    }
}

/// Returns true if the digest in the finding's id begins with these digits. If a version or an ordinal is
/// given, it must also be equal.
fn matches_id_parts(finding: &Finding, (version, begins, ordinal): FindingIdParts<'_>) -> bool {
    split_id(finding.id.as_str()).is_some_and(|(its_version, digest, its_ordinal)| {
        (version.is_none() || its_version == version)
            && digest.starts_with(begins)
            && (ordinal.is_none() || ordinal == its_ordinal)
    })
}

/// Returns true for a word that consists of hexadecimal digits and is long enough to identify a finding.
fn has_enough_hex_digits(word: &str) -> bool {
    word.len() >= MIN_ID_DIGITS && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The version, the digest and the ordinal of an id.
type FindingIdParts<'a> = (Option<&'a str>, &'a str, Option<&'a str>);

/// Splits an id into version, digest and ordinal: `1:0a1b…-2`. If the id has no version, it must have an
/// ordinal and at least as many digits as `truing review` displays. With fewer digits, ordinary words could
/// look like ids.
fn split_id(id: &str) -> Option<FindingIdParts<'_>> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (version, rest) = id.split_once(':').map_or((None, id), |(version, rest)| (Some(version), rest));
    let (digest, ordinal) =
        rest.split_once('-').map_or((rest, None), |(digest, ordinal)| (digest, Some(ordinal)));
    let is_begun = match version {
        Some(version) => is_number(version),
        None => digest.len() >= DISPLAYED_ID_DIGITS && ordinal.is_some(),
    };
    (is_begun && has_enough_hex_digits(digest) && ordinal.is_none_or(is_number))
        .then_some((version, digest, ordinal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code_digest::CodeDigests;
    use crate::finding::{AnchorKind, CodeLocation, DefectCategory, DiffSide, FindingSource, Severity};
    use crate::id::{Fingerprint, Sha};

    fn finding(id: &str, snippet: &str) -> Finding {
        let at = CodeLocation { path: "a".into(), side: DiffSide::New, start_line: 1, end_line: 1 };
        let raw = RawFinding {
            location: at.clone(),
            severity: Severity::P1,
            category: DefectCategory::F,
            rule: "core/x".into(),
            title: "t".into(),
            body: "b".into(),
            snippet: snippet.into(),
            code: CodeDigests::default(),
            suggestion: None,
            source: FindingSource::Rule,
            specialists: Vec::new(),
        };
        let (id, fingerprint) = (FindingId::new(id), Fingerprint::new("1:00".to_owned()));
        let (anchor, status) = (AnchorKind::Inline, FindingStatus::Open);
        Finding {
            id,
            fingerprint,
            raw,
            old_path: None,
            anchor,
            comment_location: at,
            status,
            surrounding_lines: None,
            unverified: None,
            seen_on: Vec::new(),
            evidence: None,
        }
    }

    #[test]
    fn a_word_that_is_no_id_says_why() {
        for word in ["1:0a1b", "0a1b", "0a1b2c3d4e-1", "1:0a1b-2"] {
            assert_eq!(malformed_id_reason(word), None, "{word}");
        }
        for (word, why) in [
            ("", MalformedFindingId::Empty),
            (" ", MalformedFindingId::Empty),
            ("96", MalformedFindingId::TooShort),
            ("1:96", MalformedFindingId::TooShort),
            ("1:", MalformedFindingId::TooShort),
            ("96e6-1", MalformedFindingId::TooShortWithOrdinal),
            ("96e6-", MalformedFindingId::TooShortWithOrdinal),
            ("zzz", MalformedFindingId::NoId),
            ("zzzz-1", MalformedFindingId::NoId),
            ("96 e6", MalformedFindingId::NoId),
        ] {
            assert_eq!(malformed_id_reason(word), Some(why), "{word}");
        }
    }

    #[test]
    fn a_dismissal_holds_for_the_code_it_was_said_of_wherever_that_is() {
        let said = Dismissal::new(&finding("1:abcd-1", "x = 1"), "wanted\n here", "ada", UnixMillis(5));
        let mut findings = [
            finding("1:abcd-1", "  x =   1"),
            finding("1:abcd-1", "x = 2"),
            finding("1:abcd-2", "x = 1"),
            Finding {
                status: FindingStatus::Fixed(Sha::parse(&"a".repeat(40)).unwrap()),
                ..finding("1:abcd-1", "x = 1")
            },
        ];
        assert_eq!(apply_dismissals(&mut findings, std::slice::from_ref(&said)), 1);
        assert_eq!(findings[0].status, FindingStatus::Dismissed("wanted here (ada)".into()));
        assert_eq!(findings[1..3].iter().filter(|finding| finding.is_open()).count(), 2);
        assert!(matches!(findings[3].status, FindingStatus::Fixed(_)));
        assert_eq!(apply_dismissals(&mut findings, &[said]), 0, "a second time changes nothing");

        let back = Dismissal::from_withdrawal(&findings[0], "bob", UnixMillis(6));
        assert_eq!(apply_dismissals(&mut findings, std::slice::from_ref(&back)), 1);
        assert!(findings[..3].iter().all(Finding::is_open));
        assert!(matches!(findings[3].status, FindingStatus::Fixed(_)));
        assert_eq!(apply_dismissals(&mut findings, &[back]), 0, "nothing is left to take back");
    }

    #[test]
    fn a_dismissal_from_before_lines_had_digests_is_asked_about_again_once() {
        let signed = |id: &str, digest: Option<&str>| {
            let mut finding = finding(id, "key = ghp_…");
            finding.raw.code.lines = digest.map(str::to_owned);
            finding
        };
        let old = signed("1:abcd-1", None);
        let said = Dismissal::new(&old, "wanted", "ada", UnixMillis(5));
        let mut now = [signed("1:abcd-1", Some("1"))];
        assert_eq!(apply_dismissals(&mut now, std::slice::from_ref(&said)), 0);
        assert_eq!(
            count_outdated_dismissals(&now, std::slice::from_ref(&old), std::slice::from_ref(&said)),
            1
        );
        assert_eq!(count_outdated_dismissals(&now, &now, std::slice::from_ref(&said)), 0, "it was said");

        let again = Dismissal::new(&now[0], "wanted", "ada", UnixMillis(6));
        assert_eq!(
            count_outdated_dismissals(&now, std::slice::from_ref(&old), std::slice::from_ref(&again)),
            0
        );
        assert_eq!(apply_dismissals(&mut now, std::slice::from_ref(&again)), 1);
        let mut other = [signed("1:abcd-1", Some("2"))];
        assert_eq!(apply_dismissals(&mut other, &[again]), 0, "it was said of another line");
    }

    #[test]
    fn what_was_dismissed_on_another_branch_is_open() {
        let said = Dismissal::new(&finding("1:abcd-1", "x = 1"), "wanted", "ada", UnixMillis(5));
        let mut known = [finding("1:abcd-1", "x = 1")];
        apply_dismissals(&mut known, std::slice::from_ref(&said));
        reopen_uncovered_findings(&mut known, std::slice::from_ref(&said));
        assert!(!known[0].is_open());
        reopen_uncovered_findings(&mut known, &[]);
        assert!(known[0].is_open());
    }

    #[test]
    fn a_finding_is_named_by_its_id_or_a_unique_beginning() {
        let digest = "0123456789abcdef0123456789abcdef";
        let ids = [format!("1:{digest}-1"), format!("1:{digest}-2"), "1:0123ffff-1".to_owned()];
        let findings: Vec<Finding> = ids.iter().map(|id| finding(id, "x")).collect();
        assert_eq!(short_id(&findings[1].id), "0123456789-2");
        assert_eq!(short_id(&findings[2].id), "1:0123ffff-1");
        for (word, found) in [
            (ids[0].as_str(), Ok(0)),
            ("1:0123456789-2", Ok(1)),
            ("0123456789-2", Ok(1)),
            ("0123456789", Err(FindingLookupError::Unknown)),
            ("0123456-2", Err(FindingLookupError::Unknown)),
            ("1:0123f", Ok(2)),
            ("1:0123f-1", Ok(2)),
            ("1:0123f-2", Err(FindingLookupError::Unknown)),
            ("1:01234", Err(FindingLookupError::Ambiguous)),
            ("1:0123-1", Err(FindingLookupError::Ambiguous)),
            ("2:0123f", Err(FindingLookupError::Unknown)),
            ("1:ffff", Err(FindingLookupError::Unknown)),
            ("0123f", Err(FindingLookupError::Unknown)),
        ] {
            assert_eq!(
                find_by_id(&findings, word).map(|finding| &finding.id),
                found.map(|at| &findings[at].id),
                "{word}"
            );
        }
        let typed = |word| -> Vec<&str> {
            matching_findings(&findings, word).into_iter().map(|finding| finding.id.as_str()).collect()
        };
        assert_eq!(
            typed("0123ffff"),
            [ids[2].as_str()],
            "the digits alone are enough where only an id can stand"
        );
        assert_eq!(typed("0123456789"), [ids[0].as_str(), ids[1].as_str()]);
        assert_eq!(typed("0123456789-2"), [ids[1].as_str()]);
        assert!(typed("012").is_empty() && typed("wanted").is_empty());
        assert!(
            is_standalone_finding_id("0123ffff")
                && !looks_like_finding_id("0123ffff")
                && !is_standalone_finding_id("wanted")
        );
        for word in ["1:012", "1:01234x", "a:01234", "wanted", "1:0123-", "1:0123-x", ":0123", "", "1:"] {
            assert!(!looks_like_finding_id(word), "{word}");
        }
    }
}
