//! The tool that returns the text of a skill to the model.

use async_trait::async_trait;
use serde_json::{Value, json};
use truing_core::line;
use truing_model::messages::ToolDefinition;

use super::Skill;
use crate::native::{RunTools, ToolCallOutput};

/// Name of the tool that shows a skill.
pub const SKILL_TOOL: &str = "skill";

/// Maximum number of characters of an unknown skill name that an error quotes.
const MAX_QUOTED_NAME_CHARS: usize = 80;

/// A run's tools, combined with the tool that shows skills.
pub struct SkillTools<'a> {
    tools: &'a dyn RunTools,
    skills: &'a [Skill],
}

impl<'a> SkillTools<'a> {
    /// Adds the tool for these skills to the run's tools.
    pub fn new(tools: &'a dyn RunTools, skills: &'a [Skill]) -> Self {
        Self { tools, skills }
    }

    fn show_skill(&self, input: &Value) -> ToolCallOutput {
        let call_output = |text: String, is_error| ToolCallOutput { text, is_error, is_denied: false };
        let Some(name) = input.get("name").and_then(Value::as_str) else {
            return call_output(
                format!("`{SKILL_TOOL}` requires the name of a skill: {{\"name\": \"…\"}}"),
                true,
            );
        };
        match self.skills.iter().find(|skill| skill.name == name) {
            Some(skill) => call_output(skill.text.clone(), false),
            None => {
                let names: Vec<_> = self.skills.iter().map(|skill| skill.name.as_str()).collect();
                let name = line::clean_line(name, MAX_QUOTED_NAME_CHARS);
                call_output(
                    format!("there is no skill `{name}`; the available skills are: {}", names.join(", ")),
                    true,
                )
            }
        }
    }
}

#[async_trait]
impl RunTools for SkillTools<'_> {
    fn tool_definitions(&self) -> Vec<ToolDefinition> {
        let mut offered = self.tools.tool_definitions();
        if !self.skills.is_empty() {
            offered.push(ToolDefinition {
                name: SKILL_TOOL.to_owned(),
                description:
                    "Shows a skill, which describes how to examine a change for one kind of defect. The \
                    task lists the skills and the purpose of each skill."
                        .to_owned(),
                input_schema: json!({
                    "type": "object",
                    "properties": {
                        "name": { "type": "string", "description": "Its name, as the task lists it" },
                    },
                    "required": ["name"],
                    "additionalProperties": false,
                }),
                cache_control: None,
            });
        }
        offered
    }

    async fn call(&self, name: &str, input: &Value) -> ToolCallOutput {
        if name == SKILL_TOOL && !self.skills.is_empty() {
            self.show_skill(input)
        } else {
            self.tools.call(name, input).await
        }
    }

    async fn clear_cache(&self) {
        self.tools.clear_cache().await;
    }
}
