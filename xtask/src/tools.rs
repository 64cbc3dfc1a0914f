//! Finds and installs the tools that the tests need besides the Rust toolchain.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use semver::Version;
use sha2::Digest as _;

use crate::say;

/// A program that tests start.
pub(crate) struct TestTool {
    /// The name by which tests start the program.
    pub(crate) name: &'static str,
    /// The command that prints the version; if it is empty, the program is run with `--version`.
    pub(crate) version_command: &'static [&'static str],
    /// The oldest version that the tests can use.
    pub(crate) minimum_version: Version,
    /// The Debian package that contains the program.
    pub(crate) debian_package: &'static str,
    /// The tests that need the tool.
    pub(crate) need: ToolNeed,
}

/// The tests that need a tool, and what they do without the tool.
#[derive(Clone, Copy)]
pub(crate) struct ToolNeed {
    /// The packages of the workspace whose tests start the tool.
    pub(crate) packages: &'static [&'static str],
    /// The promise that is not tested without the tool, if the tests then skip only a part. `None` if the
    /// tests cannot run without the tool.
    pub(crate) untested_promise: Option<&'static str>,
}

/// A program that no system package contains. It is downloaded as an archive from npm's registry, and
/// unpacked to the folder in which the tests look for the program.
struct NpmArchiveTool {
    /// Name of the program and of the program's file in the archive.
    pub(crate) name: &'static str,
    /// Name of the npm package, without the suffix for the machine's architecture.
    npm_package: &'static str,
    pub(crate) version: &'static str,
    /// For each supported architecture: the architecture's name in Rust, its name in npm, and the archive's
    /// SHA-512 digest in hexadecimal.
    archives: &'static [(&'static str, &'static str, &'static str)],
    /// The tests that need the tool.
    pub(crate) need: ToolNeed,
}

/// All programs that come in archives. Each machine downloads its own copy, because the programs' licence
/// forbids redistribution.
const NPM_ARCHIVE_TOOLS: &[NpmArchiveTool] = &[NpmArchiveTool {
    name: "claude",
    npm_package: "@anthropic-ai/claude-code-linux",
    version: "2.1.328",
    archives: &[
        (
            "x86_64",
            "x64",
            "2aeccbf9d0478030854c7271c16fb1b8125d54a7c1b1eb06c76041713386f6c6031a8003edbd61515f2bb134b8c63a09b01d9299e1ab6868c1885ba1ad8b82f7",
        ),
        (
            "aarch64",
            "arm64",
            "cde5ac0a5cf1feb962f2ae91b2780a8acbb9067b99e3527b1eda74aa0b1d66899a24220d8a4b1ffa67b043f8326b294a6a30590a813d67c47e3a42cc8c89098a",
        ),
    ],
    need: ToolNeed {
        packages: &["truing", "truing-agent"],
        untested_promise: Some("reviews with the real claude program in between"),
    },
}];

/// Returns the path of the program. If the program is missing, downloads it from the registry in npm's
/// configuration. `Err` contains the reason for the failure.
fn find_or_download(root: &Path, packed: &NpmArchiveTool) -> Result<PathBuf, String> {
    let NpmArchiveTool { name, npm_package: package, version, archives, .. } = packed;
    let folder = root.join("target/tools").join(name).join(version);
    let program = folder.join(name);
    if program.is_file() {
        return Ok(program);
    }
    let archive = archives.iter().find(|(rust, ..)| *rust == std::env::consts::ARCH);
    let Some((_, npm, digest)) = archive.filter(|_| cfg!(target_os = "linux")) else {
        return Err(format!("{name} {version} is not known for this machine"));
    };
    let package = format!("{package}-{npm}@{version}");
    say::print_line(&format!("{name} {version} is missing: getting it with `npm pack {package}`"));
    let got = install_archive(&package, digest, name, &folder).map(|()| program);
    got.map_err(|error| format!("{name} {version} cannot be had from npm's registry: {error:#}"))
}

/// Downloads an archive, verifies its digest, and extracts one program. A single rename moves the complete
/// program to its folder, so an incomplete file is never used.
fn install_archive(package: &str, digest: &str, name: &str, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let work = tempfile::tempdir_in(folder)?;
    let status = Command::new("npm")
        .args(["pack", "--silent", package, "--pack-destination"])
        .arg(work.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("npm cannot be started (it comes with Node.js)")?;
    ensure!(status.success(), "`npm pack {package}` failed");
    let archive = std::fs::read_dir(work.path())?.next().context("npm has left no archive")??.path();
    let is = hex::encode(sha2::Sha512::digest(std::fs::read(&archive)?));
    ensure!(is == digest, "the archive of {package} is not the one that was measured");
    let status = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(work.path()).status()?;
    ensure!(status.success(), "the archive of {package} cannot be unpacked");
    std::fs::rename(work.path().join("package").join(name), folder.join(name))?;
    Ok(())
}

/// The tests that need the packages of `xtask/npm`.
pub(crate) const NPM_TOOL_NEED: ToolNeed = ToolNeed {
    packages: &["truing", "truing-agent"],
    untested_promise: Some(
        "that the server and the client of the Model Context Protocol are as its suite and its inspector ask",
    ),
};
/// Time limit, in seconds, within which npm must install the packages. On a working network, the installation
/// takes far less time.
const NPM_TIMEOUT_SECONDS: &str = "240";

/// Finds the packages of `xtask/npm`, or installs them from the registry in npm's configuration. The lock
/// file determines the versions and the digests of the packages. Scripts of the packages are not run. `Err`
/// contains the reason for the failure.
fn find_or_install_npm_packages(root: &Path) -> Result<(), String> {
    let (wanted, tools) = (root.join("xtask/npm"), root.join("target/tools"));
    let lock = |folder: &Path| std::fs::read(folder.join(LOCK_FILE_NAME)).ok();
    let folder = tools.join("npm");
    if lock(&folder).is_some_and(|is| lock(&wanted) == Some(is)) {
        return Ok(());
    }
    if !cfg!(target_os = "linux") {
        return Err("what is in xtask/npm is for Linux".to_owned());
    }
    say::print_line("what is in xtask/npm is missing: installing it with `npm ci`");
    install_npm_packages(&wanted, &tools, &folder)
        .map_err(|error| format!("npm's packages cannot be had: {error:#}"))
}

/// Name of npm's lock file. The copy of the lock file in the installation shows which packages are installed.
const LOCK_FILE_NAME: &str = "package-lock.json";

/// Installs the packages into a temporary folder, and then renames this folder, so an incomplete installation
/// is never used.
fn install_npm_packages(source_folder: &Path, tools_folder: &Path, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(tools_folder)?;
    let work = tempfile::tempdir_in(tools_folder)?;
    for file in ["package.json", LOCK_FILE_NAME] {
        std::fs::copy(source_folder.join(file), work.path().join(file))?;
    }
    let status = Command::new("timeout")
        .args([NPM_TIMEOUT_SECONDS, "npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(work.path())
        .stdin(Stdio::null())
        .status()
        .context("npm cannot be started (it comes with Node.js)")?;
    ensure!(status.success(), "`npm ci` in a copy of xtask/npm failed ({status})");
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::rename(work.keep(), folder)?;
    Ok(())
}

/// Every tool that a test needs.
pub(crate) const TEST_TOOLS: &[TestTool] = &[
    TestTool {
        name: "git",
        version_command: &["git", "--version"],
        minimum_version: Version::new(2, 41, 0),
        debian_package: "git",
        need: ToolNeed {
            packages: &["truing", "truing-fakes", "truing-forge", "truing-git", "truing-service"],
            untested_promise: None,
        },
    },
    TestTool {
        name: "postgres",
        // Debian installs the programs of each version in a separate folder.
        version_command: &[
            "sh",
            "-c",
            "PATH=\"$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1):$PATH\" postgres --version",
        ],
        minimum_version: Version::new(14, 0, 0),
        debian_package: "postgresql",
        need: ToolNeed { packages: &["truing", "truing-service", "truing-store"], untested_promise: None },
    },
    TestTool {
        name: "redis-server",
        version_command: &[
            "sh",
            "-c",
            "(valkey-server --version || redis-server --version) 2>/dev/null | tr = ' '",
        ],
        minimum_version: Version::new(7, 0, 0),
        debian_package: "redis-server",
        need: ToolNeed { packages: &["truing", "truing-service", "truing-store"], untested_promise: None },
    },
    TestTool {
        name: "pgbouncer",
        // Debian installs the program in a folder that is not in the `PATH` of every user.
        version_command: &["sh", "-c", "PATH=\"$PATH:/usr/sbin\" pgbouncer --version"],
        minimum_version: Version::new(1, 12, 0),
        debian_package: "pgbouncer",
        need: ToolNeed {
            packages: &["truing-store"],
            untested_promise: Some("that a pooler in transaction mode is refused by name"),
        },
    },
    TestTool {
        name: "faketime",
        version_command: &[],
        minimum_version: Version::new(0, 9, 0),
        debian_package: "faketime",
        need: ToolNeed { packages: &["truing"], untested_promise: None },
    },
    test_tool("curl", "curl", Version::new(7, 0, 0), "that the calls in the runbooks work as written"),
    test_tool("groff", "groff", Version::new(1, 22, 0), "that the pages of the manual are well formed"),
    test_tool("zsh", "zsh", Version::new(5, 0, 0), "that zsh understands its completions"),
    test_tool("fish", "fish", Version::new(3, 0, 0), "that fish understands its completions"),
    test_tool("promtool", "prometheus", Version::new(2, 30, 0), "that each alert fires when it should"),
];

const fn test_tool(
    name: &'static str,
    debian_package: &'static str,
    minimum_version: Version,
    untested_promise: &'static str,
) -> TestTool {
    TestTool {
        name,
        version_command: &[],
        minimum_version,
        debian_package,
        need: ToolNeed { packages: &["truing"], untested_promise: Some(untested_promise) },
    }
}

/// The result of the search for tools.
#[derive(Default)]
pub(crate) struct ToolSearch {
    /// Names of the tools that were found, with versions.
    pub(crate) found: Vec<String>,
    /// The tools that are unavailable.
    pub(crate) missing: Vec<MissingTool>,
}

/// A tool that is unavailable.
pub(crate) struct MissingTool {
    /// The tests that need the tool.
    pub(crate) requirement: ToolNeed,
    /// The reason why the tool is unavailable, and how to install it.
    pub(crate) reason: String,
}

/// Finds the tools that the tests of `packages` need, or of all packages if the list is empty. Installs
/// missing and outdated tools if this machine permits the installation.
pub(crate) fn provide_tools(root: &Path, packages: &[String]) -> ToolSearch {
    let is_wanted = |requirement: ToolNeed| {
        packages.is_empty() || packages.iter().any(|name| requirement.packages.contains(&name.as_str()))
    };
    let wanted: Vec<&TestTool> = TEST_TOOLS.iter().filter(|tool| is_wanted(tool.need)).collect();
    let lacking: Vec<&str> = wanted
        .iter()
        .filter(|tool| find_tool_version(tool).is_err())
        .map(|tool| tool.debian_package)
        .collect();
    let installed = if lacking.is_empty() { Ok(()) } else { install_debian(&lacking) };

    let mut provided = ToolSearch::default();
    let mut add = |requirement: ToolNeed, found: Result<String, String>| match found {
        Ok(name) => provided.found.push(name),
        Err(reason) => provided.missing.push(MissingTool { requirement, reason }),
    };
    for tool in wanted {
        let found = find_tool_version(tool)
            .map(|version| format!("{} {version} (needed: {})", tool.name, tool.minimum_version));
        let reason = installed.as_ref().err();
        add(
            tool.need,
            found.map_err(|missing| reason.map_or(missing.clone(), |reason| format!("{missing}; {reason}"))),
        );
    }
    for packed in NPM_ARCHIVE_TOOLS.iter().filter(|packed| is_wanted(packed.need)) {
        add(
            packed.need,
            find_or_download(root, packed).map(|_| format!("{} {}", packed.name, packed.version)),
        );
    }
    if is_wanted(NPM_TOOL_NEED) {
        add(
            NPM_TOOL_NEED,
            find_or_install_npm_packages(root).map(|()| "the packages of xtask/npm".to_owned()),
        );
    }
    provided
}

/// Installs Debian packages with one command. If the command fails, installs the packages one by one, because
/// a single unknown name makes the whole command fail. If an installation fails, the error states how to
/// install the package.
fn install_debian(packages: &[&str]) -> Result<(), String> {
    let install = format!("apt-get install -y {}", packages.join(" "));
    if !is_on_path("apt-get") {
        return Err(format!("install {}", packages.join(", ")));
    }
    if !is_root() {
        return Err(format!("run: sudo {install}"));
    }
    say::print_line(&format!("installing what is missing with `apt-get update` and `{install}`"));
    // An error of the update is ignored, because packages that were downloaded earlier can be installed
    // without a network.
    let _ = apt_get(&["update"], &[]);
    let options = ["install", "-y", "--no-install-recommends"];
    if apt_get(&options, packages).is_ok() {
        return Ok(());
    }
    let failed: Vec<String> =
        packages.iter().filter_map(|package| apt_get(&options, &[package]).err()).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

/// Runs `apt-get` without printing its output. The error contains the command and the end of the output.
fn apt_get(options: &[&str], packages: &[&str]) -> Result<(), String> {
    let output = Command::new("apt-get")
        .arg("-q")
        .args(options)
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("apt-get cannot be started ({error})"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rfind(|line| !line.is_empty()).unwrap_or("it printed nothing");
    Err(format!("`apt-get {} {}` failed: {last}", options.join(" "), packages.join(" ")))
}

/// Returns the installed version of a tool, or the reason why it cannot be used.
fn find_tool_version(tool: &TestTool) -> Result<Version, String> {
    let (program, arguments) = match tool.version_command {
        [program, arguments @ ..] => (*program, arguments),
        [] => (tool.name, ["--version"].as_slice()),
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{} is missing ({error})", tool.name))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = parse_version(&text)
        .ok_or_else(|| format!("{} does not print its version ({:?})", tool.name, text.trim()))?;
    if version < tool.minimum_version {
        return Err(format!("{} {version} is older than {}", tool.name, tool.minimum_version));
    }
    Ok(version)
}

/// Returns the first number such as `2.39` or `2.39.2` in the text with which a program prints its version:
/// `git version 2.39.2 (Apple Git-143)`.
fn parse_version(text: &str) -> Option<Version> {
    text.split_whitespace().find_map(|word| {
        let mut numbers = word.trim_start_matches('v').split('.').map_while(|part| part.parse().ok());
        let (major, minor) = (numbers.next()?, numbers.next()?);
        Some(Version::new(major, minor, numbers.next().unwrap_or(0)))
    })
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_programs_say() {
        for (text, version) in [
            ("git version 2.47.3\n", Version::new(2, 47, 3)),
            ("git version 2.39.2 (Apple Git-143)", Version::new(2, 39, 2)),
            ("git version 2.41.0.windows.1", Version::new(2, 41, 0)),
            ("tool v7.2", Version::new(7, 2, 0)),
        ] {
            assert_eq!(parse_version(text), Some(version), "{text}");
        }
        assert_eq!(parse_version("no version here 7"), None);
    }

    /// Returns cargo as a tool, with this minimum version. Cargo exists, because cargo runs this test.
    fn cargo(minimum: Version) -> TestTool {
        TestTool {
            name: "cargo",
            version_command: &["cargo", "--version"],
            minimum_version: minimum,
            debian_package: "cargo",
            need: ToolNeed { packages: &[], untested_promise: None },
        }
    }

    #[test]
    fn an_installed_tool_is_found_and_an_old_one_refused() {
        assert!(find_tool_version(&cargo(Version::new(1, 0, 0))).is_ok());
        let refused = find_tool_version(&cargo(Version::new(999, 0, 0))).unwrap_err();
        assert!(refused.contains("is older than 999.0.0"), "{refused}");
    }

    #[test]
    fn a_missing_tool_is_said_to_be_missing() {
        let tool = TestTool { version_command: &["no-such-program-here"], ..cargo(Version::new(1, 0, 0)) };
        assert!(find_tool_version(&tool).unwrap_err().contains("cargo is missing"));
    }
}
