//! The scenarios as data: each scenario lists the events of one pull request. [`Act::Rest`] lets the service
//! do all due work. After this act, every invariant must hold.

use truing_fakes::forge::ForgeFaultKind::{
    self, Html, PrimaryLimit, Redirect, SecondaryLimit, SelfLinkedPage, SingleSignOn, Status, Truncated,
    ValidationError,
};
use truing_fakes::forge::{ErrorListFormat, ForgeFlavour};

use crate::conformance::tree::Tree;

/// One scenario of one pull request.
pub(crate) struct Scenario {
    /// Name of the scenario: words with hyphens between them.
    pub(crate) name: &'static str,
    /// Number of files in the base commit.
    pub(crate) files: u32,
    pub(crate) acts: &'static [Act],
}

/// Names of scenarios with a response that only GitHub sends, each with the reason why no other forge sends
/// this response.
const OF_GITHUB: &[(&str, &str)] = &[
    ("403-single-sign-on", "it has no single sign-on for tokens"),
    ("403-secondary-limit", "it answers every rate limit with 429"),
    ("403-secondary-limit-retry-after", "it answers every rate limit with 429"),
    ("403-primary-limit", "it answers every rate limit with 429"),
    ("422", "it answers invalid requests with 400"),
    ("422-strings", "it answers invalid requests with 400"),
    ("422-objects", "it answers invalid requests with 400"),
];

impl Scenario {
    /// Returns true if the scenario injects a response of the forge. Reads run in parallel, so the load of
    /// the machine decides which call gets the response, and how many calls and pushes follow.
    pub(crate) fn injects_an_answer(&self) -> bool {
        self.acts.iter().any(|act| matches!(act, Act::Answered { .. }))
    }

    /// Returns the reason why this forge never sends the scenario's response, or `None` if the forge can send
    /// it.
    pub(crate) fn absent_at(&self, flavour: ForgeFlavour) -> Option<&'static str> {
        match flavour {
            ForgeFlavour::GitHub => None,
            ForgeFlavour::Cloud | ForgeFlavour::DataCenter => {
                OF_GITHUB.iter().find(|(name, _)| *name == self.name).map(|(_, reason)| *reason)
            }
        }
    }
}

/// One event of a scenario.
pub(crate) enum Act {
    /// A pull request is opened with this change.
    Open(fn(&mut Tree)),
    /// A pull request is opened from a fork with this change.
    OpenFromFork(fn(&mut Tree)),
    /// This change is pushed on top.
    Push(fn(&mut Tree)),
    /// The branch is replaced by one commit with this change, on top of the same base commit.
    ForcePush(fn(&mut Tree)),
    /// The base branch gets a commit with this change.
    PushToBase(fn(&mut Tree)),
    /// The branch is replaced by one commit with all its changes, on top of the newest commit of the base
    /// branch.
    Rebase,
    /// The pull request gets another target branch, which contains this change.
    Retarget(fn(&mut Tree)),
    /// This number of pushes, each with one more finding, with lost, duplicated and reordered webhooks.
    Storm(u32),
    /// The service does all due work; then every invariant holds.
    Rest,
    /// Commits are pushed, each with one more finding. During the review of each commit, one call to the API
    /// or to the git server gets this response: first call 1, and then a call `step` calls later. The act
    /// ends when a review has fewer calls than that. After each push, the service does all due work.
    Answered {
        /// Builds the response. The argument is the address of another server, which the service must never
        /// call.
        by: fn(&str) -> ForgeFaultKind,
        /// Text that an entry in the pull request's history must contain, or an empty text if people see no
        /// failure.
        told: &'static str,
        step: usize,
    },
    /// The service is interrupted by this fault at its n-th writing call. The scenario is repeated for each
    /// n, until a review has no such call.
    Interrupted(ForgeFaultKind),
    /// While the n-th writing call of a review is held, a commit with this change is pushed.
    PushedAmid(fn(&mut Tree)),
    /// Another account copies our comments, including their markers.
    Forge,
    /// Another bot and a person comment and reply.
    Foreign,
    /// A person deletes our comment on the n-th finding.
    Delete(usize),
    /// A person rewrites our comment on the n-th finding.
    Edit(usize),
    /// A person resolves the thread of the n-th finding.
    Resolve(usize),
    /// A person closes the pull request.
    Close,
    /// The target branch of the pull request is deleted, which closes it.
    DeleteBase,
    /// The fork is deleted by its owner.
    DeleteFork,
    /// The service signs markers with a new key, and still accepts the old key.
    RotateKey,
    /// The service loses all its records.
    Forget,
    /// The forge accepts at most this number of new comments and reviews per minute.
    Limit(usize),
}

use Act::{
    Answered, Close, Delete, DeleteBase, DeleteFork, Edit, ForcePush, Foreign, Forge, Forget, Interrupted,
    Limit, Open, OpenFromFork, Push, PushToBase, PushedAmid, Rebase, Resolve, Rest, Retarget, RotateKey,
    Storm,
};

/// Adds three findings in two files.
fn three(tree: &mut Tree) {
    tree.add(0, "a");
    tree.add(0, "b");
    tree.add(1, "c");
}

/// Adds one more finding.
fn one_more(tree: &mut Tree) {
    tree.add(1, "d");
}

/// Fixes one finding and moves another.
fn fix_one(tree: &mut Tree) {
    tree.fix("a");
    tree.file(1).insert(0, "import os".into());
}

/// Restores the fixed finding.
fn regress(tree: &mut Tree) {
    tree.file(0).insert(2, "    breakpoint()  # a".into());
}

/// Renames the file with two findings.
fn rename(tree: &mut Tree) {
    tree.rename(0, "src/renamed.py");
}

/// Adds a file without a finding.
fn elsewhere(tree: &mut Tree) {
    tree.file(900).extend(["def elsewhere():".into(), "    pass".into()]);
}

/// Adds forty findings in ten files.
fn forty(tree: &mut Tree) {
    for n in 0..40 {
        tree.add(n % 10, &format!("n{n}"));
    }
}

/// Adds thirty findings in five files.
fn thirty(tree: &mut Tree) {
    for n in 0..30 {
        tree.add(n % 5, &format!("n{n}"));
    }
}

/// Moves the findings of one file.
fn move_six(tree: &mut Tree) {
    tree.file(0).insert(0, "import os".into());
}

/// Fixes ten of the findings.
fn fix_ten(tree: &mut Tree) {
    for n in 0..10 {
        tree.fix(&format!("n{n}"));
    }
}

/// Adds a line to each of 300 files, and a finding to every fiftieth of them.
fn three_hundred(tree: &mut Tree) {
    many(tree, 300);
}

/// Adds a line to each of 3,000 files, and a finding to every fiftieth of them.
fn three_thousand(tree: &mut Tree) {
    many(tree, 3_000);
}

fn many(tree: &mut Tree, files: u32) {
    for file in 0..files {
        tree.file(file).push("    more()".into());
    }
    for file in (0..files).step_by(50) {
        tree.add(file, &format!("n{file}"));
    }
}

/// Scenarios in which the fake sends a wrong response, each with the text that people then see in the
/// history.
const WRONG: &[Scenario] = &[
    Scenario {
        name: "400",
        files: 3,
        acts: &[Open(three), Answered { by: |_| Status(400, None), told: "refused: ", step: 4 }],
    },
    Scenario {
        name: "401",
        files: 3,
        acts: &[Open(three), Answered { by: |_| Status(401, None), told: "401", step: 3 }],
    },
    Scenario {
        name: "403-permission",
        files: 3,
        acts: &[Open(three), Answered { by: |_| Status(403, None), told: "(403): Forbidden (", step: 4 }],
    },
    Scenario {
        name: "403-single-sign-on",
        files: 3,
        acts: &[
            Open(three),
            Answered {
                by: |_| SingleSignOn,
                told: "authorize the token for single sign-on) (hint: ",
                step: 5,
            },
        ],
    },
    Scenario {
        name: "403-secondary-limit",
        files: 3,
        acts: &[
            Open(three),
            Answered { by: |_| SecondaryLimit(None), told: "rate limited for 60 s (hint: ", step: 4 },
        ],
    },
    Scenario {
        name: "403-secondary-limit-retry-after",
        files: 3,
        acts: &[
            Open(three),
            Answered { by: |_| SecondaryLimit(Some(7)), told: "rate limited for 7 s (hint: ", step: 5 },
        ],
    },
    Scenario {
        name: "403-primary-limit",
        files: 3,
        acts: &[
            Open(three),
            Answered { by: |_| PrimaryLimit(30), told: "rate limited for 30 s (hint: ", step: 5 },
        ],
    },
    Scenario {
        name: "404",
        files: 3,
        acts: &[Open(three), Answered { by: |_| Status(404, None), told: "(404) (hint: check", step: 3 }],
    },
    Scenario {
        name: "410",
        files: 3,
        acts: &[Open(three), Answered { by: |_| Status(410, None), told: "(404) (hint: check", step: 5 }],
    },
    Scenario {
        name: "409",
        files: 3,
        acts: &[Open(three), Answered { by: |_| Status(409, None), told: "", step: 4 }],
    },
    Scenario {
        name: "413",
        files: 3,
        acts: &[Open(three), Answered { by: |_| Status(413, None), told: "", step: 4 }],
    },
    Scenario {
        name: "422",
        files: 3,
        acts: &[
            Open(three),
            Answered { by: |_| Status(422, None), told: "refused: Unprocessable Entity (hint: ", step: 4 },
        ],
    },
    Scenario {
        name: "422-strings",
        files: 3,
        acts: &[
            Open(three),
            Answered {
                by: |_| ValidationError(ErrorListFormat::Strings),
                told: "not as it should be (hint: ",
                step: 3,
            },
        ],
    },
    Scenario {
        name: "422-objects",
        files: 3,
        acts: &[
            Open(three),
            Answered {
                by: |_| ValidationError(ErrorListFormat::Objects),
                told: "not as it should be (hint: ",
                step: 5,
            },
        ],
    },
    Scenario {
        name: "429",
        files: 3,
        acts: &[
            Open(three),
            Answered { by: |_| Status(429, None), told: "rate limited for 60 s (hint: ", step: 3 },
        ],
    },
    Scenario {
        name: "429-retry-after",
        files: 3,
        acts: &[
            Open(three),
            Answered { by: |_| Status(429, Some(9)), told: "rate limited for 9 s (hint: ", step: 4 },
        ],
    },
    Scenario {
        name: "500",
        files: 3,
        acts: &[
            Open(three),
            Answered {
                by: |_| Status(500, None),
                told: "status 500: Internal Server Error (hint: ",
                step: 3,
            },
        ],
    },
    Scenario {
        name: "503",
        files: 3,
        acts: &[Open(three), Answered { by: |_| Status(503, None), told: "", step: 4 }],
    },
    Scenario {
        name: "html",
        files: 3,
        acts: &[Open(three), Answered { by: |_| Html(200), told: "HTML instead of JSON", step: 3 }],
    },
    Scenario {
        name: "html-502",
        files: 3,
        acts: &[Open(three), Answered { by: |_| Html(502), told: "", step: 5 }],
    },
    Scenario {
        name: "json-cut-off",
        files: 3,
        acts: &[
            Open(three),
            Answered { by: |_| Truncated, told: "the answer's JSON is cut off (hint: ", step: 2 },
        ],
    },
    Scenario {
        name: "redirect-elsewhere",
        files: 3,
        acts: &[
            Open(three),
            Answered {
                by: |elsewhere| Redirect(307, elsewhere.into()),
                told: ": redirects are not followed",
                step: 1,
            },
        ],
    },
    Scenario {
        name: "redirect-within",
        files: 3,
        acts: &[
            Open(three),
            Answered {
                by: |_| Redirect(301, "/repositories/1".into()),
                told: "the resource has another address now",
                step: 4,
            },
        ],
    },
    Scenario {
        name: "pages-in-a-circle",
        files: 3,
        acts: &[Open(three), Answered { by: |_| SelfLinkedPage, told: "form a loop (hint: ", step: 1 }],
    },
];

/// Returns the scenarios of `WRONG` and `SCENARIOS`.
pub(crate) fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    SCENARIOS.iter().chain(WRONG)
}

/// Scenarios with acts of people, and with a forge that limits the number of calls or closes connections.
const SCENARIOS: &[Scenario] = &[
    Scenario { name: "storm", files: 3, acts: &[Open(three), Storm(12), Rest] },
    Scenario {
        name: "re-push",
        files: 3,
        acts: &[Open(three), Rest, Push(one_more), Rest, Push(fix_one), Rest],
    },
    Scenario {
        name: "regression",
        files: 3,
        acts: &[Open(three), Rest, Push(fix_one), Rest, Push(regress), Rest],
    },
    Scenario { name: "force-push", files: 3, acts: &[Open(three), Rest, ForcePush(one_more), Rest] },
    Scenario { name: "rebase", files: 3, acts: &[Open(three), Rest, PushToBase(elsewhere), Rebase, Rest] },
    Scenario { name: "rename", files: 3, acts: &[Open(three), Rest, Push(rename), Rest] },
    Scenario { name: "base-change", files: 3, acts: &[Open(three), Rest, Retarget(elsewhere), Rest] },
    Scenario { name: "30-findings", files: 5, acts: &[Open(thirty), Rest] },
    Scenario {
        name: "30-findings-of-which-6-move",
        files: 5,
        acts: &[Open(thirty), Rest, Push(move_six), Rest],
    },
    Scenario { name: "300-files", files: 300, acts: &[Open(three_hundred), Rest] },
    Scenario { name: "3000-files", files: 3_000, acts: &[Open(three_thousand), Rest] },
    Scenario {
        name: "crash-at-every-write",
        files: 10,
        acts: &[
            Open(forty),
            Interrupted(ForgeFaultKind::DropConnection),
            Push(fix_ten),
            Interrupted(ForgeFaultKind::DropConnection),
        ],
    },
    Scenario {
        name: "lost-answer-of-every-write",
        files: 10,
        acts: &[
            Open(forty),
            Interrupted(ForgeFaultKind::LostResponse),
            Push(fix_ten),
            Interrupted(ForgeFaultKind::LostResponse),
        ],
    },
    Scenario { name: "push-amid-every-write", files: 3, acts: &[Open(three), PushedAmid(fix_one)] },
    Scenario {
        name: "secondary-limit",
        files: 3,
        acts: &[Limit(1), Open(three), Rest, Push(one_more), Rest],
    },
    Scenario { name: "forged-marker", files: 3, acts: &[Open(three), Rest, Forge, Push(one_more), Rest] },
    Scenario {
        name: "forged-marker-without-records",
        files: 3,
        acts: &[Open(three), Rest, Forge, Forget, Push(one_more), Rest],
    },
    Scenario { name: "foreign-account", files: 3, acts: &[Open(three), Rest, Foreign, Push(fix_one), Rest] },
    Scenario {
        name: "deleted-comment",
        files: 3,
        acts: &[Open(three), Rest, Delete(0), Push(one_more), Rest],
    },
    Scenario { name: "edited-comment", files: 3, acts: &[Open(three), Rest, Edit(0), Push(one_more), Rest] },
    Scenario {
        name: "resolved-by-a-person",
        files: 3,
        acts: &[Open(three), Rest, Resolve(0), Push(one_more), Rest],
    },
    Scenario { name: "closed", files: 3, acts: &[Open(three), Rest, Push(one_more), Close, Rest] },
    Scenario {
        name: "base-deleted",
        files: 3,
        acts: &[Open(three), Rest, Retarget(elsewhere), Rest, Push(one_more), DeleteBase, Rest],
    },
    Scenario {
        name: "fork",
        files: 3,
        acts: &[OpenFromFork(three), Rest, Push(one_more), Rest, DeleteFork, Rest],
    },
    Scenario { name: "key-rotation", files: 3, acts: &[Open(three), Rest, RotateKey, Push(fix_one), Rest] },
    Scenario {
        name: "key-rotation-without-records",
        files: 3,
        acts: &[Open(three), Rest, RotateKey, Forget, Push(one_more), Rest],
    },
];
