//! The attribute that turns a function into an agent; it writes the export and nothing else.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemFn, Pat, ReturnType};

/// Makes an `async fn` the agent that this crate is.
///
/// The function takes one argument that is `Deserialize`, or none, and gives `Result<Output, Failure>` where the output is
/// `Serialize`. Use it once in a crate.
#[proc_macro_attribute]
pub fn agent(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let function = syn::parse_macro_input!(item as ItemFn);
    if !attribute.is_empty() {
        let mistake = Error::new(
            Tokens::from(attribute).span(),
            "`agent` takes no arguments; what an agent wants stands in agent.toml",
        );
        return mistake.into_compile_error().into();
    }
    expand(&function).unwrap_or_else(Error::into_compile_error).into()
}

fn expand(function: &ItemFn) -> syn::Result<Tokens> {
    check(function)?;
    let name = &function.sig.ident;
    let call = match function.sig.inputs.first() {
        None => quote!(|_: ::agentry::export::Nothing| #name()),
        Some(FnArg::Typed(argument)) => {
            let kind = &argument.ty;
            quote!(|input: #kind| #name(input))
        }
        Some(FnArg::Receiver(_)) => unreachable!("`check` refuses `self`"),
    };
    Ok(quote! {
        #function

        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Agent;
            impl ::agentry::export::Guest for Agent {
                async fn run(
                    input_json: ::std::string::String,
                ) -> ::std::result::Result<::std::string::String, ::agentry::Failure> {
                    ::agentry::export::run(input_json, #call).await
                }
            }
            ::agentry::export::export!(Agent with_types_in ::agentry::bindings);
        };

        // Elsewhere, as in unit tests, nothing calls the agent; this counts as its use.
        #[cfg(not(target_family = "wasm"))]
        const _: fn() = || {
            let _ = #name;
        };
    })
}

fn check(function: &ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        return Err(Error::new(signature.fn_token.span(), "an agent is an `async fn`"));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new(signature.generics.span(), "an agent has no generic parameters"));
    }
    if let Some(extra) = signature.inputs.iter().nth(1) {
        return Err(Error::new(extra.span(), "an agent takes one input; make it a struct of what you need"));
    }
    if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
        return Err(Error::new(receiver.span(), "an agent is a function of its own, not a method"));
    }
    if let Some(FnArg::Typed(argument)) = signature.inputs.first()
        && let Pat::Rest(rest) = &*argument.pat
    {
        return Err(Error::new(rest.span(), "an agent takes one input"));
    }
    if matches!(signature.output, ReturnType::Default) {
        return Err(Error::new(signature.span(), "an agent gives `Result<Output, Failure>`"));
    }
    Ok(())
}
