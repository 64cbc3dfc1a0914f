//! Tests of a fixer's tools with real git, real processes and the real sandbox. All attempts to change
//! protected files must fail.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests may fail them")]

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use truing_agent::fixer::{FixerError, FixerTools, FixerWorkspace};
use truing_agent::native::{RunTools, ToolCallOutput};
use truing_agent::sandbox::SandboxLevel;
use truing_core::agent::MAX_OUTPUT_BYTES;
use truing_core::policy::{AgentPolicy, PolicySet, ProfileName};
use truing_model::messages::ToolDefinition;

use crate::support::{SOON, Test, has_sandbox, sandbox_level, until, with_word};

/// Returns all tests of this file. The test with a fork bomb runs alone, because it starts as many processes
/// as it can.
pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("a_weaker_sandbox_is_refused", a_weaker_sandbox_is_refused),
        staged("an_edit_replaces_exact_text_once", an_edit_replaces_exact_text_once),
        staged(
            "a_whole_file_is_written_with_the_folders_above_it",
            a_whole_file_is_written_with_the_folders_above_it,
        ),
        staged("no_change_touches_what_a_mask_stands_for", no_change_touches_what_a_mask_stands_for),
        staged(
            "a_command_tells_paths_as_the_other_tools_take_them",
            a_command_tells_paths_as_the_other_tools_take_them,
        ),
        staged("nothing_outside_of_the_clone_is_changed", nothing_outside_of_the_clone_is_changed),
        staged("a_denial_names_the_rule_that_would_allow_it", a_denial_names_the_rule_that_would_allow_it),
        staged(
            "a_command_is_run_on_the_clone_and_its_end_is_told",
            a_command_is_run_on_the_clone_and_its_end_is_told,
        ),
        staged(
            "a_command_changes_neither_git_nor_what_is_outside",
            a_command_changes_neither_git_nor_what_is_outside,
        ),
        staged("what_a_repository_configures_is_not_run", what_a_repository_configures_is_not_run),
        staged("an_endless_output_is_cut_and_says_so", an_endless_output_is_cut_and_says_so),
        staged("a_command_that_never_ends_is_ended", a_command_that_never_ends_is_ended),
        staged("a_fork_bomb_ends_with_its_command", a_fork_bomb_ends_with_its_command).alone(),
        staged(
            "what_a_command_writes_to_the_clone_is_bounded_as_a_whole",
            what_a_command_writes_to_the_clone_is_bounded_as_a_whole,
        )
        .needs(|| has("fallocate")),
        staged("a_call_that_is_given_up_leaves_nothing", a_call_that_is_given_up_leaves_nothing),
        staged("what_reads_is_still_there_and_looks_anew", what_reads_is_still_there_and_looks_anew),
    ]
}

/// Returns a test that gets a new clone.
fn staged(name: &'static str, test: fn(&Stage)) -> Test {
    Test::new(name, move || test(&Stage::new())).needs(has_sandbox)
}

/// A read-only tool. The output of a call contains the tool's name, and how often the working tree was
/// changed before the call.
#[derive(Default)]
struct RecordingReadTools {
    changes: AtomicU32,
}

#[async_trait]
impl RunTools for RecordingReadTools {
    fn tool_definitions(&self) -> Vec<ToolDefinition> {
        let (name, description) = ("read".to_owned(), String::new());
        vec![ToolDefinition { name, description, input_schema: json!({}), cache_control: None }]
    }

    async fn call(&self, name: &str, _: &Value) -> ToolCallOutput {
        let text = format!("called {name} after {} changes", self.changes.load(Ordering::SeqCst));
        ToolCallOutput { text, is_error: false, is_denied: false }
    }

    async fn clear_cache(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }
}

/// A clone with a commit, and files outside the clone that must not change.
struct Stage {
    folder: TempDir,
    runtime: Runtime,
}

impl Stage {
    fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap(), runtime: Runtime::new().unwrap() };
        std::fs::create_dir(stage.path("clone")).unwrap();
        stage.git(&["init", "--quiet", "--template="]);
        stage.write("clone/a.txt", "one\ntwo\none\n");
        stage.git(&["add", "."]);
        stage.git(&[
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@example.org",
            "commit",
            "--quiet",
            "-m",
            "first",
        ]);
        stage.write("outside.txt", "outside");
        symlink("../outside.txt", stage.path("clone/link")).unwrap();
        symlink("..", stage.path("clone/up")).unwrap();
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn git(&self, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.path("clone")).args(arguments).env_clear();
        git.env("PATH", std::env::var_os("PATH").unwrap());
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        assert!(git.stdout(Stdio::null()).status().unwrap().success(), "{arguments:?}");
    }

    fn fixer(&self, time: Duration) -> FixerTools {
        let workspace = FixerWorkspace {
            program_folders: vec![self.programs()],
            command_time_limit: time,
            ..FixerWorkspace::new(self.path("clone"), policy())
        };
        FixerTools::new(Box::new(RecordingReadTools::default()), workspace, sandbox_level()).unwrap()
    }

    /// Returns a folder with a program that the policy permits: `pytest`. In these tests, `pytest` is a shell
    /// script that runs the clone's `test.sh`; the real `pytest` also runs code of the repository.
    fn programs(&self) -> PathBuf {
        let folder = self.path("programs");
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join("pytest");
        // A separate process writes the file, because a file cannot be run while a process has it open for
        // writing.
        let script =
            format!("printf '#!/bin/sh\\n. ./test.sh\\n' > '{0}'; chmod 700 '{0}'", program.display());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
        folder
    }

    fn call(&self, name: &str, input: &Value) -> ToolCallOutput {
        self.runtime.block_on(self.fixer(SOON).call(name, input))
    }

    fn done(&self, name: &str, input: &Value) -> String {
        let output = self.call(name, input);
        assert!(!output.is_error, "{name} {input}: {}", output.text);
        output.text
    }

    fn refused(&self, name: &str, input: &Value) -> String {
        let output = self.call(name, input);
        assert!(output.is_error, "{name} {input}: {}", output.text);
        output.text
    }

    /// Writes the script to `test.sh` and runs `pytest`, which runs the script as if it were a hostile
    /// repository's tests.
    fn tests(&self, script: &str) -> String {
        self.write("clone/test.sh", script);
        self.done("run", &json!({ "argv": ["pytest"] }))
    }
}

/// A program that is installed on no machine. The policy permits it.
const MISSING_PROGRAM: &str = "truing-test-missing-program";

/// Returns the policy of fixers, which also permits two commands from the configuration.
fn policy() -> Arc<AgentPolicy> {
    let commands = [&["pytest", "--a-check"][..], &[MISSING_PROGRAM]];
    let exact =
        commands.map(|argv| ("verify.check".to_owned(), argv.iter().map(|&word| word.into()).collect()));
    let exact = exact.into_iter().collect();
    Arc::new(PolicySet::load_shipped().unwrap().policy_for(ProfileName::Fixer).with_exact_commands(exact))
}

fn a_weaker_sandbox_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = FixerWorkspace::new(folder.path().to_owned(), policy());
    let refused = FixerTools::new(Box::new(RecordingReadTools::default()), workspace, SandboxLevel::None);
    assert!(matches!(refused, Err(FixerError::Sandbox(_))));
}

fn an_edit_replaces_exact_text_once(stage: &Stage) {
    let edit =
        |old: &str, new: &str, all: bool| json!({ "path": "a.txt", "old": old, "new": new, "all": all });
    assert!(stage.refused("edit", &edit("one", "1", false)).contains("2 times"));
    assert!(stage.refused("edit", &edit("three", "3", true)).contains("`a.txt` does not contain `old`"));
    assert!(stage.refused("edit", &edit("", "3", true)).contains("use `write`"));
    assert_eq!(stage.text("clone/a.txt"), "one\ntwo\none\n");
    std::fs::set_permissions(stage.path("clone/a.txt"), std::fs::Permissions::from_mode(0o755)).unwrap();
    stage.done("edit", &edit("two\n", "2\n", false));
    stage.done("edit", &edit("one", "1", true));
    assert_eq!(stage.text("clone/a.txt"), "1\n2\n1\n");
    assert_eq!(stage.path("clone/a.txt").metadata().unwrap().permissions().mode() & 0o777, 0o755);
    std::fs::write(stage.path("clone/b"), b"\xff").unwrap();
    assert!(stage.refused("edit", &json!({ "path": "b", "old": "x", "new": "" })).contains("no text"));
    // The text after the replacement would be a hundred times as large as the machine's memory, so the tool
    // must refuse before it builds the text.
    stage.write("clone/many.txt", &"x".repeat(4 << 20));
    let many = stage
        .refused("edit", &json!({ "path": "many.txt", "old": "x", "new": "y".repeat(1 << 20), "all": true }));
    assert!(many.contains("would have 4398046511104 bytes"), "{many}");
    assert!(stage.refused("edit", &json!({ "path": "c", "old": "x", "new": "" })).contains("no file `c`"));
    assert!(stage.refused("edit", &json!({ "path": "a.txt" })).contains("missing field `old`"));
}

fn a_whole_file_is_written_with_the_folders_above_it(stage: &Stage) {
    stage.done("write", &json!({ "path": "deep/er/new.txt", "content": "new" }));
    stage.done("write", &json!({ "path": "a.txt", "content": "anew" }));
    assert_eq!(
        (stage.text("clone/deep/er/new.txt"), stage.text("clone/a.txt")),
        ("new".into(), "anew".into())
    );
    let large = "x".repeat(6 << 20);
    assert!(stage.refused("write", &json!({ "path": "large", "content": large })).contains("the limit is"));
    assert!(!stage.path("clone/large").exists());
}

fn no_change_touches_what_a_mask_stands_for(stage: &Stage) {
    let key = ["AKIA", "73U55XTPLPFT7V4S"].concat();
    let text = format!("KEY = \"{key}\"\nport = 1\n");
    stage.write("clone/conf.py", &text);
    let edit = |old: &str, new: &str| json!({ "path": "conf.py", "old": old, "new": new });
    for input in [
        edit("KEY = \"[secret cut]\"", "KEY = load()"),
        edit("port = 1", "port = \"[secret cut]\""),
        edit("KEY = \"", "KEY = \"ab"),
    ] {
        let refused = stage.refused("edit", &input);
        assert!(refused.contains("`[secret cut]` replaces each of them"), "{input}: {refused}");
    }
    for guess in [&key, "KEY = \"AKIA", "AKIA7", "AKIA8"] {
        assert!(
            stage.refused("edit", &edit(guess, guess)).contains("`conf.py` does not contain `old`"),
            "{guess}"
        );
    }
    for content in ["KEY = \"[secret cut]\"\nport = 2\n", "port = 2\n"] {
        let refused = stage.refused("write", &json!({ "path": "conf.py", "content": content }));
        assert!(refused.contains("only a person can replace a secret"), "{refused}");
    }
    stage.refused("write", &json!({ "path": "new.py", "content": "KEY = \"[secret cut]\"\n" }));
    assert!(stage.text("clone/conf.py") == text && !stage.path("clone/new.py").exists());
    stage.done("edit", &edit("port = 1", "port = 2"));
    assert_eq!(stage.text("clone/conf.py"), text.replace("port = 1", "port = 2"));
    // The text that masks a secret may also occur in a file of the repository. Such a file can be edited.
    stage.write("clone/words.txt", "[secret cut]\n");
    stage.done("edit", &json!({ "path": "words.txt", "old": "[secret cut]", "new": "[secret cut]!" }));
    let printed = stage.tests(&format!("echo 'key {key}'"));
    assert!(printed.contains("key [secret cut]"), "{printed}");
    stage.git(&["add", "."]);
    for argv in [&["git", "grep", "-n", "-o", "AKIA73U55X"][..], &["git", "grep", "-n", "-o", "X.*4S"]] {
        let printed = stage.done("run", &json!({ "argv": argv }));
        assert!(printed.contains("conf.py:1:[secret cut]\n"), "{printed}");
    }
}

fn a_command_tells_paths_as_the_other_tools_take_them(stage: &Stage) {
    let told = stage.tests("pwd; echo \"$PWD/a.txt:3\"");
    assert!(told.contains("\n.\n./a.txt:3\n"), "{told}");
    assert!(!told.contains(stage.path("").to_str().unwrap()), "{told}");
}

/// Tries to change files by their path, through a link, in git's folder, and in files that other programs
/// execute.
fn nothing_outside_of_the_clone_is_changed(stage: &Stage) {
    stage.write("clone/.git/extra", "outside");
    symlink(".git", stage.path("clone/git")).unwrap();
    let outside = stage.path("outside.txt");
    for path in [
        "../outside.txt",
        outside.to_str().unwrap(),
        "link",
        "up/outside.txt",
        "up/new.txt",
        ".git/extra",
        ".git/config",
        ".git/hooks/pre-commit",
        ".GIT/hooks/pre-commit",
        "git/extra",
        "git/hooks/pre-commit",
        ".github/workflows/ci.yml",
        "a.txt/x",
        "",
    ] {
        let edited =
            stage.refused("edit", &json!({ "path": path, "old": "outside", "new": "changed", "all": true }));
        let written = stage.refused("write", &json!({ "path": path, "content": "changed" }));
        assert!(written.contains("denied") && edited.contains("denied"), "{path}: {written} {edited}");
    }
    assert_eq!(
        (stage.text("outside.txt"), stage.text("clone/.git/extra")),
        ("outside".into(), "outside".into())
    );
    for absent in ["new.txt", "clone/.git/hooks", "clone/.github"] {
        assert!(!stage.path(absent).exists(), "{absent}");
    }
}

fn a_denial_names_the_rule_that_would_allow_it(stage: &Stage) {
    let told = |argv: &[&str]| stage.refused("run", &json!({ "argv": argv }));
    assert!(told(&["git", "commit", "-m", "x"]).starts_with("denied: "));
    assert!(stage.call("run", &json!({ "argv": ["git", "push"] })).is_denied);
    assert!(!stage.call("run", &json!({ "argv": ["git", "diff"] })).is_denied);
    assert!(told(&["npm", "ci"]).contains("the rule that would allow it: fixer: run \"npm ci\""));
    assert!(told(&["sh", "-c", "true"]).starts_with("denied: "));
    assert!(told(&["git", "diff", "--output=a.txt"]).starts_with("denied: "));
    assert!(told(&["rg", "--pre", "./trap.sh", "x"]).starts_with("denied: "));
    let written = stage.refused("write", &json!({ "path": ".truing.toml", "content": "" }));
    assert!(written.contains("the path decides who reviews, or how"), "{written}");
    assert!(written.ends_with("no rule can allow it"), "{written}");
    assert_eq!(stage.text("clone/a.txt"), "one\ntwo\none\n");
}

fn a_command_is_run_on_the_clone_and_its_end_is_told(stage: &Stage) {
    stage.write("clone/a.txt", "other\n");
    let diff = stage.done("run", &json!({ "argv": ["git", "diff", "--name-only"] }));
    assert_eq!(diff, "exit code 0\n--- output\na.txt\n");
    let failed = stage.tests("echo said; echo wrong >&2; echo made > made.txt; exit 3");
    assert_eq!(failed, "exit code 3\n--- output\nsaid\n--- errors\nwrong\n");
    assert_eq!(stage.text("clone/made.txt"), "made\n");
    let missing = stage.refused("run", &json!({ "argv": [MISSING_PROGRAM] }));
    assert!(missing.contains(&format!("`{MISSING_PROGRAM}` cannot be started")), "{missing}");
    assert!(stage.refused("run", &json!({ "argv": [] })).starts_with("denied: "));
}

fn a_command_changes_neither_git_nor_what_is_outside(stage: &Stage) {
    stage.write("clone/.git/extra", "git's");
    let outside = stage.path("outside.txt");
    let config = stage.text("clone/.git/config");
    // Inside the sandbox, the file outside the clone does not exist. If a command writes a file at its path,
    // the written file is lost when the command exits.
    let script = format!(
        "cat '{0}' link; echo x > '{0}'; echo x > link; echo x > up/new.txt; ln -s '{0}' planted\n\
         echo x > .git/config; echo x > .git/extra; mkdir .git/hooks; mv .git elsewhere; ln a.txt .git/b\n\
         echo end",
        outside.display()
    );
    let told = stage.tests(&script);
    assert!(told.contains("--- output\nend\n"), "{told}");
    assert_eq!((stage.text("clone/.git/config"), stage.text("clone/.git/extra")), (config, "git's".into()));
    assert_eq!(stage.text("outside.txt"), "outside");
    for absent in ["clone/.git/hooks", "clone/.git/b", "clone/elsewhere/extra", "new.txt"] {
        assert!(!stage.path(absent).exists(), "{absent}");
    }
    // The command has created a link to a file outside the clone; a later call must not follow the link.
    assert!(stage.refused("write", &json!({ "path": "planted", "content": "changed" })).contains("denied"));
    assert_eq!(stage.text("outside.txt"), "outside");
}

/// A program that the clone's git configuration names must not be run.
fn what_a_repository_configures_is_not_run(stage: &Stage) {
    stage.write("clone/trap.sh", "#!/bin/sh\necho trapped > trapped.txt\n");
    std::fs::set_permissions(stage.path("clone/trap.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    stage.git(&["config", "core.fsmonitor", "./trap.sh"]);
    stage.done("run", &json!({ "argv": ["git", "status", "--porcelain"] }));
    assert!(!stage.path("clone/trapped.txt").exists());
    // For comparison: outside the sandbox, git runs the program.
    stage.git(&["status", "--porcelain"]);
    assert!(stage.path("clone/trapped.txt").exists());
}

fn an_endless_output_is_cut_and_says_so(stage: &Stage) {
    let told = stage.tests("echo begins; yes");
    assert!(told.starts_with("ended because it printed more than 16777216 bytes\n--- output\nbegins\ny\n"));
    assert!(told.contains("bytes are left out here …]") && told.len() < MAX_OUTPUT_BYTES, "{}", told.len());
    let told = stage.tests("head -c 30000 /dev/zero | tr '\\0' x; echo ends");
    assert!(told.starts_with("exit code 0\n--- output\nxxx") && told.ends_with("xends\n"));
    assert!(told.contains("[… 9525 bytes are left out here …]"), "{told}");
}

fn a_command_that_never_ends_is_ended(stage: &Stage) {
    let word = format!("7{:08}", std::process::id());
    stage.write("clone/test.sh", &format!("echo begun; setsid sleep {word} & sleep {word}"));
    // On a busy machine, the time limit may stop the command before its first output. The test then repeats
    // the command with a longer limit.
    let tries = [2, 10, 60].into_iter().map(|seconds| {
        let fixer = stage.fixer(Duration::from_secs(seconds));
        let output = stage.runtime.block_on(fixer.call("run", &json!({ "argv": ["pytest"] })));
        (seconds, output.text)
    });
    let (seconds, told) = tries.into_iter().find(|(_, told)| told.contains("begun")).unwrap();
    assert_eq!(told, format!("ended because it took longer than {seconds} s\n--- output\nbegun\n"));
    until("something is left", || with_word(&word) == 0);
}

fn a_fork_bomb_ends_with_its_command(stage: &Stage) {
    let word = format!("6{:08}", std::process::id());
    stage.write("clone/test.sh", &format!("while true; do sleep {word} & done"));
    let fixer = stage.fixer(Duration::from_secs(2));
    let output = stage.runtime.block_on(fixer.call("run", &json!({ "argv": ["pytest"] })));
    assert!(output.text.starts_with("e"), "{}", output.text);
    until("something is left", || with_word(&word) == 0);
    assert!(stage.tests("echo works").contains("works"));
}

/// Each file is smaller than the limit for a single file, but all files together exceed the limit for the
/// clone. The command only allocates the files and writes no content.
fn what_a_command_writes_to_the_clone_is_bounded_as_a_whole(stage: &Stage) {
    let told = stage.tests("for n in 1 2 3; do fallocate -l 800M $n || echo cannot; done");
    stage.tests("rm -f 1 2 3");
    assert!(told.contains("ended because it wrote too much") || told.contains("cannot"), "{told}");
    assert!(stage.tests("echo works").contains("works"));
}

fn a_call_that_is_given_up_leaves_nothing(stage: &Stage) {
    let word = format!("5{:08}", std::process::id());
    stage.write("clone/test.sh", &format!("sleep {word}"));
    let (fixer, input) = (stage.fixer(SOON), json!({ "argv": ["pytest"] }));
    stage.runtime.block_on(async {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        let mut call = std::pin::pin!(fixer.call("run", &input));
        while with_word(&word) == 0 {
            tokio::select! {
                output = &mut call => panic!("it ended: {}", output.text),
                _ = look.tick() => {}
            }
        }
    });
    until("something is left", || with_word(&word) == 0);
}

fn what_reads_is_still_there_and_looks_anew(stage: &Stage) {
    let fixer = stage.fixer(SOON);
    let names: Vec<String> = fixer.tool_definitions().into_iter().map(|tool| tool.name).collect();
    assert_eq!(names, ["read", "edit", "write", "run"]);
    let read = || stage.runtime.block_on(fixer.call("read", &json!({}))).text;
    assert_eq!(read(), "called read after 0 changes");
    stage.runtime.block_on(fixer.call("write", &json!({ "path": "new", "content": "" })));
    stage.runtime.block_on(fixer.call("run", &json!({ "argv": ["pytest"] })));
    assert_eq!(read(), "called read after 2 changes");
}

fn has(program: &str) -> bool {
    Path::new("/usr/bin").join(program).exists() || Path::new("/usr/local/bin").join(program).exists()
}
