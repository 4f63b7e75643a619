//! Whether one call lies within manifest ∩ grant, and the most that it can cost. Pure: it holds nothing and waits for
//! nothing, and on the way to yes it allocates nothing.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::basis::Grounds;
use super::raise::Raise;
use super::rates::Rates;
use super::slots::{ModelId, Slots};
use crate::approval::Required;
use crate::budget::{Amounts, Resource};
use crate::call::{Call, Class, Completion};
use crate::labels::Labels;
use crate::model::Model;
use crate::policy::{Grant, Policy, Subject};
use crate::refusal::{Code, Refusal, Rule};
use crate::rights::{LlmRight, Rights};
use crate::text;
use crate::time::Millis;
use crate::tool::Tools;

mod agents;
mod human;
mod outside;
mod site;
mod store;

pub(super) use site::meet;

/// The terms on which a call is admitted.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// The most that it can cost.
    pub(super) worst: Amounts,
    /// The model whose slot it needs.
    pub(super) model: Option<ModelId>,
    /// How urgent it is.
    pub(super) class: Class,
    /// The longest answer, in tokens.
    pub(super) output_tokens_max: u64,
    /// The people who must say yes before it is done.
    pub(super) require: Option<Required>,
    /// What the run gains with the answer.
    pub(super) brings: Labels,
    /// What a rule of the site takes off the run with the answer, and which.
    pub(super) clears: Option<(Labels, Rule)>,
    /// True if the host that answers may be this machine or one of its network.
    pub(super) private: bool,
    /// What gives the right.
    pub(super) ground: Grounds,
    /// True if that rule counts its calls.
    pub(super) rated: bool,
    /// Rules of those above that count it too, by agent and id.
    pub(super) counted: Vec<(String, String)>,
    /// What people are asked to add to budgets before it is held.
    pub(super) raise: Option<Box<Raise>>,
    /// True if it is a person who answers it.
    pub(super) asks: bool,
    /// What files that only observe would have said.
    pub(super) observed: Option<No>,
}

/// Boxed, because yes is the common answer and no is a large one.
pub(super) type No = Box<Refusal>;

const INNER: Terms = Terms {
    worst: Amounts::ZERO,
    model: None,
    class: Class::Normal,
    output_tokens_max: 0,
    require: None,
    brings: Labels::NONE,
    clears: None,
    private: false,
    ground: Grounds::Open,
    rated: false,
    counted: Vec::new(),
    raise: None,
    asks: false,
    observed: None,
};

/// What a call is decided on.
pub(super) struct Admission<'a> {
    pub(super) policy: &'a Policy,
    /// What the package asks for; none if it does not matter here.
    pub(super) wants: Option<&'a Rights>,
    pub(super) grant: &'a Grant,
    pub(super) slots: &'a Slots,
    pub(super) tools: &'a Tools,
    /// What the run holds.
    pub(super) labels: &'a Labels,
    /// How often rules were used; none where a call is looked at again that was counted.
    pub(super) rates: Option<&'a Rates>,
    pub(super) now: Millis,
    /// True if an account that this run draws on has a limit in money.
    pub(super) limits_money: bool,
    /// How far the run that makes the call is below the one whose rights these are; 0 if it is that one.
    pub(super) below: u32,
    /// True if a model or a tool that is not there is no reason to say no: for tests of a policy.
    pub(super) lenient: bool,
}

impl Terms {
    /// What holds under these terms and under those of an agent for which the run works.
    pub(super) fn under(self, above: Self) -> Result<Self, No> {
        let calls = self.worst[Resource::LlmCalls].min(above.worst[Resource::LlmCalls]);
        let (worst, output_tokens_max) = if above.output_tokens_max < self.output_tokens_max {
            (above.worst, above.output_tokens_max)
        } else {
            (self.worst, self.output_tokens_max)
        };
        let worst = worst.with(Resource::LlmCalls, calls);
        let require = match &above.require {
            Some(required) => Some(meet(self.require.as_ref(), required)?),
            None => self.require,
        };
        // A label is kept off an answer only where a rule keeps it off for all of them.
        let clears = match (self.clears, above.clears) {
            (Some((labels, rule)), Some((too, _))) => {
                let both = Labels::of(labels.iter().filter(|label| too.has(label)));
                (!both.is_empty()).then_some((both, rule))
            }
            _ => None,
        };
        let (brings, private) = (self.brings.and(&above.brings), self.private && above.private);
        Ok(Self { worst, output_tokens_max, require, clears, brings, private, ..self })
    }
}

impl<'a> Admission<'a> {
    /// The terms of a call, or the reason against it: manifest ∩ grant, then what the site says.
    pub(super) fn decide(&self, call: &'a Call) -> Result<Terms, No> {
        let mut terms = self.within(call)?;
        let spec = call.spec();
        terms.worst[Resource::Storage] = spec.keeps;
        terms.worst[Resource::Written] = spec.writes;
        if let Some(counted) = spec.counted {
            // A model may be asked again, and each time counts.
            let right = self.grant.rights.llm.as_ref().filter(|_| counted == Resource::LlmCalls);
            terms.worst[counted] = right.map_or(0, |right| right.retries).saturating_add(1);
        }
        self.bounded(&Subject::of(call, self.tools), terms)
    }

    /// Whether it lies within manifest ∩ grant.
    pub(super) fn within(&self, call: &'a Call) -> Result<Terms, No> {
        match call {
            Call::LlmComplete(ask) | Call::LlmStream(ask) => self.completion(ask),
            Call::LlmEmbed { model, bytes } => self.embedding(model, *bytes),
            Call::LlmCountTokens { model } => self.model(model).map(|_| Terms { ground: Grounds::Llm, ..INNER }),
            Call::LlmModels => self.declared("llm", |wants| wants.llm.is_some()),
            Call::MemoryGet { namespace, key } => self.memory(namespace, Some(key), false),
            Call::MemoryPut { namespace, key, .. } => self.memory(namespace, Some(key), true),
            Call::MemoryDelete { namespace, key } => self.memory(namespace, Some(key), true),
            Call::MemoryList { namespace, prefix } => {
                malformed("prefix", prefix, text::prefix(prefix))?;
                self.memory(namespace, None, false)
            }
            Call::Memory { function, namespace } => self.memory(namespace, None, function.ends_with("rollback")),
            Call::FilesRead(place) | Call::FilesStat(place) | Call::FilesList(place) => self.files(place, false),
            Call::FilesWrite { place, .. } => self.files(place, true),
            Call::FilesDelete(place) => self.files(place, true),
            Call::ToolsList => self.declared("tools", |wants| !wants.tools.is_empty() || wants.agents.is_some()),
            Call::ToolsCall { name, value, .. } => self.tool(name, value),
            Call::Fetch(fetch) => self.fetch(fetch),
            Call::HttpFetch { .. } => self.not_yet("http"),
            Call::AgentsFind { provides } => self.find(provides),
            Call::AgentsCall(delegation) => self.delegate(&delegation.agent),
            Call::AgentsSend(post) => self.send(&post.agent),
            Call::AgentsReply { post, .. } => self.reply(&post.agent),
            Call::AgentsReceive { .. } => self.receive(),
            Call::Agents(_) => self.not_yet("agents"),
            Call::Human(_) => self.not_yet("human"),
            Call::HumanAsk { .. } => self.human("ask", |right| right.ask),
            Call::HumanNotify { .. } => self.human("notify", |right| right.notify),
            Call::Context(_) => self.not_yet("context"),
            Call::TimersNow | Call::TimersSleep { .. } | Call::TimersDeadline => Ok(INNER),
            Call::BudgetRemaining | Call::BudgetSplit | Call::LogEvent { .. } => Ok(INNER),
        }
    }

    fn completion(&self, ask: &Completion) -> Result<Terms, No> {
        let (id, model) = match self.model(&ask.model) {
            Err(no) if self.lenient && no.code == Code::Unknown => return Ok(INNER),
            found => found?,
        };
        self.class(ask.class)?;
        if ask.local_only && !model.local {
            let because =
                format!("model `{}` does not run on this machine, and the prompt may not leave it", model.alias);
            return Err(Refusal::new(Code::Argument, because)
                .argument("privacy", "local-only", "a model that is local")
                .hint("ask a local model, or let the agent ask with another privacy")
                .into());
        }
        let output = self.output_tokens_max(ask.output_tokens_max, model)?;
        let microusd = self.microusd(model, ask.input_tokens_max, output, ask.microusd_max)?;
        Ok(self.asking(id, microusd, ask.input_tokens_max, ask.class, output))
    }

    fn embedding(&self, alias: &str, bytes: u64) -> Result<Terms, No> {
        let (id, model) = self.model(alias)?;
        // No tokenizer makes more tokens than there are bytes.
        let microusd = self.microusd(model, bytes, 0, None)?;
        Ok(self.asking(id, microusd, bytes, Class::Normal, 0))
    }

    fn asking(&self, id: ModelId, microusd: u64, input: u64, class: Class, output_tokens_max: u64) -> Terms {
        let worst = Amounts::of(Resource::Usd, microusd)
            .with(Resource::Tokens, input.saturating_add(output_tokens_max))
            .with(Resource::TokensIn, input)
            .with(Resource::TokensOut, output_tokens_max);
        Terms { worst, model: Some(id), class, output_tokens_max, ground: Grounds::Llm, ..INNER }
    }

    fn model(&self, alias: &str) -> Result<(ModelId, &Model), No> {
        malformed("model", alias, text::name(alias))?;
        if let Some(wants) = self.wants {
            let Some(wanted) = &wants.llm else { return Err(undeclared("llm")) };
            if !wanted.allows(alias) {
                return Err(undeclared_argument("llm.models", "model", alias, &list(&wanted.models)));
            }
        }
        let Some(right) = &self.grant.rights.llm else {
            return Err(self.ungranted("llm", &format!("`llm = {{ models = [\"{}\"] }}`", text::show(alias))));
        };
        if !right.allows(alias) {
            let because = format!("agent `{}` may not use model `{}`", self.grant.agent, text::show(alias));
            return Err(Refusal::new(Code::NoGrant, because)
                .rule(self.rule("llm", right.line))
                .argument("model", alias, list(&right.models))
                .hint(format!("add \"{}\" to `models` of `llm` in {}", text::show(alias), self.grant.rule.file))
                .into());
        }
        self.slots.find(alias).ok_or_else(|| {
            let because = format!("no model is configured as `{}`", text::show(alias));
            Refusal::new(Code::Unknown, because)
                .argument("model", alias, "an alias that `agentry models` lists")
                .hint(format!("add [models.{}] to agentry.toml", text::show(alias)))
                .into()
        })
    }

    fn wanted(&self) -> Option<&LlmRight> {
        self.wants.and_then(|wants| wants.llm.as_ref())
    }

    fn class(&self, asked: Class) -> Result<(), No> {
        let wanted = self.wanted().and_then(|wanted| wanted.class);
        if let Some(most) = wanted.filter(|most| asked < *most) {
            return Err(undeclared_argument("llm.class", "class", asked.word(), &format!("{} or less", most.word())));
        }
        let right = self.grant.rights.llm.as_ref();
        let most = right.and_then(|right| right.class).unwrap_or(Class::Normal);
        if asked >= most {
            return Ok(());
        }
        let because = format!("class `{}` is more urgent than agent `{}` may ask for", asked.word(), self.grant.agent);
        Err(Refusal::new(Code::Argument, because)
            .rule(self.rule("llm", right.map_or(0, |right| right.line)))
            .argument("class", asked.word(), format!("{} or less", most.word()))
            .hint(format!("set `class = \"{}\"` under `llm` in {}", asked.word(), self.grant.rule.file))
            .into())
    }

    fn output_tokens_max(&self, wish: Option<u64>, model: &Model) -> Result<u64, No> {
        let wanted = self.wanted().and_then(|wanted| wanted.max_tokens).unwrap_or(u64::MAX);
        let right = self.grant.rights.llm.as_ref();
        let granted = right.and_then(|right| right.max_tokens).unwrap_or(u64::MAX);
        let Some(wish) = wish else { return Ok(wanted.min(granted).min(model.output_tokens_max)) };
        let value = || format!("{wish}");
        if wish > wanted {
            return Err(undeclared_argument("llm.max_tokens", "max-output-tokens", &value(), &format!("1..{wanted}")));
        }
        if wish > granted {
            return Err(Refusal::new(Code::Argument, "the answer may not be as long as the agent wants it")
                .rule(self.rule("llm", right.map_or(0, |right| right.line)))
                .argument("max-output-tokens", &value(), format!("1..{granted}"))
                .hint(format!("raise `max_tokens` under `llm` in {}", self.grant.rule.file))
                .into());
        }
        Ok(wish.min(model.output_tokens_max))
    }

    fn microusd(&self, model: &Model, input: u64, output: u64, most: Option<u64>) -> Result<u64, No> {
        let Some(price) = &model.price else {
            let limited = most.is_some() || self.limits_money;
            return if model.local || !limited { Ok(0) } else { Err(self.no_price(model)) };
        };
        let worst = price.worst(input, output);
        match most.filter(|most| worst > *most) {
            None => Ok(worst),
            Some(most) => Err(Refusal::new(Code::Argument, "the call may cost more than the agent wants to pay")
                .argument("max-cost-microusd", &format!("{most}"), format!("at least {worst}"))
                .hint("let the agent shorten the prompt or the answer, or ask a cheaper model")
                .into()),
        }
    }

    fn no_price(&self, model: &Model) -> No {
        let because = format!("money is limited and nobody said what model `{}` costs", model.alias);
        Refusal::new(Code::NoPrice, because)
            .rule(self.rule("budget", self.grant.rule.line))
            .argument("model", &model.alias, "a model with a price, or a local one")
            .hint(format!("add `price` to [models.{}] in agentry.toml", model.alias))
            .into()
    }

    fn declared(&self, interface: &str, is_declared: impl Fn(&Rights) -> bool) -> Result<Terms, No> {
        if self.wants.is_none_or(is_declared) { Ok(INNER) } else { Err(undeclared(interface)) }
    }

    fn not_yet(&self, interface: &str) -> Result<Terms, No> {
        if self.wants.is_some_and(|wants| !wants.others.iter().any(|other| other == interface)) {
            return Err(undeclared(interface));
        }
        let because = format!("`{interface}` comes in a later version of Agentry");
        Err(Refusal::new(Code::Later, because).hint("the agent has to do without it").into())
    }

    fn ungranted(&self, interface: &str, add: &str) -> No {
        let because = format!("agent `{}` has no grant for this in `{interface}`", self.grant.agent);
        Refusal::new(Code::NoGrant, because)
            .rule(self.grant.rule.clone())
            .hint(format!("add {add} to {}", self.grant.rule.file))
            .into()
    }

    fn rule(&self, key: &str, line: u32) -> Rule {
        Rule { id: format!("{}/{key}", self.grant.agent), file: self.grant.rule.file.clone(), line }
    }
}

fn malformed(argument: &str, value: &str, checked: Result<(), text::TextFlaw>) -> Result<(), No> {
    checked.map_err(|flaw| {
        Refusal::new(Code::Argument, format!("`{argument}` {flaw}"))
            .argument(argument, value, "a plain name")
            .hint("the agent has to pass another one; nothing that policy says would change this")
            .into()
    })
}

fn undeclared(interface: &str) -> No {
    Refusal::new(Code::NotDeclared, format!("the package does not ask for `{interface}`"))
        .hint(format!("its author adds `{interface}` to `wants` in agent.toml and builds it again"))
        .into()
}

fn undeclared_argument(want: &str, argument: &str, value: &str, allowed: &str) -> No {
    Refusal::new(Code::NotDeclared, format!("the package asks for less than this in `{want}`"))
        .argument(argument, value, allowed)
        .hint(format!("its author widens `{want}` in `wants` of agent.toml and builds it again"))
        .into()
}

fn list(patterns: &[String]) -> String {
    joined(patterns.iter().map(String::as_str))
}

fn joined<'a>(patterns: impl Iterator<Item = &'a str>) -> String {
    let mut joined = String::new();
    for pattern in patterns {
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(pattern);
    }
    if joined.is_empty() { "nothing".into() } else { joined }
}
