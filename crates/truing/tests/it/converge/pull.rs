//! Tests of runs on a pull request: posts, pushes, replies and resolved threads.

use serde_json::{Value, json};
use truing_fakes::forge::{
    BotReview, BotStep, FakeBot, FakeForgeOptions, FakeRepo, FakeReviewVerdict, ForgeFlavour, NewPull,
    PullView,
};
use truing_fakes::model::{
    DEFAULT_API_KEY, FakeModel, ModelFault, ModelScript, PromptRole, ScriptedAnswer, ScriptedBehaviour,
};
use truing_fakes::repo::CommitBuilder;

use crate::converge::scene::{
    BUG, BUG_ID, RIGHT, WRONG, clean_audit_answer, clean_fix_answer, edit, fix_report_answer,
    planted_bug_answer,
};
use crate::converge::watch::Watched;
use crate::support::home::{Home, Ran};

pub(crate) const BOT: &str = "truing[bot]";
/// A token that has the form of no known kind, so only its exact value can be redacted.
const TOKEN: &str = "converge-token-canary";

pub(crate) struct Site {
    pub(crate) forge: Watched,
    pub(crate) repo: FakeRepo,
    pub(crate) model: FakeModel,
    pub(crate) number: u64,
    pub(crate) home: Home,
}

impl Site {
    /// Creates a draft pull request with the planted bug, and a model that can also write a description.
    pub(crate) async fn new(more: &str, answers: impl IntoIterator<Item = ScriptedAnswer>) -> Self {
        Self::with_exact_answers(
            more,
            [ScriptedAnswer::for_describer("Adds up orders.")].into_iter().chain(answers),
        )
        .await
    }

    async fn with_exact_answers(more: &str, answers: impl IntoIterator<Item = ScriptedAnswer>) -> Self {
        Self::with_options(FakeForgeOptions::default(), more, answers).await
    }

    /// Creates a site whose fake forge has these options.
    pub(crate) async fn with_options(
        options: FakeForgeOptions,
        more: &str,
        answers: impl IntoIterator<Item = ScriptedAnswer>,
    ) -> Self {
        Self::with_flavour(ForgeFlavour::GitHub, options, more, answers).await
    }

    /// Creates a site whose forge is of this kind.
    pub(crate) async fn with_flavour(
        flavour: ForgeFlavour,
        options: FakeForgeOptions,
        more: &str,
        answers: impl IntoIterator<Item = ScriptedAnswer>,
    ) -> Self {
        let forge = Watched::start_as(flavour, options).await;
        forge.register_token(TOKEN, BOT);
        let repo = forge
            .create_repository("acme", "shop", CommitBuilder::new("Begin").write("a.py", ""))
            .await
            .unwrap();
        repo.set_role(BOT, forge.lookup_permission()).await.unwrap();
        repo.set_role("ann", "write").await.unwrap();
        repo.push("topic", CommitBuilder::new("Add totals").write("total.py", BUG)).await.unwrap();
        let number = repo.open_pull(NewPull { draft: true, ..NewPull::from_branch("topic") }).await.unwrap();
        let model = FakeModel::start(ModelScript::from_answers(answers)).await.unwrap();
        let (operator, models) = (forge.operator_config(), model.url());
        let config = format!(
            "{operator}[server]\nlisten = \"127.0.0.1:0\"\npoll = \"50ms\"\nlease = \"20s\"\nheartbeat \
             = \"200ms\"\n[model]\nbase_url = \"{models}\"\n{more}"
        );
        let home = Home::empty();
        home.write("truing.toml", config);
        let home = home
            .with_variable("PATH", std::env::var_os("PATH").unwrap())
            .with_variable(forge.secret_variables()[0], TOKEN)
            .with_variable("ANTHROPIC_API_KEY", DEFAULT_API_KEY);
        Self { forge, repo, model, number, home }
    }

    pub(crate) async fn run_json(&self, more: &[&str]) -> (Value, i32) {
        let target = format!("acme/shop#{}", self.number);
        let ran = self.run_converge(&[&["--format", "json", &target], more].concat()).await;
        (ran.json(), ran.exit)
    }

    /// Returns the command `truing converge` with these arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Command {
        self.other_command("converge", arguments)
    }

    /// Returns the command `name` of `truing` with these arguments.
    pub(crate) fn other_command(&self, name: &str, arguments: &[&str]) -> std::process::Command {
        let config = self.home.file("truing.toml");
        self.home.command(&[&[name, "--config", config.to_str().unwrap()], arguments].concat())
    }

    pub(crate) async fn run_converge(&self, arguments: &[&str]) -> Ran {
        self.run_command(self.command(arguments)).await
    }

    /// Runs a command until it exits, and returns its output.
    pub(crate) async fn run_command(&self, command: std::process::Command) -> Ran {
        let ran = Ran::run_on_blocking_thread(command).await;
        assert!(!format!("{ran:?}").contains(TOKEN), "the token is told");
        ran
    }

    pub(crate) async fn pull_view(&self) -> PullView {
        self.repo.pull(self.number).await.unwrap()
    }

    /// Runs git on the repository at the forge and returns the output.
    pub(crate) async fn git(&self, arguments: &[&str]) -> String {
        let mut git = truing_fakes::repo::git_command(&self.repo.dir().await.unwrap());
        let output = git.args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
}

/// Returns the first lines of the audit reviews by Truing.
pub(crate) fn audit_review_headlines(pull: &PullView) -> Vec<String> {
    let first = pull.reviews.iter().filter_map(|review| review.body.lines().next());
    first.filter(|line| line.starts_with("## converge: loop")).map(str::to_owned).collect()
}

pub(crate) fn two_loop_answers() -> [ScriptedAnswer; 5] {
    [
        planted_bug_answer(),
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_audit_is_a_review_and_each_finding_is_answered_and_resolved() {
    let site = Site::new("", two_loop_answers()).await;
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{told}");
    let pull = site.pull_view().await;
    let commits = told["commits"].as_array().unwrap();
    assert_eq!((commits.len(), commits[0].as_str().unwrap()), (1, pull.head.as_str()));
    assert_eq!(
        audit_review_headlines(&pull),
        ["## converge: loop 1 audit: 0P0 / 1P1 / 0P2", "## converge: loop 2 audit: 0P0 / 0P1 / 0P2 → clean"]
    );
    let inline: Vec<_> = pull.inline_comments().collect();
    assert_eq!(inline.len(), 2, "a finding and its answer: {inline:#?}");
    assert!(inline[0].body.starts_with("**[P1] The last element is left out**"), "{}", inline[0].body);
    assert_eq!(inline[1].in_reply_to, Some(inline[0].id));
    assert!(inline[1].body.starts_with(&format!("Fixed in {}", &pull.head[..7])), "{}", inline[1].body);
    assert!(inline[0].resolved);
    assert!(!pull.draft, "it is ready");
    assert_eq!(site.forge.violations(), Vec::<String>::new());
    assert_eq!(site.model.violations(), Vec::<String>::new());
    site.forge.assert_calls_in_runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn fixes_that_the_forge_creates_are_verified() {
    let mut site = Site::new("", two_loop_answers()).await;
    site.home = site.home.with_variable("TRUING_FORGE__GITHUB__COMMITS", "api");
    site.repo.add_rule("topic", "required_signatures").await.unwrap();
    let before = site.pull_view().await.head;
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{told}");
    let pull = site.pull_view().await;
    assert_eq!(told["commits"], json!([pull.head]));
    assert!(site.repo.is_verified(&pull.head).await.unwrap());
    assert_eq!(site.git(&["rev-parse", &format!("{}^", pull.head)]).await, before);
    let answer = pull.inline_comments().nth(1).unwrap();
    assert!(answer.body.starts_with(&format!("Fixed in {}", &pull.head[..7])), "{}", answer.body);
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

/// The line that results from the fix of a bot's finding, in addition to the fix of the bug.
const ROUNDED: &str = "    return round(s, 2)\n";

#[tokio::test(flavor = "multi_thread")]
async fn another_reviewer_is_asked_once_a_head_and_what_it_finds_is_answered_in_its_own_thread() {
    let fixes = [
        planted_bug_answer(),
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
        edit("total.py", "    return s\n", ROUNDED),
        fix_report_answer(&[]),
        fix_report_answer(&[]),
        clean_audit_answer(),
        clean_audit_answer(),
    ];
    let quick =
        "[converge]\nreviewers = [\"internal\", \"bugbot\"]\npoll = \"1s\"\npoll_after_trigger = \"1s\"\n";
    let site = Site::new(quick, fixes).await;
    let said = |body: &str, comments: Vec<(String, u32, String)>| BotStep {
        adds_eyes_reaction: true,
        review: Some(BotReview { verdict: FakeReviewVerdict::Commented, body: body.to_owned(), comments }),
        check: None,
    };
    let found = "Cursor Bugbot has reviewed your changes and found 1 potential issue.";
    let steps = [
        said(found, vec![("total.py".into(), 5, "The sum is never rounded.".into())]),
        said("Cursor Bugbot has reviewed your changes and found no issues.", vec![]),
    ];
    let bot = FakeBot {
        login: "cursor[bot]".into(),
        line_comment_author: None,
        trigger_text: Some("bugbot run".into()),
        steps: steps.into(),
    };
    site.repo.add_bot(bot).await.unwrap();
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(3)), "{told}");
    let pull = site.pull_view().await;
    assert_eq!(told["commits"].as_array().unwrap().len(), 2);
    let asked = pull.conversation_comments().filter(|comment| comment.body.trim() == "bugbot run").count();
    assert_eq!(asked, 2, "once a head");
    let theirs = pull.inline_comments().find(|comment| comment.author == "cursor[bot]").unwrap();
    let answers: Vec<_> =
        pull.inline_comments().filter(|comment| comment.in_reply_to == Some(theirs.id)).collect();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert!(!pull.draft);
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

/// Part of a description that a person wrote.
const PLAN: &str = "## Test plan\n- [ ] three orders";

#[tokio::test(flavor = "multi_thread")]
async fn the_description_tells_in_the_end_what_is_delivered_and_keeps_what_people_wrote() {
    let site = Site::new("", [clean_audit_answer()]).await;
    site.repo.set_description(site.number, &format!("Words of yesterday.\n\n{PLAN}\n")).await.unwrap();
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["code"], &told["warnings"]), (0, &json!("clean"), &json!([])), "{told}");
    let pull = site.pull_view().await;
    assert!(pull.body.contains("Adds up orders.") && pull.body.contains(PLAN), "{}", pull.body);
    assert!(!pull.body.contains("yesterday"), "{}", pull.body);
    // A second run on the same head does not request a description again.
    let asked = site.model.request_log().len();
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!(
        (exit, &told["code"], site.model.request_log().len()),
        (0, &json!("already_clean"), asked),
        "{told}"
    );
    assert_eq!(site.pull_view().await.body, pull.body);
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_that_is_not_wanted_loses_something_or_is_never_written_stays_as_it_was() {
    let loses = || {
        ScriptedAnswer::from_behaviour(ScriptedBehaviour::Describe { summary: "Adds.".into(), loses: true })
            .for_role(PromptRole::Describe)
    };
    let off = "[converge]\nupdate_description = false\n";
    // The response is an error that must not be retried, so there is no second request.
    let refusal = || ModelFault::Status {
        status: 500,
        error: String::new(),
        message: String::new(),
        headers: [("x-should-retry".to_owned(), "false".to_owned())].into(),
    };
    let dead = || ScriptedAnswer::fault(refusal()).for_role(PromptRole::Describe).times(0);
    for (more, writer, warnings, is_dead) in
        [("", loses().times(0), 1, false), ("", dead(), 1, true), (off, loses(), 0, false)]
    {
        let site = Site::with_exact_answers(more, [writer, clean_audit_answer()]).await;
        let before = format!("Words of yesterday.\n\n{PLAN}");
        site.repo.set_description(site.number, &before).await.unwrap();
        let (told, exit) = site.run_json(&[]).await;
        assert_eq!((exit, &told["exit"]), (0, &json!("converged")), "{told}");
        let warned = told["warnings"].as_array().unwrap();
        assert_eq!(warned.len(), warnings, "{told}");
        assert!(
            warned.iter().all(|text| text.as_str().unwrap().starts_with("the description stays unchanged: "))
        );
        assert_eq!(site.pull_view().await.body, before);
        let asked = site.model.request_log().len();
        let (told, exit) = site.run_json(&[]).await;
        assert_eq!((exit, &told["code"]), (0, &json!("already_clean")), "{told}");
        if (more, warnings) == ("", 1) && !is_dead {
            assert_eq!(site.model.request_log().len(), asked, "what does not serve is paid for once");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_with_the_base_branch_in_the_middle_of_a_run_is_not_audited_as_the_change() {
    let patient =
        "[converge]\nreviewers = [\"internal\", \"bugbot\"]\npoll = \"1s\"\npoll_after_trigger = \"1s\"\n";
    let site = Site::new(patient, [clean_audit_answer(), clean_audit_answer()]).await;
    let rebased = async {
        // The test waits for the comment that requests the bot's review, which the run posts after Truing's
        // own audit is clean.
        let asks =
            |pull: &PullView| pull.conversation_comments().any(|comment| comment.body.trim() == "bugbot run");
        while !asks(&site.pull_view().await) {
            tokio::task::yield_now().await;
        }
        let said = "Cursor Bugbot has reviewed your changes and found no issues.".to_owned();
        let review = Some(BotReview { verdict: FakeReviewVerdict::Commented, body: said, comments: vec![] });
        let bot = FakeBot {
            login: "cursor[bot]".into(),
            line_comment_author: None,
            trigger_text: Some("bugbot run".into()),
            steps: [BotStep { adds_eyes_reaction: true, review, check: None }].into(),
        };
        site.repo.add_bot(bot).await.unwrap();
        let base =
            site.repo.push("main", CommitBuilder::new("Sell").write("sold.py", "x = 1\n")).await.unwrap();
        let again = CommitBuilder::new("Add totals").write("total.py", BUG);
        let head = site.repo.force_push("topic", &base, again).await.unwrap();
        (base, head)
    };
    let ((told, exit), (base, head)) = tokio::join!(site.run_json(&[]), rebased);
    assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{told}");
    let last = site.model.request_log().pop().unwrap().body.to_string();
    assert!(last.contains(&format!("from {base} to {head}")) && !last.contains("sold.py"), "{last}");
}
