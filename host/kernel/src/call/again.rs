//! When a call that a run makes as it is executed again is the one that its journal has.

use super::{Call, Completion};

impl Call {
    /// True if a guest that asks for this asks for what stands in a journal as `recorded`. What the host added to the question, such as
    /// the model behind an alias, is not the guest's and may have changed since.
    pub fn repeats(&self, recorded: &Self) -> bool {
        let same = |asked: &Completion, then: &Completion| {
            let asked =
                Completion { model: then.model.clone(), input_tokens_max: then.input_tokens_max, ..asked.clone() };
            asked == *then
        };
        match (self, recorded) {
            (Self::LlmComplete(asked), Self::LlmComplete(then)) | (Self::LlmStream(asked), Self::LlmStream(then)) => {
                same(asked, then)
            }
            (Self::LlmEmbed { bytes, .. }, Self::LlmEmbed { bytes: then, .. }) => bytes == then,
            (Self::LlmCountTokens { .. }, Self::LlmCountTokens { .. }) => true,
            // What only the decision needs is not written down.
            (
                Self::MemoryPut { namespace, key, content, bytes, .. },
                Self::MemoryPut { namespace: space, key: name, content: then, bytes: length, .. },
            ) => (namespace, key, content, bytes) == (space, name, then, length),
            (
                Self::FilesWrite { place, content, bytes, .. },
                Self::FilesWrite { place: at, content: then, bytes: length, .. },
            ) => (place, content, bytes) == (at, then, length),
            (Self::ToolsCall { name, arguments, .. }, Self::ToolsCall { name: tool, arguments: then, .. }) => {
                (name, arguments) == (tool, then)
            }
            (Self::LogEvent { line, .. }, Self::LogEvent { line: then, .. }) => line == then,
            // To whom an answer goes is read off the letter, which may be gone.
            (Self::AgentsReply { letter, post }, Self::AgentsReply { letter: then, post: recorded }) => {
                (letter, post.content, post.bytes) == (then, recorded.content, recorded.bytes)
            }
            (
                Self::LlmComplete(_)
                | Self::LlmStream(_)
                | Self::LlmEmbed { .. }
                | Self::LlmCountTokens { .. }
                | Self::MemoryPut { .. }
                | Self::FilesWrite { .. }
                | Self::ToolsCall { .. }
                | Self::LogEvent { .. }
                | Self::AgentsReply { .. },
                _,
            ) => false,
            // All that the guest asked for is written down, and nothing else.
            (
                Self::LlmModels
                | Self::Context(_)
                | Self::MemoryGet { .. }
                | Self::MemoryDelete { .. }
                | Self::MemoryList { .. }
                | Self::Memory { .. }
                | Self::FilesRead(_)
                | Self::FilesStat(_)
                | Self::FilesList(_)
                | Self::FilesDelete(_)
                | Self::ToolsList
                | Self::HttpFetch { .. }
                | Self::Agents(_)
                | Self::TimersNow
                | Self::TimersSleep { .. }
                | Self::TimersDeadline
                | Self::Human(_)
                | Self::BudgetRemaining
                | Self::BudgetSplit
                | Self::Fetch(_)
                | Self::HumanAsk { .. }
                | Self::HumanNotify { .. }
                | Self::AgentsFind { .. }
                | Self::AgentsCall(_)
                | Self::AgentsSend(_)
                | Self::AgentsReceive { .. },
                _,
            ) => self == recorded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Class, Place};
    use crate::digest::Digest;

    #[test]
    fn a_question_is_the_same_one_whoever_answers_it() {
        let ask = |model: &str, message: u8| {
            Call::LlmComplete(Completion {
                model: model.into(),
                messages: alloc::vec![Digest([message; 32])],
                settings: Digest::default(),
                input_tokens_max: model.len() as u64,
                output_tokens_max: None,
                class: Class::Normal,
                local_only: false,
                microusd_max: None,
            })
        };
        assert!(ask("small", 1).repeats(&ask("larger", 1)));
        assert!(!ask("small", 1).repeats(&ask("small", 2)));
        let put = |grows, bytes| Call::MemoryPut {
            namespace: "a".into(),
            key: "b".into(),
            content: Digest::default(),
            bytes,
            grows,
        };
        assert!(put(7, 1).repeats(&put(0, 1)) && !put(0, 2).repeats(&put(0, 1)));
        let place = Place { root: "out".into(), path: "a".into() };
        let write = |grows, bytes| Call::FilesWrite { place: place.clone(), content: Digest::default(), bytes, grows };
        assert!(write(7, 1).repeats(&write(0, 1)) && !write(0, 2).repeats(&write(0, 1)));
        let said = |line: u8, bytes| Call::LogEvent { line: Digest([line; 32]), bytes };
        assert!(said(1, 7).repeats(&said(1, 0)) && !said(1, 0).repeats(&said(2, 0)));
        assert!(!Call::TimersNow.repeats(&Call::TimersDeadline));
    }
}
