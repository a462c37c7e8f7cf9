//! What is said of deltas to those who make and apply them.

use std::path::{Path, PathBuf};

use imgtar::base::escape;
use imgtar::delta::{DeltaDescription, How, Needed, PartFacts};
use imgtar::report::units;

use super::error::warn;
use super::output::Output;

/// How many archives, or layers, are named in one line.
const NAMED: usize = 3;

/// What the old archives are called in a delta: each name once.
#[derive(Clone, Debug)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// The names of the files at these paths.
    pub(crate) fn of(paths: &[PathBuf]) -> Self {
        let mut names: Vec<String> = Vec::with_capacity(paths.len());
        for path in paths {
            let name = shown(path);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Self(names)
    }

    /// How many sources of a delta are of each.
    fn counts(&self, description: &DeltaDescription) -> Vec<(&str, usize)> {
        let count = |name: &String| {
            let sources = description.sources.iter();
            sources.filter(|source| is_of(source, name)).count()
        };
        self.0
            .iter()
            .map(|name| (name.as_str(), count(name)))
            .collect()
    }

    /// Those that have nothing that the delta needs.
    pub(crate) fn idle(&self, description: &DeltaDescription) -> Vec<&str> {
        let counts = self.counts(description).into_iter();
        counts
            .filter(|(_, count)| *count == 0)
            .map(|(name, _)| name)
            .collect()
    }

    /// What the delta needs of them, in words.
    fn needed(&self, description: &DeltaDescription) -> String {
        let counts = self.counts(description).into_iter();
        let used: Vec<(&str, usize)> = counts.filter(|(_, count)| *count > 0).collect();
        let all = units::count(description.sources.len(), "source", "sources");
        match &used[..] {
            _ if description.sources.is_empty() => "needs no old archive".to_owned(),
            [] => format!("needs {all}"),
            [(name, _)] => format!("needs {all} of {}", escape::text(name)),
            some if some.len() <= NAMED => {
                let each = some
                    .iter()
                    .map(|(name, n)| format!("{n} of {}", escape::text(name)));
                let each: Vec<String> = each.collect();
                format!("needs {all}: {}", each.join(" and "))
            }
            many => format!("needs {all} of {} archives", many.len()),
        }
    }
}

/// What a file is called in a delta: nothing of the directories that it is in.
fn shown(path: &Path) -> String {
    if path.as_os_str() == "-" {
        return "standard input".to_owned();
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Whether a source is the file of this name, or in it.
fn is_of(source: &Needed, file: &str) -> bool {
    let name = source
        .name
        .strip_suffix(" as it is")
        .unwrap_or(&source.name);
    let name = name.strip_suffix(',').unwrap_or(name);
    let before = name.strip_suffix(file);
    before.is_some_and(|before| before.is_empty() || before.ends_with(" in "))
}

/// The name of what a delta makes.
pub(crate) fn new_name(description: &DeltaDescription) -> String {
    match description.new.name.as_str() {
        "" | "-" => "NEW".to_owned(),
        name => escape::text(name).into_owned(),
    }
}

/// What share of `all` is `part`, such as `0.9 %`.
pub(crate) fn percent(part: u64, all: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
    let percent = if all == 0 {
        100.0
    } else {
        part as f64 * 100.0 / all as f64
    };
    if percent < 0.1 {
        return format!("{percent:.2} %");
    }
    format!("{percent:.1} %")
}

/// The facts about a delta of so many bytes, for the last line of a command.
pub(crate) fn facts(description: &DeltaDescription, names: &Names, bytes: u64) -> Vec<String> {
    let new = &description.new;
    let size = new.converted.as_ref().map_or(new.size, |given| given.size);
    vec![
        format!(
            "{} of {} ({})",
            percent(bytes, size),
            new_name(description),
            units::size_spaced(size)
        ),
        names.needed(description),
        match &new.converted {
            None => format!("makes {}", new.sha256),
            Some(_) => format!("makes it with uncompressed layers, {}", new.sha256),
        },
    ]
}

/// Why parts travel whole; `None` if they do not.
fn why_whole(how: How) -> Option<&'static str> {
    match how {
        How::Whole => Some("imgtar cannot repeat the compression"),
        How::Dearer => Some("what repeats the compression takes no fewer bytes"),
        How::Damaged => Some("the compression is damaged"),
        How::Content | How::Recompressed | How::Copied => None,
    }
}

/// Says which parts travel whole, and what that costs: one line for each reason.
pub(crate) fn say_whole(description: &DeltaDescription, output: Output) {
    let all = description.streams.size();
    for how in [How::Whole, How::Dearer, How::Damaged] {
        let of_reason = description.parts.iter().filter(|part| part.how == how);
        let mut parts: Vec<&PartFacts> = of_reason.collect();
        let (Some(why), false) = (why_whole(how), parts.is_empty()) else {
            continue;
        };
        parts.sort_by_key(|part| std::cmp::Reverse(part.size));
        let bytes = parts
            .iter()
            .fold(0_u64, |sum, part| sum.saturating_add(part.size));
        let named = parts.iter().take(NAMED).map(|part| {
            let (name, size) = (escape::text(&part.name), units::size_spaced(part.size));
            format!("{name} ({size})")
        });
        let mut named = named.collect::<Vec<_>>().join(", ");
        if parts.len() > NAMED {
            named = format!("{named} and {} more", parts.len() - NAMED);
        }
        let verb = if parts.len() == 1 {
            "travels"
        } else {
            "travel"
        };
        warn(
            output,
            &format!(
                "{} {verb} whole, {} of the {} of the delta, since {why}: {named}",
                units::count(parts.len(), "layer", "layers"),
                units::size_spaced(bytes),
                units::size_spaced(all),
            ),
        );
    }
}
