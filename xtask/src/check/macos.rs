//! Checks that the program compiles for macOS. The C parts of its packages are compiled with `zig cc`, which
//! needs neither a Mac nor Apple's files. The program is not linked, because linking needs these files.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::report::CheckReport;
use crate::{say, workspace};

/// The target for which the program must compile.
const TARGET: &str = "aarch64-apple-darwin";
/// The name of the same target in the names of environment variables.
const TARGET_IN_VARIABLES: &str = "aarch64_apple_darwin";
/// The Python package that contains the C compiler, with the digests of its archives, in pip's format.
const COMPILER_REQUIREMENTS: &str = "xtask/zig-requirements.txt";
/// The scripts that start the tools of the compiler, and the arguments that select each tool.
const SCRIPTS: [(&str, &str, &str); 3] = [
    ("CC", "cc", "cc -target aarch64-macos -mcpu=apple_m1"),
    ("CXX", "c++", "c++ -target aarch64-macos"),
    ("AR", "ar", "ar"),
];

/// Compiles the program for macOS without linking it; cargo prints the problems. Installs the target and the
/// C compiler if they are missing.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    if let Err(reason) = install_target() {
        return Ok(CheckReport::NotRun(format!("the target {TARGET} cannot be had: {reason:#}")));
    }
    let compiler = match find_or_install_compiler(root) {
        Ok(compiler) => compiler,
        Err(reason) => {
            return Ok(CheckReport::NotRun(format!(
                "the C compiler of {COMPILER_REQUIREMENTS} cannot be had: {reason:#}"
            )));
        }
    };
    let mut command = workspace::cargo_command(root);
    command.args(["check", "--locked", "--quiet", "-p", "truing", "--target", TARGET]);
    for (variable, script, _) in SCRIPTS {
        command.env(format!("{variable}_{TARGET_IN_VARIABLES}"), compiler.join(script));
    }
    for cache in ["ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"] {
        command.env(cache, compiler.join("cache"));
    }
    // The option applies only to the target, so build scripts are not compiled again.
    command.env(format!("CARGO_TARGET_{}_RUSTFLAGS", TARGET_IN_VARIABLES.to_uppercase()), "-D warnings");
    let status = command.status().context("cannot start cargo check")?;
    let problems = match status.success() {
        true => Vec::new(),
        false => vec![format!("cargo check --target {TARGET}: {status} (see above)")],
    };
    Ok(CheckReport::Completed {
        summary: format!("cargo check -p truing --target {TARGET}, not linked"),
        problems,
        warnings: Vec::new(),
    })
}

/// Installs the target's standard library with rustup, if it is missing.
fn install_target() -> Result<()> {
    let sysroot = workspace::command_output(Command::new("rustc").args(["--print", "sysroot"]))?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).join("lib").is_dir() {
        return Ok(());
    }
    say::print_line(&format!("the target {TARGET} is missing: getting it with `rustup target add {TARGET}`"));
    workspace::command_output(Command::new("rustup").args(["target", "add", TARGET])).map(drop)
}

/// Returns the folder with the compiler's scripts. If the folder does not exist, installs the compiler from
/// the registry in pip's configuration. A single rename moves the complete installation to its folder, so an
/// incomplete installation is never used.
fn find_or_install_compiler(root: &Path) -> Result<PathBuf> {
    let requirements = std::fs::read_to_string(root.join(COMPILER_REQUIREMENTS))?;
    let requirement = requirements.split_whitespace().next().context("no package is named")?;
    let tools = root.join("target/tools");
    let folder = tools.join(requirement.replace("==", "-"));
    if folder.is_dir() {
        return Ok(folder);
    }
    say::print_line(&format!("{requirement} is missing: getting it with `python3 -m pip install`"));
    std::fs::create_dir_all(&tools)?;
    let work = tempfile::tempdir_in(&tools)?;
    let status = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary=:all:", "--require-hashes", "--requirement"])
        .arg(root.join(COMPILER_REQUIREMENTS))
        .arg("--target")
        .arg(work.path())
        .stdin(Stdio::null())
        .status()
        .context("python3 cannot be started")?;
    ensure!(status.success(), "pip failed ({status})");
    for (_, name, arguments) in SCRIPTS {
        write_script(&work.path().join(name), &folder.join("ziglang/zig"), arguments)?;
    }
    std::fs::rename(work.keep(), &folder)?;
    Ok(folder)
}

/// Writes a script that starts the compiler. The script drops the option with Clang's name of the target,
/// which zig does not accept.
fn write_script(path: &Path, program: &Path, arguments: &str) -> Result<()> {
    let text = format!(
        "#!/bin/sh\nfor argument do\n  shift\n  case \"$argument\" in\n    --target=*) ;;\n    *) set -- \
         \"$@\" \"$argument\" ;;\n  esac\ndone\nexec '{}' {arguments} \"$@\"\n",
        program.display()
    );
    std::fs::write(path, text)?;
    Ok(std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_gets_all_arguments_but_the_target() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("a program");
        let script = folder.path().join("script");
        std::os::unix::fs::symlink("/bin/echo", &program).unwrap();
        write_script(&script, &program, "cc -target x").unwrap();
        let mut command = Command::new(&script);
        command.args(["-c", "--target=arm64-apple-macosx", "a file.c", "-o", "a.o"]);
        assert_eq!(workspace::command_output(&mut command).unwrap(), "cc -target x -c a file.c -o a.o\n");
    }
}
