//! Whether a model of a home can do what a package needs of one. It asks no model: it looks at what the configuration and the lists say of each.

use agentry_kernel::manifest::WantsLlm;
use agentry_kernel::rights::LlmRight;
use agentry_llm::{Entry, Models};
use agentry_runtime::config::Config;
use anyhow::Result;

use crate::home::Home;
use crate::screen::{text, units};

/// Models whose lacks are told one by one; of more, a person reads the list.
const TOLD_MAX: usize = 4;

/// What a package needs and no model of a home has that it may ask.
pub struct Unable {
    /// What is wrong, harmless.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Unable {
    /// Looks at the models of a home that `right` lets a package ask, which wants this of one; `file` is the grant that names them. None if one can do
    /// it, or nothing is needed.
    pub fn of(home: &Home, wants: Option<&WantsLlm>, right: Option<&LlmRight>, file: &str) -> Result<Option<Self>> {
        let (Some(wants), Some(right)) = (wants.filter(|wants| wants.needs_something()), right) else {
            return Ok(None);
        };
        let config = Config::load(home.path())?;
        let models = Models::open(&config.models, &home.models(), None)?;
        let granted: Vec<&Entry> =
            models.list().map(|entry| &**entry).filter(|entry| right.allows(&entry.model.alias)).collect();
        Ok(found(wants, &granted, file))
    }
}

fn found(wants: &WantsLlm, granted: &[&Entry], file: &str) -> Option<Unable> {
    let lacks: Vec<(&str, Vec<String>)> =
        granted.iter().map(|entry| (entry.model.alias.as_str(), lacks(wants, entry))).collect();
    if lacks.iter().any(|(_, lacks)| lacks.is_empty()) {
        return None;
    }
    let needs = needs(wants);
    let file = text::line(file);
    if lacks.is_empty() {
        return Some(Unable {
            message: format!("it needs a model {needs}, and its grant allows none that this home has"),
            hint: format!("`agentry models` lists what there is; put the name of one into `models` in {file}"),
        });
    }
    let told: Vec<String> = lacks
        .iter()
        .take(TOLD_MAX)
        .map(|(alias, lacks)| format!("`{}` {}", text::line(alias), lacks.join(" and ")))
        .collect();
    let more = lacks.len().saturating_sub(TOLD_MAX);
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    let alias = text::line(lacks[0].0);
    Some(Unable {
        message: format!("it needs a model {needs}, and none that it may ask is one: {}{more}", told.join(", ")),
        hint: format!(
            "set such a model up in agentry.toml, and name it in `models` in {file}; if `{alias}` is one, say so under [models.{alias}]: {}",
            keys(wants)
        ),
    })
}

/// What this model lacks, in words that stand behind its name.
fn lacks(wants: &WantsLlm, entry: &Entry) -> Vec<String> {
    let window = entry.model.context_tokens;
    let short = wants.window.is_some_and(|wanted| wanted > window);
    [
        short.then(|| format!("has a window of {} tokens", units::count(window))),
        (wants.tools && !entry.info.tools).then(|| "takes no tools".to_owned()),
        (wants.schema && !entry.info.schema_output).then(|| "keeps to no schema".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What a package needs of a model, in words that stand behind it: `with a window of at least 32 000 tokens that takes tools`; nothing if it needs
/// nothing.
pub fn needs(wants: &WantsLlm) -> String {
    let window = wants.window.map(|tokens| format!("with a window of at least {} tokens", units::count(tokens)));
    let does = [(wants.tools, "takes tools"), (wants.schema, "keeps to a schema")];
    let does: Vec<&str> = does.into_iter().filter_map(|(wanted, does)| wanted.then_some(does)).collect();
    let does = (!does.is_empty()).then(|| format!("that {}", does.join(" and ")));
    window.into_iter().chain(does).collect::<Vec<_>>().join(" ")
}

/// The lines by which an admin says that a model can do it.
fn keys(wants: &WantsLlm) -> String {
    let window = wants.window.map(|tokens| format!("context_tokens = {tokens}"));
    let flags = [(wants.tools, "tools = true"), (wants.schema, "schema_output = true")];
    let flags = flags.into_iter().filter(|(wanted, _)| *wanted).map(|(_, line)| line.to_owned());
    window.into_iter().chain(flags).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(window: Option<u64>, tools: bool, schema: bool) -> WantsLlm {
        let (models, why) = (vec!["*".to_owned()], "w".to_owned());
        WantsLlm { models, max_tokens: None, class: None, window, tools, schema, why, optional: false }
    }

    /// The models of a configuration, under their aliases.
    fn told(lines: &str, wants: &WantsLlm) -> Option<Unable> {
        let provider =
            "format = 1\n[providers.near]\nkind = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:9/v1\"\n";
        let config = Config::parse("agentry.toml", &format!("{provider}{lines}")).expect("it is whole");
        let models = Models::open(&config.models, &[], None).expect("they are configured");
        let granted: Vec<&Entry> = models.list().map(|entry| &**entry).collect();
        found(wants, &granted, "policies/50-x.toml")
    }

    #[test]
    fn a_model_that_can_do_all_of_it_is_enough_and_what_others_lack_is_told_with_the_lines_that_say_otherwise() {
        let model = |alias: &str, window: u64, more: &str| {
            format!(
                "[models.{alias}]\nprovider = \"near\"\nmodel = \"x\"\ncontext_tokens = {window}\nmax_output_tokens = 100\n{more}\n"
            )
        };
        let small = model("small", 8000, "tools = false");
        let large = model("large", 64_000, "schema_output = false");
        let both = format!("{small}{large}");
        assert!(told(&both, &wants(Some(64_000), true, false)).is_none());
        assert!(told(&both, &wants(None, false, false)).is_none());
        let unable = told(&both, &wants(Some(32_000), true, true)).expect("neither can");
        assert!(
            unable.message.starts_with(
                "it needs a model with a window of at least 32 000 tokens that takes tools and keeps to a schema, and none that"
            ),
            "{}",
            unable.message
        );
        for part in ["`small` has a window of 8 000 tokens and takes no tools", "`large` keeps to no schema"] {
            assert!(unable.message.contains(part), "{}", unable.message);
        }
        let keys = "context_tokens = 32000, tools = true, schema_output = true";
        assert!(unable.hint.ends_with(keys) && unable.hint.contains("policies/50-x.toml"), "{}", unable.hint);
        let none = found(&wants(Some(1), false, false), &[], "f").expect("there is none");
        assert!(none.message.contains("allows none that this home has") && none.hint.contains("agentry models"));
    }
}
