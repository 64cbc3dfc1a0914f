//! Runs a workflow of GitHub Actions from `examples/ci` against the fake forge. The token of the job has the
//! permissions that the workflow names, and the fake forge refuses every other call. Steps run in `bash`.
//! The cached folders, checkouts and conditions that the examples use are supported; anything else fails the
//! test.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use truing_fakes::forge::{FakeForge, FakeRepo, TokenKind};

use crate::support::home::Ran;
use crate::support::readme::repository_root;

/// Account that writes with the token of a job.
pub(crate) const ACTIONS_BOT: &str = "github-actions[bot]";
/// Token of a job, which must not occur in any output.
const JOB_TOKEN: &str = "workflow-token-canary";
/// Places the built program where `cargo install --root` would place it.
const CARGO: &str = "#!/bin/sh\nset -eu\ncase \"$*\" in\n  '+stable install --git https://github.com/truing/truing \
                     --rev 0000000000000000000000000000000000000000 --locked --root '*' truing') ;;\n  *) exit 9 ;;\n\
                     esac\nmkdir -p \"$9/bin\"\nln -s TRUING \"$9/bin/truing\"\n";

/// An event that starts a workflow.
#[derive(Clone)]
pub(crate) struct WorkflowEvent {
    pub(crate) name: &'static str,
    /// Content of `github.event`.
    pub(crate) payload: Value,
}

/// A repository with a workflow, and the machines on which its jobs run. Each job has an empty machine; only
/// the caches stay.
pub(crate) struct WorkflowRunner<'a> {
    forge: &'a FakeForge,
    repo: &'a FakeRepo,
    workflow: Value,
    /// Contains the caches and the machines.
    folder: TempDir,
    secrets: Map<String, Value>,
    /// Variables that lead to servers on loopback in place of the public ones.
    variables: Vec<(String, String)>,
    run_count: u32,
}

impl<'a> WorkflowRunner<'a> {
    /// Reads the workflow `examples/ci/NAME`.
    pub(crate) fn new(forge: &'a FakeForge, repo: &'a FakeRepo, name: &str) -> Self {
        let text = std::fs::read_to_string(repository_root().join("examples/ci").join(name)).unwrap();
        let workflow: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(workflow["permissions"], json!({}), "only the job has permissions");
        assert_pinned(&text);
        let url = forge.base_url().to_owned();
        let variables =
            [("TRUING_FORGE__GITHUB__API_URL", url.clone()), ("TRUING_FORGE__GITHUB__GIT_URL", url)];
        let secrets = json!({ "TRUING_MARKER_KEY": "6d".repeat(32) }).as_object().unwrap().clone();
        Self {
            forge,
            repo,
            workflow,
            folder: tempfile::tempdir().unwrap(),
            secrets,
            variables: variables.map(|(name, value)| (name.to_owned(), value)).into(),
            run_count: 0,
        }
    }

    pub(crate) fn with_secret(mut self, name: &str, value: &str) -> Self {
        self.secrets.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn with_variables(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Returns the permissions of the only job, by the names that the API has for them.
    pub(crate) fn permissions(&self) -> BTreeMap<String, String> {
        let permissions = self.job()["permissions"].as_object().unwrap().iter();
        permissions
            .map(|(name, level)| (name.replace('-', "_"), level.as_str().unwrap().to_owned()))
            .collect()
    }

    fn job(&self) -> &Value {
        let jobs = self.workflow["jobs"].as_object().unwrap();
        assert_eq!(jobs.len(), 1);
        jobs.values().next().unwrap()
    }

    /// Deletes the records that earlier runs have put into a cache. The cached program stays.
    pub(crate) fn lose_records(&self) {
        for entry in std::fs::read_dir(self.folder.path().join("caches")).unwrap() {
            let path = entry.unwrap().path();
            if !path.file_name().unwrap().to_str().unwrap().starts_with("truing-program-") {
                std::fs::remove_dir_all(path).unwrap();
            }
        }
    }

    /// Runs the workflow with the permissions that it names. Returns `None` if the event does not start the
    /// job.
    pub(crate) async fn run(&mut self, event: &WorkflowEvent) -> Option<Ran> {
        let permissions = self.permissions();
        self.run_with(event, &permissions).await
    }

    /// Runs the workflow with these permissions. Returns the exit code of the job, and the output of its
    /// steps.
    pub(crate) async fn run_with(
        &mut self,
        event: &WorkflowEvent,
        permissions: &BTreeMap<String, String>,
    ) -> Option<Ran> {
        self.run_count += 1;
        let repository = self.repo.full_name().to_owned();
        let is_fork = event.payload["pull_request"]["head"]["repo"]["full_name"]
            .as_str()
            .is_some_and(|head| head != repository);
        let mut granted = permissions.clone();
        granted.insert("metadata".to_owned(), "read".to_owned());
        let mut secrets = self.secrets.clone();
        if is_fork {
            // GitHub's rule for the event `pull_request` of a fork.
            secrets.clear();
            granted.values_mut().for_each(|level| "read".clone_into(level));
        }
        let listed: Vec<_> = granted.iter().map(|(name, level)| (name.as_str(), level.as_str())).collect();
        let owner = repository.split('/').next().unwrap();
        self.forge.register_limited_token(JOB_TOKEN, TokenKind::Actions, ACTIONS_BOT, owner, &listed);

        let trigger = &self.workflow["on"][event.name];
        let types = trigger["types"].as_array();
        let starts = self.workflow["on"].as_object().unwrap().contains_key(event.name)
            && types.is_none_or(|types| types.contains(&event.payload["action"]));
        let machine = self.folder.path().join(format!("machine-{}", self.run_count));
        let context = json!({
            "github": {
                "event": event.payload, "repository": repository, "token": JOB_TOKEN, "run_id": self.run_count,
            },
            "secrets": secrets,
            "steps": {},
            "env": {},
        });
        let mut job = Job {
            machine,
            caches: self.folder.path().join("caches"),
            git_dir: self.repo.dir().await.unwrap(),
            may_fetch: granted.contains_key("contents"),
            is_for_pull: event.name == "pull_request",
            context,
            variables: self.variables.clone(),
            failed: false,
            output: String::new(),
        };
        let definition = self.job().clone();
        if !starts || !job.holds(&definition["if"]) {
            return None;
        }
        let ran = tokio::task::spawn_blocking(move || {
            job.run(&definition);
            Ran { exit: job.failed.into(), out: job.output, err: String::new() }
        });
        let ran = ran.await.unwrap();
        assert!(!ran.out.contains(JOB_TOKEN), "the token is told");
        Some(ran)
    }
}

/// Returns the paths of refused calls. No token of a job may read its own account: Truing then asks in another
/// way.
pub(crate) fn refused_paths(forge: &FakeForge) -> Vec<String> {
    let refused = forge.request_log().into_iter().filter(|call| call.status == Some(403));
    refused.map(|call| call.path).filter(|path| path != "/user").collect()
}

/// Checks that each action is pinned by a commit, and that no checkout leaves the token in the clone.
pub(crate) fn assert_pinned(text: &str) {
    let count = |part: &str| text.matches(part).count();
    assert_eq!(count("uses: actions/checkout@"), count("persist-credentials: false"), "{text}");
    for (_, uses) in text.lines().filter_map(|line| line.split_once(" uses: ")) {
        let (_, pin) = uses.split_once('@').unwrap();
        let commit = pin.split(' ').next().unwrap();
        assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{uses}");
    }
}

/// A job on its machine.
struct Job {
    machine: PathBuf,
    caches: PathBuf,
    git_dir: PathBuf,
    may_fetch: bool,
    is_for_pull: bool,
    context: Value,
    variables: Vec<(String, String)>,
    failed: bool,
    output: String,
}

impl Job {
    fn run(&mut self, definition: &Value) {
        for folder in ["home", "work", "temp", "programs"] {
            std::fs::create_dir_all(self.machine.join(folder)).unwrap();
        }
        let cargo = CARGO.replace("TRUING", env!("CARGO_BIN_EXE_truing"));
        for (name, script) in [("cargo", cargo.as_str()), ("rustup", "#!/bin/sh\n")] {
            let program = self.machine.join("programs").join(name);
            std::fs::write(&program, script).unwrap();
            std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        for (name, value) in definition["env"].as_object().unwrap() {
            let value = self.expand(value.as_str().unwrap());
            self.context["env"][name] = value.into();
        }
        for step in definition["steps"].as_array().unwrap() {
            let condition = step["if"].as_str().unwrap_or_default();
            if self.failed && !condition.contains("always()") || !self.holds(&step["if"]) {
                continue;
            }
            if let Some(script) = step["run"].as_str() {
                self.run_script(script, &step["env"]);
                continue;
            }
            let action = step["uses"].as_str().unwrap().split('@').next().unwrap();
            let inputs = &step["with"];
            match action {
                "actions/checkout" => self.check_out(inputs),
                "actions/cache/restore" => {
                    let is_exact = self.restore_cache(inputs);
                    if let Some(id) = step["id"].as_str() {
                        self.context["steps"][id] =
                            json!({ "outputs": { "cache-hit": is_exact.to_string() } });
                    }
                }
                "actions/cache/save" => self.save_cache(inputs),
                other => panic!("no action {other}"),
            }
        }
    }

    /// Runs a script with the variables of the job and of its step.
    fn run_script(&mut self, script: &str, step_variables: &Value) {
        let script = self.expand(script);
        let at = |name: &str| self.machine.join(name);
        let added = std::fs::read_to_string(at("path")).unwrap_or_default();
        let own = at("programs").display().to_string();
        let path = added.lines().rev().chain([own.as_str(), "/usr/local/bin", "/usr/bin", "/bin"]);
        let path = path.collect::<Vec<_>>().join(":");
        let mut shell = Command::new("bash");
        shell.args(["-e", "-c", &script]).current_dir(at("work")).env_clear();
        shell.env("HOME", at("home")).env("RUNNER_TEMP", at("temp")).env("PATH", path);
        shell.env("GITHUB_PATH", at("path")).env("GITHUB_STEP_SUMMARY", at("summary.md"));
        shell.envs(self.variables.iter().map(|(name, value)| (name, value)));
        for variables in [&self.context["env"], step_variables] {
            for (name, value) in variables.as_object().into_iter().flatten() {
                shell.env(name, self.expand(value.as_str().unwrap()));
            }
        }
        let output = shell.output().unwrap();
        self.failed |= !output.status.success();
        for bytes in [output.stdout, output.stderr] {
            self.output += &String::from_utf8(bytes).unwrap();
        }
    }

    /// Clones the repository. A workflow for pull requests must not check out their code.
    fn check_out(&mut self, inputs: &Value) {
        assert_eq!(inputs["persist-credentials"], false);
        let commit = inputs["ref"].as_str().map(|commit| self.expand(commit));
        let base = &self.context["github"]["event"]["pull_request"]["base"]["sha"];
        assert!(!self.is_for_pull || commit.as_deref() == base.as_str());
        if !self.may_fetch {
            self.failed = true;
            return;
        }
        let work = self.machine.join("work");
        let mut git = truing_fakes::repo::git_command(&self.machine);
        git.args(["clone", "--quiet"]).arg(&self.git_dir).arg(&work);
        assert!(git.status().unwrap().success());
        if let Some(commit) = commit {
            let mut git = truing_fakes::repo::git_command(&work);
            git.args(["checkout", "--quiet", "--detach", &commit]);
            assert!(git.status().unwrap().success());
        }
    }

    /// Returns the folder on the machine that a cache contains.
    fn cached_folder(&self, inputs: &Value) -> PathBuf {
        let path = inputs["path"].as_str().unwrap();
        match path.strip_prefix("~/") {
            Some(path) => self.machine.join("home").join(path),
            None => self.machine.join("work").join(path),
        }
    }

    /// Restores the newest cache that fits. Returns true if its key is the exact one.
    fn restore_cache(&self, inputs: &Value) -> bool {
        let key = self.expand(inputs["key"].as_str().unwrap());
        let exact = self.caches.join(&key);
        if exact.exists() {
            copy_folder(&exact, &self.cached_folder(inputs));
            return true;
        }
        let Some(prefix) = inputs["restore-keys"].as_str() else { return false };
        let entries = std::fs::read_dir(&self.caches).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        if let Some(newest) = names.filter(|name| name.starts_with(prefix)).max() {
            copy_folder(&self.caches.join(newest), &self.cached_folder(inputs));
        }
        false
    }

    fn save_cache(&self, inputs: &Value) {
        let folder = self.cached_folder(inputs);
        if folder.exists() {
            copy_folder(&folder, &self.caches.join(self.expand(inputs["key"].as_str().unwrap())));
        }
    }

    /// Replaces each `${{ … }}` with its value.
    fn expand(&self, text: &str) -> String {
        let mut parts = text.split("${{");
        let mut expanded = parts.next().unwrap().to_owned();
        for part in parts {
            let (expression, rest) = part.split_once("}}").unwrap();
            expanded += &as_text(&self.value(expression));
            expanded += rest;
        }
        expanded
    }

    /// Returns true if the condition holds, or if there is none.
    fn holds(&self, condition: &Value) -> bool {
        let Some(condition) = condition.as_str() else { return true };
        condition.split("&&").all(|term| {
            if let Some((left, right)) = term.split_once("==") {
                return self.value(left) == self.value(right);
            }
            if let Some((left, right)) = term.split_once("!=") {
                return self.value(left) != self.value(right);
            }
            assert_eq!(term.trim(), "always()");
            true
        })
    }

    /// Returns the value of a literal or of a path in the context.
    fn value(&self, expression: &str) -> Value {
        let expression = expression.trim();
        if let Some(text) = expression.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
            return text.into();
        }
        expression.split('.').fold(self.context.clone(), |value, part| value[part].clone())
    }
}

/// Returns the text that GitHub puts in the place of an expression. A missing value is empty.
fn as_text(value: &Value) -> String {
    if value.is_null() {
        return String::new();
    }
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    let mut copy = Command::new("cp");
    copy.args(["-a", "-T"]).arg(from).arg(to);
    assert!(copy.status().unwrap().success());
}

/// Returns the event of a pull request. `head` is the full name of the repository of its head.
pub(crate) async fn pull_event(repo: &FakeRepo, number: u64, action: &str, head: &str) -> WorkflowEvent {
    let pull = repo.pull(number).await.unwrap();
    let payload = json!({
        "action": action,
        "number": number,
        "label": { "name": "truing:converge" },
        "pull_request": {
            "head": { "sha": pull.head, "repo": { "full_name": head } },
            "base": { "sha": pull.base },
        },
    });
    WorkflowEvent { name: "pull_request", payload }
}

/// Returns the permissions of a workflow without one of them. A permission to write is reduced to reading,
/// too.
pub(crate) fn lesser_permissions(permissions: &BTreeMap<String, String>) -> Vec<BTreeMap<String, String>> {
    let mut all = Vec::new();
    for (name, level) in permissions {
        let mut without = permissions.clone();
        without.remove(name);
        all.push(without);
        if level == "write" {
            let mut reading = permissions.clone();
            reading.insert(name.clone(), "read".to_owned());
            all.push(reading);
        }
    }
    all
}
