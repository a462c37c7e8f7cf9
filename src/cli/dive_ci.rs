//! The rules of a `.dive-ci` file.
//!
//! It is YAML: three keys below `rules`, which dive 0.12 spells `lowestEfficiency` and dive 0.13
//! `lowest-efficiency`. A key that is absent has dive's default. dive passes over keys that it does not know, so
//! that a misspelt rule is never checked; here that is an error.

use std::path::Path;

use imgtar::base::escape;
use imgtar::report::{WasteRule, units};
use saphyr::{LoadableYamlNode as _, Scalar, Yaml};

use super::error::Failure;
use super::files::Files;

/// No file of rules is longer than this, in bytes.
const LONGEST: u64 = 1 << 20;

/// Reads the rules in a file, or standard input for `-`, those with dive's defaults included.
pub(crate) fn rules(path: &Path, files: &Files) -> Result<Vec<WasteRule>, Failure> {
    let name = path.display();
    let bytes = files.bytes(path, LONGEST)?.map_err(|error| {
        Failure::environment(format!("cannot read the rules in {name}"), &error)
            .hint("--ci takes a file like dive's .dive-ci; --max BYTES needs no file")
    })?;
    let rules = match String::from_utf8(bytes) {
        Ok(text) if text.len() as u64 <= LONGEST => parse(&text),
        Ok(_) => Err(format!("longer than {LONGEST} bytes")),
        Err(_) => Err("not UTF-8".to_owned()),
    };
    rules.map_err(|why| {
        Failure::usage(format!("{name}: {why}")).hint(
            "the rules are lowestEfficiency (0 to 1), highestWastedBytes (such as 20MB) and highestUserWastedPercent (0 to 1), below `rules:`; each may be \"disabled\"",
        )
    })
}

fn parse(text: &str) -> Result<Vec<WasteRule>, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| format!("not YAML: {error}"))?;
    let [mut efficiency, mut bytes, mut percent] =
        [Some("0.9".to_owned()), None, Some("0.1".to_owned())];
    let document = documents.first();
    let is_empty = document.is_none_or(|document| matches!(document, Yaml::Value(Scalar::Null)));
    if let Some(document) = document.filter(|_| !is_empty) {
        let whole = document.as_mapping().ok_or("there is no `rules:` in it")?;
        let rules = whole
            .iter()
            .find(|(key, _)| key.as_str() == Some("rules"))
            .map_or(Some(whole), |(_, rules)| rules.as_mapping())
            .ok_or("`rules` has no keys")?;
        for (key, value) in rules {
            let shown = escape::text(key.as_str().unwrap_or("a key that is not text")).to_string();
            let plain: String = key
                .as_str()
                .unwrap_or_default()
                .chars()
                .filter(|c| !matches!(c, '-' | '_'))
                .collect();
            let rule = match plain.to_ascii_lowercase().as_str() {
                "lowestefficiency" | "lowestefficiencythreshold" => &mut efficiency,
                "highestwastedbytes" => &mut bytes,
                "highestuserwastedpercent" => &mut percent,
                _ => return Err(format!("`{shown}` is not a rule")),
            };
            *rule = set(value).ok_or_else(|| format!("`{shown}` has no single value"))?;
        }
    }
    let ratio = |name: &str, text: String| {
        let number = text.parse::<f64>().ok();
        number
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .ok_or_else(|| {
                format!(
                    "{name}: `{}` is not a number from 0 to 1",
                    escape::text(&text)
                )
            })
    };
    let mut rules = Vec::new();
    if let Some(text) = efficiency {
        rules.push(WasteRule::LowestEfficiency(ratio(
            "lowestEfficiency",
            text,
        )?));
    }
    if let Some(text) = bytes {
        let bytes = units::parse_size(&text).ok_or_else(|| {
            format!(
                "highestWastedBytes: `{}` is not a number of bytes",
                escape::text(&text)
            )
        })?;
        rules.push(WasteRule::HighestWastedBytes(bytes));
    }
    if let Some(text) = percent {
        rules.push(WasteRule::HighestUserWastedPercent(ratio(
            "highestUserWastedPercent",
            text,
        )?));
    }
    Ok(rules)
}

/// The text of a value; within, `None` for a rule that is turned off as dive turns rules off.
#[expect(clippy::option_option, reason = "no value at all is something else")]
fn set(value: &Yaml<'_>) -> Option<Option<String>> {
    let text = match value {
        Yaml::Value(Scalar::Null) => String::new(),
        Yaml::Value(Scalar::Boolean(value)) => value.to_string(),
        Yaml::Value(Scalar::Integer(number)) => number.to_string(),
        Yaml::Value(Scalar::FloatingPoint(number)) => number.to_string(),
        Yaml::Value(Scalar::String(text)) => text.trim().to_owned(),
        _ => return None,
    };
    let is_off = ["", "disabled", "off", "false"].contains(&text.to_ascii_lowercase().as_str());
    Some(Some(text).filter(|_| !is_off))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_in_all_spellings() {
        use WasteRule::{HighestUserWastedPercent, HighestWastedBytes, LowestEfficiency};
        let defaults = vec![LowestEfficiency(0.9), HighestUserWastedPercent(0.1)];
        for (text, want) in [
            ("", defaults.clone()),
            ("# nothing\n", defaults.clone()),
            (
                "rules:\n  lowestEfficiency: 0.95\n",
                vec![LowestEfficiency(0.95), HighestUserWastedPercent(0.1)],
            ),
            (
                "rules:\n  lowest-efficiency: '0.96'\n  highest-wasted-bytes: 19Mb\n  highest-user-wasted-percent: \"0.6\"\n",
                vec![
                    LowestEfficiency(0.96),
                    HighestWastedBytes(19_000_000),
                    HighestUserWastedPercent(0.6),
                ],
            ),
            (
                "rules:\n  lowestEfficiency: disabled\n  highestWastedBytes: 1024\n  highestUserWastedPercent: off\n",
                vec![HighestWastedBytes(1024)],
            ),
            (
                "lowest-efficiency-threshold: 1\n",
                vec![LowestEfficiency(1.0), HighestUserWastedPercent(0.1)],
            ),
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&want), "{text}");
        }
    }

    #[test]
    fn what_dive_calls_misconfigured_is_refused_and_misspelt_rules_are_too() {
        for text in [
            "rules:\n  lowestEfficiency: 1.1\n",
            "rules:\n  lowestEfficiency: -0.1\n",
            "rules:\n  lowestEfficiency: not_a_number\n",
            "rules:\n  highestWastedBytes: not_a_size\n",
            "rules:\n  highestUserWastedPercent: 1.1\n",
            "rules:\n  highestUserWastedPercent: [1]\n",
            "rules:\n  lowestEfficency: 0.9\n",
            "rules: 1\n",
            "- a\n",
            "a: [",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
