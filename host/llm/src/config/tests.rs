//! What is known of a model by its name and by where it is asked.

use agentry_config::reader::Document;

use super::*;

#[test]
fn a_known_model_has_its_window_its_answer_and_its_price() {
    let of = |provider: &str, model: &str, more: &str| {
        let text = format!("[providers.p]\n{provider}\n[models.m]\nprovider = \"p\"\nmodel = \"{model}\"\n{more}\n");
        let file = Document { file: "agentry.toml", text: &text };
        file.read(|root| parse(root, &Lists::default())).map(|config| config.models[0].clone())
    };
    let home = "kind = \"openai\"";
    let known = of(home, "gpt-5.4", "").unwrap();
    assert_eq!((known.context_tokens, known.output_tokens_max), (272_000, 16_384), "the window of its lower price");
    assert_eq!(known.price.map(|price| price.input), Some(2_500_000));
    assert_eq!(known.priced, Some(("2026-07-02".to_owned(), "models.dev".to_owned())));
    let wide = of(home, "gpt-5.4", "context_tokens = 1_000_000").unwrap();
    assert_eq!(wide.price.map(|price| price.input), Some(5_000_000), "that of the longest prompt that fits");
    let groq = of("kind = \"openai-compatible\"\nbase_url = \"https://api.groq.com/openai/v1\"", "qwen/qwen3-32b", "")
        .unwrap();
    assert_eq!((groq.capabilities.effort.join(" "), groq.price.is_some()), ("none default".to_owned(), true));
    let azure = "kind = \"azure\"\nbase_url = \"https://name.openai.azure.com\"";
    assert_eq!(of(azure, "my-deployment", "").unwrap().price, None);
    let based = of(azure, "my-deployment", "base_model = \"openai/gpt-5.4\"").unwrap();
    assert_eq!((based.price, based.capabilities.temperature), (known.price, false));
    let no = of(azure, "x", "base_model = \"openai/gpt-0\"").unwrap_err().to_string();
    assert!(no.contains("no list has a model `openai/gpt-0`"), "{no}");
}
