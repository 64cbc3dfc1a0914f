//! Reads values that are tables or lists of tables. Each error is reported at its own position in the file.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use truing_core::tier::RuleOwner;

use super::{
    ConfigProblem, ConfigValue, ConfigValueError, FileOwner, LayerBuilder, ValueKind, truncate_name, value,
};
use crate::value::instructions;
use crate::value::tiers::{self, TableEntryError};

/// A function that reads one entry of a list of tables. The other arguments are the entry's position in the
/// file and the owner of the file.
type EntryReader<T> = fn(&DeTable<'_>, &str, RuleOwner) -> Result<T, Vec<TableEntryError>>;

impl LayerBuilder<'_> {
    /// Reads a list of secret locations.
    pub(super) fn read_secrets(
        &mut self,
        path: &[&str],
        locations: &[Spanned<DeValue<'_>>],
    ) -> Result<Option<ConfigValue>, ConfigValueError> {
        let mut all = Vec::new();
        for place in locations {
            match place.get_ref() {
                DeValue::Table(table) => match self.read_secret(path, table)? {
                    Some(ConfigValue::Secret(secret)) => all.push(secret),
                    Some(_) | None => return Ok(None),
                },
                DeValue::String(_) => return Err(ConfigValueError::LiteralSecret),
                other @ (DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_)) => {
                    return ConfigValue::from_toml(ValueKind::SecretLocations, other, &self.file.folder)
                        .map(Some);
                }
            }
        }
        Ok(Some(ConfigValue::Secrets(all)))
    }

    /// Reads rules for the tier of reviews. Records the problem of each invalid rule, and returns `None` if a
    /// rule is invalid.
    pub(super) fn read_tier_rules(
        &mut self,
        path: &[&str],
        tables: &[Spanned<DeValue<'_>>],
    ) -> Result<Option<ConfigValue>, ConfigValueError> {
        tiers::refuse_too_many(tables.len())?;
        let rules = self.read_entries(path, tables, tiers::tier_list_requirement(), tiers::rule_from_toml)?;
        Ok(rules.map(ConfigValue::Tiers))
    }

    /// Reads instructions for reviews. Records the problem of each invalid instruction, and returns `None` if
    /// an instruction is invalid.
    pub(super) fn read_instructions(
        &mut self,
        path: &[&str],
        tables: &[Spanned<DeValue<'_>>],
    ) -> Result<Option<ConfigValue>, ConfigValueError> {
        instructions::refuse_too_many(tables.len())?;
        let form = instructions::instruction_list_requirement();
        let all = self.read_entries(path, tables, form, instructions::instruction_from_toml)?;
        Ok(all.map(ConfigValue::Instructions))
    }

    /// Reads the entries of a list of tables. `requirement` describes the required structure of the list in
    /// error messages.
    fn read_entries<T>(
        &mut self,
        path: &[&str],
        tables: &[Spanned<DeValue<'_>>],
        requirement: &str,
        read: EntryReader<T>,
    ) -> Result<Option<Vec<T>>, ConfigValueError> {
        let owner = match self.owner {
            FileOwner::Operator => RuleOwner::Operator,
            FileOwner::Repository => RuleOwner::Repository,
        };
        let mut entries = Vec::new();
        for entry in tables {
            let start = entry.span().start;
            let DeValue::Table(table) = entry.get_ref() else {
                return Err(ConfigValueError::UnmetRequirement(format!("must {requirement}")));
            };
            let place = self.origin(start).to_string();
            match read(table, &place, owner) {
                Ok(entry) => entries.push(entry),
                Err(faults) => {
                    for TableEntryError { key, error: wrong } in faults {
                        let of_key = key.as_ref().and_then(|key| {
                            table
                                .iter()
                                .find(|(name, _)| name.get_ref().as_ref() == key)
                                .map(|(name, _)| name.span().start)
                        });
                        let name = path
                            .iter()
                            .copied()
                            .chain(key.as_deref().map(truncate_name))
                            .collect::<Vec<_>>()
                            .join(".");
                        self.report_problem(of_key.unwrap_or(start), |at| {
                            ConfigProblem::from_value_error(at, name, wrong)
                        });
                    }
                }
            }
        }
        Ok((entries.len() == tables.len()).then_some(entries))
    }

    /// Reads headers, each with the location of its secret. Records the problem of each invalid header, and
    /// returns `None` if a header is invalid.
    pub(super) fn read_headers(&mut self, path: &[&str], table: &DeTable<'_>) -> Option<ConfigValue> {
        let mut all = BTreeMap::new();
        let mut is_whole = true;
        for (name, place) in table {
            let (start, name) = (name.span().start, name.get_ref().as_ref());
            let of_header: Vec<&str> = path.iter().copied().chain([truncate_name(name)]).collect();
            let read = match place.get_ref() {
                DeValue::Table(fields) => self.read_secret(&of_header, fields),
                other @ (DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_)) => {
                    ConfigValue::from_toml(ValueKind::SecretLocation, other, &self.file.folder).map(Some)
                }
            };
            let added = match read {
                Ok(Some(ConfigValue::Secret(secret))) => {
                    value::add_header(&mut all, name, secret).map(|()| true)
                }
                // Problems of the secret's table are already recorded.
                Ok(Some(_) | None) => Ok(false),
                Err(wrong) => Err(wrong),
            };
            is_whole &= added.unwrap_or_else(|wrong| {
                let key = format!("{}.{:?}", path.join("."), truncate_name(name));
                self.report_problem(start, |at| ConfigProblem::from_value_error(at, key, wrong));
                false
            });
        }
        is_whole.then_some(ConfigValue::SecretTable(all))
    }

    /// Reads rules with their severities. Records the problem of each invalid entry, and returns `None` if an
    /// entry is invalid.
    pub(super) fn read_severities(&mut self, path: &[&str], table: &DeTable<'_>) -> Option<ConfigValue> {
        let mut all = BTreeMap::new();
        let mut is_whole = true;
        for (rule, severities) in table {
            let (start, rule) = (rule.span().start, rule.get_ref().as_ref());
            match value::severities_from_json(rule, &tiers::toml_to_json(severities.get_ref())) {
                Ok(severities) => drop(all.insert(rule.to_owned(), severities)),
                Err(wrong) => {
                    let key = format!("{}.{:?}", path.join("."), truncate_name(rule));
                    self.report_problem(start, |at| ConfigProblem::from_value_error(at, key, wrong));
                    is_whole = false;
                }
            }
        }
        is_whole.then_some(ConfigValue::RuleSeverities(all))
    }

    /// Reads `{ env = "VARIABLE" }` or `{ file = "PATH" }`. If the table has an unknown key, records this
    /// problem and returns `None`.
    pub(super) fn read_secret(
        &mut self,
        path: &[&str],
        table: &DeTable<'_>,
    ) -> Result<Option<ConfigValue>, ConfigValueError> {
        let mut found = Vec::new();
        let mut unknown = false;
        for (name, value) in table {
            match (name.get_ref().as_ref(), value.get_ref().as_str()) {
                ("env", Some(variable)) => found.push(value::secret_variable(variable)?),
                ("file", Some(file)) => found.push(value::secret_file(file, &self.file.folder)?),
                ("env" | "file", None) => {
                    return Err(ConfigValueError::UnmetRequirement(
                        "must have a string as the value of `env` or `file`".into(),
                    ));
                }
                (other, _) => {
                    let near =
                        |word: &str| strsim::normalized_damerau_levenshtein(truncate_name(other), word);
                    let word = if near("env") >= near("file") { "env" } else { "file" };
                    let nearest = format!("{}.{word}", path.join("."));
                    let path: Vec<&str> = path.iter().copied().chain([other]).collect();
                    self.report_unknown(&path, name.span().start, Some(nearest));
                    unknown = true;
                }
            }
        }
        match (found.pop(), found.pop()) {
            _ if unknown => Ok(None),
            (Some(secret), None) => Ok(Some(ConfigValue::Secret(secret))),
            (Some(_), Some(_)) => {
                Err(ConfigValueError::UnmetRequirement("must have either `env` or `file`, not both".into()))
            }
            (None, _) => Err(ConfigValueError::UnmetRequirement(
                "must be { env = \"VARIABLE\" } or { file = \"PATH\" }".into(),
            )),
        }
    }
}
