//! The models of this host by alias: what the kernel, the guest and the admin may know of each, and the way to ask it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_abi::bindings::agentry::agent::llm::{ModelInfo, OutputForm, Request};
use agentry_abi::bindings::agentry::agent::types::{Cost, Error};
use agentry_config::ConfigError;
use agentry_config::secret::LiveKey;
use agentry_kernel::model::Model;
use agentry_kernel::text::nearest;
use agentry_kernel::{Amounts, Digest, Permit, Resource};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::adapt::Known;
use super::connect;
use super::learned::Learned;
use super::scripted::{ScriptError, Scripted};
use super::target::Target;
use super::{Embedded, Finished, Provider, Sink, media};
use crate::config::{DEFAULT, EMBEDDED, ModelLine, ModelsConfig, ProviderLine, SCRIPTED};

/// All models, and which one is the default.
pub struct Models {
    entries: BTreeMap<String, Arc<Entry>>,
    default: String,
}

/// One model.
pub struct Entry {
    /// For the kernel.
    pub model: Model,
    /// For the guest.
    pub info: ModelInfo,
    /// What answers.
    pub provider: Arc<dyn Provider>,
    /// For the admin: why it cannot be asked as things stand, for example the name of an environment variable that is not set.
    pub trouble: Option<String>,
    /// For the admin: the day on which its price was true, and who said so; none if it is the admin's own or there is none.
    pub priced: Option<(String, String)>,
    /// What may be sent beside text: of `image`, `pdf` and `audio`.
    media: Vec<String>,
    /// What it takes; none if it takes all.
    pub(super) known: Option<Arc<Known>>,
}

/// Why the models cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The script is wrong.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// No model has the chosen alias.
    #[error("there is no model `{alias}`\nhint: {}", meant(alias, known))]
    Unknown {
        /// What was chosen.
        alias: String,
        /// What could be.
        known: String,
    },
}

/// What somebody meant by the name of a model that is not there.
fn meant(alias: &str, known: &str) -> String {
    if alias == SCRIPTED {
        return "a script is named with its file: scripted:FILE".to_owned();
    }
    if Path::new(alias).extension().is_some_and(|ending| ending == "jsonl" || ending == "json") {
        return format!("did you mean the script? scripted:{alias}");
    }
    match nearest(alias, known.split(", ")) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("`agentry models` lists what there is: {known}"),
    }
}

impl Models {
    /// Sets up the models that `config` names, and those that whoever opens the host brings, the one in process for example; nothing is loaded
    /// and nobody is asked yet.
    ///
    /// `chosen` replaces the configured default: an alias, or `scripted:FILE`.
    ///
    /// # Errors
    /// If the script is not one, or there is no model of the chosen alias.
    pub fn open(config: &ModelsConfig, brought: &[Arc<Entry>], chosen: Option<&str>) -> Result<Self, ModelsError> {
        let configured = config.models.iter().map(|line| Arc::new(remote(line, &config.learned)));
        let mut entries: BTreeMap<String, Arc<Entry>> =
            configured.chain(brought.iter().cloned()).map(|entry| (entry.model.alias.clone(), entry)).collect();
        let default = match chosen {
            Some(chosen) => match chosen.strip_prefix("scripted:") {
                Some(file) => {
                    let entry = scripted(Scripted::open(Path::new(file))?);
                    entries.insert(SCRIPTED.to_owned(), Arc::new(entry));
                    SCRIPTED
                }
                None => chosen,
            },
            None => &config.default,
        };
        // Whoever brings no model and chose none has none until the configuration names one.
        let nobody_chose = chosen.is_none() && default == EMBEDDED;
        if !entries.contains_key(default) && !nobody_chose {
            let known = entries.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(ModelsError::Unknown { alias: default.to_owned(), known });
        }
        Ok(Self { default: default.to_owned(), entries })
    }

    /// What the kernel decides on, the default first.
    pub fn kernel_models(&self) -> Vec<Model> {
        self.list().map(|entry| entry.model.clone()).collect()
    }

    /// The alias that a guest's word stands for: `default` is the admin's choice, all else itself.
    pub fn resolve<'a>(&'a self, alias: &'a str) -> &'a str {
        if alias == DEFAULT { &self.default } else { alias }
    }

    /// The model of this alias, already resolved.
    pub fn get(&self, alias: &str) -> Option<&Arc<Entry>> {
        self.entries.get(alias)
    }

    /// The alias of the default.
    pub fn default_alias(&self) -> &str {
        &self.default
    }

    /// All of them, the default first, then by alias.
    pub fn list(&self) -> impl Iterator<Item = &Arc<Entry>> {
        let first = self.entries.get(&self.default);
        first.into_iter().chain(self.entries.values().filter(|entry| entry.model.alias != self.default))
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({})", self.model.alias)
    }
}

impl Entry {
    /// What a guest may know of `model`.
    pub fn new(model: Model, skills: Skills, provider: Arc<dyn Provider>) -> Self {
        let clamp = |tokens: u64| u32::try_from(tokens).unwrap_or(u32::MAX);
        let info = ModelInfo {
            alias: model.alias.clone(),
            context_tokens: clamp(model.context_tokens),
            max_output_tokens: clamp(model.output_tokens_max),
            input_microusd_per_mtok: model.price.map(|price| price.input),
            output_microusd_per_mtok: model.price.map(|price| price.output),
            media: !skills.media.is_empty(),
            tools: skills.tools,
            schema_output: skills.schema_output,
            local: model.local,
        };
        Self { model, info, provider, trouble: None, priced: None, media: skills.media, known: None }
    }

    /// The same, with why it cannot be asked as things stand, if it cannot.
    #[must_use]
    pub fn in_trouble(self, trouble: Option<String>) -> Self {
        Self { trouble, ..self }
    }

    /// What this usage takes from an account, for a call that reached the model.
    pub fn cost(&self, finished: &Finished) -> Amounts {
        self.model.cost(&finished.usage).with(Resource::LlmCalls, finished.asked)
    }

    /// Whether this model can take such a request at all. To be asked before the kernel is: it costs nothing.
    ///
    /// # Errors
    /// `invalid`, with what it cannot take.
    pub fn accepts(&self, request: &Request) -> Result<(), Error> {
        let no = |what: &str| Err(Error::Invalid(format!("model `{}` takes no {what}", self.model.alias)));
        if !self.info.tools && !request.tools.is_empty() {
            return no("tools");
        }
        if !self.info.schema_output && request.output != OutputForm::Text {
            return no("output form but text");
        }
        for media in media::of(request) {
            let kind = media::kind(media).map_err(Error::Invalid)?;
            if !self.media.iter().any(|taken| taken == kind.word()) {
                return no(&format!("{} (`{}`)", kind.word(), media.mime));
            }
        }
        Ok(())
    }

    /// Asks the model and gives its answer with the bill filled in; `admitted` is when the kernel admitted the call.
    /// The request's own deadline counts from then.
    pub async fn ask(
        &self,
        admitted: Instant,
        permit: &Permit,
        request: Request,
        sink: Sink,
        cancelled: CancellationToken,
    ) -> Finished {
        if let Err(why) = self.accepts(&request) {
            return Finished::unasked(why);
        }
        let deadline = request.deadline_ms.map(|ms| Duration::from_millis(ms).saturating_sub(admitted.elapsed()));
        let cut = cancelled.child_token();
        let answer = self.provider.stream(permit, request, sink, cut.clone());
        let mut finished = match deadline {
            Some(left) => within(left, answer, &cut, &cancelled).await,
            None => answer.await,
        };
        let duration_ms = u64::try_from(admitted.elapsed().as_millis()).unwrap_or(u64::MAX);
        let microusd = self.model.cost(&finished.usage)[Resource::Usd];
        let response = match &mut finished.result {
            Ok(response) => Some(response),
            Err(failure) => failure.partial.as_mut(),
        };
        if let Some(response) = response {
            response.model.clone_from(&self.model.alias);
            response.cost = Cost { microusd, duration_ms };
        }
        finished
    }

    /// Asks for one vector a text, and says what that takes from an account.
    pub async fn embed(
        &self,
        permit: &Permit,
        texts: Vec<String>,
        cancelled: CancellationToken,
    ) -> (Embedded, Amounts) {
        let embedded = self.provider.embed(permit, texts, cancelled).await;
        let spent = self.model.cost(&embedded.usage).with(Resource::LlmCalls, 1);
        (embedded, spent)
    }
}

/// Waits for an answer; when time is up it is cut, and what came until then is kept.
async fn within(
    left: Duration,
    answer: impl Future<Output = Finished>,
    cut: &CancellationToken,
    cancelled: &CancellationToken,
) -> Finished {
    tokio::pin!(answer);
    tokio::select! {
        biased;
        finished = &mut answer => finished,
        () = tokio::time::sleep(left) => {
            cut.cancel();
            let mut finished = answer.await;
            if let Err(failure) = &mut finished.result
                && failure.why == Error::Cancelled
                && !cancelled.is_cancelled()
            {
                failure.why = Error::TimedOut;
            }
            finished
        }
    }
}

/// What a model can take and give beside text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skills {
    /// What it takes of `image`, `pdf` and `audio`.
    pub media: Vec<String>,
    /// It takes tools.
    pub tools: bool,
    /// It keeps to a schema.
    pub schema_output: bool,
}

/// The way to a configured model; no connection is made yet.
fn remote(line: &ModelLine, learned: &Learned) -> Entry {
    let ProviderLine { kind, base_url, key, .. } = &line.provider;
    // Thoughts go back only to the model that had them: the alias may stand for another one tomorrow.
    let identity = format!("{} {base_url} {}", kind.name(), line.model);
    let origin = format!("{}@{}", line.alias, &Digest(Sha256::digest(identity).into()).to_string()[..8]);
    let known = Arc::new(Known::new(&origin, line.capabilities.clone(), learned.of(&origin)));
    let target = Target { model: line.model.clone(), origin, known: Arc::clone(&known), adjust: line.adjust.clone() };
    let key = key.clone().map(|key| Arc::new(LiveKey::new(key)));
    let trouble = key.as_ref().and_then(|key| key.now().err());
    let provider = connect::provider(line, target, key);
    let model = Model {
        alias: line.alias.clone(),
        price: line.price,
        context_tokens: line.context_tokens,
        output_tokens_max: line.output_tokens_max,
        slots: line.slots,
        local: line.local,
    };
    let skills = Skills { media: line.media.clone(), tools: line.tools, schema_output: line.schema_output };
    let entry = Entry::new(model, skills, provider);
    Entry { trouble, known: Some(known), priced: line.priced.clone(), ..entry }
}

fn scripted(provider: Scripted) -> Entry {
    let settings = provider.settings();
    let model = Model {
        alias: SCRIPTED.to_owned(),
        price: settings.price,
        context_tokens: settings.context_tokens.into(),
        output_tokens_max: settings.max_output_tokens.into(),
        slots: settings.slots,
        local: true,
    };
    Entry::new(
        model,
        Skills { media: ["image", "pdf", "audio"].map(str::to_owned).to_vec(), tools: true, schema_output: true },
        Arc::new(provider),
    )
}
