//! Shell patterns in `${…}`: `*`, `?` and escapes, no brackets (BuildKit's `shell/lex.go`).
//!
//! They become regular expressions, as there: which stretch of several a pattern matches is then the
//! same too. Matching takes linear time.

use regex::Regex;

/// Cuts what `pattern` matches off the front of `value`.
pub(super) fn trim_prefix(pattern: &str, value: &str, greedy: bool) -> Result<String, String> {
    let regex = compile(pattern, greedy, true)?;
    let end = regex.find(value).map_or(0, |found| found.end());
    Ok(value[end..].to_owned())
}

/// Cuts what `pattern` matches off the end of `value`. Both are turned round for it: the shortest
/// match at the end is the shortest at the front then.
pub(super) fn trim_suffix(pattern: &str, value: &str, greedy: bool) -> Result<String, String> {
    let mut reversed: Vec<char> = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            // An escape stays before what it escapes, which the last turn sets right.
            Some(&next) if c == '\\' => {
                chars.next();
                reversed.extend([next, c]);
            }
            _ => reversed.push(c),
        }
    }
    let pattern: String = reversed.into_iter().rev().collect();
    let value: String = value.chars().rev().collect();
    let rest = trim_prefix(&pattern, &value, greedy)?;
    Ok(rest.chars().rev().collect())
}

/// Replaces what `pattern` matches, the first time or every time. With `all`, `$1` and the like in
/// the replacement mean groups, of which there are none, as in Docker.
pub(super) fn replace(
    pattern: &str,
    value: &str,
    replacement: &str,
    all: bool,
    room: usize,
) -> Result<String, String> {
    let regex = compile(pattern, true, false)?;
    let mut out = String::new();
    let mut end = 0;
    for found in regex.captures_iter(value) {
        let Some(whole) = found.get(0) else { break };
        out.push_str(&value[end..whole.start()]);
        end = whole.end();
        if !all {
            out.push_str(replacement);
            break;
        }
        found.expand(replacement, &mut out);
        if out.len() > room {
            break;
        }
    }
    out.push_str(&value[end..]);
    Ok(out)
}

fn compile(pattern: &str, greedy: bool, anchored: bool) -> Result<Regex, String> {
    let refused = |why: String| format!("invalid pattern ({pattern}) in substitution: {why}");
    let mut out = String::with_capacity(pattern.len() + 4);
    if anchored {
        out.push('^');
    }
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => out.push_str(if greedy { ".*" } else { ".*?" }),
            '?' => out.push('.'),
            '\\' => {
                let next = chars.peek().copied();
                // These are escaped for the sake of the braces.
                if matches!(next, Some('}' | '/')) {
                    continue;
                }
                chars.next();
                match next {
                    Some(c @ ('*' | '?' | '\\')) => out.extend(['\\', c]),
                    other => {
                        let other = other.unwrap_or('\u{fffd}');
                        return Err(refused(format!("invalid escape '\\{other}'")));
                    }
                }
            }
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    Regex::new(&out).map_err(|why| refused(why.to_string()))
}
