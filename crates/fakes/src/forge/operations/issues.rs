//! Opens issues, and sets and removes labels.

use crate::forge::state::issues::{LabelChange, StoredIssue};
use crate::forge::state::pulls::StoredPull;
use crate::forge::state::{ForgeInstance, StoredRepository};

/// Opens an issue and returns its number.
pub(crate) fn open_issue(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    author: &str,
    title: &str,
    body: &str,
    labels: Vec<String>,
) -> u64 {
    forge.ensure_account(author);
    create_missing_labels(forge, repo, &labels);
    let (id, number, now) = (forge.next_id(), repo.next_number(), forge.now());
    let issue = StoredIssue {
        id,
        number,
        title: title.to_owned(),
        body: body.to_owned(),
        author: author.to_owned(),
        labels,
        open: true,
        locked: false,
        state_reason: None,
        created_at: now,
        updated_at: now,
        close_event: None,
        comments: Vec::new(),
        hidden_list_reads: forge.stale_list_reads,
    };
    repo.issues.insert(number, issue);
    number
}

/// Creates the labels that do not exist yet.
pub(crate) fn create_missing_labels(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    names: &[String],
) {
    for name in names {
        if !repo.labels.contains_key(name) {
            repo.labels.insert(name.clone(), forge.next_id());
        }
    }
}

/// Sets or removes a label of a pull request. Returns false if nothing changes.
pub(crate) fn set_label(
    forge: &mut ForgeInstance,
    pull: &mut StoredPull,
    actor: &str,
    label: &str,
    is_added: bool,
) -> bool {
    if pull.labels.iter().any(|name| name == label) == is_added {
        return false;
    }
    if is_added {
        pull.labels.push(label.to_owned());
    } else {
        pull.labels.retain(|name| name != label);
    }
    let (id, at) = (forge.next_id(), forge.now());
    pull.label_changes.push(LabelChange {
        id,
        account: actor.to_owned(),
        label: label.to_owned(),
        is_added,
        changed_at: at,
    });
    true
}
