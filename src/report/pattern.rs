//! What paths have to be like: the globs of `find` and `ls`, the regular expressions of `find`.

use globset::{Candidate, GlobBuilder, GlobMatcher};
use regex::bytes::{Regex, RegexBuilder};

/// What a path has to be like.
#[derive(Clone, Debug)]
pub struct PathPattern(Matcher);

#[derive(Clone, Debug)]
enum Matcher {
    /// The last name alone is compared.
    Name(GlobMatcher),
    /// The whole path, without a slash at the beginning.
    Path(GlobMatcher),
    Regex(Regex),
}

/// A pattern that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(pub(super) String);

impl PathPattern {
    /// A glob: `*`, `?`, `[a-z]` and `{a,b}` match within one name, `**` any number of directories. Without a
    /// slash it is compared with the last name of a path, as `find -name` does, else with the whole path.
    ///
    /// # Errors
    ///
    /// [`PatternError`] says what is wrong with it.
    pub fn glob(text: &str) -> Result<Self, PatternError> {
        let path = text.strip_prefix("./").unwrap_or(text);
        let path = path.trim_start_matches('/').trim_end_matches('/');
        let matcher = GlobBuilder::new(path)
            .literal_separator(true)
            .build()
            .map_err(|error| PatternError(error.kind().to_string()))?
            .compile_matcher();
        let whole = text.trim_end_matches('/').contains('/');
        Ok(Self(if whole {
            Matcher::Path(matcher)
        } else {
            Matcher::Name(matcher)
        }))
    }

    /// Whether a text says more as a glob than as a path: it has `*`, `?`, `[` or `{`, and is one.
    pub fn of_glob_like(text: &str) -> Option<Self> {
        text.contains(['*', '?', '[', '{'])
            .then(|| Self::glob(text).ok())?
    }

    /// A regular expression that has to match anywhere in the path, which has no slash at either end.
    ///
    /// # Errors
    ///
    /// [`PatternError`] says what is wrong with it.
    pub fn regex(text: &str) -> Result<Self, PatternError> {
        // Paths are bytes; without Unicode every byte is a character.
        let regex = RegexBuilder::new(text).unicode(false).build();
        match regex {
            Ok(regex) => Ok(Self(Matcher::Regex(regex))),
            // The message draws the expression over several lines; the last says what is wrong.
            Err(error) => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                let last = last.strip_prefix("error: ").unwrap_or(last);
                Err(PatternError(last.to_owned()))
            }
        }
    }

    /// Whether a path, which has no slash at either end, is like that.
    pub fn matches(&self, path: &[u8]) -> bool {
        match &self.0 {
            Matcher::Name(glob) => {
                let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
                glob.is_match_candidate(&Candidate::from_bytes(name))
            }
            Matcher::Path(glob) => glob.is_match_candidate(&Candidate::from_bytes(path)),
            Matcher::Regex(regex) => regex.is_match(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_names_or_whole_paths() {
        let matches = |glob: &str, path: &str| {
            PathPattern::glob(glob)
                .expect("a glob")
                .matches(path.as_bytes())
        };
        for (glob, path) in [
            ("*.pem", "etc/ssl/a.pem"),
            ("passwd", "etc/passwd"),
            ("/etc/*", "etc/passwd"),
            ("etc/*", "etc/passwd"),
            ("./etc/pass??", "etc/passwd"),
            ("**/a.pem", "etc/ssl/a.pem"),
            ("/a.pem", "a.pem"),
            ("etc/**", "etc/ssl/a.pem"),
            ("{a,b}.txt", "x/b.txt"),
            ("ssl/", "etc/ssl"),
        ] {
            assert!(matches(glob, path), "{glob} {path}");
        }
        for (glob, path) in [
            ("etc/*", "etc/ssl/a.pem"),
            ("/a.pem", "etc/a.pem"),
            ("passwd", "etc/passwd-"),
            ("*.PEM", "a.pem"),
        ] {
            assert!(!matches(glob, path), "{glob} {path}");
        }
        assert!(PathPattern::glob("*").expect("a glob").matches(b"a/\xe4"));
        assert!(PathPattern::glob("[").is_err());
    }

    #[test]
    fn expressions_match_anywhere_and_any_byte() {
        let matches =
            |text: &str, path: &[u8]| PathPattern::regex(text).expect("one").matches(path);
        assert!(matches("ss[lh]/", b"etc/ssl/a"));
        assert!(matches("^etc/.$", b"etc/\xe4"));
        assert!(!matches("^ssl", b"etc/ssl"));
        assert!(PathPattern::regex("(").is_err());
    }

    #[test]
    fn what_has_no_special_character_is_a_path() {
        for path in ["etc/passwd", "", "a\\xe4", "a]b", "[", "a{b"] {
            assert!(PathPattern::of_glob_like(path).is_none(), "{path}");
        }
        for glob in ["*.so", "etc/**", "a?", "[ab]", "{a,b}"] {
            assert!(PathPattern::of_glob_like(glob).is_some(), "{glob}");
        }
    }
}
