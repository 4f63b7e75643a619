//! The model that a run asked as its default, for whoever goes on with it: that one goes on, whatever the default is today. It reads the journal
//! and must never guess: a script, or a model that is gone, is for a person to name.

use agentry_abi::asked;
use agentry_journal::history::History;
use agentry_kernel::call::{Call, Completion, RunId};
use agentry_kernel::journal::Entry;
use agentry_llm::Models;
use agentry_llm::config::{DEFAULT, SCRIPTED};
use agentry_runtime::config::Config;
use agentry_store::StoreError;
use anyhow::{Result, bail};

use super::followed::is_over;
use crate::home::Home;
use crate::screen::text;

/// The same of a run that is to go on itself; none if it is over, which whoever resumes it says.
pub fn model_of_suspended(home: &Home, run: &str) -> Result<Option<String>> {
    let record = home.history()?.and_then(|history| history.whole_run(run).ok());
    if record.is_some_and(|record| is_over(record.status)) { Ok(None) } else { model(home, run) }
}

/// The alias; none if it asked for its default model never, or if there is no such run, which whoever goes on with it says.
pub fn model(home: &Home, run: &str) -> Result<Option<String>> {
    let Some(history) = home.history()? else { return Ok(None) };
    let Ok(record) = history.whole_run(run) else { return Ok(None) };
    let id = record.id;
    let Some(alias) = last_default(&history, id)? else { return Ok(None) };
    if alias == SCRIPTED {
        bail!(
            "run {id} was answered by a script, and no journal says which\nhint: give it again, --model scripted:FILE, which begins with its first answer; or have another model go on: --model ALIAS"
        );
    }
    let models = Models::open(&Config::load(home.path())?.models, &home.models(), None)?;
    if models.get(&alias).is_none() {
        bail!(
            "run {id} asked the model `{}` as its default, and there is none of this name any more\nhint: say which one goes on, --model ALIAS; `agentry models` lists what there is",
            text::line(&alias)
        );
    }
    Ok(Some(alias))
}

/// What `default` stood for when the run asked for it last.
fn last_default(history: &History, run: RunId) -> Result<Option<String>, StoreError> {
    let mut asked: Vec<Completion> = Vec::new();
    for part in history.parts(run) {
        asked.extend(part?.into_iter().filter_map(question));
    }
    for ask in asked.into_iter().rev() {
        let word = history.blob(&ask.settings)?.and_then(|settings| asked::word(&settings));
        if ask.model == SCRIPTED || word.is_some_and(|word| word == DEFAULT) {
            return Ok(Some(ask.model));
        }
    }
    Ok(None)
}

fn question(entry: Entry) -> Option<Completion> {
    let (Entry::Asked { what, .. } | Entry::Queued { what, .. } | Entry::Questioned { what, .. }) = entry else {
        return None;
    };
    let (Call::LlmComplete(ask) | Call::LlmStream(ask)) = what else { return None };
    Some(ask)
}
