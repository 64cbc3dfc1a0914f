//! A repository with a planted bug on a branch, and a scripted model.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use truing_fakes::model::{
    DEFAULT_API_KEY, FakeModel, ModelFault, ModelScript, ScriptedAnswer, StreamPosition as At,
};

use crate::converge::place::{Place, Ran};

/// Content of `total.py` on the branch; the loop ends one element too early.
pub(crate) const BUG: &str =
    "def total(xs):\n    s = 0\n    for i in range(len(xs) - 1):\n        s += xs[i]\n    return s\n";
/// Id of the finding that [`planted_bug_answer`] reports.
pub(crate) const BUG_ID: &str = "1:26045536a50a2667385b172b6df13c7a-1";
/// The line of the loop after the right fix.
pub(crate) const RIGHT: &str = "    for i in range(len(xs)):\n";
/// The line of the loop with the planted bug.
pub(crate) const WRONG: &str = "    for i in range(len(xs) - 1):\n";

pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) model: FakeModel,
    config: String,
    program: Option<PathBuf>,
    skips_preflight: bool,
    _runtime: Runtime,
}

impl Scene {
    /// Creates a repository with `main` and a branch `topic` that adds `total.py`, and a model with these
    /// answers.
    pub(crate) fn new(answers: impl IntoIterator<Item = ScriptedAnswer>) -> Self {
        let runtime = Runtime::new().unwrap();
        let model = runtime.block_on(FakeModel::start(ModelScript::from_answers(answers))).unwrap();
        let place = Place::new();
        place.git(["checkout", "--quiet", "-b", "topic"]);
        place.write("total.py", BUG);
        place.commit("add totals");
        Self { place, model, config: String::new(), program: None, skips_preflight: false, _runtime: runtime }
    }

    /// Sets the lines that follow the section `[model]` in the operator's configuration.
    pub(crate) fn with_config(mut self, config: &str) -> Self {
        self.config = config.to_owned();
        self
    }

    /// Sets the `claude` program for the `cli` runtime; with `None`, the native runtime is used.
    pub(crate) fn with_program(mut self, program: Option<PathBuf>) -> Self {
        self.program = program;
        self
    }

    /// Skips the checks before the first call of the model.
    pub(crate) fn without_preflight(mut self) -> Self {
        self.skips_preflight = true;
        self
    }

    pub(crate) fn set_answers(&self, answers: impl IntoIterator<Item = ScriptedAnswer>) {
        self.model.set_script(ModelScript::from_answers(answers));
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.other_command("converge", arguments)
    }

    /// Returns the command `name` of `truing` with these arguments.
    pub(crate) fn other_command(&self, name: &str, arguments: &[&str]) -> Command {
        let config = format!("[model]\nbase_url = \"{}\"\n{}", self.model.url(), self.config);
        std::fs::write(self.place.home().join("op.toml"), config).unwrap();
        let fixed = [name, "--config", "../op.toml"];
        let mut command = self.place.command(&[&fixed, arguments].concat());
        command.env("ANTHROPIC_API_KEY", DEFAULT_API_KEY);
        if self.skips_preflight {
            command.env("BUGTEAM_PREFLIGHT_SKIP", "1");
        }
        if let Some(program) = &self.program {
            command.env("RUNTIME_MODE", "cli").env("TRUING_REVIEW__CLAUDE", program);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    pub(crate) fn audit(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.other_command("audit", arguments).output().unwrap())
    }

    /// Runs `truing converge` with JSON output, and returns the output and the exit code.
    pub(crate) fn json(&self, arguments: &[&str]) -> (Value, i32) {
        let ran = self.run(&[&["--format", "json"], arguments].concat());
        (serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}")), ran.exit)
    }

    /// Returns the command's output with placeholders for ids of runs and commits.
    pub(crate) fn normalize_output(&self, ran: &Ran) -> String {
        let run = regex::Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap();
        let commit = regex::Regex::new(r"\b([0-9a-f]{10}|[0-9a-f]{7})\b").unwrap();
        let text = format!("{}{}", ran.err, ran.out);
        commit.replace_all(&run.replace_all(&text, "RUN"), "COMMIT").into_owned()
    }

    /// Returns the branch of the run, if there is one.
    pub(crate) fn branch(&self) -> Option<String> {
        let found = self.place.git(["branch", "--list", "--format=%(refname:short)", "truing/run/*"]);
        found.lines().next().map(str::to_owned)
    }

    /// Returns the number of requests to the model.
    pub(crate) fn request_count(&self) -> usize {
        self.model.request_log().len()
    }
}

/// Returns reports on the absence of defects, with evidence, for all categories that are not in `excluded`.
pub(crate) fn absences_except(excluded: &str, file: &str, line: u32, text: &str) -> Value {
    let all = "ABCDEFGHIJ".chars().filter(|letter| !excluded.contains(*letter));
    let one = |letter: char| {
        json!({ "category": letter.to_string(), "files_opened": [file],
            "lines_quoted": [{ "file": file, "line": line, "text": text }],
            "probes": ["called it with an empty list, one element and many: each is counted"] })
    };
    all.map(one).collect()
}

/// Returns the answer of an auditor that reports these findings, which belong to the given categories. For
/// all other categories, the answer reports the absence of defects.
pub(crate) fn audit_answer(findings: &[Value], categories: &str) -> ScriptedAnswer {
    let absences = absences_except(categories, "total.py", 1, "def total(xs):");
    ScriptedAnswer::tool("report", json!({ "findings": findings, "absences": absences })).usage(1000, 100)
}

/// Returns the answer of an auditor that reports the absence of defects, with evidence, only for these
/// categories.
pub(crate) fn absence_answer(categories: &str) -> ScriptedAnswer {
    let but: String = "ABCDEFGHIJ".chars().filter(|letter| !categories.contains(*letter)).collect();
    audit_answer(&[], &but)
}

/// Returns a finding on this line with the text `excerpt`, and with this severity and category.
pub(crate) fn finding_json(position: (&str, u32), excerpt: &str, kind: (&str, &str), title: &str) -> Value {
    json!({ "path": position.0, "start_line": position.1, "severity": kind.0, "category": kind.1, "title": title,
        "body": "`range(len(xs) - 1)` ends one too early.", "excerpt": excerpt,
        "fix": "every element is counted", "validation": "total([1, 2]) is 3" })
}

/// Returns the answer of an auditor that finds the planted bug.
pub(crate) fn planted_bug_answer() -> ScriptedAnswer {
    let finding =
        finding_json(("total.py", 3), WRONG.trim_end(), ("P1", "G"), "The last element is left out");
    audit_answer(&[finding], "G")
}

/// Returns the answer of an auditor that finds nothing.
pub(crate) fn clean_audit_answer() -> ScriptedAnswer {
    audit_answer(&[], "")
}

/// Returns the answer of an auditor that checks a fix of the planted bug and finds nothing.
pub(crate) fn clean_fix_answer() -> ScriptedAnswer {
    let report = json!({ "findings": [], "absences": absences_except("", "total.py", 3, RIGHT.trim_end()) });
    ScriptedAnswer::tool("report", report).usage(1000, 100)
}

/// Returns an answer in which a fixer edits a file.
pub(crate) fn edit(path: &str, old: &str, new: &str) -> ScriptedAnswer {
    ScriptedAnswer::tool("edit", json!({ "path": path, "old": old, "new": new })).usage(1000, 100)
}

/// Returns an answer in which a fixer writes a file.
pub(crate) fn write(path: &str, content: &str) -> ScriptedAnswer {
    ScriptedAnswer::tool("write", json!({ "path": path, "content": content })).usage(1000, 100)
}

/// Returns an answer in which a fixer reports, for each finding id, that the finding is fixed or why it was
/// declined.
pub(crate) fn fix_report_answer(findings: &[(&str, Option<&str>)]) -> ScriptedAnswer {
    let one = |(id, reason): &(&str, Option<&str>)| match reason {
        None => json!({ "id": id, "status": "fixed" }),
        Some(reason) => json!({ "id": id, "status": "could_not_address", "reason": reason }),
    };
    let findings: Vec<Value> = findings.iter().map(one).collect();
    ScriptedAnswer::tool("report", json!({ "summary": "count the last element", "findings": findings }))
        .usage(1000, 100)
}

/// Returns an answer that stops in the middle and never continues.
pub(crate) fn stalling_answer() -> ScriptedAnswer {
    let stalls = ScriptedAnswer {
        fault: Some(ModelFault::Stall { after: At::Text }),
        ..ScriptedAnswer::text("Let me see.")
    };
    stalls.usage(1000, 100)
}

/// Starts a command whose output is captured, without waiting for the command.
pub(crate) fn spawn_captured(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until the model has billed this many requests.
pub(crate) fn wait_for_bills(model: &FakeModel, bills: usize) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while model.bills().len() < bills {
        assert!(Instant::now() < deadline, "no request came");
        std::thread::yield_now();
    }
}

/// Sends this signal to a running command, and waits until the command exits.
pub(crate) fn signal_and_wait(child: Child, signal: &str) -> Ran {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    Ran::from(child.wait_with_output().unwrap())
}

/// Returns the spent and reserved amounts of all reviews and runs in the output of `budget show --format
/// json`.
pub(crate) fn sum_ledger_rows(rows: &str) -> (u64, u64) {
    let rows: Value = serde_json::from_str(rows).unwrap();
    let rows = rows.as_array().unwrap().iter();
    let own = rows.filter(|row| ["review", "run"].contains(&row["level"].as_str().unwrap()));
    let sum = |of: &str| own.clone().map(|row| row[of].as_u64().unwrap()).sum();
    (sum("spent_micro_usd"), sum("reserved_micro_usd"))
}
