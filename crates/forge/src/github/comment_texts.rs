//! The present texts of comments, and the accounts that wrote them. Only the GraphQL API shows who edited a
//! comment. The times of the REST API show an edit neither reliably (a comment of a pending review changes
//! when the review is submitted) nor within the second in which the comment was written.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;
use truing_core::port::{ForgeError, TextWriter};

use super::GitHub;
use super::auth::TokenScope;

/// Largest number of nodes in one query.
const MAX_NODES: usize = 100;

/// Query for the texts of comments of both kinds.
const COMMENT_TEXTS_QUERY: &str = "
query($ids: [ID!]!) {
  nodes(ids: $ids) {
    ... on Comment {
      id body lastEditedAt
      author { __typename login }
      editor { __typename login }
    }
  }
}";

/// The present text of a comment.
pub(super) struct CommentText {
    pub(super) body: String,
    pub(super) writer: TextWriter,
}

#[derive(Deserialize)]
struct CommentNodesData {
    #[serde(default)]
    nodes: Vec<Option<CommentTextNode>>,
}

/// A comment. The fields of an object of another kind are absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommentTextNode {
    id: Option<String>,
    #[serde(default)]
    body: String,
    last_edited_at: Option<String>,
    author: Option<CommentAccount>,
    /// Account that edited the comment last; null if the account is gone, or if nobody edited the comment.
    editor: Option<CommentAccount>,
}

#[derive(Deserialize, PartialEq, Eq)]
struct CommentAccount {
    #[serde(rename = "__typename")]
    kind: String,
    login: String,
}

impl CommentTextNode {
    fn writer(&self) -> TextWriter {
        match (&self.editor, &self.author) {
            (None, _) if self.last_edited_at.is_none() => TextWriter::Author,
            (None, _) => TextWriter::Unknown,
            (Some(editor), Some(author)) if editor == author => TextWriter::Author,
            (Some(editor), _) => TextWriter::OtherAccount(editor.login.clone()),
        }
    }
}

impl GitHub {
    /// Reads comments by their node ids. The result lacks the ids that belong to no comment.
    pub(super) async fn comment_texts(
        &self,
        scope: TokenScope<'_>,
        purpose: &str,
        node_ids: &[String],
    ) -> Result<HashMap<String, CommentText>, ForgeError> {
        let mut texts = HashMap::new();
        for ids in node_ids.chunks(MAX_NODES) {
            let variables = json!({ "ids": ids });
            let data: CommentNodesData = self.graphql(scope, purpose, COMMENT_TEXTS_QUERY, variables).await?;
            for node in data.nodes.into_iter().flatten() {
                let writer = node.writer();
                if let Some(id) = node.id {
                    texts.insert(id, CommentText { body: node.body, writer });
                }
            }
        }
        Ok(texts)
    }
}
