//! Runs out of the journal, as questions about policy need them. It only reads.

use std::sync::Arc;

use agentry_journal::history::History;
use agentry_kernel::Resource;
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::inquiry::{Packaged, Past, Scenario};
use agentry_kernel::journal::Entry;
use agentry_kernel::model::{Model, Price};
use agentry_llm::config::SCRIPTED;
use agentry_packages::signers::Signers;
use anyhow::{Context, Result, bail};

use crate::home::Home;
use crate::package;
use crate::screen::text;

/// What happened in a home.
pub fn history(home: &Home) -> Result<History> {
    match home.history()? {
        Some(history) => Ok(history),
        None => bail!(
            "there are no runs here\nhint: start one: agentry run FILE.wasm, or name another home with --home DIR"
        ),
    }
}

/// A run with its calls; none if it was refused before it began, so that it made none.
pub fn of(home: &Home, history: &History, run: RunId) -> Result<Option<Past>> {
    let entries = history.entries(run)?;
    if !entries.iter().any(|entry| matches!(entry, Entry::Started(_))) {
        return Ok(None);
    }
    let past = Past::of(run, &entries, |digest| history.blob(digest).ok().flatten());
    let mut past =
        past.with_context(|| format!("run {run} has no beginning\nhint: its journal is damaged: agentry trace {run}"))?;
    past.package = package(home, history, &entries);
    Ok(Some(past))
}

/// The package of a run; none if its component is not kept any more.
fn package(home: &Home, history: &History, entries: &[Entry]) -> Option<Packaged> {
    let Some(Entry::Started(started)) = entries.first() else { return None };
    let component = history.blob(&started.component).ok()??;
    let manifest = package::manifest_of_kept(started.component, &component).map(Arc::new)?;
    Some(Packaged { manifest, signer: Signers::at(home.path()).of(started.component) })
}

/// The run and the place of the call that `RUN/CALL` names.
pub fn reference(home: &Home, reference: &str) -> Result<(Past, usize)> {
    let hint = "hint: RUN/CALL, as a refusal prints it, for example `last/17`";
    let Some((run, call)) = reference.split_once('/') else {
        let shown = text::line(reference);
        // Nobody calls a run so: with a dot in it, it is a tool.
        let hint = if shown.contains('.') {
            format!("hint: say what it is, for example `tool={shown}`")
        } else {
            hint.to_owned()
        };
        bail!("`{shown}` is no call\n{hint}");
    };
    let number = call.parse().ok();
    let call: u32 = number.with_context(|| format!("`{}` is no number of a syscall\n{hint}", text::line(call)))?;
    let history = history(home)?;
    let id = history.whole_run(run)?.id;
    let past = of(home, &history, id)?
        .with_context(|| format!("run {id} never began, so it made no syscall\nhint: `agentry trace {id}` says why"))?;
    let place = past.calls.iter().position(|replay| replay.call == CallId(call));
    let place = place.with_context(|| {
        format!("run {} has no syscall {call}\nhint: `agentry trace {}` lists them", past.run, past.run)
    })?;
    Ok((past, place))
}

/// The scenario with the model of `--model scripted:FILE`, if one of these runs was answered by it: a script stands in no configuration, so
/// that it is none of today's models says nothing of the policy.
pub fn with_script(mut scenario: Scenario, past: &[Past]) -> Scenario {
    let scripted = past.iter().flat_map(|past| &past.calls).filter(|replay| replay.what.model() == Some(SCRIPTED));
    let longest = scripted.map(|replay| replay.held[Resource::TokensOut]).max();
    let is_configured = scenario.models.iter().any(|model| model.alias == SCRIPTED);
    if let Some(output_tokens_max) = longest.filter(|_| !is_configured) {
        scenario.models.push(Model {
            alias: SCRIPTED.to_owned(),
            price: Some(Price::default()),
            context_tokens: u64::MAX,
            output_tokens_max: output_tokens_max.max(1),
            slots: u32::MAX,
            local: true,
        });
    }
    scenario
}
