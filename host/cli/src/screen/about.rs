//! What the admin's files say of what people are asked, as they are now: what a tool does, and why a rule asks. A yes rests on the call alone, so
//! files that cannot be read say nothing here; whoever uses them is told.

use std::path::PathBuf;

use agentry_config::policies;
use agentry_drivers::tools::config::{ToolLine, ToolsConfig};
use agentry_kernel::policy::SiteRule;
use agentry_runtime::host::Options;
use agentry_store::rows::approval::Question;
use serde_json::{Value, json};

use super::{question, text};

/// Letters of what an admin wrote that are shown beside a question.
const LINE_LETTERS: usize = 300;

/// Where the files lie. They are read when something is asked.
pub struct AdminFiles {
    home: PathBuf,
    policies: PathBuf,
}

/// What they say.
#[derive(Default)]
pub struct About {
    tools: Vec<ToolLine>,
    rules: Vec<SiteRule>,
}

impl AdminFiles {
    /// Those of this home and of this directory of policies.
    pub fn at(home: impl Into<PathBuf>, policies: impl Into<PathBuf>) -> Self {
        Self { home: home.into(), policies: policies.into() }
    }

    /// Those of a host that is opened so.
    pub fn of(options: &Options) -> Self {
        Self::at(&options.home, &options.policies)
    }

    /// Reads them.
    pub fn read(&self) -> About {
        let tools = ToolsConfig::load(&self.home).map(|known| known.tools).unwrap_or_default();
        let rules = policies::load(&self.policies).map(|policy| policy.rules).unwrap_or_default();
        About { tools: tools.into_iter().map(|known| known.tool).collect(), rules }
    }
}

impl About {
    fn tool(&self, question: &Question) -> Option<&ToolLine> {
        let name = question.title.strip_prefix("tools.call ")?;
        self.tools.iter().find(|tool| tool.name == name)
    }

    fn why(&self, question: &Question) -> Option<&str> {
        let rule = self.rules.iter().find(|rule| rule.rule.id == question.rule.id)?;
        (!rule.why.is_empty()).then_some(&rule.why)
    }

    /// A line each, below the question.
    pub fn page(&self, question: &Question) -> String {
        let line = |name: &str, said: &str| format!("  {name:<7} {}\n", text::cut(said, LINE_LETTERS));
        let does = self.tool(question).map(|tool| format!("{} ({})", tool.description, tool.effect.word()));
        let does = does.map_or_else(String::new, |does| line("does", &does));
        does + &self.why(question).map_or_else(String::new, |why| line("why", why))
    }

    /// The question with it, for programs.
    pub fn as_json(&self, question: &Question) -> Value {
        let mut object = question::as_json(question);
        object["effect"] = json!(self.tool(question).map(|tool| tool.effect.word()));
        object["description"] = json!(self.tool(question).map(|tool| &tool.description));
        object["why"] = json!(self.why(question));
        object
    }
}
