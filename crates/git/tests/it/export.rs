//! Tests that an exported tree contains only plain files, and no file with a forbidden name.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use truing_core::RepoPath;
use truing_core::id::Sha;
use truing_core::outcome::SkipReason;
use truing_git::{ExportSummary, Git, Remote};

use crate::support::{Place, Repo, snapshot_folder};

fn omitted_files(exported: &ExportSummary) -> Vec<(String, SkipReason)> {
    exported.omitted_files.iter().map(|left| (left.path.to_string(), left.reason)).collect()
}

/// Commits a tree that git's usual commands refuse to create. Each entry is a pair: its mode and id in one
/// string, and its name.
fn commit_raw_tree(repo: &Repo, entries: &[(&str, &str)]) -> Sha {
    let mut tree = Vec::new();
    for (facts, name) in entries {
        let (mode, id) = facts.split_once(' ').unwrap();
        tree.extend(format!("{mode} {name}\0").bytes());
        tree.extend((0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()));
    }
    let mut child = repo
        .command(["hash-object", "--literally", "-t", "tree", "-w", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&tree).unwrap();
    let tree = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    Sha::parse(&repo.run(["commit-tree", "-m", "odd", tree.trim()])).unwrap()
}

#[tokio::test]
async fn files_are_written_as_they_were_committed() {
    let place = Place::new();
    let repo = place.create_repo("r");
    repo.write("deep/er/file", b"\x00\xff\r\nraw $Id$\n");
    repo.write("empty", "");
    repo.write("run.sh", "#!/bin/sh\n");
    std::fs::set_permissions(repo.root.join("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    repo.write(std::ffi::OsStr::from_bytes(b"caf\xe9\n"), "odd\n");
    symlink("/etc/passwd", repo.root.join("link")).unwrap();
    let inner = place.create_repo("inner").sha("HEAD");
    repo.run(["update-index", "--add", "--cacheinfo", &format!("160000,{inner},sub")]);
    repo.run(["add", "--all", ":!sub"]);
    repo.run(["commit", "--quiet", "-m", "files"]);
    // These attributes would change the files of a checkout, but must not change an export.
    repo.write(".gitattributes", "* text eol=crlf ident export-ignore\n");
    repo.run(["add", ".gitattributes"]);
    repo.run(["commit", "--quiet", "-m", "attributes"]);

    let repository = place.git().await.open(&repo.root).await.unwrap();
    let to = place.path("out/put");
    let exported = repository.export(&repo.sha("HEAD"), &to, None).await.unwrap();
    let written = snapshot_folder(&to).into_iter().filter(|(path, _)| path.is_file());
    let written = written.map(|(path, (content, _))| {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o111, 0, "{path:?} is executable");
        (path.strip_prefix(&to).unwrap().as_os_str().as_bytes().to_vec(), content)
    });
    let written = written.collect::<Vec<_>>();
    let expected: Vec<(&[u8], &[u8])> = vec![
        (b".gitattributes", b"* text eol=crlf ident export-ignore\n"),
        (b"a.txt", b"one\ntwo\nthree\n"),
        (b"caf\xe9\n", b"odd\n"),
        (b"deep/er/file", b"\x00\xff\r\nraw $Id$\n"),
        (b"empty", b""),
        (b"run.sh", b"#!/bin/sh\n"),
    ];
    assert_eq!(written, expected.into_iter().map(|(a, b)| (a.to_vec(), b.to_vec())).collect::<Vec<_>>());
    assert_eq!(
        omitted_files(&exported),
        [("link".into(), SkipReason::Symlink), ("sub".into(), SkipReason::Submodule)]
    );
    assert_eq!(
        (exported.file_count, exported.bytes),
        (6, written.iter().map(|(_, content)| content.len() as u64).sum())
    );
}

#[tokio::test]
async fn only_the_named_files_are_written() {
    let place = Place::new();
    let repo = place.create_repo("r");
    repo.write("b/c", "c\n");
    repo.write("*", "star\n");
    let head = repo.commit("more");
    let repository = place.git().await.open(&repo.root).await.unwrap();
    let only = [RepoPath::from("*"), RepoPath::from("b/c"), RepoPath::from("absent")];
    let exported = repository.export(&head, &place.path("out"), Some(&only)).await.unwrap();
    assert_eq!((exported.file_count, exported.omitted_files), (2, vec![]));
    assert!(!place.path("out/a.txt").exists() && place.path("out/b/c").exists());
    let none = repository.export(&head, &place.path("none"), Some(&[])).await.unwrap();
    assert!(none == ExportSummary::default() && place.path("none").is_dir());
}

#[tokio::test]
async fn no_tree_leads_out_of_the_folder_or_into_a_git_folder() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let blob = format!("100644 {}", repo.run(["rev-parse", "HEAD:a.txt"]));
    let tree = format!("40000 {}", repo.run(["rev-parse", "HEAD^{tree}"]));
    let head = commit_raw_tree(
        &repo,
        &[
            (&tree, ".."),
            (&tree, ".git"),
            (&tree, ".GIT"),
            (&blob, "..\\up"),
            (&blob, "git~1"),
            (&blob, "good"),
            (&tree, "good"),
            (&blob, &"n".repeat(300)),
            (&blob, "same"),
            (&blob, "same"),
        ],
    );
    let repository = place.git().await.open(&repo.root).await.unwrap();
    let to = place.path("out/put");
    let exported = repository.export(&head, &to, None).await.unwrap();
    let written =
        snapshot_folder(&place.path("out")).into_keys().filter(|path| path.is_file()).collect::<Vec<_>>();
    assert_eq!(written, [to.join("..\\up"), to.join("good"), to.join("same")]);
    let unreadable = |path: &str| (path.to_owned(), SkipReason::Unreadable);
    let expected = ["../a.txt", ".git/a.txt", ".GIT/a.txt", "git~1", "good/a.txt", &"n".repeat(300), "same"];
    assert_eq!(omitted_files(&exported), expected.map(unreadable));
}

#[tokio::test]
async fn nothing_that_is_there_is_overwritten_or_followed() {
    let place = Place::new();
    let repo = place.create_repo("r");
    std::fs::create_dir(place.path("out")).unwrap();
    std::fs::write(place.path("victim"), "mine\n").unwrap();
    symlink(place.path("victim"), place.path("out/a.txt")).unwrap();
    let repository = place.git().await.open(&repo.root).await.unwrap();
    let exported = repository.export(&repo.sha("HEAD"), &place.path("out"), None).await.unwrap();
    assert_eq!(omitted_files(&exported), [("a.txt".into(), SkipReason::Unreadable)]);
    assert_eq!(std::fs::read_to_string(place.path("victim")).unwrap(), "mine\n");
}

#[tokio::test]
async fn each_bound_leaves_files_out_by_name() {
    let place = Place::new();
    let repo = place.create_repo("r");
    for (name, size) in [("b", 50), ("c", 200), ("d", 60), ("e", 10), ("f", 1)] {
        repo.write(name, "x".repeat(size));
    }
    let head = repo.commit("sizes");
    let large = |names: &[&str]| {
        names.iter().map(|name| ((*name).to_owned(), SkipReason::TooLarge)).collect::<Vec<_>>()
    };
    let export = async |name: &str, file: u64, total: u64, files: usize| {
        let mut options = place.options();
        (options.limits.file_bytes, options.limits.total_bytes, options.limits.file_count) =
            (file, total, files);
        let repository = Git::new(options).await.unwrap().open(&repo.root).await.unwrap();
        omitted_files(&repository.export(&head, &place.path(name), None).await.unwrap())
    };
    assert_eq!(export("file", 100, 10_000, 100).await, large(&["c"]));
    assert_eq!(export("total", 100, 80, 100).await, large(&["c", "d"]));
    assert_eq!(export("files", 1000, 10_000, 4).await, large(&["e", "f"]));
}

#[tokio::test]
async fn a_file_that_the_repository_lacks_is_named() {
    let place = Place::new();
    let repo = place.create_repo("r");
    repo.write("b.txt", "b\n");
    let head = repo.commit("second");
    let blob = repo.run(["rev-parse", "HEAD:a.txt"]);
    std::fs::remove_file(repo.root.join(".git/objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    let repository = place.git().await.open(&repo.root).await.unwrap();
    let exported = repository.export(&head, &place.path("out"), None).await.unwrap();
    assert_eq!(
        (exported.file_count, omitted_files(&exported)),
        (1, vec![("a.txt".into(), SkipReason::Unreadable)])
    );
}

#[tokio::test]
async fn named_files_are_written_whatever_they_are_called_and_however_many_there_are() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let odd = ["-l", "--", ":(glob)*", "a*", "sub/--full-tree", "one\ntwo"];
    let many = (0..150).map(|number| format!("many/{number}")).collect::<Vec<_>>();
    odd.iter().copied().chain(many.iter().map(String::as_str)).for_each(|name| repo.write(name, name));
    let head = repo.commit("more");
    let repository = place.git().await.open(&repo.root).await.unwrap();
    for (folder, names) in
        [("few", odd.to_vec()), ("many", many.iter().map(String::as_str).collect()), ("none", vec![])]
    {
        let only = names.iter().map(|name| RepoPath::from(*name)).collect::<Vec<_>>();
        let out = place.path(folder);
        let exported = repository.export(&head, &out, Some(&only)).await.unwrap();
        assert_eq!((exported.file_count, exported.omitted_files), (names.len(), vec![]), "{folder}");
        for name in names {
            assert_eq!(std::fs::read_to_string(out.join(name)).unwrap(), name);
        }
    }
}

#[tokio::test]
async fn files_of_another_commit_take_the_place_of_those_before_and_what_is_the_same_stays() {
    let place = Place::new();
    let repo = place.create_repo("r");
    repo.write("same/file", "same\n");
    repo.write("goes/deep/file", "old\n");
    repo.write("turns", "a file\n");
    repo.write("big", "x".repeat(3000));
    let first = repo.commit("one");
    std::fs::remove_dir_all(repo.root.join("goes")).unwrap();
    std::fs::remove_file(repo.root.join("turns")).unwrap();
    repo.write("turns/into", "a folder\n");
    repo.write("a.txt", "changed\n");
    repo.write("big", "y".repeat(5000));
    let second = repo.commit("two");

    let mut options = place.options();
    options.limits.file_bytes = 4000;
    let git = Git::new(options).await.unwrap();
    let remote = Remote::from_local_path(&repo.root).unwrap();
    let mirror = git.open_mirror(&place.path("m"), &remote).await.unwrap();
    mirror.fetch(&[first.clone(), second.clone()]).await.unwrap();
    let laid = mirror.export_in_place(&first, None).await.unwrap();
    let (at, stayed) = (laid.path().to_owned(), laid.path().join("same/file"));
    let before = stayed.metadata().unwrap().modified().unwrap();
    let mut laid = laid;
    for (sha, kept) in [(&first, true), (&second, true), (&first, true)] {
        laid = mirror.export_in_place(sha, Some(laid)).await.unwrap();
        assert_eq!(
            (laid.path() == at, stayed.metadata().unwrap().modified().unwrap() == before),
            (kept, kept)
        );
        let whole = place.path("whole");
        let exported = mirror.export(sha, &whole, None).await.unwrap();
        assert_eq!(laid.omitted_files(), exported.omitted_files);
        assert_eq!(read_contents(laid.path()), read_contents(&whole));
        std::fs::remove_dir_all(&whole).unwrap();
    }
}

/// Returns every path below a folder: files with their content, and folders without.
fn read_contents(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let below = |path: &Path| path.strip_prefix(folder).unwrap().to_owned();
    let (mut found, mut left) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.insert(below(&path), None);
                left.push(path);
            } else {
                found.insert(below(&path), Some(std::fs::read(&path).unwrap()));
            }
        }
    }
    found
}
