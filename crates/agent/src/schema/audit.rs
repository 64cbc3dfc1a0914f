//! The report that an auditor submits in the converge loop. For each category of defects, the report contains
//! either findings or evidence that no defect exists: attempts to find a defect, and quoted lines. Findings
//! and evidence are compared with the files. If a report is invalid, the auditor gets its errors once and may
//! submit a new report. A second invalid report is discarded. The report may also contain questions for
//! people.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use truing_core::RepoPath;
use truing_core::excerpt::{blank_hidden_escapes, fold_whitespace, locate_snippet};
use truing_core::finding::{DefectCategory, RawFinding};
use truing_core::line;
use truing_model::messages::ToolDefinition;
use truing_reader::mask::mask_secrets;

use super::check::verify_finding;
use super::{MAX_FINDINGS, MAX_TITLE_CHARS, REPORT_TOOL, ReportedFinding, finding_schema, parse_json_object};
use crate::native::ReportSchema;

/// Maximum distance, in lines, between the reported position of an excerpt and its actual position.
const MAX_LINE_DISTANCE: u32 = 3;
/// Maximum number of entries of each list in a report.
const MAX_ENTRIES: usize = 100;
/// Maximum number of errors that one message to the auditor lists.
const MAX_LISTED_ERRORS: usize = 20;
/// All categories of defects.
const CATEGORIES: [DefectCategory; 10] = {
    use DefectCategory::{A, B, C, D, E, F, G, H, I, J};
    [A, B, C, D, E, F, G, H, I, J]
};
/// Phrases that are rejected as evidence, because they do not state an attempt to find a defect.
const REJECTED_EVIDENCE_PHRASES: [&str; 6] = [
    "verified clean",
    "no issues found",
    "pattern appears correct",
    "looks good",
    "seems fine",
    "no problems detected",
];

/// An auditor's report before the comparison with the files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditReport {
    /// Defects that were found.
    pub findings: Vec<AuditDefect>,
    /// Evidence that certain categories have no defects.
    pub absences: Vec<CategoryAbsence>,
    /// Questions that people must answer, because the files do not contain the answers.
    pub questions: Vec<AuditQuestion>,
}

/// A defect, with the details that a fixer needs.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct AuditDefect {
    /// Location, description and severity.
    #[serde(flatten)]
    pub item: ReportedFinding,
    /// The property that the code must have after the fix.
    pub fix: String,
    /// A check that passes only after the defect is fixed.
    pub validation: String,
}

/// The evidence that a category has no defect.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryAbsence {
    pub category: DefectCategory,
    /// Paths of the files that were examined.
    pub files_opened: Vec<String>,
    /// Relevant lines of these files.
    pub lines_quoted: Vec<LineQuote>,
    /// Attempts to find a defect in the category, each with the reason why it found none.
    pub probes: Vec<String>,
}

/// A quoted line of a file.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineQuote {
    /// Path of the file.
    pub file: String,
    /// Line number, from 1.
    pub line: u32,
    /// Text of the line.
    pub text: String,
}

/// A question that the files do not answer.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditQuestion {
    /// Path of the file.
    pub file: String,
    /// Line number, from 1.
    pub line: u32,
    /// Text of the question.
    pub question: String,
}

impl AuditReport {
    /// Compares findings and absences with the files. `read_file` returns the text of a file at the reviewed
    /// head, if it exists.
    ///
    /// # Errors
    /// The errors of the report, as messages to the auditor. One error is enough to make the whole report
    /// invalid. A single error makes the whole report invalid.
    pub fn check(
        &self,
        read_file: impl Fn(&RepoPath) -> Option<String>,
    ) -> Result<Vec<RawFinding>, Vec<String>> {
        let mut files: BTreeMap<RepoPath, Option<String>> = BTreeMap::new();
        let mut text = |name: &str| {
            let path = RepoPath::from_bytes(name.as_bytes());
            let inside = path.stays_within_folder();
            files.entry(path).or_insert_with_key(|path| if inside { read_file(path) } else { None }).clone()
        };
        let (mut found, mut wrong, mut done) = (Vec::new(), Vec::new(), BTreeSet::new());
        if self.findings.len() > MAX_FINDINGS {
            wrong.push(format!("there are more than {MAX_FINDINGS} findings: report the worst"));
        }
        for (at, defect) in self.findings.iter().enumerate() {
            match defect.to_finding(text(&defect.item.path).as_deref()) {
                Ok(raw) => {
                    done.insert(raw.category);
                    found.push(raw);
                }
                Err(why) => wrong.push(format!("findings[{at}]: {why}")),
            }
        }
        for (at, absence) in self.absences.iter().enumerate() {
            match absence.check_evidence(&mut text) {
                Ok(()) => drop(done.insert(absence.category)),
                Err(why) => wrong.push(format!("absences[{at}], category {:?}: {why}", absence.category)),
            }
        }
        let missing = CATEGORIES.iter().filter(|category| !done.contains(category));
        let named: Vec<String> = missing.map(|category| format!("{category:?}")).collect();
        if !named.is_empty() {
            let named = named.join(", ");
            wrong.push(format!(
                "report a finding or an absence with valid evidence for each of these \
                categories: {named}"
            ));
        }
        if wrong.is_empty() { Ok(found) } else { Err(wrong) }
    }

    /// Returns all errors of the report as one message to the auditor, or `None` if there is no error.
    pub fn errors_text(&self, read_file: impl Fn(&RepoPath) -> Option<String>) -> Option<String> {
        let mut wrong = self.check(read_file).err()?;
        let more = wrong.len().saturating_sub(MAX_LISTED_ERRORS);
        wrong.truncate(MAX_LISTED_ERRORS);
        wrong.extend((more > 0).then(|| format!("and {more} more")));
        Some(format!("the report is not accepted:\n- {}", wrong.join("\n- ")))
    }
}

impl AuditDefect {
    /// Converts the defect to a finding, at the lines where its excerpt was found.
    fn to_finding(&self, text: Option<&str>) -> Result<RawFinding, String> {
        let ReportedFinding { path, start_line, excerpt, .. } = &self.item;
        let text =
            text.ok_or_else(|| format!("there is no file `{}`", line::clean_line(path, MAX_TITLE_CHARS)))?;
        let (first, last) = locate_snippet(&mask_secrets(text), &blank_hidden_escapes(excerpt), *start_line)
            .filter(|(first, _)| first.abs_diff(*start_line) <= MAX_LINE_DISTANCE)
            .ok_or_else(|| format!("the excerpt is not at line {start_line} of the file, nor near it"))?;
        for (name, value) in [("fix", &self.fix), ("validation", &self.validation)] {
            if value.trim().is_empty() {
                return Err(format!("`{name}` is empty"));
            }
        }
        let body = format!("{}\n\nFix: {}\n\nValidation: {}", self.item.body, self.fix, self.validation);
        // An audit proposes no replacements, because a fixer makes the changes.
        let replacement = None;
        let item = ReportedFinding {
            start_line: first,
            end_line: Some(last),
            body,
            replacement,
            ..self.item.clone()
        };
        let path = RepoPath::from_bytes(item.path.as_bytes());
        verify_finding(item, path, Some(text))
            .map_err(|reason| format!("the finding is rejected: {}", reason.as_str()))
    }
}

impl CategoryAbsence {
    /// Returns an error if evidence is missing or does not match the files.
    fn check_evidence(&self, read_file: &mut impl FnMut(&str) -> Option<String>) -> Result<(), String> {
        for (name, count) in [
            ("files_opened", self.files_opened.len()),
            ("lines_quoted", self.lines_quoted.len()),
            ("probes", self.probes.len()),
        ] {
            if count == 0 {
                return Err(format!("`{name}` is empty"));
            }
            if count > MAX_ENTRIES {
                return Err(format!("`{name}` has more than {MAX_ENTRIES} entries"));
            }
        }
        if let Some(file) = self.files_opened.iter().find(|file| read_file(file).is_none()) {
            return Err(format!("there is no file `{}`", line::clean_line(file, MAX_TITLE_CHARS)));
        }
        for LineQuote { file, line: at, text: said } in &self.lines_quoted {
            let name = line::clean_line(file, MAX_TITLE_CHARS);
            let Some(lines) = read_file(file) else { return Err(format!("there is no file `{name}`")) };
            // The quote is compared with the masked text, because secrets are masked in the text that the
            // model sees.
            if !has_text_near(&mask_secrets(&lines), *at, said) {
                return Err(format!("the quoted text is not at line {at} of `{name}`, nor near it"));
            }
        }
        let empty = |probe: &&String| {
            let probe = probe.to_lowercase();
            let words = probe.trim_matches(|letter: char| !letter.is_alphanumeric());
            words.is_empty() || REJECTED_EVIDENCE_PHRASES.contains(&words)
        };
        match self.probes.iter().find(empty) {
            Some(probe) => {
                let probe = line::clean_line(probe, MAX_TITLE_CHARS);
                Err(format!(
                    "`{probe}` does not describe a probe: say what was tried, and how the defect \
                    was ruled out"
                ))
            }
            None => Ok(()),
        }
    }
}

/// Returns true if the line with this number, or a line near it, contains the quoted text.
fn has_text_near(text: &str, line_number: u32, quote: &str) -> bool {
    let quote = fold_whitespace(blank_hidden_escapes(quote).lines());
    let place = |line: u32| usize::try_from(line).unwrap_or(usize::MAX);
    let from = place(line_number.saturating_sub(MAX_LINE_DISTANCE)).saturating_sub(1);
    let near = text.lines().take(place(line_number.saturating_add(MAX_LINE_DISTANCE))).skip(from);
    line_number > 0
        && !quote.is_empty()
        && near.map(|line| fold_whitespace([line].into_iter())).any(|line| line.contains(&quote))
}

impl ReportSchema for AuditReport {
    const RETRY_MESSAGE: &str = "Your report does not count in this form. Correct the errors, and call \
        the tool `report` again with everything: all findings, and an absence with evidence for each \
        category without a finding.";
    const CUT_OFF_MESSAGE: &str = "Your last answer was cut off because it was too long. Go on, more \
        briefly: \
         report a few categories at a time, with `more` set to true until the last call.";
    const LAST_TURN_MESSAGE: &str = "This is your last turn. Call the tool `report` now, with findings \
        or an absence for each category. No other tool will be called.";

    fn tool() -> ToolDefinition {
        let text = |field_description: &str| json!({ "type": "string", "description": field_description });
        let list = |items: Value, field_description: &str| {
            json!({ "type": "array", "items": items,
            "description": field_description })
        };
        let mut finding = finding_schema();
        let more = [
            ("fix", text("The property that the code must have once it is fixed.")),
            ("validation", text("One check that passes only if the code has this property.")),
        ];
        for (name, form) in more {
            finding["properties"][name] = form;
            if let Some(required) = finding["required"].as_array_mut() {
                required.push(name.into());
            }
        }
        let object = |properties: Value| {
            let required: Vec<&String> =
                properties.as_object().into_iter().flatten().map(|(name, _)| name).collect();
            json!({ "type": "object", "required": required, "properties": properties,
                "additionalProperties": false })
        };
        let line = json!({ "type": "integer", "minimum": 1, "description": "Which, from 1." });
        let quote = object(
            json!({ "file": text("The file."), "line": line, "text": text("The exact text of the line.") }),
        );
        let absence = object(json!({
            "category": finding["properties"]["category"],
            "files_opened": list(text("A file."), "Files that you looked at for this category."),
            "lines_quoted": list(quote, "The lines that prove the absence."),
            "probes": list(
                text("What you tried, and why it shows no defect."),
                "What you tried in order to find such a defect.",
            ),
        }));
        let question =
            object(json!({ "file": text("The file."), "line": line, "question": text("The question.") }));
        ToolDefinition {
            name: REPORT_TOOL.to_owned(),
            description: "Reports the audit, and ends it. Text outside of this tool is not read by anybody."
                .to_owned(),
            input_schema: json!({
                "type": "object",
                "properties": {
                    "findings": list(finding, "The defects, worst first."),
                    "absences": list(absence, "One absence for each category without a finding."),
                    "open_questions": list(question, "Questions that the files do not answer."),
                    "more": { "type": "boolean", "description": "True only if you will call `report` again \
                         with more." },
                },
                "required": ["findings", "absences"],
                "additionalProperties": false,
            }),
            cache_control: None,
        }
    }

    fn parse_tool_input(input: &Value) -> Result<(Self, bool), String> {
        let Value::Object(fields) = input else {
            return Err(
                "the input of `report` must be an object with the lists `findings` and `absences`".to_owned()
            );
        };
        let required = ["findings", "absences"];
        if let Some(name) = required.iter().find(|name| !fields.contains_key(**name)) {
            return Err(format!("the input of `report` has no list `{name}`"));
        }
        let audit = Self {
            findings: parse_entries(fields.get("findings"), "findings")?,
            absences: parse_entries(fields.get("absences"), "absences")?,
            questions: parse_entries(fields.get("open_questions"), "open_questions")?,
        };
        Ok((audit, fields.get("more").and_then(Value::as_bool).unwrap_or(false)))
    }

    fn parse_text(text: &str) -> Option<(Self, bool)> {
        Self::parse_tool_input(&parse_json_object(text)?).ok()
    }

    fn accept_report(&mut self, report: Self) {
        self.findings.extend(report.findings);
        self.absences.extend(report.absences);
        self.questions.extend(report.questions);
        // The number of stored findings is limited to twice the maximum of a valid report, so the check can
        // still report an excess.
        self.findings.truncate(2 * MAX_FINDINGS);
        self.absences.truncate(MAX_ENTRIES);
        self.questions.truncate(MAX_ENTRIES);
    }

    fn acceptance_message(&self) -> String {
        format!("accepted {} findings and {} absences", self.findings.len(), self.absences.len())
    }
}

/// Parses the entries of a list. The error message states the index of the first invalid entry.
fn parse_entries<T: DeserializeOwned>(list: Option<&Value>, name: &str) -> Result<Vec<T>, String> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let Value::Array(list) = list else { return Err(format!("`{name}` is not a list")) };
    let read = |(at, value): (usize, &Value)| {
        truing_core::json::from_value::<T>(value).map_err(|error| {
            format!("{name}[{at}]: {}", line::clean_line(&error.to_string(), MAX_TITLE_CHARS))
        })
    };
    list.iter().take(2 * MAX_ENTRIES).enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use truing_core::finding::Severity;

    use super::*;

    const FILE: &str = "def load(path):\n    f = open(path)\n    return f.read()\n";

    fn tree(path: &RepoPath) -> Option<String> {
        (path.to_string() == "a.py").then(|| FILE.to_owned())
    }

    /// Returns a valid report with one finding of category C.
    fn report() -> Value {
        let absences: Vec<Value> = ["A", "B", "D", "E", "F", "G", "H", "I", "J"]
            .iter()
            .map(|category| {
                json!({
                    "category": category,
                    "files_opened": ["a.py"],
                    "lines_quoted": [{ "file": "a.py", "line": 1, "text": "def load(path):" }],
                    "probes": ["called `load` with a folder: the exception reaches the caller"],
                })
            })
            .collect();
        json!({
            "findings": [{
                "path": "a.py", "start_line": 2, "severity": "P1", "category": "C", "title": "never closed",
                "body": "The file stays open.", "excerpt": "f = open(path)",
                "fix": "closed on every path", "validation": "a test that counts descriptors",
            }],
            "absences": absences,
        })
    }

    fn checked(report: &Value) -> Result<Vec<RawFinding>, Vec<String>> {
        AuditReport::parse_tool_input(report).unwrap().0.check(tree)
    }

    #[test]
    fn a_report_with_all_categories_and_evidence_holds() {
        let found = checked(&report()).unwrap();
        assert_eq!((found.len(), found[0].severity, found[0].location.start_line), (1, Severity::P1, 2));
        assert!(
            found[0].body.contains("\n\nFix: closed on every path\n\nValidation: a test"),
            "{}",
            found[0].body
        );
        assert_eq!(AuditReport::parse_tool_input(&report()).unwrap().0.errors_text(tree), None);
    }

    #[test]
    fn each_way_of_saying_less_is_named() {
        let quote = "/absences/0/lines_quoted/0";
        for (place, value, expected) in [
            ("/absences/4/category".to_owned(), json!("A"), "categories: F"),
            ("/absences/0/files_opened".to_owned(), json!([]), "`files_opened` is empty"),
            ("/absences/0/files_opened/0".to_owned(), json!("b.py"), "no file `b.py`"),
            ("/absences/0/files_opened/0".to_owned(), json!("../a.py"), "no file `../a.py`"),
            ("/absences/0/lines_quoted".to_owned(), json!([]), "`lines_quoted` is empty"),
            (format!("{quote}/file"), json!("b.py"), "no file `b.py`"),
            (format!("{quote}/text"), json!("def save():"), "the quoted text is not at line"),
            (format!("{quote}/text"), json!(" "), "the quoted text is not at line"),
            (format!("{quote}/line"), json!(9), "the quoted text is not at line"),
            (format!("{quote}/line"), json!(5), "the quoted text is not at line"),
            ("/absences/0/probes".to_owned(), json!([]), "`probes` is empty"),
            (
                "/absences/0/probes/0".to_owned(),
                json!("Looks good."),
                "`Looks good.` does not describe a probe",
            ),
            ("/absences/0/probes/0".to_owned(), json!("  "), "does not describe a probe"),
            (
                "/findings/0/excerpt".to_owned(),
                json!("f = open(file)"),
                "findings[0]: the excerpt is not at line 2",
            ),
            ("/findings/0/start_line".to_owned(), json!(7), "findings[0]: the excerpt is not at line 7"),
            ("/findings/0/path".to_owned(), json!("b.py"), "findings[0]: there is no file `b.py`"),
            ("/findings/0/fix".to_owned(), json!(" "), "findings[0]: `fix` is empty"),
            ("/findings/0/validation".to_owned(), json!(""), "findings[0]: `validation` is empty"),
            ("/findings/0/title".to_owned(), json!(""), "findings[0]: the finding is rejected: malformed"),
        ] {
            let mut report = report();
            *report.pointer_mut(&place).unwrap() = value;
            let wrong = checked(&report).unwrap_err().join("\n");
            assert!(wrong.contains(expected), "{place}: {wrong}");
        }
    }

    #[test]
    fn lines_that_are_near_are_put_right() {
        let mut report = report();
        report["findings"][0]["start_line"] = json!(1);
        report["absences"][0]["lines_quoted"][0]["line"] = json!(3);
        let found = checked(&report).unwrap();
        assert_eq!((found[0].location.start_line, found[0].location.end_line), (2, 2));
    }

    #[test]
    fn nothing_at_all_is_not_clean() {
        let empty = json!({ "findings": [], "absences": [] });
        let wrong = checked(&empty).unwrap_err();
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].ends_with("categories: A, B, C, D, E, F, G, H, I, J"), "{wrong:?}");
        assert!(AuditReport::default().errors_text(tree).is_some());
    }

    #[test]
    fn what_has_not_the_form_is_named() {
        for (input, expected) in [
            (json!([]), "must be an object"),
            (json!({ "findings": [] }), "no list `absences`"),
            (json!({ "findings": {}, "absences": [] }), "`findings` is not a list"),
            (json!({ "findings": [{}], "absences": [] }), "findings[0]: missing field"),
            (json!({ "findings": [], "absences": [{ "category": "Z" }] }), "absences[0]: unknown variant"),
        ] {
            let wrong = AuditReport::parse_tool_input(&input).unwrap_err();
            assert!(wrong.contains(expected), "{wrong}");
        }
        let text = format!("All done.\n```json\n{}\n```", report());
        assert_eq!(
            AuditReport::parse_text(&text).unwrap().0,
            AuditReport::parse_tool_input(&report()).unwrap().0
        );
    }

    #[test]
    fn the_schema_asks_for_what_is_read() {
        let schema = AuditReport::tool().input_schema;
        let required = |at: &str| schema.pointer(at).unwrap().as_array().unwrap().len();
        assert_eq!(required("/properties/findings/items/required"), 9);
        assert_eq!(required("/properties/absences/items/required"), 4);
    }
}
