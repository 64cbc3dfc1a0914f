//! The change that the tests review, and a comparable picture of our review on the pull request.

use std::path::PathBuf;

use truing_config::Config;
use truing_config::environment::Environment;
use truing_config::layer::{KeyFlag, SourceFile};
use truing_core::code::LinesKey;
use truing_fakes::forge::{FakeCheckRun, PullView};
use truing_fakes::repo::CommitBuilder;
use truing_loops::checkout::OperatorRules;

/// The login of the token that reviews.
pub(crate) const BOT: &str = "truing[bot]";
/// The context of its statuses.
pub(crate) const CONTEXT: &str = "truing/review";
/// Number of findings of the first review.
pub(crate) const FOUND: usize = 12;
/// Number of findings that the second head keeps (`STAY`), fixes (`FIXED`) and adds (`NEW`).
pub(crate) const STAY: usize = 8;
pub(crate) const FIXED: usize = 4;
pub(crate) const NEW: usize = 2;

/// The labels of a pull request that gets one review, and of one that gets none.
pub(crate) const ONCE: &str = "once";
pub(crate) const OFF: &str = "no-review";

/// Makes the rules of these packs, and tiers by label.
pub(crate) fn rules(packs: &[&str]) -> OperatorRules {
    let values = packs.iter().map(|pack| (*pack).to_owned()).collect();
    let packs = KeyFlag { name: "--pack", key: "rules.packs", values };
    let tier = |label: &str, tier: &str| format!("{{ labels = [\"{label}\"], tier = \"{tier}\" }}");
    let text = format!("review.for = [{}, {}]\n", tier(ONCE, "once"), tier(OFF, "off"));
    let operator = SourceFile { name: "truing.toml".into(), folder: PathBuf::new(), text };
    let config = Config::resolve(&Environment::default(), Some(&operator), &[packs]).unwrap();
    OperatorRules::new(config, LinesKey::default()).unwrap()
}

/// Makes the base that changes are made on.
pub(crate) fn base() -> CommitBuilder {
    CommitBuilder::new("Begin").write("README.md", "# Shop\n").write("src/app.py", "def main():\n    pass\n")
}

/// Returns a head with twelve findings in three files. All are calls of a debugger, so only one kind of rule
/// reports them.
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

/// The content of one file, which both heads share.
pub(crate) const LIB: &str =
    "fn a() {\n    let x = 1;\n    dbg!(x);\n    let y = 2;\n    dbg!(y);\n    dbg!(x + y);\n}\n";

/// Returns a head that moves the lines of one file, fixes four findings and adds two. One of the fixed
/// findings had an identical second one.
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

/// Number of findings in [`forty`], more than get a comment of their own.
#[allow(dead_code, reason = "not every test with these changes is about so many")]
pub(crate) const FORTY: usize = 40;

/// Returns a head with forty findings in three files. Two of the files begin with `above` other lines.
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
    /// Its line when it was made; none for a comment on the file.
    pub(crate) line: Option<u32>,
    pub(crate) body: String,
    pub(crate) resolved: bool,
}

/// Our review as a pull request shows it, without details that differ between pull requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ReviewPicture {
    pub(crate) summaries: Vec<String>,
    pub(crate) comments: Vec<VisibleComment>,
    /// Number of comments that were made and deleted again.
    pub(crate) deleted: usize,
    /// State and text of the head's newest status, if it is newer than the status `before`.
    pub(crate) status: Option<(String, String)>,
}

impl ReviewPicture {
    /// Builds the picture. `names` maps commits to the names that replace them. Statuses up to the id
    /// `before` are ignored, because they belong to another pull request.
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
        // At Bitbucket the context has the number of the pull request.
        let is_ours = |context: &str| context == CONTEXT || context.starts_with("truing-review-");
        let mut statuses = view.statuses.get(&view.head).into_iter().flatten();
        Self {
            summaries: view
                .summary_comments()
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

/// Returns state and text of an App's check run.
fn checked(view: &PullView, before: u64) -> Option<(String, String)> {
    let ours = |run: &&FakeCheckRun| run.sha == view.head && run.name == CONTEXT && run.id > before;
    let run = view.checks.iter().rfind(ours)?;
    Some((run.conclusion.clone()?, run.title.clone().unwrap_or_default()))
}

/// Returns a comment without its marker, with names in place of commits.
fn plain(body: &str, names: &[(&String, &str)]) -> String {
    let lines: Vec<&str> = body.lines().filter(|line| !line.starts_with("<!-- truing")).collect();
    let text = lines.join("\n").trim_end().to_owned();
    names.iter().fold(text, |text, (commit, name)| text.replace(&commit[..10], name))
}
