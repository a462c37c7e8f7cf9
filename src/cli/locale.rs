//! Which characters the terminal has, as far as the locale tells.

use std::env;
use std::sync::OnceLock;

/// Whether only ASCII can be shown for certain.
pub(crate) fn is_ascii() -> bool {
    static IS_ASCII: OnceLock<bool> = OnceLock::new();
    *IS_ASCII.get_or_init(|| {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter();
        let locale = locale
            .filter_map(env::var_os)
            .find(|value| !value.is_empty());
        !is_utf8(locale.as_ref().and_then(|value| value.to_str()))
    })
}

/// What stands for text that is left out.
pub(crate) fn ellipsis() -> &'static str {
    if is_ascii() { "..." } else { "…" }
}

/// Whether a locale has all characters. Where none is set, systems without locales have them.
fn is_utf8(locale: Option<&str>) -> bool {
    match locale {
        Some(locale) => {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        }
        None => cfg!(any(windows, target_os = "macos")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_say_which_characters_there_are() {
        assert!(is_utf8(Some("de_DE.UTF-8")));
        assert!(is_utf8(Some("C.utf8")));
        assert!(!is_utf8(Some("C")));
        assert!(!is_utf8(Some("de_DE@euro")));
    }
}
