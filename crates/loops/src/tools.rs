//! Linters that a review runs on the files that it looks at: those that the repository uses and that are installed, and
//! those that are configured.
//!
//! Each runs in the sandbox, without a network, on files that it may only read, and is told of changed files alone where it
//! allows that. The reader's process reads what it prints, as it reads an output of `--from` (docs/adr/0090).

mod base;
mod baseline;
mod modules;
mod select;
mod signs;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use truing_agent::installed::{Installed, Machine};
use truing_agent::looking::Looking;
use truing_agent::sandbox::Level;
use truing_agent::verify::{INSIDE, Printout, Scope as Trust, SetUp, Verifier, decides_set_up};
use truing_config::tool::{ToolConfig, ToolScope, Tools, When};
use truing_core::finding::RawFinding;
use truing_core::identity::Placed;
use truing_core::line::clean;
use truing_core::outcome::ToolRun;
use truing_core::port::{ChangedFile, Reader, ReaderError, ToolOutput, ToolRequest};
use truing_core::verification::End;
use truing_diff::{FileDiff, RepoPath};
use truing_reader::output::known::{FILES, Fetched, Stream, arguments};
use truing_reader::output::tool_name;

use crate::said::cause;
pub use base::Base;
use modules::Modules;
pub use select::{Selected, select};
use signs::used;

/// The most bytes of files' names that a program is given at once. The sandbox's helper is told all in one argument, of which the system
/// takes 128 KiB.
const MAX_NAMES_BYTES: usize = 40_000;
/// The most linters of a review.
const MAX_TOOLS: usize = 50;
/// The most characters of a reason.
const MAX_REASON: usize = 600;

/// The linters that the configuration wants.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Are any run?
    pub tools: Tools,
    /// Those that it names itself.
    pub configured: Vec<ToolConfig>,
}

impl Wanted {
    /// Are any run?
    pub fn any(&self) -> bool {
        match self.tools {
            Tools::Off => false,
            Tools::Auto => true,
        }
    }
}

/// The linters of this machine, and outputs that were given.
#[derive(Clone, Debug, Default)]
pub struct Toolbox {
    /// Outputs of tools that ran on the head.
    pub given: Vec<ToolOutput>,
    /// The runs of those that are wanted; none: they are not run here.
    pub running: Option<Running>,
}

impl Toolbox {
    /// Are there linters to run?
    pub fn run_any(&self, wanted: &Wanted) -> bool {
        self.running.is_some() && wanted.any()
    }
}

/// The way in which linters are run.
#[derive(Clone, Debug)]
pub struct Running {
    /// The machine's programs.
    pub machine: Machine,
    /// The strength of its sandbox.
    pub level: Level,
    /// The folders that variables name, of [`Fetched::variable`].
    pub folders: BTreeMap<String, PathBuf>,
    /// The virtual environment of Python that is active.
    pub environment: Option<PathBuf>,
    /// Are the files somebody else's? Then no program that they bring along runs, and no linter with code for its configuration if
    /// the change touches that.
    pub is_served: bool,
    /// Sets up the project's dependencies, for linters that need them.
    pub verifier: Option<Verifier>,
}

/// The files that linters look at.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The folder that holds them.
    pub tree: &'a Path,
    /// The folder in which their owner has installed programs for them; none: nobody has.
    pub project: Option<&'a Path>,
    /// Those that changed and are there.
    pub changed: &'a [ChangedFile],
    /// Every path that the change names, also of files that are not reviewed.
    pub touched: &'a [RepoPath],
    /// Whose set-ups may be used.
    pub trust: Option<&'a Trust>,
}

/// The linters of a review, and what they may use.
#[derive(Clone, Copy, Debug)]
pub struct Tooling<'a> {
    /// Those of the machine, and outputs.
    pub toolbox: &'a Toolbox,
    /// As [`Files::project`].
    pub project: Option<&'a Path>,
    /// As [`Files::trust`].
    pub trust: Option<&'a Trust>,
    /// The base, where they look, too, if they found something.
    pub base: Base<'a>,
}

impl Tooling<'_> {
    /// Outputs that were given, and those of the linters that are wanted.
    ///
    /// # Errors
    /// As [`Running::look`].
    pub async fn look<R: Reader>(
        self,
        tree: &Path,
        (changed, touched): (&[ChangedFile], &[RepoPath]),
        wanted: &Wanted,
        reader: &R,
    ) -> Result<Looked, ReaderError> {
        let Self { toolbox, project, trust, base: _ } = self;
        let files = Files { tree, project, changed, touched, trust };
        let mut looked = match &toolbox.running {
            Some(running) => running.look(files, wanted, reader, None).await?,
            None => Looked::default(),
        };
        looked.outputs.splice(0..0, toolbox.given.iter().cloned());
        Ok(looked)
    }

    /// The findings of linters on these files, as they are now.
    ///
    /// # Errors
    /// [`ReaderError`]
    pub async fn findings<R: Reader>(
        self,
        tree: &Path,
        changed: &[ChangedFile],
        wanted: &Wanted,
        reader: &R,
    ) -> Result<Vec<RawFinding>, ReaderError> {
        let looked = self.look(tree, (changed, &[]), wanted, reader).await?;
        read_all(looked.outputs, (tree, changed), reader).await
    }

    /// Takes those of the findings of linters that the base had already. `changes`: the sections of the diff. A linter that fails on the
    /// base has nothing old.
    ///
    /// # Errors
    /// [`ReaderError`]
    pub async fn take_old<R: Reader>(
        self,
        (found, runs): (&mut Vec<Placed>, &mut [ToolRun]),
        changes: &[FileDiff<'_>],
        wanted: &Wanted,
        reader: &R,
    ) -> Result<(), ReaderError> {
        let Self { toolbox, project, trust, base } = self;
        let Some(running) = toolbox.running.as_ref().filter(|_| wanted.any()) else { return Ok(()) };
        let only = baseline::found_by(found);
        let everywhere = wanted.configured.iter().any(|tool| tool.scope == ToolScope::Files);
        let removed = baseline::removed(changes, everywhere);
        if only.is_empty() || removed.is_empty() {
            return Ok(());
        }
        let Some(folder) = base.laid_out().await else { return Ok(()) };
        let tree = folder.path();
        let files = Files { tree, project, changed: &removed, touched: &[], trust };
        let mut outputs = running.look(files, wanted, reader, Some(&only)).await?.outputs;
        outputs.retain(|output| output.failed.is_none());
        baseline::take_old(found, &read_all(outputs, (tree, &removed), reader).await?);
        for run in runs {
            let told = found.iter().filter(|placed| placed.raw.tool() == Some(&run.name)).count();
            run.findings = u32::try_from(told).unwrap_or(u32::MAX);
        }
        Ok(())
    }
}

/// The findings of outputs.
async fn read_all<R: Reader>(
    outputs: Vec<ToolOutput>,
    (tree, changed): (&Path, &[ChangedFile]),
    reader: &R,
) -> Result<Vec<RawFinding>, ReaderError> {
    let mut found = Vec::new();
    for output in outputs {
        let (tree, files) = (tree.to_owned(), changed.to_vec());
        found.extend(reader.tool_findings(&ToolRequest { tree, files, output }).await?.findings);
    }
    Ok(found)
}

/// The result of running linters.
#[derive(Debug, Default)]
pub struct Looked {
    /// Their outputs, to be read.
    pub outputs: Vec<ToolOutput>,
    /// Those that did not run though the repository uses them.
    pub skipped: Vec<ToolRun>,
}

/// A linter that is ready to run.
struct Ready<'a> {
    tool: &'a Selected,
    files: Vec<&'a str>,
    by: By<'a>,
}

/// A way to run a linter.
enum By<'a> {
    /// As a program of the machine.
    Machine(Installed),
    /// As a program that the project's set-up or the system has, on a copy of the files with that set-up.
    SetUp(&'a Verifier, &'a SetUp),
}

impl Running {
    /// Runs all that are wanted, some at once; `only`: those of these names.
    ///
    /// # Errors
    /// [`ReaderError`], if nobody can tell which tools the repository uses. A tool that fails is no error: its output says so.
    pub async fn look<R: Reader>(
        &self,
        files: Files<'_>,
        wanted: &Wanted,
        reader: &R,
        only: Option<&BTreeSet<String>>,
    ) -> Result<Looked, ReaderError> {
        let mut looked = Looked::default();
        if !wanted.any() {
            return Ok(looked);
        }
        let used = used(files.tree, files.changed.iter().map(|file| &file.path), reader).await?;
        let mut selected = select(&used, &wanted.configured);
        selected.retain(|tool| only.is_none_or(|only| only.contains(&tool_name(&tool.name))));
        let set_up = self.set_up(&selected, files).await;
        let mut ready = Vec::new();
        for tool in &selected {
            let names = changed(tool, files.changed);
            if tool.when == When::Changed && names.is_empty() {
                continue;
            }
            if ready.len() >= MAX_TOOLS {
                looked.outputs.push(failed(tool, &format!("more than {MAX_TOOLS} linters are not run")));
                continue;
            }
            match self.ready(tool, files, set_up.as_ref()) {
                Ok(by) => ready.push(Ready { tool, files: names, by }),
                Err(reason) if tool.is_configured => looked.outputs.push(failed(tool, &reason)),
                // The files that it looks at do not say that anybody uses it.
                Err(_) if tool.is_guessed => {}
                Err(reason) => looked.skipped.push(ToolRun {
                    name: tool_name(&tool.name),
                    skipped: Some(clean(&reason, MAX_REASON)),
                    ..ToolRun::default()
                }),
            }
        }
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
        let places = Semaphore::new(at_once);
        let mut runs = Vec::new();
        for ready in ready {
            runs.push(self.run(ready, files, &places));
        }
        let _modules = if runs.is_empty() { None } else { Modules::link(files.project, files.tree) };
        looked.outputs.extend(join_all(runs).await.into_iter().flatten());
        Ok(looked)
    }

    /// The tools that a repository uses and that could look at these files of it here, for people.
    ///
    /// # Errors
    /// [`ReaderError`]
    pub async fn could_run<R: Reader>(
        &self,
        project: &Path,
        reviewed: &[RepoPath],
        configured: &[ToolConfig],
        reader: &R,
    ) -> Result<Vec<String>, ReaderError> {
        let used = used(project, reviewed.iter(), reader).await?;
        let files = Files { tree: project, project: Some(project), changed: &[], touched: &[], trust: None };
        let could = select(&used, configured).into_iter().filter(|tool| {
            let looks_at = |path: &RepoPath| path.as_str().is_some_and(|path| tool.looks_at(path));
            reviewed.iter().any(looks_at) && self.ready(tool, files, None).is_ok()
        });
        Ok(could.map(|tool| tool.name).collect())
    }

    /// The project's dependencies, where a wanted tool needs them and they are set up for it.
    async fn set_up(
        &self,
        selected: &[Selected],
        files: Files<'_>,
    ) -> Option<Result<(&Verifier, SetUp), String>> {
        let (verifier, trust) = (self.verifier.as_ref()?, files.trust?);
        let is_needed = |tool: &Selected| {
            tool.needs_setup && (tool.when == When::Always || !changed(tool, files.changed).is_empty())
        };
        if !selected.iter().any(is_needed) {
            return None;
        }
        Some(match verifier.set_up(files.tree, trust).await {
            Ok(set_up) if set_up.works() => Ok((verifier, set_up)),
            Ok(_) => Err("the set-up (`verify.setup`) does not work".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// The way to run a tool, or the reason not to.
    fn ready<'a>(
        &self,
        tool: &Selected,
        files: Files<'_>,
        set_up: Option<&'a Result<(&'a Verifier, SetUp), String>>,
    ) -> Result<By<'a>, String> {
        match self.level {
            Level::Full => {}
            Level::Landlock if !tool.code_configuration => {}
            Level::Landlock | Level::None => {
                return Err(
                    "the sandbox of this machine is too weak for it (`truing sandbox check`)".to_owned()
                );
            }
        }
        let touched = || files.touched.iter().filter(|_| self.is_served).filter_map(|path| path.as_str());
        if let Some(path) = touched().find(|path| tool.code_configuration && tool.is_configured_by(path)) {
            return Err(format!("its configuration is code, and this change configures it: {path}"));
        }
        if self.is_served && tool.needs_setup {
            // Its program, or a part of it, would be the change's.
            let is_brought = |path: &&str| tool.places.iter().any(|place| top(place) == top(path));
            if let Some(path) = touched().find(is_brought) {
                return Err(format!("this change brings programs of its own along: {path}"));
            }
            if let Some(path) = touched().find(|path| decides_set_up(Path::new(path))) {
                return Err(format!("this change decides what `verify.setup` installs: {path}"));
            }
            return match set_up {
                Some(Ok((verifier, set_up))) => Ok(By::SetUp(verifier, set_up)),
                Some(Err(reason)) => Err(reason.clone()),
                None => Err("it needs the project's dependencies: set `verify.setup`".to_owned()),
            };
        }
        let installed = self.installed(tool, files.tree, files.project);
        installed.map(By::Machine).ok_or_else(|| match tool.places.first() {
            Some(place) if self.is_projects_own(tool) => {
                format!("it needs the project's dependencies, and is not installed with them (`{place}`)")
            }
            Some(_) | None => format!("`{}` is not installed", tool.program),
        })
    }

    /// Does it see the project's dependencies only where it is installed beside them?
    fn is_projects_own(&self, tool: &Selected) -> bool {
        tool.needs_setup && !tool.places.is_empty() && !tool.is_configured
    }

    fn installed(&self, tool: &Selected, tree: &Path, project: Option<&Path>) -> Option<Installed> {
        let own = project.filter(|_| !self.is_served);
        let mut places: Vec<PathBuf> = own
            .map(|project| tool.places.iter().map(|place| project.join(place)).collect())
            .unwrap_or_default();
        places.extend(self.environment.as_ref().map(|folder| folder.join("bin").join(&tool.program)));
        // Elsewhere it would not see the project's dependencies.
        if self.is_projects_own(tool) && !places.iter().any(|place| place.exists()) {
            return None;
        }
        let mut installed = self.machine.find(&tool.program, &places, tree)?;
        for program in &tool.starts {
            if let Some(found) = self.machine.find(program, &[], tree) {
                installed.read.extend(found.read);
                installed.path.extend(found.path);
            }
        }
        for fetched in &tool.fetched {
            if let Some(folder) = self.folder(fetched) {
                installed
                    .read
                    .extend(fetched.parts.iter().map(|part| folder.join(part)).filter(|it| it.exists()));
            }
        }
        Some(installed)
    }

    fn folder(&self, fetched: &Fetched) -> Option<PathBuf> {
        let named = self.folders.get(&fetched.variable).cloned();
        named.or_else(|| Some(self.machine.home.as_ref()?.join(&fetched.folder))).filter(|it| it.is_dir())
    }

    /// Runs a tool when there is a place, again and again if it is told of more files than a program takes at once.
    async fn run(&self, ready: Ready<'_>, files: Files<'_>, places: &Semaphore) -> Vec<ToolOutput> {
        // Nobody closes them.
        let _place = places.acquire().await;
        let (tree, is_copy) = (files.tree, files.project != Some(files.tree));
        let Ready { tool, files, by } = ready;
        let mut outputs = Vec::new();
        for names in batches(tool, &files) {
            let words = arguments(&tool.arguments, &tool.more, names, &tool.sign);
            let ran = match &by {
                By::Machine(installed) => self.by_machine(tool, installed, words, tree).await,
                By::SetUp(verifier, set_up) => by_set_up(tool, (verifier, set_up), words, tree).await,
            };
            let root = match &by {
                // The sandbox shows a folder without links in its path.
                By::Machine(_) => tree.canonicalize().unwrap_or_else(|_| tree.to_owned()),
                By::SetUp(..) => PathBuf::from(INSIDE),
            };
            outputs.push(match ran {
                Ok(printout) => output(tool, &printout, &root, is_copy),
                Err(reason) => failed(tool, &reason),
            });
        }
        outputs
    }

    async fn by_machine(
        &self,
        tool: &Selected,
        installed: &Installed,
        words: Vec<String>,
        tree: &Path,
    ) -> Result<Printout, String> {
        let program = installed.file.clone().into_os_string();
        let fetched = tool.fetched.iter();
        let variables =
            fetched.filter_map(|it| Some((it.variable.clone(), self.folder(it)?.to_str()?.to_owned())));
        let environment = installed.environment.as_ref().and_then(|folder| folder.to_str());
        let environment = environment.map(|folder| ("VIRTUAL_ENV".to_owned(), folder.to_owned()));
        let looking = Looking {
            argv: std::iter::once(program).chain(words.into_iter().map(OsString::from)).collect(),
            tree: tree.to_owned(),
            read: installed.read.clone(),
            path: installed.path.clone(),
            variables: variables.chain(environment).collect(),
            level: self.level,
            time: tool.time,
        };
        looking.run().await.map_err(|error| error.to_string())
    }
}

/// Runs a tool where the project is set up: as the project has installed it, else as the system has.
async fn by_set_up(
    tool: &Selected,
    (verifier, set_up): (&Verifier, &SetUp),
    words: Vec<String>,
    tree: &Path,
) -> Result<Printout, String> {
    let place = tool.places.iter().find(|place| set_up.has(Path::new(place)));
    let program = match place {
        Some(place) => format!("./{place}"),
        // A path of the tree's own would be the change's program.
        None if tool.program.contains('/') && !tool.program.starts_with('/') => {
            return Err(format!("`{}` is not installed by `verify.setup`", tool.program));
        }
        None => tool.program.clone(),
    };
    let argv: Vec<String> = std::iter::once(program).chain(words).collect();
    verifier.within(tool.time).asked(set_up, tree, &argv).await.map_err(|error| error.to_string())
}

/// The first name of a path.
fn top(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

/// The changed files that a tool looks at.
fn changed<'a>(tool: &Selected, files: &'a [ChangedFile]) -> Vec<&'a str> {
    files.iter().filter_map(|file| file.path.as_str()).filter(|path| tool.looks_at(path)).collect()
}

/// The files of each run of a tool.
fn batches<'a, 'b>(tool: &Selected, files: &'b [&'a str]) -> Vec<&'b [&'a str]> {
    if !tool.arguments.iter().any(|word| word == FILES) {
        return vec![files];
    }
    let (mut batches, mut rest) = (Vec::new(), files);
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |file: &&&str| {
            bytes += file.len() + 1;
            bytes <= MAX_NAMES_BYTES
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (batch, others) = rest.split_at(count);
        batches.push(batch);
        rest = others;
    }
    batches
}

/// A run as an output to be read. `is_copy`: the tree is one of a commit.
fn output(tool: &Selected, printout: &Printout, root: &Path, is_copy: bool) -> ToolOutput {
    let Printout { end, output, errors, .. } = printout;
    let text = match tool.stream {
        Stream::Either if output.trim().is_empty() => errors,
        Stream::Stdout | Stream::Either => output,
        Stream::Stderr => errors,
    };
    // A text may be of anything; JSON is at least an empty list.
    let is_missing = text.trim().is_empty() && tool.format.ends_with("json");
    let mut unnamed = None;
    let failed = match end {
        End::Exit { code } if !tool.exit.contains(&i32::from(*code)) => Some(cause(printout)),
        End::Exit { code: 0 } => is_missing.then(|| "it printed nothing".to_owned()),
        End::Exit { .. } => {
            unnamed = Some(clean(&format!("it names no finding: {}", cause(printout)), MAX_REASON));
            None
        }
        End::Killed
        | End::Time
        | End::Output
        | End::Disk
        | End::Limit { .. }
        | End::Full
        | End::NoProgram => Some(cause(printout)),
    };
    let failed = failed.map(|reason| match (&tool.fetch, end) {
        (Some(fetch), End::Exit { .. }) => {
            format!(
                "{reason}; without a network, dependencies and the lock file have to be there: run `{fetch}`"
            )
        }
        (Some(_) | None, _) => reason,
    });
    ToolOutput {
        tool: tool.name.clone(),
        format: Some(tool.format.clone()),
        roots: vec![root.to_string_lossy().into_owned()],
        text: text.clone(),
        failed: failed.map(|reason| clean(&reason, MAX_REASON)),
        unnamed,
        everywhere: tool.everywhere,
        left_out: tool.left_out.clone(),
        without: if is_copy { tool.of_permissions.clone() } else { BTreeSet::new() },
    }
}

/// A tool that could not be run at all.
fn failed(tool: &Selected, reason: &str) -> ToolOutput {
    ToolOutput {
        tool: tool.name.clone(),
        format: Some(tool.format.clone()),
        roots: Vec::new(),
        text: String::new(),
        failed: Some(clean(reason, MAX_REASON)),
        unnamed: None,
        everywhere: false,
        left_out: BTreeSet::new(),
        without: BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests;
