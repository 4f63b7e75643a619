//! What lies outside manifest ∩ grant is refused, in words that say what to edit.

use expect_test::expect;

use super::*;

#[test]
fn a_model_that_is_not_granted_is_refused_with_the_line_to_edit() {
    check(
        &Call::LlmComplete(ask("large", 10, 10)),
        &expect![[r#"
        denied  scribe → llm.complete: agent `scribe` may not use model `large`
          rule  scribe/llm   policies/50-scribe.toml:7
          arg   model = large, allowed small, dear
          hint  add "large" to `models` of `llm` in policies/50-scribe.toml
          ref   0000000000001/7"#]],
    );
}

#[test]
fn an_answer_longer_than_granted_is_refused() {
    check(
        &Call::LlmComplete(ask("small", 10, 501)),
        &expect![[r#"
        denied  scribe → llm.complete: the answer may not be as long as the agent wants it
          rule  scribe/llm   policies/50-scribe.toml:7
          arg   max-output-tokens = 501, allowed 1..500
          hint  raise `max_tokens` under `llm` in policies/50-scribe.toml
          ref   0000000000001/7"#]],
    );
    check(
        &Call::LlmComplete(ask("small", 10, 1001)),
        &expect![[r#"
        denied  scribe → llm.complete: the package asks for less than this in `llm.max_tokens`
          arg   max-output-tokens = 1001, allowed 1..1000
          hint  its author widens `llm.max_tokens` in `wants` of agent.toml and builds it again
          ref   0000000000001/7"#]],
    );
}

#[test]
fn a_class_can_only_be_lowered() {
    check(
        &Call::LlmComplete(Completion { class: Class::Interactive, ..ask("small", 1, 1) }),
        &expect![[r#"
        denied  scribe → llm.complete: class `interactive` is more urgent than agent `scribe` may ask for
          rule  scribe/llm   policies/50-scribe.toml:7
          arg   class = interactive, allowed normal or less
          hint  set `class = "interactive"` under `llm` in policies/50-scribe.toml
          ref   0000000000001/7"#]],
    );
    let lower = Call::LlmComplete(Completion { class: Class::Batch, ..ask("small", 1, 1) });
    let permit = permit(&mut kernel(), &lower);
    assert_eq!(permit.output_tokens_max(), 1);
}

#[test]
fn words_that_must_stay_here_do_not_leave() {
    check(
        &Call::LlmComplete(Completion { local_only: true, ..ask("dear", 1, 1) }),
        &expect![[r#"
        denied  scribe → llm.complete: model `dear` does not run on this machine, and the prompt may not leave it
          arg   privacy = local-only, allowed a model that is local
          hint  ask a local model, or let the agent ask with another privacy
          ref   0000000000001/7"#]],
    );
}

#[test]
fn one_token_too_few_is_exhausted_and_says_which_budget() {
    let mut kernel = kernel();
    let enough = permit(&mut kernel, &Call::LlmComplete(ask("small", 1600, 400)));
    kernel.give_back(enough, NOW);
    check(
        &Call::LlmComplete(ask("small", 1601, 400)),
        &expect![[r#"
            exhausted  scribe → llm.complete: the budget of tokens for this run does not hold the most that this can take
              rule  scribe/budget   policies/50-scribe.toml:14
              arg   tokens_run = 2001 tokens, allowed up to 2000 tokens (limit 2000 tokens)
              hint  raise `tokens_run` of the budget in policies/50-scribe.toml
              ref   0000000000001/7"#]],
    );
    check(
        &Call::LlmComplete(ask("dear", 601, 400)),
        &expect![[r#"
            exhausted  scribe → llm.complete: the budget of money for this run does not hold the most that this can take
              rule  scribe/budget   policies/50-scribe.toml:13
              arg   usd_run = 0.01001 USD, allowed up to 0.01 USD (limit 0.01 USD)
              hint  raise `usd_run` of the budget in policies/50-scribe.toml
              ref   0000000000001/7"#]],
    );
    check(
        &Call::LlmComplete(ask("small", u64::MAX, 400)),
        &expect![[r#"
            exhausted  scribe → llm.complete: the budget of tokens for this run does not hold the most that this can take
              rule  scribe/budget   policies/50-scribe.toml:14
              arg   tokens_run = 18446744073709551615 tokens, allowed up to 2000 tokens (limit 2000 tokens)
              hint  raise `tokens_run` of the budget in policies/50-scribe.toml
              ref   0000000000001/7"#]],
    );
}

#[test]
fn an_unknown_price_is_refused_where_money_is_limited() {
    let grant = GRANT.replace("\"dear\"", "\"unpriced\"");
    let call = Call::LlmComplete(ask("unpriced", 1, 1));
    expect![[r#"
        denied  scribe → llm.complete: money is limited and nobody said what model `unpriced` costs
          rule  scribe/budget   policies/50-scribe.toml:3
          arg   model = unpriced, allowed a model with a price, or a local one
          hint  add `price` to [models.unpriced] in agentry.toml
          ref   0000000000001/7"#]]
    .assert_eq(&refusal(&mut kernel_of(&grant), &call).to_string());
    let free = grant.replace("usd_run", "# usd_run");
    let permit = permit(&mut kernel_of(&free), &call);
    assert_eq!(permit.held()[Resource::Usd], 0);
}

#[test]
fn an_agent_is_not_charged_more_than_it_wants_to_pay() {
    check(
        &Call::LlmComplete(Completion { microusd_max: Some(10), ..ask("dear", 1, 1) }),
        &expect![[r#"
        denied  scribe → llm.complete: the call may cost more than the agent wants to pay
          arg   max-cost-microusd = 10, allowed at least 20
          hint  let the agent shorten the prompt or the answer, or ask a cheaper model
          ref   0000000000001/7"#]],
    );
}

#[test]
fn memory_outside_the_granted_namespaces_is_refused() {
    let get = |namespace: &str| Call::MemoryGet { namespace: namespace.into(), key: "k".into() };
    check(
        &get("team/secret"),
        &expect![[r#"
        denied  scribe → memory.get: agent `scribe` may not read memory `team/secret`
          rule  scribe/memory   policies/50-scribe.toml:8
          arg   namespace = team/secret, allowed team/board
          hint  add "team/secret" to `read` of `memory` in policies/50-scribe.toml
          ref   0000000000001/7"#]],
    );
    check(
        &get("agent/other"),
        &expect![[r#"
        denied  scribe → memory.get: the package asks for less than this in `memory.read`
          arg   namespace = agent/other, allowed team/**, agent/scribe/**
          hint  its author widens `memory.read` in `wants` of agent.toml and builds it again
          ref   0000000000001/7"#]],
    );
    check(
        &get("agent/scribe/../other"),
        &expect![[r#"
        denied  scribe → memory.get: `namespace` has `.` or `..`
          arg   namespace = agent/scribe/../other, allowed a plain name
          hint  the agent has to pass another one; nothing that policy says would change this
          ref   0000000000001/7"#]],
    );
    let _permit = permit(&mut kernel(), &get("team/board"));
}

#[test]
fn files_outside_the_granted_subtree_are_refused() {
    check(
        &write("notes.md"),
        &expect![[r#"
        denied  scribe → files.write: agent `scribe` may not write `notes.md` under root `docs`
          rule  scribe/files   policies/50-scribe.toml:9
          arg   path = notes.md, allowed `/out` of `docs`, access "rw"
          hint  widen `at` or `access` of root `docs` under `files` in policies/50-scribe.toml
          ref   0000000000001/7"#]],
    );
    check(
        &read("secrets", "a"),
        &expect![[r#"
        denied  scribe → files.read: the package asks for less than this in `files`
          arg   root = secrets, allowed the roots of its `wants`, with access "r"
          hint  its author widens `files` in `wants` of agent.toml and builds it again
          ref   0000000000001/7"#]],
    );
    check(
        &read("docs", "../a"),
        &expect![[r#"
        denied  scribe → files.read: `path` has `.` or `..`
          arg   path = ../a, allowed a plain name
          hint  the agent has to pass another one; nothing that policy says would change this
          ref   0000000000001/7"#]],
    );
    for allowed in [read("docs", ""), read("docs", "a/b"), write("out/a.md")] {
        let _permit = permit(&mut kernel(), &allowed);
    }
    for slips in ["outside/a", "out/../a", "/out/a", "out//a", "out\\a", "./out/a", "OUT/a"] {
        refusal(&mut kernel(), &write(slips));
    }
}

#[test]
fn a_tool_without_a_rule_is_refused() {
    let tool = |name: &str| tool_call(name, "{}");
    check(
        &tool("mail.delete"),
        &expect![[r#"
            denied  scribe → tools.call: agent `scribe` may not call tool `mail.delete`
              rule  scribe   policies/50-scribe.toml:3
              arg   name = mail.delete, allowed mail.send
              hint  add to policies/50-scribe.toml, at its end: [[allow]] with `id = "scribe/mail.delete"`, `tool = "mail.delete"`, `args = "any"` and a `why`
              ref   0000000000001/7"#]],
    );
    check(
        &tool("pay.send"),
        &expect![[r#"
        denied  scribe → tools.call: the package asks for less than this in `tools`
          arg   name = pay.send, allowed mail.*
          hint  its author widens `tools` in `wants` of agent.toml and builds it again
          ref   0000000000001/7"#]],
    );
    assert_eq!(permit(&mut kernel(), &tool("mail.send")).held()[Resource::ToolCalls], 1);
}

#[test]
fn what_this_version_cannot_do_yet_is_said_so() {
    check(
        &Call::HumanAsk { question: Digest::default(), expires_ms: None },
        &expect![[r#"
        denied  scribe → human.ask: the package does not ask for `human`
          hint  its author adds `human` to `wants` in agent.toml and builds it again
          ref   0000000000001/7"#]],
    );
}
