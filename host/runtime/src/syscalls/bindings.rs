//! The syscall table of `wit/` as Rust types and traits, made by `bindgen!`; nothing here is written by hand.
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from wit/, where the documentation stands")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "agent",
    imports: {
        "agentry:agent/llm.complete": store | trappable,
        "agentry:agent/llm.stream": store | trappable,
        "agentry:agent/llm.embed": store | trappable,
        "agentry:agent/context.[method]conversation.complete": store | trappable,
        "agentry:agent/context.[method]conversation.stream": store | trappable,
        "agentry:agent/memory.search": store | trappable,
        "agentry:agent/memory.watch": store | trappable,
        "agentry:agent/memory.put": async | trappable,
        "agentry:agent/memory.delete": async | trappable,
        "agentry:agent/memory.rollback": async | trappable,
        "agentry:agent/files.read": async | trappable,
        "agentry:agent/files.write": async | trappable,
        "agentry:agent/files.stat": async | trappable,
        "agentry:agent/files.list": async | trappable,
        "agentry:agent/files.delete": async | trappable,
        "agentry:agent/tools.call": store | trappable,
        "agentry:agent/http.fetch": store | trappable,
        "agentry:agent/agents.call": store | trappable,
        "agentry:agent/agents.receive": store | trappable,
        "agentry:agent/timers.sleep": store | trappable,
        "agentry:agent/human.ask": store | trappable,
        default: trappable,
    },
    exports: { default: async | store },
    additional_derives: [PartialEq, Clone, serde::Serialize, serde::Deserialize],
});
