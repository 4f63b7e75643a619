//! Calls of tools and requests to the web, against the rules of a grant: the first that fits gives its terms.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::{Admission, INNER, No, Terms, joined, malformed, undeclared, undeclared_argument};
use crate::budget::{Amounts, Resource};
use crate::call::Fetch;
use crate::constraint::Misfit;
use crate::json::Value;
use crate::kernel::basis::Grounds;
use crate::pattern::name_fits;
use crate::refusal::{Code, Refusal, Rule};
use crate::rights::shapes;
use crate::rights::{Extra, Rate, ToolRight};
use crate::text;
use crate::url::Url;

/// Why a rule that is about the right thing gives nothing; the later ones are nearer to a yes.
enum Miss<'a> {
    Argument(&'a ToolRight, Misfit<'a>),
    Request(&'static str),
    Label,
    Rate(Rate, u64),
}

impl Miss<'_> {
    fn nearness(&self) -> u8 {
        match self {
            Self::Argument(..) | Self::Request(_) => 0,
            Self::Label => 1,
            Self::Rate(..) => 2,
        }
    }
}

/// A rule that missed, and where it stands.
type Missed<'a> = Option<(Miss<'a>, &'a str, u32)>;

impl<'a> Admission<'a> {
    pub(super) fn tool(&self, name: &str, value: &'a Value) -> Result<Terms, No> {
        malformed("name", name, text::name(name))?;
        if let Some(wants) = self.wants {
            if wants.tools.is_empty() {
                return Err(undeclared("tools"));
            }
            if !wants.tools.iter().any(|right| name_fits(&right.tool, name)) {
                let allowed = joined(wants.tools.iter().map(|right| right.tool.as_str()));
                return Err(undeclared_argument("tools", "name", name, &allowed));
            }
        }
        let mut best: Option<(usize, &ToolRight)> = None;
        let mut missed: Missed<'_> = None;
        for (place, right) in self.grant.tools(name) {
            let miss = match right.args.misfit(value) {
                Some(misfit) => Some(Miss::Argument(right, misfit)),
                None => self.bars(&right.extra, &right.id),
            };
            match miss {
                Some(miss) => nearer(&mut missed, miss, &right.id, right.line),
                // Rules that ask nobody come first.
                None if best.is_none_or(|(_, best)| best.extra.approval.is_some()) => best = Some((place, right)),
                None => {}
            }
        }
        let Some((place, right)) = best else { return Err(self.no_tool(name, missed)) };
        let Some(tool) = self.tools.find(name) else {
            return if self.lenient {
                Ok(self.bound(INNER, &right.extra, Grounds::Tool(place)))
            } else {
                Err(unknown(name))
            };
        };
        let worst = Amounts::of(Resource::Usd, tool.price_microusd).with(Resource::Egress, tool.egress_bytes(value));
        let terms = Terms { worst, brings: tool.labels.clone(), ..INNER };
        Ok(self.bound(terms, &right.extra, Grounds::Tool(place)))
    }

    pub(super) fn fetch(&self, fetch: &Fetch) -> Result<Terms, No> {
        if self.wants.is_some_and(|wants| !wants.others.iter().any(|other| other == "http")) {
            return Err(undeclared("http"));
        }
        malformed("method", &fetch.method, shapes::method(&fetch.method))?;
        let url = Url::parse(&fetch.url).map_err(|flaw| {
            Refusal::new(Code::Argument, format!("`url` {flaw}"))
                .argument("url", &fetch.url, "an address in its canonical form")
                .hint("the agent has to write it in another way; nothing that policy says would change this")
        })?;
        if let Some(wanted) = self.wants.map(|wants| &wants.http).filter(|wanted| !wanted.is_empty())
            && !wanted.iter().any(|right| right.to.fits(&url))
        {
            let hosts: Vec<_> = wanted.iter().map(|right| right.to.to_string()).collect();
            let hosts = joined(hosts.iter().map(alloc::string::String::as_str));
            return Err(undeclared_argument("http.hosts", "url", &fetch.url, &hosts));
        }
        // All of a package's hosts have the same methods.
        if let Some(wanted) = self.wants.and_then(|wants| wants.http.first()).map(|right| &right.methods)
            && !wanted.is_empty()
            && !wanted.contains(&fetch.method)
        {
            let methods = joined(wanted.iter().map(alloc::string::String::as_str));
            return Err(undeclared_argument("http.methods", "method", &fetch.method, &methods));
        }
        let mut best = None;
        let mut missed: Missed<'_> = None;
        for (place, right) in self.grant.http(url.name) {
            let miss = match right.to.fits(&url) {
                true if right.allows(&fetch.method, &url) => self.bars(&right.extra, &right.id),
                true if right.methods.contains(&fetch.method) => Some(Miss::Request("path")),
                true => Some(Miss::Request("method")),
                false => Some(Miss::Request("scheme or port")),
            };
            match miss {
                Some(miss) => nearer(&mut missed, miss, &right.id, right.line),
                None if best
                    .is_none_or(|(_, best): (usize, &crate::rights::HttpRight)| best.extra.approval.is_some()) =>
                {
                    best = Some((place, right));
                }
                None => {}
            }
        }
        let Some((place, right)) = best else { return Err(self.no_address(fetch, &url, missed)) };
        if let Some(handle) = &fetch.secret {
            self.secret(handle, &url)?;
        }
        let terms = Terms { worst: Amounts::of(Resource::Egress, fetch.bytes), private: right.private, ..INNER };
        Ok(self.bound(terms, &right.extra, Grounds::Http(place)))
    }

    /// What a rule adds to the terms.
    fn bound(&self, terms: Terms, extra: &Extra, ground: Grounds) -> Terms {
        Terms {
            brings: terms.brings.and(&extra.labels),
            require: extra.approval.clone(),
            ground,
            rated: extra.rate.is_some(),
            ..terms
        }
    }

    /// What keeps a rule that fits from giving anything now.
    fn bars(&self, extra: &Extra, id: &str) -> Option<Miss<'a>> {
        if extra.barred_by(self.labels) {
            return Some(Miss::Label);
        }
        let rate = extra.rate?;
        self.rates?.wait_ms(&self.grant.agent, id, rate, self.now).map(|wait_ms| Miss::Rate(rate, wait_ms))
    }

    fn no_tool(&self, name: &str, missed: Missed<'_>) -> No {
        let (shown, agent, file) = (text::show(name), &self.grant.agent, &self.grant.rule.file);
        let Some((miss, id, line)) = missed else {
            let allowed = joined(self.grant.rights.tools.iter().map(|right| right.tool.as_str()));
            return Refusal::new(Code::NoGrant, format!("agent `{agent}` may not call tool `{shown}`"))
                .rule(self.grant.rule.clone())
                .argument("name", name, allowed)
                .hint(format!(
                    "add to {file}, at its end: [[allow]] with `id = \"{agent}/{shown}\"`, `tool = \"{shown}\"`, `args = \"any\"` and a `why`"
                ))
                .into();
        };
        let rule = Rule { id: id.into(), file: file.clone(), line };
        match miss {
            Miss::Argument(right, misfit) => argument(&shown, right, &misfit, rule),
            other => self.barred(&format!("tool `{shown}`"), &other, rule),
        }
    }

    fn no_address(&self, fetch: &Fetch, url: &Url<'_>, missed: Missed<'_>) -> No {
        let (agent, file) = (&self.grant.agent, &self.grant.rule.file);
        let origin = format!("{}://{}", url.scheme.word(), text::show(url.name));
        let Some((miss, id, line)) = missed else {
            let hosts = self.grant.rights.http.iter().map(|right| right.to.host.as_str());
            return Refusal::new(Code::NoGrant, format!("agent `{agent}` may not reach `{}`", text::show(url.name)))
                .rule(self.grant.rule.clone())
                .argument("url", &fetch.url, joined(hosts))
                .hint(match self.grant.rights.http.is_empty() {
                    true => format!("add `http = [{{ to = \"{origin}\" }}]` to {file}"),
                    false => format!("add an [[http]] with `to = \"{origin}\"` to {file}"),
                })
                .into();
        };
        let rule = Rule { id: id.into(), file: file.clone(), line };
        let Miss::Request(part) = miss else { return self.barred(&origin, &miss, rule) };
        let right = self.grant.rights.http.iter().find(|right| right.line == line);
        let (name, value, allowed) = match (part, right) {
            ("method", Some(right)) => ("method", &fetch.method, joined(right.methods.iter().map(|m| m.as_str()))),
            ("path", Some(right)) => ("url", &fetch.url, joined(right.paths.iter().map(|path| path.as_str()))),
            (_, right) => ("url", &fetch.url, right.map(|right| right.to.to_string()).unwrap_or_default()),
        };
        let because = format!("agent `{agent}` may reach `{}`, but not with this {part}", text::show(url.name));
        Refusal::new(Code::Argument, because)
            .rule(rule)
            .argument(name, value, allowed)
            .hint(format!("widen the rule in {file}, or add one for this {part}"))
            .into()
    }

    fn secret(&self, handle: &str, url: &Url<'_>) -> Result<(), No> {
        // What a package leaves open, its grant says.
        if let Some(wanted) = self.wants.map(|wants| &wants.secrets).filter(|wanted| !wanted.is_empty())
            && !wanted.iter().any(|right| right.handle == handle && right.only_to.fits(url))
        {
            let allowed: Vec<_> = wanted.iter().map(|right| format!("{} to {}", right.handle, right.only_to)).collect();
            let allowed = joined(allowed.iter().map(alloc::string::String::as_str));
            return Err(undeclared_argument("secrets", "secret", handle, &allowed));
        }
        let theirs = || self.grant.rights.secrets.iter().filter(|secret| secret.handle == handle);
        if theirs().any(|secret| secret.only_to.fits(url)) {
            return Ok(());
        }
        let (shown, file) = (text::show(handle), &self.grant.rule.file);
        let Some(secret) = theirs().next() else {
            return Err(Refusal::new(Code::NoGrant, format!("agent `{}` has no secret `{shown}`", self.grant.agent))
                .rule(self.grant.rule.clone())
                .argument(
                    "secret",
                    handle,
                    joined(self.grant.rights.secrets.iter().map(|secret| secret.handle.as_str())),
                )
                .hint(match self.grant.rights.secrets.is_empty() {
                    true => format!("add `secrets = [{{ handle = \"{shown}\", only_to = \"…\" }}]` to {file}"),
                    false => format!("add a [[secrets]] with `handle = \"{shown}\"` and `only_to = \"…\"` to {file}"),
                })
                .into());
        };
        Err(Refusal::new(Code::Argument, format!("secret `{shown}` is not for `{}`", text::show(url.name)))
            .rule(self.rule("secrets", secret.line))
            .argument("secret", handle, format!("only to {}", secret.only_to))
            .hint(format!("the agent leaves it out here; who may see it stands in `only_to` in {file}"))
            .into())
    }

    fn barred(&self, thing: &str, miss: &Miss<'_>, rule: Rule) -> No {
        match miss {
            Miss::Rate(rate, wait_ms) => {
                let seconds = wait_ms.div_ceil(1000);
                Refusal::new(Code::Rate, format!("{thing} has had its {rate}"))
                    .argument("rate", &format!("{rate}"), format!("again in {seconds} s"))
                    .rule(rule)
                    .hint(format!("wait {seconds} s, or raise `rate` in {}", self.grant.rule.file))
                    .into()
            }
            _ => Refusal::new(Code::Label, format!("{thing} is not for a run that has read what this one has"))
                .argument("labels", &self.labels.to_string(), "fewer of them, see `unless` of the rule")
                .rule(rule)
                .hint("let another run do it that has not read so much")
                .into(),
        }
    }
}

fn nearer<'a>(missed: &mut Missed<'a>, miss: Miss<'a>, id: &'a str, line: u32) {
    if missed.as_ref().is_none_or(|(before, ..)| before.nearness() < miss.nearness()) {
        *missed = Some((miss, id, line));
    }
}

fn unknown(name: &str) -> No {
    let shown = text::show(name);
    Refusal::new(Code::Unknown, format!("no tool is registered as `{shown}`"))
        .argument("name", name, "a tool that `agentry tools` lists")
        .hint(format!("add [tools.\"{shown}\"] to tools.toml"))
        .into()
}

fn argument(tool: &str, right: &ToolRight, misfit: &Misfit<'_>, rule: Rule) -> No {
    let name = text::show(misfit.name);
    let value = misfit.value.map_or_else(|| "nothing".into(), Value::to_string);
    let file = rule.file.clone();
    let (because, allowed, hint) = match (misfit.value, misfit.allowed) {
        _ if misfit.name.is_empty() => {
            let hint = "the agent passes a JSON object".to_string();
            (format!("the arguments of `{tool}` are no object"), "an object".to_string(), hint)
        }
        (_, None) => {
            let hint = format!("list it under `args` of {} in {file}, or `args = \"any\"`", right.id);
            (format!("argument `{name}` of `{tool}` is not listed"), "to be left out".to_string(), hint)
        }
        (None, Some(constraint)) => {
            let hint = format!("the agent passes it, or the rule says `optional = true` in {file}");
            (format!("argument `{name}` of `{tool}` is missing"), constraint.to_string(), hint)
        }
        (Some(_), Some(constraint)) => {
            let hint = format!("widen `args.{name}` of {} in {file}", right.id);
            (format!("argument `{name}` of `{tool}` is not what the rule allows"), constraint.to_string(), hint)
        }
    };
    let named = if name.is_empty() { "arguments".into() } else { name };
    Refusal::new(Code::Argument, because).rule(rule).argument(&named, &value, allowed).hint(hint).into()
}
