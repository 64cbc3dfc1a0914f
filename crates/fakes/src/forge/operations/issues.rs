//! Issues that are opened, and labels.

use crate::forge::state::issues::{Issue, Labelled};
use crate::forge::state::pulls::Pull;
use crate::forge::state::{Repository, World};

/// Opens an issue; its number.
pub(crate) fn open(
    world: &mut World,
    repo: &mut Repository,
    author: &str,
    (title, body): (&str, &str),
    labels: Vec<String>,
) -> u64 {
    world.account(author);
    make_labels(world, repo, &labels);
    let (id, number, now) = (world.id(), repo.next_number(), world.now());
    let issue = Issue {
        id,
        number,
        title: title.to_owned(),
        body: body.to_owned(),
        author: author.to_owned(),
        labels,
        open: true,
        locked: false,
        reason: None,
        created: now,
        updated: now,
        closed: None,
        notes: Vec::new(),
        hidden_for: world.stale_lists,
    };
    repo.issues.insert(number, issue);
    number
}

/// Makes the labels that are not there yet.
pub(crate) fn make_labels(world: &mut World, repo: &mut Repository, names: &[String]) {
    for name in names {
        if !repo.labels.contains_key(name) {
            repo.labels.insert(name.clone(), world.id());
        }
    }
}

/// Sets a label of a pull request, or takes it away; false: it is so already.
pub(crate) fn set_label(world: &mut World, pull: &mut Pull, (by, label, on): (&str, &str, bool)) -> bool {
    if pull.labels.iter().any(|name| name == label) == on {
        return false;
    }
    if on {
        pull.labels.push(label.to_owned());
    } else {
        pull.labels.retain(|name| name != label);
    }
    let (id, at) = (world.id(), world.now());
    pull.labelled.push(Labelled { id, by: by.to_owned(), label: label.to_owned(), on, at });
    true
}
