//! Nothing in a repository is executed. Each test plants a command that would create a file. The test also
//! runs git without Truing's protections; git then creates the file, which proves that the trap works.

use std::path::Path;
use std::process::Command;

use truing_git::GitError;

use crate::support::{Place, Repo, changed_paths, snapshot_folder};

/// A trap that makes git run a command: a function that sets up the trap, and arguments of git that trigger
/// it.
struct GitCommandTrap {
    name: &'static str,
    plant: fn(&Repo, command: &str),
    falls_for_it: &'static [&'static str],
}

const TRAPS: &[GitCommandTrap] = &[
    GitCommandTrap {
        name: "core.fsmonitor",
        plant: |repo, command| drop(repo.run(["config", "core.fsmonitor", command])),
        falls_for_it: &["status"],
    },
    GitCommandTrap {
        name: "filter clean",
        plant: |repo, command| {
            repo.run(["config", "filter.evil.clean", command]);
            repo.run(["config", "filter.evil.required", "true"]);
            repo.write(".gitattributes", "* filter=evil\n");
        },
        falls_for_it: &["add", "--all"],
    },
    GitCommandTrap {
        name: "filter process with an odd name",
        plant: |repo, command| {
            repo.run(["config", "filter.a=b.process", command]);
            repo.write(".git/info/attributes", "* filter=a=b\n");
        },
        falls_for_it: &["add", "--all"],
    },
    GitCommandTrap {
        name: "filter smudge",
        plant: |repo, command| {
            repo.run(["config", "filter.evil.smudge", command]);
            repo.write(".git/info/attributes", "* filter=evil\n");
        },
        falls_for_it: &["checkout-index", "--all", "--prefix=out/"],
    },
    GitCommandTrap {
        name: "diff driver",
        plant: |repo, command| {
            repo.run(["config", "diff.evil.command", command]);
            repo.write(".gitattributes", "* diff=evil\n");
        },
        falls_for_it: &["diff"],
    },
    GitCommandTrap {
        name: "textconv",
        plant: |repo, command| {
            repo.run(["config", "diff.evil.textconv", command]);
            repo.write(".git/info/attributes", "* diff=evil\n");
        },
        falls_for_it: &["diff"],
    },
    GitCommandTrap {
        name: "diff.external",
        plant: |repo, command| drop(repo.run(["config", "diff.external", command])),
        falls_for_it: &["diff"],
    },
    GitCommandTrap {
        name: "included configuration",
        plant: |repo, command| {
            repo.write(
                ".git/more",
                format!("[diff]\n\texternal = {command}\n[core]\n\tfsmonitor = {command}\n"),
            );
            repo.run(["config", "include.path", "more"]);
        },
        falls_for_it: &["diff"],
    },
    GitCommandTrap {
        name: "hooks",
        plant: |repo, command| {
            for hook in ["post-index-change", "post-checkout", "reference-transaction", "pre-commit"] {
                let path = repo.root.join(".git/hooks").join(hook);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                assert!(Command::new("cp").arg(command).arg(&path).status().unwrap().success());
            }
        },
        falls_for_it: &["update-index", "--refresh", "-q", "--really-refresh", "--force-write-index"],
    },
    GitCommandTrap {
        name: "core.hooksPath",
        plant: |repo, command| {
            repo.run(["config", "core.hooksPath", "hooks"]);
            std::fs::create_dir(repo.root.join("hooks")).unwrap();
            let hook = repo.root.join("hooks/post-index-change");
            assert!(Command::new("cp").arg(command).arg(hook).status().unwrap().success());
        },
        falls_for_it: &["update-index", "--refresh", "-q", "--really-refresh", "--force-write-index"],
    },
    GitCommandTrap {
        name: "alias",
        plant: |repo, command| {
            for name in ["trap", "diff", "ls-files", "rev-parse", "cat-file", "update-index"] {
                repo.run(["config", &format!("alias.{name}"), &format!("!{command}")]);
            }
        },
        falls_for_it: &["trap"],
    },
    GitCommandTrap {
        name: "fetching on demand",
        plant: |repo, command| {
            repo.run(["config", "core.repositoryFormatVersion", "1"]);
            repo.run(["config", "extensions.partialClone", "origin"]);
            repo.run(["config", "remote.origin.promisor", "true"]);
            repo.run(["config", "remote.origin.url", &format!("ext::{command}")]);
            repo.run(["config", "protocol.ext.allow", "always"]);
            repo.run(["config", "protocol.allow", "always"]);
            repo.run(["config", "core.sshCommand", command]);
            let blob = repo.run(["rev-parse", "HEAD:a.txt"]);
            std::fs::remove_file(repo.root.join(".git/objects").join(&blob[..2]).join(&blob[2..])).unwrap();
        },
        falls_for_it: &["cat-file", "-p", "HEAD:a.txt"],
    },
    GitCommandTrap {
        name: "a submodule's own configuration",
        plant: |repo, command| {
            let sub = Repo { root: repo.root.join("sub") };
            std::fs::create_dir(&sub.root).unwrap();
            sub.run(["init", "--quiet"]);
            sub.write("x", "x\n");
            let commit = sub.commit("inner");
            repo.run(["update-index", "--add", "--cacheinfo", &format!("160000,{commit},sub")]);
            sub.write("x", "y\n");
            sub.run(["config", "core.fsmonitor", command]);
            sub.run(["config", "filter.evil.clean", command]);
            sub.write(".git/info/attributes", "* filter=evil\n");
        },
        falls_for_it: &["status"],
    },
];

/// Runs git in the repository without Truing's protections.
fn run_plain_git(repo: &Repo, arguments: &[&str]) {
    let mut command = repo.command(arguments);
    command.env_remove("GIT_ALLOW_PROTOCOL").output().unwrap();
}

/// Runs all operations that a caller can request for a local repository.
async fn run_all_operations(place: &Place, repo: &Repo) {
    let repository = place.git().await.open(&repo.root).await.unwrap();
    let head = repository.head().unwrap().clone();
    let base = repository.default_branch_base(&head).await.unwrap().commit;
    let last = repository.parent_base(&head).await.unwrap().commit;
    repository.current_branch().await.unwrap();
    let _ = repository.origin_url();
    repository.resolve_commit("main").await.unwrap();
    repository.resolve_commit("nearly-main").await.unwrap_err();
    // Some traps remove objects, so these calls may fail; the test ignores their results.
    let _ = repository.diff(&last, &head).await;
    let _ = repository.worktree_diff(&base).await;
    let _ = repository.worktree_diff(&last).await;
    if let Ok(index) = repository.snapshot_index(None).await {
        let _ = index.diff(&last).await;
        let _ = index.export(&place.path("staged"), Some(&["a.txt".into(), "b.txt".into()])).await;
    }
    let _ = repository.export(&head, &place.path("exported"), None).await;
    std::fs::remove_dir_all(place.path("exported")).unwrap();
}

fn take_mark(mark: &Path) -> bool {
    let fired = mark.exists();
    if fired {
        std::fs::remove_file(mark).unwrap();
    }
    fired
}

#[tokio::test]
async fn no_trap_is_sprung() {
    for trap in TRAPS {
        let place = Place::new();
        let mark = place.path("fired");
        let command = place.write_script("trap", &format!("touch {}; exit 1", mark.display()));
        let repo = place.create_repo("r");
        repo.write("b.txt", "b\n");
        repo.commit("second");
        (trap.plant)(&repo, command.to_str().unwrap());
        // Files that trigger the traps: a changed file, a new file, and a file with a new time but the same
        // content.
        repo.write("a.txt", "changed\n");
        repo.write("new.txt", "new\n");
        let again = std::fs::File::options().write(true).open(repo.root.join("b.txt")).unwrap();
        again.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        take_mark(&mark);

        let before = snapshot_folder(&repo.root);
        run_all_operations(&place, &repo).await;
        assert!(!take_mark(&mark), "{}: something was executed", trap.name);
        assert_eq!(
            changed_paths(&before, &snapshot_folder(&repo.root)),
            Vec::<std::path::PathBuf>::new(),
            "{}: something was touched",
            trap.name
        );

        run_plain_git(&repo, trap.falls_for_it);
        assert!(take_mark(&mark), "{}: not planted well, so this test shows nothing", trap.name);
    }
}

#[tokio::test]
async fn a_repository_cannot_point_at_other_folders_files() {
    let place = Place::new();
    let repo = place.create_repo("outer/r");
    std::fs::write(place.path("outer/private"), "canary\n").unwrap();
    repo.run(["config", "core.worktree", place.path("outer").to_str().unwrap()]);
    let error = place.git().await.open(&repo.root).await.unwrap_err();
    assert!(
        matches!(&error, GitError::ForeignWorkTree { root, .. } if *root == place.path("outer")),
        "{error}"
    );
    assert!(error.is_wrong_input());
}

#[tokio::test]
async fn a_name_is_never_an_option_or_a_command() {
    let place = Place::new();
    let mark = place.path("fired");
    let repo = place.create_repo("r");
    let repository = place.git().await.open(&repo.root).await.unwrap();
    for name in [
        format!("$(touch {})", mark.display()),
        format!("`touch {}`", mark.display()),
        format!("; touch {}", mark.display()),
        format!("--output={}", mark.display()),
        "--all".to_owned(),
    ] {
        let error = repository.resolve_commit(&name).await.unwrap_err();
        assert!(error.is_wrong_input(), "{name}: {error}");
    }
    assert!(!take_mark(&mark));
}

/// If git opened the pipe, git would wait for a writer. Truing therefore reports each pipe as an error before
/// git opens it.
#[tokio::test]
async fn a_pipe_where_git_reads_a_file_is_an_error_and_no_wait() {
    let place = Place::new();
    let git = place.git().await;
    for at in
        [".git/HEAD", ".git/config", ".git/index", ".git/packed-refs", ".git/objects/pack/x.pack", ".git"]
    {
        let repo = place.create_repo(&at.replace('/', "-"));
        let path = repo.root.join(at);
        match path.is_dir() {
            true => std::fs::remove_dir_all(&path).unwrap(),
            false => drop(std::fs::remove_file(&path)),
        }
        create_pipe(&path);
        let error = git.open(&repo.root).await.unwrap_err();
        assert!(matches!(&error, GitError::SpecialFile(named) if named.ends_with(at)), "{at}: {error}");
    }
    // A link to a device is also refused, and so is a pipe in a folder that git treats as a bare repository.
    let repo = place.create_repo("link");
    std::os::unix::fs::symlink("/dev/zero", repo.root.join(".git/refs/heads/zero")).unwrap();
    assert_refused(&git, &repo.root).await;
    let repo = place.create_repo("bare");
    std::fs::create_dir_all(repo.root.join("sub/objects")).unwrap();
    std::fs::create_dir_all(repo.root.join("sub/refs")).unwrap();
    create_pipe(&repo.root.join("sub/HEAD"));
    assert_refused(&git, &repo.root.join("sub")).await;
    // A pipe named `HEAD` at the root is a file of the working tree, which git does not open.
    create_pipe(&repo.root.join("HEAD"));
    git.open(&repo.root).await.unwrap();
}

#[tokio::test]
async fn folders_that_a_repository_shares_or_borrows_from_are_looked_at_too() {
    let place = Place::new();
    let git = place.git().await;
    let (lender, repo) = (place.create_repo("lender"), place.create_repo("borrower"));
    let objects = lender.root.join(".git/objects");
    repo.write(".git/objects/info/alternates", format!("{}\n", objects.display()));
    // If two repositories borrow objects from each other, the search for shared folders still ends.
    lender.write(".git/objects/info/alternates", format!("{}\n", repo.root.join(".git/objects").display()));
    let linked = place.path("linked");
    repo.run(["worktree", "add", "--quiet", linked.to_str().unwrap()]);
    for folder in [&repo.root, &linked] {
        git.open(folder).await.unwrap();
    }
    create_pipe(&objects.join("pack/x.idx"));
    for folder in [&repo.root, &linked] {
        assert_refused(&git, folder).await;
    }
}

async fn assert_refused(git: &truing_git::Git, folder: &Path) {
    let error = git.open(folder).await.unwrap_err();
    assert!(matches!(&error, GitError::SpecialFile(_)), "{}: {error}", folder.display());
    assert!(error.is_wrong_input());
}

fn create_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}
