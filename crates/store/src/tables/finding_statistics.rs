//! Counts of findings for `truing report`, and the times to the first comments.

use truing_core::id::UnixMillis;
use truing_core::port::StoreError;

use crate::store::Store;

/// The number of findings with the same repository, rule, source, status, model and specialists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FindingCount {
    /// The common prefix of the keys of the repository's pull requests (`pr/github/1/`), or the key of local
    /// reviews.
    pub repository: String,
    /// The rule that found the findings.
    pub rule: String,
    /// The source of the findings: `rule`, `tool` or `agent`.
    pub source: String,
    /// The name of the findings' present status; `retracted` if an operator retracted their comments.
    pub status: String,
    /// For findings of the source `agent`, the model of the newest review on the same key that used a model.
    pub model: Option<String>,
    /// The specialists that reported the findings; empty if the model was the only reviewer.
    pub specialists: Vec<String>,
    /// Number of the findings.
    pub findings: u64,
    /// Number of findings with a comment, even if a user has deleted the comment since.
    pub posted: u64,
}

impl Store {
    /// Counts stored findings by their present status. Counts all findings of every key (a pull request or
    /// local reviews) on which a review ended since the given time. Findings with a damaged row are left out.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn finding_counts(&self, since: UnixMillis) -> Result<Vec<FindingCount>, StoreError> {
        self.read(move |connection| {
            let dialect = connection.dialect();
            let finding = dialect.choose("finding.body", "CAST(finding.body AS JSON)");
            let record = dialect.choose("record", "CAST(record AS JSON)");
            let dismissal = dialect.choose("dismissal.body", "CAST(dismissal.body AS JSON)");
            let model = format!("CASE WHEN json_valid(record) THEN {record} ->> 'model' END");
            let sql = format!(
                "WITH reviewed AS MATERIALIZED
                   (SELECT DISTINCT key FROM run WHERE loop = 'review' AND ended >= ?1 AND kind IS NOT NULL),
                 found AS MATERIALIZED
                   (SELECT finding.key AS key, {finding} -> 'raw' ->> 'rule' AS rule,
                           {finding} -> 'raw' ->> 'source' AS source,
                           CASE WHEN {finding} -> 'status' ->> 'status' = 'dismissed'
                                 AND CASE WHEN json_valid(dismissal.body)
                                     THEN {dismissal} ->> 'retraction' END IS NOT NULL
                                THEN 'retracted' ELSE {finding} -> 'status' ->> 'status' END AS status,
                           {finding} -> 'raw' ->> 'specialists' AS specialists,
                           count(*) AS findings, count(desired.comment) AS posted
                    FROM reviewed JOIN finding ON finding.key = reviewed.key
                    LEFT JOIN desired ON desired.key = finding.key AND desired.producer = 'review'
                                         AND desired.item = finding.id
                    LEFT JOIN dismissal ON dismissal.key = finding.key AND dismissal.finding = finding.id
                    WHERE json_valid(finding.body) GROUP BY 1, 2, 3, 4, 5),
                 asked AS MATERIALIZED
                   (SELECT key, (SELECT {model} FROM run WHERE run.key = agents.key AND run.loop = 'review'
                                 AND {model} IS NOT NULL ORDER BY run.token DESC LIMIT 1) AS model
                    FROM (SELECT DISTINCT key FROM found WHERE source = 'agent') AS agents)
                 SELECT CASE WHEN found.key LIKE 'pr/%' THEN rtrim(found.key, '0123456789') ELSE found.key \
                 END,
                        rule, source, status, model, specialists, CAST(sum(findings) AS BIGINT),
                        CAST(sum(posted) AS BIGINT)
                 FROM found LEFT JOIN asked ON asked.key = found.key AND found.source = 'agent'
                 WHERE rule IS NOT NULL AND source IS NOT NULL AND status IS NOT NULL
                 GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6"
            );
            connection
                .sql(&sql)
                .query([since.0], |row| {
                    Ok(FindingCount {
                        repository: row.get(0)?,
                        rule: row.get(1)?,
                        source: row.get(2)?,
                        status: row.get(3)?,
                        model: row.get(4)?,
                        specialists: row
                            .get::<Option<String>>(5)?
                            .and_then(|names| truing_core::json::from_str(&names).ok())
                            .unwrap_or_default(),
                        findings: row.get(6)?,
                        posted: row.get(7)?,
                    })
                })?
                .collect()
        })
        .await
    }

    /// For each head, returns the time from the start of the head's first review to the request that posted
    /// the first comment. The times are in milliseconds, in ascending order. Includes only heads that have a
    /// comment and whose first review began at or after `since`.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn first_comment_delays(&self, since: UnixMillis) -> Result<Vec<u64>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT CASE WHEN at > began THEN at - began ELSE 0 END FROM
                         (SELECT min(effect.at) AS at,
                                 (SELECT min(began) FROM run AS earlier WHERE earlier.loop = 'review'
                                  AND earlier.key = run.key AND earlier.head = run.head) AS began
                          FROM effect JOIN run ON run.key = effect.key AND run.token = effect.token
                                                  AND run.loop = 'review'
                          WHERE effect.at >= ?1 AND effect.producer = 'review' AND effect.topic LIKE 'item/%'
                                AND effect.lost IS NULL AND effect.comment IS NOT NULL
                          GROUP BY run.key, run.head) AS heads
                       WHERE began >= ?1 ORDER BY 1";
            connection.sql(sql).query([since.0], |row| row.get(0))?.collect()
        })
        .await
    }
}
