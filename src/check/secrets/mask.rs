//! Texts of a config with what looks like a secret in them masked, for what is handed on.

use super::config::{Suspicion, in_arguments, in_text, suspect, within_limit};

/// What stands for a secret. It does not look like one.
const MASK: &str = "***";

/// How often a text is searched, since a word with several secrets shows one at a time.
const PASSES: usize = 8;

/// A command line, or any text of words, with what looks like a secret masked. Nobody looks further than 256 KiB into one text
/// for secrets, so what is behind that is left out.
pub fn mask_text(text: &str) -> String {
    let mut masked = shortened(text);
    for _ in 0..PASSES {
        let found = in_text(&masked);
        if found.is_empty() {
            break;
        }
        masked = without(&masked, &found);
    }
    masked
}

/// The value of a variable or a label of this name, likewise.
pub fn mask_value(name: &str, value: &str) -> String {
    let mut masked = shortened(value);
    for _ in 0..PASSES {
        let Some(found) = suspect(name, &masked) else {
            break;
        };
        masked = without(&masked, &[found]);
    }
    masked
}

/// The arguments of a command, likewise.
pub fn mask_arguments(arguments: &[String]) -> Vec<String> {
    let mut masked: Vec<String> = arguments.iter().map(|text| shortened(text)).collect();
    for _ in 0..PASSES {
        let mut found = in_arguments(&masked);
        if found.is_empty() {
            break;
        }
        found.sort_by_key(|one| one.secret.as_ptr().addr());
        let each = masked
            .iter()
            .map(|text| without(text, within(text, &found)));
        masked = each.collect();
    }
    masked
}

fn shortened(text: &str) -> String {
    let kept = within_limit(text);
    if kept.len() == text.len() {
        return text.to_owned();
    }
    format!("{kept} … and {} bytes more", text.len() - kept.len())
}

/// Those of the suspicions, which are in the order of their places, that are about this text.
fn within<'s, 't>(text: &str, found: &'s [Suspicion<'t>]) -> &'s [Suspicion<'t>] {
    let begin = text.as_ptr().addr();
    let first = found.partition_point(|one| one.secret.as_ptr().addr() < begin);
    let end = found.partition_point(|one| one.secret.as_ptr().addr() < begin + text.len());
    &found[first..end.max(first)]
}

/// The text with the secrets, which are parts of it, masked.
fn without(text: &str, found: &[Suspicion<'_>]) -> String {
    let mut places: Vec<(usize, usize, usize)> = found
        .iter()
        .map(|one| {
            let begin = one
                .secret
                .as_ptr()
                .addr()
                .saturating_sub(text.as_ptr().addr());
            (begin, begin + one.secret.len(), one.shown)
        })
        .collect();
    places.sort_unstable();
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    for (begin, end, shown) in places {
        // Two suspicions may be about the same words.
        if begin < at {
            continue;
        }
        masked.push_str(text.get(at..begin + shown).unwrap_or_default());
        masked.push_str(MASK);
        at = end;
    }
    masked.push_str(text.get(at..).unwrap_or_default());
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_where_they_stand() {
        for (text, want) in [
            ("RUN make", "RUN make"),
            (
                "RUN curl -u me:hunter22 https://a:geheim1@h/x https://b:geheim2@h/y",
                "RUN curl -u me:*** https://a:***@h/x https://b:***@h/y",
            ),
            (
                "urls=https://a:geheim1@h/x,https://b:geheim2@h/y",
                "urls=https://a:***@h/x,https://b:***@h/y",
            ),
            ("ARG DB_PASSWORD=hunter22 x", "ARG DB_PASSWORD=*** x"),
            (
                "|1 TOKEN=abcdef1234 /bin/sh -c login --password hunter22",
                "|1 TOKEN=*** /bin/sh -c login --password ***",
            ),
            (
                "echo ghp_0123456789abcdefghij0123456789abcdef",
                "echo ghp_***",
            ),
        ] {
            assert_eq!(mask_text(text), want);
        }
    }

    #[test]
    fn values_and_arguments_are_masked() {
        assert_eq!(mask_value("DB_PASSWORD", "\"hunter22\""), "\"***\"");
        assert_eq!(mask_value("PATH", "/bin"), "/bin");
        let words = ["app", "--password", "hunter22", "--url=http://a:geheim@h"].map(String::from);
        assert_eq!(
            mask_arguments(&words),
            ["app", "--password", "***", "--url=http://a:***@h"]
        );
        let shell = ["sh", "-c", "login --token hunter22 && x"].map(String::from);
        assert_eq!(
            mask_arguments(&shell),
            ["sh", "-c", "login --token *** && x"]
        );
    }

    #[test]
    fn nothing_that_was_not_searched_is_shown() {
        let long = format!("{} TOKEN=hunter22", "a ".repeat(200_000));
        let masked = mask_text(&long);
        assert!(masked.len() < 300_000 && !masked.contains("hunter22"));
    }
}
