//! The tools of the registry, replaced while runs go on. A call that was admitted ends with the tool that it was admitted for; a question about
//! one that is gone or differs is void.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::approvals::How;
use super::{Consequences, Kernel, reasons};
use crate::call::Call;
use crate::tool::{Tool, Tools, ToolsChange};

impl Kernel {
    /// Replaces the tools. One that is gone is refused at the next call of it, one that differs is decided on as it is then.
    pub fn set_tools(&mut self, tools: Vec<Tool>) -> (ToolsChange, Consequences) {
        let after = Tools::new(tools);
        let change = ToolsChange::between(&self.tools, &after);
        self.tools = after;
        let open = self.approvals.questions.iter().filter(|(_, question)| self.differs(question.tool.as_deref()));
        for id in open.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.approvals.close(id, How::Void, reasons::other_tool);
        }
        (change, self.follows())
    }

    /// True if this tool, as people were asked about a call of it, is not the one that the registry has now.
    pub(super) fn differs(&self, asked: Option<&Tool>) -> bool {
        asked.is_some_and(|asked| self.tools.find(&asked.name) != Some(asked))
    }

    /// The tool that a call is of, as it is now.
    pub(super) fn tool_of(&self, call: &Call) -> Option<Box<Tool>> {
        let Call::ToolsCall { name, .. } = call else { return None };
        self.tools.find(name).map(|tool| Box::new(tool.clone()))
    }
}
