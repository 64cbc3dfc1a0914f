//! Tests the comparison of two heads of a branch: new commits on top, a rewrite, a merge, and missing
//! commits.

use truing_core::id::Sha;
use truing_core::increment::BranchHistory;
use truing_git::{Mirror, Remote};

use crate::support::{Place, Repo};

/// Commits a new file with this name.
fn commit_new_file(repo: &Repo, name: &str) -> Sha {
    let text: String = (1..30).map(|line| format!("{name} {line}\n")).collect();
    repo.write(format!("{name}.txt"), text);
    repo.commit(&format!("{name} = 1: - > `subject`"))
}

async fn open_mirror(place: &Place, repo: &Repo) -> Mirror {
    place
        .git()
        .await
        .open_mirror(&place.path("m"), &Remote::from_local_path(&repo.root).unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn commits_on_top_are_told_without_merges_and_what_they_bring() {
    let place = Place::new();
    let repo = place.create_repo("upstream");
    let base = repo.sha("HEAD");
    repo.run(["checkout", "--quiet", "-b", "feature"]);
    let before = commit_new_file(&repo, "one");
    let two = commit_new_file(&repo, "two");
    repo.run(["checkout", "--quiet", "main"]);
    let tip = commit_new_file(&repo, "base");
    repo.run(["checkout", "--quiet", "feature"]);
    repo.run(["merge", "--quiet", "--no-edit", "main"]);
    let head = repo.sha("HEAD");
    let mirror = open_mirror(&place, &repo).await;
    mirror.fetch(&[head.clone(), tip.clone()]).await.unwrap();
    let history = mirror.branch_history((&base, &before), (&tip, &head)).await.unwrap();
    assert_eq!(history, Some(BranchHistory::Grown { new_commits: vec![two] }));
    assert!(mirror.has_commit(&before).await.unwrap());
    assert!(!mirror.has_commit(&Sha::parse(&"12".repeat(20)).unwrap()).await.unwrap());
}

#[tokio::test]
async fn of_a_rewritten_branch_it_is_told_which_commits_are_new_changed_and_gone() {
    let place = Place::new();
    let repo = place.create_repo("upstream");
    let base = repo.sha("HEAD");
    repo.run(["checkout", "--quiet", "-b", "feature"]);
    for name in ["same", "changed", "gone"] {
        commit_new_file(&repo, name);
    }
    let before = repo.sha("HEAD");
    repo.run(["checkout", "--quiet", "main"]);
    let tip = commit_new_file(&repo, "base");
    repo.run(["checkout", "--quiet", "feature"]);
    repo.run(["reset", "--quiet", "--hard", "HEAD~1"]);
    repo.run(["rebase", "--quiet", "main"]);
    repo.write("changed.txt", repo.run(["show", "HEAD:changed.txt"]) + "\nand more\n");
    repo.run(["commit", "--quiet", "--all", "--amend", "--no-edit"]);
    let changed = repo.sha("HEAD");
    let new = commit_new_file(&repo, "new");
    let mirror = open_mirror(&place, &repo).await;
    // After the rewrite, no branch contains the old head, so the test fetches the old head explicitly.
    mirror.fetch(std::slice::from_ref(&before)).await.unwrap();
    mirror.fetch(&[new.clone(), tip.clone()]).await.unwrap();
    let history = mirror.branch_history((&base, &before), (&tip, &new)).await.unwrap();
    let expected = BranchHistory::Rewritten {
        new_commits: vec![new],
        changed_commits: vec![changed],
        unchanged_count: 1,
        removed_count: 1,
    };
    assert_eq!(history, Some(expected));
}

#[tokio::test]
async fn a_branch_that_was_set_back_or_has_too_many_commits_is_told_apart() {
    let place = Place::new();
    let repo = place.create_repo("upstream");
    let base = repo.sha("HEAD");
    let one = commit_new_file(&repo, "one");
    let before = commit_new_file(&repo, "two");
    let mirror = open_mirror(&place, &repo).await;
    mirror.fetch(std::slice::from_ref(&before)).await.unwrap();
    let history = mirror.branch_history((&base, &before), (&base, &one)).await.unwrap();
    let expected = BranchHistory::Rewritten {
        new_commits: vec![],
        changed_commits: vec![],
        unchanged_count: 1,
        removed_count: 1,
    };
    assert_eq!(history, Some(expected));

    let mut stream = format!("reset refs/heads/many\nfrom {before}\n\n");
    for number in 0..201 {
        let who = "T <t@example.com> 1700000000 +0000";
        stream += &format!("commit refs/heads/many\ncommitter {who}\ndata 2\n{:02}\n\n", number % 100);
    }
    let file = place.path("stream");
    std::fs::write(&file, stream).unwrap();
    let input = std::fs::File::open(&file).unwrap();
    let mut import = repo.command(["fast-import", "--quiet"]);
    assert!(import.stdin(input).status().unwrap().success());
    let many = repo.sha("many");
    mirror.fetch(std::slice::from_ref(&many)).await.unwrap();
    assert_eq!(mirror.branch_history((&base, &before), (&base, &many)).await.unwrap(), None);
    assert_eq!(mirror.branch_history((&base, &many), (&base, &one)).await.unwrap(), None);
}
