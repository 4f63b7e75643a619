//! What holds of a call when its run is executed again beside its journal: which calls have an order of their own, and when a call is
//! the one that was recorded.

use super::{Call, Completion};

impl Call {
    /// True if the guest does nothing until it is answered: what `wit/` gives as plain functions. Of the others it can have several in
    /// flight, and their order is its own to see.
    pub fn blocks(&self) -> bool {
        match self {
            Self::LlmComplete(_) | Self::LlmStream(_) | Self::LlmEmbed { .. } => false,
            Self::ToolsCall { .. } | Self::Fetch(_) | Self::HttpFetch { .. } | Self::TimersSleep { .. } => false,
            Self::Memory { function, .. } => function != "memory.search",
            Self::AgentsCall(_) | Self::AgentsReceive { .. } => false,
            Self::Agents(function) => !matches!(function.as_str(), "agents.call" | "agents.receive"),
            Self::Human(function) => function != "human.ask",
            Self::HumanAsk { .. } => false,
            Self::Context(function) => !matches!(function.as_str(), "context.complete" | "context.stream"),
            _ => true,
        }
    }

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
            // To whom an answer goes is read off the letter, which may be gone.
            (Self::AgentsReply { letter, post }, Self::AgentsReply { letter: then, post: recorded }) => {
                (letter, post.content, post.bytes) == (then, recorded.content, recorded.bytes)
            }
            (asked, then) => asked == then,
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
        assert!(!Call::TimersNow.repeats(&Call::TimersDeadline));
    }
}
