//! What people do with triggers: look at them, hold one until they let it go, have one start a run now. What they did stands in the store, so that the
//! next host knows it, and is done the same where no host serves.

use agentry_config::ConfigError;
use agentry_kernel::call::RunId;
use agentry_kernel::json;
use agentry_kernel::time::Millis;
use agentry_store::limits::INPUT_MAX_BYTES;
use agentry_store::rows::cause::{self, PendingCause};
use agentry_store::rows::hold::Hold;
use agentry_store::{Batch, Store, StoreError, keys};
use serde::{Deserialize, Serialize};

use super::{Trigger, Watched};
use crate::config::times::Times;
use crate::config::{AgentsConfig, Cause};

/// What a person does with a trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TriggerAct {
    /// Notices nothing and begins nothing until it is let go.
    Pause {
        /// In the person's words.
        because: Option<String>,
    },
    /// Is let go.
    Resume,
    /// Starts a run as if its cause had come.
    RunNow {
        /// The input JSON; none for what the trigger says.
        input: Option<String>,
    },
}

/// A trigger, as people look at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerLook {
    /// What a person calls it.
    pub id: String,
    /// The agent that it starts.
    pub agent: String,
    /// What starts it.
    pub cause: String,
    /// When it comes next, if it goes by time.
    pub next: Option<Millis>,
    /// Since when a person holds it, and why.
    pub paused: Option<Hold>,
    /// What it has noticed and whose run has not ended.
    pub waiting: u64,
    /// Of these, those that wait for a person.
    pub dead: u64,
}

/// Why nothing was done with a trigger.
#[derive(Debug, thiserror::Error)]
pub enum NotTended {
    /// None is called so.
    #[error("no trigger and no agent that has one is called `{0}`")]
    Unknown(String),
    /// Several are, and one is needed.
    #[error("`{0}` has several triggers, and this is for one")]
    Several(String),
    /// Its beginning is that of several ids.
    #[error("`{0}` begins the ids of several triggers")]
    Many(String),
    /// It is held.
    #[error("a person holds `{0}`, so it starts nothing")]
    Held(String),
    /// It starts nothing without what a request says.
    #[error("a webhook starts nothing without an input\nhint: give the JSON that a request would bring")]
    NoInput,
    /// What it is to be given is none.
    #[error("the input is no JSON: {0}\nhint: give one document, at most {INPUT_MAX_BYTES} bytes")]
    Input(String),
    /// The list of agents cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store does not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Random(getrandom::Error),
}

impl Trigger {
    /// True while a person holds it. A store that cannot be read holds nothing back.
    pub(super) fn is_held(&self, host: &Watched) -> bool {
        host.drivers.gate.journal().store().has(&keys::hold(&self.id())).unwrap_or(false)
    }

    /// What a person calls it: how its causes begin.
    fn name(&self) -> String {
        let name = cause::name(&keys::cause(&self.id(), 0));
        name.split('-').next().unwrap_or_default().to_owned()
    }
}

/// All triggers of these agents, as they stand in this store.
///
/// # Errors
/// When the store cannot be read.
pub fn look(store: &dyn Store, known: &AgentsConfig, now: Millis) -> Result<Vec<TriggerLook>, StoreError> {
    let looks = Trigger::all(known).map(|trigger| {
        let id = trigger.id();
        let causes = cause::all(store, Some(&id))?;
        let next = match &trigger.line.cause {
            Cause::Cron(line) => Times::of(line).ok().and_then(|times| times.next(now.minute())),
            _ => None,
        };
        Ok(TriggerLook {
            id: trigger.name(),
            agent: trigger.agent.clone(),
            cause: trigger.line.cause.story(),
            next: next.map(|minute| minute.begins()),
            paused: store.get(&keys::hold(&id))?.map(|row| Hold::decode(&row)).transpose()?,
            waiting: causes.len() as u64,
            dead: causes.iter().filter(|(_, cause)| cause.dead.is_some()).count() as u64,
        })
    });
    looks.collect()
}

/// Does this with the triggers that are called so: one by its id or the beginning of it, or all of an agent. What they start, for people.
///
/// # Errors
/// If there is none, or it cannot be done.
pub async fn act(
    store: &dyn Store,
    known: &AgentsConfig,
    name: &str,
    act: &TriggerAct,
    at: Millis,
) -> Result<Vec<String>, NotTended> {
    let named = called(known, name)?;
    let mut batch = Batch::default();
    match (act, named.as_slice()) {
        (_, []) => return Err(NotTended::Unknown(name.chars().take(64).collect())),
        (TriggerAct::Pause { because }, all) => {
            let hold = Hold::of(at, because.as_deref()).encode();
            all.iter().for_each(|trigger| batch.put(keys::hold(&trigger.id()), hold.clone()));
        }
        (TriggerAct::Resume, all) => all.iter().for_each(|trigger| batch.remove(keys::hold(&trigger.id()))),
        (TriggerAct::RunNow { input }, [trigger]) => {
            let id = trigger.id();
            if store.has(&keys::hold(&id))? {
                return Err(NotTended::Held(trigger.name()));
            }
            let input = input_of(trigger, input.as_deref())?;
            let run = RunId(getrandom::u64().map_err(NotTended::Random)?.max(RunId::HOST.0 + 1));
            let (trigger, labels) = (id.clone(), trigger.line.labels.clone());
            let pending = PendingCause { trigger, at, input, labels, run, tries: 0, dead: None, why: None };
            let mut number = at.0;
            while store.has(&keys::cause(&id, number))? {
                number = number.saturating_add(1);
            }
            batch.put(keys::cause(&id, number), pending.encode());
        }
        (TriggerAct::RunNow { .. }, _) => return Err(NotTended::Several(name.to_owned())),
    }
    store.commit(batch).await?;
    Ok(named.iter().map(Trigger::id).collect())
}

/// Those of the agent of this name; if there are none, the one whose id begins so.
fn called(known: &AgentsConfig, name: &str) -> Result<Vec<Trigger>, NotTended> {
    let of_agent: Vec<_> = Trigger::all(known).filter(|trigger| trigger.agent == name).collect();
    if !of_agent.is_empty() {
        return Ok(of_agent);
    }
    let one: Vec<_> = Trigger::all(known).filter(|trigger| trigger.name().starts_with(name)).collect();
    if one.len() > 1 {
        return Err(NotTended::Many(name.chars().take(64).collect()));
    }
    Ok(one)
}

fn input_of(trigger: &Trigger, given: Option<&str>) -> Result<String, NotTended> {
    let Some(given) = given else {
        let person = || serde_json::json!({ "because": "a person" }).to_string();
        return match trigger.line.cause {
            Cause::Webhook { .. } => Err(NotTended::NoInput),
            _ => Ok(trigger.line.input.clone().unwrap_or_else(person)),
        };
    };
    if given.len() > INPUT_MAX_BYTES {
        return Err(NotTended::Input("it is too long".to_owned()));
    }
    json::check(given).map_err(|flaw| NotTended::Input(flaw.to_string()))?;
    Ok(given.to_owned())
}
