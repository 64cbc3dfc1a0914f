//! The command `truing policy hook`: a `PreToolUse` hook of Claude Code that judges one tool call by a
//! profile.
//!
//! If a hook fails with an exit code other than 2, Claude Code still executes the call. The hook therefore
//! prints one JSON object and exits with 0 for every judged call. If a call cannot be judged, the hook prints
//! nothing on standard output and exits with 2. See <https://code.claude.com/docs/en/hooks>.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

use globset::GlobBuilder;
use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;
use serde::Deserialize;
use serde_json::{Value, json};
use truing_config::environment::Environment;
use truing_core::glob::check_bounds;
use truing_core::policy::{AgentAction, AgentPolicy, PolicyVerdict, plain_words};
use truing_diff::RepoPath;

use super::ProfileFlag;
use crate::cli::CommandContext;
use crate::cli::error::{CliError, CommandExit};
use crate::wiring;

/// Maximum bytes of a call; calls may contain whole files.
const MAX_CALL_BYTES: u64 = 64 << 20;
/// Hook event whose calls are judged.
const HOOK_EVENT_NAME: &str = "PreToolUse";
/// Tools that affect only the conversation. This hook does not judge such tools, so Claude Code's own
/// permissions apply.
const CONVERSATION_TOOLS: [&str; 11] = [
    "TodoWrite",
    "TaskCreate",
    "TaskGet",
    "TaskList",
    "TaskUpdate",
    "TaskStop",
    "ToolSearch",
    "EnterPlanMode",
    "ExitPlanMode",
    "AskUserQuestion",
    "WaitForMcpServers",
];

#[derive(clap::Args, Debug)]
pub(super) struct PolicyHookArgs {
    /// The profile whose permissions apply
    #[arg(long, value_name = "P", value_enum, default_value = "fixer")]
    profile: ProfileFlag,
    /// The folder of the repository [default: CLAUDE_PROJECT_DIR, else the nearest parent folder that
    /// contains `.git`]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Declare that Claude Code itself runs in a sandbox without network, so that commands may run code of
    /// the repository
    #[arg(long)]
    sandboxed: bool,
}

/// The fields of a call that are judged. Newer versions of Claude Code may send further fields.
#[derive(Deserialize)]
struct HookCall {
    hook_event_name: String,
    cwd: PathBuf,
    tool_name: String,
    tool_input: Value,
}

/// The answer to a call.
enum HookAnswer {
    Allow(String),
    Deny(String),
    /// The hook does not judge the tool, so Claude Code's own permissions apply.
    Abstain,
}

impl PolicyHookArgs {
    pub(super) fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        // Claude Code blocks a call only if the hook exits with 2, so every error is converted to this exit
        // code.
        self.answer_call(context).map_err(|error| CliError { exit: CommandExit::Usage, ..error })
    }

    fn answer_call(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        let wrong = |message: String| CliError::usage("hook", message);
        let mut text = Vec::new();
        let taken = std::io::stdin().lock().take(MAX_CALL_BYTES + 1).read_to_end(&mut text);
        taken.map_err(|error| wrong(format!("standard input cannot be read: {error}")))?;
        if text.len() as u64 > MAX_CALL_BYTES {
            return Err(wrong(format!("the call has more than {MAX_CALL_BYTES} bytes")));
        }
        let call: HookCall = truing_core::json::from_slice(&text)
            .map_err(|error| wrong(format!("standard input is not a call of a PreToolUse hook: {error}")))?;
        if call.hook_event_name != HOOK_EVENT_NAME {
            return Err(wrong(format!("the event {:?} is not {HOOK_EVENT_NAME}", call.hook_event_name)));
        }
        let config = context.config(&[])?;
        let policy = wiring::policy::profile_policy(&config, self.profile.into())?;
        let root = self.repository_root(&call.cwd, &context.environment)?;
        let judge =
            HookCallPolicy { policy: &policy, root: &root, cwd: &call.cwd, is_sandboxed: self.sandboxed };
        let answer = match judge.judge(&call.tool_name, &call.tool_input) {
            HookAnswer::Abstain => json!({}),
            HookAnswer::Allow(reason) => decision_json("allow", &reason),
            HookAnswer::Deny(reason) => decision_json("deny", &reason),
        };
        // Claude Code executes a call without an answer, so it is an error here if no program reads the
        // answer. It is also an error if standard output is closed. Rust replaces a closed standard output by
        // the null device before `main`.
        if is_stdout_null_device().unwrap_or(true) {
            return Err(wrong("standard output is closed or is the null device".to_owned()));
        }
        let mut stdout = std::io::stdout().lock();
        let written = writeln!(stdout, "{answer}").and_then(|()| stdout.flush());
        written.map_err(|error| wrong(format!("the answer cannot be written: {error}")))?;
        Ok(CommandExit::Success)
    }

    /// Returns the folder of the repository, after links are resolved.
    fn repository_root(&self, cwd: &Path, environment: &Environment) -> Result<PathBuf, CliError> {
        let named = self.root.clone().or_else(|| environment.get("CLAUDE_PROJECT_DIR").map(PathBuf::from));
        let above = || cwd.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_owned);
        let root = named.or_else(above).ok_or_else(|| {
            CliError::usage(
                "hook",
                format!("neither {} nor a parent folder of it contains `.git`", cwd.display()),
            )
            .hint("specify the folder of the repository: `--root DIR`")
        })?;
        root.canonicalize()
            .map_err(|error| CliError::usage("hook", format!("{} cannot be opened: {error}", root.display())))
    }
}

/// Returns true if standard output is the null device.
fn is_stdout_null_device() -> std::io::Result<bool> {
    let stdout = File::from(std::io::stdout().as_fd().try_clone_to_owned()?).metadata()?;
    let null = std::fs::metadata("/dev/null")?;
    Ok(stdout.file_type().is_char_device() && stdout.rdev() == null.rdev())
}

fn decision_json(decision: &str, reason: &str) -> Value {
    json!({"hookSpecificOutput": {
        "hookEventName": HOOK_EVENT_NAME,
        "permissionDecision": decision,
        "permissionDecisionReason": format!("truing policy: {reason}"),
    }})
}

/// The policy, and the folders to which the paths of a call refer.
struct HookCallPolicy<'a> {
    policy: &'a AgentPolicy,
    root: &'a Path,
    cwd: &'a Path,
    is_sandboxed: bool,
}

impl HookCallPolicy<'_> {
    fn judge(&self, tool: &str, input: &Value) -> HookAnswer {
        let result = match tool {
            "Bash" => self.judge_command(input),
            "Read" => self.judge_file(input, "file_path", |path| AgentAction::Read(path)),
            "Edit" | "MultiEdit" => self.judge_file(input, "file_path", |path| AgentAction::Edit(path)),
            "Write" => self.judge_file(input, "file_path", |path| AgentAction::Write(path)),
            "NotebookEdit" => self.judge_file(input, "notebook_path", |path| AgentAction::Edit(path)),
            "Glob" | "Grep" | "LS" => self.judge_search(tool, input),
            "Skill" => self.judge_tool("Skill", input, "skill"),
            // Claude Code lists the tool as `Task`, and calls it as `Agent`.
            "Task" | "Agent" => self.judge_tool("Task", input, "subagent_type"),
            _ if CONVERSATION_TOOLS.contains(&tool) => return HookAnswer::Abstain,
            _ => self.judge_mcp_call(tool),
        };
        result.unwrap_or_else(HookAnswer::Deny)
    }

    /// Judges a command line, which Claude Code passes to a shell.
    fn judge_command(&self, input: &Value) -> Result<HookAnswer, String> {
        let command = text_field(input, "command")?;
        if !matches!(input["dangerouslyDisableSandbox"], Value::Null | Value::Bool(false)) {
            return Err("no command may run outside the sandbox of Claude Code".to_owned());
        }
        let words = plain_words(command).map_err(|error| error.to_string())?;
        let cwd = self.working_folder()?;
        // Git treats any folder with certain files as a repository, and runs programs from that folder's
        // configuration. `gh` runs git, and sends its login to the server that this configuration names.
        if let Some(program @ ("git" | "gh")) = words.first().copied()
            && cwd != self.root
        {
            return Err(format!("{program} may run only in the root of the repository"));
        }
        // An ignore file of the repository may include `.git` in what ripgrep searches.
        let ignores_nothing = |word: &&str| matches!(*word, "--no-ignore" | "-u" | "--unrestricted");
        if words.first() == Some(&"rg")
            && !words.iter().any(ignores_nothing)
            && [self.root, &cwd].into_iter().any(searches_git_folder)
        {
            return Err("an ignore file includes the folder `.git`: use `rg --no-ignore`".to_owned());
        }
        // A link in the repository may point to a file outside the repository.
        for word in words.iter().skip(1) {
            let value = word.split_once('=').map_or(*word, |(_, value)| value);
            let Ok(resolved) = cwd.join(value).canonicalize() else { continue };
            match resolved.strip_prefix(self.root) {
                Err(_) => return Err(format!("{value:?} is a path outside of the repository")),
                Ok(inner) if is_in_git_folder(inner) => {
                    return Err(format!("{value:?} is a path in the folder `.git`"));
                }
                Ok(_) => {}
            }
        }
        self.answer_sandboxed("the command runs", self.policy.judge(AgentAction::Run(&words)))
    }

    /// Judges a skill or a subagent by the name in `field`.
    fn judge_tool(&self, tool: &str, input: &Value, field: &str) -> Result<HookAnswer, String> {
        let name = format!("{tool}/{}", text_field(input, field)?);
        self.answer_sandboxed("a skill or subagent may run", self.policy.judge(AgentAction::Tool(&name)))
    }

    /// Returns the answer for a verdict, and denies code of the repository outside of a sandbox. `does` is
    /// the beginning of the reason.
    fn answer_sandboxed(&self, does: &str, verdict: PolicyVerdict) -> Result<HookAnswer, String> {
        match verdict {
            PolicyVerdict::Allow { rules: _, runs_code: true } if !self.is_sandboxed => Err(format!(
                "{does} code of the repository, and this hook cannot detect a sandbox: `--sandboxed` \
                declares that all of Claude Code runs in a sandbox"
            )),
            PolicyVerdict::Allow { .. } | PolicyVerdict::Deny { .. } => Ok(hook_answer(verdict)),
        }
    }

    /// Returns the working folder of a command, after links are resolved.
    fn working_folder(&self) -> Result<PathBuf, String> {
        let opened = self.cwd.canonicalize();
        let cwd = opened.map_err(|error| format!("the working folder cannot be opened: {error}"))?;
        let outside = "commands may run only in a folder of the repository";
        let inner = cwd.strip_prefix(self.root).map_err(|_| outside.to_owned())?;
        let is_root = inner.as_os_str().is_empty();
        let inner = inner.to_str().ok_or("the path of the working folder is not UTF-8")?;
        // The `.git` folder is not part of the working tree, and a file cannot be a working folder.
        if !self.cwd.is_absolute()
            || !cwd.is_dir()
            || !is_root && !RepoPath::from_bytes(inner).is_safe_to_write()
        {
            return Err(outside.to_owned());
        }
        Ok(cwd)
    }

    /// Judges a call that reads or changes a file.
    fn judge_file(
        &self,
        input: &Value,
        field: &str,
        action: fn(&str) -> AgentAction<'_>,
    ) -> Result<HookAnswer, String> {
        let named = text_field(input, field)?;
        let (path, has_link) = self.resolve_relative(named)?;
        let path = path.to_str().ok_or_else(|| format!("{named:?} is not UTF-8"))?;
        match action(path) {
            AgentAction::Edit(_) | AgentAction::Write(_) if has_link => {
                Err(format!("the path {named:?} contains a symbolic link"))
            }
            action @ (AgentAction::Run(_)
            | AgentAction::Read(_)
            | AgentAction::Edit(_)
            | AgentAction::Write(_)
            | AgentAction::Mcp(_)
            | AgentAction::Tool(_)) => Ok(hook_answer(self.policy.judge(action))),
        }
    }

    /// Judges a search in a folder. The search is allowed if the profile may read a file with any name in the
    /// folder.
    fn judge_search(&self, tool: &str, input: &Value) -> Result<HookAnswer, String> {
        for field in ["pattern", "glob"] {
            // In a call of Grep, `pattern` matches text, not paths.
            let is_path = (tool, field) != ("Grep", "pattern");
            let pattern = optional_text_field(input, field)?;
            if is_path
                && pattern.is_some_and(|pattern| !is_plain_path(pattern) || pattern.contains(['{', '!']))
            {
                return Err(format!(
                    "the pattern of `{tool}` must not begin with `~`, begin or end with \
                    white space, or contain `{{` or `!`"
                ));
            }
            if let Some(part) = pattern
                .filter(|_| is_path)
                .and_then(|pattern| pattern.split('/').find(|part| may_match_parent_folder(part)))
            {
                return Err(format!("the pattern of `{tool}` may match `..`: {part:?}"));
            }
            let pattern = pattern.filter(|_| is_path).map(Path::new);
            if pattern.is_some_and(|pattern| {
                pattern.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
            }) {
                return Err(format!("the pattern of `{tool}` is absolute or contains `..`"));
            }
        }
        let named = optional_text_field(input, "path")?.map_or_else(|| self.cwd.to_owned(), PathBuf::from);
        let (path, _) =
            self.resolve_relative(named.to_str().ok_or("the path of the folder is not UTF-8")?)?;
        for field in ["pattern", "glob"].into_iter().filter(|field| (tool, *field) != ("Grep", "pattern")) {
            if let Some(pattern) = optional_text_field(input, field)? {
                self.judge_file_pattern(&named, &path, pattern)?;
            }
        }
        let is_file = self.root.join(&path).is_file();
        let inner = if is_file { path } else { path.join("any") };
        let inner = inner.to_str().ok_or("the path of the folder is not UTF-8")?;
        Ok(hook_answer(self.policy.judge(AgentAction::Read(inner))))
    }

    /// Judges a pattern of files. `named` is the folder as the call names it, and `path` is the same folder
    /// without links. Claude Code searches in the folder that a pattern begins with, also if this folder is a
    /// link. It excludes `.git` before it applies the pattern, so a pattern that matches `.git` includes it
    /// again.
    fn judge_file_pattern(&self, named: &Path, path: &Path, pattern: &str) -> Result<(), String> {
        let is_wildcard = |part: &&str| part.contains(['*', '?', '[', '\\']);
        let prefix: PathBuf = pattern.split('/').take_while(|part| !is_wildcard(part)).collect();
        let searched = named.join(&prefix);
        let searched = searched.to_str().ok_or("the path of the folder is not UTF-8")?;
        let (start, _) = self.resolve_relative(searched)?;
        if start != path.join(&prefix).components().collect::<PathBuf>() {
            return Err(format!("the pattern {pattern:?} leads through a symbolic link"));
        }
        let mut git_folders = vec![self.root.join(".git"), self.root.join(path).join(".git")];
        git_folders.push(self.root.join(&start).join(".git"));
        git_folders.retain(|folder| folder.starts_with(self.root.join(path)));
        for base in [self.root, self.cwd, &self.root.join(path)] {
            let mut patterns = OverrideBuilder::new(base);
            let patterns = patterns.add("!.git").and_then(|patterns| patterns.add(pattern));
            let patterns = patterns.and_then(|patterns| patterns.build());
            let patterns =
                patterns.map_err(|error| format!("the pattern {pattern:?} is not valid: {error}"))?;
            let own_pattern = OverrideBuilder::new(base).add(pattern).and_then(|patterns| patterns.build());
            let own_pattern =
                own_pattern.map_err(|error| format!("the pattern {pattern:?} is not valid: {error}"))?;
            let includes_folder =
                git_folders.iter().any(|folder| patterns.matched(folder, true).is_whitelist());
            // Not every version of Claude Code excludes `.git` before it applies the pattern.
            let includes_file = git_folders.iter().any(|folder| {
                files_of_git_folder(folder).any(|file| own_pattern.matched(file, false).is_whitelist())
            });
            if includes_folder || includes_file {
                return Err(format!(
                    "the pattern {pattern:?} includes the folder `.git`: name the files, such as `*.py`"
                ));
            }
        }
        if is_in_git_folder(Path::new(pattern)) || is_in_git_folder(&start) {
            return Err(format!("the pattern {pattern:?} leads into the folder `.git`"));
        }
        Ok(())
    }

    /// Judges a call of an MCP server's tool.
    fn judge_mcp_call(&self, tool: &str) -> Result<HookAnswer, String> {
        let parts: Vec<&str> = tool.strip_prefix("mcp__").unwrap_or_default().split("__").collect();
        match parts.as_slice() {
            [server, name] if !server.is_empty() && !name.is_empty() => {
                Ok(hook_answer(self.policy.judge(AgentAction::Mcp(&format!("{server}/{name}")))))
            }
            _ => Err(format!("no rule can allow the tool {tool:?}")),
        }
    }

    /// Resolves a name to a path relative to the root of the repository. The boolean is true if the path
    /// leads through a link.
    fn resolve_relative(&self, named_path: &str) -> Result<(PathBuf, bool), String> {
        if !is_plain_path(named_path) {
            return Err(format!(
                "the path {named_path:?} begins with `~`, or begins or ends with white space"
            ));
        }
        let whole = self.cwd.join(named_path);
        if whole.components().any(|part| part == Component::ParentDir) {
            return Err(format!("{named_path:?} contains `..`"));
        }
        // The longest existing part of the path is resolved. The rest of the path does not exist yet.
        let mut rest = Vec::new();
        let mut there = whole.as_path();
        let resolved = loop {
            match there.canonicalize() {
                Ok(resolved) => break resolved,
                // The path is a link to a missing file.
                Err(_) if there.symlink_metadata().is_ok() => {
                    return Err(format!("the path {named_path:?} contains a symbolic link"));
                }
                Err(error) => {
                    let (Some(above), Some(name)) = (there.parent(), there.file_name()) else {
                        return Err(format!("{named_path:?} cannot be found: {error}"));
                    };
                    rest.push(name);
                    there = above;
                }
            }
        };
        let resolved: PathBuf = std::iter::once(resolved.as_os_str()).chain(rest.into_iter().rev()).collect();
        let outside = || format!("{named_path:?} is outside of the repository");
        let path = resolved.strip_prefix(self.root).map_err(|_| outside())?.to_owned();
        if is_in_git_folder(&path) {
            return Err(format!("{named_path:?} leads into the folder `.git`"));
        }
        // A link above the root of the repository is not part of the path, so it does not count.
        let is_root = |folder: &&Path| folder.canonicalize().is_ok_and(|folder| folder == self.root);
        let top = whole.ancestors().filter(is_root).last();
        let has_link = top.and_then(|top| whole.strip_prefix(top).ok()) != Some(path.as_path());
        Ok((path, has_link))
    }
}

/// Returns true if a component of a pattern may match `.` or `..`. A wildcard at the beginning matches
/// neither, because programs let it match no entry that begins with a dot.
fn may_match_parent_folder(component: &str) -> bool {
    let has_wildcards = component.contains(['*', '?']);
    let has_only_wildcards = !component.contains(['[', '\\', '(']);
    if has_only_wildcards && (!has_wildcards || component.starts_with(['*', '?'])) {
        return false;
    }
    if check_bounds(component).is_err() {
        return true;
    }
    let simplified = without_extended_groups(component);
    let glob = GlobBuilder::new(&simplified).literal_separator(true).empty_alternates(true).build();
    glob.map_or(true, |glob| {
        let glob = glob.compile_matcher();
        [".", ".."].iter().any(|folder| glob.is_match(folder))
    })
}

/// Replaces each extended group, such as `+(a|b)`, with a simple pattern that matches each text of dots that
/// the group matches.
fn without_extended_groups(component: &str) -> String {
    let mut simplified = String::new();
    let mut letters = component.chars().peekable();
    while let Some(letter) = letters.next() {
        if !"?*+@!".contains(letter) || letters.peek() != Some(&'(') {
            simplified.push(letter);
            continue;
        }
        let mut group = String::new();
        let mut depth = 0_usize;
        for inner in letters.by_ref() {
            group.push(inner);
            match inner {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        let may_be_dots = letter == '!' || group.contains(['.', '*', '?', '[', '\\', '!']);
        let may_be_empty =
            "?*".contains(letter) || ["()", "(|", "||", "|)"].iter().any(|edge| group.contains(edge));
        simplified += match (may_be_dots, may_be_empty) {
            (true, _) => "{,.,..}",
            (false, true) => "{,x}",
            (false, false) => "x",
        };
    }
    simplified
}

/// Returns true if ripgrep searches `.git` in this folder. The walk is ripgrep's own.
fn searches_git_folder(folder: &Path) -> bool {
    let mut walk = WalkBuilder::new(folder);
    walk.max_depth(Some(1)).add_custom_ignore_filename(".rgignore");
    walk.build().flatten().any(|entry| entry.file_name() == ".git")
}

/// Maximum number of files of a `.git` folder that are compared with a pattern.
const MAX_GIT_FILES: usize = 20_000;

/// Returns the files of a `.git` folder, except objects, whose names are digests. The files directly in the
/// folder, such as `config`, come first.
fn files_of_git_folder(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let mut walk = WalkBuilder::new(folder);
    walk.standard_filters(false).filter_entry(|entry| entry.file_name() != "objects");
    let all_files = walk.build();
    let direct_files = walk.max_depth(Some(1)).build();
    direct_files.chain(all_files).flatten().map(ignore::DirEntry::into_path).take(MAX_GIT_FILES)
}

/// Returns true for a path in a folder of git's own data, which may contain credentials.
fn is_in_git_folder(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().eq_ignore_ascii_case(".git"))
}

fn text_field<'a>(input: &'a Value, field: &str) -> Result<&'a str, String> {
    input[field].as_str().ok_or_else(|| format!("the call has no `{field}`"))
}

/// Returns the text of an optional field.
fn optional_text_field<'a>(input: &'a Value, field: &str) -> Result<Option<&'a str>, String> {
    match &input[field] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(format!("`{field}` of the call is not a string"))
        }
    }
}

/// Returns true if a path does not begin with `~`, and has no blanks at its ends. A tool could expand `~` or
/// remove blanks.
fn is_plain_path(path: &str) -> bool {
    let is_blank = |letter: char| letter.is_whitespace() || letter == '\u{feff}';
    !path.starts_with('~') && !path.starts_with(is_blank) && !path.ends_with(is_blank)
}

fn hook_answer(verdict: PolicyVerdict) -> HookAnswer {
    match verdict {
        PolicyVerdict::Allow { rules, runs_code: _ } => {
            HookAnswer::Allow(rules.iter().map(|rule| rule.text.as_str()).collect::<Vec<_>>().join(", "))
        }
        PolicyVerdict::Deny { rule: Some(rule), reason } => HookAnswer::Deny(format!(
            "{reason}; the rule that would allow the call: {} ({})",
            rule.text, rule.file
        )),
        PolicyVerdict::Deny { rule: None, reason } => {
            HookAnswer::Deny(format!("{reason}; no rule can allow the call"))
        }
    }
}
