//! The changes that the tests review, and a snapshot of our review that can be compared between pull
//! requests.

use std::path::PathBuf;

use truing_config::Config;
use truing_config::environment::Environment;
use truing_config::layer::{KeyFlag, SourceFile};
use truing_core::code_digest::LinesKey;
use truing_fakes::forge::{FakeCheckRun, PullView};
use truing_fakes::repo::CommitBuilder;
use truing_loops::checkout::OperatorRules;

/// The login of the service's account.
pub(crate) const BOT: &str = "truing[bot]";
/// The context of the service's commit statuses.
pub(crate) const CONTEXT: &str = "truing/review";
/// Number of findings of the first review.
pub(crate) const FOUND: usize = 12;
/// Number of findings that the second head keeps (`STAY`), fixes (`FIXED`) and adds (`NEW`).
pub(crate) const STAY: usize = 8;
pub(crate) const FIXED: usize = 4;
pub(crate) const NEW: usize = 2;

/// The label of a pull request that gets only one review; the next constant is the label of a pull request
/// that gets none.
pub(crate) const ONCE: &str = "once";
pub(crate) const OFF: &str = "no-review";

/// Returns operator rules with these rule packs, and with a tier for each of the two labels.
pub(crate) fn rules(packs: &[&str]) -> OperatorRules {
    let values = packs.iter().map(|pack| (*pack).to_owned()).collect();
    let packs = KeyFlag { name: "--pack", key: "rules.packs", values };
    let tier = |label: &str, tier: &str| format!("{{ labels = [\"{label}\"], tier = \"{tier}\" }}");
    let text = format!("review.for = [{}, {}]\n", tier(ONCE, "once"), tier(OFF, "off"));
    let operator = SourceFile { name: "truing.toml".into(), folder: PathBuf::new(), text };
    let config = Config::resolve(&Environment::default(), Some(&operator), &[packs]).unwrap();
    OperatorRules::new(config, LinesKey::default()).unwrap()
}

/// Returns the first commit of `main`.
pub(crate) fn base() -> CommitBuilder {
    CommitBuilder::new("Begin").write("README.md", "# Shop\n").write("src/app.py", "def main():\n    pass\n")
}

/// Returns a head with twelve findings in three files. All of them are calls of a debugger, so all findings
/// have the same category.
pub(crate) fn first() -> CommitBuilder {
    CommitBuilder::new("Change")
        .write(
            "src/app.py",
            "def main():\n    breakpoint()\n    one()\n    breakpoint()\n    two()\n    breakpoint()  # \
             three\n\n\ndef other():\n    pdb.set_trace()\n    breakpoint()  # last\n",
        )
        .write(
            "src/page.ts",
            "debugger;\nconst a = f();\ndebugger; // two\nconst b = f();\nif (a) \
             debugger;\ng(b);\n  debugger; // four\n",
        )
        .write("src/lib.rs", LIB)
}

/// The content of `src/lib.rs`, which both heads share.
pub(crate) const LIB: &str =
    "fn a() {\n    let x = 1;\n    dbg!(x);\n    let y = 2;\n    dbg!(y);\n    dbg!(x + y);\n}\n";

/// Returns a head that moves the lines of one file, fixes four findings and adds two. One of the fixed
/// findings was on a line with the same text as another finding.
pub(crate) fn second() -> CommitBuilder {
    CommitBuilder::new("Mend some")
        .write(
            "src/app.py",
            "def fresh():\n    one()\n\n\ndef \
             main():\n    one()\n    breakpoint()\n    two()\n    breakpoint()  # three\n\n\ndef \
             other():\n    pdb.set_trace()\n",
        )
        .write("src/page.ts", "debugger;\nconst a = f();\nconst b = f();\ng(a, b);\n  debugger; // four\n")
        .write("src/fresh.py", "def fresh():\n    breakpoint()\n    ipdb.set_trace()\n")
}

/// Number of findings in [`forty`], which exceeds the limit of comments on findings.
#[allow(dead_code, reason = "not every test with these changes is about so many")]
pub(crate) const FORTY: usize = 40;

/// Returns a head with forty findings in three files. In two of the files, `above` additional lines precede
/// the findings.
#[allow(dead_code, reason = "not every test with these changes is about so many")]
pub(crate) fn forty(above: usize) -> CommitBuilder {
    let calls = |count: usize, call: &str| -> String {
        (0..count).map(|n| format!("step_{n}()\n{call}{n}\n")).collect()
    };
    let app = format!("{}{}", "first()\n".repeat(above), calls(17, "breakpoint()  # "));
    let page = format!("{}{}", "first();\n".repeat(above), calls(10, "debugger; // "));
    let lib: String = (0..13).map(|n| format!("    dbg!({n});\n    keep({n});\n")).collect();
    let lib = format!("fn a() {{\n    let x = 1;\n{lib}}}\n");
    CommitBuilder::new("Forty").write("src/app.py", app).write("src/page.ts", page).write("src/lib.rs", lib)
}

/// One comment on code, as people see it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct VisibleComment {
    pub(crate) path: String,
    /// The line at which the comment was posted, or `None` for a comment on the file.
    pub(crate) line: Option<u32>,
    pub(crate) body: String,
    pub(crate) resolved: bool,
}

/// The visible parts of our review, without details that differ between pull requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ReviewPicture {
    pub(crate) summaries: Vec<String>,
    pub(crate) comments: Vec<VisibleComment>,
    /// Number of our comments that were posted and later deleted.
    pub(crate) deleted: usize,
    /// State and description of the newest status of the head, or `None` if there is no status newer than
    /// `before`.
    pub(crate) status: Option<(String, String)>,
}

impl ReviewPicture {
    /// Builds the picture of a pull request. `names` maps commit ids to names that replace the ids in the
    /// texts. Statuses with an id up to `before` are ignored, because they were set for another pull request
    /// or earlier.
    pub(crate) fn of(view: &PullView, names: &[(&String, &str)], before: u64) -> Self {
        let ours = || view.comments.iter().filter(|comment| comment.author == BOT);
        let mut comments: Vec<VisibleComment> = ours()
            .filter(|comment| !comment.deleted)
            .filter_map(|comment| {
                let place = comment.place.as_ref()?;
                Some(VisibleComment {
                    path: place.path.clone(),
                    line: place.line.map(|(_, line)| line),
                    body: plain(&comment.body, names),
                    resolved: comment.resolved,
                })
            })
            .collect();
        comments.sort();
        // On Bitbucket, the context of our status contains the number of the pull request.
        let is_ours = |context: &str| context == CONTEXT || context.starts_with("truing-review-");
        let mut statuses = view.statuses.get(&view.head).into_iter().flatten();
        Self {
            summaries: view
                .conversation_comments()
                .filter(|comment| comment.author == BOT)
                .map(|comment| plain(&comment.body, names))
                .collect(),
            comments,
            deleted: ours().filter(|comment| comment.deleted).count(),
            status: statuses
                .rfind(|status| is_ours(&status.context) && status.id > before)
                .map(|status| (status.state.clone(), status.description.clone().unwrap_or_default()))
                .or_else(|| checked(view, before)),
        }
    }

    /// Counts comments on code whose thread is not resolved.
    pub(crate) fn open(&self) -> usize {
        self.comments.iter().filter(|comment| !comment.resolved).count()
    }
}

/// Returns the conclusion and the title of the App's newest check run on the head.
fn checked(view: &PullView, before: u64) -> Option<(String, String)> {
    let ours = |run: &&FakeCheckRun| run.sha == view.head && run.name == CONTEXT && run.id > before;
    let run = view.checks.iter().rfind(ours)?;
    Some((run.conclusion.clone()?, run.title.clone().unwrap_or_default()))
}

/// Returns a comment's text without the marker, with names in place of commit ids.
fn plain(body: &str, names: &[(&String, &str)]) -> String {
    let lines: Vec<&str> = body.lines().filter(|line| !line.starts_with("<!-- truing")).collect();
    let text = lines.join("\n").trim_end().to_owned();
    names.iter().fold(text, |text, (commit, name)| text.replace(&commit[..10], name))
}
