//! Templates that were parsed before, for a chart that is rendered more than once: a third of a rendering is to parse.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{
    funcs,
    gotmpl::{self, ParseError, Template},
};

/// Parsed texts by the name of their file. One that has another text by now is parsed anew.
#[derive(Default)]
pub struct Parsed(Mutex<HashMap<String, Vec<Template>>>);

impl std::fmt::Debug for Parsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Parsed").finish()
    }
}

impl Parsed {
    /// The templates of a file: its own, and what it defines.
    pub(super) fn templates(&self, name: &str, text: String) -> Result<Vec<Template>, ParseError> {
        let is_known = |templates: &&Vec<Template>| templates.first().is_some_and(|first| first.tree.text == text);
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).filter(is_known) {
            return Ok(known.clone());
        }
        let templates = gotmpl::parse(name.to_owned(), text, &funcs::exists)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), templates.clone());
        Ok(templates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_text_is_another_template() {
        let parsed = Parsed::default();
        let texts = |text: &str| parsed.templates("a", text.to_owned()).unwrap().iter().map(|one| one.tree.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts("one"), ["one"]);
        assert_eq!(texts("two"), ["two"]);
        let again = parsed.templates("a", "two".to_owned()).unwrap();
        let third = parsed.templates("a", "two".to_owned()).unwrap();
        assert!(std::sync::Arc::ptr_eq(&again[0].tree, &third[0].tree));
        assert!(parsed.templates("a", "{{ if }}".to_owned()).is_err());
    }
}
