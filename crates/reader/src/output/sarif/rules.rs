//! Finds the rules of SARIF results by index, GUID or name. The rules belong to the tool's driver or to one
//! of its extensions (SARIF 2.1.0, 3.52.3 and 3.54.2).

use std::collections::HashMap;

use super::log::{ComponentReference, SarifComponent, SarifDescriptor, SarifResult, SarifRun, SarifText};
use crate::output::diagnostic::MAX_HELP_BYTES;
use crate::output::text::text_start;

/// Rules of one run.
pub(super) struct SarifRules<'a> {
    run: &'a SarifRun<'a>,
    /// Rules by name. Rules of the driver take precedence over rules of extensions.
    by_id: HashMap<&'a str, (&'a SarifComponent, &'a SarifDescriptor)>,
    /// Rules by GUID, which is unique to one rule.
    by_guid: HashMap<&'a str, (&'a SarifComponent, &'a SarifDescriptor)>,
}

/// A rule, and the tool component to which it belongs.
#[derive(Clone, Copy)]
pub(super) struct SarifRule<'a> {
    pub(super) component: &'a SarifComponent,
    pub(super) descriptor: Option<&'a SarifDescriptor>,
}

impl<'a> SarifRules<'a> {
    pub(super) fn new(run: &'a SarifRun<'a>) -> Self {
        let components = std::iter::once(&run.tool.driver).chain(run.tool.extensions.iter());
        let (mut named, mut by_guid) = (HashMap::new(), HashMap::new());
        for component in components {
            for rule in component.rules.iter() {
                named.entry(rule.id.as_str()).or_insert((component, rule));
                if let Some(guid) = &rule.guid {
                    by_guid.entry(guid.as_str()).or_insert((component, rule));
                }
            }
        }
        Self { run, by_id: named, by_guid }
    }

    /// Returns the rule of a result. The index in the result is used if the result has no rule name, or if
    /// the name belongs to the rule at this index. Otherwise, the rule is found by its GUID or its name,
    /// because indices in merged logs can be wrong.
    pub(super) fn rule_for(&self, result: &SarifResult<'_>) -> SarifRule<'a> {
        let reference = result.rule.as_ref();
        let component = self.find_component(reference.and_then(|rule| rule.tool_component.as_ref()));
        let index = reference.and_then(|rule| rule.index).filter(|index| index.0 >= 0).or(result.rule_index);
        let name = rule_id(result);
        let by_index = index.and_then(|index| component.rules.get(index.0));
        if let Some(rule) = by_index.filter(|rule| name.is_none_or(|name| belongs_to_rule(name, &rule.id))) {
            return SarifRule { component, descriptor: Some(rule) };
        }
        let guid = reference.and_then(|rule| rule.guid.as_deref());
        if let Some((component, rule)) = guid.and_then(|guid| self.by_guid.get(guid)) {
            return SarifRule { component, descriptor: Some(rule) };
        }
        let mut prefix = name;
        while let Some(name) = prefix {
            if let Some((component, rule)) = self.by_id.get(name) {
                return SarifRule { component, descriptor: Some(rule) };
            }
            prefix = name.rsplit_once('/').map(|(prefix, _)| prefix);
        }
        SarifRule { component, descriptor: None }
    }

    /// Returns the component that a reference names, or the driver if the reference names no component.
    fn find_component(&self, reference: Option<&ComponentReference>) -> &'a SarifComponent {
        let tool = &self.run.tool;
        let found = reference.and_then(|reference| {
            let by_index = reference.index.and_then(|index| tool.extensions.get(index.0));
            by_index.or_else(|| {
                let same = |one: &Option<String>, two: &Option<String>| one.is_some() && one == two;
                let is_it = |known: &&SarifComponent| {
                    same(&known.guid, &reference.guid) || same(&known.name, &reference.name)
                };
                tool.extensions.iter().find(is_it)
            })
        });
        found.unwrap_or(&tool.driver)
    }
}

/// Maximum length of a rule's name in bytes. Longer names are ignored.
const MAX_NAME_BYTES: usize = 1 << 10;

/// Returns the name of a result's rule.
pub(super) fn rule_id<'r>(result: &'r SarifResult<'_>) -> Option<&'r str> {
    let name = result.rule_id.as_deref().or_else(|| result.rule.as_ref()?.id.as_deref());
    // A longer name is ignored, because every prefix of a name is looked up.
    name.filter(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES)
}

/// Returns true if a result's rule name belongs to the rule: it equals the rule's name, or begins with this
/// name and a `/`.
fn belongs_to_rule(name: &str, rule: &str) -> bool {
    name.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl<'a> SarifRule<'a> {
    /// Returns the message with this id: the rule's own message, or else the component's message.
    pub(super) fn message(&self, id: &str) -> Option<&'a str> {
        let own = self.descriptor.and_then(|rule| rule.message_strings.get(id));
        own.or_else(|| self.component.global_message_strings.get(id))?.text.as_deref()
    }

    /// Returns the rule's description as Markdown: the rule's help if there is one, or else the description
    /// of the defect.
    pub(super) fn help_text(&self) -> Option<String> {
        let rule = self.descriptor?;
        let some = |text: &'a Option<SarifText>| {
            let text = text.as_ref()?;
            text.markdown.as_ref().or(text.text.as_ref()).filter(|text| !text.trim().is_empty())
        };
        let help = some(&rule.help).or_else(|| some(&rule.full_description))?;
        Some(text_start(help, MAX_HELP_BYTES / 4).to_owned())
    }
}
