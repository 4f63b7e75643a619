//! What an agent said with a call, in its own words, for people who read what happened. It only reads.

use agentry_kernel::Call;
use agentry_kernel::digest::Digest;

use agentry_store::{StoreError, content};

use crate::history::History;

impl History {
    /// The words that a call carries to people or to other agents; none if it carries none, or if they are not here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn said(&self, call: &Call) -> Result<Option<String>, StoreError> {
        match call {
            Call::LogEvent { line: text, .. } | Call::HumanNotify { text } => self.text(text),
            Call::HumanAsk { question, .. } => Ok(self.blob(question)?.as_deref().and_then(content::question)),
            Call::AgentsSend(post) | Call::AgentsReply { post, .. } => self.text(&post.content),
            Call::AgentsCall(delegation) => self.text(&delegation.input),
            // What these carry is for programs, and what it is about stands in the call.
            Call::LlmModels | Call::LlmComplete(_) | Call::LlmStream(_) | Call::LlmEmbed { .. } => Ok(None),
            Call::LlmCountTokens { .. } | Call::Context(_) | Call::ToolsList | Call::ToolsCall { .. } => Ok(None),
            Call::MemoryGet { .. } | Call::MemoryPut { .. } | Call::MemoryDelete { .. } => Ok(None),
            Call::MemoryList { .. } | Call::Memory { .. } | Call::HttpFetch { .. } | Call::Fetch(_) => Ok(None),
            Call::FilesRead(_) | Call::FilesWrite { .. } | Call::FilesStat(_) | Call::FilesList(_) => Ok(None),
            Call::FilesDelete(_) | Call::BudgetRemaining | Call::BudgetSplit => Ok(None),
            Call::TimersNow | Call::TimersSleep { .. } | Call::TimersDeadline => Ok(None),
            Call::Human(_) | Call::Agents(_) | Call::AgentsFind { .. } | Call::AgentsReceive { .. } => Ok(None),
        }
    }

    fn text(&self, name: &Digest) -> Result<Option<String>, StoreError> {
        Ok(self.blob(name)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }
}
