//! Tests the content of private clones. Also tests that a clone has no reference to its source, and that git
//! executes no command from the source.

use truing_core::id::Sha;
use truing_git::{GitError, Remote};

use crate::support::{Place, Repo};

#[tokio::test]
async fn a_clone_stands_alone() {
    let place = Place::new();
    let repo = place.create_repo("upstream");
    let base = repo.sha("HEAD");
    repo.write("deep/b.txt", "b\n");
    std::os::unix::fs::symlink("/etc/passwd", repo.root.join("link")).unwrap();
    repo.write(".gitattributes", "*.txt filter=evil diff=evil\n");
    let head = repo.commit("second");
    repo.run(["checkout", "--quiet", "-b", "other"]);
    repo.write("secret.txt", "of another pull request\n");
    let other = repo.commit("other");

    let remote = Remote::from_local_path(&repo.root).unwrap();
    let mirror = place.git().await.open_mirror(&place.path("m"), &remote).await.unwrap();
    mirror.fetch(&[head.clone(), other.clone()]).await.unwrap();
    // A command in the mirror's configuration, which git would execute if the clone copied the configuration.
    let trap = format!("touch {}", place.path("trapped").display());
    Repo { root: mirror.dir().to_owned() }.run(["config", "filter.evil.smudge", &trap]);
    let dest = place.path("clone");
    std::fs::create_dir(&dest).unwrap();
    mirror.check_out_private_clone(&head, std::slice::from_ref(&base), &dest).await.unwrap();
    std::fs::remove_dir_all(mirror.dir()).unwrap();
    std::fs::remove_dir_all(&repo.root).unwrap();

    let clone = Repo { root: dest.clone() };
    assert_eq!(clone.run(["status", "--porcelain"]), "");
    assert_eq!(clone.sha("HEAD"), head);
    assert_eq!(clone.run(["log", "--format=%s"]), "second\nfirst");
    assert_eq!(clone.run(["diff", "--name-only", base.as_str(), "HEAD"]), ".gitattributes\ndeep/b.txt\nlink");
    assert_eq!(std::fs::read_to_string(dest.join("deep/b.txt")).unwrap(), "b\n");
    assert!(dest.join("link").is_symlink() && !place.path("trapped").exists());
    clone.run(["fsck", "--full", "--strict"]);
    assert_eq!(clone.run(["remote"]) + &clone.run(["for-each-ref"]), "");
    assert!(!clone.run(["cat-file", "--batch-check", "--batch-all-objects"]).contains(other.as_str()));
    for absent in ["hooks", "objects/info/alternates", "FETCH_HEAD", "info"] {
        assert!(!dest.join(".git").join(absent).exists(), "{absent}");
    }
}

#[tokio::test]
async fn a_commit_that_is_not_there_is_an_error() {
    let place = Place::new();
    let remote = Remote::from_local_path(&place.create_repo("upstream").root).unwrap();
    let mirror = place.git().await.open_mirror(&place.path("m"), &remote).await.unwrap();
    let dest = place.path("clone");
    std::fs::create_dir(&dest).unwrap();
    let none = Sha::parse(&"1".repeat(40)).unwrap();
    let cloned = mirror.check_out_private_clone(&none, &[], &dest).await;
    assert!(matches!(cloned, Err(GitError::CommandFailed { .. })), "{cloned:?}");
}
